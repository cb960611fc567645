"""Readers of the pixels of one image: small, picklable, without an open file; they fill the caller's array."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from xccd.read.files.local import File

Index = tuple[slice, ...]
Samples = np.ndarray[Any, Any]
# Kind of integer by (is it one byte, BZERO in units of half the range).
INTEGERS: dict[tuple[bool, float], str] = {(True, 0): "u", (True, -1): "i", (False, 0): "i", (False, 1): "u"}


class PixelReader(Protocol):
    """A reader of one image, in a file or in memory."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def native(self) -> np.dtype[Any]:
        """The dtype that holds the stored values exactly, integers as integers."""

    @property
    def masks(self) -> bool:
        """Whether pixels may be marked as missing other than by NaN (BLANK, a mask)."""

    def read(self, index: Index, out: Samples) -> None:
        """Fill ``out``, of any real dtype, with the pixels of ``index`` (one slice of step 1 for each axis)."""


def innermost(reader: Any) -> Any:
    """The reader of the stored pixels within others, which turn them, or take bits of them."""
    while (base := getattr(reader, "base", None) or getattr(reader, "plane", None)) is not None:
        reader = base
    return reader


@dataclass(frozen=True)
class ArrayPixels:
    """An image in memory; ``missing`` marks its masked pixels."""

    array: Samples
    missing: Samples | None = None

    @property
    def shape(self) -> tuple[int, ...]:
        shape: tuple[int, ...] = self.array.shape
        return shape

    @property
    def native(self) -> np.dtype[Any]:
        dtype: np.dtype[Any] = self.array.dtype
        return dtype.newbyteorder("=")

    @property
    def masks(self) -> bool:
        return self.missing is not None

    def read(self, index: Index, out: Samples) -> None:
        np.copyto(out, self.array[index], casting="unsafe")
        if self.missing is not None:
            out[self.missing[index]] = np.nan

    def __dask_tokenize__(self) -> tuple[Any, ...]:
        from dask.base import normalize_token

        return ("ArrayPixels", normalize_token(self.array), normalize_token(self.missing))


@dataclass(frozen=True)
class FilePixels:
    """An image in a FITS file: the place of its bytes, and their scaling to values."""

    file: File
    offset: int
    shape: tuple[int, ...]
    bitpix: int
    bscale: int | float
    bzero: int | float
    blank: int | None

    @property
    def path(self) -> str:
        return self.file.name

    @property
    def native(self) -> np.dtype[Any]:
        if self.bitpix < 0:
            return np.dtype(f"f{-self.bitpix // 8}")
        kind = INTEGERS.get((self.bitpix == 8, self.bzero and self.bzero / (1 << (self.bitpix - 1))))
        if self.bscale == 1 and kind:
            return np.dtype(f"{kind}{self.bitpix // 8}")
        steps = (abs(self.bzero) / abs(self.bscale or 1)) + (1 << self.bitpix)
        return np.dtype(np.float32 if steps < 1 << 24 else np.float64)  # float32 resolves 2^24 steps

    @property
    def masks(self) -> bool:
        return self.blank is not None

    @property
    def stored(self) -> np.dtype[Any]:
        """The dtype of the bytes in the file."""
        kind = "f" if self.bitpix < 0 else "u" if self.bitpix == 8 else "i"
        return np.dtype(f">{kind}{abs(self.bitpix) // 8}")

    @property
    def raw(self) -> FilePixels | None:
        """A reader of the stored numbers, if they are the pixels, or uint16 pixels up to the sign bit; else None."""
        unsigned = self.bitpix == 16 and self.bzero == 1 << 15
        simple = self.bscale == 1 and self.blank is None and (self.bzero == 0 or unsigned)
        return replace(self, bzero=0) if simple else None

    def read(self, index: Index, out: Samples) -> None:
        if not out.size:
            return
        # leading axes of size 1 are skipped: the first of them would make the whole image one row
        spare = next((i for i, n in enumerate(self.shape[:-1]) if n != 1), len(self.shape) - 1)
        shape, index, out = self.shape[spare:], index[spare:], out[(0,) * spare]
        first, last, _ = index[0].indices(shape[0])
        row = self.stored.itemsize * math.prod(shape[1:])
        start, count = self.offset + first * row, (last - first) * row
        as_stored = out.dtype == self.stored and self == self.raw and out.nbytes == count
        if as_stored and out.flags.c_contiguous:
            # straight into the caller's array, without a copy
            self.file.fill(out.reshape(-1).view(np.uint8).data, start)
            return
        data = bytearray(count)
        self.file.fill(memoryview(data), start)
        raw = np.frombuffer(data, self.stored).reshape(last - first, *shape[1:])
        convert(raw[(slice(None), *index[1:])], out, self.bscale, self.bzero, self.blank)


def convert(raw: Samples, out: Samples, bscale: int | float, bzero: int | float, blank: int | None) -> None:
    """Fill ``out`` with the values ``bzero + bscale * raw`` of stored big-endian numbers, NaN for ``blank``.

    Exact if the dtype of ``out`` can hold the value: computed in float64, or by the sign bit for unsigned integers.
    """
    bits = raw.dtype.itemsize * 8
    if bscale == 1 and bzero == 0:
        np.copyto(out, raw, casting="unsafe")
    elif bscale == 1 and raw.dtype.kind == "i" and bits > 8 and bzero == 1 << (bits - 1):
        # by the sign bit, as no integer is wider than 64 bits
        sign = np.array(bzero, f"u{bits // 8}")
        np.copyto(out, raw.astype(f"i{bits // 8}").view(sign.dtype) ^ sign, casting="unsafe")
    elif out.dtype.kind in "iu":
        np.copyto(out, raw.astype(np.int64) + bzero, casting="unsafe")
    else:
        np.copyto(out, raw * np.float64(bscale) + np.float64(bzero), casting="unsafe")
    if blank is not None:
        out[raw == blank] = np.nan
