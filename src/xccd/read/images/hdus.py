"""Where the image is in a FITS file: headers walked by hand, no pixel read, every number checked before it is used."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from xccd.headers import cards, structure
from xccd.labels.warn import warn
from xccd.messages import shown
from xccd.read.files import not_fits
from xccd.read.files.local import LocalFile, naming, open_local
from xccd.read.files.remote import Remote, RemoteFile, open_remote
from xccd.read.files.unpack import BROKEN, PACKINGS
from xccd.read.images import constant
from xccd.read.images.pixels import FilePixels
from xccd.read.images.tiled import TiledPixels, image_text, table_text, tile_shape

BLOCK = 2880
MAX_HEADER_BLOCKS = (16 << 20) // BLOCK  # beyond 200 000 cards a file is not a header without end but no FITS file
MAX_AXES = 63  # of an image: NumPy has 64, and a stack one more
LISTED = 20  # HDUs that a message names
FILL = b" \0\r\n"  # what programs put after END
CARDS = re.compile(rb"(?:[A-Za-z0-9_ -]{8}.{72})+", re.DOTALL)
HDUName = int | str | tuple[str, int] | None  # by number, by EXTNAME, by EXTNAME and EXTVER
BITPIX = (8, 16, 32, 64, -32, -64)


@dataclass(frozen=True)
class HDU:
    """One header-data unit: what it is called, its header text and where its data lie."""

    index: int
    kind: str  # IMAGE, BINTABLE, TABLE or another XTENSION
    text: str
    values: dict[str, str | int | float]
    offset: int
    nbytes: int
    table: str = ""  # where it is compressed by tiles: the header by which they are read
    number: str | int | float | None = None  # of which the image is, where it has no data

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
        """The value of a card, None without it."""
        return self.values.get(keyword)

    def __str__(self) -> str:
        if self.kind == "IMAGE":
            what = f"image {' x '.join(map(str, self.shape))}" if self.shape else "no data"
            what = f"tile-compressed {what}" if self.table else what
        else:
            what = f"table ({self.kind})"
        return f"{self.index} {self.name or '(no name)'}: {what}"


class Walk:
    """The HDUs of one file in order, each header read when it is first asked for."""

    def __init__(self, path: Path | Remote) -> None:
        self.path, self.name = path, shown(path)
        self.source: LocalFile | RemoteFile
        self.source, self.file = open_local(path) if isinstance(path, Path) else open_remote(path)
        # Of a stream that is unpacked on the way it is not known how long it is, and to look far is dear.
        self.packing = self.source.packing
        self.size = self.source.size if isinstance(self.source, LocalFile) else self.source.length
        self.reach = 0  # where the last HDU ends that was looked at
        self.is_cut = False  # whether the file ended before that, once it is known

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __iter__(self) -> Iterator[HDU]:
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
        """The text of the header at ``position``; None where the file's HDUs end."""
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
        """Where the END card starts in the last block; raises if that is not a block of cards that are all whole."""
        block, where = blocks[-1], f"{self.name}, HDU {index}"
        if len(blocks) > 1 and block.startswith((b"XTENSION", b"SIMPLE  =")):
            raise OSError(f"{where}: its header has no END card before the next HDU, the file is damaged")
        if b"END" in block:  # of most blocks that is all there is to ask
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
            raise OSError(f"{where}: its header goes on in what are no cards, it has no END: the file is damaged")
        return None

    def _hdu(self, index: int, text: str, offset: int) -> HDU:
        where = f"{self.name}, HDU {index}"
        structure.check(text, structure.OF_ANY, where)
        values = cards.values(text)
        if index == 0 and values.get("SIMPLE") != 1:
            spelled = repr(values.get("SIMPLE")) if values.get("SIMPLE") else "F"
            raise OSError(f"{self.name} says SIMPLE = {spelled}: its data are not as FITS has them")
        kind, nbytes = str(values.get("XTENSION", "IMAGE")).strip(), self._data_size(index, values)
        table = ""
        if kind == "BINTABLE" and values.get("ZIMAGE") == 1:
            structure.check(text, structure.OF_PIXELS, where)
            kind, table, text = "IMAGE", table_text(text), image_text(text)
        elif kind == "BINTABLE" and "ZCMPTYPE" in values:
            raise OSError(f"{where}: it has ZCMPTYPE, as an image in tiles has, and no ZIMAGE = T: the file is damaged")
        elif kind == "IMAGE" and constant.is_one(values):
            text = constant.image_text(text)
        else:
            return HDU(index, kind, text, values, offset, nbytes)
        image = cards.values(text)
        self._data_size(index, image)  # that of the image is checked, too
        return HDU(index, kind, text, image, offset, nbytes, table, None if table else values["PIXVALUE"])

    def _data_size(self, index: int, values: dict[str, Any]) -> int:
        """Bytes of data that the header promises, every card of it checked."""
        where = f"{self.name}, HDU {index}"

        def number(keyword: str, default: int | None = None) -> int:
            value = values.get(keyword, default)
            if not isinstance(value, int) or value < (-64 if keyword == "BITPIX" else 0):
                raise OSError(f"{where}: {keyword} = {value!r} is not a valid size, the file is damaged")
            return value

        naxis = number("NAXIS")
        if naxis > 999:
            raise OSError(f"{where}: NAXIS = {naxis}, FITS allows 999")
        sizes = [number(f"NAXIS{i + 1}") for i in range(naxis)]
        bitpix = number("BITPIX")
        if bitpix not in BITPIX:
            raise OSError(f"{where}: BITPIX = {bitpix} is none of {BITPIX}")
        if not sizes:
            return 0
        if sizes[0] == 0 and values.get("GROUPS"):
            raise OSError(f"{where}: random groups are not images")
        items = number("GCOUNT", 1) * (number("PCOUNT", 0) + math.prod(sizes))
        return items * abs(bitpix) // 8

    def pixels(self, hdu: HDU) -> FilePixels:
        """The image of ``hdu`` as a reader; raises if the file cannot hold it."""
        where, v = f"{self.name}, HDU {hdu.index}", hdu.values
        if 0 in hdu.shape:
            raise OSError(f"{where}: an axis of size 0 (shape {hdu.shape}), no pixels")
        if len(hdu.shape) > MAX_AXES:
            raise OSError(f"{where}: NAXIS = {len(hdu.shape)}, images of up to {MAX_AXES} axes are read")
        room = self.size * PACKINGS[self.packing].expansion if self.packing else self.size - hdu.offset
        if hdu.nbytes > room:
            held = "its packed bytes cannot hold them" if self.packing else f"the file has room for {max(room, 0)}"
            raise OSError(
                f"{self.name} is truncated: HDU {hdu.index} needs {hdu.nbytes} bytes of data "
                f"for shape {hdu.shape}, {held}"
            )
        bitpix = int(v["BITPIX"])
        structure.check(hdu.text, structure.OF_PIXELS if bitpix > 0 else structure.OF_REALS, where)
        source = replace(self.source, end=self.reach) if self.packing else self.source
        how = (_scale(where, v, "BSCALE", 1), _scale(where, v, "BZERO", 0), _blank(where, v))
        place = (source, hdu.offset, hdu.shape, bitpix, *how)
        if hdu.table:
            tile = tile_shape(where, cards.values(hdu.table), hdu.nbytes)
            return TiledPixels(*place, index=hdu.index, nbytes=hdu.nbytes, table=hdu.table, tile=tile)
        if hdu.number is not None:
            return constant.ConstantPixels.of(FilePixels(*place), hdu.number)
        if hdu.nbytes < math.prod(hdu.shape) * abs(bitpix) // 8:
            raise OSError(f"{where}: GCOUNT = {v.get('GCOUNT')}, its data are no image")
        return FilePixels(*place)


def _is_cards(block: bytes) -> bool:
    """Whether most of a block's cards begin as cards do; a damaged one may be among them."""
    if CARDS.fullmatch(block):
        return True
    starts = range(0, len(block) - 79, 80)
    return 2 * sum(bool(CARDS.match(block, i)) for i in starts) > len(starts)


def _scale(where: str, values: dict[str, Any], keyword: str, default: int) -> int | float:
    """BSCALE or BZERO: a whole number stays one, so that 2^63 is exact."""
    value = cards.as_number(values.get(keyword, default))
    if not math.isfinite(value):
        raise OSError(f"{where}: {keyword} = {values[keyword]!r} is not a number")
    if keyword == "BSCALE" and value == 0:
        raise OSError(f"{where}: BSCALE = {values[keyword]!r} makes all pixels equal, the file is damaged")
    return int(value) if value.is_integer() else value


def _blank(where: str, values: dict[str, Any]) -> int | None:
    """The stored number of missing pixels; float images have NaN for them."""
    value = values.get("BLANK")
    if value is None or int(values["BITPIX"]) < 0:
        return None
    number = cards.as_number(value)
    if not (number.is_integer() and abs(number) <= 1 << 63):
        raise OSError(f"{where}: BLANK = {value!r} is not a whole number of 64 bits")
    return value if isinstance(value, int) else int(number)


def listing(walk: Walk, seen: list[HDU]) -> str:
    """The HDUs that were looked at, in words."""
    named = "; ".join(map(str, seen[:LISTED]))
    more = f"; and {len(seen) - LISTED} more" if len(seen) > LISTED else ""
    cut = not walk.packing and seen[-1].offset + seen[-1].nbytes > walk.size
    return f"{named}{more}{' (truncated, the file ends within its data)' if cut else ''}"


def say_lost(walk: Walk, seen: list[HDU], chosen: HDU | None) -> None:
    """Warn of a file that has lost extensions, as far as that can be seen once all of it was looked at."""
    first, last, count = seen[0], seen[-1], len(seen) - 1
    announced = first.values.get("NEXTEND")  # of one chip of several it often is what it was; beside SCI belong ERR, DQ
    announces = isinstance(announced, int) and announced > count and any(unit.name == "SCI" for unit in seen)
    data_cut = not walk.packing and last.offset + last.nbytes > walk.size
    if data_cut and (chosen is None or chosen is last):
        return  # that is an error
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
