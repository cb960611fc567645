"""The same script through ccdproc and through xccd.ccdproc, alternating: the ratio of the medians.

python benchmarks/drop_in.py [--frames 15] [--size 1024] [--repeats 5]

The last rows are `combine` of five frames within limits of memory, which are given for 1024 x 1024 pixels.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import ccdproc
import numpy as np
from astropy import log
from astropy import units as u
from astropy.nddata import CCDData
from astropy.wcs import WCS
from timing import machine, machine_text, parser, seconds

import xccd.ccdproc

LIMITS = (6e7, 4.4e7, 4.2e7, 4.1e7, 4e7, 2e7, 1e6)
Script = Callable[[Any, list[CCDData], list[str]], Any]


def average(package: Any, ccds: list[CCDData], files: list[str]) -> CCDData:
    combiner = package.Combiner(ccds)
    combiner.sigma_clipping(low_thresh=3, high_thresh=3, func=np.ma.median)
    return combiner.average_combine()


def middle(package: Any, ccds: list[CCDData], files: list[str]) -> CCDData:
    return package.Combiner(ccds).median_combine()


def trimmed(package: Any, ccds: list[CCDData], files: list[str]) -> CCDData:
    combiner = package.Combiner(ccds)
    combiner.clip_extrema(nlow=1, nhigh=1)
    return combiner.average_combine()


def of_files(package: Any, ccds: list[CCDData], files: list[str]) -> CCDData:
    return package.combine(files, unit="adu", method="average", sigma_clip=True, sigma_clip_func=np.ma.median)


def projected(package: Any, ccds: list[CCDData], files: list[str], order: str) -> CCDData:
    size = ccds[0].shape[0]
    image = CCDData(ccds[0].data, unit=u.adu, wcs=sky(size / 2, 0))
    return package.wcs_project(image, sky(size / 2 + 3.3, 0.01), order=order)


def sky(pixel: float, turned: float) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [10, 20], [pixel, pixel]
    wcs.wcs.pc = [[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]]
    wcs.wcs.cdelt = [-1e-4, 1e-4]
    return wcs


def within(package: Any, ccds: list[CCDData], files: list[str], limit: float) -> CCDData:
    return package.combine(files[:5], unit="adu", mem_limit=limit * (ccds[0].shape[0] / 1024) ** 2)


JOBS: dict[str, Script] = {
    "clip, average": average, "median": middle, "extrema, average": trimmed, "combine() of files, clipped": of_files,
    **{f"wcs_project, {order}": partial(projected, order=order) for order in ("bilinear", "bicubic")},
    **{f"combine(mem_limit={limit:g})": partial(within, limit=limit) for limit in LIMITS},
}  # fmt: skip


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(frames=15)
    given = options.parse_args()
    print(machine_text(machine()))
    log.setLevel("WARNING")  # ccdproc logs its chunks
    rng = np.random.default_rng(0)
    images = [rng.normal(1000, 20, (given.size, given.size)).astype("f4") for _ in range(given.frames)]
    images[3][::50, ::50] = 40000
    ccds = [CCDData(image, unit=u.adu) for image in images]
    print(f"\n{'':<32}{'ccdproc s':>10}{'xccd s':>10}{'times':>8}{'differ':>10}")
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings(action="ignore"):
        files = [str(Path(folder) / f"{i}.fits") for i in range(given.frames)]
        for ccd, file in zip(ccds, files, strict=True):
            ccd.write(file)
        for name, script in JOBS.items():
            both = [script(package, ccds, files) for package in (ccdproc, xccd.ccdproc)]
            differ = float((~np.isclose(*(ccd.data for ccd in both), rtol=1e-5, equal_nan=True)).mean())
            times: list[list[float]] = [[], []]
            for _ in range(given.repeats):
                for found, package in zip(times, (ccdproc, xccd.ccdproc), strict=True):
                    found.append(seconds(partial(script, package, ccds, files)))
            theirs, ours = map(median, times)
            print(f"{name:<32}{theirs:>10.3f}{ours:>10.3f}{theirs / ours:>8.1f}{differ:>10.2%}", flush=True)


if __name__ == "__main__":
    main()
