"""The noise that "average_sigma" measures: the scatter about the centres of pixels, in the root of their light."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from xccd.compute import arrays
from xccd.compute.chain import Chain
from xccd.compute.ends import Given, counted
from xccd.compute.run import chained
from xccd.compute.tile import Array, Tile

FEWEST = 3  # samples of a pixel that counts


@dataclass(frozen=True)
class Scatters:
    """An end: the sum of squares about the centre over max(1, centre); 0 for pixels of few samples."""

    by_mean: bool  # else the median; the mean leaves out one lowest and one highest sample
    method: str = "var"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        center, one = np.empty(out.size), np.ones((1, 1))
        engine.reduce("median", tile.x, tile.start, tile.stop, tile.bounds, one, 0.0, 0, center)
        tile.count = engine.unit_squares(tile.x, tile.start, tile.stop, tile.bounds, self.by_mean, center, out)


@dataclass(frozen=True)
class Counts:
    """An end: the count of samples of a pixel; 0 for pixels of few samples."""

    method: str = "count"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        n = counted(engine, tile)
        out[:] = np.where(n >= FEWEST, n, 0)


def unit_noise(x: Any, flags: Any, *, by_mean: bool, per: str) -> Any:
    """The deviation of samples where the light is 1, as (1, pixels or 1): of each row, each pixel, or of all.

    It is lazy on dask input. A row is added up as a whole, so that chunks do not change the rounding. A deferred array
    is read now: each of its bands would need all of its rows.
    """
    ends = (Scatters(by_mean), Counts())
    squares, count = chained(Chain((), ends), x, flags=flags, dtypes=[np.dtype(np.float64)] * 2)
    if arrays.is_deferred(squares) and per != "pixel":
        squares, count = squares.load(), count.load()
    run = partial(_deviations, per=per)
    if arrays.is_dask(squares):
        return _later(run, squares, count, per)
    if arrays.is_deferred(squares):
        return arrays.map_elementwise(run, squares, count, dtype=np.dtype(np.float64))
    return run(squares, count)


def _deviations(squares: Any, count: Any, *, per: str) -> Any:
    axes = {"row": squares.ndim - 1, "image": tuple(range(squares.ndim)), "pixel": ()}[per]
    if per != "pixel":
        squares, count = (v.sum(axis=axes, keepdims=True) for v in (np.ascontiguousarray(squares), count))
    with np.errstate(all="ignore"):
        return np.where(count > 1, np.sqrt(squares / (count - 1)), 0.0)[None]


def _later(run: Any, squares: Any, count: Any, per: str) -> Any:
    """`_deviations` on dask arrays: whole rows, or the whole image, in one chunk."""
    import dask.array as da

    last = squares.ndim - 1
    whole = {"row": {last: -1}, "image": dict.fromkeys(range(squares.ndim), -1), "pixel": {}}[per]
    squares, count = squares.rechunk(whole), count.rechunk(whole)
    one = {"row": {last}, "image": set(range(squares.ndim)), "pixel": set()}[per]
    chunks = tuple((1,) if i in one else c for i, c in enumerate(squares.chunks))
    return da.map_blocks(
        run, squares, count, new_axis=0, chunks=((1,), *chunks), dtype=np.float64, meta=np.empty((0,) * (last + 2))
    )
