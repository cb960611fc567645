"""The arguments of kernels, as NamedTuples.

numba accepts them. A call costs 2 us more than with seventeen arguments; a tile takes some hundred.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """The samples in use: from ``least`` to ``most``, one pair for each pixel, in the dtype of the samples.

    ``bounded`` is False if all finite samples are in use. This saves two comparisons a sample.
    """

    least: Any
    most: Any
    bounded: bool


class Ties(NamedTuple):
    """Samples equal to a bound, where some are rejected and some stay, in the order of frames. Counts per pixel.

    The first ``skip`` samples equal to the least are rejected. The first ``keep`` samples equal to the most stay.
    """

    skip: Any
    keep: Any


class Marks(NamedTuple):
    """Samples that are left out one by one: their pixels, counted from the first of the tile, frames, and flags."""

    pixel: Any
    frame: Any
    flag: Any


class PixelRange(NamedTuple):
    """Pixels ``start <= j < stop`` of a stack ``x`` (frames, pixels), and their bounds, (stop - start) of each."""

    x: Any
    start: int
    stop: int
    least: Any
    most: Any
    bounded: bool


class Counts(NamedTuple):
    """The per-pixel count of samples in use, int32: to be read if ``known``, else to be filled.

    ``exact`` is True if no sum of samples can round. Then rounding errors are not collected.
    """

    known: bool
    count: Any
    exact: bool


class Request(NamedTuple):
    """The options of a combination: weights as float64 (frames or 1, pixels from ``start`` or 1), mode, and ddof.

    ``mode`` is the row's number in `table.METHODS`, or the method's own argument, for example the quantile.
    """

    weights: Any
    mode: float
    ddof: int


class Scratch(NamedTuple):
    """The sorting network, the values that replace missing samples, the block to sort, and room for sums.

    ``groups`` is a table of `compiled.groups.program`. ``pads`` are four samples: the value that sorts behind all, the
    value that sorts before all, 0 and 1. ``buffer`` is a `compiled.block.block`. ``sums`` is float64.
    """

    groups: Any
    pads: Any
    buffer: Any
    sums: Any
