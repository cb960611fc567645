"""How far a new sample may lie from the mean of those before it, by their count."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

EXACT = 200  # degrees of freedom, above which a series gives the quantile to 1e-7
POINTS = 64  # of the Gauss-Legendre rule for a tail: 1e-12 of it


def limits(low: float, high: float, counts: int) -> np.ndarray[Any, Any]:
    """The squares of the largest deviation below and above the mean, in sums of squares, for 0 to ``counts`` samples.

    With few samples neither mean nor deviation are known well. So a threshold k is the chance by which a normal sample
    lies beyond k deviations: a new sample has that chance at any count, by Student's distribution. And samples that
    were clipped have less scatter than all: their deviation is divided by that of a normal distribution within the
    thresholds.
    """
    narrower = deviation_within(low, high)
    found = np.full((2, counts + 1), math.inf)
    for row, k in zip(found, (low, high), strict=True):
        if math.isfinite(k):
            for n in range(2, counts + 1):
                row[n] = (quantile(k, n - 1) / narrower) ** 2 * (1 + 1 / n) / (n - 1)
    return found


def deviation_within(low: float, high: float) -> float:
    """The standard deviation of a normal distribution that is cut at ``-low`` and ``high``; 1 for none."""
    inside = 1 - _tail(low) - _tail(high)
    mean = (_density(low) - _density(high)) / inside
    cut = sum(k * _density(k) for k in (low, high) if math.isfinite(k)) / inside
    return math.sqrt(1 - cut - mean * mean)


@lru_cache(maxsize=1 << 12)
def quantile(k: float, freedom: int) -> float:
    """The value of Student's distribution above which lies as much as above k in the normal distribution."""
    if freedom > EXACT:
        series = (k**3 + k) / 4, (5 * k**5 + 16 * k**3 + 3 * k) / 96, (3 * k**7 + 19 * k**5 + 17 * k**3 - 15 * k) / 384
        return k + math.fsum(term / freedom**power for power, term in enumerate(series, 1))
    wanted = _tail(k)
    least, most = 0.0, math.pi / 2  # of the angle from the end of the tail: t = sqrt(freedom) / tan(angle)
    for _ in range(60):
        middle = (least + most) / 2
        least, most = (middle, most) if _area(middle, freedom) < wanted else (least, middle)
    return math.sqrt(freedom) / math.tan((least + most) / 2)


def _area(angle: float, freedom: int) -> float:
    """Student's distribution beyond an angle: the integral of sin^(freedom - 1), which has no digits to lose."""
    x, w = _rule()
    integral = angle / 2 * float(np.sum(w * np.sin(angle / 2 * (x + 1)) ** (freedom - 1)))
    norm = math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)
    return math.exp(norm) / math.sqrt(math.pi) * integral


@lru_cache(maxsize=1)
def _rule() -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x, w = np.polynomial.legendre.leggauss(POINTS)
    return x, w


def _density(k: float) -> float:
    return math.exp(-k * k / 2) / math.sqrt(2 * math.pi)


def _tail(k: float) -> float:
    return math.erfc(k / math.sqrt(2)) / 2
