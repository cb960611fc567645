"""Combination: one value per pixel from its valid samples."""

import math

import numpy as np

from xccd.kernels.column import (
    MAD_TO_STD,
    compiled,
    load,
    load_weighted,
    median,
    median_distance,
    middle,
    sort,
    total,
)

# Every kernel has one signature, so that one call serves all:
# (x, scale, weights, q, ddof, start, stop, out) -> number of valid samples whose weight cannot be used.


@compiled
def mean(x, scale, weights, q, ddof, start, stop, out):
    """Mean."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, scale, j, column)
        out[j] = total(column, n) / n if n else np.nan
    return 0


@compiled
def sum_(x, scale, weights, q, ddof, start, stop, out):
    """Sum."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, scale, j, column)
        out[j] = total(column, n) if n else np.nan
    return 0


@compiled
def weighted_mean(x, scale, weights, q, ddof, start, stop, out):
    """sum(w x) / sum(w)."""
    column, weight = np.empty(x.shape[0]), np.empty(x.shape[0])
    bad = 0
    for j in range(start, stop):
        n, unusable = load_weighted(x, scale, weights, j, column, weight)
        bad += unusable
        for i in range(n):
            column[i] *= weight[i]
        out[j] = total(column, n) / total(weight, n) if n else np.nan
    return bad


@compiled
def weighted_sum(x, scale, weights, q, ddof, start, stop, out):
    """sum(w x)."""
    column, weight = np.empty(x.shape[0]), np.empty(x.shape[0])
    bad = 0
    for j in range(start, stop):
        n, unusable = load_weighted(x, scale, weights, j, column, weight)
        bad += unusable
        for i in range(n):
            column[i] *= weight[i]
        out[j] = total(column, n) if n else np.nan
    return bad


@compiled
def min_(x, scale, weights, q, ddof, start, stop, out):
    """Least sample."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, scale, j, column)
        out[j] = column[:n].min() if n else np.nan
    return 0


@compiled
def max_(x, scale, weights, q, ddof, start, stop, out):
    """Greatest sample."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, scale, j, column)
        out[j] = column[:n].max() if n else np.nan
    return 0


@compiled
def count(x, scale, weights, q, ddof, start, stop, out):
    """Number of samples."""
    for j in range(start, stop):
        n = 0
        for k in range(x.shape[0]):
            n += math.isfinite(x[k, j])
        out[j] = n
    return 0


@compiled
def _variance(column, n, ddof):
    """Two passes about a scaled mean; the second term mends the rounding of the first."""
    if n <= ddof or n == 0:
        return np.nan, 1.0
    center = total(column, n) / n
    spread = 0.0
    for i in range(n):
        spread = max(spread, abs(column[i] - center))
    unit = 1.0
    if spread > 1e150 or (0.0 < spread < 1e-140):  # squares would leave float64's range
        unit = math.ldexp(1.0, max(-1000, min(1000, -math.frexp(spread)[1])))
    s1 = 0.0
    for i in range(n):
        column[i] = (column[i] - center) * unit
        s1 += column[i]
    for i in range(n):
        column[i] *= column[i]
    return max(total(column, n) - s1 * s1 / n, 0.0) / (n - ddof), unit


@compiled
def var(x, scale, weights, q, ddof, start, stop, out):
    """Variance about the mean, divided by n - ddof."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        variance, unit = _variance(column, load(x, scale, j, column), ddof)
        out[j] = variance / unit / unit
    return 0


@compiled
def std(x, scale, weights, q, ddof, start, stop, out):
    """Standard deviation about the mean, by n - ddof."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        variance, unit = _variance(column, load(x, scale, j, column), ddof)
        out[j] = math.sqrt(variance) / unit
    return 0


@compiled
def mad_std(x, scale, weights, q, ddof, start, stop, out):
    """Median absolute deviation from the median, as the sigma of normal noise."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, scale, j, column)
        sort(column, n)
        out[j] = MAD_TO_STD * median_distance(column, 0, n, median(column, 0, n)) if n else np.nan
    return 0


@compiled
def median_(x, scale, weights, q, ddof, start, stop, out):
    """The middle, or the mean of the two middle ones."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, scale, j, column)
        sort(column, n)
        out[j] = median(column, 0, n) if n else np.nan
    return 0


@compiled
def quantile(x, scale, weights, q, ddof, start, stop, out):
    """NumPy's "linear"."""
    column = np.empty(x.shape[0])
    for j in range(start, stop):
        n = load(x, scale, j, column)
        sort(column, n)
        if n == 0:
            out[j] = np.nan
            continue
        i = min(int(q * (n - 1)), n - 1)
        t = q * (n - 1) - i
        a, b = column[i], column[min(i + 1, n - 1)]
        # from the nearer end, as NumPy does: monotonic in q, exact at both ends
        out[j] = a + (b - a) * t if t < 0.5 else b - (b - a) * (1.0 - t)
    return 0


@compiled
def _weighted_quantile(column, weight, n, q):
    """The smallest value whose cumulative weight reaches ``q W``, the mean with the next where equal."""
    order = np.argsort(column[:n], kind="mergesort")
    whole = total(weight, n)
    target = q * whole
    slack = n * 2.220446049250313e-16 * whole
    reached = 0.0
    for i in range(n):
        reached += weight[order[i]]
        if abs(reached - target) <= slack:
            return middle(column[order[i]], column[order[min(i + 1, n - 1)]])
        if reached > target:
            return column[order[i]]
    return column[order[n - 1]]


@compiled
def weighted_quantile(x, scale, weights, q, ddof, start, stop, out):
    """As `_weighted_quantile`, for each pixel."""
    column, weight = np.empty(x.shape[0]), np.empty(x.shape[0])
    bad = 0
    for j in range(start, stop):
        n, unusable = load_weighted(x, scale, weights, j, column, weight)
        bad += unusable
        out[j] = _weighted_quantile(column, weight, n, q) if n else np.nan
    return bad
