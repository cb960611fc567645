"""Pixels that cannot be read: an image of NaN, and a reader that gives NaN in place of an error."""

from __future__ import annotations

import errno
import logging
import sys
from contextlib import suppress
from dataclasses import dataclass
from itertools import product
from threading import Lock
from typing import Any

import numpy as np

from xccd.read.files.unpack import BROKEN
from xccd.read.images.pixels import Index, PixelReader, Samples, innermost
from xccd.read.images.turned import Turned

# Errors of a process or a machine that is short of something: no file is bad for them.
SHORT = (errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOSPC, errno.EDQUOT)
REAL = np.dtype(np.float32)
log = logging.getLogger("xccd")
_told: set[str] = set()  # images of which the log has spoken, since they were opened
_lock = Lock()


@dataclass(frozen=True)
class Missing:
    """An image of which no pixel can be read; its shape is () until it is known."""

    shape: tuple[int, ...] = ()
    native: np.dtype[Any] = REAL
    masks = True

    def read(self, index: Index, out: Samples) -> None:
        out[...] = np.nan


@dataclass(frozen=True)
class Guarded:
    """A reader that gives ``fill`` for pixels that it cannot read, and says so in the log."""

    base: PixelReader
    name: str
    fill: float = np.nan
    masks = True

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def native(self) -> np.dtype[Any]:
        return self.base.native

    @property
    def tile_rows(self) -> int:
        """Image rows that are decompressed together; 1 if the image is not compressed in tiles."""
        return int(getattr(innermost(self.base), "tile_rows", 1))

    def read(self, index: Index, out: Samples) -> None:
        try:
            self.base.read(index, out)
        except BROKEN as error:
            if not of_file(error):
                raise
            _tell(self.name, error)
            self._read_what_is_left(index, out)

    def _read_what_is_left(self, index: Index, out: Samples) -> None:
        """The sound tiles of some pixels, one by one: which pixels are lost must not depend on who asks.

        Nothing is tried again for a file without tiles, which is lost as a whole, or one that takes long to read.
        """
        reader: Any = innermost(self.base)
        tile, file = getattr(reader, "tile", None), getattr(reader, "file", None)
        if tile is None or file is None or file.far or file.packing:
            out[...] = self.fill
            return
        ends = [part.indices(n)[:2] for part, n in zip(index, self.shape, strict=True)]
        cuts = [
            [(max(start, first), min(start + size, last)) for start in range(first // size * size, last, size)]
            for (first, last), size in zip(ends, tile, strict=True)
        ]
        for corner in product(*cuts):
            place = tuple(slice(a - first, b - first) for (a, b), (first, _) in zip(corner, ends, strict=True))
            try:
                self.base.read(tuple(slice(*pair) for pair in corner), out[place])
            except BROKEN as error:
                if not of_file(error):
                    raise
                out[place] = self.fill


def of_file(error: BaseException) -> bool:
    """Whether an error is one of the file that was read, not of this process or machine."""
    first: BaseException = error
    while first.__cause__ is not None:
        first = first.__cause__
    short = isinstance(first, MemoryError) or any(getattr(e, "errno", None) in SHORT for e in (error, first))
    return isinstance(error, BROKEN) and not short


def guarded(reader: PixelReader, name: str, fill: float = np.nan) -> PixelReader:
    """A reader of an image that raises no error of its file."""
    if isinstance(reader, Turned):
        return Turned(guarded(reader.base, name, fill))
    return Guarded(reader, name, fill) if not isinstance(reader, Missing) else reader


def forget(name: str) -> None:
    """Let the log speak of an image again, as it was opened anew."""
    with _lock:
        _told.discard(name)


def _tell(name: str, error: BaseException) -> None:
    """Say once that pixels of an image cannot be read; from a worker of a cluster also to its client."""
    with _lock:
        if name in _told:
            return
        _told.add(name)
    text = f"{name}: pixels that cannot be read are NaN: {error}"
    log.warning("%s", text)
    if "distributed" in sys.modules:
        from distributed import get_worker, warn

        with suppress(ValueError):  # this is no worker
            get_worker()
            warn(text, UserWarning)
