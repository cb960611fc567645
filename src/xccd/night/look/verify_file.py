"""What is wrong with one FITS file: its structure, sizes, checksums, and the samples of its images."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from xccd.headers import cards
from xccd.headers.cards import BLOCK
from xccd.headers.summary import Summary
from xccd.messages import shown
from xccd.read.files.local import LocalFile
from xccd.read.files.remote import Remote
from xccd.read.files.unpack import BROKEN, PACKINGS
from xccd.read.images.chips import MAP_NAMES, MAP_WORDS
from xccd.read.images.hdus import StoredHDU, Walk

PROBLEM, WARNING = "problem", "warning"
PIECE = 16 << 20  # bytes that are read at a time
MUCH_MISSING, MUCH_SATURATED = 0.5, 0.1  # shares of an image that are told of
ONES = 0xFFFFFFFF


@dataclass(frozen=True)
class Finding:
    """Something that is wrong, or may be."""

    level: str  # `PROBLEM` or `WARNING`
    what: str  # one word: "structure", "size", "checksum", "samples", "duplicate", "mixed"
    text: str
    hdu: int | None = None


@dataclass
class ImageFacts:
    """One HDU, and for an image what its samples are."""

    index: int
    name: str
    kind: str  # "image", "table", or "none" for a header without data
    shape: tuple[int, ...] = ()
    dtype: str = ""
    checksum: str = "none"  # "good", "bad", "stale" (of another file or header), "none"
    missing: float | None = None  # share of samples that are not finite
    saturated: float | None = None  # share at SATURATE or above; None without it
    least: float | None = None
    most: float | None = None
    digest: str = ""  # equal for equal samples; "" if all samples are equal


@dataclass
class FileFacts:
    """One file, and what was found in it."""

    file: str
    size: int = -1
    findings: list[Finding] = field(default_factory=list)
    hdus: list[ImageFacts] = field(default_factory=list)
    summary: Summary = field(default_factory=Summary)  # of its first image
    primary: str = ""  # the text of its first header

    @property
    def image(self) -> ImageFacts | None:
        """Its first image that is no map."""
        return next((h for h in self.hdus if h.kind == "image" and not is_map(h.name)), None)

    def inherited(self, unit: StoredHDU) -> str:
        """The header of an extension, with the cards of the first header that it has not."""
        return cards.inherit(unit.text, self.primary) if unit.index else unit.text

    def has(self, level: str) -> bool:
        return any(one.level == level for one in self.findings)

    def add(self, level: str, what: str, text: str, hdu: int | None = None) -> None:
        """Add a finding; its text does not repeat the name of the file."""
        name = shown(self.file)
        rest = text.removeprefix(name).lstrip(" ,:").removeprefix("is ")
        self.findings.append(Finding(level, what, rest.replace(f"{name}: ", "").replace(f"{name} ", ""), hdu))


def is_map(name: str) -> bool:
    """Whether an EXTNAME is that of a map (a mask, uncertainties), not of an image."""
    letters = name.upper()
    return letters in MAP_NAMES or bool(MAP_WORDS & set(letters.replace("-", "_").split("_")))


def facts_of(place: Path | Remote) -> FileFacts:
    """Look at a file and all its samples. Never raises for what is in it."""
    facts = FileFacts(str(place))
    try:
        with Walk(place) as walk:
            facts.size = int(walk.source.size if isinstance(walk.source, LocalFile) else walk.source.length)
            _structure(facts, walk)
    except (OSError, *BROKEN) as error:
        facts.add(PROBLEM, "structure", _text(error))
    except (ValueError, ArithmeticError, MemoryError, RecursionError) as error:  # a header that no reader foresaw
        facts.add(PROBLEM, "structure", f"it cannot be read: {type(error).__name__}: {error}")
    return facts


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _structure(facts: FileFacts, walk: Walk) -> None:
    """Walk through the HDUs; then check what each holds."""
    units: list[StoredHDU] = []
    try:
        units.extend(walk)
    except (OSError, *BROKEN) as error:
        facts.add(PROBLEM, "structure", _text(error))
    if units and walk.packing and isinstance(walk.source, LocalFile):
        # To the end of its last HDU, whatever follows, and for all HDUs, so that it is unpacked once.
        walk.reach = units[-1].offset + -(-units[-1].nbytes // BLOCK) * BLOCK
        walk.source = replace(walk.source, end=walk.reach)
    start, facts.primary = 0, units[0].text if units else ""
    for unit in units:
        _hdu(facts, walk, unit, start)
        start = unit.offset + -(-unit.nbytes // BLOCK) * BLOCK
    if units and not facts.findings:
        _ending(facts, walk, units, start)
    if units and not any(unit.is_image for unit in units) and not facts.findings:
        facts.add(WARNING, "structure", "it holds no image")


def _ending(facts: FileFacts, walk: Walk, units: list[StoredHDU], end: int) -> None:
    """Compare the end of the file with that of its last HDU."""
    announced, count = units[0].value("NEXTEND"), len(units) - 1
    if isinstance(announced, int) and announced > count and any(unit.name == "SCI" for unit in units):
        facts.add(
            WARNING, "size", f"NEXTEND announces {announced} extensions, and it has {count}: it may have been cut"
        )
    if walk.packing:
        return
    if facts.size < end:
        facts.add(WARNING, "size", f"its last block lacks {end - facts.size} bytes of padding: it may have been cut")
    elif facts.size > end:
        facts.add(WARNING, "size", f"{facts.size - end} bytes follow its last HDU")


def _hdu(facts: FileFacts, walk: Walk, unit: StoredHDU, start: int) -> None:
    own = ImageFacts(unit.index, unit.name, "image" if unit.is_image else "table" if unit.kind != "IMAGE" else "none")
    facts.hdus.append(own)
    own.shape = unit.shape if unit.is_image else ()
    try:
        own.checksum = _checksum(facts, walk, unit, start)
        if unit.is_image and 0 not in unit.shape:
            _samples(facts, walk, unit, own)
        elif unit.is_image:
            facts.add(WARNING, "samples", f"HDU {unit.index} has an axis of size 0, no samples", unit.index)
    except (OSError, *BROKEN) as error:
        facts.add(PROBLEM, "size" if "truncated" in str(error) else "structure", _text(error), unit.index)
    except (ValueError, ArithmeticError, MemoryError, RecursionError, IndexError, KeyError) as error:
        facts.add(PROBLEM, "structure", f"HDU {unit.index} cannot be read: {type(error).__name__}: {error}", unit.index)


# --- checksums


def _checksum(facts: FileFacts, walk: Walk, unit: StoredHDU, start: int) -> str:
    """Compare DATASUM and CHECKSUM with the bytes."""
    header = bytearray(unit.offset - start)
    walk.source.fill(memoryview(header), start)
    values = cards.values(cards.from_bytes(bytes(header)))
    datasum, checksum = (str(values.get(name, "")).strip() for name in ("DATASUM", "CHECKSUM"))
    if not (datasum or checksum):
        return "none"
    end = unit.offset + -(-unit.nbytes // BLOCK) * BLOCK
    room = facts.size * (PACKINGS[walk.packing].max_ratio if walk.packing else 1)
    if end > room:
        return "none"  # its size is told of
    data, own = _sum_of(walk, unit.offset, end - unit.offset), _folded(_words(header))
    state, level, text = _compared(datasum, checksum, data, own)
    if text:
        facts.add(level, "checksum", f"HDU {unit.index}: {text}", unit.index)
    return state


def _compared(datasum: str, checksum: str, data: int, header: int) -> tuple[str, str, str]:
    """The state of an HDU by its sums; and what is said of it, and how loudly.

    CHECKSUM makes the sum of header and data zero. So a header that is as it was gives zero with the old DATASUM.
    Programs that copy headers to other data leave cards that hold for neither: that is no damage.
    """
    if datasum and not datasum.isdigit():
        return "stale", WARNING, f"DATASUM = {datasum!r} is not a number"
    changed = bool(datasum) and (int(datasum) - data) % ONES != 0
    if changed and checksum and (int(datasum) + header) % ONES:
        return "stale", WARNING, "CHECKSUM and DATASUM are not of this file: they were copied, or the file was changed"
    if changed:
        return "bad", PROBLEM, f"its data have changed since DATASUM was written: their sum is {data}, not {datasum}"
    if checksum and (header + data) % ONES:
        if datasum:
            return "stale", WARNING, "its header has changed since CHECKSUM was written, its data have not"
        return "bad", PROBLEM, "its header or its data have changed since CHECKSUM was written"
    return "good", "", ""


def _sum_of(walk: Walk, start: int, count: int) -> int:
    total = 0
    for first in range(0, count, PIECE):
        piece = bytearray(min(PIECE, count - first))
        walk.source.fill(memoryview(piece), start + first)
        total += _words(piece)
    return _folded(total)


def _words(data: bytes | bytearray) -> int:
    """The sum of big-endian words of 32 bits."""
    whole = bytes(data) + bytes(-len(data) % 4)
    return int(np.frombuffer(whole, ">u4").sum(dtype=np.uint64))


def _folded(total: int) -> int:
    """A sum in ones' complement of 32 bits."""
    while total > ONES:
        total = (total & ONES) + (total >> 32)
    return total


# --- samples


def _samples(facts: FileFacts, walk: Walk, unit: StoredHDU, own: ImageFacts) -> None:
    """Read all samples of an image, piece by piece."""
    pixels = walk.pixels(unit)
    dtype = np.dtype(np.float64) if pixels.masks else pixels.native
    own.dtype = str(pixels.native)
    values_of_header = cards.values(facts.inherited(unit))
    limit = cards.as_number(values_of_header.get("SATURATE"))
    count = missing = saturated = 0
    digest = hashlib.blake2b(f"{dtype.newbyteorder('<').str}{unit.shape}".encode(), digest_size=16)
    least, most = math.inf, -math.inf
    for index in _pieces(unit.shape, dtype.itemsize, getattr(pixels, "tile_rows", 1)):
        values = np.empty([part.stop - part.start for part in index], dtype)
        pixels.read(index, values)
        digest.update(np.ascontiguousarray(values, dtype.newbyteorder("<")).data)
        good = values[np.isfinite(values)] if dtype.kind == "f" else values.ravel()
        count, missing = count + values.size, missing + values.size - good.size
        saturated += int(np.count_nonzero(good >= limit))
        if good.size:
            least, most = min(least, float(good.min())), max(most, float(good.max()))
    own.missing = missing / count
    own.saturated = saturated / count if limit == limit else None
    own.least, own.most = (least, most) if missing < count else (None, None)
    own.digest = digest.hexdigest() if least < most else ""
    if facts.image is own:
        facts.summary = Summary.of(values_of_header)
        _judged(facts, own, limit)


def _judged(facts: FileFacts, own: ImageFacts, limit: float) -> None:
    """What the samples of the image that counts are told of."""
    at, missing = f"HDU {own.index}", own.missing or 0.0
    if own.least is None:
        facts.add(PROBLEM, "samples", f"{at}: no sample is a finite number", own.index)
    elif own.least == own.most:
        facts.add(WARNING, "samples", f"{at}: all samples are {own.least:g}", own.index)
    elif missing >= MUCH_MISSING:
        facts.add(WARNING, "samples", f"{at}: {missing:.0%} of the samples are missing", own.index)
    if own.saturated is not None and own.saturated >= MUCH_SATURATED:
        text = f"{at}: {own.saturated:.0%} of the samples are at SATURATE = {limit:g} or above"
        facts.add(WARNING, "samples", text, own.index)


def _pieces(shape: tuple[int, ...], itemsize: int, unit: int) -> Iterator[tuple[slice, ...]]:
    """Boxes along the first axis of more than one pixel."""
    axis = next((i for i, n in enumerate(shape) if n > 1), 0)
    row = max(1, math.prod(shape[axis + 1 :]) * itemsize)
    step = max(1, PIECE // row // unit) * unit
    for first in range(0, shape[axis], step):
        own = [slice(0, n) for n in shape]
        own[axis] = slice(first, min(first + step, shape[axis]))
        yield tuple(own)
