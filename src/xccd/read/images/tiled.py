"""Tile-compressed images (`.fz`): a table of compressed tiles in the file, an image to everybody else."""

from __future__ import annotations

import io
import math
import os
import re
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xccd.headers import cards
from xccd.read.images.pixels import FilePixels, Index, Samples, convert

# What a byte of each ZCMPTYPE can stand for at the most: of PLIO_1 1024 pixels of 8; HCOMPRESS_1 has no bound of its
# own, a tile of zeros takes 25 bytes, whatever its size.
EXPANSION = dict.fromkeys(("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "NOCOMPRESS"), 1 << 13)
EXPANSION["HCOMPRESS_1"] = 1 << 21
KINDS = tuple(EXPANSION)
HCOMPRESS = b"\xdd\x99"  # how a tile of it begins; its rows and columns follow
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


def tile_shape(where: str, values: dict[str, Any], nbytes: int) -> tuple[int, ...]:
    """The shape of a tile, axes in NumPy's order: by default a row. Raises if ``nbytes`` cannot hold the tiles."""
    if values.get("ZCMPTYPE") not in KINDS:
        raise OSError(f"{where}: ZCMPTYPE = {values.get('ZCMPTYPE')!r} is none of {KINDS}")
    for keyword, low, high in (("TFIELDS", 1, 999), ("THEAP", 0, None), ("ZDITHER0", 0, None)):
        value = values.get(keyword, None if keyword == "TFIELDS" else 0)
        if not isinstance(value, int) or value < low or (high is not None and value > high):
            raise OSError(f"{where}: {keyword} = {value!r} is no number that a table of tiles has, it is damaged")
    n = int(values.get("ZNAXIS", 0))
    shape = [int(values[f"ZNAXIS{i}"]) for i in range(n, 0, -1)]
    row = [values.get("ZNAXIS1", 1), *[1] * n]
    told = (values.get(f"ZTILE{i}", row[i - 1]) for i in range(n, 0, -1))
    tile = tuple(size if isinstance(size, int) else 0 for size in told)
    if min(tile) < 1:
        raise OSError(f"{where}: tiles of shape {tile}, the file is damaged")
    tiles = math.prod(-(-n // t) for n, t in zip(shape, tile, strict=True))
    _check_room(where, values, nbytes, math.prod(shape), tiles)
    sizes = {column.name: column.size for column in columns(where, values)}
    if not sizes.get("COMPRESSED_DATA"):
        raise OSError(f"{where}: no column of pointers is called COMPRESSED_DATA, it is damaged")
    for keyword in ("ZSCALE", "ZZERO"):
        if int(values["ZBITPIX"]) < 0 and keyword in values and keyword not in sizes:
            raise OSError(f"{where}: {keyword} is one card for all tiles, and read only where it is a column")
    return tile


def _check_room(where: str, values: dict[str, Any], nbytes: int, pixels: int, tiles: int) -> None:
    """Raise if a table has other rows than there are tiles, or fewer bytes than can stand for the pixels."""
    if tiles != (rows := int(values["NAXIS2"])):
        raise OSError(f"{where}: {rows} tiles are too {'few' if rows < tiles else 'many'} for its shape, it is damaged")
    if pixels * abs(int(values["ZBITPIX"])) // 8 > nbytes * EXPANSION[values["ZCMPTYPE"]]:
        raise OSError(f"{where}: {nbytes} bytes cannot hold {pixels} pixels in tiles, the file is damaged")


class Column(NamedTuple):
    """A column of pointers to tiles: where it is in a row, the dtype of it, and the bytes of what it points to."""

    name: str
    place: int
    kind: np.dtype[Any]
    size: int


def columns(where: str, values: dict[str, Any]) -> list[Column]:
    """The columns of a table of tiles; those that hold no pointers have a size of 0."""
    found, place, width = [], 0, int(values["NAXIS1"])
    for i in range(1, int(values["TFIELDS"]) + 1):
        form = COLUMN.fullmatch(str(values.get(f"TFORM{i}", "")).strip())
        if not form:
            raise OSError(f"{where}: TFORM{i} = {values.get(f'TFORM{i}')!r} is not known")
        kind = np.dtype(">i8" if form[2] == "Q" else ">i4")
        size = WIDTHS[form[3] or "B"] if form[2] in "PQ" and form[1] != "0" else 0
        found.append(Column(str(values.get(f"TTYPE{i}", "")).strip().upper(), place, kind, size))
        place += int(form[1] or 1) * WIDTHS[form[2]]
    if place > width:
        raise OSError(f"{where}: rows of {width} bytes cannot hold its columns, it is damaged")
    return found


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
            raise OSError(f"{self.where}: its tiles cannot be read: {error}") from error
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
        rows = self._bytes(start * across * width, (stop - start) * across * width)
        shape = (min(shape[0], stop * tile[0]) - start * tile[0], *shape[1:])
        heap = self._heap(rows, values, theap, list(_tiles(shape, tile)))
        kept = cards.join(c for c in cards.split(self.table) if not ANEW.fullmatch(c.keyword)).split("\n")
        made = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": width, "NAXIS2": (stop - start) * across, "PCOUNT": len(heap)}
        made |= {"GCOUNT": 1, "TFIELDS": int(values["TFIELDS"]), "ZNAXIS": len(shape)}
        for i, (n, t) in enumerate(zip(shape[::-1], tile[::-1], strict=True), 1):
            made |= {f"ZNAXIS{i}": n, f"ZTILE{i}": t}
        if "ZDITHER0" in values:  # the noise of a tile depends on its number
            made["ZDITHER0"] = (int(values["ZDITHER0"]) - 1 + start * across) % 10_000 + 1
        lines = [f"{keyword:8}= {value:>20}" for keyword, value in made.items()]
        return PRIMARY + _block(["XTENSION= 'BINTABLE'", *lines, *kept]) + _padded(rows + heap)

    def _heap(self, rows: bytearray, values: dict[str, Any], theap: int, tiles: list[tuple[int, ...]]) -> bytearray:
        """The bytes of the tiles of ``rows``, whose pointers to them are moved accordingly."""
        width = int(values["NAXIS1"])
        found: list[tuple[str, Samples, Samples]] = []
        for name, place, kind, size in columns(self.where, values):
            if size:
                pointer = np.ndarray((len(tiles), 2), kind, rows, place, (width, kind.itemsize))
                there = pointer.astype(np.int64)
                there[there[:, 0] == 0] = 0
                if ((there < 0) | (there > self.nbytes)).any():
                    raise self._damaged("its tiles are outside of its data")
                found.append((name, pointer, there * (size, 1)))
        used = np.concatenate([there[there[:, 0] > 0] for *_, there in found])
        first, end = int(used[:, 1].min(initial=self.nbytes)), int(used.sum(1).max(initial=0))
        heap = self._bytes(theap + first, end - first) if len(used) else bytearray()
        for name, pointer, there in found:
            pointer[:, 1] = np.where(there[:, 0] > 0, there[:, 1] - first, 0)
            for shape, (count, start) in zip(tiles, there.tolist(), strict=True):
                if count:
                    data = memoryview(heap)[start - first : start - first + count]
                    self._check_tile(name, str(values["ZCMPTYPE"]), shape, data)
        return heap

    def _check_tile(self, column: str, kind: str, shape: tuple[int, ...], data: memoryview) -> None:
        """Raise for a tile that would fill more memory than its pixels take: astropy's decoders trust it."""
        if kind == "HCOMPRESS_1" and column == "COMPRESSED_DATA":
            sizes = [n for n in shape if n != 1]
            told = [int.from_bytes(data[i : i + 4], "big") for i in (2, 6)]
            if data[:2] != HCOMPRESS or told != sizes:
                raise self._damaged(f"a tile is of {told[0]} x {told[1]} pixels, where its header has {shape}")
        elif column == "GZIP_COMPRESSED_DATA" or (kind.startswith("GZIP") and column == "COMPRESSED_DATA"):
            most = 8 * math.prod(shape)
            unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
            try:
                count = len(unpacker.decompress(data, most + 1))
            except zlib.error as error:
                raise self._damaged(f"its tiles cannot be read: {error}") from error
            if count > most or unpacker.unused_data.strip(b"\0"):
                raise self._damaged(f"a tile of shape {shape} holds more than its pixels")

    @property
    def where(self) -> str:
        """How messages call the image."""
        return f"{self.path}, HDU {self.index}"

    def _damaged(self, what: str) -> OSError:
        return OSError(f"{self.where}: {what}, it is damaged")

    def _bytes(self, start: int, count: int) -> bytearray:
        if start < 0 or count < 0 or start + count > self.nbytes:
            raise self._damaged("its tiles are outside of its data")
        data = bytearray(count)
        self.file.fill(memoryview(data), self.offset + start)
        return data


def _tiles(shape: tuple[int, ...], tile: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """The shape of each tile, in the order of the table; those at the edges are smaller."""
    for index in np.ndindex(*(-(-n // t) for n, t in zip(shape, tile, strict=True))):
        yield tuple(min(t, n - i * t) for i, n, t in zip(index, shape, tile, strict=True))


def _padded(data: bytes | bytearray, fill: bytes = b"\0") -> bytes:
    return bytes(data).ljust(-(-len(data) // 2880) * 2880, fill)


def _block(lines: list[str]) -> bytes:
    return _padded("".join(line.ljust(80) for line in [*lines, "END"]).encode("ascii"), b" ")


PRIMARY = _block([f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {8:>20}", f"{'NAXIS':8}= {0:>20}"])
