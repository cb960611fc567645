"""The kernel of `compiled.running` in NumPy: all pixels of a piece at a time, with the same results."""

from __future__ import annotations

from typing import Any

import numpy as np


def added(
    frame: Any, mean: Any, squares: Any, count: Any, low: Any, high: Any, limits: Any, least: int, floor: float,
    start: int, stop: int,
) -> tuple[int, int]:  # fmt: skip
    """Add the pixels ``start <= j < stop`` of a frame; returns the counts of its valid and of its rejected samples."""
    here = slice(start, stop)
    with np.errstate(all="ignore"):
        value, n = frame[here].astype(np.float64), count[here].copy()
        there = np.isfinite(value)
        d = value - mean[here]
        below = d < 0.0
        old, rounding = squares[here], floor * (n - 1)
        known = n >= least
        bound = limits[np.where(below, 0, 1), np.where(known, n, 0)] * np.where(old > rounding, old, rounding)
        out = there & known & (d * d > bound)
        moved = mean[here] + d / (n + 1)
        more = old + d * (value - moved)
    use = there & ~out
    mean[here] = np.where(use, moved, mean[here])
    squares[here] = np.where(use, more, old)
    count[here] += use
    low[here] += out & below
    high[here] += out & ~below
    return int(np.count_nonzero(there)), int(np.count_nonzero(out))
