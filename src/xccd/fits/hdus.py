"""Where the image is in a FITS file: headers walked by hand, no pixel read, every number checked before it is used."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from xccd._suggest import did_you_mean
from xccd.fits import cards, constant
from xccd.fits.files import LocalFile, open_local
from xccd.fits.pixels import FilePixels
from xccd.fits.remote import Remote, RemoteFile, open_remote
from xccd.fits.tiled import KINDS, TiledPixels, image_text, table_text, tile_shape
from xccd.fits.unpack import BROKEN, PACKINGS

BLOCK = 2880
MAX_HEADER_BLOCKS = 20_000  # 57 MB of cards: beyond it a file is not a header without end but no FITS file
PACKED = {b"PK\x03\x04": "unzip it", b"\x1f\x9d": "uncompress it"}
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

    @property
    def name(self) -> str:
        return str(self.values.get("EXTNAME", "PRIMARY" if self.index == 0 else "")).upper()

    @property
    def shape(self) -> tuple[int, ...]:
        naxis = int(self.values.get("NAXIS", 0))
        return tuple(int(self.values[f"NAXIS{i}"]) for i in range(naxis, 0, -1))

    @property
    def is_image(self) -> bool:
        return self.kind == "IMAGE" and bool(self.shape)

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
        self.path = path
        self.source: LocalFile | RemoteFile
        self.source, self.file = open_local(path) if isinstance(path, Path) else open_remote(path)
        # Of a stream that is unpacked on the way it is not known how long it is, and to look far is dear.
        self.packing = self.source.packing if isinstance(self.source, LocalFile) else ""
        self.size = self.source.size if isinstance(self.source, LocalFile) else self.source.length

    def __enter__(self) -> Walk:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __iter__(self) -> Iterator[HDU]:
        index, position = 0, 0
        while (text := self._header(index, position)) is not None:
            hdu = self._hdu(index, text, self.file.tell())
            yield hdu
            index += 1
            position = hdu.offset + -(-hdu.nbytes // BLOCK) * BLOCK
            if not self.packing and position >= self.size:
                return

    def _read(self, count: int) -> bytes:
        try:
            return self.file.read(count)
        except BROKEN as error:
            raise self._broken(error) from error

    def _broken(self, error: BaseException) -> OSError:
        if not self.packing and isinstance(error, OSError):
            return error
        return OSError(f"{self.path} cannot be unpacked: {error}")

    def _header(self, index: int, position: int) -> str | None:
        """The text of the header at ``position``; None where the file's HDUs end."""
        try:
            self.file.seek(position)
        except BROKEN as error:
            raise self._broken(error) from error
        first = self._read(BLOCK)
        magic = first[:9] == b"SIMPLE  =" if index == 0 else first[:8] == b"XTENSION"
        if not magic:
            if index == 0:
                raise OSError(_not_fits(self.path, first))
            return None  # special records, or padding, after the last HDU
        blocks = [first]
        while (end := _end(blocks[-1])) is None:
            block = self._read(BLOCK)
            if len(block) < BLOCK or len(blocks) > MAX_HEADER_BLOCKS:
                raise OSError(
                    f"{self.path} is truncated: the header of HDU {index} has no END card "
                    f"within {BLOCK * len(blocks) + len(block)} bytes"
                )
            blocks.append(block)
        raw = b"".join(blocks)
        return cards.from_bytes(raw[: len(raw) - len(blocks[-1]) + end])

    def _hdu(self, index: int, text: str, offset: int) -> HDU:
        values = cards.values(text)
        if index == 0 and values.get("SIMPLE") == 0:
            raise OSError(f"{self.path} says SIMPLE = F: its data are not as FITS has them")
        kind, nbytes = str(values.get("XTENSION", "IMAGE")).strip(), self._data_size(index, values)
        table = ""
        if kind == "BINTABLE" and values.get("ZIMAGE") == 1:
            kind, table, text = "IMAGE", table_text(text), image_text(text)
        elif kind == "IMAGE" and constant.is_one(values):
            text = constant.image_text(text)
        else:
            return HDU(index, kind, text, values, offset, nbytes)
        image = cards.values(text)
        self._data_size(index, image)  # that of the image is checked, too
        return HDU(index, kind, text, image, offset, nbytes, table, None if table else values["PIXVALUE"])

    def _data_size(self, index: int, values: dict[str, Any]) -> int:
        """Bytes of data that the header promises, every card of it checked."""

        def number(keyword: str, default: int | None = None) -> int:
            value = values.get(keyword, default)
            if not isinstance(value, int) or value < (-64 if keyword == "BITPIX" else 0):
                raise OSError(
                    f"{self.path}, HDU {index}: {keyword} = {value!r} is not a valid size, the file is damaged"
                )
            return value

        naxis = number("NAXIS")
        if naxis > 999:
            raise OSError(f"{self.path}, HDU {index}: NAXIS = {naxis}, FITS allows 999")
        sizes = [number(f"NAXIS{i + 1}") for i in range(naxis)]
        bitpix = number("BITPIX")
        if bitpix not in BITPIX:
            raise OSError(f"{self.path}, HDU {index}: BITPIX = {bitpix} is none of {BITPIX}")
        if not sizes:
            return 0
        if sizes[0] == 0 and values.get("GROUPS"):
            raise OSError(f"{self.path}, HDU {index}: random groups are not images")
        items = number("GCOUNT", 1) * (number("PCOUNT", 0) + math.prod(sizes))
        return items * abs(bitpix) // 8

    def pixels(self, hdu: HDU) -> FilePixels:
        """The image of ``hdu`` as a reader; raises if the file cannot hold it."""
        if 0 in hdu.shape:
            raise OSError(f"{self.path}, HDU {hdu.index}: an axis of size 0 (shape {hdu.shape}), no pixels")
        room = self.size * PACKINGS[self.packing].expansion if self.packing else self.size - hdu.offset
        if hdu.nbytes > room:
            held = "its packed bytes cannot hold them" if self.packing else f"the file has room for {max(room, 0)}"
            raise OSError(
                f"{self.path} is truncated: HDU {hdu.index} needs {hdu.nbytes} bytes of data "
                f"for shape {hdu.shape}, {held}"
            )
        v = hdu.values
        place = (
            self.source, hdu.offset, hdu.shape, int(v["BITPIX"]),
            _scale(self.path, v, "BSCALE", 1), _scale(self.path, v, "BZERO", 0), _blank(self.path, v),
        )  # fmt: skip
        if hdu.table:
            table = cards.values(hdu.table)
            if table.get("ZCMPTYPE") not in KINDS:
                raise OSError(f"{self.path}, HDU {hdu.index}: ZCMPTYPE = {table.get('ZCMPTYPE')!r} is none of {KINDS}")
            tile = tile_shape(table)
            if min(tile) < 1:
                raise OSError(f"{self.path}, HDU {hdu.index}: tiles of shape {tile}, the file is damaged")
            return TiledPixels(*place, index=hdu.index, nbytes=hdu.nbytes, table=hdu.table, tile=tile)
        if hdu.number is not None:
            return constant.ConstantPixels.of(FilePixels(*place), hdu.number)
        return FilePixels(*place)


def _end(block: bytes) -> int | None:
    """Where the END card starts in a header block."""
    if b"END" not in block:  # of most blocks that is all there is to ask
        return None
    for i in range(0, len(block), 80):
        if block[i : i + 80].rstrip(b" \0\r\n") == b"END":
            return i
    return None


def _not_fits(path: Path | Remote, first: bytes) -> str:
    if not first:
        return f"{path} is empty, not a FITS file"
    packed = next((name for start, name in PACKED.items() if first.startswith(start)), None)
    if packed:
        return f"{path} is not a plain FITS file, but packed: {packed}"
    return f"{path} is not a FITS file: it starts with {first[:9]!r}, not with b'SIMPLE  ='"


def _scale(path: Path | Remote, values: dict[str, Any], keyword: str, default: int) -> int | float:
    """BSCALE or BZERO: a whole number stays one, so that 2^63 is exact."""
    value = cards.as_number(values.get(keyword, default))
    if not math.isfinite(value):
        raise OSError(f"{path}: {keyword} = {values[keyword]!r} is not a number")
    return int(value) if value.is_integer() else value


def _blank(path: Path | Remote, values: dict[str, Any]) -> int | None:
    """The stored number of missing pixels; float images have NaN for them."""
    value = values.get("BLANK")
    if value is None or int(values["BITPIX"]) < 0:
        return None
    if not isinstance(value, int) and not cards.as_number(value).is_integer():
        raise OSError(f"{path}: BLANK = {value!r} is not a whole number")
    return value if isinstance(value, int) else int(float(value))


def choose(walk: Walk, hdu: HDUName, *, more: bool) -> tuple[HDU, HDU, list[HDU]]:
    """The primary HDU, the one that was asked for (or the first image), and all that were looked at.

    ``more`` says that others are of interest after the one that was asked for.
    """
    seen: list[HDU] = []
    chosen = None
    for unit in walk:
        seen.append(unit)
        if chosen is None and matches(unit, hdu):
            chosen = unit
            if not more or (walk.packing and not seen[0].values.get("EXTEND")):
                break  # to look for more would unpack the whole file
    listing = "; ".join(map(str, seen))
    if not walk.packing and seen[-1].offset + seen[-1].nbytes > walk.size:
        listing += " (truncated, the file ends within its data)"
    if chosen is None:
        if hdu is None:
            raise OSError(f"{walk.path} has no image: its HDUs are {listing}")
        name = hdu[0] if isinstance(hdu, tuple) else hdu
        near = did_you_mean(name, [unit.name for unit in seen if unit.name])
        raise OSError(f"{walk.path} has no hdu={hdu!r}: its HDUs are {listing}{near}")
    if not chosen.is_image:
        raise OSError(f"{walk.path}: hdu={hdu!r} is not an image, but {chosen}")
    return seen[0], chosen, seen


def matches(unit: HDU, hdu: HDUName) -> bool:
    """Whether this is the HDU that is asked for; None: the first image."""
    if hdu is None:
        return unit.is_image
    if isinstance(hdu, tuple):
        return (unit.name, unit.values.get("EXTVER", 1)) == (hdu[0].upper(), hdu[1])
    return unit.index == hdu if isinstance(hdu, int) else unit.name == hdu.upper()
