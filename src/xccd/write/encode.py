"""Pixels as a file stores them: rounded, unsigned ones shifted by BZERO; pixels that do not fit are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xccd.headers.bitpix import zero

ASKED = ("uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64")
Array = np.ndarray[Any, Any]


def checked_dtype(dtype: Any, fill: Any) -> np.dtype[Any] | None:
    """The argument ``dtype`` as a dtype, None if it was not given; raises if it or ``fill`` is unusable."""
    try:
        wanted: np.dtype[Any] | None = None if dtype is None else np.dtype(dtype).newbyteorder("=")
    except TypeError as error:
        raise TypeError(f"dtype={dtype!r} is no dtype: {error}") from None
    if wanted is not None and str(wanted) not in ASKED:
        raise ValueError(f"dtype={dtype!r} does not exist in FITS: use one of {', '.join(ASKED)}")
    if fill is None:
        return wanted
    if wanted is None or wanted.kind == "f":
        raise ValueError(f"fill={fill!r} goes with a dtype of whole numbers, as dtype='uint16'; floats have NaN")
    number = not isinstance(fill, bool) and isinstance(fill, (int, float, np.integer, np.floating))
    low, high = _range(wanted)
    if not (number and fill == fill and low <= fill <= high and fill == int(fill)):
        raise ValueError(f"fill={fill!r} is not a whole number from {low} to {high}, the range of {wanted}")
    return wanted


def _range(dtype: np.dtype[Any]) -> tuple[Any, Any]:
    """The smallest and the largest number of a dtype."""
    if dtype.kind == "f":
        return -float(np.finfo(dtype).max), float(np.finfo(dtype).max)
    return int(np.iinfo(dtype).min), int(np.iinfo(dtype).max)


class Lost(NamedTuple):
    """The pixels of a block that do not fit: their counts by kind, and the range of the finite ones."""

    missing: int
    infinite: int
    outside: int
    low: float
    high: float


class Encoder:
    """Converts values of one dtype to the bytes of another, block by block and from any thread.

    Values that do not fit are counted; `check` reports them at the end, without another pass over the data.
    """

    def __init__(self, source: np.dtype[Any], target: np.dtype[Any], fill: Any = None, what: str = "the image") -> None:
        self.target, self.fill, self.what = target, fill, what
        self.stored = np.dtype(f">{'i' if zero(target) else target.kind}{target.itemsize}")
        # Integers always lie in the range of floats. They may be rounded, as NumPy rounds them.
        self.fits = np.can_cast(source, target) or (source.kind, target.kind) in (("i", "f"), ("u", "f"))
        self.lost: list[Lost] = []  # an entry for each block with pixels that do not fit

    def __call__(self, block: Any) -> Array:
        """The stored numbers for a block of values; the caller's array is not changed."""
        values = np.asarray(block)
        if not self.fits:
            values = self._narrowed(values)
        if zero(self.target):
            # To flip the highest bit subtracts BZERO, and never leaves the dtype.
            signed = values.astype(self.target, copy=False) ^ self.target.type(zero(self.target))
            values = signed.view(self.stored.newbyteorder("="))
        return values.astype(self.stored, order="C", copy=False)  # contiguous: its bytes are written as they lie

    def _narrowed(self, values: Array) -> Array:
        """Values in the dtype of the file, if some may not fit."""
        if self.target.kind == "f":
            with np.errstate(over="ignore"):
                made = values.astype(self.target)
            self._note(values, outside=np.isinf(made) & np.isfinite(values))
            return made
        low, high = _range(self.target)
        if values.dtype.kind != "f":
            self._note(values, outside=(values < low) | (values > high))
            return values.astype(self.target)
        values = values.astype(np.float32) if values.dtype.itemsize < 4 else values  # float16 ends at 65504
        missing, rounded = np.isnan(values), np.rint(values)
        # float32 can hold 2^31 but not 2^31 - 1
        outside = ~missing & ~((rounded >= float(low)) & (rounded < float(high + 1)))
        self._note(values, outside=outside, missing=missing if self.fill is None else None)
        rounded[missing | outside] = 0  # a cast of these is undefined, and NumPy warns of it
        made = rounded.astype(self.target)
        if self.fill is not None:
            made[missing] = int(self.fill)
        return made

    def _note(self, values: Array, *, outside: Array, missing: Array | None = None) -> None:
        """Count the pixels of a block that do not fit."""
        nans = 0 if missing is None else int(missing.sum())
        if not (nans or outside.any()):
            return
        infinite = int(np.isinf(values).sum()) if values.dtype.kind == "f" and self.target.kind != "f" else 0
        some = values[outside & np.isfinite(values)]
        low, high = (float(some.min()), float(some.max())) if some.size else (np.inf, -np.inf)
        self.lost.append(Lost(nans, infinite, int(some.size), low, high))

    def check(self, target: Path) -> None:
        """Raise if the file cannot hold some pixels, with their count and range."""
        if not self.lost:
            return
        missing, infinite, outside, lows, highs = zip(*self.lost, strict=True)
        problems = []
        if sum(outside):
            low, high = _range(self.target)
            problems.append(
                f"{sum(outside)} outside {low} to {high} (from {min(lows):.10g} to {max(highs):.10g}), clip them"
            )
        if sum(infinite):
            problems.append(f"{sum(infinite)} infinite: whole numbers cannot be")
        if sum(missing):
            problems.append(f"{sum(missing)} missing (NaN): fill=0 writes a number for them")
        raise ValueError(
            f"path={str(target)!r}: {self.what} does not fit into {self.target}, of its pixels {'; '.join(problems)}"
        )
