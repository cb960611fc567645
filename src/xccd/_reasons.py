"""A chain of rejections that ends in flags: which step took a sample, and on which side."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd import _clip_blocks, _options
from xccd._chain import Array, Extrema, Range, Sigma, Step, Tile, begin, in_use, tiles
from xccd._flags import Flag

LOW, HIGH = int(Flag.REJECTED_LOW), int(Flag.REJECTED_HIGH)


@dataclass(frozen=True)
class Reasons:
    """Run as `xccd._chain.Chain` is, to the flags of all samples: a sample keeps those that it has."""

    steps: tuple[Step, ...]
    ends = ()

    def __call__(
        self, x: Array, start: int, stop: int, flags: Array, scale: Array, weights: Array, out: Array
    ) -> None:  # fmt: skip
        """Run pixels ``start <= j < stop`` of ``x`` (frames, pixels) into the same of ``out``."""
        _options.with_engine(lambda engine: self._run(engine, (x, start, stop), flags, out))

    def _run(self, engine: Any, pixels: tuple[Array, int, int], flags: Array, out: Array) -> None:
        x, start, stop = pixels
        for a, b in tiles(x, start, stop):
            bits = np.empty((x.shape[0], b - a), np.uint8)  # of one layout, for which the kernel is compiled
            bits[:] = flags[:, a:b] if flags.shape[1] > 1 else flags
            tile, steps = begin(engine, self.steps, x, a, b)
            tile = in_use(tile, bits)
            if x.dtype.kind == "f":
                bits[(bits == 0) & ~np.isfinite(x[:, a:b])] = Flag.NOT_FINITE
            for step in steps:
                tile = _FLAG[type(step)](engine, step, tile, bits)
            out[:, a:b] = bits


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
        sides = _clip_blocks.sides(
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
