"""Functions of pixels and their neighbours: NumPy, dask and deferred arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from threading import Lock
from typing import Any

import numpy as np

from xccd.compute import notes
from xccd.compute.arrays import Array, as_dask_input, is_dask, is_deferred, map_elementwise
from xccd.compute.deferred import WANTED, Box, Deferred, Need, evaluate


def map_with_neighbours(
    function: Callable[..., Any], x: Array, *, axes: Sequence[int], reach: int, dtype: np.dtype[Any]
) -> Array:  # fmt: skip
    """``function(x)`` of the same shape, where a result needs values up to ``reach`` away along ``axes``, pixel axes.

    ``x`` is a stack or an image. Lazy if ``x`` is.
    """
    if is_dask(x):
        import dask.array as da

        depth = {axis: min(reach, n) if axis in axes else 0 for axis, n in enumerate(x.shape)}
        meta = np.empty((0,) * x.ndim, dtype)
        return da.map_overlap(function, x, depth=depth, boundary="none", dtype=dtype, meta=meta)
    return _Wider(function, x, axes, reach, dtype) if is_deferred(x) else function(x)


def map_whole_frames(
    function: Callable[..., Any], x: Array, *extras: Array, axes: Sequence[int], dtype: np.dtype[Any]
) -> Array:  # fmt: skip
    """``function(x, *extras)`` of the same shape, for blocks that are whole along ``axes``. Lazy if ``x`` is.

    ``extras`` are NumPy arrays with one number for each frame: (frames or 1, 1, ...).
    """
    if is_dask(x):
        return map_elementwise(function, as_dask_input(x).rechunk(dict.fromkeys(axes, -1)), *extras, dtype=dtype)
    return _Whole(function, x, extras, dtype) if is_deferred(x) else function(x, *extras)


class _Wider(Deferred):
    """A function of a box of pixels that is ``reach`` wider along ``axes``, cut to the box."""

    def __init__(self, function: Any, x: Deferred, axes: Sequence[int], reach: int, dtype: np.dtype[Any]) -> None:
        super().__init__(function, [x], x.shape, dtype, frames=x.frames)
        lead = x.ndim - len(x.pixels)
        self.reach = [reach if axis in axes else 0 for axis in range(lead, x.ndim)]

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) not in made:
            wider, (x,) = self._wider(box), self.inputs
            # a cache of its own: this is another box
            values = self.function(x.block(wider, {WANTED: made[WANTED]}))
            inner = (slice(b.start - w.start, b.stop - w.start) for b, w in zip(box, wider, strict=True))
            made[id(self)] = values[(..., *inner)]
        return made[id(self)]

    def _wider(self, box: Box) -> Box:
        first = [max(0, b.start - r) for b, r in zip(box, self.reach, strict=True)]
        last = [min(n, b.stop + r) for b, r, n in zip(box, self.reach, self.pixels, strict=True)]
        return tuple(map(slice, first, last))

    def needs(self, box: Box) -> list[Need]:
        return [Need(self.inputs[0], self._wider(box), fresh=True)]


class _Whole(Deferred):
    """A function of whole frames. It is computed once, and its result is kept while this array is."""

    def __init__(self, function: Any, x: Deferred, extras: Sequence[Array], dtype: np.dtype[Any]) -> None:
        super().__init__(function, [x], x.shape, dtype)
        self.extras = [notes.kept(extra) for extra in extras]
        self.found: Any = None
        self.lock = Lock()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"lock": None}  # a lock cannot be pickled

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state | {"lock": Lock()})

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        with self.lock:
            if self.found is None:
                (x,) = self.inputs
                values = evaluate([x], tuple(slice(0, n) for n in x.pixels))[0]
                self.found = self.function(values, *self.extras)
        return self.found[(slice(None), *box)]

    def needs(self, box: Box) -> list[Need]:
        (x,) = self.inputs
        return [Need(x, tuple(slice(0, n) for n in x.pixels), fresh=True, once=True)]
