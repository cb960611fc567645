"""What a chain ends in: images, weights, sums of squares, and the uncertainty of a combined pixel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from math import pi
from typing import Any, Protocol

import numpy as np

from xccd.compute.tile import Array, Tile
from xccd.kernels.table import METHODS


@dataclass(frozen=True)
class Combine:
    """`combine`: the end of a chain."""

    method: str
    weighted: bool = False
    q: float = 0.5
    ddof: int = 0

    @property
    def sums(self) -> bool:
        """Whether the plain sum of the samples is all it takes."""
        return self.method in ("mean", "sum") and not self.weighted

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        total, number = (tile.total, tile.number) if self.sums else (None, None)
        if total is not None and number is not None and not np.isnan(total[0]):  # all are, or none
            divisor = number if self.method == "mean" else number > 0
            np.divide(total, divisor, out=out, casting="same_kind")  # 0 / 0: nothing was left
            return
        row = METHODS[self.method]
        name = row.weighted if self.weighted and row.weighted else row.kernel
        image = out if out.dtype.kind == "f" else np.empty(out.shape)
        unusable = engine.reduce(
            name, tile.x, tile.start, tile.stop, tile.bounds, weights, self.q, self.ddof, image, tile.number
        )
        if unusable:
            raise ValueError(f"weights: {unusable} valid samples have a weight that is negative, NaN or infinite")
        if image is not out:
            out[:] = image


def check_factors(valid: Array, scale: Array) -> None:
    """A sample without a factor is not taken for a missing one."""
    if not np.isfinite(scale).all():
        unusable = np.count_nonzero(valid & ~np.isfinite(scale))
        if unusable:
            raise ValueError(f"scale: {unusable} valid samples have a scale that is NaN or infinite")


def is_scaled(scale: Array) -> bool:
    return bool(scale.size > 1 or scale.flat[0] != 1)


def scaled(tile: Tile, scale: Array) -> Tile:
    """The samples in use times their factors, in float64."""
    x = tile.x[:, tile.start : tile.stop]
    least, most, _ = tile.bounds
    valid = (x >= least) & (x <= most)
    check_factors(valid, scale)
    with np.errstate(over="ignore", invalid="ignore"):
        values = np.where(valid, x * scale, np.nan)
    return Tile(values, 0, values.shape[1])


class End(Protocol):
    """What a chain ends in: a number for each pixel, from the samples that are left."""

    @property
    def method(self) -> str:
        """The row of `METHODS` that it is, or belongs to."""

    @property
    def sums(self) -> bool:
        """Whether the plain sum of the samples is all it takes."""

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None: ...


@dataclass(frozen=True)
class Weight:
    """An end of a chain: the weight of the samples in use."""

    method: str = "sum"
    sums = False

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        least, most, _ = tile.bounds
        x = tile.x[:, tile.start : tile.stop]
        np.sum(np.where((x >= least) & (x <= most), weights, 0.0), axis=0, out=out)


COUNT = Combine("count")


@dataclass(frozen=True)
class Squares:
    """An end of a chain: the sum of the squared distances of the samples in use from their mean."""

    method: str = "var"
    sums = False

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        Combine("var")(engine, tile, weights, out)
        number = np.empty_like(out)
        COUNT(engine, tile, weights, number)
        out *= number


# Standard error of the median of n = 2..10 normal samples over 1.4826 MAD / sqrt(n) times what theory gives: MAD of few
# is low. By Monte Carlo, to 1 %.
LOW_MAD = (0.953, 1.148, 1.182, 1.049, 1.076, 1.027, 1.042, 1.018, 1.026)


def _mean(n: Array) -> Array:
    return 1 / np.sqrt(n)


def _median(n: Array) -> Array:
    """The median's error beside the mean's, from the MAD's sigma."""
    odd = n % 2 == 1
    a = np.where(odd, 0.45, 1.27 + 0.14 * (1 - 4 / n))
    theory = np.where(n > 2, np.sqrt(pi * n / (2 * (n + a))), 1.0)
    low = 1 + np.where(odd, 0.12, 0.2) / n
    small = (n >= 2) & (n <= len(LOW_MAD) + 1)
    low[small] = np.array(LOW_MAD)[n[small].astype(int) - 2]
    return np.where(n > 1, low * theory / np.sqrt(n), np.nan)


# Method: the statistic of the samples, its divisor n - ddof, and what it is multiplied by for n samples
_PLAIN: dict[str, tuple[str, int, Callable[[Array], Array]]] = {
    "mean": ("std", 1, _mean),
    "sum": ("std", 1, np.sqrt),
    "median": ("mad_std", 0, _median),
}
_WEIGHTED = ("mean", "sum")


def is_known(method: Any, weighted: bool) -> bool:
    """Whether there is a formula for the error of this combination."""
    return method in (_WEIGHTED if weighted else _PLAIN)


@lru_cache(maxsize=16)
def _factors(method: str, frames: int) -> Array:
    """What the statistic is multiplied by, for 0 to ``frames`` samples."""
    with np.errstate(all="ignore"):
        return np.asarray(_PLAIN[method][2](np.arange(frames + 1.0)))


@dataclass(frozen=True)
class Scatter:
    """An end of a chain, as `xccd.compute.ends.Combine`."""

    method: str
    weighted: bool = False
    sums = False  # takes more than the sum of the samples

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        if not self.weighted:
            out[:] = self._plain(engine, tile)
            return
        error = np.empty(tile.stop - tile.start)
        total = engine.weighted_error(tile.x, tile.start, tile.stop, tile.bounds, weights, error)
        out[:] = error * total if self.method == "sum" else error

    def _plain(self, engine: Any, tile: Tile) -> Array:
        size, (name, ddof, _) = tile.stop - tile.start, _PLAIN[self.method]
        value, number = np.empty(size), tile.number
        one = np.ones((1, 1))
        if number is None:
            count = np.empty(size)
            engine.reduce(METHODS["count"].kernel, tile.x, tile.start, tile.stop, tile.bounds, one, 0.5, 0, count)
            number = count.astype(np.int32)
        engine.reduce(METHODS[name].kernel, tile.x, tile.start, tile.stop, tile.bounds, one, 0.5, ddof, value, number)
        return value * _factors(self.method, tile.x.shape[0])[number]
