"""Tile-compressed images (`.fz`): a reader of images that a file holds as a table of compressed tiles."""

from __future__ import annotations

import io
import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.headers.cards import BLOCK
from xccd.headers.writing import as_block
from xccd.read.images.pixels import FilePixels, Index, Samples, convert
from xccd.read.images.tile_decoders import (
    LARGEST_BLOCK,
    PAD,
    RICE,
    Band,
    Column,
    DamagedError,
    alone,
    check,
    decode,
    setting,
)

# Bytes of pixels that one byte of each ZCMPTYPE can hold: up to 8 * 1024 for PLIO_1. HCOMPRESS_1 has no bound of its
# own: a tile of zeros takes 25 bytes, whatever its size.
MAX_RATIO = dict.fromkeys(("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "NOCOMPRESS"), 1 << 13)
MAX_RATIO["HCOMPRESS_1"] = 1 << 21
COMPRESSIONS = tuple(MAX_RATIO)
BY_ZLIB = ("GZIP_1", "GZIP_2", "NOCOMPRESS")
# Cards of the table and of the compression, not wanted for the image; and the table's cards that describe the image.
TABLE = re.compile(
    r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|T(TYPE|FORM|UNIT|DIM|NULL|SCAL|ZERO|DISP)\d+|"
    r"Z(TILE\d+|CMPTYPE|NAME\d+|VAL\d+|QUANTIZ|DITHER0|MASKCMP|SCALE|ZERO|BLANK|IMAGE|BLOCKED)|CHECKSUM|DATASUM"
)
IMAGE = re.compile(r"Z(BITPIX|NAXIS\d*|SIMPLE|TENSION|PCOUNT|GCOUNT|EXTEND|HECKSUM|DATASUM)")
NAMES = {"TENSION": "XTENSION", "HECKSUM": "CHECKSUM"}
FIRST = re.compile(r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT")
NO_USE = ("CHECKSUM", "DATASUM", "ZTENSION", "ZSIMPLE", "ZEXTEND", "ZHECKSUM", "ZDATASUM")
# Cards that are replaced in the table for some tile rows of an image.
ANEW = re.compile(r"XTENSION|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|TFIELDS|THEAP|ZNAXIS\d*|ZTILE\d+|ZDITHER0")
COLUMN = re.compile(r"(\d*)([LBIJKEDAPQ])(?:([BIJKED])(?:\(\d*\))?)?")
WIDTHS = {"L": 1, "A": 1, "B": 1, "I": 2, "J": 4, "K": 8, "E": 4, "D": 8, "P": 8, "Q": 16}


def image_text(text: str) -> str:
    """The header text of the image, made from that of its table of tiles."""
    first: list[str] = []
    rest: list[str] = []
    for card in cards.split(text):
        renamed = IMAGE.fullmatch(card.keyword)
        if renamed:
            name = NAMES.get(renamed[1], renamed[1])
            (first if FIRST.fullmatch(name) else rest).append(f"{name:8}{card.lines[0][8:]}")
        elif not TABLE.fullmatch(card.keyword) and (card.keyword, card.value) != ("EXTNAME", "COMPRESSED_IMAGE"):
            rest += card.lines
    if any(line.startswith("SIMPLE") for line in first):  # it was a primary image before compression
        first = [line for line in first if not line.startswith("XTENSION")]
    elif not any(line.startswith("XTENSION") for line in first):
        first.append("XTENSION= 'IMAGE   '")
    order = ("SIMPLE", "XTENSION", "BITPIX", "NAXIS")
    first.sort(key=lambda line: next((i for i, name in enumerate(order) if line.startswith(name)), len(order)))
    return "\n".join([*first, *_blank(text, rest)])


def _blank(text: str, rest: list[str]) -> list[str]:
    """The other cards, with BLANK for integers if the table has ZBLANK; the lowest number if ZBLANK is a column."""
    values = cards.values(text)
    bitpix = values.get("ZBITPIX", 0)
    if "BLANK" in values or not isinstance(bitpix, int) or bitpix <= 0:
        return rest
    column = "ZBLANK" in (v for k, v in values.items() if k.startswith("TTYPE"))
    blank = values.get("ZBLANK", -(1 << (bitpix - 1)) if column else None)
    return rest if blank is None else [*rest, f"{'BLANK':8}= {blank!s:>20}"]


def table_text(text: str) -> str:
    """The cards needed to read the tiles: those of the table and the compression, and BLANK."""
    own = (c for c in cards.split(text) if TABLE.fullmatch(c.keyword) or IMAGE.fullmatch(c.keyword))
    blank = [line for line in image_text(text).split("\n") if line.startswith("BLANK   =")]
    return "\n".join([cards.join(c for c in own if c.keyword not in NO_USE), *blank])


def tile_shape(where: str, values: dict[str, Any], nbytes: int) -> tuple[int, ...]:
    """The shape of a tile in NumPy's order of axes, by default one row. Raises if ``nbytes`` cannot hold the tiles."""
    if values.get("ZCMPTYPE") not in COMPRESSIONS:
        raise OSError(f"{where}: ZCMPTYPE = {values.get('ZCMPTYPE')!r} is none of {COMPRESSIONS}")
    for keyword, low, high in (("TFIELDS", 1, 999), ("THEAP", 0, None), ("ZDITHER0", 0, None)):
        value = values.get(keyword, None if keyword == "TFIELDS" else 0)
        if not isinstance(value, int) or value < low or (high is not None and value > high):
            raise OSError(f"{where}: {keyword} = {value!r} is not valid in a table of tiles, it is damaged")
    n = int(values.get("ZNAXIS", 0))
    shape = [int(values[f"ZNAXIS{i}"]) for i in range(n, 0, -1)]
    row = [values.get("ZNAXIS1", 1), *[1] * n]
    sizes = (values.get(f"ZTILE{i}", row[i - 1]) for i in range(n, 0, -1))
    tile = tuple(size if isinstance(size, int) else 0 for size in sizes)
    if min(tile) < 1:
        raise OSError(f"{where}: tiles of shape {tile}, the file is damaged")
    tiles = math.prod(-(-n // t) for n, t in zip(shape, tile, strict=True))
    _check_room(where, values, nbytes, math.prod(shape), tiles)
    widths = {column.name: column.size for column in columns(where, values)}
    if not widths.get("COMPRESSED_DATA"):
        raise OSError(f"{where}: no column of pointers is called COMPRESSED_DATA, it is damaged")
    _check_decoder(where, values, math.prod(tile))
    for keyword in ("ZSCALE", "ZZERO"):
        if int(values["ZBITPIX"]) < 0 and keyword in values and keyword not in widths:
            raise OSError(f"{where}: {keyword} is a card for all tiles; it is read only as a column")
    return tile


def _check_room(where: str, values: dict[str, Any], nbytes: int, pixels: int, tiles: int) -> None:
    """Raise if the rows of the table do not match the tiles, or its bytes cannot hold the pixels."""
    if tiles != (rows := int(values["NAXIS2"])):
        raise OSError(f"{where}: {rows} tiles are too {'few' if rows < tiles else 'many'} for its shape, it is damaged")
    if pixels * abs(int(values["ZBITPIX"])) // 8 > nbytes * MAX_RATIO[values["ZCMPTYPE"]]:
        raise OSError(f"{where}: {nbytes} bytes cannot hold {pixels} pixels in tiles, the file is damaged")


def _check_decoder(where: str, values: dict[str, Any], pixels: int) -> None:
    """Raise for parameters with which astropy's decoders read or write beyond their memory, or count beyond 32 bits."""
    kind, limits = values["ZCMPTYPE"], {"BLOCKSIZE": range(1, LARGEST_BLOCK + 1), "BYTEPIX": (1, 2, 4)}
    if kind in RICE:
        for name, allowed in limits.items():
            if (value := setting(values, name, 4)) not in allowed:
                raise OSError(f"{where}: {name} = {value!r} is not valid for {kind}, it is damaged")
    if kind not in BY_ZLIB and pixels * 8 >= 1 << 31:
        raise OSError(f"{where}: tiles of {pixels} pixels are larger than {kind} allows")


def columns(where: str, values: dict[str, Any]) -> list[Column]:
    """The columns of a table of tiles; raises if a TFORM is unknown or a row is too short."""
    found, place, width = [], 0, int(values["NAXIS1"])
    for i in range(1, int(values["TFIELDS"]) + 1):
        form = COLUMN.fullmatch(str(values.get(f"TFORM{i}", "")).strip())
        if not form:
            raise OSError(f"{where}: TFORM{i} = {values.get(f'TFORM{i}')!r} is not known")
        dtype = np.dtype(">i8" if form[2] == "Q" else ">i4")
        size = WIDTHS[form[3] or "B"] if form[2] in "PQ" and form[1] != "0" else 0
        name = str(values.get(f"TTYPE{i}", "")).strip().upper()
        found.append(Column(name, form[0], place, dtype, size))
        place += int(form[1] or 1) * WIDTHS[form[2]]
    if place > width:
        raise OSError(f"{where}: rows of {width} bytes cannot hold its columns, it is damaged")
    return found


@dataclass(frozen=True)
class TiledPixels(FilePixels):
    """A tile-compressed image.

    The bytes of the tile rows of a band are read, and each tile is decoded by itself. A table that is not plain becomes
    a small file in memory, which astropy reads.
    """

    index: int
    nbytes: int
    table: str  # from `table_text`
    tile: tuple[int, ...]

    @property
    def raw(self) -> None:
        """None: the stored bytes are compressed."""

    @property
    def tile_rows(self) -> int:
        """Image rows of a tile."""
        return self.tile[-2] if len(self.tile) > 1 else 1

    def read(self, index: Index, out: Samples) -> None:
        if not out.size:
            return
        spare = next((i for i, n in enumerate(self.shape[:-1]) if n != 1), len(self.shape) - 1)
        index, out = index[spare:], out[(0,) * spare]
        first, last, _ = index[0].indices(self.shape[spare])
        above = first // self.tile[spare]
        band = self._band(spare, above, -(-last // self.tile[spare]))
        start = above * self.tile[spare]
        ends = [part.indices(n)[:2] for part, n in zip(index[1:], band.shape[1:], strict=True)]
        within = [slice(first - start, last - start), *(slice(*pair) for pair in ends)]
        try:
            raw = decode(band, within)
            if raw is None:
                check(band)
                raw = self._by_astropy(band)
            else:
                within = [slice(w.start % t, w.stop - w.start // t * t) for w, t in zip(within, band.tile, strict=True)]
        except DamagedError as error:
            raise self._damaged(str(error)) from error
        except Exception as error:  # astropy's decompressors raise errors of many types
            raise OSError(f"{self.where}: its tiles cannot be read: {error}") from error
        convert(raw[tuple(within)], out, self.bscale, self.bzero, self.blank)

    def _band(self, spare: int, start: int, stop: int) -> Band:
        """The tile rows from ``start`` to ``stop``, without the ``spare`` leading axes of size 1.

        Only the bytes of these tiles are read. Raises for pointers that lead out of the data.
        """
        shape, tile, values = self.shape[spare:], self.tile[spare:], cards.values(self.table)
        across = math.prod(-(-n // t) for n, t in zip(shape[1:], tile[1:], strict=True))
        width = int(values["NAXIS1"])
        theap = int(values.get("THEAP", width * int(values["NAXIS2"])))
        rows = self._bytes(start * across * width, (stop - start) * across * width)
        shape = (min(shape[0], stop * tile[0]) - start * tile[0], *shape[1:])
        dtype = self.stored.newbyteorder("=")
        band = Band(values, columns(self.where, values), shape, tile, start * across, rows, bytearray(), dtype)
        return band._replace(heap=self._heap(band, theap))

    def _heap(self, band: Band, theap: int) -> bytearray:
        """The bytes of the tiles of a band, whose pointers are moved in place."""
        found: list[tuple[Samples, Samples]] = []
        for column in band.columns:
            if column.size:
                pointer = band.pointers(column)
                there = pointer.astype(np.int64)
                there[there[:, 0] == 0] = 0
                if ((there < 0) | (there > self.nbytes)).any():
                    raise self._damaged("its tiles are outside of its data")
                found.append((pointer, there * (column.size, 1)))
        used = np.concatenate([there[there[:, 0] > 0] for _, there in found])
        first, end = int(used[:, 1].min(initial=self.nbytes)), int(used.sum(1).max(initial=0))
        heap = self._bytes(theap + first, end - first, PAD) if len(used) else bytearray(PAD)
        for pointer, there in found:
            pointer[:, 1] = np.where(there[:, 0] > 0, there[:, 1] - first, 0)
        return heap

    def _by_astropy(self, band: Band) -> Samples:
        """The stored pixels of a band by astropy, from a small file in memory."""
        from astropy.io import fits

        piece = io.BytesIO(self._piece(band))
        with alone(), fits.open(piece, memmap=False, do_not_scale_image_data=True) as hdus:
            raw: Samples = hdus[1].section[...]
        return raw

    def _piece(self, band: Band) -> bytes:
        """A FITS file of a band. Other cards are left out, so that astropy has nothing to warn of."""
        values, rows, heap = band.values, band.rows, band.heap
        width = int(values["NAXIS1"])
        kept = cards.join(c for c in cards.split(self.table) if not ANEW.fullmatch(c.keyword)).split("\n")
        made = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": width, "NAXIS2": len(rows) // width, "PCOUNT": len(heap)}
        made |= {"GCOUNT": 1, "TFIELDS": int(values["TFIELDS"]), "ZNAXIS": len(band.shape)}
        for i, (n, t) in enumerate(zip(band.shape[::-1], band.tile[::-1], strict=True), 1):
            made |= {f"ZNAXIS{i}": n, f"ZTILE{i}": t}
        if "ZDITHER0" in values:  # the dither of a tile depends on its number
            made["ZDITHER0"] = (int(values["ZDITHER0"]) - 1 + band.first) % 10_000 + 1
        lines = [f"{keyword:8}= {value:>20}" for keyword, value in made.items()]
        head = as_block(["XTENSION= 'BINTABLE'", *lines, *kept])
        return b"".join([PRIMARY, head, rows, heap, bytes(-(len(rows) + len(heap)) % BLOCK)])

    @property
    def where(self) -> str:
        """The name of the image in messages."""
        return f"{self.path}, HDU {self.index}"

    def _damaged(self, what: str) -> OSError:
        return OSError(f"{self.where}: {what}, it is damaged")

    def _bytes(self, start: int, count: int, more: bytes = b"") -> bytearray:
        if start < 0 or count < 0 or start + count > self.nbytes:
            raise self._damaged("its tiles are outside of its data")
        data = bytearray(count + len(more))
        data[count:] = more
        self.file.fill(memoryview(data)[:count], self.offset + start)
        return data


PRIMARY = as_block([f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {8:>20}", f"{'NAXIS':8}= {0:>20}"])
