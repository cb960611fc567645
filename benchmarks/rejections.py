"""Each rejection beside `sigma` until stable; then whole processes from files to a file beside Siril and IRAF.

python benchmarks/rejections.py [--frames 25] [--size 1024] [--files-size 2048] [--repeats 5] [--install] [--no-files]

All on one thread. The first table has the clip and the mean of samples in memory, noise with some outliers, in
processor time: on NumPy, where the clip writes a masked stack, and fused, on dask with one chunk, where no stack is
written. Its goal is at most 3 times `sigma` until stable in both. The second table has medians of alternating runs, in
processor time too, which other work on the machine hardly changes; "inside" is without the start and the imports of
Python. Its goal is a fifth of the time of the other program. "differ" is the fraction of pixels that differ from ours
by more than 1e-5: docs/coming_from.md has the reasons.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from astropy.io import fits
from files import Run, frames_of, make, timed, written
from timing import machine, machine_text, parser

import xccd

MOST, FASTER = 3.0, 5.0  # the goals
NOISE = {"readnoise": 5.0, "gain": 2.0}
STABLE = {"center": "median", "maxiters": None}
# What a row of the table of rejections needs beside its defaults; without a line it needs nothing.
NEEDS: dict[str, dict[str, Any]] = {
    "sigma": STABLE,
    "extrema": {"low": 1, "high": 2},
    "noise": NOISE,
    "swarp": {"gain": 2.0, "noise": 20.0},
}
ROW = "{:<26}{:>8}{:>8}{:>9}{:>8}{:>8}{:>9}{:>7}"
FILES = "{:<34}{:>8}{:>8}{:>8}{:>8}{:>9}{:>8}{:>8}{:>6}"


class Beside(NamedTuple):
    """A job of the second table: ours, and the same of the other program."""

    ours: str
    peer: str
    setting: str


BESIDE = (
    Beside("'percentile_rank', 3, 3", "IRAF", 'reject="pclip",pclip=-0.5,lsigma=3,hsigma=3,nkeep=1'),
    Beside("'noise', 3, 3, readnoise=5, gain=2", "IRAF", 'reject="ccdclip",rdnoise="5",gain="2",lsigma=3,hsigma=3'),
    Beside("'winsorized', 3, 3", "Siril", "w 3 3"),
    Beside("'linear_fit', 5, 2.5", "Siril", "l 5 2.5"),
    Beside("'esd'", "Siril", "g 0.3 0.05"),
)


def noise(frames: int, size: int) -> xr.DataArray:
    """Samples as benchmarks/files.py writes them: sky and its noise, and some cosmic rays."""
    rng = np.random.default_rng(0)
    x = rng.normal(1000, 20, (frames, size, size)).astype("f4")
    x[rng.random(x.shape, dtype="f4") < 1e-4] = 40000
    return xr.DataArray(x, dims=("frame", "y", "x"))


def processor_seconds(call: Callable[[], Any], repeats: int) -> list[float]:
    """Processor time of the repeats, after one run that compiles the kernels."""
    call()
    found = []
    for _ in range(repeats):
        start = time.process_time()
        call()
        found.append(time.process_time() - start)
    return found


def clipped_mean(thing: Any, name: str) -> Any:
    return thing.ccd.reject(name, **NEEDS.get(name, {})).ccd.combine("mean")


def fused_mean(thing: Any, name: str) -> Any:
    """`clipped_mean` on dask, in this thread."""
    import dask

    with dask.config.set(scheduler="single-threaded"):
        return clipped_mean(thing, name).compute()


def rejections(stack: xr.DataArray, repeats: int) -> None:
    """The first table."""
    from xccd.verbs.reject import algorithms

    head = ("NumPy", "min", "x sigma", "fused", "min", "x sigma", "goal")
    print(f"\n{ROW.format('rejection, mean: CPU ms', *head)}")
    with_errors = stack.to_dataset(name="data").assign(data_uncertainty=xr.full_like(stack, 20))
    with_errors["data"].attrs["ancillary_variables"] = "data_uncertainty"
    beside: list[float] = []
    for name in sorted(
        (k for k, row in algorithms().items() if row.function is None and not row.images), key="sigma".__ne__
    ):
        thing = with_errors if name == "variance" else stack
        times = [processor_seconds(partial(clipped_mean, thing, name), repeats)]
        times.append(processor_seconds(partial(fused_mean, thing.chunk(frame=-1, y=-1, x=-1), name), repeats))
        beside = beside or [median(own) for own in times]
        ratios = [median(own) / other for own, other in zip(times, beside, strict=True)]
        cells = [
            text
            for own, ratio in zip(times, ratios, strict=True)
            for text in (f"{1e3 * median(own):.0f}", f"{1e3 * min(own):.0f}", f"{ratio:.2f}")
        ]
        print(ROW.format(name, *cells, "yes" if max(ratios) <= MOST else "NO"), flush=True)


OURS = """import xccd, numba
from xccd.kernels.compiled import engine
---
with xccd.set_options(threads=1):
    stack = xccd.open_stack(files, chunks=None)
    stack.ccd.reject(HOW).ccd.combine('mean').ccd.to_fits(out, overwrite=True)"""


def ours(folder: Path, how: str) -> list[str]:
    imports, _, body = OURS.replace("HOW", how).partition("---\n")
    given = [f"files, out = {frames_of(folder)!r}, {str(folder / 'out.fits')!r}", imports]
    lines = ["import time", *given, "start = time.process_time()", body, "print('inside', time.process_time() - start)"]
    return [sys.executable, "-W", "ignore", "-c", "\n".join(lines)]


def siril(folder: Path, how: str) -> list[str]:
    lines = ["requires 1.0.0", "setext fit", "set32bits", "setcpu 1", f"stack f_ rej {how} -nonorm -out=siril"]
    (folder / "job.ssf").write_text("\n".join(lines) + "\n")
    return ["siril-cli", "-d", str(folder), "-s", str(folder / "job.ssf")]


def iraf(folder: Path, how: str) -> list[str]:
    (folder / "list").write_text("".join(f"{name}\n" for name in frames_of(folder)))
    (folder / "out.fits").unlink(missing_ok=True)
    job = f'imcombine("@{folder}/list","{folder}/out.fits",combine="average",{how},logfile="",outtype="real")'
    lines = ["set imtype=fits", f'set uparm="{folder}/"', "images", "immatch", job, "logout"]
    (folder / "job.cl").write_text("\n".join(lines) + "\n")
    return ["irafcl", "-f", str(folder / "job.cl")]


def sirils(folder: Path) -> np.ndarray:
    return fits.getdata(folder / "siril.fit").astype("f8") * 65535


PEERS = {"IRAF": ("irafcl", iraf, written), "Siril": ("siril-cli", siril, sirils)}


def beside(folder: Path, repeats: int) -> None:
    """The second table."""
    head = ("file to file, CPU s", "median", "min", "inside", "wall", "differ", "faster", "inside", "goal")
    print(f"\n{FILES.format(*head)}")
    for job in BESIDE:
        program, command, image = PEERS[job.peer]
        if not shutil.which(program):
            print(f"reject({job.ours}): {job.peer} is not installed")
            continue
        runs: dict[str, list[Run]] = {"xccd": [], job.peer: []}
        made = []
        for turn in range(repeats + 1):  # the first warms the cache, and is compared
            for name, call, result in (("xccd", ours(folder, job.ours), written), (job.peer, None, image)):
                found = timed(call or command(folder, job.setting), folder)
                if turn:
                    runs[name].append(found)
                else:
                    made.append(result(folder))
        differ = float((~np.isclose(*made, rtol=1e-5)).mean())
        report(job, runs, differ)


def report(job: Beside, runs: dict[str, list[Run]], differ: float) -> None:
    """Two lines of the second table."""
    whole, inside = (median(getattr(r, field) for r in runs["xccd"]) for field in ("cpu", "inside"))
    for name, found in runs.items():
        times = [r.cpu for r in found]
        numbers = [f"{median(times):.2f}", f"{min(times):.2f}", f"{median(r.inside for r in found):.2f}"]
        numbers += [f"{median(r.wall for r in found):.2f}"]
        ratios = [f"{differ:.2%}", f"{median(times) / whole:.1f}", f"{median(times) / inside:.1f}"]
        ratios += ["yes" if median(times) >= FASTER * inside else "NO"]
        label = f"xccd {job.ours}" if name == "xccd" else f"  {name} {job.setting[:24]}"
        print(FILES.format(label[:33], *numbers, *(ratios if name != "xccd" else [""] * 4)), flush=True)


def main() -> None:
    options = parser(__doc__)
    options.add_argument("--files-size", type=int, help="pixels along a side of the files; twice --size if not given")
    options.add_argument("--install", action="store_true", help="apt-get install the peers first")
    options.add_argument("--no-files", action="store_true", help="the first table only")
    given = options.parse_args()
    if given.install:
        subprocess.run(["apt-get", "install", "-y", "siril", "iraf"], check=True, stdout=subprocess.DEVNULL)
    warnings.simplefilter("ignore")
    print(machine_text(machine()))
    print(f"{given.frames} frames of {given.size} x {given.size} float32; goals {MOST:g} x sigma, {FASTER:g} x faster")
    with xccd.set_options(threads=1):
        rejections(noise(given.frames, given.size), given.repeats)
    if given.no_files:
        return
    with tempfile.TemporaryDirectory() as name:
        size = given.files_size or 2 * given.size
        make(Path(name), given.frames, size)
        print(f"\n{given.frames} frames of {size} x {size} uint16, {given.frames * size**2 * 2 / 1e6:.0f} MB")
        beside(Path(name), given.repeats)


if __name__ == "__main__":
    main()
