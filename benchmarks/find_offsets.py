"""How far the offsets of `find_offsets` are from the truth, on synthetic skies that are disturbed.

python benchmarks/find_offsets.py [--frames 5] [--size 400] [--repeats 10] [--method auto] [--case raw]

``--repeats`` is the number of skies of each kind, ``--case`` the beginning of the names of cases. Cases named raw have
the faults of a detector, which stay (`tests/raw_fields.py`). Each line is a case: the largest error in pixels of frames
with eight stars or more in common with the first, and of those with fewer; how many frames have a warning, or an error
that says that they are turned; and how many are wrong by over 0.1 pixel (0.3 with fewer stars in common) without
either.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from timing import machine, machine_text, parser

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from raw_fields import raw_field
from star_fields import Field, field

FAR = np.array([(0, 0), (0.4, 0.4), (-0.4, 0.4), (0.4, -0.4), (-0.4, -0.4)])
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "300 cosmic rays": {"rays": 300},
    "300 hot pixels": {"hot": 300},
    "30 hot pixels": {"hot": 30},
    "satellites": {"trails": 3},
    "gradient": {"gradient": 500},
    "all of these": {"rays": 300, "hot": 300, "trails": 2, "gradient": 500},
    "8 stars": {"stars": 8, "peak": (20, 50)},
    "3 stars, 900^2": {"stars": 3, "peak": (20, 50), "scale": 2.25, "reach": 0.1},
    "fwhm 1.6": {"fwhm": 1.6},
    "low S/N": {"peak": (2, 4), "limit": 0.3},
    "40 % both ways": {"far": True},
    "turned 0.05": {"turn": 0.05, "reach": 0.08},
    "turned 0.5": {"turn": 0.5, "reach": 0.08},
    "meridian flip": {"flipped": (2, 3), "reach": 0.08},
    "raw": {"raw": True},
    "raw, 1 % hot": {"raw": True, "hot": 0.01, "blobs": 40},
    "raw, 10 stars": {"raw": True, "stars": 10, "blobs": 25, "faintest": 4000},
    "raw, fwhm 1.3": {"raw": True, "fwhm": 1.3, "hot": 0.01},
    "raw, mosaic": {"raw": True, "colours": True},
    "raw, small drift": {"raw": True, "drift": 1.5},
    "raw, clouds": {"raw": True, "clouds": (1,)},
}
DENSITIES = (24, 100)


class Row(NamedTuple):
    """What one frame gave."""

    error: float  # pixels
    stars: int  # in common with the first frame
    warned: bool
    raised: bool
    turned: bool  # in truth, so that its corners move by over a pixel
    limit: float  # pixels

    @property
    def is_silent(self) -> bool:
        """Whether it is wrong without a warning."""
        wrong = self.turned or self.error > (self.limit if self.stars >= 8 else 0.3)
        return wrong and not (self.warned or self.raised)


def sky(seed: int, density: int, size: int, frames: int, case: dict[str, Any]) -> Field:
    options = {"stars": density, "frames": frames} | case
    if options.pop("raw", False):
        return raw_field(seed, options.pop("stars"), (size, int(1.05 * size)), **options)
    for what in ("rays", "hot"):  # they are counted on 400 x 420 pixels
        options[what] = round(options.get(what, 0) * (size / 400) ** 2)
    width = size * options.pop("scale", 1)
    shape = int(width), int(1.05 * width)
    options.pop("limit", None)
    if options.pop("far", False):
        options["offsets"] = np.resize(FAR, (frames, 2)) * shape
    return field(seed, options.pop("stars"), shape, **options)


def rows(made: Field, case: dict[str, Any], method: str) -> list[Row]:
    """The frames of a sky: all together, or, if one of them is turned, each with the first."""
    size = made.frames.shape[1:]
    angles = [
        np.deg2rad(case.get("turn", 0) * i) + np.pi * (i in case.get("flipped", ())) for i in range(len(made.frames))
    ]
    turned = [abs(2 * np.sin(a / 2)) * np.hypot(*size) / 2 > 1 for a in angles]
    groups = [[0, i] for i in range(1, len(angles))] if any(turned) else [list(range(len(angles)))]
    found = []
    for group in groups:
        part = Field(made.frames[group], made.offsets[group], made.inside[group])
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                offsets = part.stack().ccd.find_offsets(method)
            except ValueError as error:
                if not any(text in str(error) for text in ("is turned by", "too few stars")):
                    raise
                found += [Row(0, part.in_common(k), False, True, turned[i], 0) for k, i in enumerate(group) if k]
                continue
        said = " ".join(str(w.message) for w in caught)
        assert bool(caught) == bool(offsets.doubtful.any())
        away = np.hypot(*(offsets.values - part.offsets).T)
        for k, i in enumerate(group):
            warned = bool(offsets.doubtful[k]) and (f"frame {k} " in said or "more:" in said)
            found += [Row(away[k], part.in_common(k), warned, False, turned[i], case.get("limit", 0.1))] * (k > 0)
    return found


def line(name: str, density: int, results: list[Row], seconds: float) -> str:
    fine = [r for r in results if not (r.warned or r.raised or r.turned)]
    many, few = ([r.error for r in fine if (r.stars >= 8) == whether] for whether in (True, False))
    most = [f"{max(errors):6.3f} ({len(errors):3})" if errors else f"{'-':>12}" for errors in (many, few)]
    counts = (sum(r.warned for r in results), sum(r.raised for r in results), sum(r.is_silent for r in results))
    return (
        f"{name:<16} {density:>5}  {most[0]}  {most[1]}  {counts[0]:>6}  {counts[1]:>6}  {counts[2]:>6}  {seconds:8.3f}"
    )


def main() -> int:
    options = parser(__doc__, size=400)
    options.set_defaults(frames=5, repeats=10)
    options.add_argument("--method", default="auto")
    options.add_argument("--case", default="")
    args = options.parse_args()
    print(machine_text(machine()))
    print(f"{'case':<16} {'stars':>5}  {'8 or more':>12}  {'fewer':>12}  warned  raised  silent  s/frame")
    silent = 0
    for name, case in CASES.items():
        for density in DENSITIES if "stars" not in case else (case["stars"],):
            if not name.startswith(args.case):
                continue
            made = [sky(seed, density, args.size, args.frames, case) for seed in range(args.repeats)]
            start = time.perf_counter()
            results = [row for one in made for row in rows(one, case, args.method)]
            seconds = (time.perf_counter() - start) / args.repeats / args.frames
            silent += sum(r.is_silent for r in results)
            print(line(name, density, results, seconds), flush=True)
    return int(silent > 0)


if __name__ == "__main__":
    sys.exit(main())
