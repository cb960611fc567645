"""Rejections whose survivors are a window of the sorted column: as `compiled.windows`.

A rule is given ``rows`` (frames, pixels) of sorted float64, the windows ``lo <= k < hi`` of their samples (int64),
which it narrows in place, the numbers of the rejection's options (low and high first), and its table.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xccd.kernels.plain.block import middle


def at(rows: Any, k: Any, columns: Any = None) -> Any:
    """Row ``k[c]`` of column c, for all columns or some; the nearest row where there is no such one."""
    columns = np.arange(rows.shape[1]) if columns is None else columns
    return rows[np.clip(k, 0, len(rows) - 1), columns]


def medians(rows: Any, lo: Any, hi: Any, columns: Any = None) -> Any:
    """The median of each window."""
    n = hi - lo
    return middle(at(rows, lo + (n - 1) // 2, columns), at(rows, lo + n // 2, columns))


def move(rows: Any, lo: Any, hi: Any, columns: Any, is_low: Callable[..., Any], is_high: Callable[..., Any]) -> None:
    """Move the ends of the windows of ``columns`` inwards in place, while the samples there are outside.

    The functions take the sample and the columns, as indices of ``columns``.
    """
    for ends, step, is_out in ((lo, 1, is_low), (hi, -1, is_high)):
        some = np.arange(columns.size)
        while some.size:
            own = columns[some]
            inside = lo[own] < hi[own]
            value = at(rows, ends[own] if step > 0 else ends[own] - 1, own)
            some = some[inside & is_out(value, some)]
            ends[columns[some]] += step


def with_equals(rows: Any, number: Any, lo: Any, hi: Any) -> None:
    """Widen windows in place by samples that equal their ends: as `compiled.columns.with_equals`."""
    some = np.flatnonzero((lo < hi) & (lo > 0))
    while some.size:
        some = some[(lo[some] > 0) & (at(rows, lo[some] - 1, some) == at(rows, lo[some], some))]
        lo[some] -= 1
    some = np.flatnonzero((lo < hi) & (hi < number))
    while some.size:
        some = some[(hi[some] < number[some]) & (at(rows, hi[some], some) == at(rows, hi[some] - 1, some))]
        hi[some] += 1


def put_back(
    rows: Any, old_lo: Any, old_hi: Any, lo: Any, hi: Any, columns: Any, center: Any, nkeep: float
) -> None:  # fmt: skip
    """Put rejected samples back into the windows of ``columns``: as `compiled.window.put_back`.

    The old windows and the centres are of these columns alone.
    """
    edge, some = np.full(columns.size, -1.0), np.flatnonzero(hi[columns] - lo[columns] < nkeep)
    while some.size:
        own = columns[some]
        a, b = lo[own], hi[own]
        left, right = a > old_lo[some], b < old_hi[some]
        below = np.where(left, center[some] - at(rows, a - 1, own), np.inf)
        above = np.where(right, at(rows, b, own) - center[some], np.inf)
        near = np.minimum(below, above)
        go = (left | right) & ((b - a < nkeep) | (near == edge[some]))
        down = left & ((below <= above) | ~right)
        edge[some] = near
        lo[own] -= go & down
        hi[own] += go & ~down
        some = some[go]


def percentile(rows: Any, lo: Any, hi: Any, options: Any, table: Any) -> None:
    """Samples further from the median than ``low`` or ``high`` times the median, where that is above 0."""
    low, high = options[:2]
    center = medians(rows, lo, hi)
    some = np.flatnonzero((hi > lo) & (center > 0.0))
    own = center[some]
    move(rows, lo, hi, some, lambda v, i: own[i] - v > low * own[i], lambda v, i: v - own[i] > high * own[i])


def sums(rows: Any, lo: Any, hi: Any, columns: Any, base: Any) -> tuple[Any, Any]:
    """The sum and the sum of squares of each window about ``base``, added in the order of the rows."""
    s1, s2 = np.zeros((2, columns.size))
    for k in range((hi - lo).max(initial=0)):
        y = np.where(lo + k < hi, at(rows, lo + k, columns) - base, 0.0)
        s1 += y
        s2 += y * y
    return s1, s2


def means(rows: Any, lo: Any, hi: Any, columns: Any, trim: bool) -> Any:
    """The mean of each window, added up about the median; without one sample at each end if ``trim``."""
    med = medians(rows, lo, hi, columns)
    cut = np.where((hi - lo >= 3) & trim, 1, 0)
    total, _ = sums(rows, lo + cut, hi - cut, columns, med)
    return med + total / (hi - lo - 2 * cut)


def percentile_rank(rows: Any, lo: Any, hi: Any, options: Any, table: Any) -> None:
    """Samples at least ``low`` or ``high`` times as far from the median as the one some ranks away; one pass."""
    low, high, ranks, nkeep = options
    half = len(rows) // 2
    away = int(ranks * half) if abs(ranks) < 1 else int(ranks)
    size = max(1, min(abs(away), half))
    n = hi - lo
    center = medians(rows, lo, hi)
    k = (n - 1) // 2 - size if ranks < 0.0 else n // 2 + size
    s = np.abs(at(rows, lo + np.clip(k, 0, n - 1)) - center)
    some = np.flatnonzero((n >= 3) & (n > nkeep) & (s > 0.0))
    own, s, first, last = center[some], s[some], lo[some], hi[some]
    move(
        rows, lo, hi, some,
        lambda v, i: (v < own[i]) & (own[i] - v >= low * s[i]),
        lambda v, i: (v > own[i]) & (v - own[i] >= high * s[i]),
    )  # fmt: skip
    put_back(rows, first, last, lo, hi, some, own, nkeep)


def noise(rows: Any, lo: Any, hi: Any, options: Any, table: Any) -> None:
    """Samples further from the centre than the noise of a CCD at that level, until none is."""
    low, high, readnoise, gain, sensitivity, by_mean, nkeep = options
    read, part = (readnoise / gain) * (readnoise / gain), sensitivity * sensitivity
    fewest = max(2.0, nkeep + 1.0)
    some = np.flatnonzero(hi - lo >= fewest)
    while some.size:
        a, b = lo[some], hi[some]
        center = means(rows, a, b, some, True) if by_mean else medians(rows, a, b, some)
        level = np.where(center > 0.0, center, 0.0)
        variance = (read + level / gain) + (part * level) * level
        _move_by_squares(rows, lo, hi, some, center, (low * low) * variance, (high * high) * variance, variance > 0.0)
        put_back(rows, a, b, lo, hi, some, center, nkeep)
        n = hi[some] - lo[some]
        some = some[(n < b - a) & (n >= fewest)]


def move_by_residuals(
    rows: Any, lo: Any, hi: Any, columns: Any, center: Any, below: Any, above: Any
) -> None:  # fmt: skip
    """Move the ends past samples whose residuals are less than ``below`` or more than ``above``."""
    move(rows, lo, hi, columns, lambda v, i: v - center[i] < below[i], lambda v, i: v - center[i] > above[i])


def _move_by_squares(
    rows: Any, lo: Any, hi: Any, columns: Any, center: Any, below: Any, above: Any, judged: Any
) -> None:  # fmt: skip
    """Move the ends past samples whose squared residuals are more than ``below`` and ``above``."""

    def is_low(value: Any, i: Any) -> Any:
        r = value - center[i]
        return judged[i] & (r < 0.0) & (r * r > below[i])

    def is_high(value: Any, i: Any) -> Any:
        r = value - center[i]
        return judged[i] & (r > 0.0) & (r * r > above[i])

    move(rows, lo, hi, columns, is_low, is_high)
