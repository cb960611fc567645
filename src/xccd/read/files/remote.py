"""Files behind a URL, by fsspec: headers and rows by ranged reads, or one copy of the file without ranges."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from xccd.headers.cards import BLOCK
from xccd.messages import shown
from xccd.read.files import unpack
from xccd.read.files.local import OPENERS, naming, read_into

AT_ONCE = 16  # files read at the same time
HEAD = 20 * BLOCK  # bytes of the first read: enough for most headers
# Names under which file systems report the version of a file.
STAMPS = ("ETag", "etag", "e_tag", "md5Hash", "mtime", "last_modified", "LastModified", "Last-Modified", "created")
IN_PLACE = ("simplecache", "filecache", "blockcache")  # parts of a chained URL without a path of their own


@dataclass(frozen=True)
class Remote:
    """The place of a file, not yet opened."""

    url: str
    fs: Any
    path: str

    def __str__(self) -> str:
        return self.url


@dataclass(frozen=True)
class RemoteFile:
    """A file behind a URL, in the state in which it was opened.

    A packed file, or one whose server gives no ranges, is copied once in each process.
    """

    place: Remote
    packing: str
    whole: bool  # read from a local copy
    size: int | None
    stamp: str
    end: int = 0  # for a packed file: how many unpacked bytes are needed

    @property
    def name(self) -> str:
        return shown(self.place)

    @property
    def far(self) -> bool:
        return not self.whole

    @property
    def length(self) -> int:
        """Bytes of the file itself, packed or not."""
        return self.copy().stat().st_size if self.whole else self.size or 0

    def fill(self, view: memoryview, start: int) -> None:
        if not self.whole:
            self._check()
            view[:] = self._bytes(start, len(view))
            return
        path = unpack.scratch(self, self._unpack) if self.packing else self.copy()
        with naming(self.name), open(path, "rb", buffering=0) as file:
            read_into(view, file, start, self.name)

    def _bytes(self, start: int, count: int) -> bytes:
        data = _call(self.place, "cat_file", start=start, end=start + count)
        if len(data) == self.size != count:  # a server may ignore the range and give all
            data = data[start : start + count]
        if len(data) != count:
            raise OSError(f"{self.name} gave {len(data)} bytes instead of {count} from byte {start}")
        return bytes(data)

    def copy(self) -> Path:
        """The path of a local copy of the file, packed or not; made if there is none yet."""
        return unpack.scratch((str(self.place), self.size, self.stamp), self._download)

    def _download(self, target: Path) -> None:
        self._check()
        _call(self.place, "get_file", lpath=str(target))
        if self.size is not None and target.stat().st_size != self.size:
            raise OSError(f"{self.name} gave {target.stat().st_size} bytes instead of {self.size}")

    def _unpack(self, target: Path) -> None:
        unpack.unpack(self.copy(), self.packing, target, self.name, self.end)

    def _check(self) -> None:
        if _size_and_stamp(_call(self.place, "info")) != (self.size, self.stamp):
            raise OSError(f"{self.name} has changed since it was opened: open the stack again")


def open_remote(place: Remote) -> tuple[RemoteFile, IO[bytes]]:
    """A file, and a stream of its unpacked bytes, from which headers are read."""
    info = _call(place, "info")
    if info.get("type") == "directory":
        raise IsADirectoryError(f"{shown(place)} is a folder where a FITS file is meant")
    size, stamp = _size_and_stamp(info)
    if size == 0:
        raise OSError(f"{shown(place)} is empty, not a FITS file")
    first = b""
    if size is not None and info.get("partial") is not False:
        first = _call(place, "cat_file", start=0, end=min(HEAD, size))
    whole = not 0 < len(first) <= HEAD
    if not first:
        plain = RemoteFile(place, "", True, size, stamp).copy()
        with open(plain, "rb") as file:
            first = file.read(HEAD)
    packing = unpack.packing_of(first)
    source = RemoteFile(place, packing, whole or bool(packing), size, stamp)
    if source.whole:
        return source, OPENERS[packing](source.copy(), "rb")
    return source, io.BufferedReader(_Ranges(source, first), HEAD)


def _size_and_stamp(info: dict[str, Any]) -> tuple[int | None, str]:
    size = info.get("size")
    return None if size is None else int(size), "; ".join(f"{key} {info[key]}" for key in STAMPS if info.get(key))


def _call(place: Remote, method: str, **arguments: Any) -> Any:
    """The result of a method of the file system; any exception becomes an OSError that names the file."""
    try:
        return getattr(place.fs, method)(place.path, **arguments)
    except FileNotFoundError as error:
        why = f": {error.__cause__}" if error.__cause__ else ""
        raise FileNotFoundError(shown(f"{place} is not there, or its server does not answer{why}")) from error
    except Exception as error:  # each file system has its own exceptions
        raise OSError(shown(f"{place} cannot be read: {error or type(error).__name__}")) from error


class _Ranges(io.RawIOBase):
    """A stream of a remote file by ranged reads; the bytes of the first read are kept."""

    def __init__(self, source: RemoteFile, first: bytes) -> None:
        super().__init__()
        self.source, self.first, self.position = source, first, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self.position = {os.SEEK_SET: 0, os.SEEK_CUR: self.position, os.SEEK_END: self.source.length}[whence] + offset
        return self.position

    def tell(self) -> int:
        return self.position

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        data = self.first[self.position : self.position + len(view)]
        count = len(data) or max(0, min(len(view), self.source.length - self.position))
        if data:
            view[:count] = data
        elif count:
            self.source.fill(view[:count], self.position)
        self.position += count
        return count


def is_url(text: str) -> bool:
    """Whether a text is a URL, or a chain of URLs as fsspec writes them."""
    return "://" in text


def places(url: str, is_fits_name: Callable[[str], bool]) -> Iterator[Remote | str]:
    """The files of a URL: one, those that match a glob, or those in a folder. Local files are given as paths."""
    fs, path = _file_system(url)
    http = "http" in fs.protocol
    if type(fs).__name__ == "LocalFileSystem":
        yield path
    elif any(c in path for c in ("*" if http else "*?[")):
        yield from _listed(url, fs, fs.glob(path), f"no file matches {url!r}")
    elif url.endswith("/") if http else _call(Remote(url, fs, path), "isdir"):
        found = [name for name in _call(Remote(url, fs, path), "ls", detail=False) if is_fits_name(name)]
        yield from _listed(url, fs, found, f"the folder {shown(url)} holds no FITS file")
    else:
        yield Remote(url, fs, path)


def _listed(url: str, fs: Any, found: list[str], nothing: str) -> Iterator[Remote]:
    if not found:
        raise FileNotFoundError(nothing)
    first, *rest = url.split("::")
    for path in found:
        name = path if "://" in path else fs.unstrip_protocol(path)
        yield Remote(f"{first}::{name}" if first in IN_PLACE else "::".join([name, *rest]), fs, path)


def _file_system(url: str) -> tuple[Any, str]:
    """The file system of a URL, and the path in it; raises if a package for it is missing."""
    try:
        from fsspec.core import url_to_fs

        fs, path = url_to_fs(url)
    except ImportError as error:
        raise ImportError(
            f"{shown(url)}: {' '.join(str(error).split())} (pip install 'xccd[remote]' or conda install fsspec aiohttp "
            "brings what http needs)"
        ) from error
    except (ValueError, OSError) as error:
        raise OSError(shown(f"{url} cannot be opened: {error}")) from error
    return fs, path
