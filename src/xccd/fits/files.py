"""The bytes of one file as a small picklable value: no open handle, and an error if the file has changed."""

from __future__ import annotations

import io
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from xccd.fits import unpack

OPENERS: dict[str, Any] = {"": open} | {name: packing.open for name, packing in unpack.PACKINGS.items()}


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
    """A file on this machine, packed or not, as it was when it was opened."""

    path: str
    packing: str
    size: int
    mtime_ns: int
    far = False

    @property
    def name(self) -> str:
        return self.path

    def fill(self, view: memoryview, start: int) -> None:
        if self.packing:
            with self._open(Path(self.path)) as file:
                self._check(os.fstat(file.fileno()))
            path = unpack.scratch((self.path, self.size, self.mtime_ns), self._unpack)
        else:
            path = Path(self.path)
        with self._open(path) as file:
            if not self.packing:
                self._check(os.fstat(file.fileno()))
            read_into(view, file, start, self.path)

    def _open(self, path: Path) -> io.FileIO:
        try:
            return open(path, "rb", buffering=0)
        except FileNotFoundError:
            raise FileNotFoundError(f"{self.path} is gone, it was there when the stack was opened") from None

    def _unpack(self, target: Path) -> None:
        unpack.unpack(self.path, self.packing, target, self.path)

    def _check(self, status: os.stat_result) -> None:
        if (status.st_size, status.st_mtime_ns) != (self.size, self.mtime_ns):
            raise OSError(f"{self.path} has changed since it was opened: open the stack again")


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
    try:
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder where a FITS file is meant")
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(f"{path} is not a regular file (a pipe or a device cannot be read in pieces)")
        stream: IO[bytes] = OPENERS[""](path, "rb")
        packing = unpack.packing_of(stream.read(8))
        if packing:
            stream.close()
            stream = OPENERS[packing](path, "rb")
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} does not exist: check the path in files=") from None
    except PermissionError:
        raise PermissionError(f"{path} cannot be read: no permission for this user") from None
    # The working folder may change before pixels are read.
    return LocalFile(os.path.abspath(path), packing, status.st_size, status.st_mtime_ns), stream
