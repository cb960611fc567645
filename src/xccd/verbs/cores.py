"""Cores of stars that a rejection leaves in: where the median image is steep, a small shift changes a sample a lot."""

from __future__ import annotations

import math
from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, notes
from xccd.compute.chain import Chain
from xccd.compute.ends import Combine
from xccd.compute.neighbours import map_with_neighbours
from xccd.compute.run import chained
from xccd.labels.flags import flags_of
from xccd.labels.frames import copy_with, frames_first
from xccd.messages import is_number
from xccd.verbs.marked import MARKS, image_axes


def check_spare_cores(value: Any) -> None:
    """Raise for what is no number of slopes."""
    if not (is_number(value) and 0 <= value < math.inf):
        raise ValueError(f"spare_cores={value!r} is not a finite number of 0 or more, as 1.2, or None for none")


def spared(stack: xr.DataArray, rejected: xr.DataArray, dim: Hashable, slopes: float) -> xr.DataArray:
    """``rejected`` with samples of ``stack`` put back that are within ``slopes`` of the slope from their median.

    The slope is the greatest difference between a pixel of the median image and its four neighbours (drizzlepac and
    jwst add it, times a number, to their threshold in noise; here a rejected sample must also exceed it).
    """
    axes = [axis - 1 for axis in image_axes(stack, dim)]
    x, flags = frames_first(stack, dim), flags_of(stack)
    before = None if flags is None else frames_first(flags, dim)
    (middle,) = chained(Chain((), (Combine("median"),)), x, flags=before, dtypes=[np.dtype(np.float64)])
    run = partial(slope_of, axes=tuple(axes))
    slope = map_with_neighbours(run, middle, axes=axes, reach=1, dtype=np.dtype(np.float64))
    middle, slope = (a if arrays.is_deferred(a) else a[None] for a in (middle, slope))
    if flags is None:
        out = frames_first(rejected, dim)
        put = partial(_put_back, slopes=slopes)
        data = arrays.map_elementwise(put, out, x, middle, slope, dtype=out.dtype)
        notes.mark(data, notes.origin_of_samples(x))
        return copy_with(rejected, dim, data)
    own = flags_of(rejected)
    assert own is not None  # `rejected` was made from `stack`
    assert before is not None
    unflag = partial(_unflagged, slopes=slopes)
    after = arrays.map_elementwise(unflag, frames_first(own, dim), before, x, middle, slope, dtype=MARKS)
    return rejected.assign_coords({own.name: copy_with(own, dim, after).variable})


def slope_of(image: Any, axes: tuple[int, ...]) -> Any:
    """The greatest absolute difference between a pixel and its four neighbours; 0 where it has none with a value."""
    slope = np.zeros(image.shape)
    for axis in axes:
        values, to = np.moveaxis(image, axis, 0), np.moveaxis(slope, axis, 0)
        with np.errstate(invalid="ignore"):  # infinities
            step = np.abs(np.diff(values, axis=0))
        to[1:] = np.fmax(to[1:], step)
        to[:-1] = np.fmax(to[:-1], step)
    return slope


def _is_core(x: Any, middle: Any, slope: Any, slopes: float) -> Any:
    with np.errstate(invalid="ignore", over="ignore"):
        return np.isfinite(x) & (np.abs(x - middle) <= slopes * slope) & (slope > 0)


def _put_back(out: Any, x: Any, middle: Any, slope: Any, *, slopes: float) -> Any:
    return np.where(np.isnan(out) & _is_core(x, middle, slope, slopes), x, out).astype(out.dtype, copy=False)


def _unflagged(after: Any, before: Any, x: Any, middle: Any, slope: Any, *, slopes: float) -> Any:
    return np.where((before == 0) & _is_core(x, middle, slope, slopes), before, after)
