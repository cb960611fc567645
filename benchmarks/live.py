"""`LiveStack` beside a clip of all frames: what both reject, how good their means are, and the time for a frame.

python benchmarks/live.py [--frames 100] [--size 2048] [--repeats 5]

First table: normal noise of 300 x 300 pixels, one sample in a hundred an outlier of 5, 10 or 20 deviations. "false"
is the share of good samples that are rejected, "found" that of the outliers, both of all frames so far. "noise" is the
scatter of the mean about the truth, in parts of that of the mean of all good samples. The batch is
sigma_clip(3, 3, center="median", deviation="mad_std"), of one pass.
Second table: milliseconds for ``--size`` pixels, by the clock and of the processor.
"""

from __future__ import annotations

import tempfile
import time
import warnings
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import xarray as xr
from astropy.io import fits
from timing import Job, machine, machine_text, parser

import xccd

PIXELS, SHARE, HEIGHTS, MINIMUM = (300, 300), 0.01, (5, 10, 20), 8
COUNTS = (8, 10, 12, 15, 20, 30, 50, 100)
Array = np.ndarray[Any, Any]


def batch(frames: Array) -> tuple[Array, Array]:
    """The mean, and which samples are rejected."""
    ds = xr.DataArray(frames, dims=("frame", "y", "x"), name="data").ccd.to_dataset()
    clipped = ds.ccd.sigma_clip(3, 3, center="median", deviation="mad_std")
    return clipped.ccd.combine("mean")["data"].values, clipped["data_flags"].values != 0


def lost(live: xccd.LiveStack) -> Array:
    image = live.snapshot()
    return (image["data_rejected_low"] + image["data_rejected_high"]).values


def judged(name: str, mean: Array, out: Array, rays: Array, frames: Array) -> str:
    """A line of the table."""
    false = out[rays == 0].mean()
    found = "".join(f"{out[rays == height].mean():9.2%}" for height in HEIGHTS)
    best = np.nanmean(np.where(rays == 0, frames, np.nan), axis=0).std()
    return f"{name:<8}{false:9.2%}{found}{np.nanstd(mean) / best:9.3f}"


def quality(most: int) -> None:
    rng = np.random.default_rng(0)
    frames = rng.normal(0, 1, (most, *PIXELS)).astype("f4")
    rays = np.where(rng.random(frames.shape) < SHARE, rng.choice(HEIGHTS, frames.shape), 0)
    frames += rays
    live, out = xccd.LiveStack(minimum=MINIMUM), np.zeros(frames.shape, bool)
    print(f"{'frames':>7} {'':<8}{'false':>9}" + "".join(f"{f'found {h}':>9}" for h in HEIGHTS) + f"{'noise':>9}")
    for number, frame in enumerate(frames, 1):
        before = lost(live) if number > MINIMUM else 0
        live.add(frame)
        if number == MINIMUM:
            out[:MINIMUM] = batch(frames[:MINIMUM])[1]  # the same function, on the same samples
            assert np.array_equal(out[:MINIMUM].sum(0), lost(live))
        elif number > MINIMUM:
            out[number - 1] = lost(live) > before
        if number in COUNTS:
            here = slice(0, number)
            mean = live.snapshot()["data"].values
            print(f"{number:>7} {judged('live', mean, out[here], rays[here], frames[here])}")
            print(f"{'':>7} {judged('batch', *batch(frames[here]), rays[here], frames[here])}")


def speed(size: int, repeats: int, folder: Path) -> None:
    rng = np.random.default_rng(0)
    frames = [rng.normal(1000, 20, (size, size)).astype("f4") for _ in range(MINIMUM + 1)]
    head = fits.Header({"EXPTIME": 30.0, "FILTER": "r"})
    fits.writeto(folder / "a.fits", frames[0].astype("u2"), head)
    plain, clipping = xccd.LiveStack(None, None), xccd.LiveStack(minimum=MINIMUM)
    for frame in frames:
        plain.add(frame)
        clipping.add(frame)
    jobs = {
        "add an array, no rejection": lambda: plain.add(frames[1], again=True),
        "add an array": lambda: clipping.add(frames[1], again=True),
        "add a file of uint16": lambda: clipping.add(folder / "a.fits", again=True),
        "snapshot": clipping.snapshot,
        "snapshot and to_fits": lambda: clipping.snapshot().ccd.to_fits(folder / "live.fits", overwrite=True),
        "save": lambda: clipping.save(folder / "live.state"),
        "load": lambda: xccd.LiveStack.load(folder / "live.state"),
    }
    for name, call in jobs.items():
        times = Job(name, size * size, call).time(repeats)[0]
        print(f"{name:<30}{1e3 * median(times):9.1f}{1e3 * median(map(work, [call] * repeats)):9.1f} ms")


def work(call: Any) -> float:
    """Seconds of the processor, of all threads: on a machine that has other work, what the call needs by itself."""
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    options = parser(__doc__, size=2048)
    options.set_defaults(frames=100)
    given = options.parse_args()
    print(machine_text(machine()))
    warnings.simplefilter("ignore", UserWarning)
    quality(given.frames)
    with tempfile.TemporaryDirectory() as name:
        speed(given.size, given.repeats, Path(name))


if __name__ == "__main__":
    main()
