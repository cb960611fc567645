"""Levels that are measured in each frame."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, options
from xccd.compute.dask_joint import optimized


def measure(frame: xr.DataArray, name: str) -> float:
    """The level ``name`` (a row of `LEVELS`) of the finite samples of a frame; NaN if it has none."""
    return _of_samples(frame.values, name)


def _of_samples(values: np.ndarray[Any, Any], name: str) -> float:
    values = values[np.isfinite(values)].astype(np.float64)
    return LEVELS[name](values) if values.size else float("nan")


def of_planes(x: Any, name: str) -> Any:
    """The level ``name`` of each plane of cubes (frames, ..., y, x), as float64 (frames, ...).

    Each frame is read once. On dask input nothing is computed now, and as much is held at a time as by
    `arrays.per_frame`: some frames, or of a larger frame some planes.
    """
    if not arrays.is_dask(x):
        return arrays.per_frame(lambda _, frame: _of_block(frame, name), x)
    import dask.array as da
    from dask.delayed import delayed

    limit = options.memory()
    most = arrays.GROUP_BYTES if limit is None else min(arrays.GROUP_BYTES, limit // 2)
    bytes_of_frame = max(1, x.nbytes // x.shape[0])
    frames, planes = max(1, most // bytes_of_frame), max(1, most * x.shape[1] // bytes_of_frame)

    def group(first: int, plane: int) -> Any:
        part = x[first : first + frames, plane : plane + planes]
        return da.from_delayed(delayed(_of_block, pure=True)(optimized(part), name), part.shape[:-2], np.float64)

    columns = range(0, x.shape[1], planes)
    rows = [da.concatenate([group(i, k) for k in columns], axis=1) for i in range(0, x.shape[0], frames)]
    return da.concatenate(rows)


def _of_block(x: np.ndarray[Any, Any], name: str) -> Any:
    """The level of each image of an array (..., y, x)."""
    return np.array([_of_samples(x[at], name) for at in np.ndindex(x.shape[:-2])]).reshape(x.shape[:-2])


def _mode(values: np.ndarray[Any, Any]) -> float:
    """The mode as in IRAF's imcombine; positions count from 1, as there."""
    v = np.sort(values)
    n = v.size
    if n < 10:
        return float(v[(n - 1) // 2])
    first, last = int(1 + 0.15 * n), int(1 + 0.85 * n)
    low, span = v[first - 1], v[last - 1] - v[first - 1]
    if span == 0:
        return float(low)
    starts = low + 0.01 * span * np.arange(101)
    inside = v[first - 1 : last - 1]
    i = first + np.searchsorted(inside, starts)
    k = first + np.searchsorted(inside, starts + 0.1 * span)
    reached = int(np.argmax(k >= last)) + 1  # bins go on until one ends at the last sample
    best = int(np.argmax((k - i)[:reached]))
    return float(v[(i[best] + k[best]) // 2 - 1])


def _clipped_median(values: np.ndarray[Any, Any]) -> float:
    v = np.sort(values)
    lo, hi = 0, v.size
    while True:
        middle, deviation = np.median(v[lo:hi]), np.std(v[lo:hi])
        first = int(np.searchsorted(v, middle - 3 * deviation, "left"))
        last = int(np.searchsorted(v, middle + 3 * deviation, "right"))
        first, last = max(first, lo), min(last, hi)
        if (first, last) == (lo, hi):
            return float(middle)
        lo, hi = first, last


def level_of(name: str) -> Callable[[xr.DataArray], float] | None:
    """The function that measures the level ``name``; None if it is not the name of a level."""
    return partial(measure, name=name) if name in LEVELS else None


LEVELS: dict[str, Callable[[np.ndarray[Any, Any]], float]] = {
    "mean": lambda v: float(np.mean(v)),
    "median": lambda v: float(np.median(v)),
    "mode": _mode,
    "clipped_median": _clipped_median,
}
