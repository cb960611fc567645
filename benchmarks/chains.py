"""Chains on arrays beside other code that computes the same: every combination and every clip.

python benchmarks/chains.py [--frames 25] [--size 128] [--repeats 2]

checks and times each of them, with both engines.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any, NamedTuple

import bottleneck as bn
import numpy as np
from astropy.stats import biweight_location, mad_std, sigma_clip
from timing import Call, Job, parser

import xccd
from xccd.compute.chain import Chain
from xccd.compute.ends import Combine
from xccd.compute.run import chained
from xccd.compute.steps import Extrema, Range, Sigma, Step
from xccd.kernels.limits import float_dtype
from xccd.kernels.table import METHODS, ClipOptions

Array = np.ndarray[Any, Any]

FEW = 2000  # pixels on which slow, obvious code checks the result
ONE, NO_FLAGS = np.ones((1, 1)), np.zeros((1, 1), np.uint8)
Q = 0.25
C = 6.0  # MAD beyond which a sample has no weight in the biweight


def run(
    chain: Chain, x: Array, weights: Array = ONE, *, threads: int = 1, engine: str = "numba", fresh: bool = False
) -> Call:
    """A call that runs a chain on ``x`` (frames, pixels) into given memory, or into new memory.

    Several threads are used as the verbs use them, always into new memory.
    """
    dtype = np.dtype((METHODS[chain.ends[0].method].dtype if chain.ends else None) or float_dtype(x.dtype))
    room = partial(np.empty, x.shape[1] if chain.ends else x.shape, dtype)
    given = None if fresh or threads > 1 else room()

    def call() -> Any:
        with xccd.set_options(engine=engine, threads=threads):
            if threads > 1:
                return chained(chain, x, None, weights, dtypes=[dtype])[0]
            out = room() if given is None else given
            chain(x, 0, x.shape[1], NO_FLAGS, ONE, weights, out)
            return out

    return call


def twin(ours: Call, x: Array, slow: Callable[[Array], Any]) -> Call:
    """The first pixels of our result, and of that of ``slow`` on the same samples as float64."""
    return lambda: (ours()[..., :FEW], slow(x[:, :FEW].astype(np.float64)))


def clipped(x: Array, by_mad: bool = False) -> Array:
    """The samples clipped until stable, rejected ones NaN: astropy's Python loop, which restores no rejected sample.

    astropy's compiled loop, which is timed, finally applies the last bounds to all samples. So with ``mad_std`` some
    samples come back, in one pixel of a hundred.
    """
    deviation = partial(mad_std, ignore_nan=True) if by_mad else np.nanstd
    result: Array = sigma_clip(
        x, 3, maxiters=None, axis=0, masked=False, cenfunc=np.nanmedian, stdfunc=lambda v, axis: deviation(v, axis=axis)
    )
    return result


def clipped_mean(x: Array, by_mad: bool = False) -> Any:
    return np.nanmean(clipped(x, by_mad), axis=0)


def peer_clip(x: Array, deviation: str = "std") -> Any:
    return np.nanmean(sigma_clip(x, 3, maxiters=None, axis=0, masked=False, stdfunc=deviation), axis=0)


def weighted_quantile(x: Array, w: Array, q: float) -> Any:
    """NumPy's quantile; ours ("averaged_inverted_cdf") differs only where weights add up to exactly ``q`` of all."""
    if np.isnan(x).any():
        return np.nanquantile(x, q, axis=0, weights=np.broadcast_to(w[:, None], x.shape), method="inverted_cdf")
    return np.quantile(x, q, axis=0, weights=w, method="inverted_cdf")


def samples(frames: int, size: int) -> Array:
    """Normal noise as float32 (frames, pixels), one sample of 1000 far above it."""
    rng = np.random.default_rng(0)
    x = 1000 + 10 * rng.standard_normal((frames, size * size), np.float32)
    x.reshape(-1)[rng.integers(0, x.size, x.size // 1000)] += 5000
    return x


def weights(frames: int) -> Array:
    """One number for each frame."""
    return 0.5 + np.random.default_rng(2).random(frames)


def with_holes(x: Array, share: float = 0.05) -> Array:
    return np.where(np.random.default_rng(1).random(x.shape, np.float32) < share, np.float32(np.nan), x)


def with_outliers(x: Array, share: float) -> Array:
    """Noise like that of `samples`, with this share of samples of 5000 far above it."""
    rng = np.random.default_rng(3)
    noise = 1000 + 10 * rng.standard_normal(x.shape, np.float32)
    noise.reshape(-1)[rng.integers(0, x.size, int(share * x.size))] += 5000
    return noise


def of_frames(n: int, x: Array) -> Array:
    """The samples as ``n`` frames, without the few that do not fill a pixel."""
    return x.reshape(-1)[: x.size // n * n].reshape(n, -1)


def sorted_mean(x: Array) -> Any:
    """The mean without the lowest and the two highest samples."""
    return np.sort(x, axis=0)[1:-2].mean(axis=0)


def half_sample_mode(x: Array) -> Array:
    """The narrowest half of a pixel's samples, again and again; the middle one of equally narrow halves."""

    def of_pixel(column: Array) -> float:
        column = np.sort(column[np.isfinite(column)])
        while column.size > 3:
            half = (column.size + 1) // 2
            widths = column[half - 1 :] - column[: column.size - half + 1]
            narrow = np.flatnonzero(widths == widths.min())
            first = narrow[(narrow.size - 1) // 2]
            column = column[first : first + half]
        if column.size == 3:
            below, above = np.diff(column)
            column = column[1:2] if below == above else column[:2] if below < above else column[1:]
        return float(column.mean())

    return np.array([of_pixel(column) for column in x.T])


def adaptive(x: Array) -> Any:
    """Stetson's mean: five rounds from the mean, with twice the standard deviation."""
    center, scale = np.nanmean(x, 0), 2 * np.nanstd(x, 0, ddof=1)
    for _ in range(5):
        w = np.where(np.isfinite(x), 1 / (1 + ((x - center) / scale) ** 2), np.nan)
        center = np.nansum(w * x, 0) / np.nansum(w, 0)
    return center


def outermost(x: Array) -> Any:
    """The first sample of each pixel that is not missing."""
    return np.take_along_axis(x, np.isfinite(x).argmax(0)[None], 0)[0]


class Way(NamedTuple):
    """Other code for a combination: a slow one in float64 and a peer's fast one, both functions of (x, weights)."""

    slow: Callable[[Array, Array], Any]
    peer: str = "-"
    fast: Callable[[Array, Array], Any] | None = None


WAYS: dict[str, Way] = {
    "mean": Way(lambda x, w: np.nanmean(x, 0), "bottleneck nanmean", lambda x, w: bn.nanmean(x, 0)),
    "median": Way(lambda x, w: np.nanmedian(x, 0), "bottleneck nanmedian", lambda x, w: bn.nanmedian(x, 0)),
    "lower_median": Way(lambda x, w: np.nanquantile(x, 0.5, 0, method="lower")),
    "sum": Way(lambda x, w: np.nansum(x, 0), "bottleneck nansum", lambda x, w: bn.nansum(x, 0)),
    "min": Way(lambda x, w: np.nanmin(x, 0), "bottleneck nanmin", lambda x, w: bn.nanmin(x, 0)),
    "max": Way(lambda x, w: np.nanmax(x, 0), "bottleneck nanmax", lambda x, w: bn.nanmax(x, 0)),
    "std": Way(lambda x, w: np.nanstd(x, 0), "bottleneck nanstd", lambda x, w: bn.nanstd(x, 0)),
    "var": Way(lambda x, w: np.nanvar(x, 0), "bottleneck nanvar", lambda x, w: bn.nanvar(x, 0)),
    "mad_std": Way(lambda x, w: mad_std(x, 0, ignore_nan=True)),
    "biweight": Way(lambda x, w: biweight_location(x, c=C, axis=0, ignore_nan=True)),
    "quantile": Way(lambda x, w: np.nanquantile(x, Q, 0), "numpy quantile", lambda x, w: np.quantile(x, Q, 0)),
    "geometric_mean": Way(lambda x, w: np.exp(np.nanmean(np.log(x), 0))),
    "mode": Way(lambda x, w: half_sample_mode(x)),
    "adaptive": Way(lambda x, w: adaptive(x)),
    "first": Way(lambda x, w: outermost(x)),
    "last": Way(lambda x, w: outermost(x[::-1])),
    "ivar": Way(lambda x, w: np.nanmean(x, 0)),  # of equal errors
    "count": Way(lambda x, w: np.isfinite(x).sum(0), "numpy isfinite, sum", lambda x, w: np.isfinite(x).sum(0)),
    "mean, weights": Way(
        lambda x, w: np.nansum(w[:, None] * x, 0) / (w @ np.isfinite(x)),
        "numpy average",
        lambda x, w: np.average(x, 0, w.astype(x.dtype)),
    ),
    "sum, weights": Way(lambda x, w: np.nansum(w[:, None] * x, 0), "numpy matmul", lambda x, w: w.astype(x.dtype) @ x),
    # NumPy's own functions take 300 ns a sample; one of them is a row of `jobs`
    "median, weights": Way(lambda x, w: weighted_quantile(x, w, 0.5)),
    "quantile, weights": Way(lambda x, w: weighted_quantile(x, w, Q)),
}
OWN = {"quantile": Q, "biweight": C}  # arguments
COMBINATIONS = {m: Combine(m, argument=OWN.get(m, 0.0)) for m in METHODS} | {
    f"{m}, weights": Combine(m, True, OWN.get(m, 0.0)) for m, row in METHODS.items() if row.weighted
}


def combination(name: str, x: Array, w: Array, threads: int = 1, engine: str = "numba") -> Job:
    """A combination, with a weight ``w`` for each frame if its name says so."""
    way, end = WAYS[name], COMBINATIONS[name]
    ours = run(Chain((), (end,)), x, w[:, None] if end.weighted else ONE, threads=threads, engine=engine)
    theirs = partial(way.fast, x, w) if way.fast else None
    return Job(name, x.size, ours, way.peer, theirs, pair=twin(ours, x, lambda few: way.slow(few, w)))


def without_extrema(x: Array) -> Array:
    """The samples with the lowest and the two highest NaN, equal ones in frame order."""
    rank = np.argsort(np.argsort(x, 0, kind="stable"), 0)
    return np.where((rank < 1) | (rank >= np.isfinite(x).sum(0) - 2), np.nan, x)


def sigma(by_mean: bool, by_mad: bool, maxiters: int) -> Sigma:
    """A clip at 3 deviations."""
    return Sigma(ClipOptions(float(by_mean), float(by_mad), 3.0, 3.0, maxiters=float(maxiters)))


CLIPS: dict[str, tuple[Step, Callable[[Array], Array]]] = {
    "sigma": (sigma(False, False, -1), clipped),
    "sigma by mad_std": (sigma(False, True, -1), partial(clipped, by_mad=True)),
    "sigma about the mean, once": (
        sigma(True, False, 1),
        lambda x: sigma_clip(x, 3, maxiters=1, axis=0, masked=False, cenfunc="mean"),
    ),
    "extrema": (Extrema(1, 2), without_extrema),
    "range": (Range(980, 1020), lambda x: np.where((x >= 980) & (x <= 1020), x, np.nan)),
}
ENDS = {"alone": (), "mean": (Combine("mean"),)}


def clip(name: str, end: str, x: Array, threads: int = 1, engine: str = "numba") -> Job:
    """A clip, alone or followed by a mean."""
    step, slow = CLIPS[name]
    ours = run(Chain((step,), ENDS[end]), x, threads=threads, engine=engine)
    right = slow if end == "alone" else lambda few: np.nanmean(slow(few), 0)
    return Job(f"{name}, {end}", x.size, ours, pair=twin(ours, x, right))


def main() -> None:
    args = parser(__doc__, size=128).parse_args()
    warnings.simplefilter("ignore")
    x = samples(args.frames, args.size)
    w = weights(args.frames)
    for engine in ("numba", "numpy"):
        print(f"{engine}: {args.frames} x {args.size} x {args.size} float32")
        jobs = [combination(name, x, w, engine=engine) for name in COMBINATIONS]
        for job in jobs + [clip(name, end, x, engine=engine) for name in CLIPS for end in ENDS]:
            job.check()
            print(f"  {job.name:<34}{1e9 * median(job.time(args.repeats)[0]) / x.size:8.2f} ns a sample", flush=True)


if __name__ == "__main__":
    main()
