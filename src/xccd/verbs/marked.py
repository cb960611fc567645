"""Samples that a function of whole images rejects: flagged where the stack has flags, else NaN."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, notes
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import flags_of
from xccd.labels.frames import add_history, copy_with, frames_first

IMAGE = ("y", "x")
MARKS = np.dtype(np.uint8)


def image_axes(stack: xr.DataArray, dim: Hashable) -> list[int]:
    """The axes of y and x once the frames are on axis 0; raises if the stack lacks one."""
    missing = [d for d in IMAGE if d not in stack.dims]
    if missing:
        raise ValueError(
            f"the stack has {dict(stack.sizes)}, no dimension {missing[0]!r}: neighbours are along y and x"
        )
    order = [dim, *(d for d in stack.dims if d != dim)]
    return [order.index(d) for d in IMAGE]


def marked(stack: xr.DataArray, dim: Hashable, marks: Any, text: str) -> xr.DataArray:
    """The stack without samples that have a mark (a flag; frames on axis 0). A flagged sample keeps its flag."""
    own, x = flags_of(stack), frames_first(stack, dim)
    if arrays.is_dask(marks) and arrays.is_dask(x) and marks.chunks != x.chunks:
        marks = marks.rechunk(x.chunks)  # small chunks were joined
    if own is not None:
        after = arrays.map_elementwise(_joined, frames_first(own, dim), marks, dtype=MARKS)
        return add_history(stack.assign_coords({own.name: copy_with(own, dim, after).variable}), text)
    dtype = float_dtype(stack.dtype)
    data = arrays.map_elementwise(partial(_without, dtype=dtype), x, marks, dtype=dtype)
    notes.mark(data, notes.origin_of_samples(x))
    return add_history(copy_with(stack, dim, data), text)


def _joined(flags: Any, marks: Any) -> Any:
    return np.where(flags == 0, marks, flags)


def _without(x: Any, marks: Any, *, dtype: np.dtype[Any]) -> Any:
    return np.where(marks != 0, np.nan, x).astype(dtype, copy=False)
