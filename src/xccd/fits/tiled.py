"""Tile-compressed images (`.fz`): a table of compressed tiles in the file, an image to everybody else."""

from __future__ import annotations

import os
import re
import threading
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.fits import cards, unpack
from xccd.fits.pixels import FilePixels, Index, Samples, convert

# Cards of the table that holds the tiles, and of the compression; those that describe the image have other names there.
TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|T(TYPE|FORM|UNIT|DIM|NULL|SCAL|ZERO|DISP)\d+|CHECKSUM|DATASUM|"
    r"Z(IMAGE|SIMPLE|TENSION|EXTEND|PCOUNT|GCOUNT|BLOCKED|TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|HECKSUM|DATASUM|"
    r"MASKCMP|SCALE|ZERO|BLANK)"
)
IMAGE = re.compile(r"Z(BITPIX|NAXIS\d*)")


def image_text(text: str) -> str:
    """The header of the image, from that of the table that holds its tiles."""
    lines = []
    for card in cards.split(text):
        renamed = IMAGE.fullmatch(card.keyword)
        if renamed:
            lines.append(cards.make(renamed[1], card.value))
        elif not TABLE.fullmatch(card.keyword) and card.lines[0] != "EXTNAME = 'COMPRESSED_IMAGE'":
            lines += card.lines
    return "\n".join(lines)


def tile_shape(values: dict[str, Any]) -> tuple[int, ...]:
    """The shape of a tile, axes in NumPy's order: by default a row."""
    n = int(values.get("ZNAXIS", 0))
    row = [values.get("ZNAXIS1", 1), *[1] * n]
    return tuple(int(values.get(f"ZTILE{i}", row[i - 1])) for i in range(n, 0, -1))


# The decompressors keep their place in variables of the process: HCOMPRESS_1 in two threads at once gives errors, or
# pixels that are wrong. Processes do not share them.
_one_at_a_time = threading.Lock()


def _after_fork() -> None:
    """Who held the lock is not there in a forked child."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class TiledPixels(FilePixels):
    """An image in tiles, read by astropy: in its own opening of the file each time, as threads must not share one."""

    index: int
    tile_rows: int

    @property
    def raw(self) -> None:
        """The pixels are not in the file as they are."""

    def read(self, index: Index, out: Samples) -> None:
        from astropy.io import fits

        path = unpack.scratch(self.path, self.packing, self._check) if self.packing else self.path
        with self._open(path) as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the header says oddly was met when it was read
            if not self.packing:
                self._check(os.fstat(file.fileno()))
            try:
                with _one_at_a_time, fits.open(file, memmap=False, do_not_scale_image_data=True) as hdus:
                    raw = np.asarray(hdus[self.index].section[index])
            except Exception as error:  # astropy's decompressors raise as many kinds as there are
                raise OSError(f"{self.path}, HDU {self.index}: its tiles cannot be read: {error}") from error
        convert(raw, out, self.bscale, self.bzero, self.blank)
