"""Ends that give maps of a product: rejected samples, flags, exposure times; and the rejected share of each frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.compute.dask_joint import is_dask
from xccd.compute.ends import Given, counted
from xccd.compute.tile import Array, Tile
from xccd.kernels.flags import Flag


@dataclass(frozen=True)
class Flagged:
    """An end: the count of samples with a flag."""

    flag: int
    method: str = "count"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        hit = (given.flags & np.uint8(self.flag)) != 0
        width = np.uint8 if len(hit) < 256 else np.int64  # sums in uint8 are 10 times faster
        out[:] = np.add.reduce(hit.view(np.uint8), axis=0, dtype=width)


@dataclass(frozen=True)
class AllFlags:
    """An end: all flags of the samples of a pixel, for a pixel without a sample in use; 0 for the others.

    A sample in use has no flag. If none has a flag either, none is finite.
    """

    method: str = "count"
    sums = False
    whatever: bool = False  # also for pixels with samples in use: for chunks along the frames

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        out[:] = 0
        some = slice(None) if self.whatever else np.flatnonzero(counted(engine, tile) == 0)
        flags = np.broadcast_to(given.flags, (len(given.flags), out.size))[:, some]
        found = np.bitwise_or.reduce(flags, axis=0)
        out[some] = np.where(found == 0, np.uint8(Flag.NOT_FINITE), found)


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
