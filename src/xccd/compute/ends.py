"""The ends of a chain: images, weights, sums of squares, and the uncertainty of a combined pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from xccd.compute.tile import Array, Tile
from xccd.kernels.table import METHODS


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

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        total, count = (tile.total, tile.count) if self.sums else (None, None)
        if total is not None and count is not None and not np.isnan(total[0]):  # all pixels of a tile are NaN, or none
            divisor = count if self.method == "mean" else count > 0
            np.divide(total, divisor, out=out, casting="same_kind")  # 0 / 0 is NaN: no sample was left
            return
        name = f"weighted_{self.method}" if self.weighted else self.method
        image = out if out.dtype.kind == "f" else np.empty(out.shape)
        unusable = engine.reduce(
            name, tile.x, tile.start, tile.stop, tile.bounds, weights, self.argument, self.ddof, image, tile.count
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
    return Tile(values, 0, values.shape[1])


class End(Protocol):
    """An end of a chain: one number for each pixel, from the samples in use."""

    @property
    def method(self) -> str:
        """Its row of `METHODS`."""

    @property
    def sums(self) -> bool:
        """Whether the plain sum of the samples is all it takes."""

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None: ...


@dataclass(frozen=True)
class Weight:
    """An end: the total weight of the samples in use."""

    method: str = "sum"
    sums = False

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        least, most, _ = tile.bounds
        x = tile.x[:, tile.start : tile.stop]
        np.sum(np.where((x >= least) & (x <= most), weights, 0.0), axis=0, out=out)


@dataclass(frozen=True)
class Squares:
    """An end: the sum of squared distances of the samples in use from their mean."""

    method: str = "var"
    sums = False

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        Combine("var")(engine, tile, weights, out)
        count = np.empty_like(out)
        Combine("count")(engine, tile, weights, count)
        out *= count


def is_known(method: str, weighted: bool) -> bool:
    """Whether there is a formula for the error of this combination."""
    row = METHODS[method]
    return row.weighted_error if weighted else row.error is not None


@lru_cache(maxsize=16)
def _error_factors(method: str, frames: int) -> Array:
    """The factors of the error formula for 0 to ``frames`` samples, float64 (frames + 1,)."""
    error = METHODS[method].error
    assert error is not None  # `is_known` was asked
    with np.errstate(all="ignore"):
        return np.asarray(error.factor(np.arange(frames + 1.0)))


@dataclass(frozen=True)
class Scatter:
    """An end: the standard error of a combination, from the scatter of the samples."""

    method: str
    weighted: bool = False
    sums = False  # takes more than the sum of the samples

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        if not self.weighted:
            out[:] = self._plain(engine, tile)
            return
        # The table's formulas are for equal weights, so weights have a kernel of their own.
        error = np.empty(tile.stop - tile.start)
        total = engine.weighted_error(tile.x, tile.start, tile.stop, tile.bounds, weights, error)
        out[:] = error * total if self.method == "sum" else error

    def _plain(self, engine: Any, tile: Tile) -> Array:
        error, value, count = METHODS[self.method].error, np.empty(tile.stop - tile.start), tile.count
        assert error is not None  # `is_known` was asked
        if count is None:
            found = np.empty(value.size)
            _reduce(engine, "count", tile, 0, found)
            count = found.astype(np.int32)
        _reduce(engine, error.statistic, tile, error.ddof, value, count)
        return value * _error_factors(self.method, tile.x.shape[0])[count]


def _reduce(engine: Any, method: str, tile: Tile, ddof: int, out: Array, count: Array | None = None) -> None:
    engine.reduce(method, tile.x, tile.start, tile.stop, tile.bounds, np.ones((1, 1)), 0.0, ddof, out, count)


def _count(end: Any) -> End | None:
    return None if end == Combine("count") else Combine("count")


def _uncertainty_end(end: Any) -> End | None:
    known = isinstance(end, Combine) and is_known(end.method, end.weighted)
    return Scatter(end.method, end.weighted) if known else None


# For each map of a product (a row of `OUTPUTS`): a function that returns the map's end, None if there is no such map.
# Its argument is the image's end, or a user's function.
MAPS_OF_A_PRODUCT: dict[str, Callable[[Any], End | None]] = {"count": _count, "uncertainty": _uncertainty_end}
