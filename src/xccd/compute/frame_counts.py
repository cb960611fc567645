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

    def add(self, counts: list[int]) -> None:
        """Add the counts of a tile."""
        with self.lock:
            self.counts += counts


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
        self.total.add([int(np.count_nonzero((row >= least) & (row <= most))) for row in rows])


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
