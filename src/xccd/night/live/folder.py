"""A folder in which files appear: each is handed on once it is whole."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from xccd.read.files.unpack import BROKEN, PIECE
from xccd.read.images.hdus import Walk
from xccd.read.images.sources import is_fits_name, natural

OLD = 2.0  # seconds since the last change, after which a file is taken as it is
SELDOM = 10.0  # seconds between two looks where events tell of changes: folders of other machines send none


def lacking(path: Path) -> str:
    """What a file lacks to be whole, by the bytes that its headers declare; "" if nothing."""
    try:
        with Walk(path) as walk:
            images = sum(hdu.is_image for hdu in walk)
            if walk.packing:  # its length is known at its end only
                while walk.file.read(PIECE):
                    pass
            elif walk.reach > walk.size:
                return f"its headers declare {walk.reach} bytes, it has {walk.size}"
    except (*BROKEN, ValueError) as error:
        return str(error)
    return "" if images else "it has no image"


@dataclass
class Waiting:
    """A file that is not whole yet: since when, its size and time, and whether it was named."""

    since: float
    stamp: tuple[int, int]
    why: str = "it is still written to"
    named: bool = False


@dataclass
class Arrivals:
    """The FITS files of a folder in their natural order, each once.

    A file that is not whole is waited for ``patience`` seconds; those after it wait, too. Then ``tell(path, why)`` is
    called, and the others go on without it.
    """

    folder: Path
    patience: float
    skip: Callable[[Path], bool]
    tell: Callable[[Path, str], None]
    clock: Callable[[], float] = time.monotonic
    done: set[Path] = field(default_factory=set)
    waiting: dict[Path, Waiting] = field(default_factory=dict)

    def ready(self) -> Iterator[Path]:
        """The files that are whole now."""
        still = {path: self._is_still(path) for path in sorted(self._new(), key=natural)}
        for path, unchanged in still.items():
            if self._is_whole(path, unchanged):
                self.done.add(path)
                del self.waiting[path]
                yield path
            elif path in self.waiting and not self.waiting[path].named:
                return

    @property
    def pending(self) -> bool:
        """Whether a file is waited for that was not named yet."""
        return any(not one.named for one in self.waiting.values())

    def _new(self) -> list[Path]:
        with os.scandir(self.folder) as entries:
            names = [entry.name for entry in entries if is_fits_name(entry.name)]
        found = [path for path in (self.folder / name for name in names) if path not in self.done]
        for path in self.waiting.keys() - set(found):
            del self.waiting[path]  # it is gone
        return [path for path in found if not self.skip(path) and not path.is_dir()]

    def _is_still(self, path: Path) -> bool:
        """Whether a file has not changed since it was last looked at, or for a while."""
        try:
            status = path.stat()
        except OSError:  # it is gone
            self.waiting.pop(path, None)
            return False
        now, stamp = self.clock(), (status.st_size, status.st_mtime_ns)
        known = self.waiting.setdefault(path, Waiting(now, (-1, 0)))
        is_still = known.stamp == stamp
        if not is_still:  # it grows: the patience begins again
            known.stamp, known.since, known.named = stamp, now, False
        return is_still or time.time() - status.st_mtime > OLD

    def _is_whole(self, path: Path, unchanged: bool) -> bool:
        known = self.waiting.get(path)
        if known is None:
            return False
        if unchanged and not (why := lacking(path)):
            return True
        known.why = why if unchanged else known.why
        if self.clock() - known.since >= self.patience and not known.named:
            known.named = True
            self.tell(path, known.why)
        return False


@contextmanager
def events(folder: Path, poll: bool) -> Iterator[threading.Event | None]:
    """An event that is set whenever something changes in the folder; None without watchdog, or with ``poll``."""
    observer = None if poll else _observer()
    if observer is None:
        yield None
        return
    changed = threading.Event()
    observer.schedule(_Handler(changed), str(folder))
    try:
        observer.start()
    except OSError:  # the system has no watches left
        yield None
        return
    try:
        yield changed
    finally:
        observer.stop()
        with suppress(RuntimeError):
            observer.join(1.0)


@dataclass(frozen=True)
class _Handler:
    """What watchdog calls, in a thread of its own."""

    changed: threading.Event

    def dispatch(self, event: Any) -> None:
        if event.event_type not in ("opened", "closed_no_write"):  # reading a file is no change
            self.changed.set()


def _observer() -> Any:
    try:
        from watchdog.observers import Observer
    except ImportError:
        return None
    return Observer()


def rest(changed: threading.Event | None, pending: bool, interval: float) -> None:
    """Wait until it is time to look again."""
    if changed is None or pending:  # what is written to now is looked at soon, whatever the events say
        time.sleep(interval)
    else:
        changed.wait(max(interval, SELDOM))
    if changed is not None:
        changed.clear()
