"""One pixel's samples as a sorted float64 column: what every kernel is made of."""

import math

import numba
import numpy as np

compiled = numba.njit(nogil=True, cache=True)
MAD_TO_STD = 1.482602218505602  # 1 / (sqrt(2) erfinv(1/2)): MAD of a normal distribution to its sigma
INSERTION_MAX = 48  # insertion sort is faster than NumPy's introsort below about this many samples


@compiled
def load(x, scale, j, column):
    """Copy the finite samples of pixel ``j``, scaled, to the front of ``column``; return how many."""
    n = 0
    per_frame = scale.shape[0] > 1
    js = j if scale.shape[1] > 1 else 0
    for k in range(x.shape[0]):
        value = np.float64(x[k, j])
        if math.isfinite(value):
            column[n] = value * scale[k if per_frame else 0, js]
            n += 1
    return n


@compiled
def load_weighted(x, scale, weights, j, column, weight):
    """As `load`, with the weights beside; samples of zero weight are left out.

    Returns how many samples came, and how many valid samples had no usable weight.
    """
    n = 0
    unusable = 0
    scale_per_frame = scale.shape[0] > 1
    weight_per_frame = weights.shape[0] > 1
    js = j if scale.shape[1] > 1 else 0
    jw = j if weights.shape[1] > 1 else 0
    for k in range(x.shape[0]):
        value = np.float64(x[k, j])
        if math.isfinite(value):
            w = weights[k if weight_per_frame else 0, jw]
            if w > 0.0 and w < np.inf:
                column[n] = value * scale[k if scale_per_frame else 0, js]
                weight[n] = w
                n += 1
            elif w != 0.0:
                unusable += 1
    return n, unusable


@compiled
def sort(column, n):
    """Sort the first ``n`` values in place."""
    if n > INSERTION_MAX:
        column[:n].sort()
        return
    for i in range(1, n):
        value = column[i]
        k = i - 1
        while k >= 0 and column[k] > value:
            column[k + 1] = column[k]
            k -= 1
        column[k + 1] = value


@compiled
def middle(a, b):
    """The mean of two values, without overflow, exact wherever the sum is."""
    total = a + b
    if math.isfinite(total):
        return 0.5 * total
    return 0.5 * a + 0.5 * b


@compiled
def median(column, lo, hi):
    """Median of the sorted window ``column[lo:hi]``, which holds at least one value."""
    n = hi - lo
    mid = lo + n // 2
    if n % 2:
        return column[mid]
    return middle(column[mid - 1], column[mid])


@compiled
def median_distance(column, lo, hi, center):
    """Median of ``abs(column[lo:hi] - center)``: the two sorted runs either side are merged half way."""
    n = hi - lo
    right = lo
    while right < hi and column[right] < center:
        right += 1
    left = right - 1
    previous = 0.0
    current = 0.0
    for _ in range(n // 2 + 1):
        previous = current
        if right >= hi or (left >= lo and center - column[left] <= column[right] - center):
            current = center - column[left]
            left -= 1
        else:
            current = column[right] - center
            right += 1
    return current if n % 2 else middle(previous, current)


@compiled
def total(column, n):
    """Compensated (Neumaier) sum: within a rounding of the exact one unless terms cancel by 1e16."""
    s = 0.0
    c = 0.0
    for i in range(n):
        value = column[i]
        t = s + value
        if abs(s) >= abs(value):
            c += (s - t) + value
        else:
            c += (value - t) + s
        s = t
    return s + c if math.isfinite(c) else s
