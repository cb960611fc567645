"""The extension RECIPE of a product: lines of text that say how it was made, so that it can be made again."""

from __future__ import annotations

from io import BytesIO

import numpy as np
import xarray as xr

from xccd.headers import cards

RECIPE = "RECIPE"  # EXTNAME
MADE_BY = "made_by"  # scalar coordinate of an image that is written with the text


def recipe_table(image: xr.DataArray) -> bytes:
    """The bytes of a binary table with one column of lines, for an image with the label ``made_by``; else b""."""
    text = image.coords[MADE_BY].values.item() if MADE_BY in image.coords else None
    if not isinstance(text, str):
        return b""
    from astropy.io import fits

    lines = [as_ascii(line) for line in text.split("\n")]
    column = fits.Column("LINE", f"{max(1, *map(len, lines))}A", array=np.array(lines))
    buffer = BytesIO()
    fits.HDUList([fits.PrimaryHDU(), fits.BinTableHDU.from_columns([column], name=RECIPE)]).writeto(buffer)
    return buffer.getvalue()[cards.BLOCK :]  # without the empty primary HDU


def as_ascii(line: str) -> str:
    """A line of TOML with other letters than ASCII as escapes, which stand in texts only."""
    return "".join(
        c if " " <= c <= "~" else rf"\u{ord(c):04x}" if ord(c) < 1 << 16 else rf"\U{ord(c):08x}" for c in line
    )
