"""The bytes of one file as a small picklable value: no open handle, and an error if the file has changed."""

from __future__ import annotations

import io
import os
import platform
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from xccd.messages import shown
from xccd.read.files import unpack

OPENERS: dict[str, Any] = {"": open} | {name: packing.open for name, packing in unpack.PACKINGS.items()}


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Errors of the operating system say which file they are of; those that do, and their numbers, stay as they are."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # one of ours
            raise
        raise OSError(error.errno, f"{name} cannot be read: {error.strerror}") from error


class File(Protocol):
    """What pixels are read from."""

    @property
    def name(self) -> str:
        """The path or URL, for messages."""

    @property
    def far(self) -> bool:
        """Whether each read waits for a network."""

    def fill(self, view: memoryview, start: int) -> None:
        """Bytes of the unpacked file from ``start``; an OSError that names it if it changed, or has too few."""


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine, packed or not, as it was when it was opened.

    On the machine that opened it the file must be the same one, to the inode and the time of its last change of any
    kind. Another machine may have its own numbers for both, and its own clock for the second: there, size and time of
    the contents have to do.
    """

    path: str
    packing: str
    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0
    host: str = ""
    end: int = 0  # of a packed file: the bytes of it, unpacked, that are of use
    far = False

    @property
    def name(self) -> str:
        return shown(self.path)

    def fill(self, view: memoryview, start: int) -> None:
        with naming(self.name):
            if not self.packing:
                with self._open() as file:
                    self._check(file)
                    read_into(view, file, start, self.name)
                    self._check(file)  # another program may have written meanwhile
                return
            with self._open() as file:
                self._check(file)
            with open(unpack.scratch(self, self._unpack), "rb", buffering=0) as file:
                read_into(view, file, start, self.name)

    def _open(self) -> io.FileIO:
        try:
            return open(self.path, "rb", buffering=0)
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.name} is gone, it was there when the stack was opened") from None

    def _unpack(self, target: Path) -> None:
        with self._open() as file:
            self._check(file)
            unpack.unpack(file, self.packing, target, self.name, self.end)
            self._check(file)

    def _check(self, file: IO[bytes] | io.FileIO) -> None:
        now = os.fstat(file.fileno())
        same = (now.st_size, now.st_mtime_ns) == (self.size, self.mtime_ns)
        if same and self.host == platform.node():
            same = (now.st_ino, now.st_ctime_ns) == (self.inode, self.ctime_ns)
        if not same:
            raise OSError(f"{self.name} has changed since it was opened: open the stack again")


def read_into(view: memoryview, file: Any, start: int, name: str) -> None:
    """Fill ``view`` from an open file, or raise."""
    file.seek(start)
    done, count = 0, len(view)
    while done < count:  # a single read gives 2 GiB at most
        got = file.readinto(view[done:])
        if not got:
            raise OSError(f"{name} is truncated: {count} bytes wanted from byte {start}, {done} found")
        done += got


def open_local(path: Path) -> tuple[LocalFile, IO[bytes]]:
    """A file, and its unpacked bytes as a stream for its headers."""
    name = shown(path)
    try:
        with naming(name):
            status = os.stat(path)
        if stat.S_ISDIR(status.st_mode):
            raise IsADirectoryError(f"{name} is a folder where a FITS file is meant")
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{name} is not a regular file (a pipe or a device cannot be read in pieces)")
        with naming(name):
            stream: IO[bytes] = OPENERS[""](path, "rb")
            status = os.fstat(stream.fileno())
            packing = unpack.packing_of(stream.read(8))
            if packing:
                stream.close()
                stream = OPENERS[packing](path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{name} does not exist: check the path") from None
    except PermissionError:
        raise PermissionError(f"{name} cannot be read: no permission for this user") from None
    except ValueError as error:  # a NUL in it
        raise OSError(f"{name} is no path: {error}") from None
    # The working folder may change before pixels are read.
    numbers = (status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns)
    return LocalFile(os.path.abspath(path), packing, *numbers, platform.node()), stream
