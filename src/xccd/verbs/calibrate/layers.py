"""Steps of a calibration one after another as one elementwise layer, and as the first step of a chain behind them.

A step notes on its lazy result the array that it began at, and the changes since; the next step begins there, too, and
so does a clip or a combination. The first one begins at the samples as files store them, if that is known.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from xccd.compute import arrays, notes, options
from xccd.compute.calibrated import Calibrated, Change, Input
from xccd.compute.plans import Plan, plan_of, remember_steps
from xccd.compute.steps import Unsigned
from xccd.compute.tile import tiles
from xccd.read.reader import lazy

Array = Any


def with_step(
    x: Array, change: Callable[..., Any], prepare: Callable[..., Any], *inputs: Array, dtype: np.dtype[Any]
) -> Array:  # fmt: skip
    """The samples after a step, in one layer with the steps that made ``x``."""
    source, step, before = _beginning(x, dtype)
    kept = tuple(notes.kept(_as_stored(one, x)) for one in inputs) if arrays.is_lazy(x) else inputs
    step = Calibrated(step.unsigned, (*step.changes, Change(change, prepare, len(inputs))), dtype)
    made = arrays.map_elementwise(partial(_run, step=step), source, *before, *kept, dtype=dtype)
    if arrays.is_lazy(x):
        remember_steps(made, source, (step,), (*before, *kept))
    return made


def _beginning(x: Array, dtype: np.dtype[Any]) -> tuple[Array, Calibrated, tuple[Array, ...]]:
    """Where the steps of ``x`` began, the steps, and their inputs."""
    source, steps, inputs = plan_of(x) if arrays.is_lazy(x) else Plan(x, ())
    if len(steps) == 1 and isinstance(steps[0], Calibrated):
        return source, steps[0], inputs
    if all(isinstance(step, Unsigned) for step in steps):
        return source, Calibrated(bool(steps), (), dtype), ()
    return x, Calibrated(False, (), dtype), ()  # a clip


def _as_stored(values: Array, x: Array) -> Array:
    """A master as it is stored, if these are its numbers: they are converted tile by tile.

    On dask it is read in the bands of the frames. To cut them from a whole image took a tenth of the time.
    """
    reader = notes.noted(values, notes.READER) if arrays.is_dask(values) else None
    if reader is not None and arrays.is_dask(x) and values.shape[1:] == x.shape[1:]:
        values = lazy(reader, (-1, *x.chunks[1:]), None, _unchanged)
    source, steps, _ = plan_of(values) if arrays.is_lazy(values) else Plan(values, ())
    return values if steps else source


def _unchanged(chunks: Any) -> Any:
    return chunks


def _run(x: Array, *inputs: Array, step: Calibrated) -> Array:
    """All steps on one block, frames first."""
    out = np.empty(x.shape, step.dtype)
    if x.size:
        flat, to = (values.reshape(len(x) if x.ndim else 1, -1) for values in (x, out))
        own = [Input(values, x.shape[1:]) for values in inputs]
        options.with_engine(lambda engine: _by_tiles(engine, step, flat, own, to))
    return out


def _by_tiles(engine: Any, step: Calibrated, x: Array, inputs: list[Input], out: Array) -> None:
    for low, high in tiles(x.shape[0], step.dtype.itemsize, 0, x.shape[1]):
        step.write(engine, x, low, high, inputs, out, low)
