"""Ends that give maps of a product: rejected samples, flags, exposure times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

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
        found = np.broadcast_to(np.bitwise_or.reduce(given.flags, axis=0), out.shape)
        found = np.where(found == 0, np.uint8(Flag.NOT_FINITE), found)
        out[:] = found if self.whatever else np.where(counted(engine, tile) > 0, np.uint8(0), found)


@dataclass(frozen=True)
class Exposure:
    """An end: the total exposure time of the samples in use."""

    method: str = "sum"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        least, most, _ = tile.bounds
        x = tile.x[:, tile.start : tile.stop]
        total = np.zeros(x.shape[1])
        for k, row in enumerate(x):
            time = given.exposure[k if len(given.exposure) > 1 else 0]
            total += np.where((row >= least) & (row <= most), time, 0.0)
        out[:] = total
