"""Rejections whose survivors are a window of the sorted column: each rule narrows ``lo`` and ``hi`` of all columns.

A rule is given ``blocks`` (blocks, frames, columns) of sorted float64, the windows ``lo <= k < hi`` of their samples
(int32, one for each pixel), the numbers of the rejection's options (low and high first), and its table.
"""

from xccd.kernels.compiled.columns import mean_of, median_of
from xccd.kernels.compiled.compile import kernel


@kernel
def percentile(blocks, lo, hi, options, table):
    """Samples further from the median than ``low`` or ``high`` times the median, where that is above 0."""
    low, high = options[0], options[1]
    width = blocks.shape[2]
    for p in range(lo.size):
        block, c, a, b = blocks[p // width], p % width, lo[p], hi[p]
        if b <= a:
            continue
        center = median_of(block, c, a, b)
        if not center > 0.0:
            continue
        while a < b and center - block[a, c] > low * center:
            a += 1
        while a < b and block[b - 1, c] - center > high * center:
            b -= 1
        lo[p], hi[p] = a, b


@kernel
def percentile_rank(blocks, lo, hi, options, table):
    """Samples at least ``low`` or ``high`` times as far from the median as the one some ranks away; one pass."""
    low, high, ranks = options[0], options[1], options[2]
    frames, width = blocks.shape[1], blocks.shape[2]
    half = frames // 2
    away = int(ranks * half) if abs(ranks) < 1.0 else int(ranks)
    size = max(1, min(abs(away), half))
    for p in range(lo.size):
        block, c, a, b = blocks[p // width], p % width, lo[p], hi[p]
        n = b - a
        if n < 3:
            continue
        center = median_of(block, c, a, b)
        k = (n - 1) // 2 - size if away < 0 else n // 2 + size
        s = abs(block[a + max(0, min(k, n - 1)), c] - center)
        if not s > 0.0:
            continue
        while a < b and block[a, c] < center and center - block[a, c] >= low * s:
            a += 1
        while a < b and block[b - 1, c] > center and block[b - 1, c] - center >= high * s:
            b -= 1
        lo[p], hi[p] = a, b


@kernel
def noise(blocks, lo, hi, options, table):
    """Samples further from the centre than the noise of a CCD at that level, until none is."""
    low, high, readnoise, gain, sensitivity, by_mean = options
    read, part = (readnoise / gain) * (readnoise / gain), sensitivity * sensitivity
    width = blocks.shape[2]
    for p in range(lo.size):
        block, c, a, b = blocks[p // width], p % width, lo[p], hi[p]
        first = True
        while b - a >= 2:
            center = mean_of(block, c, a, b, first) if by_mean > 0.0 else median_of(block, c, a, b)
            level = center if center > 0.0 else 0.0
            variance = (read + level / gain) + (part * level) * level
            n, first = b - a, False
            while a < b and variance > 0.0:
                r = block[a, c] - center
                if not (r < 0.0 and r * r > (low * low) * variance):
                    break
                a += 1
            while a < b and variance > 0.0:
                r = block[b - 1, c] - center
                if not (r > 0.0 and r * r > (high * high) * variance):
                    break
                b -= 1
            if b - a == n:
                break
        lo[p], hi[p] = a, b
