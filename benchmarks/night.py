"""A simulated night from raw frames to a stacked light: `xccd reduce` within a memory limit, beside Siril's script.

python benchmarks/night.py [--size 2048] [--frames 300] [--masters 20] [--memory 1GB] [--no-siril]

Each runs once in a process of its own, with its start. Siril converts, preprocesses, and stacks with the same steps;
both clip as Siril does. The lights are not moved, so neither registers. Masters are compared pixel by pixel, lights by
their stars: Siril divides a flat by the mean of its middle, so that only the ratios of fluxes are the same.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from measured import Ended, run
from timing import machine, machine_text, parser

import xccd

REJECT = "sigma 4 4 preset=siril"
KINDS = {"bias": "bias-*.fits", "dark": "dark-120s-*.fits", "flat": "flat-r-*.fits", "light": "light-r-*.fits"}
SCRIPT = """requires 1.0.0
setcpu {threads}
cd {folder}/bias
convert bias -out=../process
cd ../process
stack bias rej s 4 4 -nonorm
cd ../dark
convert dark -out=../process
cd ../process
preprocess dark -bias=bias_stacked
stack pp_dark rej s 4 4 -nonorm
cd ../flat
convert flat -out=../process
cd ../process
preprocess flat -bias=bias_stacked
stack pp_flat rej s 4 4 -norm=mul
cd ../light
convert light -out=../process
cd ../process
preprocess light -bias=bias_stacked -dark=pp_dark_stacked -flat=pp_flat_stacked
stack pp_light rej s 4 4 -norm=add -out=light_stacked
close
"""
FULL = 65535  # Siril's samples lie within 0..1
NEAR = 3.0  # pixels between a star in one image and in the other


def text(cost: Ended, frames: int) -> str:
    """What a process took, for each frame."""
    return (
        f"{cost.seconds:7.1f} s, {cost.seconds / frames:.3f} s a frame; of the processor {cost.cpu:.1f} s, "
        f"{cost.cpu / frames:.3f} s a frame; peak {cost.megabytes:.0f} MB"
    )


def by_xccd(night: Path, output: Path, memory: str) -> Ended:
    """`xccd reduce` with the masters that Siril makes, too."""
    files = [path for pattern in KINDS.values() for path in sorted(night.glob(pattern))]
    code = "from xccd_command import run; run()"
    names = output.parent / "frames.txt"
    names.write_text("\n".join(map(str, files)))
    changes = [word for kind in KINDS for word in ("--set", f"{kind}.reject={REJECT}")]
    return run([sys.executable, "-c", code, "reduce", f"@{names}", "-o", output, "--memory", memory, "-q", *changes])


def by_siril(night: Path, folder: Path) -> Ended:
    """Siril's scripted preprocessing, in a folder with links to the frames."""
    for kind, pattern in KINDS.items():
        (folder / kind).mkdir(parents=True)
        for path in night.glob(pattern):
            (folder / kind / path.name).symlink_to(path.resolve())
    (folder / "process").mkdir()
    script = folder / "night.ssf"
    script.write_text(SCRIPT.format(folder=folder.resolve(), threads=os.cpu_count()))
    home = folder / "home"
    home.mkdir()
    return run(["siril-cli", "-s", script, "-d", folder], HOME=str(home))


def image(path: Path, scale: float = 1.0) -> Any:
    return np.asarray(xccd.open_stack(path)[0].values, np.float64) * scale


def compared(products: Path, process: Path, night: Path) -> list[str]:
    """How far masters and lights of both agree."""
    lines = []
    pairs = {"bias": "bias_stacked.fit", "dark-120s": "pp_dark_stacked.fit"}
    for ours, theirs in pairs.items():
        a, b = image(products / "masters" / f"{ours}.fits"), image(process / theirs, FULL)
        apart = np.abs(a - b)
        lines.append(
            f"{ours}: {np.mean(apart < 0.02):.4%} of the pixels within 0.02 adu, median {np.median(a - b):+.4f}"
        )
    a, b = image(products / "masters" / "flat-r.fits"), image(process / "pp_flat_stacked.fit")
    apart = np.abs(a / np.nanmedian(a) - b / np.nanmedian(b))
    lines.append(f"flat-r: {np.mean(apart < 1e-4):.4%} of the pixels within 1e-4 of its level")
    (path,) = products.glob("*.fits")
    a, b = image(path), image(process / "light_stacked.fit", FULL)
    good = np.isfinite(a)
    b = np.where(good, b, np.nan)
    one, two = (xccd.measure_stars(xccd.open_stack([(x, {})])[0]) for x in (a, b))
    ratio = matched(one, two)
    lines.append(
        f"light: {ratio.size} stars in both, fluxes of xccd over Siril {np.median(ratio):.5f} "
        f"(68 % within {np.percentile(np.abs(ratio / np.median(ratio) - 1), 68):.1e})"
    )
    return lines


def matched(one: Any, two: Any) -> Any:
    """The ratio of the fluxes of stars at the same places."""
    apart = np.hypot(one.x.values[:, None] - two.x.values, one.y.values[:, None] - two.y.values)
    nearest = apart.argmin(1)
    same = apart[np.arange(len(nearest)), nearest] < NEAR
    return one.flux.values[same] / two.flux.values[nearest[same]]


def main() -> None:
    about = parser(__doc__, size=2048)
    about.set_defaults(frames=300)
    about.add_argument(
        "--masters", type=int, default=20, help="frames of each kind of master, at most as many as lights"
    )
    about.add_argument("--memory", default="1GB")
    about.add_argument("--no-siril", action="store_true")
    about.add_argument("--folder", type=Path, help="where the night is kept; it is used again if it is there")
    options = about.parse_args()
    print(machine_text(machine()), f"load {os.getloadavg()[0]:.1f}", sep="\n")
    with tempfile.TemporaryDirectory(dir=options.folder and options.folder.parent) as scratch:
        night = options.folder or Path(scratch, "raw")
        n = min(options.masters, options.frames)
        if not night.exists():
            size = (options.size, options.size)
            xccd.simulate_night(night, shape=size, nbias=n, ndark=n, nflat=n, nlight=options.frames)
        frames = sum(len(list(night.glob(pattern))) for pattern in KINDS.values())
        cost = by_xccd(night, Path(scratch, "products"), options.memory)
        print(f"{frames} frames of {options.size} x {options.size}")
        print(f"xccd reduce --memory {options.memory}: {text(cost, frames)}")
        if options.no_siril or shutil.which("siril-cli") is None:
            print("Siril: not run" + ("" if options.no_siril else ", siril-cli is not installed"))
            return
        cost = by_siril(night, Path(scratch, "siril"))
        print(f"Siril's script: {text(cost, frames)}")
        print(*compared(Path(scratch, "products"), Path(scratch, "siril", "process"), night), sep="\n")


if __name__ == "__main__":
    main()
