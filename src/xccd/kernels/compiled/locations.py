"""Other locations of a pixel's samples: the geometric mean, the half-sample mode, the adaptive mean, first and last."""

import math

import numpy as np

from xccd.kernels.compiled.block import sort_block
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.spread import residual_sums, spread_of
from xccd.kernels.compiled.sums import COLUMNS, LEAST, MOST, REST, WHOLE, count_between
from xccd.kernels.compiled.window import middle
from xccd.kernels.formulas import EXP, LOG, LOG_OF_2, ROOT_OF_HALF, ROUNDS


@inner_function
def multiply(row, least, most, acc):
    """Multiply the product by one frame's samples: a mantissa from 0.5 to 1, and its exponent at ``REST``."""
    for c in range(row.size):
        value = np.float64(row[c])
        valid = (row[c] >= least[c]) & (row[c] <= most[c])
        mantissa, exponent = math.frexp(value if valid else 1.0)
        product = acc[c] * (mantissa if (value > 0.0) | (not valid) else np.nan)
        small = product < 0.5
        acc[c] = 2.0 * product if small else product
        acc[c + REST] += exponent - 1.0 if small else exponent


@inner_function
def root(mantissa, exponent, n):
    """The ``n``-th root of a product. Sums and products alone: NumPy's logarithm may differ in its last bit."""
    if n == 1:
        return math.ldexp(mantissa, int(exponent))
    whole = np.floor(exponent / n + 0.5)
    rest = exponent - whole * n
    low = mantissa < ROOT_OF_HALF
    mantissa, rest = (2.0 * mantissa, rest - 1.0) if low else (mantissa, rest)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z, series = s * s, 0.0
    for factor in LOG:
        series = series * z + factor
    t, power = (2.0 * s * series + rest * LOG_OF_2) / n, 0.0
    for factor in EXP:
        power = power * t + factor
    return math.ldexp(power, int(whole))


@kernel
def geometric_mean(pixels, counts, request, scratch, out):
    """The n-th root of the product; NaN where a sample is 0 or less."""
    x, start, stop, least, most, _ = pixels
    acc = scratch.sums
    for i in range(0, stop - start, COLUMNS):
        a, b, n = least[i : i + COLUMNS], most[i : i + COLUMNS], counts.count[i : i + COLUMNS]
        acc[:REST] = 0.5
        acc[REST:WHOLE] = 1.0
        if not counts.known:
            n[:] = 0
        for k in range(x.shape[0]):
            row = x[k, start + i : start + i + a.size]
            multiply(row, a, b, acc)
            if not counts.known:
                count_between(row, a, b, n)
        for c in range(a.size):
            good = (n[c] > 0) & (acc[c] > 0.0)
            out[i + c] = root(acc[c], acc[c + REST], n[c]) if good else np.nan
    return 0


@inner_function
def narrowest(buffer, c, low, n, half):
    """The first row of the narrowest ``half`` of ``n`` sorted samples from ``low`` on; of equal ones the middle."""
    best, ties = np.inf, 0
    for k in range(low, low + n - half + 1):
        width = np.float64(buffer[k + half - 1, c]) - np.float64(buffer[k, c])
        ties = 1 if width < best else ties + (1 if width == best else 0)
        best = width if width < best else best
    wanted, k = (ties + 1) // 2, low
    while True:
        wanted -= 1 if np.float64(buffer[k + half - 1, c]) - np.float64(buffer[k, c]) == best else 0
        if wanted == 0 or k == low + n - half:
            return k
        k += 1


@kernel
def half_sample_mode(pixels, counts, request, scratch, out):
    """The narrowest half of the samples, of that the narrowest half, until three are left or two."""
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, _ = scratch
    columns = buffer.shape[1]
    for i in range(0, stop - start, columns):
        a, b, count = least[i : i + columns], most[i : i + columns], counts.count[i : i + columns]
        sort_block(x, start + i, a, b, bounded, buffer, groups, pads, count)
        for c in range(a.size):
            low, n = 0, count[c]
            while n > 3:
                half = (n + 1) // 2
                low = narrowest(buffer, c, low, n, half)
                n = half
            first = np.float64(buffer[low, c])
            last = np.float64(buffer[low + n - 1 if n else low, c])
            if n == 3:
                mid = np.float64(buffer[low + 1, c])
                below, above = mid - first, last - mid
                first, last = (mid if below >= above else first), (mid if above >= below else last)
            out[i + c] = middle(first, last) if n else np.nan
    return 0


@inner_function
def pull(row, deviation, whole, acc):
    """Add w r and w for one frame's samples in use, r their distance from the centres at ``WHOLE``."""
    for c in range(row.size):
        v = np.float64(row[c])
        valid = (v >= acc[c + LEAST]) & (v <= acc[c + MOST])
        r = v - acc[c + WHOLE]
        u = r / deviation[c]
        w = 1.0 / (1.0 + u * u)
        acc[c] += w * r if valid else 0.0
        whole[c] += w if valid else 0.0


@kernel
def adaptive(pixels, counts, request, scratch, out):
    """Stetson's mean: weights 1 / (1 + (r / s)^2), from the mean in some rounds; s is twice the standard deviation."""
    x, start, stop, least, most, bounded = pixels
    acc = scratch.sums
    deviation, whole = np.empty(COLUMNS), np.empty(COLUMNS)
    for i in range(0, stop - start, COLUMNS):
        a, b, n = least[i : i + COLUMNS], most[i : i + COLUMNS], counts.count[i : i + COLUMNS]
        residual_sums(x, start + i, a, b, bounded, counts, n, scratch)
        for c in range(a.size):
            spread, unit = spread_of(x, start + i + c, a[c], b[c], n[c], 1, acc[c], acc[c + REST])
            deviation[c] = 2.0 * (math.sqrt(spread) / unit)
        for _ in range(ROUNDS):
            acc[: a.size] = 0.0
            whole[:] = 0.0
            for k in range(x.shape[0]):
                pull(x[k, start + i : start + i + a.size], deviation, whole, acc)
            for c in range(a.size):
                # one sample has no deviation, equal ones none above 0: the mean stays
                acc[c + WHOLE] += acc[c] / whole[c] if 0.0 < deviation[c] < np.inf else 0.0
        for c in range(a.size):
            out[i + c] = acc[c + WHOLE] if n[c] > 0 else np.nan
    return 0


@inner_function
def fill(row, least, most, acc):
    """Write one frame's samples in use to the places of ``acc`` that are still NaN."""
    for c in range(row.size):
        valid = (row[c] >= least[c]) & (row[c] <= most[c]) & (acc[c] != acc[c])
        acc[c] = np.float64(row[c]) + 0.0 if valid else acc[c]


@kernel
def outermost(pixels, counts, request, scratch, out):
    """The first sample in use with ``mode`` 1, the last with -1."""
    x, start, stop, least, most, _ = pixels
    acc, frames = scratch.sums, x.shape[0]
    for i in range(0, stop - start, COLUMNS):
        a, b = least[i : i + COLUMNS], most[i : i + COLUMNS]
        acc[:COLUMNS] = np.nan
        for k in range(frames):
            own = k if request.mode > 0.0 else frames - 1 - k
            fill(x[own, start + i : start + i + a.size], a, b, acc)
        out[i : i + a.size] = acc[: a.size]
    return 0
