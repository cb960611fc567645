"""The limits of each dtype, and the values that replace missing samples in a sorted block."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

HALF = 0.499999  # a resampled pixel needs good samples for half of its weight; positions are rounded, so a bit less
OUTSIDE = np.uint8(128)  # the flag for pixels outside the footprint
MAD_TO_STD = 1.482602218505602  # sigma / MAD of a normal distribution: 1 / (sqrt(2) erfinv(1/2))
ON_PIXEL = 1e-17  # pixels: a position so near to a pixel has its value
RUN = 128  # positions whose weights are computed at a time, in vector instructions
THIRD = math.pi / 3  # the largest angle whose sine a kernel takes by the series
SINE = tuple((-1) ** n / math.factorial(2 * n + 1) for n in range(1, 9))  # factors of z**3, z**5, ... z**17
HUGE, TINY = 1e70, 1e-70  # outside this range a square times n^2 may overflow or underflow in float64

# Kernels are compiled for these dtypes. Samples of other dtypes are converted to one of them, tile by tile.
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
    """The dtype of `DIRECT` to which samples of ``dtype`` are converted. It changes no image."""
    dtype = np.dtype(dtype.newbyteorder("="))
    if dtype in DIRECT:
        return dtype
    return np.dtype(f"{dtype.kind}2") if dtype.kind in "iu" and dtype.itemsize == 1 else float_dtype(dtype)


class Limits(NamedTuple):
    """The least and the greatest valid sample, and the values that sort before and behind all samples."""

    least: Any
    most: Any
    before: Any
    behind: Any


def limits(dtype: np.dtype[Any]) -> Limits:
    """Limits of a float or an integer dtype, as scalars of it."""
    if dtype.kind == "f":
        most = np.finfo(dtype).max
        return Limits(-most, most, dtype.type(-np.inf), dtype.type(np.inf))
    # A sample equal to the greatest integer looks like a missing one. In a sorted column both have the same place.
    least, most = (dtype.type(v) for v in (np.iinfo(dtype).min, np.iinfo(dtype).max))
    return Limits(least, most, least, most)


def inner(low: float | None, high: float | None, dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The least and the greatest sample of ``dtype`` from ``low`` to ``high``; least above most if none is."""
    least, most, before, behind = limits(dtype)
    below = low is not None and np.float64(low) > least
    above = high is not None and np.float64(high) < most
    first = _next(np.float64(low), dtype, np.ceil, behind) if below else least
    last = _next(np.float64(high), dtype, np.floor, before) if above else most
    return (first, last) if first is not None and last is not None and first <= last else (behind, before)


def _next(level: np.float64, dtype: np.dtype[Any], whole: Any, beyond: Any) -> Any:
    """The sample nearest to ``level`` on the side that ``whole`` rounds to; None if it is outside the dtype."""
    if dtype.kind != "f":
        value = whole(level)
        return dtype.type(value) if np.iinfo(dtype).min <= value <= np.iinfo(dtype).max else None
    with np.errstate(over="ignore"):
        value = dtype.type(level)
        wrong = value < level if whole is np.ceil else value > level
        return np.nextafter(value, beyond, dtype=dtype) if wrong else value
