"""The steps of a chain: what each rejection does to the bounds and the flags of a tile."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.compute import by_functions
from xccd.compute.tile import Array, Tile, in_use, tile_of
from xccd.kernels.arguments import Bounds, Ties
from xccd.kernels.flags import Flag
from xccd.kernels.limits import inner
from xccd.kernels.table import REJECTIONS, ClipOptions

LOW, HIGH = int(Flag.REJECTED_LOW), int(Flag.REJECTED_HIGH)


@dataclass(frozen=True)
class Sigma:
    """`sigma_clip`."""

    options: ClipOptions
    summed: bool = False  # whether the sums of the survivors are wanted, too
    row = REJECTIONS["sigma"]

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        total = np.empty(tile.stop - tile.start) if self.summed else None
        bounds = tile.own_bounds()
        tile.count = engine.sigma(tile.x, tile.start, tile.stop, bounds, self.options, total)
        tile.bounds, tile.total = bounds._replace(bounded=True), total
        return tile

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and flag the rejected samples in ``bits`` by their side."""
        tile = self(engine, tile)
        some, x = _emptied(tile.count, tile, bits)
        if some.size:
            sides = by_functions.sides(x, by_functions.in_names(self.options))
            sides[np.isfinite(x) & (sides == 0)] = HIGH  # rejected by the kernel only, which rounds in another order
            bits[:, some] |= sides
        engine.flag(tile.x, tile.start, tile.stop, tile.bounds, None, LOW, HIGH, bits)
        return tile


@dataclass(frozen=True)
class Extrema:
    """`clip_extrema`."""

    nlow: int
    nhigh: int
    summed: bool = False  # as in `Sigma`
    row = REJECTIONS["extrema"]

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        total = np.empty(tile.stop - tile.start) if self.summed else None
        bounds = tile.own_bounds()
        count, ties = engine.extreme(tile.x, tile.start, tile.stop, bounds, self.nlow, self.nhigh, total)
        tile.bounds, tile.count, tile.total = bounds._replace(bounded=True), count, total
        if ties is None:
            return tile
        if tile.x.dtype.kind != "f":  # most integers are tied, and none can become NaN
            return tile.masked(engine, ties)
        # Only tied pixels are masked. With the whole tile, extrema and mean of noise took 100 ms instead of 40.
        some = np.flatnonzero((ties.skip > 0) | (ties.keep < tile.x.shape[0]))
        few = Tile(np.ascontiguousarray(tile.x[:, tile.start + some]), 0, some.size)
        few.bounds = Bounds(tile.bounds.least[some], tile.bounds.most[some], True)
        x = tile.x[:, tile.start : tile.stop].copy()  # a copy: it may be the caller's array
        x[:, some] = few.masked(engine, Ties(ties.skip[some], ties.keep[some])).x
        fixed = Tile(x, 0, x.shape[1], count, total)
        fixed.bounds = tile.bounds
        return fixed

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and flag the rejected samples in ``bits`` by their side."""
        bounds = tile.own_bounds()
        count, ties = engine.extreme(tile.x, tile.start, tile.stop, bounds, self.nlow, self.nhigh)
        some, x = _emptied(count, tile, bits)
        if some.size:  # pixel emptied: the nlow lowest count as low, the rest as high
            rank = np.argsort(np.argsort(x, axis=0, kind="stable"), axis=0, kind="stable")
            bits[:, some] |= np.where(np.isnan(x), 0, np.where(rank < self.nlow, LOW, HIGH)).astype(np.uint8)
        engine.flag(tile.x, tile.start, tile.stop, bounds, ties, LOW, HIGH, bits)
        if ties is not None:
            return in_use(tile, bits)
        tile.bounds = bounds._replace(bounded=True)
        return tile


@dataclass(frozen=True)
class Range:
    """`minmax`."""

    low: float | None
    high: float | None
    row = REJECTIONS["range"]

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        low, high = inner(self.low, self.high, tile.x.dtype)
        bounds = tile.own_bounds()
        # No sample is read: bounds are narrowed, and the count is not known.
        np.maximum(bounds.least, low, out=bounds.least)
        np.minimum(bounds.most, high, out=bounds.most)
        tile.bounds, tile.count = bounds._replace(bounded=True), None
        return tile

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and flag samples in ``bits`` by the limit that they are beyond."""
        x, free = tile.x[:, tile.start : tile.stop], bits == 0
        beyond = (self.low, np.less, Flag.BELOW_MINIMUM), (self.high, np.greater, Flag.ABOVE_MAXIMUM)
        for limit, is_beyond, flag in beyond:
            if limit is not None:
                # in float64, as a limit between two float32 must not be rounded onto one
                bits[free & is_beyond(x, np.float64(limit))] = flag
        return self(engine, tile)


@dataclass(frozen=True)
class Unsigned:
    """Convert 16-bit integers that FITS stores less 32768 (BZERO) to the unsigned integers that they mean."""

    row = None

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        x = tile.x[:, tile.start : tile.stop].view(np.uint16)
        x ^= np.uint16(1 << 15)  # in place: `begin` makes sure that the tile is a copy
        return Tile(x, 0, x.shape[1])


Summing = Sigma | Extrema  # these can return the sums of the remaining samples
Rejecting = Summing | Range
Step = Rejecting | Unsigned
STEPS: dict[str, type[Rejecting]] = {"sigma": Sigma, "extrema": Extrema, "range": Range}  # rows of `REJECTIONS`


def is_by_sample(step: Step) -> bool:
    """Whether a step judges each sample without the others of its pixel."""
    return step.row is None or step.row.by_sample


def begin(engine: Any, steps: tuple[Step, ...], x: Array, start: int, stop: int) -> tuple[Tile, tuple[Step, ...]]:
    """Pixels ``start <= j < stop`` as a tile, and the steps left to do. A first step `Unsigned` is already done."""
    tile = tile_of(x, start, stop)
    if steps and isinstance(steps[0], Unsigned):
        if tile.x is x:
            tile = Tile(x[:, start:stop].copy(), 0, stop - start)
        return steps[0](engine, tile), steps[1:]
    return tile, steps


def _emptied(count: Any, tile: Tile, bits: Array) -> tuple[Array, Array]:
    """The pixels that lost all their samples, and these samples (frames, pixels), NaN for samples with a flag."""
    some = np.flatnonzero((count == 0) & (bits == 0).any(0))
    return some, np.where(bits[:, some] == 0, tile.x[:, tile.start + some], np.nan)
