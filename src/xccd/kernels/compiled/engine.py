"""The numba engine: kernels on some thousand pixels of a stack, with their scratch and networks.

Every function takes the whole stack ``x`` as (frames, pixels), C-contiguous, and works on ``start <= j < stop``;
``bounds`` are (least, most, bounded): of each of these pixels the samples that are in use, ``bounded`` if that is less
than all finite ones. `xccd.kernels.plain.engine` has the same functions in NumPy.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from xccd.kernels.compiled import clip, extrema, ranks, scatter, spread, weighted_ranks
from xccd.kernels.compiled import flags as flag_kernels
from xccd.kernels.compiled import sums as sum_kernels
from xccd.kernels.compiled.block import block
from xccd.kernels.compiled.groups import program
from xccd.kernels.limits import float_dtype, limits
from xccd.kernels.network import middle_rows
from xccd.kernels.plain import engine as plain
from xccd.kernels.table import METHODS

NAME = "numba"
Bounds = tuple[Any, Any, bool]
# A kernel for each name of the table, and its option
KERNELS: dict[str, tuple[Any, float | None]] = {
    "mean": (sum_kernels.sums, 1.0),
    "sum_": (sum_kernels.sums, 0.0),
    "weighted_mean": (sum_kernels.weighted_sums, 1.0),
    "weighted_sum": (sum_kernels.weighted_sums, 0.0),
    "std": (spread.variance, 1.0),
    "var": (spread.variance, 0.0),
    "min_": (spread.extreme, 1.0),
    "max_": (spread.extreme, -1.0),
    "number": (spread.count, 0.0),
    "median": (ranks.median, 0.5),
    "mad_std": (ranks.mad_std, 0.0),
    "quantile": (ranks.quantile, None),  # the quantile
    "weighted_quantile": (weighted_ranks.weighted_quantile, None),
}
_ROWS = {row.kernel: row.rows for row in METHODS.values()} | {"weighted_quantile": "all"}
_NOTHING = np.empty((0, 9), np.uint16)
_UNTIED = np.empty(0, np.int32)
LONG = 8192  # frames from which a network is not worth its table, and NumPy sorts


@lru_cache(maxsize=64)
def _pads(dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """What sorts behind all samples, as missing ones do, and before all; 0."""
    found = limits(dtype)
    return np.array([found.behind, found.before, 0], dtype)


def sigma(x: Any, start: int, stop: int, bounds: Bounds, rule: Any, total: Any = None) -> Any:
    """Narrow the bounds by a clip, ``rule`` as `xccd.kernels.compiled.window` has it; returns how many samples survive.

    ``total`` gets their sums, if they are those that `reduce` would make, bit for bit; else NaN.
    """
    if x.shape[0] >= LONG:
        if total is not None:
            total[:] = np.nan
        return _sigma_sorted(x, start, stop, bounds, rule)
    return _sigma(x, start, stop, bounds, rule, program(x.shape[0]), total)


def _sigma(x: Any, start: int, stop: int, bounds: Bounds, rule: Any, groups: Any, total: Any = None) -> Any:
    least, most, bounded = bounds
    buffer = block(x.shape[0], x.dtype, stop - start)
    number, numbers = np.empty(stop - start, np.int32), np.zeros((7, buffer.shape[1]))
    sums = np.empty(0) if total is None else total
    low, high = clip.sigma_bounds(
        x, start, stop, least, most, bounded, number, sums, rule, groups, _pads(x.dtype), buffer, numbers
    )
    if total is not None and not _never_rounds(x.dtype, x.shape[0], low, high):
        total[:] = np.nan
    return number


def _sorted(x: Any, start: int, stop: int, bounds: Bounds) -> tuple[Any, Bounds]:
    """The samples in use as sorted floats, NaN at the end, with bounds of their own."""
    x = x[:, start:stop]
    inside = (x >= bounds[0]) & (x <= bounds[1])
    values = np.sort(np.where(inside, x, np.nan).astype(float_dtype(x.dtype), copy=False), axis=0)
    found, size = limits(values.dtype), stop - start
    return values, (np.full(size, found.least), np.full(size, found.most), False)


def _sigma_sorted(x: Any, start: int, stop: int, bounds: Bounds, rule: Any) -> Any:
    values, (least, most, bounded) = _sorted(x, start, stop, bounds)
    number = _sigma(values, 0, stop - start, (least, most, bounded), rule, _NOTHING)
    found = limits(x.dtype)
    some = number > 0
    bounds[0][:], bounds[1][:] = found.behind, found.before
    bounds[0][some], bounds[1][some] = least[some], most[some]
    return number


def extreme(x: Any, start: int, stop: int, bounds: Bounds, nlow: int, nhigh: int, total: Any = None) -> Any:
    """Narrow the bounds by ranks; returns how many samples are left, and what `masked` needs where some are tied.

    ``total`` as in `sigma`. Where it is given ties are told only if the sums are not.
    """
    frames = x.shape[0]
    if frames >= LONG:
        return plain.extreme(x, start, stop, bounds, nlow, nhigh, total)
    if total is not None and _rounds(x[0, start:stop]):
        total[:] = np.nan
        total = None
    least, most, bounded = bounds
    before = least.copy(), most.copy()
    buffer = block(frames, x.dtype, stop - start)
    number, skip, keep = (np.empty(stop - start, np.int32) for _ in range(3))
    cuts = program(frames, tuple(r for r in range(frames) if r <= nlow or r >= frames - nhigh - 1))
    tied = extrema.extrema_bounds(
        x, start, stop, least, most, bounded, number, np.empty(0) if total is None else total, nlow, nhigh, cuts,
        program(frames), _pads(x.dtype), buffer, skip, keep,
    )  # fmt: skip
    if total is not None:
        some = number > 0
        if some.any() and _never_rounds(x.dtype, frames, float(least[some].min()), float(most[some].max())):
            return number, None
        total[:] = np.nan
        least[:], most[:] = before  # rare: what was tied has to be told
        return extreme(x, start, stop, bounds, nlow, nhigh)
    return number, (skip, keep) if tied else None


def masked(x: Any, start: int, stop: int, bounds: Bounds, ties: Any, out: Any, first: int) -> None:
    """Write the samples within the bounds to ``first ...`` of ``out``, NaN in place of others."""
    least, most, _ = bounds
    if ties is None:
        extrema.masked(x, start, stop, least, most, out, first)
    else:
        extrema.masked_ties(x, start, stop, least, most, *ties, out, first)


def flag(x: Any, start: int, stop: int, bounds: Bounds, ties: Any, low: int, high: int, flags: Any) -> None:
    """Set ``low`` or ``high`` in ``flags`` where a sample that has no flag is not in use any more.

    ``ties`` as `extreme` gives them; they are used up.
    """
    least, most, _ = bounds
    skip, keep = (_UNTIED, _UNTIED) if ties is None else (np.ascontiguousarray(t, np.int32) for t in ties)
    flag_kernels.flag(x, start, stop, least, most, skip, keep, low, high, flags)


def reduce(
    name: str, x: Any, start: int, stop: int, bounds: Bounds, weights: Any, q: float, ddof: int, out: Any,
    number: Any = None,
) -> int:  # fmt: skip
    """Combine into ``out``, a float64 for each pixel from ``start``; returns how many samples have an unusable weight.

    ``number`` may say how many samples each pixel has.
    """
    frames, rows = x.shape[0], _ROWS.get(name)
    groups = _NOTHING
    if rows and frames >= LONG:
        if rows == "middle" or name == "weighted_quantile":
            return plain.reduce(name, x, start, stop, bounds, weights, q, ddof, out, number)
        x, bounds = _sorted(x, start, stop, bounds)
        start, stop = 0, stop - start
    elif rows:
        groups = program(frames, middle_rows(frames) if rows == "middle" else None)
    known = number is not None
    number = number if known else np.empty(stop - start, np.int32)
    kernel, option = KERNELS[name]
    buffer = block(frames, x.dtype, stop - start) if rows else np.empty((1, sum_kernels.COLUMNS), x.dtype)
    acc = np.empty((frames + 6, buffer.shape[1]) if name == "weighted_quantile" else sum_kernels.PLACES)
    exact = _exact(x.dtype, frames, bounds)
    return int(
        kernel(
            x, start, stop, *bounds, known, number, exact, weights,
            q if option is None else option, ddof, groups, _pads(x.dtype), buffer, acc, out,
        )
    )  # fmt: skip


def weighted_error(x: Any, start: int, stop: int, bounds: Bounds, weights: Any, out: Any) -> Any:
    """The error of the weighted mean into ``out``; returns the whole weight of each pixel."""
    whole = np.empty(stop - start)
    scatter.weighted_error(x, start, stop, *bounds[:2], weights, np.empty(scatter.PLACES), whole, out)
    return whole


def _rounds(frame: Any) -> bool:
    """Whether sums of frames like this one round, as far as it alone can tell: float64, or of both signs."""
    real = frame.dtype.kind == "f"
    return bool(real and (frame.dtype.itemsize > 4 or ((frame < 0).any() and (frame > 0).any())))


def _exact(dtype: np.dtype[Any], frames: int, bounds: Bounds) -> bool:
    """Whether no sum of samples between these bounds can round."""
    low, high = (float(bounds[0].min()), float(bounds[1].max())) if bounds[2] else (-np.inf, np.inf)
    return _never_rounds(dtype, frames, low, high)


def _never_rounds(dtype: np.dtype[Any], frames: int, low: float, high: float) -> bool:
    """Whether no sum of samples from ``low`` to ``high`` rounds in float64: whole, or float32 of one sign, like size.

    The least sample, L, is a multiple of 2^-24 L or of more, so all are; their residuals about a median are of half
    that, and sums up to 2^53 of these are exact.
    """
    if dtype.kind in "iu":
        return frames < 1 << 21
    if dtype.itemsize > 4:
        return False
    return (low > 0 and high * frames < low * 2**28) or (high < 0 and -low * frames < -high * 2**28)
