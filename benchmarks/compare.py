"""Time clips and combinations beside the peers: one run, the same arrays, the ratio of medians.

python benchmarks/compare.py [--frames 25] [--size 1024] [--repeats 5]
"""

import argparse
import platform
import time
import warnings
from collections.abc import Callable
from importlib.metadata import version
from statistics import median

import bottleneck
import numpy as np
import xarray as xr
from astropy.nddata import CCDData
from astropy.stats import sigma_clip as astropy_sigma_clip
from ccdproc import Combiner

import xccd

Job = Callable[[], object]


def jobs(pixels: np.ndarray) -> dict[str, tuple[Job, str, Job]]:
    """Name, our way, the peer's name and its way to do the same."""
    stack = xr.DataArray(pixels, dims=("frame", "y", "x"))

    def clipped_mean() -> xr.DataArray:
        return stack.ccd.sigma_clip(3, 3, center="median", maxiters=None).ccd.combine("mean")

    def astropy_clipped_mean() -> np.ndarray:
        clipped = astropy_sigma_clip(pixels, 3, maxiters=None, axis=0, masked=False)
        return np.nanmean(clipped, axis=0)

    def ccdproc_clipped_mean() -> CCDData:
        combiner = Combiner([CCDData(p, unit="adu") for p in pixels])
        combiner.sigma_clipping(3, 3, func="median")
        return combiner.average_combine()

    return {
        "median": (lambda: stack.ccd.combine("median"), "bottleneck", lambda: bottleneck.nanmedian(pixels, axis=0)),
        "mean": (lambda: stack.ccd.combine("mean"), "bottleneck", lambda: bottleneck.nanmean(pixels, axis=0)),
        "clip until stable + mean": (clipped_mean, "astropy", astropy_clipped_mean),
        "clip until stable + mean ": (clipped_mean, "ccdproc (one pass)", ccdproc_clipped_mean),
    }


def timed(job: Job, repeats: int) -> list[float]:
    job()  # compiled, memory touched
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        job()
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=25)
    parser.add_argument("--size", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    rng = np.random.default_rng(0)
    pixels = rng.normal(1000, 10, (args.frames, args.size, args.size)).astype(np.float32)
    pixels[rng.random(pixels.shape) < 0.001] += 5000
    names = ("xccd", "numpy", "astropy", "bottleneck", "ccdproc", "numba")
    print(platform.processor() or platform.machine(), *(f"{n} {version(n)}" for n in names), sep=", ")
    print(f"{args.frames} x {args.size} x {args.size} float32, {args.threads} thread(s), medians of {args.repeats}")
    print(f"{'job':<28}{'xccd [ms]':>12}{'min':>8}{'max':>8}{'peer [ms]':>12}{'ratio':>8}  peer")
    with xccd.set_options(threads=args.threads):
        for name, (ours, peer, theirs) in jobs(pixels).items():
            mine, other = timed(ours, args.repeats), timed(theirs, max(1, args.repeats // 2))
            ms = [1e3 * t for t in (median(mine), min(mine), max(mine), median(other))]
            print(f"{name:<28}{ms[0]:12.1f}{ms[1]:8.1f}{ms[2]:8.1f}{ms[3]:12.1f}{ms[3] / ms[0]:8.1f}  {peer}")


if __name__ == "__main__":
    main()
