"""What kernels are given, as values with names. numba takes them as they are: a call costs 2 us more than with
seventeen arguments, of some hundred for a tile.
"""

from __future__ import annotations

from typing import Any, NamedTuple


class Bounds(NamedTuple):
    """Which samples of some pixels are in use: those from ``least`` to ``most``, one of each for a pixel.

    ``bounded`` is False where that is all finite ones, which saves two comparisons a sample.
    """

    least: Any
    most: Any
    bounded: bool


class Ties(NamedTuple):
    """Samples that equal a bound, where some of them go and some stay, in the order of frames.

    Of those at the least the first ``skip`` go; of those at the most the first ``keep`` stay.
    """

    skip: Any
    keep: Any


class Pixels(NamedTuple):
    """Pixels ``start <= j < stop`` of a stack ``x`` (frames, pixels), and the bounds of each, from ``start``."""

    x: Any
    start: int
    stop: int
    least: Any
    most: Any
    bounded: bool


class Counts(NamedTuple):
    """How many samples each pixel has in use: an array to read if that is ``known``, else to fill.

    ``exact``: whether no sum of samples can round, so that what rounding takes need not be collected.
    """

    known: bool
    count: Any
    exact: bool


class Request(NamedTuple):
    """What is asked of a kernel: weights as float64 (frames or 1, pixels from ``start`` or 1), mode, and divisor.

    ``mode`` is the row's number in `table.METHODS`, or the method's own argument, such as the quantile.
    """

    weights: Any
    mode: float
    ddof: int


class Scratch(NamedTuple):
    """Memory to work in: the sorting network, what stands for missing samples, the block to sort, and sums."""

    groups: Any
    pads: Any
    buffer: Any
    sums: Any
