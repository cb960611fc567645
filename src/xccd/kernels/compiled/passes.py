"""Passes of a clip by the standard deviation for all columns of a sorted block at once, while many have outliers.

They do the operations of `window` in its order, so the same samples survive. What is rare (numbers out of range) is
left to `window`, and so are the last few columns. A column that is handled alone takes 50 ns for a pass, mostly for
branches that cannot be predicted; here it takes 15 ns.
"""

import numpy as np

from xccd.kernels.compiled.compile import inner_function
from xccd.kernels.compiled.window import MAD_STD, MEAN, middle
from xccd.kernels.limits import HUGE, TINY

# All numbers of the columns are in one array at fixed places, as in `sums`. So LLVM need not check for overlaps.
WIDTH = 272  # the most columns of a block, and two cache lines: rows 2048 bytes apart share their places in L1
N, CENTER, S1, S2, VARIANCE, LEAST, MOST = (WIDTH * i for i in range(7))  # of the window: count, median, sums, ends
LO, HI, ORIGIN, WHOLE, FLAG = (WIDTH * i for i in range(7, 12))  # the window, and the state of `window`
LOWEST, HIGHEST = WIDTH * 12, WIDTH * 13  # of all blocks
BASE, SHIFT, LOW, HIGH, OLD_HI = (WIDTH * i for i in range(14, 19))  # of one pass
INNER, OUTER = LOW, HIGH
PLACES = 19 * WIDTH
# What is to be done with a column: nothing, another pass, or all by `window`.
NOTHING, PASS, ALONE = 0.0, 1.0, 2.0


@inner_function
def judge(size, options, state):
    """Compute the variances times n^2 (n - ddof), and flag columns that lose a sample in a pass; returns their count.

    For a MAD the variance is there already. The test is that of `window`.
    """
    low2, high2, ddof, floor = options.low * options.low, options.high * options.high, options.ddof, options.floor
    # Numbers, because a branch would prevent vector code.
    by_mean = 1.0 if options.center == MEAN else 0.0
    by_mad = 1.0 if options.deviation == MAD_STD else 0.0
    about, free = options.about, 1.0 if by_mad > 0.0 else -ddof
    fewest = max(options.minimum, options.nkeep + 1.0)
    if by_mad == 0.0:
        for c in range(size):
            n, s1 = state[c + N], state[c + S1]
            away = s1 - (state[c + CENTER] - state[c + ORIGIN]) * n
            scatter = (n * state[c + S2] - s1 * s1) * n + about * (n * (away * away))
            least = floor * n
            least = least * least * (n - ddof)
            state[c + VARIANCE] = scatter if scatter > least else least
    many = 0
    # Squares are compared, with both sides multiplied by n^2 (n - ddof): no division, no root, so ties are exact.
    for c in range(size):
        n, variance, shift = state[c + N], state[c + VARIANCE], by_mean * state[c + S1]
        base = state[c + ORIGIN] if by_mean > 0.0 else state[c + CENTER]
        factor = (1.0 - by_mad) * n + free
        below = (state[c + LEAST] - base) * n - shift
        above = (state[c + MOST] - base) * n - shift
        far = (below * below * factor > low2 * variance) & (below < 0.0)
        far |= (above * above * factor > high2 * variance) & (above > 0.0)
        again = far & (n >= fewest) & (factor > 0.0) & (state[c + FLAG] == PASS)
        state[c + FLAG] = state[c + FLAG] if state[c + FLAG] == ALONE else PASS if again else NOTHING
        many += 1 if again else 0
    return many


@inner_function
def narrow_below(buffer, size, options, first, state):
    """Move the lower ends past rejected samples, and subtract these from the sums.

    No window begins behind row ``first``; returns it as it is now. Both limits of the pass are written to ``state``.
    """
    by_mean, ddof = 1.0 if options.center == MEAN else 0.0, options.ddof
    low2, high2 = options.low * options.low, options.high * options.high
    for c in range(size):
        some = state[c + FLAG] == PASS
        state[c + BASE] = state[c + ORIGIN] if by_mean > 0.0 else state[c + CENTER]
        state[c + SHIFT] = by_mean * state[c + S1]
        state[c + LOW] = low2 * state[c + VARIANCE] if some else np.inf
        state[c + HIGH] = high2 * state[c + VARIANCE] if some else np.inf
        state[c + OLD_HI] = state[c + HI]
    k, moved = np.intp(0), 1
    while moved > 0 or k <= first:  # samples are rejected from the ends, so a row without one is the end
        row, moved = buffer[k], 0
        for c in range(size):
            x, n = np.float64(row[c]), state[c + N]
            r = (x - state[c + BASE]) * n - state[c + SHIFT]
            out = (r < 0.0) & (r * r * (n - ddof) > state[c + LOW])
            out &= (state[c + LO] == k) & (k < state[c + HI])
            y = x - state[c + ORIGIN]
            state[c + LO] += 1.0 if out else 0.0
            state[c + S1] -= y if out else 0.0
            state[c + S2] -= y * y if out else 0.0
            moved += 1 if out else 0
        k += 1
        first = k if moved > 0 and k > first else first
    return first


@inner_function
def narrow_above(buffer, size, options, last, state):
    """As `narrow_below`, for upper ends; no window ends before row ``last``."""
    ddof = options.ddof
    k, moved = np.intp(buffer.shape[0] - 3), 1
    while k >= 0 and (moved > 0 or k >= last - 1):
        row, moved = buffer[k], 0
        for c in range(size):
            n = state[c + N]
            r = (np.float64(row[c]) - state[c + BASE]) * n - state[c + SHIFT]
            out = (r > 0.0) & (r * r * (n - ddof) > state[c + HIGH])
            out &= (state[c + HI] == k + 1) & (k >= state[c + LO])
            state[c + HI] -= 1.0 if out else 0.0
            moved += 1 if out else 0
        last = k if moved > 0 and k < last else last
        k -= 1
    for k in range(last, buffer.shape[0] - 2):  # upwards, as in `without`
        row = buffer[k]
        for c in range(size):
            y = np.float64(row[c]) - state[c + ORIGIN]
            out = (state[c + HI] <= k) & (k < state[c + OLD_HI])
            state[c + S1] -= y if out else 0.0
            state[c + S2] -= y * y if out else 0.0
    return last


@inner_function
def find_centers(buffer, size, state):
    """Count, median and ends of the windows; returns how many columns need new sums, which have a BASE of 1."""
    many = 0
    for c in range(size):
        lo, hi = np.intp(state[c + LO]), np.intp(state[c + HI])
        end = hi - 1 if hi > lo else lo  # an empty window has any centre
        # unsigned, as numba counts negative numbers from the end
        a, b = np.float64(buffer[np.uintp((lo + end) >> 1), c]), np.float64(buffer[np.uintp((lo + end + 1) >> 1), c])
        state[c + CENTER] = middle(a, b)
        state[c + LEAST] = buffer[np.uintp(lo), c]
        state[c + MOST] = buffer[np.uintp(end), c]
    for c in range(size):
        n, s1, s2 = state[c + HI] - state[c + LO], state[c + S1], state[c + S2]
        state[c + N] = n
        fresh = (64.0 * s2 > state[c + WHOLE]) & (64.0 * (n * s2 - s1 * s1) > n * s2)
        stale = (state[c + FLAG] == PASS) & (not fresh)
        left, right = state[c + CENTER] - state[c + LEAST], state[c + MOST] - state[c + CENTER]
        spread = left if left > right else right
        alone = stale & (spread != 0.0) & (not ((spread > TINY) & (spread < HUGE)))
        state[c + FLAG] = ALONE if alone else state[c + FLAG]
        state[c + WHOLE] = np.nan if alone else state[c + WHOLE]
        state[c + BASE] = 1.0 if stale & (not alone) else 0.0
        many += 1 if stale else 0
    return many


@inner_function
def renew_sums(buffer, size, first, last, state):
    """Make the sums anew about the new median where BASE is 1; frame after frame, as in `scaled_moments`."""
    for c in range(size):
        state[c + LOW] = 0.0
        state[c + HIGH] = 0.0
    k, frames = np.intp(0), buffer.shape[0] - 2
    while k < frames:
        row, second = buffer[k], buffer[k + 1]
        if first <= k and k + 4 <= last:  # these rows are in all windows
            third, fourth = buffer[k + 2], buffer[k + 3]
            for c in range(size):
                center = state[c + CENTER]
                y, z = np.float64(row[c]) - center, np.float64(second[c]) - center
                v, w = np.float64(third[c]) - center, np.float64(fourth[c]) - center
                state[c + LOW] = (((state[c + LOW] + y) + z) + v) + w
                state[c + HIGH] = (((state[c + HIGH] + y * y) + z * z) + v * v) + w * w
            k += 4
            continue
        for c in range(size):
            center, lo, hi = state[c + CENTER], state[c + LO], state[c + HI]
            y = np.float64(row[c]) - center if (lo <= k) & (k < hi) else 0.0
            z = np.float64(second[c]) - center if (lo <= k + 1) & (k + 1 < hi) else 0.0
            state[c + LOW] = (state[c + LOW] + y) + z
            state[c + HIGH] = (state[c + HIGH] + y * y) + z * z
        k += 2
    for c in range(size):
        new = state[c + BASE] > 0.0
        state[c + S1] = state[c + LOW] if new else state[c + S1]
        state[c + S2] = state[c + HIGH] if new else state[c + S2]
        state[c + WHOLE] = state[c + HIGH] if new else state[c + WHOLE]
        state[c + ORIGIN] = state[c + CENTER] if new else state[c + ORIGIN]


@inner_function
def finish(n, pads, a, b, total, state):
    """Set bounds, counts and sums of all columns; the ends of their windows are known."""
    before, behind = np.float64(pads[1]), np.float64(pads[0])
    for c in range(n.size):
        a[c] = state[c + LEAST] if state[c + HI] > state[c + LO] else behind
    for c in range(n.size):
        b[c] = state[c + MOST] if state[c + HI] > state[c + LO] else before
    for c in range(n.size):
        n[c] = state[c + HI] - state[c + LO]
    for c in range(total.size):
        k = state[c + HI] - state[c + LO]
        total[c] = state[c + S1] + k * state[c + ORIGIN] if k > 0.0 else 0.0
