"""Combination by rank in NumPy: twins of `compiled.ranks` and `compiled.weighted_ranks`."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Request
from xccd.kernels.limits import HUGE, MAD_TO_STD
from xccd.kernels.plain.block import Block, middle, sort, tally
from xccd.kernels.plain.clip import gather, median_distance, median_nearest
from xccd.kernels.plain.sums import usable


def median(x: Any, holes: Any, request: Request, out: Any) -> None:
    """The middle sample. For an even count the mean of the two middle ones, or with ``mode`` 0 the lower one."""
    frames = x.shape[0]
    if holes is None and frames % 2:
        # the network is pruned to the one row that is needed
        out[:] = sort(x, None, (frames // 2,)).raw(frames // 2) + 0  # + 0: no -0.0
        return
    n = tally(holes, frames)
    fewest = frames if holes is None else n.min(initial=frames, where=n > 0)
    # missing samples sort last, so a pixel with fewer samples has its middle in a lower row
    block = sort(x, holes, tuple(range((fewest - 1) // 2, frames // 2 + 1)))
    lower = block.row((n - 1) // 2)
    out[:] = middle(lower, block.row(n // 2)) if request.mode else lower
    if holes is not None:
        out[n == 0] = np.nan


def quantile(x: Any, holes: Any, request: Request, out: Any) -> None:
    """The quantile ``mode`` by NumPy's method "linear"."""
    block = sort(x, holes)
    n = np.asarray(block.count)
    rank = request.mode * (n - 1)
    k = rank.astype(np.int64)
    t = rank - k
    low, high = block.row(k), block.row(np.minimum(k + 1, n - 1))
    # from the nearer end, as NumPy does: monotonic in q, exact at both ends
    out[:] = np.where(t < 0.5, low + (high - low) * t, high - (high - low) * (1.0 - t))
    if holes is not None:
        out[n == 0] = np.nan


def medians(x: Any, holes: Any) -> tuple[Block, Any, Any]:
    """The sorted block, the median of each column, and its MAD; NaN for a column without samples."""
    block = sort(x, holes)
    n = block.count
    center = middle(block.row((n - 1) // 2), block.row(n // 2))
    if holes is None:
        rest = np.empty(x.shape)
        for k, row in enumerate(rest):
            np.subtract(block.row(k), center, out=row)
        return block, center, median_nearest(rest) + 0.0
    samples, first = gather(block, np.arange(x.shape[1]))
    distance = median_distance(samples, first, first + n, center) + 0.0
    return block, center, np.where(n > 0, distance, np.nan)


def mad_std(x: Any, holes: Any, request: Request, out: Any) -> None:
    """Median absolute deviation from the median (MAD), scaled to the sigma of normal noise."""
    _, _, mad = medians(x, holes)
    out[:] = MAD_TO_STD * mad


def biweight(x: Any, holes: Any, request: Request, out: Any) -> None:
    """Tukey's biweight location, one step from the median: as `compiled.ranks.biweight`."""
    block, center, mad = medians(x, holes)
    n = np.asarray(block.count)
    spread = block.row(np.maximum(n - 1, 0)) - block.row(0)
    unit = np.where((mad < HUGE) & (spread < HUGE), 1.0, 2.0**-700)
    far = np.where(mad < np.inf, request.mode * (mad * unit), 0.0)
    total, whole = np.zeros((2, x.shape[1]))
    for k in range(x.shape[0]):
        distance = block.row(k) * unit - center * unit
        near = (np.abs(distance) < far) & (k < n)
        u = distance / far
        weight = np.where(near, (1.0 - u * u) * (1.0 - u * u), 0.0)
        total += np.where(near, distance * weight, 0.0)
        whole += weight
    out[:] = np.where(whole > 0.0, center + total / whole / unit, center)
    out[n == 0] = np.nan


def weighted_quantile(x: Any, holes: Any, request: Request, out: Any) -> int:
    """The smallest value whose cumulative weight reaches ``mode`` of the total; if equal, the mean with the next value.

    Equal means within n eps W, because 0.1 + 0.2 is not 0.3.
    """
    used, bad = np.empty(x.shape), 0
    for k, (weight, unusable) in enumerate(usable(x, holes, request.weights)):
        used[k] = weight
        bad += unusable
    block = sort(x, used <= 0.0)
    n = block.count
    total = weight_up_to(x, used, None)
    target, slack = request.mode * total, n * np.finfo(np.float64).eps * total
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
    """The sum of the weights of samples up to ``value``, for each pixel; of all samples if ``value`` is None."""
    total = np.zeros(x.shape[1])
    for row, weight in zip(x, used, strict=True):
        total += weight if value is None else weight * (row <= value)
    return total


def lowest_row(x: Any, used: Any, block: Any, total: Any, target: Any) -> tuple[Any, Any]:
    """The lowest sorted row whose cumulative weight reaches ``target``, and that weight. Found by halving."""
    low, high, reached = np.zeros_like(block.count), np.maximum(block.count - 1, 0), total
    while (low < high).any():
        mid = (low + high) // 2
        found = weight_up_to(x, used, block.raw(mid))
        enough = found >= target
        reached = np.where((low < high) & enough, found, reached)
        low, high = np.where((low < high) & ~enough, mid + 1, low), np.where(enough, mid, high)
    return low, reached
