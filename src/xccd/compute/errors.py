"""Ends that give the uncertainty of a combined pixel: from the scatter of its samples, or from their own errors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from xccd.compute.ends import Combine, Given, counted, reduced, totalled
from xccd.compute.maps import Flagged
from xccd.compute.tile import Array, Tile, cut_pixels
from xccd.kernels.clip_errors import METHODS as CORRECTED
from xccd.kernels.clip_errors import Clip, factors
from xccd.kernels.flags import Flag
from xccd.kernels.formulas import ratio, total
from xccd.kernels.table import METHODS

CLIPPED = int(Flag.REJECTED_LOW | Flag.REJECTED_HIGH)
FLOATS = (np.dtype(np.float32), np.dtype(np.float64))  # of errors that are read in place
# The part of the error that all frames share, from its sum over the samples and their total weight.
SHARED = {"mean": ratio, "median": ratio, "sum": total}


@lru_cache(maxsize=16)
def _error_factors(method: str, frames: int) -> Array:
    """The factors of the error formula for 0 to ``frames`` samples, float64 (frames + 1,)."""
    error = METHODS[method].error
    assert error is not None  # `uncertainty_end` asked
    with np.errstate(all="ignore"):
        return np.asarray(error.factor(np.arange(frames + 1.0)))


@dataclass(frozen=True)
class Scatter:
    """An end: the standard error of a combination, from the scatter of the samples."""

    method: str
    weighted: bool = False
    sums = False  # takes more than the sum of the samples

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        if not self.weighted:
            value, factor = self._plain(engine, tile)
            np.multiply(value, factor, out=out, casting="same_kind")
            return
        # The table's formulas are for equal weights, so weights have a kernel of their own.
        error = np.empty(tile.stop - tile.start)
        total = engine.weighted_error(tile.x, tile.start, tile.stop, tile.bounds, given.weights, error)
        out[:] = error * total if self.method == "sum" else error

    def _plain(self, engine: Any, tile: Tile) -> tuple[Array, Array]:
        error, count = METHODS[self.method].error, counted(engine, tile)
        assert error is not None  # `uncertainty_end` asked
        value = tile.spread if error.statistic == "std" else tile.mad
        if value is None:
            value = np.empty(tile.stop - tile.start)
            reduced(engine, error.statistic, tile, error.ddof, value, count)
        return value, _error_factors(self.method, tile.x.shape[0]).take(count)


def prepare(engine: Any, tile: Tile, ends: tuple[Any, ...]) -> None:
    """Find out what several ends need of the samples, so that these are read and sorted once."""
    plain = [end.end if isinstance(end, Rescaled) else end for end in ends]
    scatters = {end.method for end in map(_scatter_of, plain) if end is not None and not end.weighted}
    if takes_spread(ends) and tile.spread is None:
        places, count, total = (tile.start, tile.stop, tile.bounds), counted(engine, tile), totalled(engine, tile)
        tile.spread = engine.survey(tile.x, *places, None, count, total, 1)[0]
    if "median" in scatters and Combine("median") in plain:
        tile.middle, tile.mad = engine.median_and_mad(tile.x, tile.start, tile.stop, tile.bounds)


def takes_spread(ends: tuple[Any, ...]) -> bool:
    """Whether an end needs the scatter about the mean."""
    found = (_scatter_of(end.end if isinstance(end, Rescaled) else end) for end in ends)
    return any(end is not None and not end.weighted and end.method != "median" for end in found)


def _scatter_of(end: Any) -> Scatter | None:
    found = end.scatter if isinstance(end, Larger) else end
    return found if isinstance(found, Scatter) else None


def _error_sums(engine: Any, tile: Tile, given: Given, ranks: bool) -> tuple[Array, ...]:
    at, errors = (tile.x, tile.start, tile.stop, tile.bounds), given.errors
    if _alone(given, tile.x.shape[0]):
        count = counted(engine, tile).astype(np.float64)
        own, inverse, wrong = engine.own_errors(*at, errors, given.start, ranks)
        found = (count, own, np.zeros(1), inverse, count, count)
    else:
        errors = cut_pixels(errors, given.start, given.start + tile.stop - tile.start)
        found, wrong = engine.error_sums(*at, given.weights, given.scale, errors, given.common, ranks)
    if wrong:
        raise ValueError(f"uncertainties of {wrong} valid samples are negative: 1 sigma is 0 or more")
    return tuple(found)


def _alone(given: Given, frames: int) -> bool:
    """Whether the errors are all that counts: of each sample, without weights, factors or a common part."""
    plain = all(one.size == 1 for one in (given.weights, given.scale, given.common))
    if not plain or given.weights[0, 0] != 1 or abs(given.scale[0, 0]) != 1 or given.common[0, 0] != 0:
        return False
    errors = given.errors
    # numba would compile the kernel again for other memory
    return errors.shape[0] == frames and errors.shape[1] > 1 and errors.dtype in FLOATS and errors.flags.carray


@dataclass(frozen=True)
class Propagated:
    """An end: the standard error of a combination, from the errors of the samples."""

    method: str
    weighted: bool = False
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        formula = METHODS[self.method].propagated
        assert formula is not None  # `uncertainty_end` asked
        with np.errstate(all="ignore"):  # pixels without samples
            out[:] = formula(*_error_sums(engine, tile, given, ranks=self.method == "median"))


@dataclass(frozen=True)
class Shared:
    """An end: the part of the error of a combination that all its frames share."""

    method: str
    weighted: bool = False
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        weight, _, shared, *_ = _error_sums(engine, tile, given, ranks=False)
        out[:] = SHARED[self.method](shared, weight)


@dataclass(frozen=True)
class ErrorSum:
    """An end: one row of the sums of `engine.error_sums`, for chunks along the frames."""

    row: int
    method: str = "sum"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        out[:] = _error_sums(engine, tile, given, ranks=False)[self.row]


@dataclass(frozen=True)
class Corrected:
    """An end: an error times the factor of its clip, by the count of samples before the clip.

    A clip does not see the part that all frames share, and that stays as it is.
    """

    end: Scatter | Propagated
    clip: Clip
    sums = False

    @property
    def method(self) -> str:
        """That of the other end."""
        return self.end.method

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        value = np.empty(out.shape)
        self.end(engine, tile, given, value)
        if tile.unclipped is not None:  # the clip is a step of this chain
            before = Tile(tile.x, tile.start, tile.stop)
            before.bounds = tile.unclipped
            count = counted(engine, before)
        else:
            clipped = np.empty(out.shape)
            Flagged(CLIPPED)(engine, tile, given, clipped)
            count = counted(engine, tile) + clipped
        shared = np.zeros(out.shape)
        if isinstance(self.end, Propagated) and given.common.any():
            Shared(self.method)(engine, tile, given, shared)
        out[:] = self.times_factor(value, shared, count)

    def times_factor(self, value: Array, shared: Array, count: Array) -> Array:
        """The error with its factor, from the shared part of it and the count of samples of each pixel before."""
        way = "scatter" if isinstance(self.end, Scatter) else "propagate"
        n = np.asarray(count).astype(np.int64)
        factor = factors(self.clip, self.method, way, int(n.max(initial=0)))[n]
        with np.errstate(invalid="ignore"):  # pixels without samples
            own = np.sqrt(np.maximum(value**2 - shared**2, 0.0))
            return np.asarray(np.where(shared > 0, np.hypot(factor * own, shared), factor * value))


@dataclass(frozen=True)
class Larger:
    """An end: the larger one of two errors, and the one that there is if the other is NaN."""

    scatter: ErrorEnd
    propagated: ErrorEnd
    sums = False

    @property
    def method(self) -> str:
        """That of both ends."""
        return self.scatter.method

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        other = np.empty_like(out)
        self.scatter(engine, tile, given, other)
        self.propagated(engine, tile, given, out)
        np.fmax(out, other, out=out)


ErrorEnd = Scatter | Propagated | Corrected | Larger


@dataclass(frozen=True)
class Rescaled:
    """An end: another one times N / n, for all N frames, of which n have a sample in use."""

    end: Combine | ErrorEnd | Shared
    frames: int

    @property
    def method(self) -> str:
        """That of the other end."""
        return self.end.method

    @property
    def sums(self) -> bool:
        """That of the other end."""
        return self.end.sums

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        value = np.empty(out.shape)
        self.end(engine, tile, given, value)
        with np.errstate(all="ignore"):  # pixels without samples
            out[:] = value * (self.frames / counted(engine, tile))


def uncertainty_end(end: Any, way: str, clip: Clip | None = None) -> ErrorEnd | Rescaled | None:
    """The end that gives the error of an image by one of `table.UNCERTAINTIES`; None without a formula.

    With a ``clip``, for which `is_corrected`, it is corrected for that.
    """
    if isinstance(end, Rescaled):
        error = uncertainty_end(end.end, way)
        return Rescaled(error, end.frames) if error is not None and not isinstance(error, Rescaled) else error
    if not isinstance(end, Combine):
        return None
    row = METHODS[end.method]
    known = row.weighted_error if end.weighted else row.error is not None
    scatter = _corrected(Scatter(end.method, end.weighted), clip) if known else None
    propagated = _corrected(Propagated(end.method, end.weighted), clip) if row.propagated else None
    if way == "larger":
        return Larger(scatter, propagated) if scatter and propagated else None
    return scatter if way == "scatter" else propagated


def _corrected(end: Scatter | Propagated, clip: Clip | None) -> ErrorEnd:
    return end if clip is None else Corrected(end, clip)


def is_corrected(end: Any) -> bool:
    """Whether the error of an image can be corrected for a clip."""
    return isinstance(end, Combine) and not end.weighted and end.method in CORRECTED


def shared_end(end: Any) -> Shared | Rescaled | None:
    """The end that gives the part of the error that all frames share; None without a formula."""
    if isinstance(end, Rescaled):
        shared = shared_end(end.end)
        return Rescaled(shared, end.frames) if isinstance(shared, Shared) else None
    return Shared(end.method, end.weighted) if isinstance(end, Combine) and end.method in SHARED else None
