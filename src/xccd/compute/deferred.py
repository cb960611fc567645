"""Arrays that are made when they are asked for, some rows at a time in the pool of threads; dask is not needed.

A deferred array is a function of the same rows of its inputs. `labels.lazy` wraps it for xarray.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import prod
from threading import Lock
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import notes, options
from xccd.compute.pool import run_all

BAND_BYTES = 8 << 20  # of a band of the widest input in each thread: fits an L3 cache together with its floats
WORTH_IT = 1 << 18  # bytes from which a second thread is used
COPIES = 4  # copies of a band in a thread: as read, clipped, and the two sides of one arithmetic step
SCRATCH = 16 << 20  # a thread's tile as samples and as floats, its bounds, and the rows of a frame
Box = tuple[slice, ...]
Known = dict[int, Any]


class Need(NamedTuple):
    """What a band needs of an input: a box of its pixels, all frames if ``frames`` is None."""

    array: Any
    box: Box
    fresh: bool = False  # computed for this need alone, not once for the band
    frames: slice | None = None
    once: bool = False  # computed for all bands together


class Deferred:
    """``function(*inputs)``, where inputs broadcast against its pixels, which are its last axes.

    An input is another deferred array or NumPy's, with the frames on axis 0; an array of pixels alone has no such axis.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        inputs: Sequence[Any],
        shape: tuple[int, ...],
        dtype: Any,
        *,
        frames: bool = True,
    ) -> None:
        self.function, self.inputs, self.frames = function, tuple(inputs), frames
        self.shape, self.dtype = shape, np.dtype(dtype)
        self.origin = self.text = ""  # as `notes` knows them
        # the work, for a bar: that of its inputs, but for arrays that are made of no other
        self.what: str = next((i.what for i in self.inputs if isinstance(i, Deferred)), "compute")
        self.unit: int = max([1, *(i.unit for i in self.inputs if isinstance(i, Deferred))])  # rows that come together

    @property
    def ndim(self) -> int:
        return len(self.shape)

    @property
    def size(self) -> int:
        return prod(self.shape)

    @property
    def pixels(self) -> tuple[int, ...]:
        """The shape without frames."""
        return self.shape[1:] if self.frames else self.shape

    @property
    def row_bytes(self) -> int:
        """The bytes of a row of pixels, in the widest of this array and its deferred inputs."""
        own = self.dtype.itemsize * prod(self.shape) // max(1, self.pixels[0] if self.pixels else 1)
        return int(max([own, *(i.row_bytes for i in self.inputs if isinstance(i, Deferred))]))

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        """The values in some pixels. ``made`` caches, by `id`, what was computed for these pixels already."""
        if id(self) not in made:
            made[id(self)] = self.function(*(_part_of(value, box, made) for value in self.inputs))
        return made[id(self)]

    def needs(self, box: Box) -> list[Need]:
        """The deferred inputs that `block` computes, and where; without computing anything."""
        return [Need(value, box) for value in self.inputs if isinstance(value, Deferred)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.asarray(self.load(), dtype)

    def select(self, key: tuple[Any, ...]) -> Any:
        """The values at an integer, a slice or a list of integers along each axis, computed in the box around them."""
        pairs = [box_of(k, n) for k, n in zip(key[self.ndim - len(self.pixels) :], self.pixels, strict=True)]
        some, rest = self._picked(key[0]) if self.frames else (self, [])
        (values,) = evaluate([some], tuple(box for box, _ in pairs))
        for axis, part in reversed(list(enumerate([*rest, *(r for _, r in pairs)]))):
            values = values[(slice(None),) * axis + (part,)]
        return self._known(values)

    def of_frames(self, numbers: Any, known: Known) -> Deferred | None:
        """Some frames alone, by a list of numbers; None if they need the others, or if this is not known.

        ``known`` holds, by `id`, what was found for these numbers already, so that common inputs stay common.
        """
        return None

    def inputs_of_frames(self, numbers: Any, known: Known, ndim: int) -> list[Any] | None:
        """The inputs for some frames alone, if a frame needs only the same frame of each; None as in `of_frames`.

        ``ndim``: axes of a NumPy input that has frames.
        """
        if not self.frames:
            return None
        found = [_of_frames(value, self.shape[0], numbers, known, ndim) for value in self.inputs]
        return None if any(value is None for value in found) else found

    def _picked(self, key: Any) -> tuple[Deferred, list[Any]]:
        """The frames that are computed for a selection of frames, and the selection within them."""
        numbers = np.arange(self.shape[0])[key]
        part = self.of_frames(np.atleast_1d(numbers), {}) if 0 < numbers.size < self.shape[0] else None
        return (self, [key]) if part is None else (part, [slice(None) if numbers.ndim else 0])

    def _known(self, values: Any) -> Any:
        """The values, with the notes of this array on them."""
        notes.mark(values, notes.origin_of_samples(self))
        notes.mark_image(values, self.text)
        return values

    def load(self) -> Any:
        """All values."""
        return evaluate([self], tuple(slice(0, n) for n in self.pixels))[0]

    def one_by_one(self) -> Iterator[Any]:
        """Each whole frame."""
        yield from self.load()


def _of_frames(value: Any, count: int, numbers: Any, known: Known, ndim: int) -> Any:
    """Some of ``count`` frames of an input; an image, or what is the same for all frames, as it is."""
    has_frames = value.frames if isinstance(value, Deferred) else value.ndim == ndim
    if not has_frames or value.shape[0] != count:
        return value
    if not isinstance(value, Deferred):
        return value[numbers]
    if id(value) not in known:
        known[id(value)] = value.of_frames(numbers, known)
    return known[id(value)]


class BySample(Deferred):
    """A function of single samples: a frame of it needs that frame of its inputs alone."""

    def of_frames(self, numbers: Any, known: Known) -> BySample | None:
        inputs = self.inputs_of_frames(numbers, known, self.ndim)
        return None if inputs is None else BySample(self.function, inputs, (len(numbers), *self.shape[1:]), self.dtype)


class MultiOutput(Deferred):
    """A function that returns several arrays: ``function(*inputs, wanted)`` returns those in ``wanted``."""

    def __init__(
        self, function: Callable[..., Any], inputs: Sequence[Any], results: Sequence[tuple[tuple[int, ...], Any]]
    ) -> None:  # fmt: skip
        shape, dtype = results[0]
        super().__init__(function, inputs, shape, dtype, frames=len(shape) == inputs[0].ndim)
        self.results = results
        self.kept: dict[int, Any] = {}  # computed together with another output, and not taken yet
        self.lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"kept": {}, "lock": None}  # a lock cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"lock": Lock()})

    @property
    def fields(self) -> list[Deferred]:
        """An array for each output."""
        return [OneOutput(self, i) for i in range(len(self.results))]

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) not in made:
            wanted = sorted(made[WANTED][id(self)])
            values = self.function(*(_part_of(value, box, made) for value in self.inputs), wanted=wanted)
            made[id(self)] = dict(zip(wanted, values, strict=True))
        return made[id(self)]

    def whole(self, number: int) -> Any:
        """All values of one output. The others are computed with it and kept, because they are usually loaded next."""
        with self.lock:
            if number not in self.kept:
                self.kept = dict(enumerate(evaluate(self.fields, tuple(slice(0, n) for n in self.pixels))))
            return self.kept.pop(number)  # not kept for a second time: it would stay in memory


class OneOutput(Deferred):
    """One output of a `MultiOutput`."""

    def __init__(self, several: MultiOutput, number: int) -> None:
        super().__init__(_unchanged, [several], *several.results[number], frames=several.frames)
        self.several, self.number = several, number

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        return self.several.block(box, made)[self.number]

    def select(self, key: tuple[Any, ...]) -> Any:
        if all(isinstance(k, slice) and k.indices(n) == (0, n, 1) for k, n in zip(key, self.shape, strict=True)):
            return self._known(self.several.whole(self.number))
        return super().select(key)


WANTED = "wanted"  # key in ``made``: the wanted outputs of each `MultiOutput`


def _wanted_outputs(arrays: Sequence[Deferred]) -> dict[int, set[int]]:
    """For each `MultiOutput` behind these arrays, by `id`, the numbers of the outputs that they need."""
    found: dict[int, set[int]] = {}
    rest = list(arrays)
    while rest:
        array = rest.pop()
        if isinstance(array, OneOutput):
            found.setdefault(id(array.several), set()).add(array.number)
        rest += [value for value in array.inputs if isinstance(value, Deferred)]
    return found


def box_of(key: Any, size: int) -> tuple[slice, Any]:
    """The smallest slice that holds ``key`` (a number, slice or list of numbers), and the selection within it."""
    picked = np.arange(size)[key]
    if picked.ndim == 0:
        return slice(int(picked), int(picked) + 1), 0
    if picked.size == 0:
        return slice(0, 0), slice(None)
    low, high = int(picked.min()), int(picked.max()) + 1
    rest = slice(None) if np.array_equal(picked, np.arange(low, high)) else picked - low
    return slice(low, high), rest


def _part_of(value: Any, box: Box, made: dict[Any, Any]) -> Any:
    """The values of an input in some pixels."""
    if isinstance(value, Deferred):
        return value.block(box, made)
    lead = value.ndim - len(box)
    parts = (part if n > 1 else slice(None) for part, n in zip(box, value.shape[lead:], strict=True))
    return value[(slice(None),) * lead + tuple(parts)]


def evaluate(arrays: Sequence[Deferred], box: Box) -> list[Any]:
    """The values of arrays with the same pixels, in a box of them."""
    inner = tuple(part.stop - part.start for part in box)
    out = [np.empty((*array.shape[: array.ndim - len(box)], *inner), array.dtype) for array in arrays]
    store_deferred(arrays, out, box)
    return out


def store_deferred(arrays: Sequence[Deferred], targets: Sequence[Any], box: Box | None = None) -> None:
    """Compute arrays with the same pixels, band after band, and assign each band to its place in its target.

    What the arrays have in common is computed once for each band.
    """
    box = tuple(slice(0, n) for n in arrays[0].pixels) if box is None else box
    if any(part.start == part.stop for part in box):
        return
    edges, wanted = _band_edges(arrays, box), _wanted_outputs(arrays)

    def band(i: int) -> None:
        first, last = edges[i], edges[i + 1]
        made: dict[Any, Any] = {WANTED: wanted}  # for this band alone: memory holds one band in each thread
        for array, target in zip(arrays, targets, strict=True):
            rows = (slice(first - box[0].start, last - box[0].start), *(slice(0, p.stop - p.start) for p in box[1:]))
            lead = tuple(slice(0, n) for n in array.shape[: array.ndim - len(box)])
            target[lead + rows] = array.block((slice(first, last), *box[1:]), made)

    run_all(band, len(edges) - 1, options.threads(), arrays[0].what, "bands")


def _band_edges(arrays: Sequence[Deferred], box: Box) -> list[int]:
    """The first rows of the bands, and the end. Bands are nearly equal, fit a cache, and each thread has two or more.

    These are not the chunks of `bands.plan`: they are never seen, and are planned again for each box that is loaded.
    """
    rows, threads, limit = box[0].stop - box[0].start, options.threads(), options.memory()
    row = max(array.row_bytes for array in arrays)
    most = BAND_BYTES if limit is None else max(1, min(BAND_BYTES, (limit // threads - SCRATCH) // COPIES))
    some = 2 * threads if threads > 1 and rows * row > WORTH_IT else 1
    count = min(rows, max(some, -(-rows * row // most)))
    found: list[int] = np.linspace(box[0].start, box[0].stop, count + 1).astype(int).tolist()
    unit = max(array.unit for array in arrays)
    if unit > 1 and rows > unit:
        # An edge within a row of compressed tiles would unpack these tiles twice.
        found[1:-1] = [min(-(-edge // unit) * unit, box[0].stop) for edge in found[1:-1]]
    return sorted(set(found))


def view(array: Deferred, key: tuple[Any, ...]) -> Deferred | None:
    """A selection of a deferred array as a deferred array; None if its rows or columns are not contiguous.

    Frames may be any list. None is also returned for an empty selection or a single frame.
    """
    lead = array.ndim - len(array.pixels)
    if not all(isinstance(part, slice) for part in key[lead:]):
        return None
    box = [part.indices(n) for part, n in zip(key[lead:], array.pixels, strict=True)]
    if any(step != 1 or last <= first for first, last, step in box):
        return None
    parts = tuple(slice(first, last) for first, last, _ in box)
    numbers = np.arange(array.shape[0])[key[0]] if lead else None
    if numbers is not None and (numbers.ndim == 0 or numbers.size == 0):
        return None
    pixels = tuple(part.stop - part.start for part in parts)
    if pixels == array.pixels and (numbers is None or np.array_equal(numbers, np.arange(array.shape[0]))):
        return array
    shape = pixels if numbers is None else (numbers.size, *pixels)
    some = None if numbers is None or numbers.size >= array.shape[0] else array.of_frames(numbers, {})
    part = _View(array, parts, numbers, shape) if some is None else _View(some, parts, None, shape)
    notes.mark(part, notes.origin_of_samples(array))
    return part


class _View(Deferred):
    """Some frames of another deferred array, in a box of its pixels."""

    def __init__(self, base: Deferred, box: Box, numbers: Any, shape: tuple[int, ...]) -> None:
        super().__init__(_unchanged, [base], shape, base.dtype, frames=base.frames)
        self.box, self.numbers = box, numbers

    def of_frames(self, numbers: Any, known: Known) -> _View | None:
        if not self.frames:
            return None
        if self.numbers is None:
            (some,) = self.inputs_of_frames(numbers, known, self.ndim) or [None]
        else:  # other numbers of the base
            some = self.inputs[0].of_frames(self.numbers[numbers], {})
        return None if some is None else _View(some, self.box, None, (len(numbers), *self.shape[1:]))

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) in made:
            return made[id(self)]
        moved = tuple(slice(b.start + p.start, b.start + p.stop) for b, p in zip(self.box, box, strict=True))
        (base,) = self.inputs
        values = base.block(moved, {WANTED: made[WANTED]})  # a cache of its own: this is another box
        made[id(self)] = values if self.numbers is None else values[self.numbers]
        return made[id(self)]

    def needs(self, box: Box) -> list[Need]:
        moved = tuple(slice(b.start + p.start, b.start + p.stop) for b, p in zip(self.box, box, strict=True))
        return [Need(self.inputs[0], moved, fresh=True)]


def _unchanged(values: Any) -> Any:
    return values
