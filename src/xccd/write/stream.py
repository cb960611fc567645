"""The pixels of images into their file: every block to its place, as soon as it is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from typing import Any, NamedTuple, Protocol

import numpy as np

from xccd.compute import arrays
from xccd.compute.deferred import Deferred, store
from xccd.write.encode import Encoder
from xccd.write.place import Output

BLOCK = 2880
GROUP_BYTES = 256 << 20  # what is computed at a time where it comes back whole, as written
PIECE_BYTES = 16 << 20  # of an array in memory: what is converted to big-endian at a time
Progress = bool | Callable[[int, int], object] | None


def check_progress(progress: Any) -> None:
    """Raise for what is no way to show progress."""
    if not (progress is None or isinstance(progress, bool) or callable(progress)):
        raise TypeError(f"progress={progress!r} is neither True nor a function of (bytes done, bytes in all)")


class HDU(NamedTuple):
    """A header with its END, and pixels with what makes bytes of them."""

    head: bytes
    data: Any
    encoder: Encoder

    @property
    def size(self) -> int:
        """Bytes in the file."""
        pixels: int = prod(self.data.shape) * self.encoder.stored.itemsize
        return len(self.head) + -(-pixels // BLOCK) * BLOCK


def write_hdus(file: Output, hdus: Sequence[HDU], progress: Progress) -> None:
    """HDUs from the file's position on, headers first, data padded with zeros; lazy ones are computed together."""
    meter = Meter()
    places = []
    for hdu in hdus:
        file.write(hdu.head)
        places.append(_Place(file, hdu.data.shape, hdu.encoder, meter))
        file.seek(places[-1].end)
        file.write(b"\0" * (-places[-1].size % BLOCK))
    end = file.tell()
    fill([(hdu.data, place) for hdu, place in zip(hdus, places, strict=True)], meter, progress, "to_fits")
    file.seek(end)


def fill(pairs: Sequence[tuple[Any, Place]], meter: Meter, progress: Progress, name: str) -> None:
    """Arrays of any kind, each into its place, lazy ones together; told to ``progress``, whose bar has a name."""
    with _shown(progress, meter, name), meter:
        for wanted, write in ((_is_here, _from_memory), (_is_deferred, _by_shape), (arrays.is_dask, _computed)):
            some = [pair for pair in pairs if wanted(pair[0])]
            if some:
                write([data for data, _ in some], [place for _, place in some])


def _is_deferred(data: Any) -> bool:
    return isinstance(data, Deferred)


def _is_here(data: Any) -> bool:
    return not _is_deferred(data) and not arrays.is_dask(data)


def _by_shape(images: list[Any], places: list[Place]) -> None:
    """Deferred images, those of one shape of pixels together."""
    for shape in dict.fromkeys(image.pixels for image in images):
        some = [(image, place) for image, place in zip(images, places, strict=True) if image.pixels == shape]
        store([image for image, _ in some], [place for _, place in some])


def _computed(images: list[Any], places: list[Place]) -> None:
    """Lazy images, each to its place, by the scheduler that is set."""
    if (client := arrays.cluster(images[0])) is not None:
        _from_cluster(client, images, places)
    elif arrays.shares_memory(images[0]):
        arrays.store(images, places)
    else:
        _in_groups(images, places)


class Place(Protocol):
    """What takes the pixels of an image, block by block, from any thread; its size is in bytes."""

    shape: tuple[int, ...]
    size: int

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None: ...


class Meter:
    """How much is written, and who is told; one thread writes at a time, and none when all is over."""

    def __init__(self) -> None:
        self.size = self.written = 0
        self.show: Callable[[int, int], object] = lambda done, size: None
        self.lock, self.over = threading.Lock(), False

    @contextmanager
    def writing(self, nbytes: int) -> Iterator[None]:
        """Around the writing of so many bytes."""
        with self.lock:
            if self.over:
                raise RuntimeError("too late: the writing has ended")  # in a thread at work when another failed
            yield
            self.written += nbytes
            self.show(self.written, self.size)

    def __enter__(self) -> Meter:
        return self

    def __exit__(self, *_: object) -> None:
        with self.lock:
            self.over = True


class _Place:
    """Where the pixels of an image go: assigned to block by block, from any thread."""

    def __init__(self, file: Output, shape: tuple[int, ...], encoder: Encoder, meter: Meter) -> None:
        self.file, self.start, self.shape, self.encoder, self.meter = file, file.tell(), shape, encoder, meter
        self.size = prod(shape) * encoder.stored.itemsize
        self.end = self.start + self.size
        meter.size += self.size

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None:
        raw = self.encoder(block)
        with self.meter.writing(raw.nbytes):  # one position in the file for all threads
            for offset, part in self._runs(index, raw):
                self.file.seek(offset)
                self.file.write(part.data.cast("B"))

    def _runs(self, index: tuple[slice, ...], raw: np.ndarray[Any, Any]) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """What lies together in the file, and from which byte on: whole rows of a plane, or parts of a row."""
        lead = raw.ndim - 1
        while lead and raw.shape[lead] == self.shape[lead]:
            lead -= 1
        steps = [prod(self.shape[axis + 1 :]) * self.encoder.stored.itemsize for axis in range(raw.ndim)]
        first = self.start + sum((part.start or 0) * step for part, step in zip(index, steps, strict=True))
        for at in np.ndindex(raw.shape[:lead]):
            yield first + sum(i * step for i, step in zip(at, steps, strict=False)), raw[at]


@contextmanager
def _shown(progress: Progress, meter: Meter, name: str) -> Iterator[None]:
    """What is written told to ``progress``; True is a bar."""
    if progress is not True:
        if callable(progress):
            meter.show = progress
        yield
        return
    from tqdm.auto import tqdm

    with tqdm(total=meter.size, unit="B", unit_scale=True, desc=name) as bar:
        meter.show = lambda done, size: bar.update(done - bar.n)
        yield


def _rows(shape: tuple[int, ...], size: int) -> Iterator[tuple[slice, ...]]:
    """The image in groups of rows, each of all planes, of some ``size`` bytes."""
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
    """By a scheduler that brings results back all at once: some rows at a time, of images of one shape together."""
    from dask.base import compute

    for shape in dict.fromkeys(image.shape for image in images):
        alike = [(image, place) for image, place in zip(images, places, strict=True) if image.shape == shape]
        for index in _rows(shape, min(_group(place, GROUP_BYTES // len(alike)) for _, place in alike)):
            for (_, place), part in zip(alike, compute(*(image[index] for image, _ in alike)), strict=True):
                place[index] = part


def _from_cluster(client: Any, images: list[Any], places: list[Place]) -> None:
    """Blocks as the workers finish them, written here: they need not see this file system."""
    from dask.base import optimize
    from distributed import as_completed

    found: dict[Any, tuple[Place, tuple[slice, ...]]] = {}
    blocks = []
    for image, place in zip(optimize(*images), places, strict=True):  # together: what they share is computed once
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
        client.cancel(futures, force=True)  # of a run that ended well nothing is left to cancel
