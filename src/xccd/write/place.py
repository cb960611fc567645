"""The place of a product: may it be written there, the step that puts it there whole, and the errors on the way."""

from __future__ import annotations

import errno
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Protocol, TypeVar

from xccd.messages import a_type, shown
from xccd.read.files import temporary

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # full, a quota, a limit on one file
log = logging.getLogger("xccd")


def check_place(target: Path, overwrite: bool) -> None:
    """Raise if the folder does not exist or is not writable, or the target exists and may not be replaced."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path={str(target)!r}: there is no folder {shown(target.parent)}")
    if os.path.lexists(target) and not overwrite:  # also a symbolic link to nothing
        raise exists(target)
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"path={str(target)!r}: no permission to write in {shown(target.parent)}")


def target_of(path: str | os.PathLike[str]) -> Path:
    """A path with ``~`` expanded, if it means a home folder; raises for what is no path."""
    if not isinstance(path, str | os.PathLike):
        raise TypeError(f"path={path!r} is no path, but {a_type(path)}: name a file")
    try:
        return Path(path).expanduser()
    except RuntimeError:  # a file whose name begins with ~
        return Path(path)


def exists(target: Path) -> FileExistsError:
    """The error for a target that exists and may not be replaced."""
    return FileExistsError(f"path={str(target)!r} is there already: overwrite=True replaces it")


class Failures:
    """The errors of an output. Errors of reading its inputs pass through the same code and are not among them."""

    def __init__(self) -> None:
        self.found: list[OSError] = []

    @contextmanager
    def noted(self) -> Iterator[None]:
        """A context for code that concerns only the output."""
        try:
            yield
        except OSError as error:
            self.found.append(error)
            raise

    def __contains__(self, error: OSError) -> bool:
        return any(error is one for one in self.found)  # not ==: errors of inputs may look the same


class Unfinished(Protocol):
    """A product under a temporary name beside its target."""

    failures: Failures

    def put(self, target: Path) -> None:
        """Sync it to disk and give it the target's name."""

    def remove(self) -> None:
        """Remove what is left under the temporary name; may be called twice."""


U = TypeVar("U", bound=Unfinished)


@contextmanager
def replacing(target: Path, begin: Callable[[Path], U], needed: Callable[[], int]) -> Iterator[U]:
    """A new product, from ``begin(folder)``, that becomes ``target`` if the block ends well and is removed if not."""
    try:
        made = begin(target.parent)
    except OSError as error:
        raise cannot_write(error, target, needed()) from error
    try:
        yield made
        with made.failures.noted():
            made.put(target)
    except OSError as error:
        if error not in made.failures:
            raise
        with suppress(OSError):
            made.remove()  # before the free space is measured
        raise cannot_write(error, target, needed()) from error
    finally:
        made.remove()
    sync_folder(target.parent)


class UnfinishedFile:
    """A file under a temporary name; it notes the errors of its own writes."""

    def __init__(self, name: Path, file: IO[bytes], overwrite: bool) -> None:
        self.name, self.file, self.overwrite, self.failures = name, file, overwrite, Failures()
        self.tell = file.tell

    def write(self, data: bytes | bytearray | memoryview) -> None:
        with self.failures.noted():
            self.file.write(data)

    def seek(self, offset: int) -> None:
        with self.failures.noted():
            self.file.seek(offset)

    def put(self, target: Path) -> None:
        self.file.flush()
        # before the rename: after a crash the name must not stand for a file without its bytes
        os.fsync(self.file.fileno())
        if os.name != "posix":  # Windows renames no open file; elsewhere the file stays locked until it has its name
            self.file.close()
        (os.replace if self.overwrite else move_new)(self.name, target)

    def remove(self) -> None:
        with suppress(OSError):
            self.file.close()
        self.name.unlink(missing_ok=True)
        temporary.let_go(self.name)


def cannot_write(error: OSError, target: Path, needed: int) -> OSError:
    """An error of an output with the name of the target; for a full disk also the bytes needed and free."""
    if "path=" in str(error):  # it names the target already
        return error
    why, room = error.strerror or str(error), _room_on_disk(target, needed) if error.errno in NO_ROOM else ""
    full = room.endswith("free")  # else a quota may be the reason
    message = f"path={str(target)!r} cannot be written: {why}{f' ({room})' if full else ''}"
    made = OSError(message) if error.errno is None else OSError(error.errno, message)
    if room and not full:
        made.add_note(room)
    return made


def _room_on_disk(target: Path, needed: int) -> str:
    """Text with the bytes needed and free; it ends with "free" if these are too few."""
    try:
        free = shutil.disk_usage(target.parent).free
    except OSError:
        return f"{needed} bytes are needed"
    other = ", so there is a quota, or another limit" if free >= needed else ""
    return f"{needed} bytes are needed, {free} are free{other}"


def move_new(name: Path, target: Path) -> None:
    """Rename, but never onto a file that appeared during the computation."""
    try:
        # A rename would replace a file that is there. `UnfinishedFile.remove` deletes the other name.
        os.link(name, target)
    except FileExistsError:
        raise exists(target) from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise exists(target) from None
        os.replace(name, target)


def sync_folder(folder: Path) -> None:
    """Sync the names in a folder to disk. A failure is only logged, as the product is written."""
    if os.name != "posix":  # Windows cannot open a folder
        return
    try:
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        place = shown(folder)
        log.warning("the folder %s cannot be synced to disk (%s); the product is written", place, error)


def new_file(folder: Path, overwrite: bool) -> UnfinishedFile:
    """A file in ``folder`` that this process has locked, so that no other sweeps it."""
    while True:
        name = temporary.new_name(folder)
        file = open(name, "xb")  # noqa: SIM115
        if temporary.lock(file.fileno()):
            return UnfinishedFile(name, file, overwrite)
        file.close()  # swept before it was locked
