"""Cards that are written anew: of an array's shape and dtype, of attributes, as a block of a file."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import cards
from xccd.headers.bitpix import BITPIX, in_file, zero
from xccd.headers.coords import HDF5_OWN

if TYPE_CHECKING:
    pass


BLOCK = 2880
MADE_BY = "CREATOR"
FILES = "image_files"  # as COMBINED: the whole list of inputs, for more than IMCMBnnn can number


@cache
def made_by() -> str:
    """The card that says what wrote a product."""
    return cards.make(MADE_BY, f"xccd {version('xccd')}", "what wrote this file")


def as_block(lines: Iterable[str]) -> bytes:
    """A header as it is in a file, up to the end of its last block."""
    text = "".join(line.ljust(80) for line in [*lines, "END"])
    return text.ljust(-(-len(text) // BLOCK) * BLOCK).encode("ascii")


def from_attrs(attrs: dict[Any, Any]) -> str:
    """Cards for the attributes that can be keywords: upper case, one number or text."""
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
        except ValueError:  # not a name or value that FITS can write: an attribute of other software
            continue
    return "\n".join(lines)


def structure(dtype: np.dtype[Any], shape: tuple[int, ...]) -> str:
    """The cards that describe an array in a primary HDU."""
    kind = in_file(dtype)
    lines = [cards.make("SIMPLE", True), cards.make("BITPIX", BITPIX[kind.str[1:]])]
    lines.append(cards.make("NAXIS", len(shape)))
    lines += [cards.make(f"NAXIS{k}", size) for k, size in enumerate(shape[::-1], 1)]
    if zero(kind):
        lines += [cards.make("BSCALE", 1), cards.make("BZERO", zero(kind))]
    return "\n".join(lines)
