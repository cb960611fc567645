"""Ends that give maps of a product: rejected samples, flags, exposure times; and the rejected share of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.compute.dask_joint import is_dask
from xccd.compute.ends import Given, counted
from xccd.compute.rejected import hits, joined
from xccd.compute.tile import Array, Tile
from xccd.kernels.flags import Flag


@dataclass(frozen=True)
class Flagged:
    """An end: the count of samples with a flag, or with one of several; of chains with ``reasons`` a clip's."""

    flag: int
    method: str = "count"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        if tile.rejected is None:
            out[:] = hits(given.flags, self.flag)
        else:
            low, high = self.flag & Flag.REJECTED_LOW, self.flag & Flag.REJECTED_HIGH
            out[:] = (tile.rejected.low if low else 0) + (tile.rejected.high if high else 0)


@dataclass(frozen=True)
class AllFlags:
    """An end: all flags of the samples of a pixel, for a pixel without a sample in use; 0 for the others.

    A sample in use has no flag. If none has a flag either, none is finite.
    """

    method: str = "count"
    sums = False
    whatever: bool = False  # also for pixels with samples in use: for chunks along the frames

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        if tile.rejected is not None:
            out[:] = tile.rejected.flags
            return
        out[:] = 0
        some = slice(None) if self.whatever else np.flatnonzero(counted(engine, tile) == 0)
        flags = np.broadcast_to(given.flags, (len(given.flags), out.size))[:, some]
        out[some] = joined(flags)


@dataclass(frozen=True)
class ByFrame:
    """An end: how many samples of each frame clips rejected as low and as high, (2, frames), added to what is there."""

    method: str = "count"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        assert tile.rejected is not None  # a chain with this end has ``reasons``
        out += tile.rejected.by_frame


def shares(flags: Any, bits: tuple[int, ...]) -> Any:
    """For each bit the share of each frame that has it, (bits, frames); lazy if the flags are. Frames are first."""
    pixels = max(1, int(np.prod(flags.shape[1:])))
    if not is_dask(flags):
        return _hits(flags, bits).reshape(len(bits), -1) / pixels
    import dask.array as da

    chunks = (len(bits),), flags.chunks[0], *((1,) * n for n in flags.numblocks[1:])
    counts = da.map_blocks(
        _hits, flags, bits, new_axis=0, chunks=chunks, dtype=np.int64, meta=np.empty((0,) * (flags.ndim + 1), np.int64)
    )
    return counts.sum(tuple(range(2, flags.ndim + 1))) / pixels


def _hits(flags: Array, bits: tuple[int, ...]) -> Array:
    """How many samples of each frame of a block have a bit, (bits, frames, 1, ...)."""
    found = [[np.count_nonzero(frame & np.uint8(bit)) for frame in flags] for bit in bits]
    return np.array(found, np.int64).reshape(len(bits), len(flags), *(1,) * (flags.ndim - 1))
