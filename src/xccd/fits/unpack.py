"""Compressed files are unpacked once a process, into a scratch folder that goes when the process ends."""

from __future__ import annotations

import atexit
import bz2
import gzip
import lzma
import os
import shutil
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OPENERS: dict[str, Any] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
_lock = threading.Lock()
_locks: dict[tuple[str, int, int], threading.Lock] = {}
_unpacked: dict[tuple[str, int, int], Path] = {}
_folder: list[str] = []


def scratch(path: str, packing: str, check: Callable[[os.stat_result], None]) -> Path:
    """The unpacked copy of ``path``; ``check`` may refuse the file as it is now."""
    status = os.stat(path)
    check(status)
    key = (path, status.st_size, status.st_mtime_ns)
    with _lock:
        lock = _locks.setdefault(key, threading.Lock())
    with lock:
        if key not in _unpacked or not _unpacked[key].exists():
            handle, name = tempfile.mkstemp(".fits", dir=_scratch_folder())
            target = Path(name)
            try:
                with _OPENERS[packing](path, "rb") as packed, open(handle, "wb") as plain:
                    shutil.copyfileobj(packed, plain, 1 << 20)
            except (EOFError, OSError, lzma.LZMAError) as error:
                target.unlink(missing_ok=True)
                raise OSError(f"{path} cannot be unpacked: {error}") from error
            _unpacked[key] = target
        return _unpacked[key]


def _scratch_folder() -> str:
    with _lock:
        if not _folder or not os.path.isdir(_folder[0]):
            _folder[:] = [tempfile.mkdtemp(prefix="xccd-")]
            atexit.register(_remove, _folder[0], os.getpid())
        return _folder[0]


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not when a forked child ends
        shutil.rmtree(folder, ignore_errors=True)
