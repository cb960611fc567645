"""One pixel of a stack: its samples, read without the others, and a chain run on them step by step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from xccd.compute.arrays import is_dask, is_deferred
from xccd.compute.calibrated import Input
from xccd.compute.plans import Plan
from xccd.compute.rejected import flag_all
from xccd.compute.steps import First, Rejecting, begin, with_numbers
from xccd.compute.tile import Array, Tile, tile_of
from xccd.kernels.plain import engine

Index = tuple[int, ...]
After = Callable[[int, Array, Array], Array]  # (number of the step, flags before it, flags after it) to other flags


class Turn(NamedTuple):
    """What a step did: the samples in use before it (float64, NaN for the others), and all flags after it."""

    before: Array
    flags: Array
    step: Any  # with its numbers of this pixel


def pixel_of(array: Any, index: Index) -> Array:
    """One pixel of an array whose last axes are those of ``index``, with axes of size 1 in their place.

    An axis of size 1 broadcasts. Of an array of files only the bytes of that pixel's rows are read.
    """
    lead = array.ndim - len(index)
    own = index[-lead:] if lead < 0 else index  # an array of the last axes alone
    places = zip(own, array.shape[max(lead, 0) :], strict=True)
    parts = (slice(0, 1) if n == 1 else slice(i, i + 1) for i, n in places)
    key = (slice(None),) * max(lead, 0) + tuple(parts)
    if is_deferred(array):
        return np.asarray(array.select(key))
    return np.asarray(array[key].compute() if is_dask(array) else array[key])


def first_samples(plan: Plan, index: Index) -> Array:
    """The samples (frames,) of a pixel before any rejection, in the dtype in which a chain works on them."""
    x = pixel_of(plan.source, index)
    first = tuple(step for step in plan.steps[:1] if isinstance(step, First))
    inputs = [Input(pixel_of(value, index), (1,) * len(index)) for value in plan.inputs] if first else []
    tile, _ = begin(engine, first, np.ascontiguousarray(x.reshape(len(x), 1)), 0, 1, inputs)
    return np.array(tile.x[:, tile.start])


def turns(
    x: Array, flags: Array, steps: Sequence[Rejecting | None], numbers: Sequence[Any], after: After | None = None
) -> list[Turn]:  # fmt: skip
    """What each step does to the samples (frames,) of a pixel, whose flags are these before.

    ``numbers`` are what steps take of each sample or frame, None for most. ``after`` may change the flags that a step
    gave. The NumPy engine does it, whose results are those of numba to the bit: compiling takes longer than one pixel.
    """
    column = tile_of(np.ascontiguousarray(x.reshape(-1, 1)), 0, 1).x  # in a dtype of kernels
    tile, bits = flag_all(engine, Tile(column, 0, 1), (), flags.reshape(-1, 1))
    found = []
    for i, (rule, own) in enumerate(zip(steps, numbers, strict=True)):
        step = rule
        old = bits.copy()
        before = np.where(old[:, 0] == 0, x, np.nan).astype(np.float64)
        if step is not None:
            extra = np.ones((1, 1)) if own is None else np.asarray(own).reshape(-1, 1)
            step = with_numbers(step, extra, 0, 1)
            tile = step.flag(engine, tile, bits)
        if after is not None:
            new = after(i, old[:, 0], bits[:, 0])
            if not np.array_equal(new, bits[:, 0]):
                tile, bits = flag_all(engine, Tile(column, 0, 1), (), new.reshape(-1, 1))
        found.append(Turn(before, bits[:, 0].copy(), step))
    return found
