"""Rejections whose survivors are a window of the sorted column: each rule narrows ``lo`` and ``hi`` of all columns.

A rule is given ``blocks`` (blocks, frames, columns) of sorted float64, the windows ``lo <= k < hi`` of their samples
(int32, one for each pixel), the numbers of the rejection's options (low and high first), and its table.
"""

import numpy as np

from xccd.kernels.compiled.columns import SURE, all_medians, all_sums, mean_of, median_of
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import put_back


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
    low, high, ranks, nkeep = options[0], options[1], options[2], options[3]
    frames, width = blocks.shape[1], blocks.shape[2]
    half = frames // 2
    away = int(ranks * half) if abs(ranks) < 1.0 else int(ranks)
    size = max(1, min(abs(away), half))
    for p in range(lo.size):
        block, c, a, b = blocks[p // width], p % width, lo[p], hi[p]
        n = b - a
        if n < 3 or n <= nkeep:
            continue
        center = median_of(block, c, a, b)
        k = (n - 1) // 2 - size if ranks < 0.0 else n // 2 + size
        s = abs(block[a + max(0, min(k, n - 1)), c] - center)
        if not s > 0.0:
            continue
        while a < b and block[a, c] < center and center - block[a, c] >= low * s:
            a += 1
        while a < b and block[b - 1, c] > center and block[b - 1, c] - center >= high * s:
            b -= 1
        if b - a < nkeep:
            a, b = put_back(block, c, lo[p], hi[p], a, b, center, nkeep)
        lo[p], hi[p] = a, b


@kernel
def noise(blocks, lo, hi, options, table):
    """Samples further from the centre than the noise of a CCD at that level, until none is."""
    low, high, readnoise, gain, sensitivity, by_mean, nkeep = options
    read, part = (readnoise / gain) * (readnoise / gain), sensitivity * sensitivity
    width = blocks.shape[2]
    scratch = np.empty((4, width))
    for i in range(0, lo.size, width):
        block, n = blocks[i // width], hi[i : i + width]
        first_centers(block, n, by_mean > 0.0, scratch)
        center, top = scratch[0], scratch[1]
        for c in range(n.size):
            level = center[c] if center[c] > 0.0 else 0.0
            variance = SURE * ((read + level / gain) + (part * level) * level)
            below, above = center[c] - block[0, c], top[c] - center[c]
            if below * below > low * low * variance or above * above > high * high * variance:
                model = low, high, read, part, gain, by_mean, nkeep
                lo[i + c], hi[i + c] = noise_window(block, c, lo[i + c], n[c], model)


@inner_function
def first_centers(block, n, by_mean, scratch):
    """Write the first centre and the highest sample of each column to the first rows of ``scratch``."""
    med, top, s1, s2 = scratch
    all_medians(block, n, med, top)
    if not by_mean:
        return
    all_sums(block, n.size, med, s1, s2)
    bottom = block[0]
    for c in range(n.size):
        if n[c] >= 3:
            med[c] += (s1[c] - ((bottom[c] - med[c]) + (top[c] - med[c]))) / np.float64(n[c] - 2)


@inner_function
def noise_window(block, c, lo, hi, model):
    """The window ``(lo, hi)`` of one column that survives."""
    low, high, read, part, gain, by_mean, nkeep = model
    while hi - lo >= 2 and hi - lo > nkeep:
        center = mean_of(block, c, lo, hi, True) if by_mean > 0.0 else median_of(block, c, lo, hi)
        level = center if center > 0.0 else 0.0
        variance = (read + level / gain) + (part * level) * level
        n, old_lo, old_hi = hi - lo, lo, hi
        while lo < hi and variance > 0.0:
            r = block[lo, c] - center
            if not (r < 0.0 and r * r > (low * low) * variance):
                break
            lo += 1
        while lo < hi and variance > 0.0:
            r = block[hi - 1, c] - center
            if not (r > 0.0 and r * r > (high * high) * variance):
                break
            hi -= 1
        if hi - lo < nkeep:
            lo, hi = put_back(block, c, old_lo, old_hi, lo, hi, center, nkeep)
        if hi - lo == n:
            break
    return lo, hi
