"""Rejections that take out one worst sample at a time, from either end of the sorted column.

Of two that are equally far the upper one goes first, so that the order of frames plays no role.
"""

import math

import numpy as np

from xccd.kernels.compiled.columns import median_of
from xccd.kernels.compiled.compile import inner_function, kernel

FEWEST = 3


@kernel
def esd(blocks, lo, hi, options, table):
    """Generalised ESD: samples are taken out up to a count; those up to the last one beyond its lambda are rejected."""
    width = blocks.shape[2]
    for p in range(lo.size):
        n = hi[p] - lo[p]
        lo[p], hi[p] = peel(blocks[p // width], p % width, lo[p], hi[p], table[1], np.int64(table[0, n]), False)


@kernel
def chauvenet(blocks, lo, hi, options, table):
    """Chauvenet's criterion: the worst sample while fewer than ``limit`` such ones are to be expected."""
    robust, width = options[3] > 0.0, blocks.shape[2]
    for p in range(lo.size):
        block, c = blocks[p // width], p % width
        if robust:
            lo[p], hi[p] = peel_robust(block, c, lo[p], hi[p], table[1])
        else:
            lo[p], hi[p] = peel(block, c, lo[p], hi[p], table[1], np.int64(hi[p]), True)


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
def peel_robust(block, c, lo, hi, squares):
    """As `peel` with ``stops``, about the median, with the distance that 68.3 % of the samples do not exceed."""
    while hi - lo >= FEWEST:
        n = hi - lo
        center = median_of(block, c, lo, hi)
        rank = np.int64(math.ceil(0.683 * (n - 1))) + 1
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
