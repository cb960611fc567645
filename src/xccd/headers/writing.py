"""New cards: for an array's shape and dtype, for attributes; and a header padded to blocks of a file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.headers.bitpix import BITPIX, in_file, zero
from xccd.headers.coords import HDF5_OWN

MADE_BY = "CREATOR"
FILES = "image_files"  # coordinate of a combined image: all inputs, if there are too many for the cards IMCMBnnn


@cache
def made_by() -> str:
    """The card that names the program and its version."""
    return cards.make(MADE_BY, f"xccd {version('xccd')}", "what wrote this file")


def as_block(lines: Iterable[str]) -> bytes:
    """The bytes of a header in a file: its lines, END, and blanks to the end of the block."""
    text = "".join(line.ljust(80) for line in [*lines, "END"])
    return text.ljust(-(-len(text) // cards.BLOCK) * cards.BLOCK).encode("ascii")


def from_attrs(attrs: dict[Any, Any]) -> str:
    """Cards for those attributes that can be keywords: an upper-case name, and one number or text as value."""
    lines = []
    for name, value in attrs.items():
        keyword = str(name).rstrip("_") if str(name).rstrip("_") in HDF5_OWN else str(name)
        plain = isinstance(value, (str, int, float, np.integer, np.floating, np.bool_))
        if not plain or keyword != keyword.upper() or cards.describes_data(keyword):
            continue
        if len(keyword) > 8:
            keyword = f"HIERARCH {keyword}"
        try:
            lines.append(cards.make(keyword, value.item() if hasattr(value, "item") else value))
        except ValueError:  # FITS cannot write this name or value: an attribute of other software
            continue
    return "\n".join(lines)


def structure(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """The structural cards of an array in a primary HDU."""
    kind = in_file(dtype)
    lines = [cards.make("SIMPLE", True), cards.make("BITPIX", BITPIX[kind.str[1:]])]
    lines.append(cards.make("NAXIS", len(shape)))
    lines += [cards.make(f"NAXIS{k}", size) for k, size in enumerate(shape[::-1], 1)]
    if zero(kind):
        lines += [cards.make("BSCALE", 1), cards.make("BZERO", zero(kind))]
    return "\n".join(lines)
