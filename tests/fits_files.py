"""FITS files for tests: by astropy, or byte by byte where astropy would mend what is to be tested."""

from pathlib import Path
from typing import Any

import numpy as np
from astropy.io import fits

BITPIX = {"u1": 8, "i2": 16, "i4": 32, "i8": 64, "f4": -32, "f8": -64}


def write(path: Path, array: Any, cards: dict[str, Any] | fits.Header | None = None) -> Path:
    """An image in the primary HDU, written by astropy."""
    fits.PrimaryHDU(np.array(array), cards if isinstance(cards, fits.Header) else header(cards or {})).writeto(path)
    return path


def header(cards: dict[str, Any]) -> fits.Header:
    return fits.Header([(k if len(k) < 9 else f"HIERARCH {k}", v) for k, v in cards.items()])


def padded(data: bytes, fill: bytes = b"\0") -> bytes:
    return data + fill * (-len(data) % 2880)


def head(lines: list[str]) -> bytes:
    """A header block of these lines, as they are, and END."""
    return padded("".join(line.ljust(80)[:80] for line in [*lines, "END"]).encode("latin-1"), b" ")


def line(keyword: str, value: Any) -> str:
    """A card in fixed format, any value as its text."""
    return f"{keyword:8}= {value!s:>20}"


def structure(bitpix: Any, *sizes: Any, first: str = "SIMPLE  =                    T") -> list[str]:
    axes = [line(f"NAXIS{i}", size) for i, size in enumerate(sizes, 1)]
    return [first, line("BITPIX", bitpix), line("NAXIS", len(sizes)), *axes]


def raw(path: Path, stored: Any, *lines: str) -> Path:
    """A file with these stored numbers and these lines in its header, whatever they say."""
    stored = np.asarray(stored)
    top = structure(BITPIX[stored.dtype.str[1:]], *stored.shape[::-1])
    data = stored.astype(stored.dtype.newbyteorder(">")).tobytes()
    path.write_bytes(head([*top, *lines]) + padded(data))
    return path
