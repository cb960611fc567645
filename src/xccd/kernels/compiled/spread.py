"""Combination to the scatter, the extremes and the count of a pixel's samples."""

import math

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.sums import COLUMNS, LEAST, MOST, REST, WHOLE, count_between, sum_block, widen


@inner_function
def squares(row, acc):
    """Add one frame's residuals to ``acc``, and their squares at ``REST``; the mean is at ``WHOLE``."""
    for c in range(row.size):
        v = np.float64(row[c])
        y = v - acc[c + WHOLE] if (v >= acc[c + LEAST]) & (v <= acc[c + MOST]) else 0.0
        acc[c] += y
        acc[c + REST] += y * y


@inner_function
def rescued(x, j, least, most, n, ddof):
    """Variance of one pixel in a unit that is a power of two, and the unit. Used if squares leave float64's range."""
    center, spread = 0.0, 0.0
    for k in range(x.shape[0]):
        if least <= x[k, j] <= most:
            center += np.float64(x[k, j]) / n  # divided first: a sum of huge samples overflows
    for k in range(x.shape[0]):
        if least <= x[k, j] <= most:
            y = abs(x[k, j] - center)
            spread = y if y > spread else spread
    exponent = -math.frexp(spread)[1] if 0.0 < spread < np.inf else 0
    # no more than 2^1000: beyond 2^1023 the unit itself is infinite
    unit = math.ldexp(1.0, exponent if -1000 < exponent < 1000 else (1000 if exponent > 0 else -1000))
    s1, s2 = 0.0, 0.0
    for k in range(x.shape[0]):
        if least <= x[k, j] <= most:
            y = (x[k, j] - center) * unit
            s1 += y
            s2 += y * y
    variance = (s2 - s1 * s1 / n) / (n - ddof)
    return (variance if variance > 0.0 else 0.0), unit


@inner_function
def residual_sums(x, first, least, most, bounded, counts, number, scratch):
    """Write sums of residuals, of their squares, and the means to places 0, ``REST`` and ``WHOLE`` of the sums."""
    acc = scratch.sums
    sum_block(x, first, least, most, bounded, counts.known, counts.exact, scratch.pads, number, scratch.buffer[0], acc)
    widen(least, most, acc)
    for c in range(least.size):
        acc[c + WHOLE] = acc[c] / number[c] if number[c] > 0 else 0.0
        acc[c] = 0.0
        acc[c + REST] = 0.0
    for k in range(x.shape[0]):
        squares(x[k, first : first + least.size], acc)


@inner_function
def spread_of(x, j, least, most, n, ddof, s1, s2):
    """Variance of one pixel from its `residual_sums`, and its unit."""
    # s1 would be 0 about an exact mean: this takes the rounding of the mean out again
    spread, unit = (s2 - s1 * s1 / n) / (n - ddof), 1.0
    if n <= ddof or n == 0:
        spread = np.nan
    elif not (1e-250 < s2 < 1e250):  # squares may have left float64's range: rare, so one pixel at a time
        spread, unit = rescued(x, j, least, most, n, ddof)
    return (0.0 if spread < 0.0 else spread), unit


@kernel
def variance(pixels, counts, request, scratch, out):
    """Variance with divisor n - ddof, or with ``mode`` its root. Two passes: the second is about the mean."""
    x, start, stop, least, most, bounded = pixels
    mode, ddof, acc = request.mode, request.ddof, scratch.sums
    for i in range(0, stop - start, COLUMNS):
        a, b, n = least[i : i + COLUMNS], most[i : i + COLUMNS], counts.count[i : i + COLUMNS]
        residual_sums(x, start + i, a, b, bounded, counts, n, scratch)
        for c in range(a.size):
            spread, unit = spread_of(x, start + i + c, a[c], b[c], n[c], ddof, acc[c], acc[c + REST])
            out[i + c] = math.sqrt(spread) / unit if mode > 0.0 else spread / unit / unit
    return 0


@inner_function
def lesser(row, least, most, sign, acc):
    """Lower ``acc`` to ``sign`` times the samples of one frame where these are less."""
    for c in range(row.size):
        v, best = row[c], acc[c]
        y = sign * np.float64(v) if (v >= least[c]) & (v <= most[c]) else np.inf
        acc[c] = (y if y < best else best) + 0.0


@kernel
def extremum(pixels, counts, request, scratch, out):
    """The minimum with ``mode`` 1, the maximum with -1."""
    x, start, stop, least, most, _ = pixels
    mode, acc = request.mode, scratch.sums
    for i in range(0, stop - start, COLUMNS):
        a, b = least[i : i + COLUMNS], most[i : i + COLUMNS]
        acc[:] = np.inf
        for k in range(x.shape[0]):
            lesser(x[k, start + i : start + i + a.size], a, b, mode, acc)
        for c in range(a.size):
            # The maximum is the least of the negatives, so one loop does both.
            out[i + c] = mode * acc[c] + 0.0 if acc[c] < np.inf else np.nan
    return 0


@kernel
def count(pixels, counts, request, scratch, out):
    """Count of samples in use."""
    x, start, stop, least, most, _ = pixels
    known, number = counts.known, counts.count
    for i in range(0, stop - start, COLUMNS):
        a, b, n = least[i : i + COLUMNS], most[i : i + COLUMNS], number[i : i + COLUMNS]
        if not known:
            n[:] = 0
            for k in range(x.shape[0]):
                count_between(x[k, start + i : start + i + a.size], a, b, n)
        for c in range(a.size):
            out[i + c] = n[c]
    return 0
