"""The HDUs of a FITS file and the place of their pixels: only headers are read, each number is checked before use."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from xccd.headers import cards, structure
from xccd.headers.cards import BLOCK
from xccd.labels.warn import warn
from xccd.messages import shown
from xccd.read.files import not_fits
from xccd.read.files.local import LocalFile, naming, open_local
from xccd.read.files.remote import Remote, RemoteFile, open_remote
from xccd.read.files.unpack import BROKEN, PACKINGS
from xccd.read.images import constant
from xccd.read.images.pixels import FilePixels
from xccd.read.images.tiled import TiledPixels, image_text, table_text, tile_shape

MAX_HEADER_BLOCKS = (16 << 20) // BLOCK  # more than 200 000 cards are no header
MAX_AXES = 63  # axes of an image: NumPy has 64, a stack needs one more
LISTED = 20  # HDUs in a message
FILL = b" \0\r\n"  # padding that programs write after END
CARDS = re.compile(rb"(?:[A-Za-z0-9_ -]{8}.{72})+", re.DOTALL)
HDUName = int | str | tuple[str, int] | None  # a number, EXTNAME, or (EXTNAME, EXTVER)
BITPIX = (8, 16, 32, 64, -32, -64)


@dataclass(frozen=True)
class StoredHDU:
    """One header-data unit: its name, its header text and the place of its data."""

    index: int
    kind: str  # IMAGE, BINTABLE, TABLE or another XTENSION
    text: str
    values: dict[str, str | int | float]
    offset: int
    nbytes: int
    table: str = ""  # for a tile-compressed image: the cards needed to read its tiles
    pixvalue: str | int | float | None = None  # PIXVALUE of a constant image, which has no data

    @cached_property
    def name(self) -> str:
        return str(self.values.get("EXTNAME", "PRIMARY" if self.index == 0 else "")).upper()

    @cached_property
    def shape(self) -> tuple[int, ...]:
        naxis = int(self.values.get("NAXIS", 0))
        return tuple(int(self.values[f"NAXIS{i}"]) for i in range(naxis, 0, -1))

    @property
    def is_image(self) -> bool:
        return self.kind == "IMAGE" and bool(self.shape)

    def value(self, keyword: str) -> str | int | float | None:
        """The value of a card; None without it."""
        return self.values.get(keyword)

    def __str__(self) -> str:
        if self.kind == "IMAGE":
            what = f"image {' x '.join(map(str, self.shape))}" if self.shape else "no data"
            what = f"tile-compressed {what}" if self.table else what
        else:
            what = f"table ({self.kind})"
        return f"{self.index} {self.name or '(no name)'}: {what}"


class Walk:
    """The HDUs of one file in order; each header is read when the iteration reaches it."""

    def __init__(self, path: Path | Remote) -> None:
        self.path, self.name = path, shown(path)
        self.source: LocalFile | RemoteFile
        self.source, self.file = open_local(path) if isinstance(path, Path) else open_remote(path)
        # A decompressing stream has unknown length and seeking is expensive.
        self.packing = self.source.packing
        self.size = self.source.size if isinstance(self.source, LocalFile) else self.source.length
        self.reach = 0  # end of the last HDU that was read
        self.is_cut = False  # whether the file ends before that; known after the last HDU

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __iter__(self) -> Iterator[StoredHDU]:
        index, position = 0, 0
        while (text := self._header(index, position)) is not None:
            hdu = self._hdu(index, text, self.file.tell())
            self.reach = hdu.offset + hdu.nbytes
            yield hdu
            index += 1
            position = hdu.offset + -(-hdu.nbytes // BLOCK) * BLOCK
            if not self.packing and position >= self.size:
                self.is_cut = position > self.size
                return

    def _read(self, count: int) -> bytes:
        try:
            with naming(self.name):
                return self.file.read(count)
        except BROKEN as error:
            raise self._broken(error) from error

    def _broken(self, error: BaseException) -> OSError:
        if isinstance(error, OSError) and (error.errno is not None or not self.packing):
            return error
        return OSError(f"{self.name} cannot be unpacked: {error}")

    def _header(self, index: int, position: int) -> str | None:
        """The text of the header at ``position``; None after the last HDU."""
        try:
            with naming(self.name):
                self.is_cut = self.file.seek(position) < position
        except BROKEN as error:
            raise self._broken(error) from error
        first = self._read(BLOCK)
        magic = first[:9] == b"SIMPLE  =" if index == 0 else first[:8] == b"XTENSION"
        if not magic:
            if index == 0:
                raise OSError(not_fits.why(self.name, first))
            if b"BITPIX  =" in first and _is_cards(first) and first[:9] != b"SIMPLE  =":
                raise OSError(f"{self.name}: HDU {index} does not begin with XTENSION, the file is damaged")
            return None  # special records, or padding, after the last HDU
        blocks = [first]
        while (end := self._end(index, blocks)) is None:
            block = self._read(BLOCK)
            if len(block) < BLOCK or len(blocks) > MAX_HEADER_BLOCKS:
                raise OSError(
                    f"{self.name} is truncated: the header of HDU {index} has no END card "
                    f"within {BLOCK * len(blocks) + len(block)} bytes"
                )
            blocks.append(block)
        raw = b"".join(blocks)[: BLOCK * (len(blocks) - 1) + end]
        structure.check_bytes(raw, f"{self.name}, HDU {index}")
        return cards.from_bytes(raw)

    def _end(self, index: int, blocks: list[bytes]) -> int | None:
        """The byte of the END card in the last block, None if it is not there; raises if the block is damaged."""
        block, where = blocks[-1], f"{self.name}, HDU {index}"
        if len(blocks) > 1 and block.startswith((b"XTENSION", b"SIMPLE  =")):
            raise OSError(f"{where}: its header has no END card before the next HDU, the file is damaged")
        if b"END" in block:  # most blocks need no closer look
            for i in range(0, len(block), 80):
                card = block[i : i + 80].rstrip(FILL)
                if card == b"END":
                    after = block[i + 80 :].strip(FILL)
                    if b"= " in after and _is_cards(block[i:]):
                        raise OSError(f"{where}: cards follow its END card, the file is damaged")
                    return i
                if card[:3] == b"END" and card[3:4] in FILL:
                    raise OSError(f"{where}: its END card is {card!r}, the file is damaged")
        if not _is_cards(block):
            raise OSError(f"{where}: its header has no END before bytes that are no cards: the file is damaged")
        return None

    def _hdu(self, index: int, text: str, offset: int) -> StoredHDU:
        """The HDU of a header text; for tile-compressed and constant images with the header of the image."""
        where = f"{self.name}, HDU {index}"
        structure.check(text, structure.OF_ANY, where)
        values = cards.values(text)
        if index == 0 and values.get("SIMPLE") != 1:
            spelled = repr(values.get("SIMPLE")) if values.get("SIMPLE") else "F"
            raise OSError(f"{self.name} says SIMPLE = {spelled}: its data do not follow the FITS standard")
        kind, nbytes = str(values.get("XTENSION", "IMAGE")).strip(), self._data_size(index, values)
        table = ""
        if kind == "BINTABLE" and values.get("ZIMAGE") == 1:
            structure.check(text, structure.OF_PIXELS, where)
            kind, table, text = "IMAGE", table_text(text), image_text(text)
        elif kind == "BINTABLE" and "ZCMPTYPE" in values:
            raise OSError(
                f"{where}: it has ZCMPTYPE, as tile-compressed images have, but no ZIMAGE = T: the file is damaged"
            )
        elif kind == "IMAGE" and constant.is_one(values):
            text = constant.as_array_header(text)
        else:
            return StoredHDU(index, kind, text, values, offset, nbytes)
        image = cards.values(text)
        self._data_size(index, image)  # checks the image's own size, too
        return StoredHDU(index, kind, text, image, offset, nbytes, table, None if table else values["PIXVALUE"])

    def _data_size(self, index: int, values: dict[str, Any]) -> int:
        """Bytes of data according to the header; raises if one of its cards is invalid."""
        where = f"{self.name}, HDU {index}"

        def size(keyword: str, default: int | None = None) -> int:
            value = values.get(keyword, default)
            if not isinstance(value, int) or value < (-64 if keyword == "BITPIX" else 0):
                raise OSError(f"{where}: {keyword} = {value!r} is not a valid size, the file is damaged")
            return value

        naxis = size("NAXIS")
        if naxis > 999:
            raise OSError(f"{where}: NAXIS = {naxis}, FITS allows 999")
        sizes = [size(f"NAXIS{i + 1}") for i in range(naxis)]
        bitpix = size("BITPIX")
        if bitpix not in BITPIX:
            raise OSError(f"{where}: BITPIX = {bitpix} is none of {BITPIX}")
        if not sizes:
            return 0
        if sizes[0] == 0 and values.get("GROUPS"):
            raise OSError(f"{where}: random groups are not images")
        items = size("GCOUNT", 1) * (size("PCOUNT", 0) + math.prod(sizes))
        return items * abs(bitpix) // 8

    def pixels(self, hdu: StoredHDU) -> FilePixels:
        """A reader for the image of ``hdu``; raises if the file cannot hold it."""
        where, v = f"{self.name}, HDU {hdu.index}", hdu.values
        if 0 in hdu.shape:
            raise OSError(f"{where}: an axis of size 0 (shape {hdu.shape}), no pixels")
        if len(hdu.shape) > MAX_AXES:
            raise OSError(f"{where}: NAXIS = {len(hdu.shape)}, images of up to {MAX_AXES} axes are read")
        # now, as an array for an absurd size would be allocated before the first byte is missing
        room = self.size * PACKINGS[self.packing].max_ratio if self.packing else self.size - hdu.offset
        if hdu.nbytes > room:
            held = "its packed bytes cannot hold them" if self.packing else f"the file has room for {max(room, 0)}"
            raise OSError(
                f"{self.name} is truncated: HDU {hdu.index} needs {hdu.nbytes} bytes of data "
                f"for shape {hdu.shape}, {held}"
            )
        bitpix = int(v["BITPIX"])
        structure.check(hdu.text, structure.OF_PIXELS if bitpix > 0 else structure.OF_REALS, where)
        source = replace(self.source, end=self.reach) if self.packing else self.source
        scaling = (_scale(where, v, "BSCALE", 1), _scale(where, v, "BZERO", 0), _blank_value(where, v))
        plain = FilePixels(source, hdu.offset, hdu.shape, bitpix, *scaling)
        if hdu.table:
            tile = tile_shape(where, cards.values(hdu.table), hdu.nbytes)
            return TiledPixels(**vars(plain), index=hdu.index, nbytes=hdu.nbytes, table=hdu.table, tile=tile)
        if hdu.pixvalue is not None:
            return constant.ConstantPixels.of(plain, hdu.pixvalue)
        if hdu.nbytes < math.prod(hdu.shape) * abs(bitpix) // 8:
            raise OSError(f"{where}: GCOUNT = {v.get('GCOUNT')}, its data are not an image")
        return plain


def _is_cards(block: bytes) -> bool:
    """Whether most lines of a block begin as cards do; some may be damaged."""
    if CARDS.fullmatch(block):
        return True
    starts = range(0, len(block) - 79, 80)
    return 2 * sum(bool(CARDS.match(block, i)) for i in starts) > len(starts)


def _scale(where: str, values: dict[str, Any], keyword: str, default: int) -> int | float:
    """BSCALE or BZERO; an int if it is whole, so that 2^63 is exact."""
    value = cards.as_number(values.get(keyword, default))
    if not math.isfinite(value):
        raise OSError(f"{where}: {keyword} = {values[keyword]!r} is not a number")
    if keyword == "BSCALE" and value == 0:
        raise OSError(f"{where}: BSCALE = {values[keyword]!r} makes all pixels equal, the file is damaged")
    return int(value) if value.is_integer() else value


def _blank_value(where: str, values: dict[str, Any]) -> int | None:
    """BLANK, the stored number of missing pixels; None without it, and for floats, which have NaN."""
    value = values.get("BLANK")
    if value is None or int(values["BITPIX"]) < 0:
        return None
    number = cards.as_number(value)
    if not (number.is_integer() and abs(number) <= 1 << 63):
        raise OSError(f"{where}: BLANK = {value!r} is not a whole number of 64 bits")
    return value if isinstance(value, int) else int(number)


def listing(walk: Walk, seen: list[StoredHDU]) -> str:
    """A text that describes the HDUs read so far."""
    named = "; ".join(map(str, seen[:LISTED]))
    more = f"; and {len(seen) - LISTED} more" if len(seen) > LISTED else ""
    cut = not walk.packing and seen[-1].offset + seen[-1].nbytes > walk.size
    return f"{named}{more}{' (truncated, the file ends within its data)' if cut else ''}"


def warn_lost(walk: Walk, seen: list[StoredHDU], chosen: StoredHDU | None) -> None:
    """Warn if the file seems to have lost extensions; call it when all HDUs were read."""
    first, last, count = seen[0], seen[-1], len(seen) - 1
    announced = first.values.get("NEXTEND")  # a chip by itself often has its mosaic's; beside SCI belong ERR and DQ
    announces = isinstance(announced, int) and announced > count and any(unit.name == "SCI" for unit in seen)
    data_cut = not walk.packing and last.offset + last.nbytes > walk.size
    if data_cut and (chosen is None or chosen is last):
        return  # reading its pixels raises
    if walk.is_cut and (count or announces or first.values.get("EXTEND") == 1):
        warn(
            f"{walk.name} ends within the {'data' if data_cut else 'last block'} of HDU {last.index}: it was cut, and "
            "what came after it is lost (mask_hdu=None: no mask is looked for)"
        )
    elif announces:
        warn(
            f"{walk.name} announces {announced} extensions (NEXTEND) and has {count}: "
            "it may have been cut (mask_hdu=None: no mask is looked for)"
        )
