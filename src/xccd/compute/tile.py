"""Some thousand pixels of a block at a time, so that a whole chain works on samples in cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds, Ties
from xccd.kernels.limits import float_dtype, limits, working_dtype

Array = np.ndarray[Any, Any]
TILE_BYTES = 4 << 20  # of samples at a time: in L2 or L3, and far more work than the calls that it takes


@dataclass
class Tile:
    """Some pixels of all frames, and which of their samples are in use."""

    x: Array
    start: int
    stop: int
    bounds: Bounds = field(init=False)  # shared until a step has made its own
    count: Array | None = None  # of samples in use, where that is known
    total: Array | None = None  # and their sum, where a step gave it

    def __post_init__(self) -> None:
        self.bounds = Bounds(*_everything(self.x.dtype, self.stop - self.start), False)

    def own_bounds(self) -> Bounds:
        """A copy of the bounds, to be narrowed in place."""
        least, most, bounded = self.bounds
        return Bounds(least.copy(), most.copy(), bounded)

    def masked(self, engine: Any, ties: Ties | None = None) -> Tile:
        """The same pixels by themselves, NaN for what is not in use."""
        size = self.stop - self.start
        out = np.empty((self.x.shape[0], size), float_dtype(self.x.dtype))
        engine.masked(self.x, self.start, self.stop, self.bounds, ties, out, 0)
        return Tile(out, 0, size)


@lru_cache(maxsize=4)
def _everything(dtype: np.dtype[Any], size: int) -> tuple[Array, Array]:
    """Bounds within which all samples are; nobody writes to them. Made anew they take 5 % of a median of 10."""
    found = limits(dtype)
    return np.full(size, found.least), np.full(size, found.most)


def tiles(x: Array, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """From ``start`` to ``stop`` by as many pixels as make a tile: whole blocks."""
    size = max(512, TILE_BYTES // max(1, x.shape[0] * x.itemsize) // 256 * 256)
    for a in range(start, stop, size):
        yield a, min(a + size, stop)


def tile_of(x: Array, a: int, b: int) -> Tile:
    """Some pixels as kernels read them: where that takes another dtype or byte order, a copy.

    So also of memory that must not be written to, or is not aligned, for which numba would compile all once more.
    """
    dtype = working_dtype(x.dtype)
    if x.dtype == dtype and x.flags.carray:
        return Tile(x, a, b)
    return Tile(np.array(x[:, a:b], dtype, order="C"), 0, b - a)


def in_use(tile: Tile, flags: Array) -> Tile:
    """A new tile of the samples that have no flag, NaN for others; the same one where none has."""
    if not flags.any():
        return tile
    x = tile.x[:, tile.start : tile.stop]
    x = x.astype(float_dtype(x.dtype))
    np.copyto(x, np.nan, where=flags != 0)
    return Tile(x, 0, x.shape[1])


def cut_pixels(extra: Array, a: int, b: int) -> Array:
    """Weights or factors of these pixels as float64 (frames or 1, pixels or 1)."""
    return np.ascontiguousarray(extra[:, a:b] if extra.shape[1] > 1 else extra, dtype=np.float64)
