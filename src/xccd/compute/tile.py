"""Tiles: some thousand pixels of a block, so that a whole chain works on samples in cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels.arguments import Bounds, Ties
from xccd.kernels.limits import float_dtype, limits, working_dtype

Array = np.ndarray[Any, Any]
TILE_BYTES = 4 << 20  # of samples in a tile: fits L2 or L3, and the calls for it cost little beside its work


class Rejected(NamedTuple):
    """What clips rejected of a tile."""

    low: Array  # per-pixel counts, int32
    high: Array
    flags: Array  # all flags of a pixel's samples, uint8, if none is in use; else 0
    by_frame: Array  # the counts of low and high samples of each frame, (2, frames)


@dataclass
class Tile:
    """Pixels ``start <= j < stop`` of ``x`` (frames, pixels), and the bounds of their samples in use."""

    x: Array
    start: int
    stop: int
    bounds: Bounds = field(init=False)  # shared: a step copies them before it narrows them
    count: Array | None = None  # per-pixel count of samples in use, if known
    total: Array | None = None  # their sum, if known
    spread: Array | None = None  # their standard deviation with divisor n - 1, if known
    middle: Array | None = None  # their median and their scaled MAD, if known
    mad: Array | None = None
    rejected: Rejected | None = None  # if the maps need it
    unclipped: Bounds | None = None  # the bounds before a sigma clip

    def __post_init__(self) -> None:
        self.bounds = Bounds(*_everything(self.x.dtype, self.stop - self.start), False)

    def own_bounds(self) -> Bounds:
        """A copy of the bounds, to be narrowed in place."""
        least, most, bounded = self.bounds
        return Bounds(least.copy(), most.copy(), bounded)

    def masked(self, engine: Any, ties: Ties | None = None) -> Tile:
        """A new tile of these pixels as floats, NaN for samples not in use."""
        size = self.stop - self.start
        out = np.empty((self.x.shape[0], size), float_dtype(self.x.dtype))
        engine.masked(self.x, self.start, self.stop, self.bounds, ties, out, 0)
        return Tile(out, 0, size)


@lru_cache(maxsize=4)
def _everything(dtype: np.dtype[Any], size: int) -> tuple[Array, Array]:
    """Bounds that include all samples; never written to. Cached, because to make them takes 5 % of a median of 10."""
    found = limits(dtype)
    return np.full(size, found.least), np.full(size, found.most)


def tiles(frames: int, itemsize: int, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """Start and stop of each tile from ``start`` to ``stop``, each a multiple of 256 pixels long."""
    size = max(512, TILE_BYTES // max(1, frames * itemsize) // 256 * 256)
    for first in range(start, stop, size):
        yield first, min(first + size, stop)


def tile_of(x: Array, start: int, stop: int) -> Tile:
    """Pixels ``start <= j < stop`` as a tile; a copy if kernels need another dtype or byte order.

    Read-only and unaligned memory is copied, too: numba would compile all kernels again for it.
    """
    # Read in place if possible: copies of all tiles make a median of 25 frames of 1024 x 1024 2 to 3 ms slower.
    dtype = working_dtype(x.dtype)
    if x.dtype == dtype and x.flags.carray:
        return Tile(x, start, stop)
    return Tile(np.array(x[:, start:stop], dtype, order="C"), 0, stop - start)


def in_use(tile: Tile, flags: Array) -> Tile:
    """A new tile with NaN for samples with a flag; the same tile if no sample has one."""
    if not flags.any():
        return tile
    x = tile.x[:, tile.start : tile.stop]
    x = x.astype(float_dtype(x.dtype))
    np.copyto(x, np.nan, where=flags != 0)
    return Tile(x, 0, x.shape[1])


def cut_pixels(extra: Array, start: int, stop: int) -> Array:
    """Weights or factors of pixels ``start <= j < stop`` as float64 (frames or 1, pixels or 1)."""
    return np.ascontiguousarray(extra[:, start:stop] if extra.shape[1] > 1 else extra, dtype=np.float64)
