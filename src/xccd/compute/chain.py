"""What verbs do to one block of a stack: a chain of steps, run some thousand pixels at a time, in cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xccd.compute import options
from xccd.compute.ends import End, is_scaled, scaled
from xccd.compute.steps import Step, Summing, begin
from xccd.compute.tile import Array, cut_pixels, in_use, tiles


@dataclass(frozen=True)
class Chain:
    """Steps, and at the end combinations or, without any, the masked stack."""

    steps: tuple[Step, ...]
    ends: tuple[End, ...] = ()

    def __call__(
        self, x: Array, start: int, stop: int, flags: Array, scale: Array, weights: Array, *out: Array
    ) -> None:  # fmt: skip
        """Run pixels ``start <= j < stop`` of ``x`` (frames, pixels) into the same of ``out``, one for each end."""
        options.with_engine(lambda engine: self._run(engine, (x, start, stop), flags, scale, weights, out))

    def _run(
        self, engine: Any, pixels: tuple[Array, int, int], flags: Array, scale: Array, weights: Array,
        out: tuple[Array, ...],
    ) -> None:  # fmt: skip
        x, start, stop = pixels
        all_steps = self._steps(scale)
        for a, b in tiles(x, start, stop):
            tile, steps = begin(engine, all_steps, x, a, b)
            if flags.size > 1 or flags.any():
                tile = in_use(tile, flags[:, a:b])
            for step in steps:
                tile = step(engine, tile)
            if not self.ends:
                engine.masked(tile.x, tile.start, tile.stop, tile.bounds, None, out[0], a)
                continue
            with np.errstate(over="ignore", invalid="ignore"):  # a float64 that float32 does not hold is infinite there
                if is_scaled(scale):
                    tile = scaled(tile, cut_pixels(scale, a, b))
                for end, image in zip(self.ends, out, strict=True):
                    end(engine, tile, cut_pixels(weights, a, b), image[a:b])

    def _steps(self, scale: Array) -> tuple[Step, ...]:
        """The steps; the last one gives the sums of what is left, where ends ask for them and it can.

        A step that gives sums "alone" does so instead of finding which tied samples go: no end may look at samples.
        """
        *before, last = self.steps or (None,)
        gives = last.row.sums if isinstance(last, Summing) else None
        by_sums = [end.sums for end in self.ends if end.method != "count"]
        asked = any(by_sums) and (all(by_sums) or gives == "always") and not is_scaled(scale)
        return (*before, replace(last, summed=True)) if asked and isinstance(last, Summing) else self.steps
