"""Winsorized clip: the deviation comes from samples pulled in to a distance from the median, over and over."""

import math

import numpy as np

from xccd.kernels.compiled.columns import SURE, all_medians, all_sums, median_of
from xccd.kernels.compiled.compile import inner_function, kernel

PULL, RAISE, STEADY, ROUNDS = 1.5, 1.134, 5e-4, 50  # as `plain.winsorized`
LEAST = 1e-6  # the default floor, in parts of the median or the deviation
FEWEST = 4


@kernel
def winsorized(blocks, lo, hi, options, table):
    """Samples far from the median in winsorized deviations, until none is. ``floor`` below 0 is the default one."""
    low, high, floor = options[0], options[1], options[2]
    width = blocks.shape[2]
    scratch = np.empty((7, width))
    for i in range(0, lo.size, width):
        block = blocks[i // width]
        suspects(block, hi[i : i + width], low, high, scratch)
        for c in range(min(width, lo.size - i)):
            if scratch[0, c] == 0.0:
                continue
            a, b = lo[i + c], hi[i + c]
            while b - a >= FEWEST:
                center, s = deviation(block, c, a, b, floor)
                n = b - a
                while a < b and s > 0.0 and block[a, c] - center < -low * s:
                    a += 1
                while a < b and s > 0.0 and block[b - 1, c] - center > high * s:
                    b -= 1
                if b - a == n:
                    break
            lo[i + c], hi[i + c] = a, b


@inner_function
def suspects(block, n, low, high, scratch):
    """Flag in ``scratch[0]`` the columns that may lose a sample.

    No sample is rejected by a deviation S that is large enough for the farthest one. The deviation never falls below
    it if it is S or more at first, and 1.134 times that of samples pulled in to 1.5 S is S or more, too: samples pulled
    in less far never scatter less.
    """
    flag, med, top, s1, s2, pull, square = scratch
    size = n.size
    all_medians(block, n, med, top)
    all_sums(block, size, med, s1, s2)
    bottom = block[0]
    for c in range(size):
        k = np.float64(n[c])
        variance = (s2[c] - s1[c] * s1[c] / k) / (k - 1.0)
        below, above = (med[c] - bottom[c]) / low, (top[c] - med[c]) / high
        needed = (below if below > above else above) / SURE
        flag[c] = 0.0 if variance >= needed * needed else 1.0
        square[c] = needed * needed
        pull[c] = PULL * needed
    s1[:] = 0.0
    s2[:] = 0.0
    for k in range(block.shape[0]):
        row = block[k]
        for c in range(size):
            r = row[c] - med[c]
            r = -pull[c] if r < -pull[c] else r
            r = pull[c] if r > pull[c] else r
            s1[c] += r
            s2[c] += r * r
    for c in range(size):
        k = np.float64(n[c])
        variance = (s2[c] - s1[c] * s1[c] / k) / (k - 1.0)
        flag[c] = flag[c] if RAISE * RAISE * variance >= square[c] else 1.0
        flag[c] = flag[c] if n[c] >= FEWEST else 0.0


@inner_function
def deviation(block, c, lo, hi, floor):
    """Median and winsorized deviation of ``block[lo:hi, c]``."""
    med, m = median_of(block, c, lo, hi), np.float64(hi - lo)
    s, h, least = 0.0, np.inf, floor
    for rounds in range(ROUNDS + 1):
        s1, s2 = 0.0, 0.0
        for k in range(lo, hi):
            r = block[k, c] - med
            r = -h if r < -h else r
            r = h if r > h else r
            s1 += r
            s2 += r * r
        variance = (s2 - s1 * s1 / m) / (m - 1.0)
        new = math.sqrt(variance if variance > 0.0 else 0.0)
        if rounds == 0:
            s = new
            least = LEAST * max(abs(med), new) if floor < 0.0 else floor
        else:
            steady = abs(RAISE * new - s) <= STEADY * s
            s = RAISE * new
            if steady:
                break
        h = PULL * s if PULL * s < h else h
    return med, s if s > least else least
