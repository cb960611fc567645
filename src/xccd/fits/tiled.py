"""Tile-compressed images (`.fz`): a table of compressed tiles in the file, an image to everybody else."""

from __future__ import annotations

import io
import os
import re
import threading
from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.fits import cards
from xccd.fits.pixels import FilePixels, Index, Samples, convert

KINDS = ("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "HCOMPRESS_1", "PLIO_1", "NOCOMPRESS")  # ZCMPTYPE
# Cards of the table and of the compression, which are of no use to the image; and those that describe the image there.
TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|T(TYPE|FORM|UNIT|DIM|NULL|SCAL|ZERO|DISP)\d+|"
    r"Z(TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|MASKCMP|SCALE|ZERO|BLANK|IMAGE|BLOCKED)|CHECKSUM|DATASUM"
)
IMAGE = re.compile(r"Z(BITPIX|NAXIS\d*|SIMPLE|TENSION|PCOUNT|GCOUNT|EXTEND|HECKSUM|DATASUM)")
NAMES = {"TENSION": "XTENSION", "HECKSUM": "CHECKSUM"}
FIRST = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT")
BUFFER = 1 << 18  # bytes read at a time: tiles of a band lie behind each other
FAR_BUFFER = 1 << 20


def image_text(text: str) -> str:
    """The header of the image, from that of the table that holds its tiles."""
    first: list[str] = []
    rest: list[str] = []
    for card in cards.split(text):
        renamed = IMAGE.fullmatch(card.keyword)
        if renamed:
            name = NAMES.get(renamed[1], renamed[1])
            (first if FIRST.fullmatch(name) else rest).append(f"{name:8}{card.lines[0][8:]}")
        elif not TABLE.fullmatch(card.keyword) and (card.keyword, card.value) != ("EXTNAME", "COMPRESSED_IMAGE"):
            rest += card.lines
    if not any(line.startswith(("SIMPLE", "XTENSION")) for line in first):
        first.append("XTENSION= 'IMAGE   '")
    order = ("SIMPLE", "XTENSION", "BITPIX", "NAXIS")
    first.sort(key=lambda line: next((i for i, name in enumerate(order) if line.startswith(name)), len(order)))
    return "\n".join([*first, *_blank(text, rest)])


def _blank(text: str, rest: list[str]) -> list[str]:
    """The other cards; integers that are missing have ZBLANK in the table, the lowest number if it is a column."""
    values = cards.values(text)
    bitpix = values.get("ZBITPIX", 0)
    if "BLANK" in values or not isinstance(bitpix, int) or bitpix <= 0:
        return rest
    column = "ZBLANK" in (v for k, v in values.items() if k.startswith("TTYPE"))
    blank = values.get("ZBLANK", -(1 << (bitpix - 1)) if column else None)
    return rest if blank is None else [*rest, f"{'BLANK':8}= {blank!s:>20}"]


def table_text(text: str) -> str:
    """What is needed to read the tiles: the cards of the table and of the compression, and BLANK."""
    own = (c for c in cards.split(text) if TABLE.fullmatch(c.keyword) or IMAGE.fullmatch(c.keyword))
    dropped = ("CHECKSUM", "DATASUM", "ZTENSION", "ZSIMPLE", "ZHECKSUM", "ZDATASUM")
    kept = cards.join(c for c in own if c.keyword not in dropped)
    blank = [line for line in image_text(text).split("\n") if line.startswith("BLANK   =")]
    return "\n".join([kept, *blank])


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
    nbytes: int
    table: str  # the cards that its tiles are read by
    tile: tuple[int, ...]

    @property
    def raw(self) -> None:
        """The pixels are not in the file as they are."""

    @property
    def tile_rows(self) -> int:
        """How many rows of the image a tile takes."""
        return self.tile[-2] if len(self.tile) > 1 else 1

    def read(self, index: Index, out: Samples) -> None:
        from astropy.io import fits

        if not out.size:
            return
        alone = io.BufferedReader(_Alone(self), FAR_BUFFER if self.file.far else BUFFER)
        try:
            with _one_at_a_time, fits.open(alone, memmap=False, do_not_scale_image_data=True) as hdus:
                raw = np.asarray(hdus[1].section[index])
        except Exception as error:  # astropy's decompressors raise as many kinds as there are
            if isinstance(error, OSError) and self.path in str(error):
                raise
            raise OSError(f"{self.path}, HDU {self.index}: its tiles cannot be read: {error}") from error
        convert(raw, out, self.bscale, self.bzero, self.blank)


class _Alone(io.RawIOBase):
    """A file of that one HDU, made up: the cards that are needed, and after them its bytes in the real file.

    So headers are not read again, whatever else the file holds, and there is nothing in them to warn of.
    """

    def __init__(self, pixels: TiledPixels) -> None:
        super().__init__()
        primary = ("SIMPLE  =                    T", "BITPIX  =                    8", "NAXIS   =                    0")
        self.head = _block([*primary, "EXTEND  =                    T"]) + _block(pixels.table.split("\n"))
        self.pixels, self.place = pixels, 0
        self.end = len(self.head) + pixels.nbytes
        self.size = -(-self.end // 2880) * 2880

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.place = {os.SEEK_SET: 0, os.SEEK_CUR: self.place, os.SEEK_END: self.size}[whence] + offset
        return self.place

    def tell(self) -> int:
        return self.place

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        start, data = self.place, len(self.head)
        end = next((edge for edge in (data, self.end, self.size) if start < edge), start)
        count = min(len(view), end - start)
        if end == data:
            view[:count] = self.head[start : start + count]
        elif end == self.end:
            self.pixels.file.fill(view[:count], self.pixels.offset + start - data)
        else:
            view[:count] = bytes(count)
        self.place += count
        return count


def _block(lines: list[str]) -> bytes:
    text = "".join(line.ljust(80) for line in [*lines, "END"])
    return text.ljust(-(-len(text) // 2880) * 2880).encode("ascii")
