"""Mean, scatter and count of each pixel as frames come; memory does not grow with them."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np

from xccd.compute import options
from xccd.compute.pool import run_all

Array = np.ndarray[Any, Any]
PIECE = 1 << 16  # pixels of one call of the kernel: they fit into a cache
NEVER = 1 << 30  # as ``least``: nothing is rejected
NAMES = ("mean", "squares", "count", "low", "high")
_NO_LIMITS = np.full((2, 2), np.inf)


class Running:
    """The statistics of the frames so far, as flat arrays: 28 bytes for each pixel."""

    def __init__(self, size: int) -> None:
        self.mean, self.squares = np.zeros(size), np.zeros(size)
        self.count, self.low, self.high = (np.zeros(size, np.int32) for _ in range(3))

    @classmethod
    def of(cls, arrays: dict[str, Array]) -> Running:
        """From the arrays by name."""
        found = cls(0)
        vars(found).update({name: arrays[name] for name in NAMES})
        return found

    def add(
        self, frame: Array, limits: Array | None = None, least: int = NEVER, floor: float = 0.0
    ) -> tuple[int, int]:  # fmt: skip
        """Add a flat frame; returns the counts of its samples and of those that are rejected."""
        bounds = _NO_LIMITS if limits is None else limits
        arguments = (frame, self.mean, self.squares, self.count, self.low, self.high, bounds, least, floor * floor)
        pieces = -(-frame.size // PIECE)
        found = np.zeros((pieces, 2), np.int64)

        def run(engine: ModuleType) -> None:
            kernel = _kernel(engine.NAME == "numba")

            def one(i: int) -> None:
                found[i] = kernel(*arguments, i * PIECE, min(frame.size, (i + 1) * PIECE))

            run_all(one, pieces, options.threads())

        options.with_engine(run)
        there, rejected = found.sum(0).tolist()
        return there, rejected

    def uncertainty(self) -> Array:
        """The standard error of the mean, from the scatter; NaN for less than two samples."""
        n = self.count
        with np.errstate(all="ignore"):
            return np.where(n > 1, np.sqrt(self.squares / (n - 1) / n), np.nan)


def _kernel(compiled: bool) -> Any:
    if compiled:
        from xccd.kernels.compiled import running

        return running.added
    from xccd.kernels.plain import running as plain

    return plain.added
