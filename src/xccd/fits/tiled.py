"""Tile-compressed images (`.fz`): a table of compressed tiles in the file, an image to everybody else."""

from __future__ import annotations

import io
import math
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
NO_USE = ("CHECKSUM", "DATASUM", "ZTENSION", "ZSIMPLE", "ZEXTEND", "ZHECKSUM", "ZDATASUM")
# Cards that are made anew for some tile rows of an image.
ANEW = re.compile(r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|ZNAXIS\d*|ZTILE\d+|ZDITHER0")
COLUMN = re.compile(r"(\d*)([LBIJKEDAPQ])(?:([BIJKED])(?:\(\d*\))?)?")
WIDTHS = {"L": 1, "A": 1, "B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "P": 8, "Q": 16}


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
    if any(line.startswith("SIMPLE") for line in first):  # of a primary image, whatever it is now
        first = [line for line in first if not line.startswith("XTENSION")]
    elif not any(line.startswith("XTENSION") for line in first):
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
    blank = [line for line in image_text(text).split("\n") if line.startswith("BLANK   =")]
    return "\n".join([cards.join(c for c in own if c.keyword not in NO_USE), *blank])


def tile_shape(values: dict[str, Any]) -> tuple[int, ...]:
    """The shape of a tile, axes in NumPy's order: by default a row."""
    n = int(values.get("ZNAXIS", 0))
    row = [values.get("ZNAXIS1", 1), *[1] * n]
    sizes = (values.get(f"ZTILE{i}", row[i - 1]) for i in range(n, 0, -1))
    return tuple(size if isinstance(size, int) else 0 for size in sizes)


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
        spare = next((i for i, n in enumerate(self.shape[:-1]) if n != 1), len(self.shape) - 1)
        index, out = index[spare:], out[(0,) * spare]
        first, last, _ = index[0].indices(self.shape[spare])
        height = self.tile[spare]
        above = first // height
        piece = self._piece(spare, above, -(-last // height))
        try:
            with _one_at_a_time, fits.open(io.BytesIO(piece), memmap=False, do_not_scale_image_data=True) as hdus:
                raw = hdus[1].section[...]
        except Exception as error:  # astropy's decompressors raise as many kinds as there are
            raise OSError(f"{self.path}, HDU {self.index}: its tiles cannot be read: {error}") from error
        rows = slice(first - above * height, last - above * height)
        convert(raw[(rows, *index[1:])], out, self.bscale, self.bzero, self.blank)

    def _piece(self, spare: int, start: int, stop: int) -> bytes:
        """A file of its own of the tile rows from ``start`` to ``stop``: no more is read, and nothing to warn of.

        Leading axes of size 1, of which there are ``spare``, are left out.
        """
        shape, tile, values = self.shape[spare:], self.tile[spare:], cards.values(self.table)
        across = math.prod(-(-n // t) for n, t in zip(shape[1:], tile[1:], strict=True))
        width, number = int(values["NAXIS1"]), int(values["NAXIS2"])
        theap = int(values.get("THEAP", width * number))
        if stop * across > number:
            raise OSError(f"{self.path}, HDU {self.index}: {number} tiles are too few for its shape, it is damaged")
        rows = self._bytes(start * across * width, (stop - start) * across * width)
        heap = self._heap(rows, values, width, theap)
        kept = cards.join(c for c in cards.split(self.table) if not ANEW.fullmatch(c.keyword)).split("\n")
        made = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": width, "NAXIS2": (stop - start) * across, "PCOUNT": len(heap)}
        made |= {"GCOUNT": 1, "TFIELDS": int(values["TFIELDS"]), "ZNAXIS": len(shape)}
        shape = (min(shape[0], stop * tile[0]) - start * tile[0], *shape[1:])
        for i, (n, t) in enumerate(zip(shape[::-1], tile[::-1], strict=True), 1):
            made |= {f"ZNAXIS{i}": n, f"ZTILE{i}": t}
        if "ZDITHER0" in values:  # the noise of a tile depends on its number
            made["ZDITHER0"] = (int(values["ZDITHER0"]) - 1 + start * across) % 10_000 + 1
        lines = [f"{keyword:8}= {value:>20}" for keyword, value in made.items()]
        return PRIMARY + _block(["XTENSION= 'BINTABLE'", *lines, *kept]) + _padded(rows + heap)

    def _heap(self, rows: bytearray, values: dict[str, Any], width: int, theap: int) -> bytearray:
        """The bytes of the tiles of ``rows``, whose pointers to them are moved accordingly."""
        starts, ends, pointers = [], [], []
        for place, kind, size in self._columns(values, width):
            pointer = np.ndarray((len(rows) // width, 2), kind, rows, place, (width, kind.itemsize))
            used = pointer[pointer[:, 0] > 0].astype(np.int64)
            starts += used[:, 1].tolist()
            ends += (used[:, 1] + used[:, 0] * size).tolist()
            pointers.append(pointer)
        first = min(starts, default=0)
        for pointer in pointers:
            pointer[:, 1] = np.where(pointer[:, 0] > 0, pointer[:, 1].astype(np.int64) - first, 0)
        return self._bytes(theap + first, max(ends, default=0) - first)

    def _columns(self, values: dict[str, Any], width: int) -> list[tuple[int, np.dtype[Any], int]]:
        """Of each column of pointers: its place in a row, their dtype, and the bytes of what they point to."""
        found, place = [], 0
        for i in range(1, int(values["TFIELDS"]) + 1):
            form = COLUMN.fullmatch(str(values.get(f"TFORM{i}", "")).strip())
            if not form:
                raise OSError(f"{self.path}, HDU {self.index}: TFORM{i} = {values.get(f'TFORM{i}')!r} is not known")
            if form[2] in "PQ":
                found.append((place, np.dtype(">i4" if form[2] == "P" else ">i8"), WIDTHS[form[3] or "B"]))
            place += int(form[1] or 1) * WIDTHS[form[2]]
        if place > width:
            raise OSError(
                f"{self.path}, HDU {self.index}: rows of {width} bytes cannot hold its columns, it is damaged"
            )
        return found

    def _bytes(self, start: int, count: int) -> bytearray:
        if start < 0 or count < 0 or start + count > self.nbytes:
            raise OSError(f"{self.path}, HDU {self.index}: its tiles are outside of its data, it is damaged")
        data = bytearray(count)
        self.file.fill(memoryview(data), self.offset + start)
        return data


def _padded(data: bytes | bytearray, fill: bytes = b"\0") -> bytes:
    return bytes(data).ljust(-(-len(data) // 2880) * 2880, fill)


def _block(lines: list[str]) -> bytes:
    return _padded("".join(line.ljust(80) for line in [*lines, "END"]).encode("ascii"), b" ")


PRIMARY = _block([f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {8:>20}", f"{'NAXIS':8}= {0:>20}"])
