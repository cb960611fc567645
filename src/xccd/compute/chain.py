"""A chain of steps and ends on one block of a stack, run on some thousand pixels at a time, in cache."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xccd.compute import options
from xccd.compute.ends import End, Given, is_scaled, scaled
from xccd.compute.errors import prepare, takes_spread
from xccd.compute.maps import ByFrame
from xccd.compute.rejected import follow
from xccd.compute.steps import Step, Summing, begin, clip_stored, inputs_of, may_clip_stored, sample_bytes, with_numbers
from xccd.compute.tile import Array, in_use, tiles


@dataclass(frozen=True)
class Chain:
    """Steps, then ends (images). A chain without ends gives the masked stack."""

    steps: tuple[Step, ...]
    ends: tuple[End, ...] = ()
    reasons: bool = False  # whether the ends are told what the steps rejected, and for what reason

    def __call__(
        self, x: Array, start: int, stop: int, flags: Array, scale: Array, weights: Array, *rest: Any
    ) -> None:  # fmt: skip
        """Run pixels ``start <= j < stop`` of ``x`` (frames, pixels) to those of the images, one for each end.

        The images are the last of ``rest``. Before them are the inputs of the first step, and before these what else
        belongs to the samples, as in `ends.Given`.
        """
        images = len(rest) - max(1, len(self.ends))
        sides = images - inputs_of(self.steps)
        given, inputs, out = (flags, scale, weights, *rest[:sides]), rest[sides:images], rest[images:]
        options.with_engine(lambda engine: self._run(engine, (x, start, stop), given, inputs, out))

    def _run(
        self, engine: Any, pixels: tuple[Array, int, int], given: tuple[Array, ...], inputs: Any, out: tuple[Array, ...]
    ) -> None:  # fmt: skip
        (x, start, stop), (flags, scale, weights, *_) = pixels, given
        all_steps = self._steps(scale)
        plain = not self.reasons and flags.size == 1 and not flags.any() and all(e.sums for e in self.ends)
        as_stored = plain and may_clip_stored(all_steps, x)
        for low, high in tiles(x.shape[0], sample_bytes(all_steps, x), start, stop):
            clipped = clip_stored(engine, all_steps, x, low, high, inputs) if as_stored else None
            tile, steps = (clipped, ()) if clipped else begin(engine, all_steps, x, low, high, inputs)
            steps = tuple(with_numbers(step, weights, low, high) for step in steps)
            if self.reasons:
                bits = flags[:, low:high] if flags.shape[1] > 1 else flags
                tile = follow(engine, tile, steps, bits, takes_spread(self.ends) and not is_scaled(scale))
            else:
                if flags.size > 1 or flags.any():
                    tile = in_use(tile, flags[:, low:high])
                for step in steps:
                    tile = step(engine, tile)
            if not self.ends:
                engine.masked(tile.x, tile.start, tile.stop, tile.bounds, None, out[0], low)
                continue
            with np.errstate(over="ignore", invalid="ignore"):  # a float64 beyond float32 becomes infinite
                own = Given.cut(low, high, *given)
                if is_scaled(scale):
                    tile = scaled(tile, own.scale)
                prepare(engine, tile, self.ends)
                for end, image in zip(self.ends, out, strict=True):
                    end(engine, tile, own, image if isinstance(end, ByFrame) else image[low:high])

    def _steps(self, scale: Array) -> tuple[Step, ...]:
        """The steps. The last one also returns the sums of the remaining samples, if an end needs them and it can.

        A step that gives sums "alone" does not find out which tied samples are rejected. So no end may read samples.
        """
        *before, last = self.steps or (None,)
        gives = last.row.sums if isinstance(last, Summing) else None
        by_sums = [end.sums for end in self.ends if end.method != "count"]
        asked = any(by_sums) and (all(by_sums) or gives == "always") and not is_scaled(scale)
        return (*before, replace(last, summed=True)) if asked and isinstance(last, Summing) else self.steps
