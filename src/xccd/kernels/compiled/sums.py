"""Combination by sums: frame after frame in their order, many pixels at a time, without sorting.

``total + rest`` is the sum so far. ``rest`` collects the rounding error of each addition (Knuth's two-sum). Adding 0
changes neither, so a missing sample and no sample give the same bits. If no sum can round (integers, or float32 of
like size) ``rest`` would stay 0 and is not computed.
"""

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel

COLUMNS = 512  # pixels of a block of sums: their accumulators fill half of L1
# All accumulators are in one array at fixed places. With two arrays LLVM would have to check whether they overlap.
# Between places of one pixel: not 4096 bytes, as the processor takes a load for one of a store so many bytes away. In
# some processes that made 64 ms of 33 for a standard deviation, and 31 of 19 for a mean of both signs.
STRIDE = COLUMNS + 16
REST = STRIDE
WHOLE = 2 * STRIDE
# The bounds as float64: LLVM converts a number faster than the result of a choice.
LEAST, MOST = 3 * STRIDE, 4 * STRIDE
PLACES = 5 * STRIDE
# Places of a row of samples: those in use of two frames, and least, greatest and count of each pixel.
OTHER, LOW, HIGH, NUMBER = STRIDE, 2 * STRIDE, 3 * STRIDE, 4 * STRIDE
SAMPLES = 5 * STRIDE
AGAIN = 16  # after a block whose sums may round, so many blocks are not tried


@inner_function
def add(row, exact, acc):
    """Add all samples of one frame to ``acc``, by two-sum unless ``exact``."""
    if exact:
        for c in range(row.size):
            acc[c] += np.float64(row[c])
        return
    for c in range(row.size):
        a, b = acc[c], np.float64(row[c])
        t = a + b
        z = t - a
        acc[c] = t
        acc[c + REST] += (a - (t - z)) + (b - z)  # exactly what rounding took from t


@inner_function
def take(row, least, most, zero, taken):
    """Write one frame's samples to ``taken``, 0 for samples not in use."""
    for c in range(row.size):
        v = row[c]
        taken[c] = (v if (v >= least[c]) & (v <= most[c]) else zero) + zero


@inner_function
def count_between(row, least, most, number):
    """Add 1 to the per-pixel count for one frame's samples in use."""
    # A loop of its own: int32 counters beside float32 lanes take 1.0 ns a sample, not 0.2.
    for c in range(row.size):
        v = row[c]
        number[c] += np.int32(1) if (v >= least[c]) & (v <= most[c]) else np.int32(0)


@inner_function
def sum_block(x, first, least, most, bounded, known, exact, pads, number, taken, acc):
    """Write sums to the first ``COLUMNS`` of ``acc``, and the per-pixel count to ``number`` unless it is known."""
    frames, size = x.shape[0], least.size
    zero = pads[2]
    acc[:WHOLE] = 0.0
    clean = not bounded
    if clean:  # first without tests: a sample that is not finite would make the sum not finite
        for k in range(frames):
            add(x[k, first : first + size], exact, acc)
        for c in range(size):
            clean &= acc[c] - acc[c] == 0.0  # false for infinity and NaN
        if not known:
            number[:size] = frames
    if not clean:
        acc[:WHOLE] = 0.0
        for k in range(frames):
            take(x[k, first : first + size], least, most, zero, taken)
            add(taken[:size], exact, acc)
        if not known:
            number[:size] = 0
            for k in range(frames):
                count_between(x[k, first : first + size], least, most, number)
    for c in range(size):
        acc[c] += acc[c + REST] if abs(acc[c + REST]) < np.inf else 0.0  # the rest of an infinite sum is NaN


@inner_function
def add_all(x, first, size, acc, room):
    """Plain sums of all samples, four frames at a time, and the least and the greatest of each pixel."""
    for c in range(size):
        acc[c] = 0.0
    row = x[0, first : first + size]
    for c in range(size):
        room[c + LOW] = room[c + HIGH] = row[c]
        room[c + NUMBER] = x.shape[0]
    for k in range(0, x.shape[0], 4):
        rest = x.shape[0] - k
        row, other = x[k, first : first + size], x[k + min(1, rest - 1), first : first + size]
        third, last = x[k + min(2, rest - 1), first : first + size], x[k + min(3, rest - 1), first : first + size]
        for c in range(size):
            a = row[c] if row[c] < other[c] else other[c]
            b = third[c] if third[c] < last[c] else last[c]
            a = a if a < b else b
            room[c + LOW] = a if a < room[c + LOW] else room[c + LOW]
            a = row[c] if row[c] > other[c] else other[c]
            b = third[c] if third[c] > last[c] else last[c]
            a = a if a > b else b
            room[c + HIGH] = a if a > room[c + HIGH] else room[c + HIGH]
        if rest >= 4:
            for c in range(size):
                left = np.float64(row[c]) + np.float64(other[c])
                acc[c] += left + (np.float64(third[c]) + np.float64(last[c]))
            continue
        for i in range(k, x.shape[0]):
            row = x[i, first : first + size]
            for c in range(size):
                acc[c] += np.float64(row[c])


@inner_function
def add_in_use(x, first, least, most, pads, acc, room):
    """Plain sums of the samples in use, two frames at a time, and least, greatest and count of each pixel."""
    size, zero, one = least.size, pads[2], pads[3]
    for c in range(size):
        acc[c] = 0.0
    for c in range(size):
        room[c + LOW], room[c + HIGH], room[c + NUMBER] = pads[0], pads[1], zero
    for k in range(0, x.shape[0], 2):
        both = k + 1 < x.shape[0]
        row, other = x[k, first : first + size], x[k + 1 if both else k, first : first + size]
        for c in range(size):
            v, w = row[c], other[c]
            valid = (v >= least[c]) & (v <= most[c])
            second = (w >= least[c]) & (w <= most[c]) & both
            room[c] = v if valid else zero
            room[c + OTHER] = w if second else zero
            room[c + NUMBER] += (one if valid else zero) + (one if second else zero)
            low, high = room[c + LOW], room[c + HIGH]
            lower, higher = v if valid else low, v if valid else high
            low, high = lower if lower < low else low, higher if higher > high else high
            lower, higher = w if second else low, w if second else high
            room[c + LOW] = lower if lower < low else low
            room[c + HIGH] = higher if higher > high else high
        for c in range(size):
            acc[c] += np.float64(room[c]) + np.float64(room[c + OTHER])


@inner_function
def verdict(frames, size, acc, room):
    """0 if no sum can have rounded, as in `engine._never_rounds`; 1 if one can; 2 if a sum is not finite."""
    wrong, holes, most = 0, 0, frames * 2.0**-28
    for c in range(size):
        low, high = np.float64(room[c + LOW]), np.float64(room[c + HIGH])
        fits = (low > 0.0) & (high * most < low)
        fits |= (high < 0.0) & (low * most > high)
        wrong += 0 if fits | (low > high) else 1  # without a sample the least is above the greatest
        holes += 0 if acc[c] - acc[c] == 0.0 else 1
    return 2 if holes > 0 else 1 if wrong > 0 else 0


@kernel
def sums(pixels, counts, request, scratch, out):
    """Sum, or with ``mode`` 1 the mean."""
    # Images are mostly float32 of one sign and like size. Their plain sums do not round, and take half of the time.
    x, start, stop, least, most, bounded = pixels
    known, number, exact = counts
    pads, room, acc = scratch.pads, scratch.buffer[0], scratch.sums
    frames, tested, wait = x.shape[0], bounded, 0 if x.itemsize == 4 else -1
    for i in range(0, stop - start, COLUMNS):
        a, b, n = least[i : i + COLUMNS], most[i : i + COLUMNS], number[i : i + COLUMNS]
        found = 2 if wait == 0 else 1
        while found == 2:  # first without tests, unless the block before had a missing sample
            if tested:
                add_in_use(x, start + i, a, b, pads, acc, room)
            else:
                add_all(x, start + i, a.size, acc, room)
            found = verdict(frames, a.size, acc, room)
            tested |= found == 2
            wait = AGAIN if found == 1 else 0
        if found == 1:
            wait -= 1 if wait > 0 else 0
            sum_block(x, start + i, a, b, bounded, known, exact, pads, n, room, acc)
        else:
            few = np.int32(0)
            for c in range(a.size):
                count = np.int32(room[c + NUMBER])
                few += np.int32(1) if count < frames else np.int32(0)
                n[c] = n[c] if known else count
            tested = bounded | (few > 0)
        for c in range(a.size):
            divisor = np.float64(n[c]) if request.mode > 0.0 else 1.0
            out[i + c] = acc[c] / divisor if n[c] > 0 else np.nan
    return 0


@inner_function
def widen(least, most, acc):
    """Write the bounds as float64 to their places in ``acc``."""
    for c in range(least.size):
        acc[c + LEAST] = least[c]
    for c in range(most.size):
        acc[c + MOST] = most[c]


@inner_function
def weigh_frame(row, w, acc):
    """Add w x and w for one frame's samples in use."""
    for c in range(row.size):
        v = np.float64(row[c])
        valid = (v >= acc[c + LEAST]) & (v <= acc[c + MOST])
        a, b = acc[c], (v if valid else 0.0) * w
        t = a + b
        z = t - a
        acc[c] = t
        acc[c + REST] += (a - (t - z)) + (b - z)
        acc[c + WHOLE] += w if valid else 0.0


@inner_function
def weigh_samples(row, weight, acc):
    """As `weigh_frame`, with a weight for each sample; returns the count of samples in use with an unusable weight."""
    unusable = 0
    for c in range(row.size):
        v, w = np.float64(row[c]), weight[c]
        valid = (v >= acc[c + LEAST]) & (v <= acc[c + MOST])
        usable = (w >= 0.0) & (w < np.inf)
        unusable += 1 if valid & (not usable) else 0
        w = w if valid & usable else 0.0
        a, b = acc[c], (v if w > 0.0 else 0.0) * w
        t = a + b
        z = t - a
        acc[c] = t
        acc[c + REST] += (a - (t - z)) + (b - z)
        acc[c + WHOLE] += w
    return unusable


@kernel
def weighted_sums(pixels, counts, request, scratch, out):
    """sum(w x), or with ``mode`` 1 sum(w x) / sum(w)."""
    x, start, stop, least, most, _ = pixels
    weights, mode = request.weights, request.mode
    acc = scratch.sums
    bad = 0
    for i in range(0, stop - start, COLUMNS):
        a, b = least[i : i + COLUMNS], most[i : i + COLUMNS]
        acc[:LEAST] = 0.0
        widen(a, b, acc)
        for k in range(x.shape[0]):
            row = x[k, start + i : start + i + a.size]
            frame = weights[k if weights.shape[0] > 1 else 0]
            if weights.shape[1] > 1:
                bad += weigh_samples(row, frame[i : i + a.size], acc)
            elif 0.0 < frame[0] < np.inf:
                weigh_frame(row, frame[0], acc)
            # NaN, infinite or negative: an error if the frame has a sample in use
            elif frame[0] != 0.0:
                for c in range(row.size):
                    bad += (row[c] >= a[c]) & (row[c] <= b[c])
        for c in range(a.size):
            total, whole = acc[c], acc[c + WHOLE]
            total += acc[c + REST] if abs(acc[c + REST]) < np.inf else 0.0
            out[i + c] = total / (whole if mode > 0.0 else 1.0) if whole > 0.0 else np.nan
    return bad
