"""What the maps of a product need beside its image, in one look at the samples.

Each kernel goes through 512 pixels with all their frames, so that later looks at them find them in cache.
"""

import math

import numpy as np

from xccd.kernels.compiled.block import sort_block
from xccd.kernels.compiled.clip import both_nearest
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.spread import spread_of, squares
from xccd.kernels.compiled.sums import COLUMNS, LEAST, MOST, REST, STRIDE, WHOLE, widen
from xccd.kernels.compiled.window import median_distance, middle
from xccd.kernels.limits import MAD_TO_STD

# Places of a row of samples: the bounds before the clips and after them, and the counts of samples between these.
INNER_LEAST, INNER_MOST, LAST = STRIDE, 2 * STRIDE, 3 * STRIDE
LOW, HIGH = 4 * STRIDE, 5 * STRIDE
SAMPLES = 6 * STRIDE
SHARE = 8  # if no more than one pixel in so many lost a sample, only these are gone through
MOST_COUNTED = 32767  # frames: counts are of the dtype of the samples


@inner_function
def squares_of_four(row, other, third, last, acc):
    """`spread.squares` of four frames, which are added in their order; it takes two thirds of the time."""
    for c in range(row.size):
        least, most, mean = acc[c + LEAST], acc[c + MOST], acc[c + WHOLE]
        v, w, p, q = np.float64(row[c]), np.float64(other[c]), np.float64(third[c]), np.float64(last[c])
        v = v - mean if (v >= least) & (v <= most) else 0.0
        w = w - mean if (w >= least) & (w <= most) else 0.0
        p = p - mean if (p >= least) & (p <= most) else 0.0
        q = q - mean if (q >= least) & (q <= most) else 0.0
        acc[c] = (((acc[c] + v) + w) + p) + q
        acc[c + REST] = (((acc[c + REST] + v * v) + w * w) + p * p) + q * q


@inner_function
def residual_sums(x, first, least, most, number, total, acc):
    """As `spread.residual_sums`, about means that are known."""
    size, frames = least.size, x.shape[0]
    widen(least, most, acc)
    for c in range(size):
        acc[c + WHOLE] = total[c] / number[c] if number[c] > 0 else 0.0
        acc[c] = 0.0
        acc[c + REST] = 0.0
    done = frames // 4 * 4
    for k in range(0, done, 4):
        squares_of_four(
            x[k, first : first + size], x[k + 1, first : first + size], x[k + 2, first : first + size],
            x[k + 3, first : first + size], acc,
        )  # fmt: skip
    for k in range(done, frames):
        squares(x[k, first : first + size], acc)


@inner_function
def deviations(x, first, least, most, number, ddof, acc, out):
    """Write the standard deviations from the sums. All pixels at once, then those that need `spread_of`: 4 ms less."""
    for c in range(out.size):
        acc[c + WHOLE] = number[c]
    odd = 0
    for c in range(out.size):
        s1, s2, n = acc[c], acc[c + REST], acc[c + WHOLE]
        variance = (s2 - s1 * s1 / n) / (n - ddof)
        out[c] = math.sqrt(variance if variance > 0.0 else 0.0)
    for c in range(out.size):
        odd += 0 if (acc[c + WHOLE] > ddof) & (acc[c + REST] > 1e-250) & (acc[c + REST] < 1e250) else 1
    if odd > 0:
        for c in range(out.size):
            if not ((number[c] > ddof) & (acc[c + REST] > 1e-250) & (acc[c + REST] < 1e250)):
                variance, unit = spread_of(
                    x, first + c, least[c], most[c], number[c], ddof, acc[c], acc[c + REST]
                )  # fmt: skip
                out[c] = math.sqrt(variance) / unit


@inner_function
def place_bounds(least, most, lowest, greatest, number, zero, room):
    """Write all bounds to their places; those of a pixel without a sample in use so that nothing is counted."""
    for c in range(least.size):
        room[c], room[c + LAST] = lowest[c], greatest[c]
    for c in range(least.size):
        room[c + INNER_LEAST] = least[c] if number[c] > 0 else lowest[c]
    for c in range(least.size):
        room[c + INNER_MOST] = most[c] if number[c] > 0 else greatest[c]
    for c in range(least.size):
        room[c + LOW] = room[c + HIGH] = zero


@inner_function
def count_sides(row, zero, one, room):
    """Count the samples of one frame between the outer and the inner bounds, for each pixel."""
    for c in range(row.size):
        v = row[c]
        room[c + LOW] += one if (v >= room[c]) & (v < room[c + INNER_LEAST]) else zero
        room[c + HIGH] += one if (v > room[c + INNER_MOST]) & (v <= room[c + LAST]) else zero


@inner_function
def count_frame(row, room):
    """The same counts, of the frame."""
    below, above = np.int32(0), np.int32(0)
    for c in range(row.size):  # int32: numba would widen a sum to 64 bits, and so all lanes
        v = row[c]
        down, up = (v >= room[c]) & (v < room[c + INNER_LEAST]), (v > room[c + INNER_MOST]) & (v <= room[c + LAST])
        below = np.int32(below + (np.int32(1) if down else np.int32(0)))
        above = np.int32(above + (np.int32(1) if up else np.int32(0)))
    return below, above


@inner_function
def sides_of_few(x, first, least, most, lowest, greatest, number, low, high, by_frame):
    """The counts of the pixels that have fewer samples in use than frames, one by one."""
    for c in range(least.size):
        low[c] = 0
    for c in range(least.size):
        high[c] = 0
    for c in range(least.size):
        if number[c] == x.shape[0] or number[c] == 0:
            continue
        left, k, first_in, last_in = x.shape[0] - number[c], 0, least[c], most[c]
        while left > 0:  # until all samples that are not in use are found
            v = x[k, first + c]
            if not ((v >= first_in) & (v <= last_in)):
                left -= 1
                if (v < first_in) & (v >= lowest[c]):
                    low[c] += 1
                    by_frame[0, k] += 1
                elif (v > last_in) & (v <= greatest[c]):
                    high[c] += 1
                    by_frame[1, k] += 1
            k += 1


@inner_function
def sides_of_all(x, first, pads, low, high, by_frame, room):
    """The counts of all pixels at once."""
    for k in range(x.shape[0]):
        row = x[k, first : first + low.size]
        count_sides(row, pads[2], pads[3], room)
        below, above = count_frame(row, room)
        by_frame[0, k] += below
        by_frame[1, k] += above
    for c in range(low.size):
        low[c], high[c] = np.int32(room[c + LOW]), np.int32(room[c + HIGH])


@kernel
def survey(pixels, before, number, total, ddof, scratch, spread, low, high, by_frame):
    """Write the standard deviation to ``spread``, and count the samples that clips rejected, if they have room.

    ``total`` are the sums of the samples in use and ``number`` their counts, so the means are known. ``before`` are the
    bounds before the clips: ``low`` and ``high`` get the per-pixel counts of samples between these and the bounds of
    ``pixels``. They are added to ``by_frame`` (2, frames). A pixel without a sample in use has counts of 0.
    """
    x, start, stop, least, most, _ = pixels
    lowest, greatest, _ = before
    pads, room, acc = scratch.pads, scratch.buffer[0], scratch.sums
    for i in range(0, stop - start, COLUMNS):
        a, b, n = least[i : i + COLUMNS], most[i : i + COLUMNS], number[i : i + COLUMNS]
        if spread.size > 0:
            residual_sums(x, start + i, a, b, n, total[i : i + COLUMNS], acc)
            deviations(x, start + i, a, b, n, ddof, acc, spread[i : i + COLUMNS])
        if low.size == 0:
            continue
        few = 0
        for c in range(a.size):
            few += 1 if n[c] < x.shape[0] else 0
        first, last = lowest[i : i + COLUMNS], greatest[i : i + COLUMNS]
        down, up = low[i : i + COLUMNS], high[i : i + COLUMNS]
        if few * SHARE <= a.size or x.shape[0] > MOST_COUNTED:
            sides_of_few(x, start + i, a, b, first, last, n, down, up, by_frame)
        else:
            place_bounds(a, b, first, last, n, pads[2], room)
            sides_of_all(x, start + i, pads, down, up, by_frame, room)


@kernel
def median_and_mad(pixels, number, scratch, center, mad):
    """The median of each pixel, and its scaled median absolute deviation from it, by one sort."""
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, acc = scratch
    columns, frames = buffer.shape[1], x.shape[0]
    med, inner, outer = acc[:columns], acc[columns : 2 * columns], acc[2 * columns : 3 * columns]
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        for c in range(n.size):
            low, high = buffer[(n[c] - 1) // 2 if n[c] else 0, c], buffer[n[c] // 2 if n[c] else 0, c]
            med[c] = middle(np.float64(low), np.float64(high))
        both_nearest(buffer, frames, med, inner, outer)  # right for full columns, which most are
        for c in range(n.size):
            outer[c] = middle(inner[c], outer[c])
        for c in range(n.size):
            if n[c] < frames:
                outer[c] = median_distance(buffer, c, 0, n[c], med[c]) if n[c] else np.nan
                med[c] = med[c] if n[c] else np.nan
        for c in range(n.size):
            center[i + c], mad[i + c] = med[c], MAD_TO_STD * outer[c]


@inner_function
def add_squares(row, errors, acc):
    """Add the squared errors of one frame's samples in use; returns the count of errors below 0."""
    wrong = 0
    for c in range(row.size):
        v, error = np.float64(row[c]), np.float64(errors[c])
        keep = (v >= acc[c + LEAST]) & (v <= acc[c + MOST])
        acc[c] += error * error if keep else 0.0
        wrong += 1 if keep & (error < 0.0) else 0
    return wrong


@inner_function
def add_inverses(row, errors, acc):
    """Add the inverse errors of one frame's samples in use."""
    for c in range(row.size):
        v, error = np.float64(row[c]), np.float64(errors[c])
        keep = (v >= acc[c + LEAST]) & (v <= acc[c + MOST])
        # the root of the square, as for other errors; of float32 both are exact
        size = abs(error) if errors.itemsize == 4 else math.sqrt(error * error)
        acc[c + REST] += 1.0 / size if keep else 0.0


@kernel
def own_errors(pixels, errors, at, ranks, acc, squared, inverse):
    """Sums of s^2 and, if ``ranks``, of 1 / s for errors s, as rows 1 and 3 of `scatter.error_sums` without weights.

    Pixel ``start`` of the samples is pixel ``at`` of the errors. Returns the count of errors below 0.
    """
    x, start, stop, least, most, _ = pixels
    wrong = 0
    for i in range(0, stop - start, COLUMNS):
        a, b = least[i : i + COLUMNS], most[i : i + COLUMNS]
        size = a.size
        widen(a, b, acc)
        acc[:WHOLE] = 0.0
        for k in range(x.shape[0]):
            row, error = x[k, start + i : start + i + size], errors[k, at + i : at + i + size]
            wrong += add_squares(row, error, acc)
            if ranks:
                add_inverses(row, error, acc)
        for c in range(size):
            squared[i + c], inverse[i + c] = acc[c], acc[c + REST]
    return wrong
