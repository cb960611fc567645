"""The steps of a chain: what each rejection does to the bounds and the flags of a tile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from typing import Any, cast

import numpy as np

from xccd.compute import by_functions
from xccd.compute.calibrated import Calibrated, Input
from xccd.compute.tile import Array, Tile, in_use, tile_of
from xccd.kernels.arguments import Bounds, Marks, Ties
from xccd.kernels.changes import SUBTRACT
from xccd.kernels.flags import Flag
from xccd.kernels.limits import inner
from xccd.kernels.table import DEVIATIONS, REJECTIONS, ClipOptions, Rejection

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
        tile.unclipped = tile.bounds
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
class Window:
    """A row of `REJECTIONS` whose survivors are a window of the sorted column."""

    name: str
    options: tuple[float, ...]  # low and high, then the row's own

    @property
    def row(self) -> Rejection:
        return REJECTIONS[self.name]

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        bounds = tile.own_bounds()
        tile.count = engine.window(self.name, tile.x, tile.start, tile.stop, bounds, self.options)
        tile.bounds, tile.total = bounds._replace(bounded=True), None
        return tile

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and flag the rejected samples in ``bits`` by their side."""
        tile = self(engine, tile)
        some, x = _emptied(tile.count, tile, bits)
        if some.size:
            bits[:, some] |= by_functions.sides_of_median(x, np.isfinite(x))
        engine.flag(tile.x, tile.start, tile.stop, tile.bounds, None, LOW, HIGH, bits)
        return tile


_NO_NUMBERS = np.zeros((1, 1))


@dataclass(frozen=True)
class Marked:
    """A row of `REJECTIONS` whose survivors are marked one by one, or a user's function.

    ``of_frames`` are numbers of each frame, as a tuple for each kind. With ``takes_samples`` numbers of each sample or
    frame come with the call of the chain, in place of weights: `with_numbers` puts them in.
    """

    name: str
    options: tuple[float, ...] = ()
    of_frames: tuple[tuple[float, ...], ...] = ()
    takes_samples: bool = False
    function: Callable[..., Any] | None = None  # a user's; then no kernel is called
    of_samples: Any = field(default=None, compare=False)

    @property
    def row(self) -> Rejection | None:
        return REJECTIONS.get(self.name)

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        new, marks = self._marks(engine, tile)
        return _without(engine, new, marks)

    def flag(self, engine: Any, tile: Tile, bits: Array) -> Tile:
        """Do the step, and flag the rejected samples in ``bits`` by their side."""
        new, marks = self._marks(engine, tile)
        before = bits[marks.frame, marks.pixel]
        bits[marks.frame, marks.pixel] = np.where(before == 0, marks.flag, before)
        engine.flag(tile.x, tile.start, tile.stop, new.bounds, None, LOW, HIGH, bits)
        return _without(engine, new, marks)

    def _marks(self, engine: Any, tile: Tile) -> tuple[Tile, Marks]:
        """The tile with narrower bounds, and the samples that these do not leave out."""
        new, bounds = copy(tile), tile.own_bounds()
        new.count = new.total = None
        if self.function is not None:
            found = by_functions.marks(tile.masked(engine).x, self.function)
            frame, pixel = np.nonzero(found)
            return new, Marks(pixel, frame, found[frame, pixel])
        of_frames = np.array(self.of_frames, np.float64).reshape(-1, tile.x.shape[0])
        of_samples = _NO_NUMBERS if self.of_samples is None else self.of_samples
        new.count, marks = engine.mark(
            self.name, tile.x, tile.start, tile.stop, bounds, self.options, of_frames, of_samples
        )
        new.bounds = bounds._replace(bounded=True)
        return new, marks


@dataclass(frozen=True)
class Share(Marked):
    """`clip_extrema` in proportion to the samples that a pixel has: marks where some are missing, else `Extrema`.

    With marks for all pixels, extrema and mean of noise took 500 ms instead of 60.
    """

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        x, (least, most, _) = tile.x[:, tile.start : tile.stop], tile.bounds
        some = np.flatnonzero(~((x >= least) & (x <= most)).all(0))
        whole = Extrema(int(self.options[0]), int(self.options[1]))(engine, copy(tile))
        if not some.size:
            return whole
        few = Tile(np.ascontiguousarray(x[:, some]), 0, some.size)
        few.bounds = Bounds(least[some], most[some], True)
        new = whole.masked(engine)
        new.x[:, some] = super().__call__(engine, few).masked(engine).x
        return new


def _without(engine: Any, tile: Tile, marks: Marks) -> Tile:
    """A tile with NaN for the marked samples; the tile itself if there is none."""
    if not marks.pixel.size:
        return tile
    new = tile.masked(engine)  # a copy: it may be the caller's array, and an integer cannot become NaN
    new.x[marks.frame, marks.pixel] = np.nan
    new.count = tile.count
    if new.x.dtype == tile.x.dtype:
        new.bounds = tile.bounds
    return new


@dataclass(frozen=True)
class Unsigned:
    """Convert 16-bit integers that FITS stores less 32768 (BZERO) to the unsigned integers that they mean."""

    row = None

    def __call__(self, engine: Any, tile: Tile) -> Tile:
        x = tile.x[:, tile.start : tile.stop].view(np.uint16)
        x ^= np.uint16(1 << 15)  # in place: `begin` makes sure that the tile is a copy
        return Tile(x, 0, x.shape[1])


Summing = Sigma | Extrema  # these can return the sums of the remaining samples
Rejecting = Summing | Range | Window | Marked
First = Unsigned | Calibrated  # a first step: samples as they are stored become those of the stack
Step = Rejecting | First
STEPS: dict[str, type[Rejecting]] = {  # rows of `REJECTIONS`
    name: {"sigma": Sigma, "extrema": Extrema, "range": Range}.get(name, Window if row.kernel else Marked)
    for name, row in REJECTIONS.items()
}


def is_by_sample(step: Step) -> bool:
    """Whether a step judges each sample without the others of its pixel."""
    return isinstance(step, First) or (step.row is not None and step.row.by_sample)


def with_numbers(step: Rejecting, extra: Array, start: int, stop: int) -> Rejecting:
    """The step with its numbers of pixels ``start <= j < stop``, if it takes some.

    ``extra`` is (frames or 1, pixels or 1). A record for each frame has a field for each of its kinds of numbers.
    """
    if not isinstance(step, Marked) or not step.takes_samples:
        return step
    if extra.dtype.names:
        return replace(step, of_frames=tuple(tuple(extra[name][:, 0].tolist()) for name in extra.dtype.names))
    return replace(step, of_samples=extra[:, start:stop] if extra.shape[1] > 1 else extra)


def begin(
    engine: Any, steps: tuple[Step, ...], x: Array, start: int, stop: int, inputs: Sequence[Input] = ()
) -> tuple[Tile, tuple[Rejecting, ...]]:  # fmt: skip
    """Pixels ``start <= j < stop`` as a tile, and the steps left to do. A step `First` is already done.

    ``inputs`` are those of `Calibrated`.
    """
    first, rest = steps[0] if steps else None, cast("tuple[Rejecting, ...]", steps[1:])
    if isinstance(first, Calibrated):
        out = np.empty((x.shape[0], stop - start), first.dtype)
        first.write(engine, x, start, stop, inputs, out)
        return Tile(out, 0, stop - start), rest
    tile = tile_of(x, start, stop)
    if isinstance(first, Unsigned):
        if tile.x is x:
            tile = Tile(x[:, start:stop].copy(), 0, stop - start)
        return first(engine, tile), rest
    return tile, cast("tuple[Rejecting, ...]", steps)


def clip_stored(
    engine: Any, steps: tuple[Step, ...], x: Array, start: int, stop: int, inputs: Sequence[Input]
) -> Tile | None:  # fmt: skip
    """Pixels of 16-bit integers after `Calibrated` and `Sigma`, with the sums of what is left; None if it cannot be.

    Masters keep the order of a pixel's samples, if they are the same for all frames and flats are positive. So integers
    are sorted in place of floats, and no tile of floats is made. Its samples are there only if the sums may round.
    """
    first, clip = steps
    assert isinstance(first, Calibrated)
    assert isinstance(clip, Sigma)
    found = first.rows(inputs, start, stop)
    if found is None or (found[1][found[0] != SUBTRACT] <= 0).any():
        return None
    stored, _ = begin(engine, (Unsigned(),) if first.unsigned else (), x, start, stop)
    made = Tile(np.empty((0, stop - start), first.dtype), 0, stop - start)
    bounds, made.total = made.own_bounds(), np.empty(stop - start)
    made.count = engine.sigma_stored(stored.x, stored.start, stored.stop, *found, bounds, clip.options, made.total)
    if np.isnan(made.total[0]):
        made.x = np.empty((len(x), stop - start), first.dtype)
        engine.calibrated(stored.x, stored.start, stored.stop, False, *found, made.x, 0)
    made.bounds = bounds._replace(bounded=True)
    return made


def may_clip_stored(steps: tuple[Step, ...], x: Array) -> bool:
    """Whether `clip_stored` may do these steps."""
    first, clip, *rest = (*steps, None, None)
    return (
        isinstance(first, Calibrated)
        and isinstance(clip, Sigma)
        and clip.summed
        and clip.options.deviation != DEVIATIONS["mad_std"]
        and rest == [None, None]
        and x.dtype.kind in "iu"
        and x.dtype.itemsize == 2
        and first.dtype == np.float32
    )


def inputs_of(steps: tuple[Step, ...]) -> int:
    """How many arrays a chain takes for its first step."""
    return steps[0].inputs if steps and isinstance(steps[0], Calibrated) else 0


def sample_bytes(steps: tuple[Step, ...], x: Array) -> int:
    """Bytes of a sample in a tile."""
    return steps[0].dtype.itemsize if steps and isinstance(steps[0], Calibrated) else int(x.itemsize)


def _emptied(count: Any, tile: Tile, bits: Array) -> tuple[Array, Array]:
    """The pixels that lost all their samples, and these samples (frames, pixels), NaN for samples with a flag."""
    some = np.flatnonzero((count == 0) & (bits == 0).any(0))
    return some, np.where(bits[:, some] == 0, tile.x[:, tile.start + some], np.nan)
