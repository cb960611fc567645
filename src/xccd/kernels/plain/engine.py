"""The NumPy engine: the functions of `compiled.engine` where numba cannot be imported, and the same results.

Here is what ranks give; below it, from the bottom up: `block` (pixels as sorted columns), `clip` and
`sums`, whose first lines say what a kernel of combination takes.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.limits import MAD_TO_STD, limits
from xccd.kernels.plain import sums
from xccd.kernels.plain.block import middle, missing, sort, tally
from xccd.kernels.plain.clip import gather, median_distance, median_nearest, sigma

__all__ = ["KERNELS", "NAME", "extreme", "flag", "masked", "reduce", "sigma"]

NAME = "numpy"
Bounds = tuple[Any, Any, bool]


@np.errstate(all="ignore")
def extreme(x: Any, start: int, stop: int, bounds: Bounds, nlow: int, nhigh: int, total: Any = None) -> Any:
    """Narrow the bounds by ranks; returns how many samples are left, and what `masked` needs where some are tied."""
    if total is not None:  # which takes no less than `reduce` here
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
    return number, ties(piece, holes, np.flatnonzero(both), nlow, nhigh, least, most) if both.any() else None


def ties(x: Any, holes: Any, some: Any, nlow: int, nhigh: int, least: Any, most: Any) -> tuple[Any, Any]:
    """Of some columns how many of the lowest equal the lower bound, and how many up to the upper bound equal that."""
    frames, size = x.shape
    block = sort(x.take(some, axis=1), None if holes is None else holes[:, some])
    top = block.count - nhigh
    skip, keep = np.zeros(size, np.int64), np.full(size, frames)
    keep[some] = 0
    for k in range(frames):
        row = block.raw(k)
        skip[some] += (row == least[some]) & (k < nlow)
        keep[some] += (row == most[some]) & (k < top)
    return skip, keep


@np.errstate(all="ignore")
def masked(x: Any, start: int, stop: int, bounds: Bounds, ties: Any, out: Any, first: int) -> None:
    """Write the samples within the bounds to ``first ...`` of ``out``, NaN in place of others."""
    least, most, _ = bounds
    piece, to = x[:, start:stop], out[:, first : first + stop - start]
    np.copyto(to, piece, casting="unsafe")
    holes = missing(piece, least, most, True)
    if ties is not None:
        holes = tied(piece, least, most, holes, *ties)
    if holes is not None:
        np.copyto(to, np.nan, where=holes)


def tied(x: Any, least: Any, most: Any, holes: Any, skip: Any, keep: Any) -> Any:
    """What `masked` leaves out if of the samples at the least the first ``skip`` go, at the most ``keep`` stay."""
    holes = np.zeros(x.shape, bool) if holes is None else holes
    for row, hole in zip(x, holes, strict=True):
        top, bottom = ~hole & (row == most), (row == least) & (skip > 0)
        hole |= (top & (keep <= 0)) | bottom
        keep, skip = keep - top, skip - bottom
    return holes


@np.errstate(all="ignore")
def flag(x: Any, start: int, stop: int, bounds: Bounds, ties: Any, low: int, high: int, flags: Any) -> None:
    """Set ``low`` or ``high`` in ``flags`` where a sample that has no flag is not in use any more."""
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
    name: str, x: Any, start: int, stop: int, bounds: Bounds, weights: Any, q: float, ddof: int, out: Any,
    number: Any = None,
) -> int:  # fmt: skip
    """Combine into ``out``, one value a pixel from ``start``; returns how many samples have an unusable weight.

    ``number``, how many samples each pixel has, saves nothing here.
    """
    piece = x[:, start:stop]
    return int(KERNELS[name](piece, missing(piece, *bounds), weights, q, ddof, out) or 0)


def weighted_error(x: Any, start: int, stop: int, bounds: Bounds, weights: Any, out: Any) -> Any:
    """As `compiled.engine.weighted_error`."""
    x = x[:, start:stop]
    with np.errstate(all="ignore"):
        w = np.where((x >= bounds[0]) & (x <= bounds[1]), weights, 0.0)
        total = w.sum(0)
        h = w / total
        x = np.where(w > 0, x, 0.0).astype(np.float64, copy=False)
        square = (x - (h * x).sum(0)) ** 2
        a = h * h / (1 - 2 * h)
        unbiased = (a * square).sum(0) / (1 + a.sum(0))
        lopsided = (h * h * square / (1 - h)).sum(0)
        out[:] = np.sqrt(np.where(h.max(0) < 0.5, unbiased, lopsided))
    return total


def median(x: Any, holes: Any, weights: Any, q: float, ddof: int, out: Any) -> None:
    """The middle, or the mean of the two middle ones."""
    frames = x.shape[0]
    if holes is None and frames % 2:
        out[:] = sort(x, None, (frames // 2,)).raw(frames // 2) + 0  # + 0: no -0.0
        return
    n = tally(holes, frames)
    fewest = frames if holes is None else n.min(initial=frames, where=n > 0)
    # missing samples are last, so the fewer are left of a pixel the lower is its middle
    block = sort(x, holes, tuple(range((fewest - 1) // 2, frames // 2 + 1)))
    out[:] = middle(block.row((n - 1) // 2), block.row(n // 2))
    if holes is not None:
        out[n == 0] = np.nan


def quantile(x: Any, holes: Any, weights: Any, q: float, ddof: int, out: Any) -> None:
    """NumPy's "linear"."""
    block = sort(x, holes)
    n = np.asarray(block.count)
    rank = q * (n - 1)
    k = rank.astype(np.int64)
    t = rank - k
    low, high = block.row(k), block.row(np.minimum(k + 1, n - 1))
    # from the nearer end, as NumPy does: monotonic in q, exact at both ends
    out[:] = np.where(t < 0.5, low + (high - low) * t, high - (high - low) * (1.0 - t))
    if holes is not None:
        out[n == 0] = np.nan


def mad_std(x: Any, holes: Any, weights: Any, q: float, ddof: int, out: Any) -> None:
    """Median absolute deviation from the median, as the sigma of normal noise."""
    block = sort(x, holes)
    n = block.count
    center = middle(block.row((n - 1) // 2), block.row(n // 2))
    if holes is None:
        rest = np.empty(x.shape)
        for k, row in enumerate(rest):
            np.subtract(block.row(k), center, out=row)
        out[:] = MAD_TO_STD * median_nearest(rest) + 0.0
        return
    samples, first = gather(block, np.arange(x.shape[1]))
    distance = median_distance(samples, first, first + n, center)
    out[:] = np.where(n > 0, MAD_TO_STD * distance + 0.0, np.nan)


def weighted_quantile(x: Any, holes: Any, weights: Any, q: float, ddof: int, out: Any) -> int:
    """The smallest value whose cumulative weight reaches ``q W``, the mean with the next where equal.

    Equal means within n eps W: 0.1 + 0.2 is not 0.3.
    """
    used, bad = np.empty(x.shape), 0
    for k, (weight, unusable) in enumerate(sums.usable(x, holes, weights)):
        used[k] = weight
        bad += unusable
    block = sort(x, used <= 0.0)
    n = block.count
    total = weight_up_to(x, used, None)
    target, slack = q * total, n * np.finfo(np.float64).eps * total
    k, reached = lowest_row(x, used, block, total, target - slack)
    following, value = k.copy(), block.raw(k)
    some = np.flatnonzero(np.abs(reached - target) <= slack)
    while some.size:
        some = some[following[some] < n[some] - 1]
        some = some[block.raw(following[some], some) == value[some]]
        following[some] += 1
    out[:] = np.where(n > 0, middle(block.row(k), block.row(following)), np.nan)
    return bad


def weight_up_to(x: Any, used: Any, value: Any) -> Any:
    """Sum of the weights of the samples up to ``value``, pixel by pixel; of all with None."""
    total = np.zeros(x.shape[1])
    for row, weight in zip(x, used, strict=True):
        total += weight if value is None else weight * (row <= value)
    return total


def lowest_row(x: Any, used: Any, block: Any, total: Any, target: Any) -> tuple[Any, Any]:
    """The lowest sorted row up to which the weights reach the target, and their sum up to it; by halving."""
    low, high, reached = np.zeros_like(block.count), np.maximum(block.count - 1, 0), total
    while (low < high).any():
        mid = (low + high) // 2
        found = weight_up_to(x, used, block.raw(mid))
        enough = found >= target
        reached = np.where((low < high) & enough, found, reached)
        low, high = np.where((low < high) & ~enough, mid + 1, low), np.where(enough, mid, high)
    return low, reached


_HERE = (median, quantile, mad_std, weighted_quantile)
KERNELS = {kernel.__name__: kernel for kernel in (*_HERE, *sums.KERNELS)}
