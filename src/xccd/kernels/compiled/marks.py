"""Rejections whose survivors are no window of the sorted column: each rule marks every rejected sample.

A rule is given ``values`` (frames, pixels) of float64, NaN where missing, the sorted ``blocks`` of the same pixels, the
count of samples of each pixel, the numbers of the rejection's options (low and high first), numbers for each frame
(kinds, frames), numbers for each sample (frames or 1, pixels or 1), and ``out`` (frames, pixels), which is 0 before.
"""

import numpy as np

from xccd.kernels.compiled.columns import all_medians, mark_rank
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import middle
from xccd.kernels.flags import Flag

LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)
STRAIGHT = 1e-12  # residuals that are smaller parts of the spread are rounding: all samples are on the line
FEWEST = 5  # samples for a line
PART = 0.001  # of a sample, by which IRAF rounds down


@kernel
def linear_fit(values, blocks, number, options, of_frames, of_samples, out):
    """Samples far from a straight line through the sorted column, in mean absolute residuals."""
    low, high = options[0], options[1]
    frames, width = blocks.shape[1], blocks.shape[2]
    scratch = np.empty((7, width))
    y, rank, side = np.empty(frames), np.empty(frames, np.int64), np.empty(frames, np.int8)
    for i in range(0, number.size, width):
        block = blocks[i // width]
        far_from_line(block, number, i, low, high, scratch)
        for c in range(min(width, number.size - i)):
            if scratch[0, c] == 0.0:
                continue
            n = number[i + c]
            for k in range(n):
                y[k], rank[k] = block[k, c], k
            while n >= FEWEST:
                left = fit_once(y, rank, side, n, low, high)
                if left == n:
                    break
                for k in range(n):
                    if side[k] != 0:
                        mark_rank(values, i + c, block, c, rank[k], LOW if side[k] < 0 else HIGH, out)
                at = 0
                for k in range(n):
                    if side[k] == 0:
                        y[at], rank[at] = y[k], rank[k]
                        at += 1
                n = left


@inner_function
def far_from_line(block, number, first, low, high, scratch):
    """Flag in ``scratch[0]`` the columns that lose a sample in their first pass: all columns of a block at once."""
    flag, med, s1, t1, s, least, most = scratch
    frames, size = block.shape[0], min(block.shape[1], number.size - first)
    n = number[first : first + size]
    all_medians(block, number, first, med)
    scratch[2:] = 0.0
    for k in range(frames):
        row, rank = block[k], np.float64(k)
        for c in range(size):
            r = row[c] - med[c] if k < n[c] else 0.0
            s1[c] += r
            t1[c] += rank * r
    for c in range(size):  # mean residual and slope take the places of the sums
        m = np.float64(n[c])
        t1[c] = (t1[c] - 0.5 * (m - 1.0) * s1[c]) * 12.0 / (m * (m * m - 1.0)) if n[c] > 1 else 0.0
        s1[c] = s1[c] / m if n[c] > 0 else 0.0
    for k in range(frames):
        row, rank = block[k], np.float64(k)
        for c in range(size):
            r = ((row[c] - med[c]) - s1[c]) - t1[c] * (rank - 0.5 * (np.float64(n[c]) - 1.0))
            r = r if k < n[c] else 0.0
            s[c] += abs(r)
            least[c] = r if r < least[c] else least[c]
            most[c] = r if r > most[c] else most[c]
    for c in range(size):
        m = np.float64(n[c])
        spread = block[n[c] - 1 if n[c] > 0 else 0, c] - block[0, c]
        mean = s[c] / m
        far = (least[c] < -low * mean) | (most[c] > high * mean)
        flag[c] = 1.0 if far & (n[c] >= FEWEST) & (mean > STRAIGHT * spread) else 0.0


@inner_function
def fit_once(y, rank, side, n, low, high):
    """One pass over the n sorted samples that are left: ``side`` becomes -1, 0 or 1; returns how many stay."""
    med = middle(y[(n - 1) // 2], y[n // 2])
    m = np.float64(n)
    half = 0.5 * (m - 1.0)
    s1, t1, total = 0.0, 0.0, 0.0
    for k in range(n):
        s1 += y[k] - med
        t1 += np.float64(k) * (y[k] - med)
    slope = (t1 - half * s1) * 12.0 / (m * (m * m - 1.0))
    shift = s1 / m
    for k in range(n):
        total += abs(((y[k] - med) - shift) - slope * (np.float64(k) - half))
    mean, left = total / m, n
    for k in range(n):
        r = ((y[k] - med) - shift) - slope * (np.float64(k) - half)
        side[k] = 0
        if mean > STRAIGHT * (y[n - 1] - y[0]):
            side[k] = -1 if r < -low * mean else 1 if r > high * mean else 0
        left -= side[k] != 0
    return left


@kernel
def ranks(values, blocks, number, options, of_frames, of_samples, out):
    """The lowest and the highest samples, in proportion to the count of samples that a pixel has."""
    frames, width = blocks.shape[1], blocks.shape[2]
    for p in range(number.size):
        block, c, n = blocks[p // width], p % width, number[p]
        low = min(n, np.int64(n * options[0] / frames + PART))
        high = min(n - low, np.int64(n * options[1] / frames + PART))
        for k in range(low):
            mark_rank(values, p, block, c, k, LOW, out)
        for k in range(n - high, n):
            mark_rank(values, p, block, c, k, HIGH, out)
