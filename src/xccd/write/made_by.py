"""The extension RECIPE of a product: lines of text that say how it was made, so that it can be made again."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.writing import as_block

RECIPE = "RECIPE"  # EXTNAME
MADE_BY = "made_by"  # scalar coordinate of an image that is written with the text


def recipe_table(image: xr.DataArray) -> bytes:
    """The bytes of a binary table with one column of lines, for an image with the label ``made_by``; else b"".

    By hand: astropy's tables take half a second to import, which `xccd combine` has no other use for.
    """
    text = image.coords[MADE_BY].values.item() if MADE_BY in image.coords else None
    if not isinstance(text, str):
        return b""
    lines = [as_ascii(line).encode() for line in text.split("\n")]
    rows = np.array(lines, f"S{max(1, *map(len, lines))}")
    given = {"XTENSION": "BINTABLE", "BITPIX": 8, "NAXIS": 2, "NAXIS1": rows.dtype.itemsize, "NAXIS2": len(rows),
             "PCOUNT": 0, "GCOUNT": 1, "TFIELDS": 1, "TTYPE1": "LINE", "TFORM1": f"{rows.dtype.itemsize}A",
             "EXTNAME": RECIPE}  # fmt: skip
    data = rows.tobytes()
    return as_block([cards.make(k, v) for k, v in given.items()]) + data + b"\0" * (-len(data) % cards.BLOCK)


def as_ascii(line: str) -> str:
    """A line of TOML with other letters than ASCII as escapes, which stand in texts only."""
    return "".join(
        c if " " <= c <= "~" else rf"\u{ord(c):04x}" if ord(c) < 1 << 16 else rf"\U{ord(c):08x}" for c in line
    )
