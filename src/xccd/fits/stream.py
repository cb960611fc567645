"""The pixels of an image into its file: every block to its place, as soon as it is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from typing import IO, Any

import numpy as np

from xccd import _stack

BLOCK = 2880
GROUP_BYTES = 256 << 20  # what is computed at a time where it comes back whole, as written
PIECE_BYTES = 16 << 20  # of an array in memory: what is converted to big-endian at a time
Progress = bool | Callable[[int, int], object] | None


def check_progress(progress: Any) -> None:
    """Raise for what is no way to show progress."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress={progress!r} is neither True nor a function of (bytes done, bytes in all)")


def write_pixels(file: IO[bytes], data: Any, stored: np.dtype[Any], progress: Progress) -> None:
    """``data`` at the file's position as ``stored``, then zeros up to a whole block."""
    place = _Place(file, data.shape, stored)
    with _shown(progress, place):
        if not _stack.is_lazy(data):
            _from_memory(data, place)
        elif (client := _stack.cluster(data)) is not None:
            _from_cluster(client, data, place)
        elif _stack.shares_memory(data):
            _stack.store(data, place)
        else:
            _in_groups(data, place)
    file.seek(place.start + place.size)
    file.write(b"\0" * (-place.size % BLOCK))


class _Place:
    """Where the pixels go: assigned to block by block, from any thread."""

    def __init__(self, file: IO[bytes], shape: tuple[int, ...], stored: np.dtype[Any]) -> None:
        self.file, self.start, self.shape, self.stored = file, file.tell(), shape, stored
        self.size = prod(shape) * stored.itemsize
        self.written = 0
        self.show: Callable[[int, int], object] = lambda done, size: None
        self.lock = threading.Lock()

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None:
        raw = np.asarray(block).astype(self.stored, order="C", copy=False)  # the caller's array is only read
        with self.lock:  # one position in the file for all threads; a file that an error has closed refuses
            for offset, part in self._runs(index, raw):
                self.file.seek(offset)
                self.file.write(part.data.cast("B"))
            self.written += raw.nbytes
            self.show(self.written, self.size)

    def _runs(self, index: tuple[slice, ...], raw: np.ndarray[Any, Any]) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """What lies together in the file, and from which byte on: whole rows of a plane, or parts of a row."""
        lead = raw.ndim - 1
        while lead and raw.shape[lead] == self.shape[lead]:
            lead -= 1
        steps = [prod(self.shape[axis + 1 :]) * self.stored.itemsize for axis in range(raw.ndim)]
        first = self.start + sum((part.start or 0) * step for part, step in zip(index, steps, strict=True))
        for at in np.ndindex(raw.shape[:lead]):
            yield first + sum(i * step for i, step in zip(at, steps, strict=False)), raw[at]


@contextmanager
def _shown(progress: Progress, place: _Place) -> Iterator[None]:
    """What is written told to ``progress``; True is a bar."""
    if progress is not True:
        if callable(progress):
            place.show = progress
        yield
        return
    from tqdm.auto import tqdm

    with tqdm(total=place.size, unit="B", unit_scale=True, desc="to_fits") as bar:
        place.show = lambda done, size: bar.update(done - bar.n)
        yield


def _rows(shape: tuple[int, ...], size: int) -> Iterator[tuple[slice, ...]]:
    """The image in groups of rows, each of all planes, of some ``size`` bytes."""
    axis = max(len(shape) - 2, 0)
    for first in range(0, shape[axis], size):
        last = min(first + size, shape[axis])
        yield (*(slice(0, n) for n in shape[:axis]), slice(first, last), *(slice(0, n) for n in shape[axis + 1 :]))


def _group(place: _Place, nbytes: int) -> int:
    rows = place.shape[max(len(place.shape) - 2, 0)]
    return max(1, nbytes * rows // max(1, place.size))


def _from_memory(data: Any, place: _Place) -> None:
    for index in _rows(data.shape, _group(place, PIECE_BYTES)):
        place[index] = data[index]


def _in_groups(data: Any, place: _Place) -> None:
    """By a scheduler that brings results back all at once: some rows at a time."""
    for index in _rows(data.shape, _group(place, GROUP_BYTES)):
        place[index] = data[index].compute()


def _from_cluster(client: Any, data: Any, place: _Place) -> None:
    """Blocks as the workers finish them, written here: they need not see this file system."""
    from distributed import as_completed

    futures = client.compute(data.to_delayed().ravel().tolist())
    indices = {future.key: index for future, index in zip(futures, _stack.places(data), strict=True)}
    try:
        for future, block in as_completed(futures, loop=client.loop, with_results=True):
            place[indices[future.key]] = block
            future.release()
    finally:
        client.cancel(futures, force=True)  # of a run that ended well nothing is left to cancel
