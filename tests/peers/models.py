"""What other programs do in their own way, as small models: they explain columns in which survivors differ from ours.

Each takes a column of samples in frame order and gives its survivors, by position.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Judge = Callable[[np.ndarray], tuple[Any, float]]  # samples to their centre (for each of them) and deviation


def siril(x: np.ndarray, low: float, high: float, judge: Judge, in_order: bool = False) -> np.ndarray:
    """Siril's passes: they stop early, to keep four samples.

    A sample goes only while the samples at the start of this pass, less all that went until now, are more than four.
    What earlier passes rejected is subtracted twice. Samples are gone through one by one: in frame order, or with
    ``in_order`` from the lowest.
    """
    left = np.argsort(x, kind="stable") if in_order else np.arange(x.size)
    gone = 0
    while True:
        centre, s = judge(x[left])
        residuals = x[left] - centre
        goes = np.zeros(left.size, bool)
        for i in np.flatnonzero((residuals < -low * s) | (residuals > high * s)):
            if left.size - gone > 4:
                goes[i] = True
                gone += 1
        left = left[~goes]
        if not goes.any() or left.size <= 3:
            return left


def about_median(x: np.ndarray) -> tuple[float, float]:
    return np.median(x), x.std(ddof=1)


def mad(x: np.ndarray, axis: int) -> np.ndarray:
    return np.nanmedian(np.abs(x - np.nanmedian(x, axis=axis, keepdims=True)), axis=axis)


def about_median_by_mad(x: np.ndarray) -> tuple[float, float]:
    return np.median(x), mad(x, 0)


def winsorized(x: np.ndarray) -> tuple[float, float]:
    m, s, t = np.median(x), x.std(ddof=1), x
    for _ in range(200):
        t, before = np.clip(t, m - 1.5 * s, m + 1.5 * s), s
        s = 1.134 * t.std(ddof=1)
        if abs(s - before) <= 5e-4 * before:
            break
    return m, s


def line_of(frames: int) -> Judge:
    """A line through sorted samples by the mean and the variance of all ranks, in later passes too."""
    ranks = np.arange(frames)
    middle, spread = ranks.mean(), ranks.var()

    def judge(x: np.ndarray) -> tuple[np.ndarray, float]:
        left = np.arange(x.size)
        slope = ((left - middle) * (x - x.mean())).mean() / spread
        line = x.mean() + slope * (left - middle)
        return line, np.abs(x - line).mean()

    return judge


def gnuastro(x: np.ndarray, threshold: float, tolerance: float) -> np.ndarray:
    """gnuastro's mean is of the samples before a pass that changes the deviation by less than the tolerance."""
    left = np.arange(x.size)
    while True:
        s = x[left].std()
        keep = left[np.abs(x[left] - np.median(x[left])) <= threshold * s]
        after = x[keep].std()
        if keep.size == left.size or (s - after) < tolerance * after:
            return left
        left = keep
