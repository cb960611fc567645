"""What verbs do to one block of a stack: a chain of steps, run some thousand pixels at a time, in cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Protocol

import numpy as np

from xccd import _options
from xccd.kernels.limits import float_dtype, inner, limits, working_dtype
from xccd.kernels.table import METHODS

Array = np.ndarray[Any, Any]
TILE_BYTES = 4 << 20  # of samples at a time: in L2 or L3, and far more work than the calls that it takes


@dataclass
class Tile:
    """Some pixels of all frames, and which of their samples are in use."""

    x: Array
    start: int
    stop: int
    bounds: tuple[Array, Array, bool] = field(init=False)  # shared until a step has made its own
    number: Array | None = None  # of samples in use, where that is known
    total: Array | None = None  # and their sum, where a step gave it

    def __post_init__(self) -> None:
        self.bounds = (*_everything(self.x.dtype, self.stop - self.start), False)

    def own_bounds(self) -> tuple[Array, Array, bool]:
        """The bounds, to be narrowed in place."""
        least, most, bounded = self.bounds
        return least.copy(), most.copy(), bounded

    def masked(self, engine: Any, ties: Any = None) -> Tile:
        """The same pixels by themselves, NaN for what is not in use."""
        size = self.stop - self.start
        out = np.empty((self.x.shape[0], size), float_dtype(self.x.dtype))
        engine.masked(self.x, self.start, self.stop, self.bounds, ties, out, 0)
        return Tile(out, 0, size)


@lru_cache(maxsize=4)
def _everything(dtype: np.dtype[Any], size: int) -> tuple[Array, Array]:
    """Bounds within which all samples are; nobody writes to them. Made anew they take 5 % of a median of 10."""
    found = limits(dtype)
    return np.full(size, found.least), np.full(size, found.most)


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


@dataclass(frozen=True)
class Unsigned:
    """16-bit integers as FITS stores unsigned ones, less 32768 (BZERO), become what they stand for."""

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        x = tile.x[:, tile.start : tile.stop].view(np.uint16)
        x ^= np.uint16(1 << 15)  # in place: `begin` sees to it that the tile is a copy
        return Tile(x, 0, x.shape[1])


Step = Sigma | Extrema | Range | Unsigned
BY_SAMPLE = (Range, Unsigned)  # that look at one sample, not at others of its pixel


def check_factors(valid: Array, scale: Array) -> None:
    """A sample without a factor is not taken for a missing one."""
    if not np.isfinite(scale).all():
        unusable = np.count_nonzero(valid & ~np.isfinite(scale))
        if unusable:
            raise ValueError(f"scale: {unusable} valid samples have a scale that is NaN or infinite")


def _is_scaled(scale: Array) -> bool:
    return bool(scale.size > 1 or scale.flat[0] != 1)


def _scaled(tile: Tile, scale: Array) -> Tile:
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
class Chain:
    """Steps, and at the end combinations or, without any, the masked stack."""

    steps: tuple[Step, ...]
    ends: tuple[End, ...] = ()

    def __call__(
        self, x: Array, start: int, stop: int, flags: Array, scale: Array, weights: Array, *out: Array
    ) -> None:  # fmt: skip
        """Run pixels ``start <= j < stop`` of ``x`` (frames, pixels) into the same of ``out``, one for each end."""
        _options.with_engine(lambda engine: self._run(engine, (x, start, stop), flags, scale, weights, out))

    def _run(
        self, engine: Any, pixels: tuple[Array, int, int], flags: Array, scale: Array, weights: Array,
        out: tuple[Array, ...],
    ) -> None:  # fmt: skip
        x, start, stop = pixels
        all_steps = self._steps(scale)
        for a, b in tiles(x, start, stop):
            tile, steps = begin(engine, all_steps, x, a, b)
            if flags.size > 1 or flags.any():
                tile = in_use(tile, flags[:, a:b])
            for step in steps:
                tile = step(engine, tile)
            if not self.ends:
                engine.masked(tile.x, tile.start, tile.stop, tile.bounds, None, out[0], a)
                continue
            with np.errstate(over="ignore", invalid="ignore"):  # a float64 that float32 does not hold is infinite there
                if _is_scaled(scale):
                    tile = _scaled(tile, _cut(scale, a, b))
                for end, image in zip(self.ends, out, strict=True):
                    end(engine, tile, _cut(weights, a, b), image[a:b])

    def _steps(self, scale: Array) -> tuple[Step, ...]:
        """The steps, of which the last gives the sums if ends ask for these alone.

        `Extrema` gives them instead of telling which tied samples go: then no end may look at the samples.
        """
        *before, last = self.steps or (None,)
        by_sums = [end.sums for end in self.ends if end.method != "count"]
        asked = any(by_sums) and (all(by_sums) or isinstance(last, Sigma)) and not _is_scaled(scale)
        return (*before, replace(last, summed=True)) if asked and isinstance(last, Sigma | Extrema) else self.steps


def tiles(x: Array, start: int, stop: int) -> Iterator[tuple[int, int]]:
    """From ``start`` to ``stop`` by as many pixels as make a tile: whole blocks."""
    size = max(512, TILE_BYTES // max(1, x.shape[0] * x.itemsize) // 256 * 256)
    for a in range(start, stop, size):
        yield a, min(a + size, stop)


def begin(engine: Any, steps: tuple[Step, ...], x: Array, a: int, b: int) -> tuple[Tile, tuple[Step, ...]]:
    """Some pixels as samples, and the steps that are left to do: one that makes samples of what is stored is done."""
    tile = _tile(x, a, b)
    if steps and isinstance(steps[0], Unsigned):
        if tile.x is x:
            tile = Tile(x[:, a:b].copy(), 0, b - a)
        return steps[0](engine, tile), steps[1:]
    return tile, steps


def _tile(x: Array, a: int, b: int) -> Tile:
    """Some pixels as kernels read them: where that takes another dtype or byte order, a copy.

    So also of memory that must not be written to, or is not aligned, for which numba would compile all once more.
    """
    dtype = working_dtype(x.dtype)
    if x.dtype == dtype and x.flags.carray:
        return Tile(x, a, b)
    return Tile(np.array(x[:, a:b], dtype, order="C"), 0, b - a)


def in_use(tile: Tile, flags: Array) -> Tile:
    """A new tile of the samples that have no flag, NaN for others; the same one where none has."""
    if not flags.any():
        return tile
    x = tile.x[:, tile.start : tile.stop]
    x = x.astype(float_dtype(x.dtype))
    np.copyto(x, np.nan, where=flags != 0)
    return Tile(x, 0, x.shape[1])


def _cut(extra: Array, a: int, b: int) -> Array:
    """Weights or factors of these pixels as float64 (frames or 1, pixels or 1)."""
    return np.ascontiguousarray(extra[:, a:b] if extra.shape[1] > 1 else extra, dtype=np.float64)
