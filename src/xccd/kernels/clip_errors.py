"""How much larger than its claim the error of a clipped pixel is: a table for normal noise."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels.rejections import CENTERS, DEVIATIONS, ClipOptions

Array = np.ndarray[Any, Any]

FILE = Path(__file__).with_name("clip_errors.npz")  # `docs/make_clip_errors.py` writes it
UNIT = 1000  # a factor of 1 in the file

# The axes of the table, in their order. Between thresholds nothing is interpolated: at 2.25 a line would be wrong by up
# to 10 %. Between counts the factors are a line in 1 / n, odd and even ones apart.
RULES = (("mean", "std"), ("median", "std"), ("median", "mad_std"))  # mean with mad_std can empty a pixel
PASSES = (1, 2, 5, -1)
SIDES = (2.0, 2.5, 3.0, 3.5, 4.0, 5.0, np.inf)
PAIRS = tuple((i, j) for i in range(len(SIDES)) for j in range(i, len(SIDES)))
METHODS = ("mean", "median")
WAYS = ("scatter", "propagate")
COUNTS = (*range(3, 17), 20, 21, 30, 31, 50, 51, 100, 101, 300, 301)


class Clip(NamedTuple):
    """A clip of the table: its places among `RULES` and `PASSES`, and those of its thresholds among `SIDES`."""

    rule: int
    passes: int
    sides: tuple[int, int]


def clip_of(options: ClipOptions) -> Clip | None:
    """The clip of the table; None if the table does not have it."""
    rules = [(CENTERS[center], DEVIATIONS[deviation]) for center, deviation in RULES]
    asked = (options.center, options.deviation)
    plain = options == ClipOptions(*asked, options.low, options.high, maxiters=options.maxiters)
    sides = (options.low, options.high)
    if asked not in rules or options.maxiters not in PASSES or not plain or not set(sides) <= set(SIDES):
        return None
    return Clip(rules.index(asked), PASSES.index(int(options.maxiters)), (SIDES.index(sides[0]), SIDES.index(sides[1])))


@lru_cache(maxsize=1)
def _table() -> Array:
    with np.load(FILE) as file:
        found: Array = file["factors"] / UNIT
    return found


@lru_cache(maxsize=64)
def factors(clip: Clip, method: str, way: str, frames: int) -> Array:
    """True error over claimed error for 0 to ``frames`` samples before the clip, float64 (frames + 1,)."""
    pair = PAIRS.index((min(clip.sides), max(clip.sides)))  # normal noise is symmetric
    at_counts = _table()[clip.rule, clip.passes, pair, METHODS.index(method), WAYS.index(way)]
    found = np.ones(frames + 1)  # of one or two samples no threshold of 2 or more takes one
    n, counts = np.arange(3.0, frames + 1), np.array(COUNTS, float)
    for parity in (0, 1):
        some, known = n % 2 == parity, counts % 2 == parity
        found[3:][some] = np.interp(-1 / n[some], -1 / counts[known], at_counts[known])
    return found
