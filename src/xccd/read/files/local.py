"""The bytes of one local file, as a small picklable object without an open file; an error if the file has changed."""

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
    """Add the file's name to errors of the operating system, errno kept; our own errors have it already."""
    try:
        yield
    except OSError as error:
        if error.errno is None:  # one of ours
            raise
        raise OSError(error.errno, f"{name} cannot be read: {error.strerror}") from error


class File(Protocol):
    """A source of bytes for pixels."""

    @property
    def name(self) -> str:
        """The path or URL, for messages."""

    @property
    def far(self) -> bool:
        """Whether each read waits for a network."""

    def fill(self, view: memoryview, start: int) -> None:
        """Fill ``view`` from byte ``start`` of the unpacked file; OSError if it changed or is too short."""


@dataclass(frozen=True)
class LocalFile:
    """A file on this machine, packed or not, in the state in which it was opened.

    On the machine that opened it, size, mtime, inode and ctime must still be the same. On another machine only size and
    mtime are compared, as inode and ctime may differ there.
    """

    path: str
    packing: str
    size: int
    mtime_ns: int
    inode: int = 0
    ctime_ns: int = 0
    host: str = ""
    end: int = 0  # for a packed file: how many unpacked bytes are needed
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
                    self._check(file)  # another program may have written to it meanwhile
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
    """Fill ``view`` from byte ``start`` of an open file; raises if the file is too short."""
    file.seek(start)
    done, count = 0, len(view)
    while done < count:  # one read returns at most 2 GiB
        got = file.readinto(view[done:])
        if not got:
            raise OSError(f"{name} is truncated: {count} bytes wanted from byte {start}, {done} found")
        done += got


def open_local(path: Path) -> tuple[LocalFile, IO[bytes]]:
    """A file, and a stream of its unpacked bytes, from which headers are read."""
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
    except ValueError as error:  # a NUL in the path
        raise OSError(f"{name} is no path: {error}") from None
    # An absolute path, as the working folder may change before pixels are read.
    file = LocalFile(
        os.path.abspath(path), packing,
        size=status.st_size, mtime_ns=status.st_mtime_ns, inode=status.st_ino, ctime_ns=status.st_ctime_ns,
        host=platform.node(),
    )  # fmt: skip
    return file, stream
