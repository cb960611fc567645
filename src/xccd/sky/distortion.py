"""The header of a grid's file, and its distortion tables; both are read by the strict reader."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.messages import shown
from xccd.read.files.remote import Remote
from xccd.read.images.hdus import StoredHDU, Walk
from xccd.read.images.sources import items

TABLES = ("WCSDVARR", "D2IMARR")  # EXTNAMEs of the convention
MOST_PIXELS = 1 << 24  # of a table; real ones have a few thousand


def one_file(source: str | os.PathLike[str]) -> Path | Remote:
    """The one file that a path or URL stands for."""
    found = [item for item, _ in items(source)]
    if len(found) != 1 or not isinstance(found[0], Path | Remote):
        raise ValueError(f"{shown(source)} stands for {len(found)} files: a grid comes from one")
    return found[0]


def header_of(source: str | os.PathLike[str]) -> str:
    """The header text of a file's first image. Without an image: of the first HDU with a WCS, else of the primary."""
    with Walk(one_file(source)) as walk:
        seen: list[StoredHDU] = []
        for unit in walk:
            if unit.is_image:
                return unit.text
            seen.append(unit)
    return next((unit.text for unit in seen if cards.card_value(unit.text, "CTYPE1") is not None), seen[0].text)


def tables_of(source: str | os.PathLike[str]) -> Any:
    """The distortion tables of a file, as images in an astropy HDUList."""
    from astropy.io import fits

    found = [fits.PrimaryHDU()]
    with Walk(one_file(source)) as walk:
        for unit in walk:
            if unit.name not in TABLES or not unit.is_image:
                continue
            if math.prod(unit.shape) > MOST_PIXELS:
                raise OSError(f"{walk.name}, HDU {unit.index}: a table of distortion of shape {unit.shape} is absurd")
            pixels = walk.pixels(unit)
            values = np.empty(pixels.shape, pixels.native)
            pixels.read(tuple(slice(0, n) for n in pixels.shape), values)
            table = fits.ImageHDU(values, name=unit.name, ver=int(cards.as_number(unit.values.get("EXTVER", 1))))
            for keyword in (f"{name}{axis}" for name in ("CRPIX", "CRVAL", "CDELT") for axis in (1, 2)):
                if keyword in unit.values:
                    table.header[keyword] = cards.as_number(unit.values[keyword])
            found.append(table)
    return fits.HDUList(found)
