"""Sigma clip of a block: the first pass handles all columns at once, and so do later ones while many have outliers.

The last few columns with an outlier go on one by one.
"""

import numpy as np

from xccd.kernels.compiled.block import sort_block
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.passes import (
    ALONE,
    CENTER,
    FLAG,
    HI,
    HIGHEST,
    INNER,
    LEAST,
    LO,
    LOWEST,
    MOST,
    ORIGIN,
    OUTER,
    PASS,
    PLACES,
    S1,
    S2,
    VARIANCE,
    WHOLE,
    WIDTH,
    N,
    find_centers,
    finish,
    judge,
    narrow_above,
    narrow_below,
    renew_sums,
)
from xccd.kernels.compiled.window import MEAN, middle, window
from xccd.kernels.limits import HUGE, MAD_TO_STD, TINY

__all__ = ["PLACES", "both_nearest", "clip_sorted", "extremes", "mad_bounds", "nothing_found", "sigma_bounds"]

SHARE = 8  # while more than one column in so many has an outlier, all go on together


@kernel
def sigma_bounds(pixels, number, total, options, scratch):
    """Narrow the bounds of ``pixels`` to the samples that survive a clip; returns the least and the greatest sample.

    The bounds have the dtype of the samples. If nothing survives, the least is above the most. ``number`` gets the
    per-pixel count of survivors. ``total`` gets their sum unless it is empty. The sum is added and subtracted in any
    order; the caller finds out from the two returned samples whether it is exact. ``options`` is a
    `table.ClipOptions` whose deviation is not the MAD. The buffer is (frames + 2, columns), and the sums of the scratch
    are `PLACES`.
    """
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, state = scratch
    frames, columns = x.shape[0], buffer.shape[1]
    nothing_found(state)
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        sums = total[i : i + columns]
        missing = sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        clip_sorted(buffer, frames, n, missing, pads, a, b, sums, options, state)
    return extremes(state)


@kernel
def mad_bounds(pixels, number, total, options, scratch):
    """As `sigma_bounds` for the MAD. A kernel of its own, as each has parts that the other need not compile."""
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, state = scratch
    frames, columns = x.shape[0], buffer.shape[1]
    by_mean = options.center == MEAN
    nothing_found(state)
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        sums = total[i : i + columns]
        missing = sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        medians(buffer, frames, n, missing, pads, a, b, state)
        inner, outer = state[INNER : INNER + columns], state[OUTER : OUTER + columns]
        both_nearest(buffer, frames, state[CENTER : CENTER + columns], inner, outer)
        square_mads(n.size, options, state)
        if by_mean:
            moments(buffer, frames, n, missing, state)
        judge(n.size, options, state)
        leave_alone(n.size, frames, True, state)
        if by_mean:
            sums_of_moments(sums, state)
        elif sums.size > 0:
            add_up(buffer, frames, n, missing, sums)
        one_by_one(buffer, n, pads, a, b, sums, options, 0, state)
    return extremes(state)


@inner_function
def clip_sorted(buffer, frames, n, missing, pads, a, b, sums, options, state):
    """Narrow the bounds ``a`` and ``b`` of sorted columns, and write their counts and sums."""
    fewest = medians(buffer, frames, n, missing, pads, a, b, state)
    moments(buffer, frames, n, missing, state)
    many = judge(n.size, options, state)
    leave_alone(n.size, frames, False, state)
    sums_of_moments(sums, state)  # free, as they are in the moments already
    first, passes = np.intp(0), 0
    while many * SHARE > buffer.shape[1] and options.nkeep == 0.0 and passes != options.maxiters:
        first = narrow_below(buffer, n.size, options, first, state)
        fewest = narrow_above(buffer, n.size, options, fewest, state)
        if find_centers(buffer, n.size, state) > 0:
            renew_sums(buffer, n.size, first, fewest, state)
        many = judge(n.size, options, state)
        passes += 1
    if passes > 0:
        finish(n, pads, a, b, sums, state)
    one_by_one(buffer, n, pads, a, b, sums, options, passes, state)


@inner_function
def nothing_found(state):
    """Prepare the least and the greatest sample of all blocks."""
    for c in range(WIDTH):
        state[c + LOWEST] = np.inf
        state[c + HIGHEST] = -np.inf


@inner_function
def extremes(state):
    """The least and the greatest sample of all blocks."""
    lowest, greatest = np.inf, -np.inf
    for c in range(WIDTH):
        lowest = state[c + LOWEST] if state[c + LOWEST] < lowest else lowest
        greatest = state[c + HIGHEST] if state[c + HIGHEST] > greatest else greatest
    return lowest, greatest


@inner_function
def one_by_one(buffer, n, pads, a, b, total, options, passes, state):
    """The rest of the passes of columns that have a flag.

    In the benchmark these are 7 % of all, for 50 ns each; with a MAD 22 %, for 140 ns each.
    """
    for c in range(n.size):
        if state[c + FLAG] > 0.0:
            old_lo, old_hi = np.intp(state[c + LO]), np.intp(state[c + HI])
            origin, s1, s2 = state[c + ORIGIN], state[c + S1], state[c + S2]
            known, whole = state[c + VARIANCE], state[c + WHOLE]
            lo, hi = window(buffer, c, old_lo, old_hi, options, origin, s1, s2, known, whole, passes)
            a[c] = buffer[lo, c] if hi > lo else pads[0]
            b[c] = buffer[hi - 1, c] if hi > lo else pads[1]
            if total.size > 0:
                for k in range(old_lo, lo):
                    total[c] -= np.float64(buffer[k, c])
                for k in range(hi, old_hi):
                    total[c] -= np.float64(buffer[k, c])
            n[c] = hi - lo


@inner_function
def medians(buffer, frames, n, missing, pads, a, b, state):
    """Write median, ends and window of each column, also as bounds; returns the least count of samples."""
    lower, upper, bottom, top = buffer[(frames - 1) // 2], buffer[frames // 2], buffer[0], buffer[frames - 1]
    for c in range(n.size):
        state[c + CENTER] = middle(np.float64(lower[c]), np.float64(upper[c]))
        state[c + LEAST] = bottom[c]
        state[c + MOST] = top[c]
    fewest, before = np.intp(frames), np.float64(pads[1])
    if missing:
        for c in range(n.size):
            k = np.intp(n[c])
            fewest = k if k < fewest else fewest
            last = k - 1 if k > 0 else k
            low, high = buffer[np.uintp(last >> 1), c], buffer[np.uintp((last + 1) >> 1), c]
            state[c + CENTER] = middle(np.float64(low), np.float64(high))
            state[c + MOST] = buffer[np.uintp(last), c]
    for c in range(n.size):
        least, most, center = state[c + LEAST], state[c + MOST], state[c + CENTER]
        lowest, highest = state[c + LOWEST], state[c + HIGHEST]
        state[c + N] = state[c + HI] = n[c]
        state[c + LO] = 0.0
        state[c + FLAG] = PASS
        state[c + ORIGIN] = center
        state[c + LOWEST] = least if least < lowest else lowest
        state[c + HIGHEST] = most if most > highest else highest
    for c in range(n.size):
        a[c] = bottom[c]
    for c in range(n.size):
        b[c] = top[c]
    if missing:
        for c in range(n.size):
            b[c] = state[c + MOST] if n[c] > 0 else before
    return fewest


@inner_function
def moments(buffer, frames, n, missing, state):
    """Write the sums of residuals about the median and of their squares, two frames at a time."""
    for c in range(n.size):
        state[c + S1] = 0.0
        state[c + S2] = 0.0
    for i in range(0, frames, 2):
        row, other = buffer[i], buffer[i + 1]
        if missing or i + 1 == frames:  # the same order as below: a missing sample must not change the rounding
            for c in range(n.size):
                center, k = state[c + CENTER], state[c + N]
                y = np.float64(row[c]) - center if i < k else 0.0
                z = np.float64(other[c]) - center if i + 1 < k else 0.0
                state[c + S1] += y + z
                state[c + S2] += y * y + z * z
            continue
        for c in range(n.size):
            center = state[c + CENTER]
            y, z = np.float64(row[c]) - center, np.float64(other[c]) - center
            state[c + S1] += y + z
            state[c + S2] += y * y + z * z


@inner_function
def sums_of_moments(total, state):
    """Write the sums of all samples."""
    for c in range(total.size):
        total[c] = state[c + S1] + state[c + N] * state[c + CENTER] if state[c + N] > 0.0 else 0.0


@inner_function
def leave_alone(size, frames, by_mad, state):
    """Flag columns that `window` must handle from the first pass on.

    These are columns of numbers out of range, and for a MAD those with a missing sample.
    """
    for c in range(size):
        spread = state[c + MOST] - state[c + LEAST]
        odd = (spread != 0.0) & (not ((spread > TINY) & (spread < HUGE))) & (state[c + N] > 0.0)
        partial = by_mad & (state[c + N] < frames)  # `nearest` is right for full columns only
        state[c + WHOLE] = np.nan if odd else state[c + S2]
        state[c + VARIANCE] = np.nan if partial else state[c + VARIANCE]
        state[c + FLAG] = ALONE if odd | partial else state[c + FLAG]


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
def square_mads(size, options, state):
    """Write the square of each column's MAD times n^2, as in `window`."""
    for c in range(size):
        mad = MAD_TO_STD * (0.5 * (state[c + INNER] + state[c + OUTER]))
        deviation = (mad if mad > options.floor else options.floor) * state[c + N]
        state[c + VARIANCE] = deviation * deviation
