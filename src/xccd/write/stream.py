"""Writes the pixels of images: each block to its place in the file, as soon as it is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np

from xccd.compute import arrays
from xccd.compute import progress as bars
from xccd.compute.deferred import Deferred, store_deferred
from xccd.headers.cards import BLOCK
from xccd.write.encode import Encoder
from xccd.write.place import UnfinishedFile

GROUP_BYTES = 256 << 20  # bytes computed at a time if a scheduler returns whole results
PIECE_BYTES = 16 << 20  # bytes of an array in memory converted to big-endian at a time
Progress = bool | Callable[[int, int], object] | None


def check_progress(progress: Any) -> None:
    """Raise if ``progress`` is not None, a bool or a function."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress={progress!r} is neither True nor a function of (bytes done, bytes in all)")


class NewHDU(NamedTuple):
    """The bytes of a header with END, an array of pixels, and the encoder for its bytes."""

    head: bytes
    data: Any
    encoder: Encoder

    @property
    def size(self) -> int:
        """Bytes of header and data in the file, with padding."""
        pixels: int = prod(self.data.shape) * self.encoder.stored.itemsize
        return len(self.head) + -(-pixels // BLOCK) * BLOCK


def write_hdus(
    file: UnfinishedFile, hdus: Sequence[NewHDU], progress: Progress, beside: Sequence[tuple[Any, Any]] = ()
) -> None:  # fmt: skip
    """Write HDUs at the file's position: headers and padding, then all pixels; lazy images are computed together.

    ``beside`` are other dask arrays that are computed with them, and the arrays in memory that take them.
    """
    meter = Meter()
    places = []
    for hdu in hdus:
        file.write(hdu.head)
        places.append(_PlaceInFile(file, hdu.data.shape, hdu.encoder, meter))
        file.seek(places[-1].end)
        file.write(b"\0" * (-places[-1].size % BLOCK))  # now: blocks of pixels come in any order
    end = file.tell()
    pairs = [(hdu.data, place) for hdu, place in zip(hdus, places, strict=True)]
    write_arrays([*pairs, *beside], meter, progress, "to_fits")
    file.seek(end)  # what follows is written from here


def write_arrays(pairs: Sequence[tuple[Any, Place]], meter: Meter, progress: Progress, name: str) -> None:
    """Write arrays of any kind to their places, lazy ones together. ``progress`` is told; ``name`` is for its bar."""
    with _progress_shown(progress, meter, name), meter:
        for wanted, write in ((_is_here, _from_memory), (_is_deferred, _by_shape), (arrays.is_dask, _computed)):
            some = [pair for pair in pairs if wanted(pair[0])]
            if some:
                write([data for data, _ in some], [place for _, place in some])


def _is_deferred(data: Any) -> bool:
    return isinstance(data, Deferred)


def _is_here(data: Any) -> bool:
    return not _is_deferred(data) and not arrays.is_dask(data)


def _by_shape(images: list[Any], places: list[Place]) -> None:
    """Write deferred images, those with the same shape of pixels together."""
    for shape in dict.fromkeys(image.pixels for image in images):
        # They are computed in the same bands of rows, so that what they have in common is computed once.
        some = [(image, place) for image, place in zip(images, places, strict=True) if image.pixels == shape]
        store_deferred([image for image, _ in some], [place for _, place in some])


def _computed(images: list[Any], places: list[Place]) -> None:
    """Compute and write dask images by the scheduler that is set."""
    if (client := arrays.cluster(images[0])) is not None:
        _from_cluster(client, images, places)
    elif arrays.shares_memory(images[0]):
        arrays.store_dask(images, places)
    else:
        _in_groups(images, places)


class Place(Protocol):
    """Takes the pixels of an image block by block, from any thread; ``size`` is in bytes."""

    shape: tuple[int, ...]
    size: int

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None: ...


class Meter:
    """Counts written bytes and reports them; lets one thread write at a time, and none after the end."""

    def __init__(self) -> None:
        self.size = self.written = 0
        self.show: Callable[[int, int], object] = lambda done, size: None
        self.lock, self.over = threading.Lock(), False

    @contextmanager
    def writing(self, nbytes: int) -> Iterator[None]:
        """A context for writing ``nbytes`` bytes: one thread at a time; raises if all writing has ended."""
        with self.lock:
            if self.over:
                # in a thread that was still working when another failed
                raise RuntimeError("too late: the writing has ended")
            yield
            self.written += nbytes
            self.show(self.written, self.size)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.over = True


class _PlaceInFile:
    """The place of an image's pixels in the file; blocks are assigned to it from any thread."""

    def __init__(self, file: UnfinishedFile, shape: tuple[int, ...], encoder: Encoder, meter: Meter) -> None:
        self.file, self.start, self.shape, self.encoder, self.meter = file, file.tell(), shape, encoder, meter
        self.size = prod(shape) * encoder.stored.itemsize
        self.end = self.start + self.size
        meter.size += self.size

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None:
        raw = self.encoder(block)
        with self.meter.writing(raw.nbytes):  # all threads share the file's position
            for offset, part in self._runs(index, raw):
                self.file.seek(offset)
                self.file.write(part.data.cast("B"))

    def _runs(self, index: tuple[slice, ...], raw: np.ndarray[Any, Any]) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """The contiguous parts of a block, each with its first byte in the file: rows of a plane, or parts of a row."""
        lead = raw.ndim - 1
        while lead and raw.shape[lead] == self.shape[lead]:
            # axes that the block fills are one run: fewer and longer writes
            lead -= 1
        steps = [prod(self.shape[axis + 1 :]) * self.encoder.stored.itemsize for axis in range(raw.ndim)]
        first = self.start + sum((part.start or 0) * step for part, step in zip(index, steps, strict=True))
        for at in np.ndindex(raw.shape[:lead]):
            yield first + sum(i * step for i, step in zip(at, steps, strict=False)), raw[at]


@contextmanager
def _progress_shown(progress: Progress, meter: Meter, name: str) -> Iterator[None]:
    """Report what is written to ``progress``; True shows a bar, None does if the setting says so."""
    if progress is None or progress is True:
        with bars.bar(name, meter.size, "B", asked=progress) as shown:
            meter.show = lambda done, size: shown.say(name, done)
            yield
        return
    if callable(progress):
        meter.show = progress
    with bars.without():
        yield


def _rows(shape: tuple[int, ...], size: int) -> Iterator[tuple[slice, ...]]:
    """Indices that cut an image into groups of ``size`` rows, with all planes."""
    axis = max(len(shape) - 2, 0)
    for first in range(0, shape[axis], size):
        last = min(first + size, shape[axis])
        yield (*(slice(0, n) for n in shape[:axis]), slice(first, last), *(slice(0, n) for n in shape[axis + 1 :]))


def _group(place: Place, nbytes: int) -> int:
    rows = place.shape[max(len(place.shape) - 2, 0)]
    return max(1, nbytes * rows // max(1, place.size))


def _from_memory(images: list[Any], places: list[Place]) -> None:
    for data, place in zip(images, places, strict=True):
        for index in _rows(data.shape, _group(place, PIECE_BYTES)):
            place[index] = data[index]


def _in_groups(images: list[Any], places: list[Place]) -> None:
    """For a scheduler that returns all results at once: some rows at a time, images of one shape together."""
    from dask.base import compute

    for shape in dict.fromkeys(image.shape for image in images):
        alike = [(image, place) for image, place in zip(images, places, strict=True) if image.shape == shape]
        for index in _rows(shape, min(_group(place, GROUP_BYTES // len(alike)) for _, place in alike)):
            for (_, place), part in zip(alike, compute(*(image[index] for image, _ in alike)), strict=True):
                place[index] = part


def _from_cluster(client: Any, images: list[Any], places: list[Place]) -> None:
    """Write blocks in this process as workers finish them: workers need no access to the file system."""
    from dask.base import optimize
    from distributed import as_completed

    found: dict[Any, tuple[Place, tuple[slice, ...]]] = {}
    blocks = []
    for image, place in zip(optimize(*images), places, strict=True):  # together, so that shared tasks run once
        for block, index in zip(
            image.to_delayed(optimize_graph=False).ravel(), arrays.block_slices(image), strict=True
        ):
            blocks.append(block)
            found[block.key] = place, index
    futures = client.compute(blocks)
    try:
        for future, block in as_completed(futures, loop=client.loop, with_results=True):
            place, index = found[future.key]
            place[index] = block
            future.release()
    finally:
        client.cancel(futures, force=True)  # nothing is left to cancel after a good end
