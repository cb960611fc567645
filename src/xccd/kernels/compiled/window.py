"""Sigma clip of one sorted column: the survivors are a window ``column[lo:hi]``, and a pass moves its ends inwards.

``options`` is a `table.ClipOptions`: ten float64. With ``maxiters < 0`` passes go on until the window is stable.
"""

import math

import numpy as np

from xccd.kernels.compiled.compile import inner_function
from xccd.kernels.limits import HUGE, MAD_TO_STD, TINY
from xccd.kernels.table import CENTERS, DEVIATIONS

MEAN, MAD_STD = CENTERS["mean"], DEVIATIONS["mad_std"]


@inner_function
def middle(a, b):
    """The mean of two values. It does not overflow, and is exact if their sum is."""
    total = a + b
    return 0.5 * total if abs(total) < np.inf else 0.5 * a + 0.5 * b


@inner_function
def median_distance(buffer, c, lo, hi, center):
    """The median distance of ``buffer[lo:hi, c]`` to their median ``center`` (MAD).

    The m nearest samples are a window of m. Its farther end is the nearest among all such windows. As the window moves
    right, its left end comes nearer and its right end goes farther. Halving finds where both distances cross.
    """
    n = hi - lo
    m = n // 2 + 1
    a, rest = lo, hi - m - lo
    while rest > 0:  # the rounds depend on n only, and no branch must be predicted
        half = (rest + 1) // 2
        i = a + half - 1
        a = a + half if center - buffer[i, c] > buffer[i + m - 1, c] - center else a
        rest -= half
    back = 1 if a > lo else 0
    a = a - back if center - buffer[a - back, c] < buffer[a + m - 1, c] - center else a
    left, right = center - buffer[a, c], buffer[a + m - 1, c] - center
    farthest = left if left > right else right
    a = a + 1 if left > right else a  # without its farther end the window holds the m - 1 nearest
    left, right = center - buffer[a, c], buffer[a + m - 2 if m > 1 else a, c] - center
    even = middle(left if left > right else right, farthest)
    return farthest if n % 2 else even


@inner_function
def scaled_moments(buffer, c, lo, hi, center):
    """Sum and sum of squares about ``center``, and their unit.

    The unit is a power of two that keeps squares in float64's range. So whole numbers stay exact.
    """
    left, right = center - buffer[lo, c], buffer[hi - 1, c] - center
    spread = left if left > right else right
    unit = 1.0
    if spread != 0.0 and not (TINY < spread < HUGE):
        # if the difference overflows, the sizes of both ends give the exponent
        size = abs(np.float64(buffer[lo, c])) + abs(np.float64(buffer[hi - 1, c])) if spread == np.inf else spread
        exponent = -1000 if size == np.inf else -math.frexp(size)[1]
        unit = math.ldexp(1.0, (1000 if exponent > 1000 else exponent) - 3)
    s1 = 0.0
    s2 = 0.0
    for i in range(lo, hi):
        y = buffer[i, c] * unit - center * unit
        s1 += y
        s2 += y * y
    return s1, s2, unit


@inner_function
def _in_range(spread):
    """Whether squares of residuals fit into float64 as they are."""
    return TINY < spread < HUGE


@inner_function
def without(buffer, c, lo, hi, origin, unit, s1, s2):
    """The sums, less the samples of a window."""
    for k in range(lo, hi):
        y = buffer[k, c] * unit - origin * unit
        s1 -= y
        s2 -= y * y
    return s1, s2


@inner_function
def least_variance(buffer, c, lo, hi, center, by_mad, floor, unit):
    """The square of n times the deviation: the scaled MAD, or the floor if that is more."""
    deviation = MAD_TO_STD * median_distance(buffer, c, lo, hi, center) * unit if by_mad else 0.0
    deviation = (deviation if deviation > floor else floor) * (hi - lo)
    return deviation * deviation


@inner_function
def put_back(buffer, c, old_lo, old_hi, lo, hi, center, keep):
    """Put rejected samples back, smallest residual first, until ``keep`` are left; returns the new window.

    Samples with equal residuals are put back together.
    """
    edge = -1.0
    while lo > old_lo or hi < old_hi:
        below = center - buffer[lo - 1, c] if lo > old_lo else np.inf
        above = buffer[hi, c] - center if hi < old_hi else np.inf
        nearest = below if below <= above else above
        if hi - lo >= keep and nearest != edge:
            break
        edge = nearest
        if lo > old_lo and (below <= above or hi == old_hi):
            lo -= 1
        else:
            hi += 1
    return lo, hi


@inner_function
def narrow(buffer, c, lo, hi, base, unit, shift, factor, low, high):
    """Move both ends inwards past rejected samples. Residuals are ``n (x - base) - shift`` in ``unit``."""
    # One sample at a time: most columns lose one sample, and two at once without a branch were no faster.
    n = hi - lo
    while lo < hi:
        r = (buffer[lo, c] * unit - base * unit) * n - shift
        if not (r < 0.0 and r * r * factor > low):
            break
        lo += 1
    while lo < hi:
        r = (buffer[hi - 1, c] * unit - base * unit) * n - shift
        if not (r > 0.0 and r * r * factor > high):
            break
        hi -= 1
    return lo, hi


@inner_function
def window(buffer, c, lo, hi, options, origin, s1, s2, known, whole, passes):
    """The part of the window ``(lo, hi)`` of the sorted ``buffer[:, c]`` that survives, after a count of ``passes``.

    ``s1`` and ``s2`` are the sums about ``origin``. ``known`` is their variance times n^2 (n - ddof), or NaN. ``whole``
    is s2 when the sums were last computed, or NaN if they must be computed again.
    The test is ``r^2 > k^2 var`` with both sides multiplied by n^2 (n - ddof). It needs no division and no root, so a
    sample exactly on a bound stays if the numbers are whole. Rejected samples are subtracted from the sums. The sums
    are computed again if less than 1/64 is left, because an outlier of 1e4 times the rest would leave its rounding.
    """
    by_mean, by_mad = options.center == MEAN, options.deviation == MAD_STD
    low, high, ddof, floor = options.low, options.high, options.ddof, options.floor
    nkeep, maxiters = options.nkeep, options.maxiters
    summed, unit, stale = by_mean or not by_mad, 1.0, whole != whole
    # With ddof samples or fewer there is no variance.
    fewest = max(options.minimum, nkeep + 1.0, 1.0 if by_mad else ddof + 1.0)
    while hi > lo and hi - lo >= fewest and passes != maxiters:
        n = hi - lo
        center = middle(np.float64(buffer[lo + (n - 1) // 2, c]), np.float64(buffer[lo + n // 2, c]))
        if stale:
            s1, s2, unit = scaled_moments(buffer, c, lo, hi, center)
            origin, whole = center, s2
        factor = 1.0 if by_mad else np.float64(n - ddof)
        variance = known  # of this pass; NaN if the caller does not know it
        if stale or known != known:
            variance = least_variance(buffer, c, lo, hi, center, by_mad, floor * unit, unit) * factor
        # `variance` is the floor so far, unless it was known
        if not by_mad:
            scatter = (n * s2 - s1 * s1) * n
            if options.about > 0.0:  # of residuals about the median: the square of the mean's distance comes on top
                away = s1 - (center * unit - origin * unit) * n
                scatter += n * (away * away)
            variance = scatter if scatter > variance else variance
        base, shift = (origin, s1) if by_mean else (center, 0.0)
        new_lo, new_hi = narrow(
            buffer, c, lo, hi, base, unit, shift, factor, low * low * variance, high * high * variance
        )
        if new_hi - new_lo < nkeep:
            new_lo, new_hi = put_back(buffer, c, lo, hi, new_lo, new_hi, base + shift / n / unit, nkeep)
        if new_lo == lo and new_hi == hi:
            break
        if summed:
            s1, s2 = without(buffer, c, lo, new_lo, origin, unit, s1, s2)
            s1, s2 = without(buffer, c, new_hi, hi, origin, unit, s1, s2)
        lo, hi, n = new_lo, new_hi, new_hi - new_lo
        if summed:
            stale = not (64.0 * s2 > whole and 64.0 * (n * s2 - s1 * s1) > n * s2)
        elif n > 0:
            unit, stale = 1.0, not _in_range(buffer[hi - 1, c] - np.float64(buffer[lo, c]))
        known, passes = np.nan, passes + 1
    return lo, hi
