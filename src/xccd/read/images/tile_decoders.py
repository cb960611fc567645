"""Decoders of single tiles: zlib, and the compiled functions of astropy; each tile is bounded by its pixels.

astropy's `CompImageHDU.section` unpacks a tile of GZIP_2 twice, and takes some us of Python for each tile. For an image
of 2048x2048 in row tiles, files opened, this took 37 ms of a processor against 47 ms for RICE_1 of int16, 104 against
182 for GZIP_2 of float32, 51 against 65 for RICE_1 of quantised float32, 18 against 26 for PLIO_1. HCOMPRESS_1 took
136 against 132. Tables that are not plain, and an astropy without these functions, are left to `section` on a file in
memory: a missing name costs speed, never a pixel.
"""

from __future__ import annotations

import math
import os
import threading
import zlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from importlib import import_module
from itertools import product
from typing import Any, NamedTuple

import numpy as np

from xccd.read.images.pixels import Samples

Shape = tuple[int, ...]
Decoder = Callable[[Samples, Shape], Samples]  # of the bytes of a tile
COMPILED = "astropy.io.fits.hdu.compressed._compression"  # private; called alike in astropy 7.1 and 8.0
HCOMPRESS = b"\xdd\x99"  # a tile begins with it; its rows and columns follow
RICE = ("RICE_1", "RICE_ONE")
DITHERS = {"NO_DITHER": -1, "SUBTRACTIVE_DITHER_1": 1, "SUBTRACTIVE_DITHER_2": 2}
# The decoder of RICE_1 reads on from the end of a damaged tile: over zeros, and then to the end of its block of pixels.
LARGEST_BLOCK = 1024
PAD = b"\xff" * 8 * LARGEST_BLOCK  # behind the heap
SCALED = ("TSCAL", "TZERO", "TNULL")  # cards that change the numbers of a column


class DamagedError(Exception):
    """A tile that no decoder may get."""


class Column(NamedTuple):
    """A column of a table of tiles."""

    name: str
    form: str  # TFORM
    place: int  # its first byte in a row
    dtype: np.dtype[Any]  # of its pointers
    size: int  # bytes of an item that they point to; 0 if the column holds no pointers


class Band(NamedTuple):
    """Some rows of tiles: what the table says of them, and their bytes."""

    values: dict[str, Any]  # cards of the table
    columns: Sequence[Column]
    shape: Shape  # of the pixels
    tile: Shape
    first: int  # number of its first tile
    rows: bytearray  # of the table; they point into `heap`
    heap: bytearray  # with `PAD` at its end
    dtype: np.dtype[Any]  # of the stored pixels

    def column(self, name: str) -> Column | None:
        """The column of a name."""
        return next((column for column in self.columns if column.name == name), None)

    def pointers(self, column: Column) -> Samples:
        """The pointers of a column, to be read and written."""
        width = int(self.values["NAXIS1"])
        shape, strides = (len(self.rows) // width, 2), (width, column.dtype.itemsize)
        return np.ndarray(shape, column.dtype, self.rows, column.place, strides)

    def tiles_of(self, column: Column | None) -> list[list[int]]:
        """The bytes and the place in the heap of each tile of a column; none without it."""
        if column is None or not column.size:
            return []
        found: list[list[int]] = (self.pointers(column).astype(np.int64) * (column.size, 1)).tolist()
        return found

    def numbers_of(self, column: Column) -> list[float]:
        """The numbers of a column of float64."""
        width = int(self.values["NAXIS1"])
        array: Samples = np.ndarray((len(self.rows) // width,), ">f8", self.rows, column.place, (width,))
        found: list[float] = array.tolist()
        return found

    def setting(self, name: str, default: int) -> Any:
        """A parameter of the compression."""
        return setting(self.values, name, default)


def setting(values: dict[str, Any], name: str, default: int) -> Any:
    """The parameter ``name`` of the compression, from its cards ZNAMEi and ZVALi."""
    for i in range(1, 1000):
        if f"ZNAME{i}" not in values:
            break
        if str(values[f"ZNAME{i}"]).strip().lower() == name.lower():
            return values.get(f"ZVAL{i}")
    return default


# astropy's decompressors keep state in global variables: HCOMPRESS_1 in two threads at once gives errors or wrong
# pixels. Processes do not share that state.
_one_at_a_time = threading.Lock()


def _after_fork() -> None:
    """A new lock for a forked child: the thread that held the old one does not exist there."""
    global _one_at_a_time
    _one_at_a_time = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def alone() -> AbstractContextManager[object]:
    """A context that one thread at a time enters."""
    return _one_at_a_time


def compiled(name: str) -> Any:
    """A compiled function of astropy; None if it is gone."""
    try:
        return getattr(import_module(COMPILED), name, None)
    except ImportError:
        return None


def decode(band: Band, within: Sequence[slice]) -> Samples | None:
    """The stored pixels of the tiles that overlap ``within``; None if astropy as a whole has to read them."""
    decoder, restore = (_decoder(band), _restore(band)) if is_plain(band) else (None, None)
    if decoder is None or restore is None:
        return None
    tiles, spare = (band.tiles_of(band.column(name)) for name in ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA"))
    heap, reals = np.frombuffer(band.heap, np.uint8), band.dtype.kind == "f"
    numbers, axes = boxes(band, within)
    raw = np.empty([axis[-1].stop for axis in axes], band.dtype)
    with alone() if band.values["ZCMPTYPE"] == "HCOMPRESS_1" else nullcontext():
        for number, box in zip(numbers, product(*axes), strict=True):
            into = raw[box]
            count, start = tiles[number]
            if count:
                into[...] = restore(decoder(heap[start : start + count], into.shape), number)
                continue
            count, start = spare[number] if spare else (0, 0)  # a tile of floats that could not be quantised
            if not count:
                return None
            into[...] = _numbers(unpack(heap[start : start + count], into.shape), into.shape, reals)
    return raw


def check(band: Band) -> None:
    """Raise for a tile that astropy as a whole may not get: it trusts them, and a damaged one could fill all memory."""
    kind, heap = band.values["ZCMPTYPE"], np.frombuffer(band.heap, np.uint8)
    checks: dict[str, Callable[[Samples, Shape], Any]] = {"GZIP_COMPRESSED_DATA": unpack}
    decoder = check_hcompress if kind == "HCOMPRESS_1" else _decoder(band)
    if decoder is not None and kind != "NOCOMPRESS":
        checks["COMPRESSED_DATA"] = decoder
    _, axes = boxes(band, [slice(0, n) for n in band.shape])
    for column in band.columns:
        if column.name not in checks:
            continue
        for (count, start), box in zip(band.tiles_of(column), product(*axes), strict=False):
            if count:
                checks[column.name](heap[start : start + count], tuple(part.stop - part.start for part in box))


def is_plain(band: Band) -> bool:
    """Whether a table has what most have: its columns once each, of bytes and unscaled numbers."""
    forms = {column.name: column.form.removeprefix("1") for column in band.columns}
    plio = band.values["ZCMPTYPE"] == "PLIO_1"
    as_bytes = all(
        form[1:2] == ("I" if plio and name == "COMPRESSED_DATA" else "B")
        for name, form in forms.items()
        if name in ("COMPRESSED_DATA", "GZIP_COMPRESSED_DATA")
    )
    reals = all(forms.get(name, "D") == "D" for name in ("ZSCALE", "ZZERO"))
    scaled = any(keyword.startswith(SCALED) for keyword in band.values)
    return as_bytes and reals and not scaled and len(forms) == len(band.columns) and "ZBLANK" not in forms


def boxes(band: Band, within: Sequence[slice]) -> tuple[list[int], list[list[slice]]]:
    """The numbers of the tiles that overlap ``within``, and along each axis their place among its pixels."""
    counts = [-(-n // t) for n, t in zip(band.shape, band.tile, strict=True)]
    chosen, axes = [], []
    for part, n, t in zip(within, band.shape, band.tile, strict=True):
        begin, end = part.start // t, -(-part.stop // t)
        chosen.append(slice(begin, end))
        axes.append([slice((i - begin) * t, min((i + 1) * t, n) - begin * t) for i in range(begin, end)])
    return np.arange(math.prod(counts)).reshape(counts)[tuple(chosen)].ravel().tolist(), axes


def _decoder(band: Band) -> Decoder | None:
    """The decoder of the compression of a table."""
    kind = band.values["ZCMPTYPE"]
    reals = band.dtype.kind == "f" and band.column("ZSCALE") is None
    if kind == "NOCOMPRESS":
        return lambda data, shape: _numbers(data, shape, reals)
    if kind.startswith("GZIP"):
        shuffled = kind == "GZIP_2"
        return lambda data, shape: _numbers(unpack(data, shape), shape, reals, shuffled)
    return {"HCOMPRESS_1": _hcompress, "PLIO_1": _plio}.get(kind, _rice)(band)


def unpack(data: Samples, shape: Shape) -> bytes:
    """The bytes of a tile of gzip; raises if they are more than its pixels take, cut, or several members in one."""
    most = 8 * math.prod(shape)
    unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        content = unpacker.decompress(data.data, most + 1)
    except zlib.error as error:
        raise DamagedError(f"its tiles cannot be read: {error}") from error
    if len(content) > most or unpacker.unused_data.strip(b"\0"):
        raise DamagedError(f"a tile of shape {shape} holds more than its pixels")
    if not unpacker.eof:
        raise DamagedError(f"its tiles cannot be read: one of shape {shape} ends too early")
    return content


def _numbers(content: bytes | Samples, shape: Shape, reals: bool, shuffled: bool = False) -> Samples:
    """Big-endian numbers, their width by their count; ``shuffled``: all first bytes, then all second bytes, ..."""
    pixels = math.prod(shape)
    width, rest = divmod(len(content), pixels)
    if rest or width not in (1, 2, 4, 8):
        raise DamagedError(f"a tile of shape {shape} has {len(content)} bytes")
    kind = "u" if width == 1 else "f" if reals and width > 2 else "i"
    if width == 1 or not shuffled:
        return np.frombuffer(content, f">{kind}{width}").reshape(shape)
    joined = np.empty((pixels, width), np.uint8)
    joined[...] = np.frombuffer(content, np.uint8).reshape(width, pixels).T
    return joined.view(f">{kind}{width}").reshape(shape)


def _rice(band: Band) -> Decoder | None:
    function, block, width = compiled("decompress_rice_1_c"), band.setting("BLOCKSIZE", 32), band.setting("BYTEPIX", 4)
    dtype = np.dtype("u1" if width == 1 else f"i{width}")

    def decoder(data: Samples, shape: Shape) -> Samples:
        return np.frombuffer(function(data, block, width, math.prod(shape)), dtype).reshape(shape)

    return decoder if function else None


def _plio(band: Band) -> Decoder | None:
    function = compiled("decompress_plio_1_c")

    def decoder(data: Samples, shape: Shape) -> Samples:
        words = np.zeros(len(data) // 2 + 1, "i2")  # one more, as the decoder looks one ahead
        words[:-1] = data.view(">i2")
        check_plio(words[:-1], shape)
        return np.frombuffer(function(words, math.prod(shape)), "i4").reshape(shape)

    return decoder if function else None


def check_plio(words: Samples, shape: Shape) -> None:
    """Raise unless a tile has all the words that it announces, as its decoder trusts the tile."""
    head = [*words[:5].tolist(), 0, 0, 0, 0, 0]
    first, length = (3, head[2]) if head[2] > 0 else (head[1], (head[4] << 15) + head[3])
    if first < 0 or not 0 < length <= len(words):
        raise DamagedError(f"a tile of shape {shape} has {len(words)} words of {length}")


def _hcompress(band: Band) -> Decoder | None:
    function, scale, smooth = compiled("decompress_hcompress_1_c"), band.setting("SCALE", 0), band.setting("SMOOTH", 0)

    def decoder(data: Samples, shape: Shape) -> Samples:
        sides = check_hcompress(data, shape)
        # it takes up to 2 bits of a pixel in each of 64 planes, and reads zeros from the end of a damaged tile
        padded = np.zeros(len(data) + 17 * (sides[0] + 8) * (sides[1] + 8) + 1024, np.uint8)
        padded[: len(data)] = data
        return np.frombuffer(function(padded, *sides, int(scale), smooth, 8), "i4").reshape(shape)

    return decoder if function else None


def check_hcompress(data: Samples, shape: Shape) -> list[int]:
    """The two sides of a tile; raises unless the tile itself has them, as its decoder trusts the tile."""
    head = data[:25].tobytes().ljust(25, b"\0")
    found = [int.from_bytes(head[i : i + 4], "big") for i in (2, 6)]
    if head[:2] != HCOMPRESS or found != [n for n in shape if n != 1]:
        raise DamagedError(f"a tile has {found[0]} x {found[1]} pixels, its header says {shape}")
    if max(head[22:]) > 64:
        raise DamagedError(f"a tile of shape {shape} has {max(head[22:])} planes of bits")
    return found


def _restore(band: Band) -> Callable[[Samples, int], Samples] | None:
    """A function of the stored numbers of a tile and its index: the same numbers, or the floats that they stand for."""
    values = band.values
    blank = values.get("ZBLANK", values.get("BLANK")) if band.dtype.kind == "f" else None
    if blank is not None and not isinstance(blank, int):
        return None
    if band.column("ZSCALE"):
        floats = _floats(band)
        if floats is None or blank is None:
            return floats
    elif blank is None:
        return lambda raw, number: raw
    else:
        floats = lambda raw, number: raw  # noqa: E731

    def with_blank(raw: Samples, number: int) -> Samples:
        made = np.array(floats(raw, number))
        made[raw == blank] = np.nan
        return made

    return with_blank


def _floats(band: Band) -> Callable[[Samples, int], Samples] | None:
    """The floats of quantised numbers; the random numbers taken from each depend on the tile's number."""
    columns = band.column("ZSCALE"), band.column("ZZERO")
    if band.dtype.kind != "f" or columns[0] is None or columns[1] is None:
        return None
    scales, zeros = band.numbers_of(columns[0]), band.numbers_of(columns[1])
    method = DITHERS.get(band.values.get("ZQUANTIZ", "NO_DITHER"))
    if method == DITHERS["NO_DITHER"]:
        return lambda raw, number: raw * np.float64(scales[number]) + zeros[number]
    function = compiled(f"unquantize_{'float' if band.dtype.itemsize == 4 else 'double'}_c")
    if method is None or function is None:
        return None
    with alone():  # the first call makes a table of random numbers, which other threads must not see half made
        function(bytes(4), 1, 1, 1.0, 0.0, method, 0, 0, 0.0, 4)
    seed = int(band.values.get("ZDITHER0", 0)) - 1 + band.first

    def floats(raw: Samples, number: int) -> Samples:
        native = raw.astype(raw.dtype.newbyteorder("="), copy=False)
        row, size = (seed + number) % 10_000 + 1, native.dtype.itemsize
        made = function(native.tobytes(), row, raw.size, scales[number], zeros[number], method, 0, 0, 0.0, size)
        return np.frombuffer(made, band.dtype).reshape(raw.shape)

    return floats
