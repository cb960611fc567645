"""A chain of rejections that gives flags: which step rejected a sample, and on which side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xccd.compute import options
from xccd.compute.rejected import flag_all
from xccd.compute.steps import Step, begin, sample_bytes, with_numbers
from xccd.compute.tile import Array, tiles


@dataclass(frozen=True)
class Reasons:
    """Like `xccd.compute.chain.Chain`, but the result is the flags of all samples. A sample keeps the flags it has."""

    steps: tuple[Step, ...]
    ends = ()

    def __call__(
        self, x: Array, start: int, stop: int, flags: Array, scale: Array, weights: Array, *rest: Any
    ) -> None:  # fmt: skip
        """Run pixels ``start <= j < stop`` of ``x`` (frames, pixels) and write their flags to those of the last array.

        The others of ``rest`` are the inputs of the first step.
        """
        *inputs, out = rest
        options.with_engine(lambda engine: self._run(engine, (x, start, stop), (flags, weights), inputs, out))

    def _run(
        self, engine: Any, pixels: tuple[Array, int, int], given: tuple[Array, Array], inputs: Any, out: Array
    ) -> None:  # fmt: skip
        (x, start, stop), (flags, weights) = pixels, given
        for low, high in tiles(x.shape[0], sample_bytes(self.steps, x), start, stop):
            tile, steps = begin(engine, self.steps, x, low, high, inputs)
            own = tuple(with_numbers(step, weights, low, high) for step in steps)
            _, bits = flag_all(engine, tile, own, flags[:, low:high] if flags.shape[1] > 1 else flags)
            out[:, low:high] = bits
