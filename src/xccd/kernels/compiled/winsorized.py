"""Winsorized clip: the deviation comes from samples pulled in to a distance from the median, over and over."""

import math

import numpy as np

from xccd.kernels.compiled.columns import SURE, WIDTH, all_medians, median_of
from xccd.kernels.compiled.compile import inner_function, kernel

PULL, RAISE, STEADY, ROUNDS = 1.5, 1.134, 5e-4, 50  # as `plain.winsorized`
LEAST = 1e-6  # the default floor, in parts of the median or the deviation
FEWEST = 4


# Numbers of the columns, in one array at fixed places.
MED, M, S1, S2, DEVIATION, PULLED, LEAST_OF, MOVING, ORIGIN = (i * WIDTH for i in range(9))


@kernel
def winsorized(blocks, lo, hi, options, table):
    """Samples far from the median in winsorized deviations, until none is. ``floor`` below 0 is the default one.

    The columns that may lose a sample are gathered, so that their deviations are found together.
    """
    low, high, floor, frames, width = options[0], options[1], options[2], blocks.shape[1], blocks.shape[2]
    state, dense = np.zeros(9 * WIDTH), np.empty((frames, WIDTH))
    some, many = np.empty(lo.size, np.int64), 0
    for i in range(0, lo.size, width):
        n = hi[i : i + width]
        suspects(blocks[i // width], n, low, high, state)
        for c in range(n.size):
            some[many] = i + c
            many += 1 if state[c + MOVING] > 0.0 else 0
    state[ORIGIN:] = 0.0
    while many > 0:
        again = 0
        for i in range(0, many, WIDTH):
            own = some[i : min(i + WIDTH, many)]
            gather(blocks, own, lo, hi, dense, state)
            deviations(dense, own.size, floor, state)
            for c in range(own.size):
                p, s = own[c], state[c + DEVIATION]
                center, thresholds = state[c + MED], (s, low * s, high * s)
                a, b = narrowed(blocks[p // width], p % width, lo[p], hi[p], center, thresholds)
                goes = (b - a < hi[p] - lo[p]) & (b - a >= FEWEST)
                lo[p], hi[p] = a, b
                some[again] = p
                again += 1 if goes else 0
        many = again


@inner_function
def gather(blocks, own, lo, hi, dense, state):
    """Copy the windows of some columns as distances from their medians, 0 behind them."""
    width = blocks.shape[2]
    for j in range(own.size):
        p = own[j]
        block, c, a, n = blocks[p // width], p % width, lo[p], hi[p] - lo[p]
        med = median_of(block, c, a, hi[p])
        state[j + MED], state[j + M] = med, n
        for k in range(dense.shape[0]):
            dense[k, j] = block[np.uintp(a + k), np.uintp(c)] - med if k < n else 0.0


@inner_function
def narrowed(block, c, a, b, center, thresholds):
    """The window ``(a, b)`` without samples too far from the centre; all stay if the deviation is 0."""
    s, below, above = thresholds
    while a < b and s > 0.0 and block[a, c] - center < -below:
        a += 1
    while a < b and s > 0.0 and block[b - 1, c] - center > above:
        b -= 1
    return a, b


@inner_function
def suspects(block, n, low, high, state):
    """Set ``MOVING`` for the columns that may lose a sample, and 0 for others.

    No sample is rejected by a deviation S that is large enough for the farthest one. The deviation never falls below
    it if it is S or more at first, and 1.134 times that of samples pulled in to 1.5 S is S or more, too: samples pulled
    in less far never scatter less.
    """
    size, bottom = n.size, block[0]
    all_medians(block, n, state[ORIGIN : ORIGIN + size], state[MED : MED + size])
    for c in range(size):
        state[c + PULLED] = np.inf
    pulled_sums(block, size, state)
    for c in range(size):
        k, s1, med = np.float64(n[c]), state[c + S1], state[c + ORIGIN]
        variance = (state[c + S2] - s1 * s1 / k) / (k - 1.0)
        below, above = (med - bottom[c]) / low, (state[c + MED] - med) / high
        needed = (below if below > above else above) / SURE
        state[c + MOVING] = 0.0 if variance >= needed * needed else 1.0
        state[c + DEVIATION] = needed * needed
        state[c + PULLED] = PULL * needed
    pulled_sums(block, size, state)
    for c in range(size):
        k, s1 = np.float64(n[c]), state[c + S1]
        variance = (state[c + S2] - s1 * s1 / k) / (k - 1.0)
        state[c + MOVING] = state[c + MOVING] if RAISE * RAISE * variance >= state[c + DEVIATION] else 1.0
        state[c + MOVING] = state[c + MOVING] if n[c] >= FEWEST else 0.0


@inner_function
def deviations(dense, size, floor, state):
    """Write the winsorized deviation of each column. One that is steady keeps it."""
    for c in range(size):
        state[c + PULLED] = np.inf
        state[c + MOVING] = 1.0
    for rounds in range(ROUNDS + 1):
        pulled_sums(dense, size, state)
        for c in range(size):
            m, s1, old = state[c + M], state[c + S1], state[c + DEVIATION]
            variance = (state[c + S2] - s1 * s1 / m) / (m - 1.0)
            new = math.sqrt(variance if variance > 0.0 else 0.0)
            new = new if rounds == 0 else RAISE * new
            moves = state[c + MOVING] > 0.0
            steady = (rounds > 0) & (abs(new - old) <= STEADY * old)
            state[c + DEVIATION] = new if moves else old
            state[c + MOVING] = 1.0 if moves & (not steady) else 0.0
        if rounds == 0:
            for c in range(size):
                size_of, s = abs(state[c + MED]), state[c + DEVIATION]
                state[c + LEAST_OF] = LEAST * (size_of if size_of > s else s) if floor < 0.0 else floor
        many = 0
        for c in range(size):
            h = PULL * state[c + DEVIATION]
            state[c + PULLED] = h if (h < state[c + PULLED]) & (state[c + MOVING] > 0.0) else state[c + PULLED]
            many += 1 if state[c + MOVING] > 0.0 else 0
        if many == 0:
            break
    for c in range(size):
        s, least = state[c + DEVIATION], state[c + LEAST_OF]
        state[c + DEVIATION] = s if s > least else least


@inner_function
def pulled_sums(y, size, state):
    """Write the sums of distances from the origin, pulled in, and of their squares; four rows at a time."""
    for c in range(size):
        state[c + S1] = 0.0
        state[c + S2] = 0.0
    whole = y.shape[0] // 4 * 4
    for k in range(0, whole, 4):
        first, second, third, fourth = y[k], y[k + 1], y[k + 2], y[k + 3]
        for c in range(size):
            h, origin = state[c + PULLED], state[c + ORIGIN]
            a, b, d, e = first[c] - origin, second[c] - origin, third[c] - origin, fourth[c] - origin
            a, b, d, e = -h if a < -h else a, -h if b < -h else b, -h if d < -h else d, -h if e < -h else e
            a, b, d, e = h if a > h else a, h if b > h else b, h if d > h else d, h if e > h else e
            state[c + S1] = (((state[c + S1] + a) + b) + d) + e
            state[c + S2] = (((state[c + S2] + a * a) + b * b) + d * d) + e * e
    for k in range(whole, y.shape[0]):
        row = y[k]
        for c in range(size):
            r, h = row[c] - state[c + ORIGIN], state[c + PULLED]
            r = -h if r < -h else r
            r = h if r > h else r
            state[c + S1] += r
            state[c + S2] += r * r
