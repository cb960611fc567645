"""The ends of a chain: what each of them is given, images, and sums for chunks along the frames."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np

from xccd.compute.tile import Array, Tile, cut_pixels

ONE, NOTHING = np.ones((1, 1)), np.zeros((1, 1))
NO_FLAGS = np.zeros((1, 1), np.uint8)
ERRORS = 2  # the place of the errors in `Given`, after the flags


class Given(NamedTuple):
    """What belongs to the samples of a tile: (frames or 1, pixels or 1).

    Flags are uint8, errors of the dtype that they have, all others float64.
    """

    flags: Array = NO_FLAGS
    scale: Array = ONE
    weights: Array = ONE
    errors: Array = NOTHING  # of the samples, 1 sigma
    common: Array = NOTHING  # the part of these that all frames share
    exposure: Array = NOTHING  # times
    start: int = 0  # of the tile, for errors of each sample, which are not cut but read in place

    @classmethod
    def cut(cls, start: int, stop: int, flags: Array, *others: Array) -> Given:
        """Pixels ``start <= j < stop`` of arrays in the order of the fields; those that are not there have defaults."""
        own = flags[:, start:stop] if flags.shape[1] > 1 else flags
        cut = [one if k == ERRORS else cut_pixels(one, start, stop) for k, one in enumerate(others)]
        return cls(own, *cut)._replace(start=start)  # type: ignore[arg-type]


@dataclass(frozen=True)
class Combine:
    """An end: the image of `combine`."""

    method: str
    weighted: bool = False
    argument: float = 0.0  # the method's own, for example the quantile
    ddof: int = 0

    @property
    def sums(self) -> bool:
        """Whether the plain sum of the samples is all it takes."""
        return self.method in ("mean", "sum") and not self.weighted

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        total, count = (tile.total, tile.count) if self.sums else (None, None)
        if total is not None and count is not None and not np.isnan(total[0]):  # all pixels of a tile are NaN, or none
            divisor = count if self.method == "mean" else count > 0
            np.divide(total, divisor, out=out, casting="same_kind")  # 0 / 0 is NaN: no sample was left
            return
        if self.method == "count" and tile.count is not None:
            out[:] = tile.count
            return
        if self.method == "median" and tile.middle is not None and not self.weighted:
            out[:] = tile.middle
            return
        name = f"weighted_{self.method}" if self.weighted else self.method
        image = out if out.dtype.kind == "f" else np.empty(out.shape)
        unusable = engine.reduce(
            name, tile.x, tile.start, tile.stop, tile.bounds, given.weights, self.argument, self.ddof, image, tile.count
        )
        if unusable:
            raise ValueError(f"weights: {unusable} valid samples have a weight that is negative, NaN or infinite")
        if image is not out:
            out[:] = image


def check_factors(valid: Array, scale: Array) -> None:
    """Raise if a valid sample has a factor that is not finite. Otherwise it would be masked silently."""
    if not np.isfinite(scale).all():
        unusable = np.count_nonzero(valid & ~np.isfinite(scale))
        if unusable:
            raise ValueError(f"scale: {unusable} valid samples have a scale that is NaN or infinite")


def is_scaled(scale: Array) -> bool:
    """Whether the factors are more than the single number 1, which stands for none."""
    return bool(scale.size > 1 or scale.flat[0] != 1)


def scaled(tile: Tile, scale: Array) -> Tile:
    """A new tile of the samples in use times their factors, float64, NaN for all others."""
    x = tile.x[:, tile.start : tile.stop]
    least, most, _ = tile.bounds
    valid = (x >= least) & (x <= most)
    check_factors(valid, scale)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(valid, x * scale, np.nan)
    return Tile(values, 0, values.shape[1], rejected=tile.rejected)


class End(Protocol):
    """An end of a chain: one number for each pixel, from the samples in use."""

    @property
    def method(self) -> str:
        """Its row of `METHODS`."""

    @property
    def sums(self) -> bool:
        """Whether the plain sum of the samples is all it takes."""

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None: ...


@dataclass(frozen=True)
class Total:
    """An end: the sum of numbers that belong to the samples in use, by their field of `Given`."""

    of: str  # "weights" or "exposure"
    method: str = "sum"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        numbers = getattr(given, self.of)
        if numbers.size == 1 or (numbers == numbers[0, 0]).all():  # the usual case
            if numbers[0, 0] == 1:
                out[:] = counted(engine, tile)
            else:
                np.multiply(counted(engine, tile), numbers[0, 0], out=out, casting="same_kind")
            return
        out[:] = total_in_use(tile, numbers)


@dataclass(frozen=True)
class Squares:
    """An end: the sum of squared distances of the samples in use from their mean."""

    method: str = "var"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        Combine("var")(engine, tile, given, out)
        count = np.empty_like(out)
        Combine("count")(engine, tile, given, count)
        out *= count


def counted(engine: Any, tile: Tile) -> Array:
    """The per-pixel count of samples in use, int32; kept for the other ends."""
    if tile.count is None:
        found = np.empty(tile.stop - tile.start)
        reduced(engine, "count", tile, 0, found)
        tile.count = found.astype(np.int32)
    return np.asarray(tile.count)


def totalled(engine: Any, tile: Tile) -> Array:
    """The per-pixel sum of samples in use, float64; kept for the other ends."""
    if tile.total is None or np.isnan(tile.total[0]):  # all pixels of a tile are NaN, or none
        total = np.empty(tile.stop - tile.start)
        reduced(engine, "sum", tile, 0, total, counted(engine, tile))
        tile.total = total
    return tile.total


def total_in_use(tile: Tile, numbers: Array) -> Array:
    """The sum of the numbers that belong to the samples in use, float64. It takes 1.5 ns a sample."""
    least, most, _ = tile.bounds
    x = tile.x[:, tile.start : tile.stop]
    total = np.zeros(x.shape[1])
    for k, row in enumerate(x):
        total += np.where((row >= least) & (row <= most), numbers[k if len(numbers) > 1 else 0], 0.0)
    return total


def reduced(engine: Any, method: str, tile: Tile, ddof: int, out: Array, count: Array | None = None) -> None:
    """A combination without weights."""
    engine.reduce(method, tile.x, tile.start, tile.stop, tile.bounds, ONE, 0.0, ddof, out, count)
