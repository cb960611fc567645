"""Rejections that take out one worst sample at a time, from either end of the sorted column.

Of two that are equally far the upper one goes first, so that the order of frames plays no role.
"""

import math

import numpy as np

from xccd.kernels.compiled.clip import nearest
from xccd.kernels.compiled.columns import SURE, all_medians, all_sums, median_of
from xccd.kernels.compiled.compile import inner_function, kernel

FEWEST = 3


@kernel
def esd(blocks, lo, hi, options, table):
    """Generalised ESD: samples are taken out up to a count; those up to the last one beyond its lambda are rejected."""
    width = blocks.shape[2]
    scratch, places = np.empty((5, width)), np.empty((2, width), np.int64)
    for i in range(0, lo.size, width):
        block, n = blocks[i // width], hi[i : i + width]
        beyond_once(block, n, table, scratch, places)
        for c in range(n.size):
            if scratch[0, c] > 0.0:
                most = np.int64(table[0, n[c]])
                lo[i + c], hi[i + c] = peel(block, c, lo[i + c], n[c], table[1], most, False)


@kernel
def chauvenet(blocks, lo, hi, options, table):
    """Chauvenet's criterion: the worst sample while fewer than ``limit`` such ones are to be expected."""
    robust, frames, width = options[3] > 0.0, blocks.shape[1], blocks.shape[2]
    scratch = np.empty((4, width))
    for i in range(0, lo.size, width):
        block, n = blocks[i // width], hi[i : i + width]
        med, top, s1, s2 = scratch
        all_medians(block, n, med, top)
        if robust:
            nearest(block, frames, rank_of(frames), med, s1)
        else:
            all_sums(block, n.size, med, s1, s2)
        for c in range(n.size):
            if robust:
                r = max(med[c] - block[0, c], top[c] - med[c])
                if n[c] < frames or r * r > table[1, frames] * (s1[c] * s1[c]):
                    lo[i + c], hi[i + c] = peel_robust(block, c, lo[i + c], n[c], table[1])
                continue
            m, limit = np.float64(n[c]), table[1, n[c]]
            below = s1[c] - m * (block[0, c] - med[c])
            above = m * (top[c] - med[c]) - s1[c]
            r = above if above > below else below
            if not r * r * (m - 1.0) <= SURE * limit * m * (m * s2[c] - s1[c] * s1[c]):
                lo[i + c], hi[i + c] = peel(block, c, lo[i + c], n[c], table[1], np.int64(n[c]), True)


@inner_function
def beyond_once(block, n, table, scratch, places):
    """Flag in ``scratch[0]`` the columns of which some sample may be beyond its lambda, or whose sums may be poor."""
    flag, med, top, s1, s2 = scratch
    lo, hi = places
    all_medians(block, n, med, top)
    all_sums(block, n.size, med, s1, s2)
    most = 0
    for c in range(n.size):
        flag[c], top[c] = 0.0, s2[c]
        lo[c], hi[c] = 0, n[c]
        most = max(most, np.int64(table[0, n[c]]))
    for i in range(most):
        for c in range(n.size):
            left = hi[c] - lo[c]
            m = np.float64(left)
            scatter = m * s2[c] - s1[c] * s1[c]
            first, last = block[lo[c], c] - med[c], block[hi[c] - 1 if left > 0 else 0, c] - med[c]
            below, above = s1[c] - m * first, m * last - s1[c]
            upper = above >= below
            r, y = (above, last) if upper else (below, first)
            far = not r * r * (m - 1.0) <= SURE * table[1, left] * m * scatter
            poor = not (64.0 * s2[c] > top[c] and 64.0 * scatter > m * s2[c])
            goes = i < table[0, n[c]] and left >= FEWEST
            flag[c] = 1.0 if goes and (far or poor) else flag[c]
            s1[c] -= y
            s2[c] -= y * y
            step = 1 if goes else 0
            hi[c] -= step if upper else 0
            lo[c] += 0 if upper else step


@inner_function
def peel(block, c, lo, hi, squares, most, stops):
    """The window ``(lo, hi)`` left after at most ``most`` samples were taken out, each the farthest from the mean.

    A sample is beyond if its distance in deviations (ddof 1) has a square above ``squares[n]``. With ``stops`` the
    first one that is not ends it, else the window after the last one that is counts. Both sides of the comparison are
    multiplied out, and the sums follow what is left: they are computed again if less than 1/64 of them is.
    """
    best_lo, best_hi = lo, hi
    origin, s1, s2, whole, stale = 0.0, 0.0, 0.0, 0.0, True
    for _ in range(most):
        n = hi - lo
        if n < FEWEST:
            break
        if stale:
            origin = median_of(block, c, lo, hi)
            s1, s2 = 0.0, 0.0
            for k in range(lo, hi):
                y = block[k, c] - origin
                s1 += y
                s2 += y * y
            whole = s2
        m = np.float64(n)
        scatter = m * s2 - s1 * s1
        if not scatter > 0.0:
            break
        below = s1 - m * (block[lo, c] - origin)
        above = m * (block[hi - 1, c] - origin) - s1
        upper = above >= below
        r = above if upper else below
        far = r * r * (m - 1.0) > squares[n] * m * scatter
        if stops and not far:
            break
        y = (block[hi - 1, c] if upper else block[lo, c]) - origin
        s1 -= y
        s2 -= y * y
        hi, lo = (hi - 1, lo) if upper else (hi, lo + 1)
        if far:
            best_lo, best_hi = lo, hi
        m -= 1.0
        stale = not (64.0 * s2 > whole and 64.0 * (m * s2 - s1 * s1) > m * s2)
    return best_lo, best_hi


@inner_function
def rank_of(n):
    """The rank, from 1, of the distance that 68.3 % of n samples do not exceed."""
    return np.int64(math.ceil(0.683 * (n - 1))) + 1


@inner_function
def peel_robust(block, c, lo, hi, squares):
    """As `peel` with ``stops``, about the median, with the distance that 68.3 % of the samples do not exceed."""
    while hi - lo >= FEWEST:
        n = hi - lo
        center = median_of(block, c, lo, hi)
        rank = rank_of(n)
        a, b = lo, hi
        while b - a > rank:  # without its farther end, until the nearest are left
            if center - block[a, c] > block[b - 1, c] - center:
                a += 1
            else:
                b -= 1
        s = max(center - block[a, c], block[b - 1, c] - center)
        below, above = center - block[lo, c], block[hi - 1, c] - center
        r = above if above >= below else below
        if not (s > 0.0 and r * r > squares[n] * (s * s)):
            break
        hi, lo = (hi - 1, lo) if above >= below else (hi, lo + 1)
    return lo, hi
