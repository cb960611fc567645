"""Planes of quality bits (DQ) as masks: the argument ``bits``, and the pixels that have one of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xccd.read.images.pixels import ArrayPixels, FilePixels, Index, PixelReader, Samples

WHOLE = "iub"  # dtype kinds that have bits
FLAG = np.dtype(np.uint8)


def bits_of(given: Any) -> int | None:
    """The argument ``bits`` (a number, or a list of powers of two) as one number; None means any bit."""
    if given is None:
        return None
    listed = isinstance(given, Iterable) and not isinstance(given, (str, bytes))
    values = list(given) if listed else [given]
    for value in values:
        if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, np.integer)):
            raise TypeError(
                f"bits={given!r} are no bits: give their values, as [1, 4], or the sum of them, as 5; None takes any"
            )
        if not 0 <= value < 1 << 64:
            raise ValueError(f"bits={given!r}: {value} is not a sum of bits, which are 1 to 2**63")
        if listed and (value == 0 or value & (value - 1)):
            raise ValueError(
                f"bits={given!r}: {value} is not a power of two: a list holds the value of each bit, "
                "and a sum of them is given as a number by itself"
            )
    found = 0
    for value in values:
        found |= int(value)
    if not found:
        raise ValueError(f"bits={given!r} names no bit: bits=None takes any")
    return found


def bad_pixels(plane: PixelReader, bits: int | None, name: str) -> PixelReader:
    """A plane as a mask: pixels with one of ``bits`` (None: any number but 0). Raises if its dtype lacks these bits."""
    if bits is None:
        return plane
    if plane.native.kind not in WHOLE:
        raise ValueError(
            f"{name} holds {plane.native}, but bits={bits} needs whole numbers: "
            "bits=None takes any number but 0 as bad, mask_hdu= names another"
        )
    width = 8 * plane.native.itemsize
    if not bits & ((1 << width) - 1):
        raise ValueError(f"{name} holds {plane.native}, which has none of bits={bits}: its bits are below 2**{width}")
    return BadBits(plane, bits)


def bad_values(values: Samples, bits: int) -> Samples:
    """Where integers have one of ``bits``; signed ones by their stored bits, so that 2**15 is the sign of int16."""
    if values.dtype.kind == "b":
        return values if bits & 1 else np.zeros_like(values)
    unsigned = values.view(np.dtype(f"{values.dtype.byteorder}u{values.dtype.itemsize}"))
    found: Samples = (unsigned & np.array(bits & ((1 << 8 * values.dtype.itemsize) - 1), unsigned.dtype)) != 0
    return found


@dataclass(frozen=True)
class BadBits:
    """A plane of bits as a mask: 1 for a pixel with a bad bit or with BLANK."""

    plane: PixelReader
    bits: int
    native = FLAG
    masks = False

    @property
    def shape(self) -> tuple[int, ...]:
        return self.plane.shape

    def read(self, index: Index, out: Samples) -> None:
        values, missing = self._numbers(index)
        bad = bad_values(values, self.bits)
        out[...] = bad if missing is None else bad | missing

    def _numbers(self, index: Index) -> tuple[Samples, Any]:
        """The integers of some pixels, and where they are missing; None if the plane marks no pixel as missing."""
        plane, missing = self.plane, None
        if isinstance(plane, ArrayPixels):
            return np.ascontiguousarray(plane.array[index]), None if plane.missing is None else plane.missing[index]
        blank = plane.blank if isinstance(plane, FilePixels) else None
        if isinstance(plane, FilePixels) and blank is not None:
            plane = replace(plane, blank=None)
        shape = tuple(len(range(*s.indices(n))) for s, n in zip(index, plane.shape, strict=True))
        values = np.empty(shape, plane.native)
        plane.read(index, values)
        if blank is not None and isinstance(plane, FilePixels):
            missing = values == blank + plane.bzero
        return values, missing
