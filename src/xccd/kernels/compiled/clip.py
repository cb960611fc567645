"""Sigma clip of a block: the first pass handles all columns at once; columns with an outlier go on one by one."""

import numpy as np

from xccd.kernels.compiled.block import sort_block
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import MAD_STD, MEAN, middle, window
from xccd.kernels.limits import HUGE, MAD_TO_STD, TINY

# Rows of the scratch, with one number for each column. The two distances of a MAD share rows with the variance and the
# suspects: they are read before those are written.
MEDIAN, S1, S2, VARIANCE, SUSPECT, HIGHEST, COUNT = range(7)
INNER, OUTER = VARIANCE, SUSPECT
ROWS = 7


@kernel
def sigma_bounds(pixels, number, total, options, scratch):
    """Narrow the bounds of ``pixels`` to the samples that survive a clip; returns the least and the greatest sample.

    The bounds have the dtype of the samples. If nothing survives, the least is above the most. ``number`` gets the
    per-pixel count of survivors. ``total`` gets their sum unless it is empty. The sum is added and subtracted in any
    order; the caller finds out from the two returned samples whether it is exact. ``options`` is a
    `table.ClipOptions`. The buffer is (frames + 2, columns), and the sums of the scratch are (`ROWS`, columns).
    """
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, numbers = scratch
    lowest, greatest = np.inf, -np.inf
    frames, columns = x.shape[0], buffer.shape[1]
    by_mad = options.deviation == MAD_STD
    by_moments = options.center == MEAN or not by_mad
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        missing = sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        medians(buffer, frames, n, missing, numbers)
        if by_mad:
            both_nearest(buffer, frames, numbers[MEDIAN], numbers[INNER], numbers[OUTER])
        if by_moments:
            moments(buffer, frames, n, missing, numbers)
        variances(n, options, numbers)
        suspect(buffer[0], n, options, numbers)
        low, high = extent(buffer[0], n, numbers[HIGHEST], pads, a, b)
        lowest, greatest = low if low < lowest else lowest, high if high > greatest else greatest
        if total.size > 0 and by_moments:  # the sum is free: it is in the moments already
            for c in range(n.size):
                total[i + c] = numbers[S1, c] + numbers[COUNT, c] * numbers[MEDIAN, c] if n[c] > 0 else 0.0
        elif total.size > 0:
            add_up(buffer, frames, n, missing, total[i : i + columns])
        # In the benchmark 7 % of the columns go on from here, for 50 ns each; with a MAD 22 %, for 140 ns each.
        for c in range(n.size):
            partial = n[c] < frames and by_mad  # `nearest` is right for full columns only
            if numbers[SUSPECT, c] > 0.0 or partial:
                known = np.nan if partial else numbers[VARIANCE, c]
                median, s1, s2 = numbers[MEDIAN, c], numbers[S1, c], numbers[S2, c]
                lo, hi = window(buffer, c, n[c], options, median, s1, s2, known)
                a[c] = buffer[lo, c] if hi > lo else pads[0]
                b[c] = buffer[hi - 1, c] if hi > lo else pads[1]
                if total.size > 0:
                    for k in range(lo):
                        total[i + c] -= np.float64(buffer[k, c])
                    for k in range(hi, n[c]):
                        total[i + c] -= np.float64(buffer[k, c])
                n[c] = hi - lo
    return lowest, greatest


@inner_function
def extent(bottom, n, highest, pads, a, b):
    """Set the bounds of columns that lose no sample; returns the least and the greatest of all samples."""
    lowest, greatest = np.inf, -np.inf
    for c in range(a.size):
        a[c] = bottom[c]
        b[c] = highest[c] if n[c] > 0 else pads[1]
    for c in range(a.size):
        lowest = bottom[c] if bottom[c] < lowest else lowest
        greatest = highest[c] if highest[c] > greatest else greatest
    return lowest, greatest


@inner_function
def medians(buffer, frames, n, missing, numbers):
    """Write median, highest sample and count of each column to their rows of ``numbers``."""
    med, highest, number = numbers[MEDIAN], numbers[HIGHEST], numbers[COUNT]
    lower, upper, top = buffer[(frames - 1) // 2], buffer[frames // 2], buffer[frames - 1]
    for c in range(n.size):
        med[c] = middle(np.float64(lower[c]), np.float64(upper[c]))
    for c in range(n.size):
        highest[c] = top[c]
        number[c] = n[c]
    if missing:
        for c in range(n.size):
            k = n[c]
            a, b = np.float64(buffer[(k - 1) // 2 if k else 0, c]), np.float64(buffer[k // 2 if k else 0, c])
            med[c] = middle(a, b)
            highest[c] = buffer[k - 1 if k else 0, c]


@inner_function
def moments(buffer, frames, n, missing, numbers):
    """Write the sums of residuals about the median and of their squares to ``numbers``, two frames at a time."""
    med, s1, s2 = numbers[MEDIAN], numbers[S1], numbers[S2]
    s1[:] = 0.0
    s2[:] = 0.0
    for i in range(0, frames - 1, 2):
        row, other = buffer[i], buffer[i + 1]
        if missing:  # the same order as below: a neighbour's missing sample must not change the rounding here
            for c in range(n.size):
                y = np.float64(row[c]) - med[c] if i < n[c] else 0.0
                z = np.float64(other[c]) - med[c] if i + 1 < n[c] else 0.0
                s1[c] += y + z
                s2[c] += y * y + z * z
            continue
        for c in range(n.size):
            y = np.float64(row[c]) - med[c]
            z = np.float64(other[c]) - med[c]
            s1[c] += y + z
            s2[c] += y * y + z * z
    if frames & 1:
        row = buffer[frames - 1]
        for c in range(n.size):
            y = np.float64(row[c]) - med[c] if frames <= n[c] else 0.0
            s1[c] += y
            s2[c] += y * y


@inner_function
def add_up(buffer, frames, n, missing, total):
    """Plain sums of the samples in float64, two frames at a time. Used only where no sum can round."""
    for c in range(n.size):
        total[c] = 0.0
    for i in range(frames):
        row, other = buffer[i], buffer[i + 1 if i + 1 < frames else i]
        if i + 1 < frames and i % 2 == 0 and not missing:
            for c in range(n.size):
                total[c] += np.float64(row[c]) + np.float64(other[c])
        elif missing:
            for c in range(n.size):
                total[c] += np.float64(row[c]) if i < n[c] else 0.0
        elif i % 2 == 0:
            for c in range(n.size):
                total[c] += np.float64(row[c])


@inner_function
def nearest(buffer, frames, m, med, distance):
    """Distance of the m-th nearest sample to ``med``, for full columns.

    The m nearest samples are a window of m rows. Its farther end is the nearest among all such windows.
    """
    distance[:] = np.inf
    for i in range(frames - m + 1):
        left, right = buffer[i], buffer[i + m - 1]
        for c in range(distance.size):
            below = med[c] - np.float64(left[c])
            above = np.float64(right[c]) - med[c]
            farther = below if below > above else above
            least = distance[c]
            distance[c] = (farther if farther < least else least) + 0.0  # no -0.0


@inner_function
def both_nearest(buffer, frames, med, inner, outer):
    """The two middle distances to the median (equal for an odd count); full columns only."""
    m = frames // 2 + 1
    nearest(buffer, frames, m, med, outer)
    if frames % 2 == 0:
        nearest(buffer, frames, m - 1, med, inner)
        return
    for c in range(inner.size):  # not a slice: numba takes seconds to compile its assignment
        inner[c] = outer[c]


@inner_function
def variances(n, options, numbers):
    """Write the variance of each column times n^2 (n - ddof), or the square of its MAD times n^2, as in `window`."""
    s1, s2, inner, outer, number = numbers[S1], numbers[S2], numbers[INNER], numbers[OUTER], numbers[COUNT]
    ddof, floor, about = options.ddof, options.floor, options.about
    if options.deviation == MAD_STD:
        for c in range(n.size):
            mad = MAD_TO_STD * (0.5 * (inner[c] + outer[c]))
            deviation = (mad if mad > floor else floor) * number[c]
            inner[c] = deviation * deviation
        return
    for c in range(n.size):
        k = number[c]
        scatter = (k * s2[c] - s1[c] * s1[c]) * k + about * (k * (s1[c] * s1[c]))
        least = floor * k
        least = least * least * (k - ddof)
        inner[c] = scatter if scatter > least else least


@inner_function
def suspect(bottom, n, options, numbers):
    """Flag columns whose lowest or highest sample is outside or may be outside, by the test of `window`."""
    low2, high2 = options.low * options.low, options.high * options.high
    fewest = max(options.minimum, options.nkeep + 1.0)
    # Squares are compared, with both sides multiplied by n^2 (n - ddof): no division, no root, so ties are exact.
    by_mean = 1.0 if options.center == MEAN else 0.0  # numbers, because a branch would prevent vector code
    by_mad = 1.0 if options.deviation == MAD_STD else 0.0
    med, s1, variance, flag = numbers[MEDIAN], numbers[S1], numbers[VARIANCE], numbers[SUSPECT]
    highest, number = numbers[HIGHEST], numbers[COUNT]
    free = 1.0 if by_mad > 0.0 else -options.ddof
    for c in range(n.size):
        k = number[c]
        factor = (1.0 - by_mad) * k + free
        below = (np.float64(bottom[c]) - med[c]) * k - by_mean * s1[c]
        above = (highest[c] - med[c]) * k - by_mean * s1[c]
        far = (below * below * factor > low2 * variance[c]) & (below < 0.0)
        far |= (above * above * factor > high2 * variance[c]) & (above > 0.0)
        spread = above - below  # n times the range; out of range its squares mean nothing, so `window` decides
        far |= (spread != 0.0) & ((spread < TINY) | (spread > HUGE) | (spread != spread))
        flag[c] = 1.0 if far & (k >= fewest) & (factor > 0.0) else 0.0
