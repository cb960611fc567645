"""Tile-compressed images (`.fz`): a reader of images that a file holds as a table of compressed tiles."""

from __future__ import annotations

import io
import math
import os
import re
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from xccd.headers import cards
from xccd.headers.cards import BLOCK
from xccd.headers.writing import as_block
from xccd.read.images.pixels import FilePixels, Index, Samples, convert

# Bytes of pixels that one byte of each ZCMPTYPE can hold: up to 8 * 1024 for PLIO_1. HCOMPRESS_1 has no bound of its
# own: a tile of zeros takes 25 bytes, whatever its size.
MAX_RATIO = dict.fromkeys(("RICE_1", "RICE_ONE", "GZIP_1", "GZIP_2", "PLIO_1", "NOCOMPRESS"), 1 << 13)
MAX_RATIO["HCOMPRESS_1"] = 1 << 21
COMPRESSIONS = tuple(MAX_RATIO)
HCOMPRESS = b"\xdd\x99"  # a tile begins with it; its rows and columns follow
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


class Column(NamedTuple):
    """A column of a table of tiles."""

    name: str
    place: int  # its first byte in a row
    dtype: np.dtype[Any]  # of its pointers
    size: int  # bytes of an item that they point to; 0 if the column holds no pointers


def columns(where: str, values: dict[str, Any]) -> list[Column]:
    """The columns of a table of tiles; raises if a TFORM is unknown or a row is too short."""
    found, place, width = [], 0, int(values["NAXIS1"])
    for i in range(1, int(values["TFIELDS"]) + 1):
        form = COLUMN.fullmatch(str(values.get(f"TFORM{i}", "")).strip())
        if not form:
            raise OSError(f"{where}: TFORM{i} = {values.get(f'TFORM{i}')!r} is not known")
        dtype = np.dtype(">i8" if form[2] == "Q" else ">i4")
        size = WIDTHS[form[3] or "B"] if form[2] in "PQ" and form[1] != "0" else 0
        found.append(Column(str(values.get(f"TTYPE{i}", "")).strip().upper(), place, dtype, size))
        place += int(form[1] or 1) * WIDTHS[form[2]]
    if place > width:
        raise OSError(f"{where}: rows of {width} bytes cannot hold its columns, it is damaged")
    return found


# astropy's decompressors keep state in global variables: HCOMPRESS_1 in two threads at once gives errors or wrong
# pixels. Processes do not share that state.
_one_at_a_time = threading.Lock()


def _after_fork() -> None:
    """A new lock for a forked child: the thread that held the old one does not exist there."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@dataclass(frozen=True)
class TiledPixels(FilePixels):
    """A tile-compressed image.

    The tile rows of a band become a small file in memory, which astropy decompresses. Its `CompImageHDU.section` on the
    local file is no faster with the same checks, and remote files need the ranges anyway.
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
        except Exception as error:  # astropy's decompressors raise errors of many types
            raise OSError(f"{self.where}: its tiles cannot be read: {error}") from error
        rows = slice(first - above * height, last - above * height)
        convert(raw[(rows, *index[1:])], out, self.bscale, self.bzero, self.blank)

    def _piece(self, spare: int, start: int, stop: int) -> bytes:
        """A FITS file of the tile rows from ``start`` to ``stop``, without the ``spare`` leading axes of size 1.

        Only the bytes of these tiles are read. Other cards are left out, so that astropy has nothing to warn of.
        """
        shape, tile, values = self.shape[spare:], self.tile[spare:], cards.values(self.table)
        across = math.prod(-(-n // t) for n, t in zip(shape[1:], tile[1:], strict=True))
        width, number = int(values["NAXIS1"]), int(values["NAXIS2"])
        theap = int(values.get("THEAP", width * number))
        rows = self._bytes(start * across * width, (stop - start) * across * width)
        shape = (min(shape[0], stop * tile[0]) - start * tile[0], *shape[1:])
        heap = self._heap(rows, values, theap, shape, tile)
        kept = cards.join(c for c in cards.split(self.table) if not ANEW.fullmatch(c.keyword)).split("\n")
        made = {"BITPIX": 8, "NAXIS": 2, "NAXIS1": width, "NAXIS2": (stop - start) * across, "PCOUNT": len(heap)}
        made |= {"GCOUNT": 1, "TFIELDS": int(values["TFIELDS"]), "ZNAXIS": len(shape)}
        for i, (n, t) in enumerate(zip(shape[::-1], tile[::-1], strict=True), 1):
            made |= {f"ZNAXIS{i}": n, f"ZTILE{i}": t}
        if "ZDITHER0" in values:  # the dither of a tile depends on its number
            made["ZDITHER0"] = (int(values["ZDITHER0"]) - 1 + start * across) % 10_000 + 1
        lines = [f"{keyword:8}= {value:>20}" for keyword, value in made.items()]
        head = as_block(["XTENSION= 'BINTABLE'", *lines, *kept])
        return b"".join([PRIMARY, head, rows, heap, bytes(-(len(rows) + len(heap)) % BLOCK)])

    def _heap(
        self, rows: bytearray, values: dict[str, Any], theap: int, shape: tuple[int, ...], tile: tuple[int, ...]
    ) -> bytearray:
        """The bytes of the tiles in ``rows``, whose pointers are moved in place. Raises for tiles that are not safe."""
        width = int(values["NAXIS1"])
        found: list[tuple[str, Samples, Samples]] = []
        for name, place, dtype, size in columns(self.where, values):
            if size:
                pointer = np.ndarray((len(rows) // width, 2), dtype, rows, place, (width, dtype.itemsize))
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
            check = self._check_of(name, str(values["ZCMPTYPE"]))
            if check is None:
                continue
            for sizes, (count, start) in zip(_tiles(shape, tile), there.tolist(), strict=True):
                if count:
                    check(sizes, memoryview(heap)[start - first : start - first + count])
        return heap

    def _check_of(self, column: str, compression: str) -> Callable[[tuple[int, ...], memoryview], None] | None:
        """The check of each tile in a column; None for decoders that write no more than the pixels they are asked for.

        The others trust the tile: a damaged one could fill all memory.
        """
        if compression == "HCOMPRESS_1" and column == "COMPRESSED_DATA":
            return self._check_hcompress
        is_gzip = column == "GZIP_COMPRESSED_DATA" or (compression.startswith("GZIP") and column == "COMPRESSED_DATA")
        return self._check_gzip if is_gzip else None

    def _check_hcompress(self, shape: tuple[int, ...], data: memoryview) -> None:
        found = [int.from_bytes(data[i : i + 4], "big") for i in (2, 6)]
        if data[:2] != HCOMPRESS or found != [n for n in shape if n != 1]:
            raise self._damaged(f"a tile has {found[0]} x {found[1]} pixels, its header says {shape}")

    def _check_gzip(self, shape: tuple[int, ...], data: memoryview) -> None:
        """Raise for a tile that unpacks to more than its pixels take, or that is several in one.

        It unpacks the tile once more, a third of the time to read it. Without it astropy would join the parts of a
        damaged tile.
        """
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
        """The name of the image in messages."""
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
    """The shape of each tile, in the order of the table; tiles at the edges are smaller."""
    for index in np.ndindex(*(-(-n // t) for n, t in zip(shape, tile, strict=True))):
        yield tuple(min(t, n - i * t) for i, n, t in zip(index, shape, tile, strict=True))


PRIMARY = as_block([f"{'SIMPLE':8}= {'T':>20}", f"{'BITPIX':8}= {8:>20}", f"{'NAXIS':8}= {0:>20}"])
