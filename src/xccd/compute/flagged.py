"""A chain of rejections that ends in flags: which step took a sample, and on which side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xccd.compute import options
from xccd.compute.steps import Step, Unsigned, begin
from xccd.compute.tile import Array, in_use, tiles
from xccd.kernels.flags import Flag


@dataclass(frozen=True)
class Reasons:
    """Run as `xccd.compute.chain.Chain` is, to the flags of all samples: a sample keeps those that it has."""

    steps: tuple[Step, ...]
    ends = ()

    def __call__(
        self, x: Array, start: int, stop: int, flags: Array, scale: Array, weights: Array, out: Array
    ) -> None:  # fmt: skip
        """Run pixels ``start <= j < stop`` of ``x`` (frames, pixels) into the same of ``out``."""
        options.with_engine(lambda engine: self._run(engine, (x, start, stop), flags, out))

    def _run(self, engine: Any, pixels: tuple[Array, int, int], flags: Array, out: Array) -> None:
        x, start, stop = pixels
        for a, b in tiles(x, start, stop):
            bits = np.empty((x.shape[0], b - a), np.uint8)  # of one layout, for which the kernel is compiled
            bits[:] = flags[:, a:b] if flags.shape[1] > 1 else flags
            tile, steps = begin(engine, self.steps, x, a, b)
            tile = in_use(tile, bits)
            if x.dtype.kind == "f":
                bits[(bits == 0) & ~np.isfinite(x[:, a:b])] = Flag.NOT_FINITE
            for step in steps:
                assert not isinstance(step, Unsigned)  # only the first step of a chain is, and `begin` has done it
                tile = step.flag(engine, tile, bits)
            out[:, a:b] = bits
