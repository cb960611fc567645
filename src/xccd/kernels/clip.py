"""Rejection: after sorting, the survivors of a clip are a window ``column[lo:hi]``."""

import math

import numpy as np

from xccd.kernels.column import MAD_TO_STD, compiled, load, median, median_distance, sort

UNIT = np.ones((1, 1))
HUGE, TINY = 1e70, 1e-70  # beyond these a square times n^2 may leave float64's range


@compiled
def _unit(column, lo, hi, center):
    """A power of two that brings residuals about ``center`` to a size whose squares are safe."""
    spread = max(abs(column[lo] - center), abs(column[hi - 1] - center))
    if (spread < HUGE and spread > TINY) or spread == 0.0:
        return 1.0
    size = max(abs(column[lo]), abs(column[hi - 1])) if spread == np.inf else spread
    exponent = max(-1000, min(1000, -math.frexp(size)[1]))
    return math.ldexp(1.0, exponent - 2)


@compiled
def _moments(column, lo, hi, center, unit):
    """Sum and sum of squares about ``center``, in ``unit``: exact for whole numbers."""
    s1 = 0.0
    s2 = 0.0
    for i in range(lo, hi):
        y = column[i] * unit - center * unit
        s1 += y
        s2 += y * y
    return s1, s2


@compiled
def _narrow(column, lo, hi, center, shift, n, low, high, bound):
    """Move both ends inwards past the samples outside; residuals are ``n (y - center) - shift``.

    ``low``, ``high`` are squared thresholds in the same units as ``bound``; inf switches a side off.
    """
    unit, factor = bound[0], bound[1]
    while lo < hi:
        r = (column[lo] * unit - center * unit) * n - shift
        if not (r < 0.0 and r * r * factor > low):
            break
        lo += 1
    while hi > lo:
        r = (column[hi - 1] * unit - center * unit) * n - shift
        if not (r > 0.0 and r * r * factor > high):
            break
        hi -= 1
    return lo, hi


@compiled
def _put_back(column, old, new, center, keep):
    """Widen ``new`` towards ``old`` by smallest residual until ``keep`` are left, equal ones together."""
    lo, hi = new
    edge = -1.0
    while lo > old[0] or hi < old[1]:
        below = center - column[lo - 1] if lo > old[0] else np.inf
        above = column[hi] - center if hi < old[1] else np.inf
        nearest = min(below, above)
        if hi - lo >= keep and nearest != edge:
            break
        edge = nearest
        if below <= above:
            lo -= 1
        else:
            hi += 1
    return lo, hi


@compiled
def _one_pass(column, lo, hi, rule):
    """The window after one pass of ``rule`` over ``column[lo:hi]``.

    The test is ``r^2 > k^2 var`` with both sides multiplied by n^2 (n - ddof): no division and no root, so a
    sample exactly on a bound stays whenever the numbers are whole.
    """
    by_mean, by_mad, low, high, ddof, floor, nkeep = rule
    n = hi - lo
    med = median(column, lo, hi)
    unit = _unit(column, lo, hi, med)
    s1, s2 = _moments(column, lo, hi, med, unit)
    shift = s1 if by_mean else 0.0
    if by_mad:
        least = max(MAD_TO_STD * median_distance(column, lo, hi, med), floor) * unit * n
        variance = least * least
        factor = 1.0
    else:
        variance = max((n * s2 - s1 * s1) * n, (floor * unit) ** 2 * n * n * (n - ddof))
        factor = np.float64(n - ddof)
        if n <= ddof:
            return lo, hi
    new = _narrow(column, lo, hi, med, shift, n, low * low * variance, high * high * variance, (unit, factor))
    if new[1] - new[0] < nkeep:
        new = _put_back(column, (lo, hi), new, med + shift / n / unit, nkeep)
    return new


@compiled
def window(column, n, rule, maxiters):
    """The surviving window of the sorted ``column[:n]``; ``maxiters < 0`` goes on until stable."""
    lo, hi = 0, n
    passes = 0
    while hi > lo and hi - lo > rule[6] and passes != maxiters:
        new_lo, new_hi = _one_pass(column, lo, hi, rule)
        if new_lo == lo and new_hi == hi:
            break
        lo, hi = new_lo, new_hi
        passes += 1
    return lo, hi


@compiled
def sigma_clip(x, rule, maxiters, start, stop, out):
    """Write ``x`` with the samples outside the window as NaN.

    ``rule`` is (by_mean, by_mad, low, high, ddof, floor, nkeep).
    """
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, UNIT, j, column)
        sort(column, n)
        lo, hi = window(column, n, rule, maxiters)
        least = column[lo] if hi > lo else np.inf
        most = column[hi - 1] if hi > lo else -np.inf
        for k in range(x.shape[0]):
            value = x[k, j]
            out[k, j] = value if least <= value <= most else np.nan


@compiled
def clip_extrema(x, nlow, nhigh, start, stop, out):
    """Write ``x`` without the ``nlow`` lowest and ``nhigh`` highest; ties go in frame order."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, UNIT, j, column)
        sort(column, n)
        if n <= nlow + nhigh:
            out[:, j] = np.nan
            continue
        least, most = column[nlow], column[n - nhigh - 1]
        # how many of the samples that equal a bound lie beyond it: the first low ones, the last high ones
        skip_low = 0
        while nlow - skip_low > 0 and column[nlow - skip_low - 1] == least:
            skip_low += 1
        keep_high = 0
        for i in range(n - nhigh):
            keep_high += column[i] == most
        for k in range(x.shape[0]):
            value = x[k, j]
            keep = least <= value <= most
            if keep and value == most:
                keep = keep_high > 0
                keep_high -= 1
            if value == least and skip_low > 0:
                keep = False
                skip_low -= 1
            out[k, j] = value if keep else np.nan
