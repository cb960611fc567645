"""Raw colour frames (frame, y, x) to colours (frame, 3, y, x): NumPy, dask and deferred arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import arrays, memory, notes, options
from xccd.compute.deferred import WANTED, Box, Deferred, Known, Need
from xccd.compute.mosaic import ROWS, Mosaic
from xccd.compute.pool import run_all
from xccd.kernels.limits import float_dtype

Array = Any
Function = Callable[..., Any]


class Part(NamedTuple):
    """The pixels of the result that are asked for, ``first`` to ``stop`` along an axis of ``size`` samples."""

    first: int
    stop: int
    size: int

    def reached(self, how: Mosaic) -> slice:
        """The samples that they need, without those beyond the edge of the frame."""
        return slice(max(0, self.first * how.step - how.reach), min(self.size, self.stop * how.step + how.reach))


def coloured(function: Function, how: Mosaic, inputs: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """``function(*tiles, how)`` for all tiles of ``inputs``, arrays of raw frames (frame, y, x). Lazy if one is.

    ``function`` is one of `mosaic`: it is given a tile of a frame of each input, and gives colours.
    """
    x = inputs[0]
    shape = (x.shape[0], 3, *(n // how.step for n in x.shape[1:]))
    work = partial(_frames, function=function, how=how, dtype=dtype)
    if any(map(arrays.is_dask, inputs)):
        return _on_dask(work, how, list(map(arrays.as_dask_input, inputs)), shape, dtype)
    if any(map(arrays.is_deferred, inputs)):
        return _Coloured(work, how, list(map(notes.kept, inputs)), shape, dtype)
    parts = [Part(0, n, size) for n, size in zip(shape[2:], x.shape[1:], strict=True)]
    return work(*inputs, parts=parts)


def _frames(
    *inputs: Array, parts: Sequence[Part], function: Function, how: Mosaic, dtype: np.dtype[Any], alone: bool = False
) -> Array:  # fmt: skip
    """All frames of blocks that hold what ``parts`` reach, tile after tile; ``alone``: in this thread only."""
    rows, columns = parts
    count, top, left = inputs[0].shape[0], rows.reached(how).start, columns.reached(how).start
    dtypes = [float_dtype(inputs[0].dtype), *(one.dtype for one in inputs[1:])]
    out = memory.empty((count, 3, rows.stop - rows.first, columns.stop - columns.first), dtype)
    starts = range(rows.first, rows.stop, ROWS)

    def tile(number: int) -> None:
        frame, k = divmod(number, len(starts))
        own = rows._replace(first=starts[k], stop=min(starts[k] + ROWS, rows.stop))
        here = how.at(own.first * how.step, columns.first * how.step)
        box = [
            (part.first * how.step - start, part.stop * how.step - start)
            for part, start in ((own, top), (columns, left))
        ]
        tiles = [_around(one[frame], box, how.reach, kind) for one, kind in zip(inputs, dtypes, strict=True)]
        out[frame, :, own.first - rows.first : own.stop - rows.first] = function(*tiles, how=here)

    run_all(tile, count * len(starts), 1 if alone else options.threads(), "" if alone else "debayer")
    return out


def _around(frame: Array, box: list[tuple[int, int]], reach: int, dtype: np.dtype[Any]) -> Array:
    """The samples in a box (first, stop) of both axes and ``reach`` around it; NaN, or 0, beyond the frame."""
    wanted = [(first - reach, stop + reach) for first, stop in box]
    given = [(max(first, 0), min(stop, n)) for (first, stop), n in zip(wanted, frame.shape, strict=True)]
    inner = frame[tuple(slice(*some) for some in given)]
    if given == wanted:
        return np.ascontiguousarray(inner, dtype)  # kernels are compiled for such arrays, and faster on them
    tile = np.full([stop - first for first, stop in wanted], np.nan if dtype.kind == "f" else 0, dtype)
    tile[tuple(slice(g[0] - w[0], g[1] - w[0]) for g, w in zip(given, wanted, strict=True))] = inner
    return tile


class _Coloured(Deferred):
    """Colours of deferred frames."""

    def __init__(self, work: Function, how: Mosaic, inputs: list[Array], shape: tuple[int, ...], dtype: Any) -> None:
        super().__init__(work, inputs, shape, dtype)
        self.how, self.sizes = how, inputs[0].shape[1:]

    def of_frames(self, numbers: Any, known: Known) -> _Coloured | None:
        inputs = self.inputs_of_frames(numbers, known, 3)
        if inputs is None:
            return None
        return _Coloured(self.function, self.how, inputs, (len(numbers), *self.shape[1:]), self.dtype)

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) not in made:
            channels, *pixels = box
            parts = [Part(b.start, b.stop, n) for b, n in zip(pixels, self.sizes, strict=True)]
            reached = self._reached(box)
            # a cache of their own: this is another box
            own: dict[Any, Any] = {WANTED: made[WANTED]}
            inputs = (x.block(reached, own) if arrays.is_deferred(x) else x[:, *reached] for x in self.inputs)
            made[id(self)] = self.function(*inputs, parts=parts)[:, channels]
        return made[id(self)]

    def _reached(self, box: Box) -> Box:
        pairs = zip(box[1:], self.sizes, strict=True)
        return tuple(Part(b.start, b.stop, n).reached(self.how) for b, n in pairs)

    def needs(self, box: Box) -> list[Need]:
        return [Need(x, self._reached(box), fresh=True) for x in self.inputs if arrays.is_deferred(x)]


def _on_dask(work: Function, how: Mosaic, inputs: list[Array], shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    import dask.array as da

    first = next(one for one in inputs if arrays.is_dask(one))
    chunks = (first.chunks[0], *(_long_enough(c, how) for c in first.chunks[1:]))
    depth = {axis: how.reach if axis and len(c) > 1 else 0 for axis, c in enumerate(chunks)}
    given = [one.rechunk(chunks) if arrays.is_dask(one) else da.from_array(one, chunks) for one in inputs]
    wider = [da.overlap.overlap(one, depth, "none") if any(depth.values()) else one for one in given]
    sizes = [tuple(n // how.step for n in c) for c in chunks[1:]]
    edges = [np.cumsum([0, *c]).tolist() for c in sizes]
    run = partial(_dask_block, work=work, edges=edges, sizes=inputs[0].shape[1:])
    meta = np.empty((0,) * 4, dtype)
    return da.map_blocks(run, *wider, chunks=(chunks[0], (3,), *sizes), new_axis=1, dtype=dtype, meta=meta)


def _dask_block(*inputs: Array, work: Function, edges: Any, sizes: Any, block_id: Any = None) -> Array:
    *_, row, column = block_id
    parts = [Part(e[k], e[k + 1], n) for e, k, n in zip(edges, (row, column), sizes, strict=True)]
    return work(*inputs, parts=parts, alone=True)


def _long_enough(chunks: tuple[int, ...], how: Mosaic) -> tuple[int, ...]:
    """Chunks that hold what their neighbours reach, and whole pixels of the result; an odd last sample stays over."""
    edges = np.cumsum((0, *chunks))
    size, found = int(edges[-1]), [0]
    for edge in (edges[1:-1] // how.step * how.step).tolist():
        if edge - found[-1] >= max(how.reach, how.step) and size - edge >= max(how.reach, how.step):
            found.append(edge)
    return tuple(np.diff([*found, size]).tolist())


def mean_of_channels(x: Array) -> Array:
    """The mean (frame, y, x) of colours (frame, channel, y, x), NaN where one of them is. Lazy if they are."""
    return _Mean(x) if arrays.is_deferred(x) else x.mean(axis=1)


class _Mean(Deferred):
    """The mean of the channels of deferred colours."""

    def __init__(self, x: Deferred) -> None:
        super().__init__(partial(np.mean, axis=1), [x], (x.shape[0], *x.shape[2:]), x.dtype)
        self.channels = slice(0, x.shape[1])

    def of_frames(self, numbers: Any, known: Known) -> _Mean | None:
        (x,) = self.inputs_of_frames(numbers, known, 4) or [None]
        return None if x is None else _Mean(x)

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) not in made:
            (x,) = self.inputs
            made[id(self)] = self.function(x.block((self.channels, *box), {WANTED: made[WANTED]}))
        return made[id(self)]

    def needs(self, box: Box) -> list[Need]:
        return [Need(self.inputs[0], (self.channels, *box), fresh=True)]
