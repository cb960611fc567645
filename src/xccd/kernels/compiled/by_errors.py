"""Rejections by an error of each sample or frame: which sample is out does not follow from its rank alone.

The arguments of a rule, and of its first look, are those of `marks`.
"""

import math

import numpy as np

from xccd.kernels.compiled.columns import SURE, all_medians, mean_of, median_of
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import middle
from xccd.kernels.compiled.windows import first_centers
from xccd.kernels.flags import Flag

KINDS = 5  # of numbers of a frame in `errors`
LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)


@kernel
def look_errors(blocks, number, options, of_frames, of_samples, flag):
    """Pixels whose lowest or highest sample is out by the least deviation of any frame."""
    low, high = options[0], options[1]
    by_mean, fewest, _ = rules_of(options)
    width = blocks.shape[2]
    scratch, model = np.empty((4, width)), np.empty(KINDS)
    for j in range(KINDS):
        model[j] = of_frames[j].min()
    for i in range(0, number.size, width):
        block, n = blocks[i // width], number[i : i + width]
        first_centers(block, n, by_mean > 0.0, scratch)
        center, top, limit, bottom = scratch[0], scratch[1], scratch[2], block[0]
        for c in range(n.size):
            limit[c] = of_samples[i + c if of_samples.size > 1 else 0]
        for c in range(n.size):
            limit[c] = SURE * deviation(center[c], limit[c], model[0], model[1], model[2], model[3], model[4])
        for c in range(n.size):
            far = (center[c] - bottom[c] > low * limit[c]) | (top[c] - center[c] > high * limit[c])
            flag[i + c] = (far | (limit[c] != limit[c])) & (n[c] >= fewest)


@inner_function
def deviation(level, e, read, light, part, zero, own):
    """The deviation of a sample at ``level``, by the numbers of its frame."""
    v = level + zero
    v = v if v > 0.0 else 0.0
    return math.sqrt((((e * e) * (1.0 + own * v) + read) + light * v) + (part * v) * v)


@kernel
def errors(values, columns, number, options, of_frames, of_samples, out):
    """Samples further from the centre than their own deviations, until none is.

    The square of a deviation is e^2 (1 + g v) + a + b v + q v^2, with e of ``of_samples``, the rows a, b, q, z and g
    of ``of_frames``, and v the centre plus z where that is above 0. The numbers after low and high: the centre, the
    fewest samples of a pass, and the samples to keep; they may be left out. The centre is the median (0), or the mean
    without the lowest and the highest sample in the first pass (1) or in every pass (2).
    """
    low, high = options[0], options[1]
    by_mean, fewest, nkeep = rules_of(options)
    column, ratio = np.empty((values.shape[1], 1)), np.empty(values.shape[1])
    for p in range(number.size):
        n, first = number[p], True
        column[:, 0] = columns[p]
        own = of_samples[p if of_samples.shape[0] > 1 else 0]
        while n >= fewest:
            level = middle(column[(n - 1) // 2, 0], column[n // 2, 0])
            if by_mean > 0.0:
                level = mean_of(column, 0, 0, n, first or by_mean > 1.0)
            spared = nearest(values[p], level, low, high, of_frames, own, n, nkeep, ratio, out[p])
            left = mark_once(values[p], level, low, high, of_frames, own, spared, column, n, out[p])
            if left == n:
                break
            n, first = left, False


@kernel
def errors_alike(blocks, some, lo, hi, options, model, of_pixels):
    """`errors` where all samples of a pixel have one error: narrow the windows of some pixels.

    ``model`` are the numbers of any frame, ``of_pixels`` those of the samples of each pixel, or one for all.
    """
    low, high, width = options[0], options[1], blocks.shape[2]
    by_mean, fewest = options.size > 2 and options[2] > 0.0, max(2.0, options[3] if options.size > 3 else 0.0)
    for p in some:
        block, c, a, b, first = blocks[p // width], p % width, lo[p], hi[p], True
        e = of_pixels[p if of_pixels.size > 1 else 0]
        while b - a >= fewest:
            level, n = mean_of(block, c, a, b, first) if by_mean else median_of(block, c, a, b), b - a
            s, first = deviation(level, e, model[0], model[1], model[2], model[3], model[4]), False
            while a < b and s > 0.0 and block[a, c] - level < -low * s:
                a += 1
            while a < b and s > 0.0 and block[b - 1, c] - level > high * s:
                b -= 1
            if b - a == n:
                break
        lo[p], hi[p] = a, b


@inner_function
def rules_of(options):
    """How the centre is a mean, the fewest samples of a pass, and the samples to keep."""
    by_mean = options[2] if options.size > 2 else 0.0
    nkeep = options[4] if options.size > 4 else 0.0
    return by_mean, max(2.0, options[3] if options.size > 3 else 0.0, nkeep + 1.0), nkeep


@inner_function
def nearest(value, level, low, high, of_frames, of_samples, n, nkeep, ratio, out):
    """How many deviations a pass must spare to leave ``nkeep`` of the n samples of a pixel; -1 if it may take all."""
    left, spared = np.float64(n), -1.0
    if nkeep == 0.0:
        return spared
    for k in range(value.size):
        e = of_samples[k if of_samples.size > 1 else 0]
        r = value[k] - level
        a, b, q = of_frames[0, k], of_frames[1, k], of_frames[2, k]
        s = deviation(level, e, a, b, q, of_frames[3, k], of_frames[4, k])
        far = out[k] == 0 and s > 0.0 and (r < -low * s or r > high * s)
        ratio[k] = abs(r) / s if far else -1.0
        left -= 1.0 if far else 0.0
    while left < nkeep:
        least = np.inf
        for k in range(value.size):
            least = ratio[k] if spared < ratio[k] < least else least
        for k in range(value.size):
            left += 1.0 if ratio[k] == least else 0.0
        spared = least
    return spared


@inner_function
def mark_once(value, level, low, high, of_frames, of_samples, spared, column, n, out):
    """Mark the samples of a pixel that are out, and take them from its sorted column; returns how many stay.

    Samples stay that are no further out than ``spared`` of their deviations.
    """
    for k in range(value.size):
        if out[k] != 0:
            continue
        e = of_samples[k if of_samples.size > 1 else 0]
        r = value[k] - level
        a, b, q = of_frames[0, k], of_frames[1, k], of_frames[2, k]
        s = deviation(level, e, a, b, q, of_frames[3, k], of_frames[4, k])
        if not (s > 0.0 and (r < -low * s or r > high * s)) or abs(r) / s <= spared:
            continue
        out[k] = LOW if r < 0.0 else HIGH
        place = 0
        while column[place, 0] != value[k]:
            place += 1
        n -= 1
        for j in range(place, n):
            column[j, 0] = column[j + 1, 0]
    return n


@kernel
def look_swarp(blocks, number, options, of_frames, of_samples, flag):
    """Pixels whose lowest or highest sample is out by the least noise of any frame, and pairs."""
    low, high, amplitude = options[0], options[1], options[2]
    width = blocks.shape[2]
    scratch, inverse, variance = np.empty((2, width)), of_frames[0].min(), of_frames[1].min()
    for i in range(0, number.size, width):
        block, n = blocks[i // width], number[i : i + width]
        med, top = scratch
        all_medians(block, n, med, top)
        for c in range(n.size):
            e, light = of_samples[i + c if of_samples.size > 1 else 0], abs(med[c])
            s = math.sqrt((e * e + variance) + light * inverse)
            far = (med[c] - block[0, c] > SURE * (low * s + amplitude * light)) | (
                top[c] - med[c] > SURE * (high * s + amplitude * light)
            )
            flag[i + c] = ((far | (s != s)) & (n[c] >= 3)) | (n[c] == 2)


@kernel
def swarp(values, columns, number, options, of_frames, of_samples, out):
    """Samples further from the median than their noise and a part of the median; of two samples both or none.

    The rows of ``of_frames`` are 1 / gain and the variance of the background. ``of_samples`` are deviations, too.
    """
    low, high, amplitude = options[0], options[1], options[2]
    for p in range(number.size):
        n = number[p]
        center = middle(columns[p, (n - 1) // 2], columns[p, n // 2]) if n > 0 else 0.0
        own = of_samples[p if of_samples.shape[0] > 1 else 0]
        light, total = abs(center), 0.0
        for k in range(values.shape[1]):
            e = own[k if own.size > 1 else 0]
            variance, r = (e * e + of_frames[1, k]) + light * of_frames[0, k], values[p, k] - center
            s = math.sqrt(variance)
            total += variance if r == r else 0.0
            if n >= 3 and s > 0.0 and r < -(low * s + amplitude * light):
                out[p, k] = LOW
            elif n >= 3 and s > 0.0 and r > high * s + amplitude * light:
                out[p, k] = HIGH
        if n == 2:
            s, distance = math.sqrt(total), columns[p, 1] - columns[p, 0]
            for k in range(values.shape[1]):
                if values[p, k] == columns[p, 0] and s > 0.0 and distance > low * s + amplitude * light:
                    out[p, k] = LOW
                elif values[p, k] == columns[p, 1] and s > 0.0 and distance > high * s + amplitude * light:
                    out[p, k] = HIGH
