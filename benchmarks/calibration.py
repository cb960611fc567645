"""Bias, dark, flat, clip and mean of files, beside the clip and mean alone, and beside ccdproc's chain.

python benchmarks/calibration.py [--frames 25] [--size 2048] [--repeats 5] [--peer]

From files to a file. ccdproc runs once, with --peer: it takes a minute or more.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from timing import machine, machine_text

import xccd

CARDS = {"BUNIT": "adu", "EXPTIME": 60.0, "GAIN": 1.5, "RDNOISE": 6.0, "FILTER": "r"}
MASTERS = {"bias": (1000.0, 2.0, 0.0), "dark": (12.0, 1.0, 120.0), "flat": (3e4, 300.0, 1.0)}  # level, scatter, time
GOAL_ALONE, GOAL_PEER = 1.6, 10.0


def write(folder: Path, frames: int, size: int) -> None:
    """Lights as uint16, masters as float32."""
    rng = np.random.default_rng(0)
    for i in range(frames):
        values = rng.normal(1500, 20, (size, size))
        values[rng.integers(0, size, 500), rng.integers(0, size, 500)] += 5000
        image = xccd.open_image((values, CARDS | {"IMAGETYP": "light"}))
        image.ccd.to_fits(folder / f"light-{i:02d}.fits", dtype="uint16")
    for name, (level, scatter, seconds) in MASTERS.items():
        cards = CARDS | {"IMAGETYP": name, "EXPTIME": seconds, "BIASCOR": "bias.fits"}
        image = xccd.open_image((rng.normal(level, scatter, (size, size)).astype("f4"), cards))
        image.ccd.to_fits(folder / f"{name}.fits")


def alone(folder: Path, chunks: Any) -> None:
    stack = xccd.open_stack(folder / "light-*.fits", chunks=chunks)
    made = stack.ccd.sigma_clip(3, 3).ccd.combine("mean")
    made.ccd.to_fits(folder / "alone.fits", overwrite=True)


def calibrated(folder: Path, chunks: Any) -> None:
    stack = xccd.open_stack(folder / "light-*.fits", chunks=chunks)
    ready = stack.ccd.subtract_bias(folder / "bias.fits").ccd.subtract_dark(folder / "dark.fits")
    made = ready.ccd.flat_correct(folder / "flat.fits").ccd.sigma_clip(3, 3).ccd.combine("mean")
    made.ccd.to_fits(folder / "calibrated.fits", overwrite=True)


def by_ccdproc(folder: Path) -> None:
    """The same steps with ccdproc, as its guide has them."""
    import ccdproc
    from astropy import units as u
    from astropy.nddata import CCDData

    bias, dark, flat = (CCDData.read(folder / f"{name}.fits") for name in MASTERS)
    ready = []
    for path in sorted(folder.glob("light-*.fits")):
        ccd = CCDData.read(path)
        ccd = ccdproc.subtract_bias(ccd, bias)
        ccd = ccdproc.subtract_dark(ccd, dark, exposure_time="EXPTIME", exposure_unit=u.s, scale=True)
        ready.append(ccdproc.flat_correct(ccd, flat))
    combiner = ccdproc.Combiner(ready)
    combiner.sigma_clipping(low_thresh=3, high_thresh=3)
    combiner.average_combine().write(folder / "ccdproc.fits", overwrite=True)


def seconds(call: Callable[[], None]) -> tuple[float, float]:
    """Seconds by the clock, and those of the processor in all threads, which a busy machine changes less."""
    start = time.perf_counter(), time.process_time()
    call()
    return time.perf_counter() - start[0], time.process_time() - start[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--size", type=int, default=2048)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--peer", action="store_true", help="run ccdproc's chain once, too")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    print(machine_text(machine()))
    with TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, args.frames, args.size)
        best = np.inf
        for chunks in (None, "auto"):
            pairs = [
                (seconds(lambda c=chunks: alone(folder, c)), seconds(lambda c=chunks: calibrated(folder, c)))
                for _ in range(args.repeats + 1)
            ][1:]
            one, other = (median(clock for clock, _ in times) for times in zip(*pairs, strict=True))
            best = min(best, other)
            clock, work = (median(b[i] / a[i] for a, b in pairs) for i in (0, 1))
            print(
                f"chunks={chunks!r:7}  clip and mean {one:6.2f} s  with bias, dark and flat {other:6.2f} s  "
                f"{clock:5.2f} times (goal {GOAL_ALONE}), {work:5.2f} times the work"
            )
        if args.peer:
            theirs, _ = seconds(lambda: by_ccdproc(folder))
            print(f"ccdproc {theirs:6.1f} s  {theirs / best:5.1f} times as long (goal {GOAL_PEER:g})")


if __name__ == "__main__":
    main()
