"""What the samples of a dtype can be, and what stands for a missing one in a sorted block."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

HALF = 0.499999  # of a resampled pixel's weight must be good: a half, whatever the rounding of positions
OUTSIDE = np.uint8(128)  # the flag of what lies outside the footprint
MAD_TO_STD = 1.482602218505602  # 1 / (sqrt(2) erfinv(1/2)): MAD of a normal distribution to its sigma
HUGE, TINY = 1e70, 1e-70  # beyond these a square times n^2 may leave float64's range

# dtypes that kernels work on as they are; others are converted to one of them, some pixels at a time
DIRECT = tuple(map(np.dtype, ("f4", "f8", "i2", "u2")))


def float_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The float that holds ``dtype`` exactly: float32 up to 16 bits of integer, else float64."""
    dtype = np.dtype(dtype)
    if dtype.kind not in "fiub":
        raise TypeError(
            f"a stack of dtype {dtype} cannot be clipped or combined: samples must be real numbers "
            "(for complex ones take .real or abs() first)"
        )
    small = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if small else np.float64)


def working_dtype(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """The dtype of `DIRECT` in which kernels work on samples of ``dtype``; their image is the same."""
    dtype = np.dtype(dtype.newbyteorder("="))
    if dtype in DIRECT:
        return dtype
    return np.dtype(f"{dtype.kind}2") if dtype.kind in "iu" and dtype.itemsize == 1 else float_dtype(dtype)


class Limits(NamedTuple):
    """The least and the greatest valid sample, and what sorts before and behind all of them."""

    least: Any
    most: Any
    before: Any
    behind: Any


def limits(dtype: np.dtype[Any]) -> Limits:
    """Limits of a float or an integer dtype, as scalars of it."""
    if dtype.kind == "f":
        most = np.finfo(dtype).max
        return Limits(-most, most, dtype.type(-np.inf), dtype.type(np.inf))
    # an integer that equals the greatest is not told from a missing one, and need not be: sorted they are alike
    least, most = (dtype.type(v) for v in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    return Limits(least, most, least, most)


def inner(low: float | None, high: float | None, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The least and the greatest sample of ``dtype`` from ``low`` to ``high``, exactly; none: least above most."""
    least, most, before, behind = limits(dtype)
    below = low is not None and np.float64(low) > least
    above = high is not None and np.float64(high) < most
    first = _next(np.float64(low), dtype, np.ceil, behind) if below else least
    last = _next(np.float64(high), dtype, np.floor, before) if above else most
    return (first, last) if first is not None and last is not None and first <= last else (behind, before)


def _next(level: np.float64, dtype: np.dtype[Any], whole: Any, beyond: Any) -> Any:
    """The sample next to ``level`` on the side that ``whole`` rounds to; None if the dtype ends before."""
    if dtype.kind != "f":
        value = whole(level)
        return dtype.type(value) if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max else None
    with np.errstate(over="ignore"):
        value = dtype.type(level)
        wrong = value < level if whole is np.ceil else value > level
        return np.nextafter(value, beyond, dtype=dtype) if wrong else value
