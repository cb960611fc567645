"""Formulas of the table's rows: standard errors, and images from the partial sums of chunks."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]

# For n = 2..10 normal samples: the true standard error of the median, divided by the formula below without this factor.
# It is needed because the MAD of few samples is low. Found by Monte Carlo, to 1 %.
LOW_MAD = (0.953, 1.148, 1.182, 1.049, 1.076, 1.027, 1.042, 1.018, 1.026)


def of_mean(n: Array) -> Array:
    """The standard error of a mean of ``n`` samples, divided by their standard deviation."""
    return 1 / np.sqrt(n)


def of_sum(n: Array) -> Array:
    """The standard error of a sum of ``n`` samples, divided by their standard deviation."""
    root: Array = np.sqrt(n)
    return root


def of_median(n: Array) -> Array:
    """The standard error of a median of ``n`` samples, divided by 1.4826 MAD; NaN for one sample."""
    odd = n % 2 == 1
    a = np.where(odd, 0.45, 1.27 + 0.14 * (1 - 4 / n))
    theory = np.where(n > 2, np.sqrt(pi * n / (2 * (n + a))), 1.0)
    low = 1 + np.where(odd, 0.12, 0.2) / n
    small = (n >= 2) & (n <= len(LOW_MAD) + 1)
    low[small] = np.array(LOW_MAD)[n[small].astype(int) - 2]
    return np.where(n > 1, low * theory / np.sqrt(n), np.nan)


def ratio(total_of: Array, size: Array) -> Array:
    """A mean, from a sum and a count, or from a weighted sum and a weight."""
    return total(total_of / np.where(size > 0, size, 1.0), size)


def total(total_of: Array, size: Array) -> Array:
    """A sum; NaN if there is no sample."""
    return np.where(size > 0, total_of, np.nan)


def as_it_is(value: Array) -> Array:
    """A count, a minimum, a maximum."""
    return value


def error_of_mean(squares: Array, size: Array, _: Array) -> Any:
    """The standard error of a mean, from the sum of squared residuals and the count."""
    return np.sqrt(total(squares, size - 1) / (size - 1) / size)


def error_of_sum(squares: Array, size: Array, _: Array) -> Any:
    """The standard error of a sum, from the sum of squared residuals and the count."""
    return np.sqrt(total(squares, size - 1) / (size - 1) * size)
