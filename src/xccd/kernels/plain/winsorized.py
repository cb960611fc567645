"""Winsorized clip: as `compiled.winsorized`."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.plain.windows import at, medians, move_by_residuals

PULL, RAISE, STEADY, ROUNDS = 1.5, 1.134, 5e-4, 50
LEAST = 1e-6  # the default floor, in parts of the median or the deviation
FEWEST = 4


def winsorized(rows: Any, lo: Any, hi: Any, options: Any, table: Any) -> None:
    """Samples far from the median in winsorized deviations, until none is. ``floor`` below 0 is the default one."""
    low, high, floor = options
    some = np.flatnonzero(hi - lo >= FEWEST)
    while some.size:
        n = hi[some] - lo[some]
        center, s = deviations(rows, lo[some], hi[some], some, floor)
        judged = s > 0.0
        move_by_residuals(
            rows, lo, hi, some, center, np.where(judged, -low * s, -np.inf), np.where(judged, high * s, np.inf)
        )
        left = hi[some] - lo[some]
        some = some[(left < n) & (left >= FEWEST)]


def deviations(rows: Any, lo: Any, hi: Any, columns: Any, floor: float) -> tuple[Any, Any]:
    """Median and winsorized deviation of each window. A column whose deviation is steady keeps it."""
    med, m = medians(rows, lo, hi, columns), (hi - lo).astype(np.float64)
    residuals = [at(rows, lo + k, columns) - med for k in range((hi - lo).max(initial=0))]
    s = least = np.zeros(columns.size)
    h, go = np.full(columns.size, np.inf), np.arange(columns.size)
    for rounds in range(ROUNDS + 1):
        s1, s2 = np.zeros((2, go.size))
        for k, row in enumerate(residuals):
            r = np.where(k < m[go], np.minimum(np.maximum(row[go], -h[go]), h[go]), 0.0)
            s1 += r
            s2 += r * r
        variance = (s2 - s1 * s1 / m[go]) / (m[go] - 1.0)
        new = np.sqrt(np.where(variance > 0.0, variance, 0.0))
        if rounds == 0:
            s = new
            least = LEAST * np.maximum(np.abs(med), new) if floor < 0 else np.full(columns.size, floor)
            moving = np.ones(go.size, bool)
        else:
            moving = ~(np.abs(RAISE * new - s[go]) <= STEADY * s[go])
            s[go] = RAISE * new
        h[go] = np.minimum(PULL * s[go], h[go])
        go = go[moving]
        if not go.size:
            break
    return med, np.where(s > least, s, least)
