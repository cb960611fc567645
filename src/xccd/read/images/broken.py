"""A file that cannot be opened as a frame: why, and what can still be told of it, its header and its shape."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.messages import did_you_mean, shown
from xccd.read.files.remote import Remote
from xccd.read.files.unpack import BROKEN
from xccd.read.images.chips import Chip, Frame, Opened, Options, matches
from xccd.read.images.hdus import StoredHDU, Walk
from xccd.read.images.missing import Missing
from xccd.read.images.pixels import innermost
from xccd.read.images.table import TableRows

ERRORS = ("raise", "skip", "nan")


def check_errors(errors: Any) -> str:
    """The argument ``errors``; raises if it is unknown."""
    if isinstance(errors, str) and errors in ERRORS:
        return errors
    near = did_you_mean(errors, ERRORS)
    raise ValueError(f"errors={errors!r} is none of {', '.join(map(repr, ERRORS))}{near}")


def reason(name: str, error: BaseException) -> str:
    """A message that stands beside the name of the file, so does not repeat it."""
    rest = str(error).removeprefix(shown(name)).lstrip(" ,:")
    return rest.removeprefix("is ") or "it cannot be read"


def lost(item: Any, error: BaseException, options: Options) -> Opened:
    """The frames of a file that cannot be opened: one, or of a table one for each row."""
    place = item.place if isinstance(item, TableRows) else item
    on_disk = isinstance(place, (Path, Remote))
    name = str(place) if on_disk else ""
    units = _units(place, options) if on_disk else []
    why = reason(name, error)
    hdus: tuple[Any, ...] = (item.hdus or (None,)) if isinstance(item, TableRows) else (None,)
    frames = [_frame(name, units, options.hdu if hdu is None else hdu, why) for hdu in hdus]
    return Opened(frames)


def none_left(bad: Sequence[BaseException]) -> BaseException:
    """The error if no file can be opened: that of the only file, or of the first."""
    if len(bad) == 1:
        return bad[0]
    kind = FileNotFoundError if all(isinstance(error, FileNotFoundError) for error in bad) else OSError
    return kind(f"none of {len(bad)} files can be opened: {bad[0]}")


def _units(place: Path | Remote, options: Options) -> list[StoredHDU]:
    """The HDUs of a file up to the image, or as far as it can be read."""
    seen: list[StoredHDU] = []
    try:
        with Walk(place) as walk:
            for unit in walk:
                seen.append(unit)
                if not options.several and matches(unit, options.hdu):
                    break
    except BROKEN:
        pass
    return seen


def _frame(name: str, units: Sequence[StoredHDU], hdu: Any, why: str) -> Frame:
    """A frame without pixels, with the header of its image, else of the file."""
    wanted = None if hdu == "all" or isinstance(hdu, list) else hdu
    image = next((unit for unit in units if unit.is_image and matches(unit, wanted)), None)
    first = units[0].text if units else ""
    if image is None:
        return Frame(name, first, Missing(), problem=why, hdu=hdu if isinstance(hdu, int) else 0)
    own = image is units[0] or image.text.startswith("SIMPLE")
    text = image.text if own else cards.inherit(image.text, first)
    return Frame(name, text, Missing(image.shape), problem=why, hdu=image.index)


def like_the_others(one: Opened, others: Sequence[Opened], *, rows: bool) -> Opened:
    """A lost file with the chips that other files have; ``rows``: those of its rows in a table.

    Raises if the others differ, as then nobody knows what this one had.
    """
    (known, *more) = dict.fromkeys(other.chips for other in others)
    if rows:
        labels = {chip.number: chip for other in others for chip in other.chips}
        return one._replace(chips=tuple(labels.get(f.hdu, Chip("", None, f.hdu, 1)) for f in one.frames))
    frame = one.frames[0]
    if more:
        raise OSError(
            f"{shown(frame.file)}: {frame.problem}; the other files differ in their chips, so errors='nan' cannot "
            "know which this one had: errors='skip' leaves it out"
        )
    return one._replace(frames=[replace(frame, hdu=chip.number) for chip in known], chips=known)


def check_packed(found: Opened) -> Opened:
    """Raise if a packed file is not whole. Its copy is kept, so nothing is unpacked twice."""
    for frame in found.frames:
        for reader in (frame.pixels, frame.mask, frame.uncertainty):
            stored = innermost(reader)
            if getattr(getattr(stored, "file", None), "packing", ""):
                last = tuple(slice(n - 1, n) for n in stored.shape)
                stored.read(last, np.empty((1,) * len(last)))
    return found
