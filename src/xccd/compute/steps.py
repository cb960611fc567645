"""What a clip does to a tile: to its bounds, and to its flags."""

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
    summed: bool = False  # whether the sums of what survives are wanted, too
    row = REJECTIONS["sigma"]

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        total = np.empty(tile.stop - tile.start) if self.summed else None
        bounds = tile.own_bounds()
        tile.count = engine.sigma(tile.x, tile.start, tile.stop, bounds, self.options, total)
        tile.bounds, tile.total = bounds._replace(bounded=True), total
        return tile

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and set in ``bits`` on which side each sample went."""
        tile = self(engine, tile)
        some, x = _emptied(tile.count, tile, bits)
        if some.size:
            sides = by_functions.sides(x, by_functions.in_names(self.options))
            sides[np.isfinite(x) & (sides == 0)] = HIGH  # what the kernel, rounding in another order, took too
            bits[:, some] |= sides
        engine.flag(tile.x, tile.start, tile.stop, tile.bounds, None, LOW, HIGH, bits)
        return tile


@dataclass(frozen=True)
class Extrema:
    """`clip_extrema`."""

    nlow: int
    nhigh: int
    summed: bool = False  # as of `Sigma`
    row = REJECTIONS["extrema"]

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        total = np.empty(tile.stop - tile.start) if self.summed else None
        bounds = tile.own_bounds()
        count, ties = engine.extreme(tile.x, tile.start, tile.stop, bounds, self.nlow, self.nhigh, total)
        tile.bounds, tile.count, tile.total = bounds._replace(bounded=True), count, total
        if ties is None:
            return tile
        if tile.x.dtype.kind != "f":  # of whole numbers most are tied, and none can be NaN
            return tile.masked(engine, ties)
        some = np.flatnonzero((ties.skip > 0) | (ties.keep < tile.x.shape[0]))
        few = Tile(np.ascontiguousarray(tile.x[:, tile.start + some]), 0, some.size)
        few.bounds = Bounds(tile.bounds.least[some], tile.bounds.most[some], True)
        x = tile.x[:, tile.start : tile.stop].copy()  # it may be the caller's
        x[:, some] = few.masked(engine, Ties(ties.skip[some], ties.keep[some])).x
        fixed = Tile(x, 0, x.shape[1], count, total)
        fixed.bounds = tile.bounds
        return fixed

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and set in ``bits`` on which side each sample went."""
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
        np.maximum(bounds.least, low, out=bounds.least)
        np.minimum(bounds.most, high, out=bounds.most)
        tile.bounds, tile.count = bounds._replace(bounded=True), None
        return tile

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and set in ``bits`` which limit each sample is beyond."""
        x, free = tile.x[:, tile.start : tile.stop], bits == 0
        beyond = (self.low, np.less, Flag.BELOW_MINIMUM), (self.high, np.greater, Flag.ABOVE_MAXIMUM)
        for limit, is_beyond, flag in beyond:
            if limit is not None:
                bits[free & is_beyond(x, np.float64(limit))] = flag
        return self(engine, tile)


@dataclass(frozen=True)
class Unsigned:
    """16-bit integers as FITS stores unsigned ones, less 32768 (BZERO), become what they stand for."""

    row = None

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        x = tile.x[:, tile.start : tile.stop].view(np.uint16)
        x ^= np.uint16(1 << 15)  # in place: `begin` sees to it that the tile is a copy
        return Tile(x, 0, x.shape[1])


Summing = Sigma | Extrema  # give the sums of what is left, if asked
Rejecting = Summing | Range
Step = Rejecting | Unsigned
STEPS: dict[str, type[Rejecting]] = {"sigma": Sigma, "extrema": Extrema, "range": Range}  # rows of `REJECTIONS`


def is_by_sample(step: Step) -> bool:
    """Whether a step judges each sample by itself, whatever the others of its pixel are."""
    return step.row is None or step.row.by_sample


def begin(engine: Any, steps: tuple[Step, ...], x: Array, a: int, b: int) -> tuple[Tile, tuple[Step, ...]]:
    """Some pixels as samples, and the steps that are left to do: one that makes samples of what is stored is done."""
    tile = tile_of(x, a, b)
    if steps and isinstance(steps[0], Unsigned):
        if tile.x is x:
            tile = Tile(x[:, a:b].copy(), 0, b - a)
        return steps[0](engine, tile), steps[1:]
    return tile, steps


def _emptied(count: Any, tile: Tile, bits: Array) -> tuple[Array, Array]:
    """The pixels that had samples and have none now, and these samples, NaN for others."""
    some = np.flatnonzero((count == 0) & (bits == 0).any(0))
    return some, np.where(bits[:, some] == 0, tile.x[:, tile.start + some], np.nan)
