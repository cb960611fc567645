"""Rejections whose survivors are no window of the sorted column: each rule marks every rejected sample.

For each rule there is a first look, ``look_<rule>``. It is given the sorted blocks of all pixels, the count of samples
of each, the numbers of the options (low and high first), numbers of each frame (kinds, frames), the least of those of
each pixel's samples (pixels or 1), and ``flag``, where it writes True for pixels that may lose a sample.

The rule is given these pixels only: ``values`` (pixels, frames), NaN where missing, their sorted ``columns``, their
counts, the options and the numbers of frames, the numbers of samples (pixels or 1, frames or 1), and ``out`` (pixels,
frames), which is 0 before.
"""

import numpy as np

from xccd.kernels.compiled.columns import SURE, all_medians
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import middle
from xccd.kernels.flags import Flag

LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)
STRAIGHT = 1e-12  # residuals that are smaller parts of the spread are rounding: all samples are on the line
FEWEST = 5  # samples for a line
PART = 0.001  # of a sample, by which IRAF rounds down


@inner_function
def mark_rank(value, column, rank, flag, out):
    """Write ``flag`` to the sample of a pixel that has this rank in its sorted column. Equal ones: in frame order."""
    skip = 0
    while rank - skip > 0 and column[rank - skip - 1] == column[rank]:
        skip += 1
    for k in range(value.size):
        if value[k] == column[rank]:
            if skip == 0:
                out[k] = flag
                return
            skip -= 1


@kernel
def look_ranks(blocks, number, options, of_frames, of_samples, flag):
    """All pixels: each may lose its lowest and highest samples."""
    flag[:] = number > 0


@kernel
def ranks(values, columns, number, options, of_frames, of_samples, out):
    """The lowest and the highest samples, in proportion to the count of samples that a pixel has."""
    frames = values.shape[1]
    for p in range(number.size):
        n = number[p]
        low = min(n, np.int64(n * options[0] / frames + PART))
        high = min(n - low, np.int64(n * options[1] / frames + PART))
        for k in range(low):
            mark_rank(values[p], columns[p], k, LOW, out[p])
        for k in range(n - high, n):
            mark_rank(values[p], columns[p], k, HIGH, out[p])


@kernel
def look_linear_fit(blocks, number, options, of_frames, of_samples, flag):
    """Pixels that lose a sample by the first line, all columns of a block at once."""
    low, high = options[0], options[1]
    width = blocks.shape[2]
    scratch = np.empty((7, width))
    for i in range(0, number.size, width):
        block, n = blocks[i // width], number[i : i + width]
        med, top, base, slope, total, least, most = scratch
        all_medians(block, n, med, top)
        lines(block, n, med, base, slope)
        residuals(block, n.size, base, slope, total, least, most)
        for c in range(n.size):
            mean = total[c] / np.float64(n[c])
            far = (least[c] < SURE * -low * mean) | (most[c] > SURE * high * mean)
            spread = top[c] - block[0, c]
            flag[i + c] = far & (n[c] >= FEWEST) & (mean > SURE * STRAIGHT * spread)


@inner_function
def lines(block, n, med, base, slope):
    """Write the line of each column, ``base + rank * slope``. Behind its samples the column continues on its line."""
    frames = block.shape[0]
    base[:] = 0.0
    slope[:] = 0.0
    for k in range(frames):
        row, rank = block[k], np.float64(k)
        for c in range(n.size):
            r = row[c] - med[c]
            base[c] += r
            slope[c] += rank * r
    for c in range(n.size):
        m = np.float64(n[c])
        half = 0.5 * (m - 1.0)
        slope[c] = (slope[c] - half * base[c]) * 12.0 / (m * (m * m - 1.0)) if n[c] > 1 else 0.0
        base[c] = med[c] + base[c] / m - slope[c] * half if n[c] > 0 else 0.0
    for c in range(n.size):
        for k in range(n[c], frames):
            block[k, c] = base[c] + np.float64(k) * slope[c]


@inner_function
def residuals(block, size, base, slope, total, least, most):
    """Write the sum of the sizes of the residuals of each column, the least and the greatest one."""
    total[:] = 0.0
    least[:] = 0.0
    most[:] = 0.0
    for k in range(block.shape[0]):
        row, rank = block[k], np.float64(k)
        for c in range(size):
            total[c] += abs(row[c] - (base[c] + rank * slope[c]))
        for c in range(size):
            r = row[c] - (base[c] + rank * slope[c])
            least[c] = r if r < least[c] else least[c]
            most[c] = r if r > most[c] else most[c]


@kernel
def linear_fit(values, columns, number, options, of_frames, of_samples, out):
    """Samples far from a straight line through the sorted column, in mean absolute residuals."""
    low, high = options[0], options[1]
    frames = values.shape[1]
    y, rank, side = np.empty(frames), np.empty(frames, np.int64), np.empty(frames, np.int8)
    for p in range(number.size):
        n = number[p]
        for k in range(n):
            y[k], rank[k] = columns[p, k], k
        while n >= FEWEST:
            left = fit_once(y, side, n, low, high)
            if left == n:
                break
            to = 0
            for k in range(n):
                if side[k] == 0:
                    y[to], rank[to] = y[k], rank[k]
                    to += 1
                else:
                    mark_rank(values[p], columns[p], rank[k], LOW if side[k] < 0 else HIGH, out[p])
            n = left


@inner_function
def fit_once(y, side, n, low, high):
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
    judged = mean > STRAIGHT * (y[n - 1] - y[0])
    for k in range(n):
        r = ((y[k] - med) - shift) - slope * (np.float64(k) - half)
        side[k] = 0
        if judged and (r < -low * mean or r > high * mean):
            side[k] = -1 if r < 0.0 else 1
            left -= 1
    return left
