"""Unpacked copies of packed files, and copies of remote ones: one in each process, in a folder removed at its end."""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import os
import sys
import tempfile
import threading
import zlib
from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, NamedTuple

from xccd.read.files import temporary


class Packing(NamedTuple):
    """A packing: first bytes of a file, the function that opens it, and unpacked bytes per packed byte at most."""

    magic: bytes
    open: Callable[..., Any]
    max_ratio: int


# Deflate packs 1032 bytes into one, lzma 7000; bzip2 packs 45 MB of zeros into 45 bytes.
PACKINGS = {
    ".gz": Packing(b"\x1f\x8b", gzip.open, 1040),
    ".bz2": Packing(b"BZh", bz2.open, 1 << 21),
    ".xz": Packing(b"\xfd7zXZ", lzma.open, 1 << 14),
}
PIECE = 1 << 20  # bytes that are unpacked at a time
BROKEN = (EOFError, OSError, lzma.LZMAError, zlib.error)  # raised for damaged files
_lock = threading.Lock()
_locks: dict[Hashable, threading.Lock] = {}
_copies: dict[Hashable, Path] = {}
_folder: list[str] = []


def packing_of(first: bytes) -> str:
    """The packing of a file from its first bytes, as its name may not tell it; "" for none."""
    return next((name for name, packing in PACKINGS.items() if first.startswith(packing.magic)), "")


def scratch(key: Hashable, fill: Callable[[Path], None]) -> Path:
    """The path of the copy for ``key``; ``fill(path)`` writes it if there is none yet."""
    with _lock:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _copies or not _copies[key].exists():
            handle, name = tempfile.mkstemp(".fits", dir=_scratch_folder())
            os.close(handle)
            try:
                fill(Path(name))
            except BaseException:
                Path(name).unlink(missing_ok=True)
                raise
            _copies[key] = Path(name)
        return _copies[key]


def unpack(packed: Any, packing: str, target: Path, name: str, end: int = 0) -> None:
    """Unpack ``packed`` (a path or an open file) into ``target``, up to byte ``end``; errors contain ``name``."""
    left = end or sys.maxsize
    try:
        with PACKINGS[packing].open(packed, "rb") as source, open(target, "wb") as plain:
            while left and (part := source.read(min(left, PIECE))):
                plain.write(part)
                left -= len(part)
    except BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:  # an error of the disk, not of the packed bytes
            raise OSError(error.errno, f"{name} cannot be unpacked: {error.strerror}") from error
        raise OSError(f"{name} cannot be unpacked: {error}") from error


def _scratch_folder() -> str:
    with _lock:
        if not _folder or not os.path.isdir(_folder[0]):
            path, handle = temporary.scratch_folder()
            _folder[:] = [str(path)]
            atexit.register(_remove, path, handle, os.getpid())
        return _folder[0]


def _remove(folder: Path, handle: int, owner: int) -> None:
    if os.getpid() == owner:  # a forked child leaves it
        temporary.remove_folder(folder, handle)
