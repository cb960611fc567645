"""Linear fit: a line through each sorted column, pass after pass, for all columns of a block at once.

After a pass the columns that lost a sample are gathered without it into a small dense block, on which the next pass
works. So passes become cheaper, and no loop has to look at samples that are gone. The sums are made anew for what is
left: their order, and so their rounding, does not depend on what was rejected before.
"""

import numpy as np

from xccd.kernels.compiled.columns import WIDTH
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.rank_marks import HIGH, LOW, ends_of, nth
from xccd.kernels.compiled.window import middle

STRAIGHT = 1e-12  # residuals that are smaller parts of the spread are rounding: all samples are on the line
FEWEST = 5  # samples for a line
# Numbers of the columns, in one array at fixed places. With an array for each, LLVM makes no vector code.
MED, N, BASE, SLOPE, MEAN, LEAST, MOST, SPREAD, FLAG, LAST_LOW, FIRST_HIGH, OUT = (i * WIDTH for i in range(12))
FEWEST_OF, MOST_OF = 12 * WIDTH, 12 * WIDTH + 1  # counts of all columns
PLACES = MOST_OF + 1


@kernel
def linear_fit(blocks, number, lo, hi, options, odd, found):
    """Samples far from a straight line through the sorted column, in mean absolute residuals.

    ``lo`` and ``hi`` become the ranks of the outermost samples that stay. Where others between them are out, ``odd``
    becomes True, and ``found`` (pixels, frames), 0 before, gets the flag of each rejected sample by its rank.
    """
    low, high, frames, width = options[0], options[1], blocks.shape[1], blocks.shape[2]
    state, some, taken = np.zeros(PLACES), np.empty(WIDTH, np.int64), np.empty((2, frames))
    room = some, np.empty(WIDTH, np.int64), np.empty(WIDTH, np.int64), taken
    # Rows that are not a power of two apart: else a column does not fit an L1 cache.
    dense, other = np.empty((frames, lo.size + 8)), np.empty((frames, lo.size + 8))
    columns, left, many, step = np.arange(lo.size), number.astype(np.int64), lo.size, width
    new_columns, new_left, first = np.empty(lo.size, np.int64), np.empty(lo.size, np.int64), True
    while many > 0:
        ready = 0
        for i in range(0, many, step):
            y, start = (blocks[i // width], 0) if first else (dense, i)
            n = left[i : min(i + step, many)]
            begin(y, start, n, state)
            if passed(y, start, n.size, state, low, high):
                given = columns[i : i + n.size], new_columns, new_left, lo, hi, odd, found
                ready = without_rejected(y, start, n.size, other, ready, state, number, given, room)
        many, step, first, dense, other = ready, WIDTH, False, other, dense
        columns, left, new_columns, new_left = new_columns, new_left, columns, left


@inner_function
def begin(y, first, n, state):
    """Write count, median and spread of the columns."""
    fewest, most = y.shape[0], 0
    for c in range(n.size):
        k = np.intp(n[c])
        fewest, most = min(fewest, k), max(most, k)
        last = max(k - 1, 0)
        state[c + N] = k
        state[c + MED] = middle(y[np.uintp(last >> 1), first + c], y[np.uintp(k >> 1 if k > 1 else 0), first + c])
        state[c + SPREAD] = y[np.uintp(last), first + c] - y[0, first + c]
    state[FEWEST_OF], state[MOST_OF] = fewest, most


@inner_function
def passed(y, first, size, state, low, high):
    """Fit lines, and flag the columns that lose a sample; returns whether there are some."""
    sums(y, first, size, state)
    for c in range(size):
        m, s1 = state[c + N], state[c + BASE]
        half = 0.5 * (m - 1.0)
        slope = (state[c + SLOPE] - half * s1) * 12.0 / (m * (m * m - 1.0))
        state[c + BASE] = s1 / m - slope * half
        state[c + SLOPE] = slope
    residuals(y, first, size, state)
    many = 0
    for c in range(size):
        mean = state[c + MEAN] / state[c + N]
        least, greatest = -low * mean, high * mean
        far = (state[c + LEAST] < least) | (state[c + MOST] > greatest)
        far &= (state[c + N] >= FEWEST) & (mean > STRAIGHT * state[c + SPREAD])
        state[c + LEAST], state[c + MOST] = least, greatest
        state[c + FLAG] = 1.0 if far else 0.0
        many += 1 if far else 0
    return many > 0


@inner_function
def sums(y, start, size, state):
    """Write the sums of residuals about the median, and of these times their ranks; four rows at a time."""
    for c in range(size):
        state[c + BASE] = 0.0
        state[c + SLOPE] = 0.0
    whole, most, end = np.intp(state[FEWEST_OF]) // 4 * 4, np.intp(state[MOST_OF]), start + size
    for k in range(0, whole, 4):
        first, second, rank = y[k, start:end], y[k + 1, start:end], np.float64(k)
        third, fourth = y[k + 2, start:end], y[k + 3, start:end]
        for c in range(size):
            med = state[c + MED]
            a, b, d, e = first[c] - med, second[c] - med, third[c] - med, fourth[c] - med
            state[c + BASE] = (((state[c + BASE] + a) + b) + d) + e
            state[c + SLOPE] = (((state[c + SLOPE] + rank * a) + (rank + 1.0) * b) + (rank + 2.0) * d) + (
                rank + 3.0
            ) * e
    for k in range(whole, most):
        row, rank = y[k, start:end], np.float64(k)
        for c in range(size):
            a = row[c] - state[c + MED] if rank < state[c + N] else 0.0
            state[c + BASE] += a
            state[c + SLOPE] += rank * a


@inner_function
def residuals(y, start, size, state):
    """Write the sum of the sizes of residuals about the line, the least and the greatest of them."""
    for c in range(size):
        state[c + MEAN] = 0.0
        state[c + LEAST] = 0.0
        state[c + MOST] = 0.0
    whole, most, end = np.intp(state[FEWEST_OF]) // 4 * 4, np.intp(state[MOST_OF]), start + size
    for k in range(0, whole, 4):
        first, second, rank = y[k, start:end], y[k + 1, start:end], np.float64(k)
        third, fourth = y[k + 2, start:end], y[k + 3, start:end]
        for c in range(size):
            med, base, slope = state[c + MED], state[c + BASE], state[c + SLOPE]
            a = (first[c] - med) - (base + rank * slope)
            b = (second[c] - med) - (base + (rank + 1.0) * slope)
            d = (third[c] - med) - (base + (rank + 2.0) * slope)
            e = (fourth[c] - med) - (base + (rank + 3.0) * slope)
            state[c + MEAN] = (((state[c + MEAN] + abs(a)) + abs(b)) + abs(d)) + abs(e)
            low, high = a if a < b else b, a if a > b else b
            low, high = d if d < low else low, d if d > high else high
            low, high = e if e < low else low, e if e > high else high
            state[c + LEAST] = low if low < state[c + LEAST] else state[c + LEAST]
            state[c + MOST] = high if high > state[c + MOST] else state[c + MOST]
    for k in range(whole, most):
        row, rank = y[k, start:end], np.float64(k)
        for c in range(size):
            a = (row[c] - state[c + MED]) - (state[c + BASE] + rank * state[c + SLOPE])
            a = a if rank < state[c + N] else 0.0
            state[c + MEAN] += abs(a)
            state[c + LEAST] = a if a < state[c + LEAST] else state[c + LEAST]
            state[c + MOST] = a if a > state[c + MOST] else state[c + MOST]


@inner_function
def outside(y, start, size, state):
    """Write the rank of the last sample that is too low, of the first one that is too high, and the count of both."""
    for c in range(size):
        state[c + LAST_LOW] = -1.0
        state[c + FIRST_HIGH] = state[c + N]
        state[c + OUT] = 0.0
    fewest, end = np.intp(state[FEWEST_OF]), start + size
    for k in range(np.intp(state[MOST_OF])):
        row, rank = y[k, start:end], np.float64(k)
        if k < fewest:
            for c in range(size):
                r = (row[c] - state[c + MED]) - (state[c + BASE] + rank * state[c + SLOPE])
                is_low, is_high = r < state[c + LEAST], r > state[c + MOST]
                state[c + LAST_LOW] = rank if is_low else state[c + LAST_LOW]
                state[c + FIRST_HIGH] = rank if is_high & (rank < state[c + FIRST_HIGH]) else state[c + FIRST_HIGH]
                state[c + OUT] += 1.0 if is_low | is_high else 0.0
            continue
        for c in range(size):
            r = (row[c] - state[c + MED]) - (state[c + BASE] + rank * state[c + SLOPE])
            r = r if rank < state[c + N] else 0.0
            is_low, is_high = r < state[c + LEAST], r > state[c + MOST]
            state[c + LAST_LOW] = rank if is_low else state[c + LAST_LOW]
            state[c + FIRST_HIGH] = rank if is_high & (rank < state[c + FIRST_HIGH]) else state[c + FIRST_HIGH]
            state[c + OUT] += 1.0 if is_low | is_high else 0.0


@inner_function
def without_rejected(y, start, size, to, ready, state, number, given, room):
    """Copy the columns that lost samples without these, behind those that are ``ready``; returns how many are then."""
    outside(y, start, size, state)
    columns, new_columns, new_left, lo, hi, odd, found = given
    some, offsets, gaps, taken = room
    many, rest, first = 0, 0, ready
    for c in range(size):
        some[many] = c
        many += 1 if state[c + FLAG] > 0.0 else 0
    for q in range(many):
        c = np.intp(some[q])
        p, n, lows = columns[c], np.intp(state[c + N]), np.intp(state[c + LAST_LOW]) + 1
        highs = n - np.intp(state[c + FIRST_HIGH])
        left = n - lows - highs
        gap = n
        if left > 0 and lows + highs == np.intp(state[c + OUT]):  # at the ends alone
            lo[p], hi[p] = strip(found[p], lo[p], hi[p], lows, highs, odd[p])
        elif left > 0 and state[c + OUT] == 1.0:  # two of five columns lose a single one between others
            gap = lows - 1 if lows > 0 else n - highs
            lows, left = 0, n - 1
            make_odd(found[p], p, number[p], lo, hi, odd)
            found[p, nth(found[p], gap)] = LOW if highs == 0 else HIGH
        else:
            some[rest] = c
            rest += 1
            continue
        new_columns[ready], new_left[ready], gaps[ready - first] = p, left, gap
        offsets[ready - first] = lows * y.shape[1] + start + c
        ready += 1 if left >= FEWEST else 0
    gather(y, np.intp(state[MOST_OF]), to, first, ready, offsets, gaps)
    for q in range(rest):
        c = np.intp(some[q])
        p = columns[c]
        left = without(y, start + c, c, to, ready, state, taken)
        make_odd(found[p], p, number[p], lo, hi, odd)
        for i in range(np.intp(state[c + N]) - left):
            found[p, nth(found[p], np.intp(taken[0, i]) - i)] = LOW if taken[1, i] < 0.0 else HIGH
        lo[p], hi[p], _ = ends_of(found[p], number[p])
        new_columns[ready], new_left[ready] = p, left
        ready += 1 if left >= FEWEST else 0
    return ready


@inner_function
def strip(found, lo, hi, lows, highs, is_odd):
    """Take samples from both ends of the window, and mark them if it is odd; returns the new window. A sample stays."""
    if not is_odd:
        return lo + lows, hi - highs
    for _ in range(lows):
        found[lo] = LOW
        while found[lo] != 0:
            lo += 1
    for _ in range(highs):
        found[hi - 1] = HIGH
        while found[hi - 1] != 0:
            hi -= 1
    return lo, hi


@inner_function
def make_odd(found, p, number, lo, hi, odd):
    """Make a column odd: mark what is outside its window."""
    if not odd[p]:
        for k in range(number):
            found[k] = LOW if k < lo[p] else HIGH if k >= hi[p] else 0
    odd[p] = True


@inner_function
def gather(y, most, to, first, stop, offsets, gaps):
    """Copy columns that begin at these places of ``y`` to ``first <= j < stop``, row after row, each but one row."""
    samples, last, width = y.reshape(-1), y.size - 1, y.shape[1]
    for k in range(most):
        row, skip = to[k, first:stop], k * width
        for c in range(row.size):
            row[c] = samples[np.uintp(min(offsets[c] + skip + (width if k >= gaps[c] else 0), last))]


@inner_function
def without(y, place, c, to, j, state, taken):
    """Copy one column without the samples that are out; returns how many stay. ``taken`` gets ranks and residuals.

    No branch: which sample is out cannot be predicted, and two wrong guesses take as long as all samples.
    """
    med, base, slope, least, most = state[c + MED], state[c + BASE], state[c + SLOPE], state[c + LEAST], state[c + MOST]
    left = 0
    for k in range(np.intp(state[c + N])):
        value, rank = y[np.uintp(k), np.uintp(place)], np.float64(k)
        r = (value - med) - (base + rank * slope)
        to[np.uintp(left), np.uintp(j)] = value
        taken[0, np.uintp(k - left)] = rank
        taken[1, np.uintp(k - left)] = r
        left += 0 if (r < least) | (r > most) else 1
    return left
