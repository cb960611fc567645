"""Distances whose squares float64 cannot hold: rules judge them in units of a power of two, which is exact."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

TINY, HUGE = 1e-70, 1e70  # distances whose squares, and sums of these, are held
SQUARING = frozenset({"esd", "chauvenet", "winsorized"})  # rejections that square distances
FLOOR = {"winsorized": 2}  # the place of a number in data units


def extreme(name: str, dtype: np.dtype[Any], least: Any, most: Any) -> Iterator[tuple[int, Any]]:
    """Exponents of units, and the columns between ``least`` and ``most`` that need them. Float32 needs none."""
    if name not in SQUARING or dtype != np.float64:
        return
    half = 0.5 * most - 0.5 * least
    some = np.flatnonzero((half > 0.0) & ~((half > TINY) & (half < HUGE)))
    exponents = np.frexp(half[some])[1]
    for exponent in np.unique(exponents).tolist():
        yield exponent, some[exponents == exponent]


def in_unit(name: str, numbers: Any, exponent: int) -> Any:
    """The numbers of a rejection in units of 2^exponent."""
    found = numbers.copy()
    if name in FLOOR and found[FLOOR[name]] > 0.0:  # below 0 it is none
        found[FLOOR[name]] = np.ldexp(found[FLOOR[name]], -exponent)
    return found
