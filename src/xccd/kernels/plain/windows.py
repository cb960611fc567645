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


def percentile(rows: Any, lo: Any, hi: Any, options: Any, table: Any) -> None:
    """Samples further from the median than ``low`` or ``high`` times the median, where that is above 0."""
    low, high = options[:2]
    center = medians(rows, lo, hi)
    some = np.flatnonzero((hi > lo) & (center > 0.0))
    own = center[some]
    move(rows, lo, hi, some, lambda v, i: own[i] - v > low * own[i], lambda v, i: v - own[i] > high * own[i])
