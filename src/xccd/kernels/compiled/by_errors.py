"""Rejections by an error of each sample or frame: which sample is out does not follow from its rank alone.

The arguments of a rule are those of `marks`.
"""

import math

import numpy as np

from xccd.kernels.compiled.columns import all_medians, mean_of
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import middle
from xccd.kernels.flags import Flag

LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)


@kernel
def errors(values, blocks, number, options, of_frames, of_samples, out):
    """Samples further from the centre than their own deviations, until none is.

    The square of a deviation is e^2 + a + b v + q v^2, with e of ``of_samples``, the rows a, b, q and z of
    ``of_frames``, and v the centre plus z where that is above 0.
    """
    low, high = options[0], options[1]
    by_mean = options.size > 2 and options[2] > 0.0
    frames, width = blocks.shape[1], blocks.shape[2]
    column, center, far = np.empty((frames, 1)), np.empty(width), np.empty(width)
    for i in range(0, number.size, width):
        block, size = blocks[i // width], min(width, number.size - i)
        all_medians(block, number, i, center)
        far[:] = 0.0
        for c in range(size):
            if by_mean and number[i + c] >= 2:
                center[c] = mean_of(block, c, 0, number[i + c], True)
        judge(values, i, center, low, high, of_frames, of_samples, far)
        for c in range(size):
            p, n = i + c, number[i + c]
            if far[c] == 0.0 or n < 2:
                continue
            for k in range(n):
                column[k, 0] = block[k, c]
            level = center[c]
            while n >= 2:
                left = mark_once(values, p, level, low, high, of_frames, of_samples, column, n, out)
                if left == n or left < 2:
                    break
                n = left
                level = middle(column[(n - 1) // 2, 0], column[n // 2, 0])
                if by_mean:
                    level = mean_of(column, 0, 0, n, False)


@inner_function
def deviation(level, k, p, of_frames, of_samples):
    """The deviation of sample k of pixel p, if the light is at ``level``."""
    e = of_samples[k if of_samples.shape[0] > 1 else 0, p if of_samples.shape[1] > 1 else 0]
    v = level + of_frames[3, k]
    v = v if v > 0.0 else 0.0
    return math.sqrt(((e * e + of_frames[0, k]) + of_frames[1, k] * v) + (of_frames[2, k] * v) * v)


@inner_function
def judge(values, first, center, low, high, of_frames, of_samples, far):
    """Set ``far`` for the columns of a block of which some sample is out."""
    size = min(far.size, values.shape[1] - first)
    for k in range(values.shape[0]):
        for c in range(size):
            r = values[k, first + c] - center[c]
            s = deviation(center[c], k, first + c, of_frames, of_samples)
            out = ((r < -low * s) | (r > high * s)) & (s > 0.0)
            far[c] = 1.0 if out else far[c]


@inner_function
def mark_once(values, p, level, low, high, of_frames, of_samples, column, n, out):
    """Mark the samples of a pixel that are out, and take them from its sorted column; returns how many stay."""
    for k in range(values.shape[0]):
        value = values[k, p]
        if out[k, p] != 0:
            continue
        r, s = value - level, deviation(level, k, p, of_frames, of_samples)
        if not (s > 0.0 and (r < -low * s or r > high * s)):
            continue
        out[k, p] = LOW if r < 0.0 else HIGH
        at = 0
        while column[at, 0] != value:
            at += 1
        n -= 1
        for j in range(at, n):
            column[j, 0] = column[j + 1, 0]
    return n


@kernel
def swarp(values, blocks, number, options, of_frames, of_samples, out):
    """Samples further from the median than their noise and a part of the median; of two samples both or none.

    The rows of ``of_frames`` are 1 / gain and the variance of the background. ``of_samples`` are deviations, too.
    """
    low, high, amplitude = options[0], options[1], options[2]
    width = blocks.shape[2]
    center = np.empty(width)
    for i in range(0, number.size, width):
        all_medians(blocks[i // width], number, i, center)
        for c in range(min(width, number.size - i)):
            if number[i + c] == 2:
                swarp_pair(values, i + c, center[c], low, high, amplitude, of_frames, of_samples, out)
        for k in range(values.shape[0]):
            for c in range(min(width, number.size - i)):
                p, light = i + c, abs(center[c])
                e = of_samples[k if of_samples.shape[0] > 1 else 0, p if of_samples.shape[1] > 1 else 0]
                s, r = math.sqrt((e * e + of_frames[1, k]) + light * of_frames[0, k]), values[k, p] - center[c]
                lower = r < -(low * s + amplitude * light)
                upper = r > high * s + amplitude * light
                if (lower | upper) & (s > 0.0) & (number[p] >= 3):
                    out[k, p] = LOW if lower else HIGH


@inner_function
def swarp_pair(values, p, center, low, high, amplitude, of_frames, of_samples, out):
    """The two samples of a pixel: their distance against the noise of both."""
    variance, least, most = 0.0, np.inf, -np.inf
    for k in range(values.shape[0]):
        value = values[k, p]
        if value == value:
            e = of_samples[k if of_samples.shape[0] > 1 else 0, p if of_samples.shape[1] > 1 else 0]
            variance += (e * e + of_frames[1, k]) + abs(center) * of_frames[0, k]
            least, most = min(least, value), max(most, value)
    s, part = math.sqrt(variance), amplitude * abs(center)
    for k in range(values.shape[0]):
        value = values[k, p]
        if value == least and s > 0.0 and most - least > low * s + part:
            out[k, p] = LOW
        elif value == most and s > 0.0 and most - least > high * s + part:
            out[k, p] = HIGH
