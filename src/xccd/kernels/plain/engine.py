"""The NumPy engine: the functions of `compiled.engine` without numba, with the same results to the bit."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds, Request, Ties
from xccd.kernels.limits import limits
from xccd.kernels.plain import locations, maps, ranks, scatter, sums
from xccd.kernels.plain.block import missing, sort, tally
from xccd.kernels.plain.calibrate import calibrated
from xccd.kernels.plain.clip import sigma
from xccd.kernels.plain.rejections import mark, unit_squares, window
from xccd.kernels.table import REDUCTIONS

__all__ = [
    "KERNELS", "NAME", "calibrated", "extreme", "flag", "mark", "masked", "reduce", "sigma", "sigma_stored",
    "unit_squares", "window",
]  # fmt: skip

NAME = "numpy"
# The kernels of combination, by their names in the table.
KERNELS: dict[str, Any] = {
    name: getattr(module, name)
    for module in (sums, ranks, locations)
    for name in {row.kernel for row in REDUCTIONS.values()} & vars(module).keys()
}


@np.errstate(all="ignore")
def extreme(x: Any, start: int, stop: int, bounds: Bounds, nlow: int, nhigh: int, total: Any = None) -> Any:
    """Narrow the bounds by ranks; returns the per-pixel count of samples left, and `Ties`, or None if none are tied."""
    if total is not None:  # sums cost as much here as in `reduce`
        total[:] = np.nan
    least, most, bounded = bounds
    _, _, before, behind = limits(x.dtype)
    piece = x[:, start:stop]
    frames, size = piece.shape
    holes = missing(piece, least, most, bounded)
    count = np.broadcast_to(tally(holes, frames), size)
    number = np.maximum(count - nlow - nhigh, 0).astype(np.int32)
    if not number.any():
        least[:], most[:] = behind, before
        return number, None
    rows = {nlow - 1, nlow, *range(count.min() - nhigh - 1, frames - nhigh + 1)}  # next to the cuts
    block = sort(piece, holes, tuple(sorted(row for row in rows if 0 <= row < frames)))
    top = np.maximum(count - nhigh - 1, 0)  # the last row that stays
    least[:], most[:] = block.raw(nlow) + 0, block.raw(top) + 0  # + 0: no -0.0
    both = (block.raw(max(nlow, 1) - 1) == least) & (nlow > 0)
    both |= (block.raw(np.minimum(top + 1, frames - 1)) == most) & (nhigh > 0)
    none = number == 0
    least[none], most[none] = behind, before
    both &= ~none
    found = tied_samples(piece, holes, np.flatnonzero(both), nlow, nhigh, least, most) if both.any() else None
    return number, found


def tied_samples(x: Any, holes: Any, some: Any, nlow: int, nhigh: int, least: Any, most: Any) -> Ties:
    """The `Ties` of the columns ``some``: as `compiled.extrema.tied_samples`. Other columns have none."""
    frames, size = x.shape
    block = sort(x.take(some, axis=1), None if holes is None else holes[:, some])
    top = block.count - nhigh
    skip, keep = np.zeros(size, np.int64), np.full(size, frames)
    keep[some] = 0
    for k in range(frames):
        row = block.raw(k)
        skip[some] += (row == least[some]) & (k < nlow)
        keep[some] += (row == most[some]) & (k < top)
    return Ties(skip, keep)


def sigma_stored(
    x: Any, start: int, stop: int, kinds: Any, operands: Any, bounds: Bounds, options: Any, total: Any
) -> Any:  # fmt: skip
    """As `compiled.engine.sigma_stored`; here the samples are changed before they are sorted."""
    out = np.empty((x.shape[0], stop - start), operands.dtype)
    calibrated(x, start, stop, False, kinds, operands, out, 0)
    return sigma(out, 0, stop - start, bounds, options, total)


@np.errstate(all="ignore")
def masked(x: Any, start: int, stop: int, bounds: Bounds, ties: Any, out: Any, first: int) -> None:
    """Write the samples in use to columns from ``first`` on of ``out`` (frames, columns), and NaN for all others."""
    least, most, _ = bounds
    piece, to = x[:, start:stop], out[:, first : first + stop - start]
    np.copyto(to, piece, casting="unsafe")
    holes = missing(piece, least, most, True)
    if ties is not None:
        holes = tied(piece, least, most, holes, *ties)
    if holes is not None:
        np.copyto(to, np.nan, where=holes)


def tied(x: Any, least: Any, most: Any, holes: Any, skip: Any, keep: Any) -> Any:
    """The mask of missing samples, and of the samples at the bounds that ``skip`` and ``keep`` reject."""
    holes = np.zeros(x.shape, bool) if holes is None else holes
    for row, hole in zip(x, holes, strict=True):
        top, bottom = ~hole & (row == most), (row == least) & (skip > 0)
        hole |= (top & (keep <= 0)) | bottom
        keep, skip = keep - top, skip - bottom
    return holes


@np.errstate(all="ignore")
def flag(x: Any, start: int, stop: int, bounds: Bounds, ties: Any, low: int, high: int, flags: Any) -> None:
    """Set ``low`` or ``high`` in ``flags`` in place, for samples without a flag that are no longer in use."""
    least, most, _ = bounds
    piece = x[:, start:stop]
    free = flags == 0
    below, above = piece < least, piece > most
    if ties is not None:
        skip, keep = ties
        for k, row in enumerate(piece):
            top, bottom = free[k] & (row == most), free[k] & (row == least) & (skip > 0)
            above[k] |= top & (keep <= 0)
            below[k] |= bottom
            keep, skip = keep - top, skip - bottom
    np.copyto(flags, high, where=free & above)
    np.copyto(flags, low, where=free & below)


@np.errstate(all="ignore")
def reduce(
    name: str, x: Any, start: int, stop: int, bounds: Bounds, weights: Any, argument: float, ddof: int, out: Any,
    count: Any = None,
) -> int:  # fmt: skip
    """Combine into ``out``, a float for each pixel; returns the count of samples with an unusable weight.

    The per-pixel ``count`` is not used: it would save nothing here.
    """
    piece, row = x[:, start:stop], REDUCTIONS[name]
    request = Request(weights, argument if row.mode is None else row.mode, ddof)
    return int(KERNELS[row.kernel](piece, missing(piece, *bounds), request, out) or 0)


def weighted_error(x: Any, start: int, stop: int, bounds: Bounds, weights: Any, out: Any) -> Any:
    """As `compiled.engine.weighted_error`."""
    x = x[:, start:stop]
    with np.errstate(all="ignore"):
        w = np.where((x >= bounds.least) & (x <= bounds.most), weights, 0.0)
        total = w.sum(0)
        h = w / total
        x = np.where(w > 0, x, 0.0).astype(np.float64, copy=False)
        square = (x - (h * x).sum(0)) ** 2
        a = h * h / (1 - 2 * h)
        unbiased = (a * square).sum(0) / (1 + a.sum(0))
        lopsided = (h * h * square / (1 - h)).sum(0)
        out[:] = np.sqrt(np.where(h.max(0) < 0.5, unbiased, lopsided))
    return total


def error_sums(
    x: Any, start: int, stop: int, bounds: Bounds, weights: Any, factors: Any, errors: Any, common: Any, ranks: bool
) -> tuple[Any, int]:  # fmt: skip
    """As `compiled.engine.error_sums`."""
    found = np.empty((6, stop - start))
    with np.errstate(all="ignore"):
        given = weights, factors, errors, common
        return found, scatter.error_sums(x[:, start:stop], bounds.least, bounds.most, *given, ranks, found)


@np.errstate(all="ignore")
def survey(
    x: Any, start: int, stop: int, bounds: Bounds, before: Bounds | None, count: Any, total: Any, ddof: int,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    """As `compiled.engine.survey`."""
    piece, size = x[:, start:stop], stop - start
    found = np.empty(0) if total is None else maps.spread(piece, bounds, count, total, ddof)
    low, high = np.empty((2, size if before is not None else 0), np.int32)
    by_frame = np.zeros((2, x.shape[0]), np.int64)
    if before is not None:
        maps.sides(piece, bounds, before, count, low, high, by_frame)
    return found, low, high, by_frame


def median_and_mad(x: Any, start: int, stop: int, bounds: Bounds) -> tuple[Any, Any]:
    """As `compiled.engine.median_and_mad`."""
    center, mad = np.empty((2, stop - start))
    for name, out in (("median", center), ("mad_std", mad)):
        reduce(name, x, start, stop, bounds, np.ones((1, 1)), 0.0, 0, out)
    return center, mad


@np.errstate(all="ignore")
def own_errors(
    x: Any, start: int, stop: int, bounds: Bounds, errors: Any, at: int, ranks: bool
) -> tuple[Any, Any, int]:  # fmt: skip
    """As `compiled.engine.own_errors`."""
    squared, inverse = np.empty((2, stop - start))
    piece = errors[:, at : at + stop - start]
    return squared, inverse, maps.own_errors(x[:, start:stop], bounds, piece, ranks, squared, inverse)
