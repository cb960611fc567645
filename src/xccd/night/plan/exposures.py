"""Exposure times that belong together."""

from __future__ import annotations

from typing import Any

import numpy as np

ROUNDING = 1e-9  # 105 s is within 5 % of 100 s, whatever the last bit of 100 * 1.05


def alike(a: float, b: float, tolerance: float) -> bool:
    """Whether two exposure times differ by no more than this share of the shorter one."""
    return a == b or min(a, b) * (1 + tolerance) * (1 + ROUNDING) >= max(a, b) >= min(a, b) >= 0


def clusters(times: Any, tolerance: float) -> Any:
    """For each time the one that its group is called by: the most common of the group. NaN stays NaN.

    Any two times of a group are `alike`, so 100, 104 and 108 s never become one group by way of 104 s. The group of
    most frames is formed first, then that of most of the others, and so on. If two have equally many, the narrower one
    comes first, then the one of shorter times. The order of the times does not matter.
    """
    found = np.full(len(times), np.nan)
    known = np.isfinite(times)
    values, inverse, counts = np.unique(times[known], return_inverse=True, return_counts=True)
    called = np.empty(len(values))
    left = np.arange(len(values))  # values without a group, in order
    while left.size:
        v, n = values[left], np.concatenate([[0], np.cumsum(counts[left])])
        ends = np.searchsorted(v, v * (1 + tolerance) * (1 + ROUNDING), "right")
        ends = np.maximum(ends, np.arange(1, len(v) + 1))
        frames = n[ends] - n[:-1]
        best = np.flatnonzero(frames == frames.max())
        widths = v[ends[best] - 1] - v[best]
        first = int(best[np.argmin(widths)])
        own = left[first : ends[first]]
        called[own] = values[own[np.argmax(counts[own])]]
        left = np.delete(left, np.arange(first, ends[first]))
    found[known] = called[inverse]
    return found
