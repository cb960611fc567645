"""Winsorized clip: the deviation comes from samples pulled in to a distance from the median, over and over."""

import math

import numpy as np

from xccd.kernels.compiled.columns import all_medians, median_of
from xccd.kernels.compiled.compile import inner_function, kernel

PULL, RAISE, STEADY, ROUNDS = 1.5, 1.134, 5e-4, 50  # as `plain.winsorized`
LEAST = 1e-6  # the default floor, in parts of the median or the deviation
FEWEST = 4


@kernel
def winsorized(blocks, lo, hi, options, table):
    """Samples far from the median in winsorized deviations, until none is. ``floor`` below 0 is the default one."""
    low, high, floor = options[0], options[1], options[2]
    width = blocks.shape[2]
    scratch = np.empty((9, width))
    for i in range(0, lo.size, width):
        block = blocks[i // width]
        deviations(block, hi, i, floor, scratch)
        for c in range(min(width, lo.size - i)):
            center, s, a, b = scratch[0, c], scratch[1, c], lo[i + c], hi[i + c]
            while b - a >= FEWEST and s > 0.0:
                n = b - a
                while a < b and block[a, c] - center < -low * s:
                    a += 1
                while a < b and block[b - 1, c] - center > high * s:
                    b -= 1
                if b - a == n:
                    break
                center, s = deviation(block, c, a, b, floor)
            lo[i + c], hi[i + c] = a, b


@inner_function
def deviations(block, number, first, floor, scratch):
    """Write median and winsorized deviation of all columns of a block to the first two rows of ``scratch``.

    All columns go on until each is steady; one that is steady keeps its deviation.
    """
    med, s, h, s1, s2, count, goes, least, _ = scratch
    frames, size = block.shape[0], min(block.shape[1], number.size - first)
    scratch[:] = 0.0
    all_medians(block, number, first, med)
    for c in range(size):
        count[c] = number[first + c]
        h[c] = np.inf
    rounds, moving = 0, True
    while moving and rounds <= ROUNDS:
        s1[:] = 0.0
        s2[:] = 0.0
        for k in range(frames):
            row, rank = block[k], np.float64(k)
            for c in range(size):
                r = row[c] - med[c]
                r = -h[c] if r < -h[c] else r
                r = h[c] if r > h[c] else r
                r = r if rank < count[c] else 0.0
                s1[c] += r
                s2[c] += r * r
        moving = False
        for c in range(size):
            variance = (s2[c] - s1[c] * s1[c] / count[c]) / (count[c] - 1.0)
            new = math.sqrt(variance if variance > 0.0 else 0.0)
            if rounds == 0:
                s[c], goes[c] = new, 1.0 if count[c] >= FEWEST else 0.0
                least[c] = LEAST * max(abs(med[c]), new) if floor < 0.0 else floor
            elif goes[c] > 0.0:
                goes[c] = 0.0 if abs(RAISE * new - s[c]) <= STEADY * s[c] else 1.0
                s[c] = RAISE * new
            pull = PULL * s[c]
            h[c] = pull if pull < h[c] else h[c]
            moving |= goes[c] > 0.0
        rounds += 1
    for c in range(size):
        s[c] = s[c] if s[c] > least[c] else least[c]


@inner_function
def deviation(block, c, lo, hi, floor):
    """Median and winsorized deviation of ``block[lo:hi, c]``: as `deviations`."""
    med, m = median_of(block, c, lo, hi) if hi > lo else 0.0, np.float64(hi - lo)
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
