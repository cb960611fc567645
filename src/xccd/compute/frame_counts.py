"""How many samples of each frame are in use, counted while the image is made."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

import numpy as np

from xccd.compute.ends import Combine, End, Given
from xccd.compute.tile import Array, Tile


class FrameCounts:
    """The counts of the frames, added up tile by tile, in any thread."""

    def __init__(self, frames: int) -> None:
        self.counts, self.lock = np.zeros(frames, np.int64), Lock()
        self.sides = np.zeros((2, frames), np.int64)  # what clips rejected as low and as high, if the steps tell
        self.shares = np.zeros((2, frames))  # the same as shares of a frame
        self.pixels = 0

    def add(self, counts: list[int], pixels: int = 0, sides: Array | None = None) -> None:
        """Add the counts of a tile of so many pixels."""
        with self.lock:
            self.counts += counts
            if sides is not None:
                self.sides += sides
                self.pixels += pixels
                np.divide(self.sides, self.pixels, out=self.shares)


@dataclass(frozen=True)
class CountedByFrame:
    """An end: the per-pixel count of `combine("count")`, which also adds to the counts of the frames."""

    total: FrameCounts = field(compare=False)
    method: str = "count"
    sums = False

    def __call__(self, engine: Any, tile: Tile, given: Given, out: Array) -> None:
        Combine("count")(engine, tile, given, out)
        least, most, _ = tile.bounds
        # 25 frames of 2048 x 2048 take 40 ms.
        rows = tile.x[:, tile.start : tile.stop]
        sides = None if tile.rejected is None else tile.rejected.by_frame
        self.total.add([int(np.count_nonzero((row >= least) & (row <= most))) for row in rows], rows.shape[1], sides)


_END: ContextVar[End | None] = ContextVar("count_end", default=None)


@contextmanager
def counting(total: FrameCounts) -> Iterator[None]:
    """A context in which the map of counts of a lazy product also adds to the counts of the frames."""
    token = _END.set(CountedByFrame(total))
    try:
        yield
    finally:
        _END.reset(token)


def count_end() -> End:
    """The end of the map of counts."""
    return _END.get() or Combine("count")
