"""Where a product goes: whether it may, what its errors say, and its last step onto the disk."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from xccd.messages import shown

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
log = logging.getLogger("xccd")


def check_place(target: Path, overwrite: bool) -> None:
    """Raise if there is no folder to write in, or something is there that may not go."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path={str(target)!r}: there is no folder {shown(target.parent)}")
    if os.path.lexists(target) and not overwrite:
        raise exists(target)
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"path={str(target)!r}: no permission to write in {shown(target.parent)}")


def target_of(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` spelled out, where it stands for somebody's home."""
    try:
        return Path(path).expanduser()
    except RuntimeError:  # a file whose name begins so
        return Path(path)


def exists(target: Path) -> FileExistsError:
    """The error for a target that is there, and may not be replaced."""
    return FileExistsError(f"path={str(target)!r} is there already: overwrite=True replaces it")


class Failures:
    """The errors of an output, told from those of what is read for it, which pass through the same code."""

    def __init__(self) -> None:
        self.found: list[OSError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Around what concerns the output alone."""
        try:
            yield
        except OSError as error:
            self.found.append(error)
            raise

    def __contains__(self, error: OSError) -> bool:
        return any(error is one for one in self.found)


class Output:
    """A file that is written, which notes its own errors."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.failures = file, Failures()
        self.tell = file.tell

    def write(self, data: bytes | bytearray | memoryview) -> None:
        with self.failures.noted():
            self.file.write(data)

    def seek(self, offset: int) -> None:
        with self.failures.noted():
            self.file.seek(offset)


def cannot_write(error: OSError, target: Path, needed: int) -> OSError:
    """An error of an output with the name of the target; of a full disk with how much is needed and free."""
    if "path=" in str(error):
        return error
    why, room = error.strerror or str(error), _room(target, needed) if error.errno in NO_ROOM else ""
    full = room.endswith("free")  # else it may be a quota, and the reason is not so sure
    message = f"path={str(target)!r} cannot be written: {why}{f' ({room})' if full else ''}"
    made = OSError(message) if error.errno is None else OSError(error.errno, message)
    if room and not full:
        made.add_note(room)
    return made


def _room(target: Path, needed: int) -> str:
    """How much is needed and free; it ends with "free" if that is too little."""
    try:
        free = shutil.disk_usage(target.parent).free
    except OSError:
        return f"{needed} bytes are needed"
    other = ", so there is a quota, or another limit" if free >= needed else ""
    return f"{needed} bytes are needed, {free} are free{other}"


def move_new(name: Path, target: Path) -> None:
    """Rename, but never onto a file that came while the product was computed."""
    try:
        os.link(name, target)
    except FileExistsError:
        raise exists(target) from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise exists(target) from None
        os.replace(name, target)


def sync_folder(folder: Path) -> None:
    """The names in a folder onto the disk. Where that fails the product is there all the same."""
    if os.name != "posix":  # elsewhere a folder cannot be opened
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        place = shown(folder)
        log.warning("the folder %s cannot be synced to disk (%s), what was written to it is there", place, error)
