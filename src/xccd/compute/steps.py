"""What a clip does to a tile: to its bounds, and to its flags."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.compute import by_functions
from xccd.compute.tile import Array, Tile, in_use, tile_of
from xccd.kernels.flags import Flag
from xccd.kernels.limits import inner

LOW, HIGH = int(Flag.REJECTED_LOW), int(Flag.REJECTED_HIGH)


@dataclass(frozen=True)
class Sigma:
    """`sigma_clip`; the rule is (by_mean, by_mad, low, high, ddof, floor, nkeep, maxiters)."""

    rule: tuple[float, ...]
    summed: bool = False  # whether the sums of what survives are wanted, too

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        rule, total = np.array(self.rule, np.float64), np.empty(tile.stop - tile.start) if self.summed else None
        least, most, bounded = tile.own_bounds()
        tile.number = engine.sigma(tile.x, tile.start, tile.stop, (least, most, bounded), rule, total)
        tile.bounds, tile.total = (least, most, True), total
        return tile


@dataclass(frozen=True)
class Extrema:
    """`clip_extrema`."""

    nlow: int
    nhigh: int
    summed: bool = False  # as of `Sigma`

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        total = np.empty(tile.stop - tile.start) if self.summed else None
        bounds = tile.own_bounds()
        number, ties = engine.extreme(tile.x, tile.start, tile.stop, bounds, self.nlow, self.nhigh, total)
        tile.bounds, tile.number, tile.total = (*bounds[:2], True), number, total
        if ties is None:
            return tile
        if tile.x.dtype.kind != "f":  # of whole numbers most are tied, and none can be NaN
            return tile.masked(engine, ties)
        skip, keep = ties
        some = np.flatnonzero((skip > 0) | (keep < tile.x.shape[0]))
        few = Tile(np.ascontiguousarray(tile.x[:, tile.start + some]), 0, some.size)
        few.bounds = (tile.bounds[0][some], tile.bounds[1][some], True)
        x = tile.x[:, tile.start : tile.stop].copy()  # it may be the caller's
        x[:, some] = few.masked(engine, (skip[some], keep[some])).x
        fixed = Tile(x, 0, x.shape[1], number, total)
        fixed.bounds = tile.bounds
        return fixed


@dataclass(frozen=True)
class Range:
    """`minmax`."""

    low: float | None
    high: float | None

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        low, high = inner(self.low, self.high, tile.x.dtype)
        least, most, _ = tile.own_bounds()
        np.maximum(least, low, out=least)
        np.minimum(most, high, out=most)
        tile.bounds, tile.number = (least, most, True), None
        return tile


@dataclass(frozen=True)
class Unsigned:
    """16-bit integers as FITS stores unsigned ones, less 32768 (BZERO), become what they stand for."""

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        x = tile.x[:, tile.start : tile.stop].view(np.uint16)
        x ^= np.uint16(1 << 15)  # in place: `begin` sees to it that the tile is a copy
        return Tile(x, 0, x.shape[1])


Step = Sigma | Extrema | Range | Unsigned
BY_SAMPLE = (Range, Unsigned)  # that look at one sample, not at others of its pixel


def begin(engine: Any, steps: tuple[Step, ...], x: Array, a: int, b: int) -> tuple[Tile, tuple[Step, ...]]:
    """Some pixels as samples, and the steps that are left to do: one that makes samples of what is stored is done."""
    tile = tile_of(x, a, b)
    if steps and isinstance(steps[0], Unsigned):
        if tile.x is x:
            tile = Tile(x[:, a:b].copy(), 0, b - a)
        return steps[0](engine, tile), steps[1:]
    return tile, steps


def _range(engine: Any, step: Range, tile: Tile, bits: Array) -> Tile:
    x, free = tile.x[:, tile.start : tile.stop], bits == 0
    for limit, beyond, flag in ((step.low, np.less, Flag.BELOW_MINIMUM), (step.high, np.greater, Flag.ABOVE_MAXIMUM)):
        if limit is not None:
            bits[free & beyond(x, np.float64(limit))] = flag
    return step(engine, tile)


def _sigma(engine: Any, step: Sigma, tile: Tile, bits: Array) -> Tile:
    tile = step(engine, tile)
    some, x = _emptied(tile.number, tile, bits)
    if some.size:
        by_mean, by_mad, low, high, ddof, floor, nkeep, passes = step.rule
        sides = by_functions.sides(
            x, center="mean" if by_mean else "median", deviation="mad_std" if by_mad else "std", bounds=[low, high],
            maxiters=int(passes), ddof=int(ddof), floor=floor, nkeep=int(nkeep),
        )  # fmt: skip
        sides[np.isfinite(x) & (sides == 0)] = HIGH  # what the kernel, rounding in another order, took too
        bits[:, some] |= sides
    engine.flag(tile.x, tile.start, tile.stop, tile.bounds, None, LOW, HIGH, bits)
    return tile


def _extrema(engine: Any, step: Extrema, tile: Tile, bits: Array) -> Tile:
    bounds = tile.own_bounds()
    number, ties = engine.extreme(tile.x, tile.start, tile.stop, bounds, step.nlow, step.nhigh)
    some, x = _emptied(number, tile, bits)
    if some.size:  # of so few the lowest are low ones, as many as may be, the others high ones
        rank = np.argsort(np.argsort(x, axis=0, kind="stable"), axis=0, kind="stable")
        bits[:, some] |= np.where(np.isnan(x), 0, np.where(rank < step.nlow, LOW, HIGH)).astype(np.uint8)
    engine.flag(tile.x, tile.start, tile.stop, bounds, ties, LOW, HIGH, bits)
    if ties is not None:
        return in_use(tile, bits)
    tile.bounds = (*bounds[:2], True)
    return tile


def _emptied(number: Any, tile: Tile, bits: Array) -> tuple[Array, Array]:
    """The pixels that had samples and have none now, and those samples, NaN for others."""
    some = np.flatnonzero((number == 0) & (bits == 0).any(0))
    return some, np.where(bits[:, some] == 0, tile.x[:, tile.start + some], np.nan)


_FLAG: dict[type, Callable[[Any, Any, Tile, Array], Tile]] = {
    Range: _range,
    Sigma: _sigma,
    Extrema: _extrema,
}
