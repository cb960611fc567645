"""Rejections that take out one worst sample at a time, from either end of the sorted column: as `compiled.one_by_one`.

Of two that are equally far the upper one goes first, so that the order of frames plays no role.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.plain.windows import at, medians, sums

FEWEST = 3


def esd(rows: Any, lo: Any, hi: Any, options: Any, table: Any) -> None:
    """Generalised ESD: samples are taken out up to a count; those up to the last one beyond its lambda are rejected."""
    peel(rows, lo, hi, table[1], table[0][hi - lo], stops=False)


def chauvenet(rows: Any, lo: Any, hi: Any, options: Any, table: Any) -> None:
    """Chauvenet's criterion: the worst sample while fewer than ``limit`` such ones are to be expected."""
    if options[3]:
        peel_robust(rows, lo, hi, table[1])
    else:
        peel(rows, lo, hi, table[1], hi - lo, stops=True)


def peel(rows: Any, lo: Any, hi: Any, squares: Any, most: Any, stops: bool) -> None:
    """Narrow the windows: as `compiled.one_by_one.peel`."""
    left, right = lo.copy(), hi.copy()  # of what is left; ``lo`` and ``hi`` follow where a sample was beyond
    origin, s1, s2, whole = np.zeros((4, lo.size))
    stale = np.ones(lo.size, bool)
    some, taken = np.arange(lo.size), 0
    while some.size:
        some = some[(right[some] - left[some] >= FEWEST) & (taken < most[some])]
        new = some[stale[some]]
        origin[new] = medians(rows, left[new], right[new], new)
        s1[new], s2[new] = sums(rows, left[new], right[new], new, origin[new])
        whole[new] = s2[new]
        n = right[some] - left[some]
        m = n.astype(np.float64)
        a, b = s1[some], s2[some]
        scatter = m * b - a * a
        first, last = at(rows, left[some], some) - origin[some], at(rows, right[some] - 1, some) - origin[some]
        below, above = a - m * first, m * last - a
        upper = above >= below
        r = np.where(upper, above, below)
        far = r * r * (m - 1.0) > squares[n] * m * scatter
        go = (scatter > 0.0) & (far | (not stops))
        some, far, upper, m = some[go], far[go], upper[go], m[go] - 1.0
        y = np.where(upper, last[go], first[go])
        s1[some] -= y
        s2[some] -= y * y
        right[some] -= upper
        left[some] += ~upper
        beyond = some[far]
        lo[beyond], hi[beyond] = left[beyond], right[beyond]
        a, b = s1[some], s2[some]
        stale[some] = ~((64.0 * b > whole[some]) & (64.0 * (m * b - a * a) > m * b))
        taken += 1


def peel_robust(rows: Any, lo: Any, hi: Any, squares: Any) -> None:
    """As `peel` with ``stops``, about the median, with the distance that 68.3 % of the samples do not exceed."""
    some = np.arange(lo.size)
    k = np.arange(len(rows))[:, None]
    while some.size:
        some = some[hi[some] - lo[some] >= FEWEST]
        a, b = lo[some], hi[some]
        n = b - a
        center = medians(rows, a, b, some)
        distance = np.where((k >= a) & (k < b), np.abs(rows[:, some] - center), np.inf)
        s = at(np.sort(distance, axis=0), np.ceil(0.683 * (n - 1)).astype(np.int64), np.arange(some.size))
        below, above = center - at(rows, a, some), at(rows, b - 1, some) - center
        upper = above >= below
        r = np.where(upper, above, below)
        go = (s > 0.0) & (r * r > squares[n] * (s * s))
        some, upper = some[go], upper[go]
        hi[some] -= upper
        lo[some] += ~upper
