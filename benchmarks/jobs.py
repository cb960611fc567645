"""The jobs to time: one row for each goal, ours beside a peer or a reference on the same arrays.

python benchmarks/jobs.py [--frames 25] [--size 128]

prints the rows and checks their results, untimed; `compare.py` times them.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import bottleneck as bn
import numpy as np
import xarray as xr
from astropy.nddata import CCDData
from ccdproc import Combiner
from chains import (
    Array,
    clipped,
    clipped_mean,
    of_frames,
    peer_clip,
    run,
    samples,
    sigma,
    sorted_mean,
    twin,
    weighted_quantile,
    weights,
    with_holes,
    with_outliers,
)
from timing import Call, Goal, Job, parser

from xccd.compute.chain import Chain
from xccd.compute.ends import Combine
from xccd.compute.steps import Extrema

CLIP, MAD = sigma(False, False, -1), sigma(False, True, -1)  # until stable
MEAN = Combine("mean")
MEDIAN = Chain((), (Combine("median"),))
CLIP_MEAN, MAD_MEAN = Chain((CLIP,), (MEAN,)), Chain((MAD,), (MEAN,))
SORT, SORT_CLIP = "comparisons in L1", "comparisons, sums in L1"


def rows(frames: int, size: int, threads: int = 1) -> Iterator[Job]:
    """All rows; arrays are made when needed, and dropped."""
    x = samples(frames, size)
    for some in (median_rows, clip_rows, weight_rows, sum_rows, integer_rows, numpy_rows):
        yield from some(x, threads)
    yield from thread_rows(x)
    del x
    yield from label_rows(frames, size)


def read(x: Array) -> tuple[str, Call]:
    return "numpy sum, a plain read", partial(np.sum, x)


def median_rows(x: Array, threads: int) -> Iterator[Job]:
    right = partial(np.nanmedian, axis=0)
    for n in dict.fromkeys((len(x), 10, 100)):
        few = of_frames(n, x)
        ours, theirs = run(MEDIAN, few, threads=threads), partial(bn.nanmedian, few, axis=0)
        yield Job(f"median of {n}", few.size, ours, "bottleneck nanmedian", theirs, Goal("faster", 20), SORT)
    many = of_frames(1000, x)
    ours = run(MEDIAN, many, threads=threads)
    goal = Goal("ns a sample", 2)
    yield Job("median of 1000", many.size, ours, goal=goal, bound="comparisons in L2", pair=twin(ours, many, right))
    clean = run(MEDIAN, x, threads=threads)
    yield Job("median", x.size, clean, *read(x), Goal("at most", 3), SORT, twin(clean, x, right))
    holes = with_holes(x)
    ours = run(MEDIAN, holes, threads=threads)
    goal, pair = Goal("at most", 1.25), twin(ours, holes, right)
    yield Job("median, 5 % NaN", x.size, ours, "xccd median, no NaN", clean, goal, SORT, pair)


def clip_rows(x: Array, threads: int) -> Iterator[Job]:
    mean, mad = run(CLIP_MEAN, x, threads=threads), run(MAD_MEAN, x, threads=threads)
    peer = "astropy sigma_clip, numpy nanmean"
    pair = twin(mean, x, clipped_mean)
    yield Job("clip + mean", x.size, mean, peer, partial(peer_clip, x), Goal("faster", 18), SORT_CLIP, pair)
    yield Job("clip + mean", x.size, mean, *read(x), Goal("at most", 6), SORT_CLIP, pair)
    quiet = with_outliers(x, 0)
    loud = with_outliers(x, 0.05)
    calm, ours = (run(CLIP_MEAN, y, threads=threads) for y in (quiet, loud))
    goal, pair = Goal("at most", 1.6), twin(ours, loud, clipped_mean)
    yield Job("clip + mean, 5 % outliers", x.size, ours, "xccd clip + mean, none", calm, goal, SORT_CLIP, pair)
    theirs, pair = partial(peer_clip, x, "mad_std"), twin(mad, x, partial(clipped_mean, by_mad=True))
    yield Job("mad_std clip + mean", x.size, mad, peer, theirs, Goal("faster", 15), SORT_CLIP, pair)
    for where, fresh, number in (("memory given", False, 1.4), ("new memory", True, 2)):
        ours = run(Chain((CLIP,)), x, threads=threads, fresh=fresh)
        goal, bound = Goal("at most", number), "pages of new memory" if fresh else "comparisons, writing"
        yield Job(f"clip alone, {where}", x.size, ours, "xccd clip + mean", mean, goal, bound, twin(ours, x, clipped))
    ours = run(Chain((Extrema(1, 2),), (MEAN,)), x, threads=threads)
    goal = Goal("faster", 10)
    yield Job("extrema 1/2 + mean", x.size, ours, "numpy sort, mean", partial(sorted_mean, x), goal, SORT)


def weight_rows(x: Array, threads: int) -> Iterator[Job]:
    w = weights(len(x))
    clip, median = run(CLIP_MEAN, x, threads=threads), run(MEDIAN, x, threads=threads)

    def slow(few: Array) -> Any:
        kept = clipped(few)
        return np.nansum(w[:, None] * kept, 0) / (w @ np.isfinite(kept))

    ours = run(Chain((CLIP,), (Combine("mean", True),)), x, w[:, None], threads=threads)
    goal, pair = Goal("at most", 1.3), twin(ours, x, slow)
    yield Job("clip + weighted mean", x.size, ours, "xccd clip + mean", clip, goal, SORT_CLIP, pair)
    ours, bound = run(Chain((), (Combine("median", True),)), x, w[:, None], threads=threads), "sums of weights in L2"
    theirs = partial(weighted_quantile, x, w, 0.5)
    yield Job("weighted median", x.size, ours, "numpy quantile", theirs, Goal("faster", 3), bound)
    pair = twin(ours, x, lambda few: weighted_quantile(few, w, 0.5))
    yield Job("weighted median", x.size, ours, "xccd median", median, Goal("at most", 6), bound, pair)


def sum_rows(x: Array, threads: int) -> Iterator[Job]:
    for method, peer, slow in (("mean", bn.nanmean, np.nanmean), ("sum", bn.nansum, np.nansum)):
        ours = run(Chain((), (Combine(method),)), x, threads=threads)
        pair = twin(ours, x, partial(slow, axis=0))
        yield Job(method, x.size, ours, *read(x), Goal("at most", 3), "reading", pair)
        theirs = partial(peer, x, axis=0)
        yield Job(method, x.size, ours, f"bottleneck {peer.__name__}", theirs, Goal("faster", 1), "reading", pair)
    holes = with_holes(x)
    ours = run(Chain((), (MEAN,)), holes, threads=threads)
    pair = twin(ours, holes, partial(np.nanmean, axis=0))
    yield Job("mean, 5 % NaN", x.size, ours, *read(x), Goal("at most", 3), "reading, choices", pair)
    around = x - np.float32(1000)  # both signs, so sums round
    ours = run(Chain((), (MEAN,)), around, threads=threads)
    pair = twin(ours, around, partial(np.mean, axis=0, dtype=np.float64))
    yield Job("mean, both signs", x.size, ours, *read(x), Goal("at most", 5), "two-sums", pair)


def integer_rows(x: Array, threads: int) -> Iterator[Job]:
    counts = np.rint(x).astype(np.uint16)
    for name, chain, slow in (
        ("median", MEDIAN, partial(np.median, axis=0)),
        ("clip + mean", CLIP_MEAN, clipped_mean),
    ):
        ours, theirs = (run(chain, y, threads=threads) for y in (counts, x))
        pair, goal = twin(ours, counts, slow), Goal("at most", 1)
        yield Job(f"{name}, uint16", x.size, ours, f"xccd {name}, float32", theirs, goal, SORT, pair)


def thread_rows(x: Array) -> Iterator[Job]:
    for name, chain in (("median", MEDIAN), ("clip + mean", CLIP_MEAN)):
        one, two = (run(chain, x, threads=n) for n in (1, 2))
        yield Job(f"{name}, 2 threads", x.size, two, "xccd, 1 thread", one, Goal("faster", 1.7), "cores")


def numpy_rows(x: Array, threads: int) -> Iterator[Job]:
    """The engine without numba."""
    ours, bound = run(MEDIAN, x, threads=threads, engine="numpy"), "comparisons in L2"
    theirs, goal = partial(bn.nanmedian, x, axis=0), Goal("faster", 8)
    yield Job("NumPy engine: median", x.size, ours, "bottleneck nanmedian", theirs, goal, bound)
    holes = with_holes(x)
    ours, theirs = run(MEDIAN, holes, threads=threads, engine="numpy"), partial(bn.nanmedian, holes, axis=0)
    goal = Goal("faster", 4)
    yield Job("NumPy engine: median, 5 % NaN", x.size, ours, "bottleneck nanmedian", theirs, goal, bound)
    ours, theirs = run(CLIP_MEAN, x, threads=threads, engine="numpy"), partial(peer_clip, x)
    goal, pair, peer = Goal("faster", 2.5), twin(ours, x, clipped_mean), "astropy sigma_clip, numpy nanmean"
    yield Job("NumPy engine: clip + mean", x.size, ours, peer, theirs, goal, bound, pair)


def label_rows(frames: int, size: int) -> Iterator[Job]:
    """Jobs through the accessor: frames of four times the pixels, then small ones with many coordinates."""

    def ours(stack: xr.DataArray, passes: int | None = None) -> Any:
        return stack.ccd.sigma_clip(3, 3, center="median", maxiters=passes).ccd.combine("mean").values

    x = samples(frames, 2 * size).reshape(frames, 2 * size, 2 * size)
    stack, images = xr.DataArray(x, dims=("frame", "y", "x")), [CCDData(image, unit="adu") for image in x]

    def theirs() -> Any:
        combiner = Combiner(images)
        combiner.sigma_clipping(3, 3, func="median")
        return combiner.average_combine().data

    def pair() -> tuple[Any, Any]:  # ccdproc makes one pass, ours continues until stable
        return ours(stack, 1), theirs()

    goal, bound = Goal("faster", 12), "pages of new memory"
    yield Job("accessor: clip, combine", x.size, partial(ours, stack), "ccdproc, one pass", theirs, goal, bound, pair)

    one = stack[:, :size, :size].copy()
    theirs, goal = partial(peer_clip, one.values), Goal("faster", 12)
    yield Job(
        "accessor: clip, mean", one.size, partial(ours, one), "astropy sigma_clip, numpy nanmean", theirs, goal, bound
    )

    small = x[:, :32, :32].copy()
    named = {f"KEY{i}": ("frame", np.arange(frames) * 1.5 if i % 2 else [f"value {i}"] * frames) for i in range(25)}
    times = np.datetime64("2024-01-01T00:00:00", "ns") + np.arange(frames) * np.timedelta64(60, "s")
    files = [f"frame{i:03d}.fits" for i in range(frames)]
    numbers = {key: ("frame", np.full(frames, 1.5)) for key in ("EXPTIME", "GAIN", "RDNOISE")}
    labels = named | numbers | {"DATE-OBS": ("frame", times), "file": ("frame", files)}
    labelled = xr.DataArray(small, dims=("frame", "y", "x"), coords=labels)
    flat = small.reshape(frames, -1)
    clip, mean = run(Chain((CLIP,)), flat), run(CLIP_MEAN, flat)
    bare = lambda: (clip(), mean())[1].reshape(32, 32)  # noqa: E731
    goal = Goal("ms more", 10)
    yield Job("accessor: 30 coordinates", flat.size, partial(ours, labelled), "xccd, no labels", bare, goal, "Python")


def main() -> None:
    args = parser(__doc__, size=128).parse_args()
    warnings.simplefilter("ignore")
    for job in rows(args.frames, args.size):
        job.check()
        goal = f"{job.goal.kind} {job.goal.number:g}" if job.goal else ""
        print(f"{job.name:<31}{job.peer:<36}{goal:<18}{job.bound}", flush=True)


if __name__ == "__main__":
    main()
