"""Running statistics of clipped samples: the first frames are clipped together, later ones by those before them."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import xarray as xr

from xccd.kernels.flags import Flag
from xccd.night.live.frame import Array
from xccd.night.live.limits import limits
from xccd.night.live.running import NAMES, Running
from xccd.verbs.clip import sigma_clip
from xccd.verbs.lossless import to_dataset


class Clipped:
    """`Running` with rejection; until there are ``minimum`` frames it also keeps these frames."""

    def __init__(self, low: float | None, high: float | None, minimum: int, floor: float) -> None:
        self.low, self.high = (math.inf if k is None else float(k) for k in (low, high))
        self.clips = min(self.low, self.high) < math.inf
        self.minimum, self.floor = (minimum, float(floor)) if self.clips else (0, 0.0)
        # A pixel that lost some of its first samples is judged all the same: limits are right at any count.
        self.least = max(2, (minimum + 1) // 2)
        self.frames = 0
        self.running = Running(0)
        self.first: list[Array] = []  # the first frames, until they are clipped together
        self._limits = np.full((2, 1), math.inf)

    def add(self, frame: Array) -> tuple[int, int]:
        """Add a flat frame; returns the counts of its samples and of those that are rejected.

        What may fail, for want of memory, comes before the first change.
        """
        if self.frames == 0:
            self.running = Running(frame.size)
        if self.frames + 1 == self.minimum:
            self.running, rejected = self._together([*self.first, frame])
            self.first, there = [], int(np.count_nonzero(np.isfinite(frame)))
        elif self.frames < self.minimum:
            kept = frame.copy()  # the caller may write to its array
            there, rejected = self.running.add(frame)
            self.first.append(kept)
        elif self.clips:
            there, rejected = self.running.add(frame, self._table(), self.least, self.floor)
        else:
            there, rejected = self.running.add(frame)
        self.frames += 1
        return there, rejected

    def _table(self) -> Array:
        """The limits for each count that a pixel may have."""
        if self._limits.shape[1] <= self.frames:
            self._limits = limits(self.low, self.high, 2 * self.frames)
        return self._limits

    def _together(self, frames: list[Array]) -> tuple[Running, int]:
        """The statistics of the first frames, clipped together; and how many samples of the last are rejected."""
        stack = xr.DataArray(np.stack(frames), dims=("frame", "pixel"), name="data")
        flagged = to_dataset(stack)
        clipped = sigma_clip(flagged, self.low, self.high, center="median", deviation="mad_std", floor=self.floor)
        running, rejected = Running(stack.sizes["pixel"]), 0
        for frame, bits in zip(frames, clipped["data_flags"].values, strict=True):
            running.add(np.where(bits == 0, frame, np.nan).astype(frame.dtype, copy=False))
            below, above = ((bits & flag) != 0 for flag in (Flag.REJECTED_LOW, Flag.REJECTED_HIGH))
            running.low += below
            running.high += above
            rejected = int(np.count_nonzero(below | above))
        return running, rejected

    def arrays(self) -> dict[str, Array]:
        """All that is kept, as flat arrays by name."""
        first = {f"first{i}": frame for i, frame in enumerate(self.first)}
        return {name: getattr(self.running, name) for name in NAMES} | first

    def restore(self, frames: int, array: Callable[[str], Array]) -> None:
        """Take the arrays of so many frames, each from ``array(name)``."""
        self.frames = frames
        self.running = Running.of({name: array(name) for name in NAMES})
        self.first = [array(f"first{i}") for i in range(frames if frames < self.minimum else 0)]
