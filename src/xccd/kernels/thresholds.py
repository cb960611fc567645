"""Tables of thresholds for rejections that judge one sample at a time, computed once for a count of frames."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]


@lru_cache(maxsize=16)
def esd(frames: int, options: tuple[float, ...]) -> Array:
    """For each count of samples up to ``frames``: the most outliers (row 0), and the square of lambda (row 1)."""
    _, _, most, alpha = options
    table = np.full((2, frames + 1), np.inf)
    table[0] = np.floor(most * np.arange(frames + 1) + 1e-9)  # 0.29 * 100 is a little less than 29
    for m in range(3, frames + 1):
        t2 = student_t(alpha / (2 * m), m - 2) ** 2
        # Divided by t2: beyond 1e154 its square is infinite, and so is t2 / t2.
        table[1, m] = (m - 1) ** 2 / (((m - 2) / t2 + 1) * m)
    return table


@lru_cache(maxsize=16)
def chauvenet(frames: int, options: tuple[float, ...]) -> Array:
    """Row 1: for each count of samples n, the square of the distance in deviations at which n erfc(...) is the limit.

    In a table, both engines decide by the same numbers, and no kernel computes erfc.
    """
    limit = options[2]
    table = np.full((2, frames + 1), np.inf)
    for n in range(3, frames + 1):
        low, high = 0.0, 40.0
        while low < (middle := 0.5 * (low + high)) < high:
            low, high = (low, middle) if n * math.erfc(middle) < limit else (middle, high)
        table[1, n] = 2 * low * low
    return table


def student_t(tail: float, freedom: int) -> float:
    """The value that Student's t with so many degrees of freedom exceeds with the probability ``tail`` (below 1/2).

    Newton's method on the logarithms of both, which are nearly a straight line far out; halving where it would leave
    the interval that holds the root. It agrees with SciPy to 1e-11.
    """
    low, high, wanted = math.log(1e-12), math.log(1e12) + math.log(1 / tail), math.log(tail)
    u = math.log(max(math.sqrt(-2 * wanted), 1e-3))
    for _ in range(200):
        t = math.exp(u)
        survival = _survival(t, freedom)
        error = math.log(survival) - wanted
        low, high = (u, high) if error > 0 else (low, u)
        step = error * survival / (t * _density(t, freedom))
        if abs(step) < 1e-15 * max(1.0, abs(u)):
            break
        u = u + step if low < u + step < high else 0.5 * (low + high)
    return math.exp(u)


def _density(t: float, freedom: int) -> float:
    half = 0.5 * (freedom + 1)
    norm = math.lgamma(half) - math.lgamma(0.5 * freedom) - 0.5 * math.log(freedom * math.pi)
    return math.exp(norm - half * math.log1p(t * t / freedom))


def _survival(t: float, freedom: int) -> float:
    """The probability of more than ``t``: half of the regularised incomplete beta function of n / (n + t^2)."""
    a, b, x, y = 0.5 * freedom, 0.5, freedom / (freedom + t * t), t * t / (freedom + t * t)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) - a * math.log1p(t * t / freedom) + b * math.log(y)
    )
    if x < (a + 1) / (a + b + 2):
        return 0.5 * front * _fraction(a, b, x) / a
    return 0.5 - 0.5 * front * _fraction(b, a, y) / b


def _fraction(a: float, b: float, x: float) -> float:
    """The continued fraction of the incomplete beta function, by Lentz's method (Numerical Recipes, section 6.4)."""
    tiny = 1e-300
    c, d = 1.0, 1.0 - (a + b) * x / (a + 1)
    d = 1.0 / (d if abs(d) > tiny else tiny)
    h = d
    for m in range(1, 10000):
        for factor in (
            m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m)),
            -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1)),
        ):
            d = 1.0 + factor * d
            d = 1.0 / (d if abs(d) > tiny else tiny)
            c = 1.0 + factor / c
            c = c if abs(c) > tiny else tiny
            h *= d * c
        if abs(d * c - 1) < 1e-16:
            break
    return h
