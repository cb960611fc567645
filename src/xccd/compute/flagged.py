"""A chain of rejections that gives flags: which step rejected a sample, and on which side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.compute import options
from xccd.compute.steps import Step, Unsigned, begin, with_numbers
from xccd.compute.tile import Array, in_use, tiles
from xccd.kernels.flags import Flag


@dataclass(frozen=True)
class Reasons:
    """Like `xccd.compute.chain.Chain`, but the result is the flags of all samples. A sample keeps the flags it has."""

    steps: tuple[Step, ...]
    ends = ()

    def __call__(
        self, x: Array, start: int, stop: int, flags: Array, scale: Array, weights: Array, out: Array
    ) -> None:  # fmt: skip
        """Run pixels ``start <= j < stop`` of ``x`` (frames, pixels) and write their flags to those of ``out``."""
        options.with_engine(lambda engine: self._run(engine, (x, start, stop), flags, weights, out))

    def _run(self, engine: Any, pixels: tuple[Array, int, int], flags: Array, weights: Array, out: Array) -> None:
        x, start, stop = pixels
        for low, high in tiles(x, start, stop):
            bits = np.empty((x.shape[0], high - low), np.uint8)  # one memory layout, so the kernel compiles once
            bits[:] = flags[:, low:high] if flags.shape[1] > 1 else flags
            tile, steps = begin(engine, self.steps, x, low, high)
            tile = in_use(tile, bits)
            if x.dtype.kind == "f":
                bits[(bits == 0) & ~np.isfinite(x[:, low:high])] = Flag.NOT_FINITE
            for plain in steps:
                step = with_numbers(plain, weights, low, high)
                assert not isinstance(step, Unsigned)  # only a first step is `Unsigned`, and `begin` has done it
                tile = step.flag(engine, tile, bits)
            out[:, low:high] = bits
