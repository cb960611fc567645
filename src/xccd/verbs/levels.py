"""Levels of frames: measured in each frame, or solved from the overlaps of aligned frames."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.deferred import Deferred
from xccd.labels.frames import frame_names, frames_first
from xccd.labels.lazy import as_lazy_indexed

Array = np.ndarray[Any, Any]
SAMPLES = 1 << 22  # of all frames, on a lattice: more samples change an overlap's median by less than its noise
FEWEST = 10  # a pair with fewer common pixels is ignored


def levels(argument: str, stack: xr.DataArray, dim: Hashable) -> Any:
    """One level a frame from overlaps; lazy on dask input.

    For "zero" they are offsets and the first is 0; for "scale" they are factors and the first is 1.
    """
    names = frame_names(stack, dim)
    some = _lattice(frames_first(stack, dim))
    solve = partial(_solved, argument=argument, names=names)
    if not arrays.is_dask(some):
        return solve(some)
    import dask.array as da
    from dask.delayed import delayed

    return da.from_delayed(delayed(solve, pure=True)(some), (len(names),), np.float64)


def _lattice(x: Any) -> Any:
    """Every n-th pixel along each axis, at most about `SAMPLES` samples."""
    frames, *shape = x.shape
    step = max(1, int(np.ceil((frames * np.prod(shape) / SAMPLES) ** (1 / max(1, len(shape))))))
    lattice = (slice(None), *(slice(None, None, step) for _ in shape))
    if not isinstance(x, Deferred):
        return x[lattice]
    # a multiple of the step, so that the lattice goes on from part to part
    height = step * max(1, 256 // step)  # some rows at a time: the pixels between are not kept
    deferred = xr.Variable([f"d{i}" for i in range(x.ndim)], as_lazy_indexed(x))
    parts = [deferred[:, a : a + height].values[lattice] for a in range(0, shape[0], height)]
    return np.concatenate(parts, axis=1)


def _solved(x: Array, argument: str, names: list[str]) -> Array:
    """The levels that fit all pairs best, each pair weighted by its count of common pixels."""
    frames = len(x)
    flat = x.reshape(frames, -1).astype(np.float64)
    good = np.isfinite(flat) & ((flat > 0) if argument == "scale" else True)
    weight, apart = np.zeros((frames, frames)), np.zeros((frames, frames))
    for i in range(frames):
        for j in range(i):
            both = good[i] & good[j]
            count = np.count_nonzero(both)
            if count >= FEWEST:
                weight[i, j] = weight[j, i] = count
                apart[i, j] = _difference(flat[i][both], flat[j][both], argument)
                apart[j, i] = -apart[i, j]
    _check_joined(weight, argument, names)
    laplace = np.diag(weight.sum(1)) - weight
    right = (weight * apart).sum(1)
    found = np.zeros(frames)
    # Overlaps give levels relative to each other: unless one is fixed the matrix is singular.
    found[1:] = np.linalg.solve(laplace[1:, 1:], right[1:])  # the first is 0
    return np.exp(found) if argument == "scale" else found


def _difference(one: Array, other: Array, argument: str) -> float:
    if argument == "zero":
        return float(np.median(one - other))
    return float(np.log(np.median(one) / np.median(other)))


def _check_joined(weight: Array, argument: str, names: list[str]) -> None:
    """Raise if no chain of overlaps connects a frame to the first one."""
    reached = np.zeros(len(weight), bool)
    reached[0] = True
    while (more := reached | (weight[reached] > 0).any(0)).sum() > reached.sum():
        reached = more
    for i in np.flatnonzero(~reached):
        what = "good pixels" if argument == "zero" else "pixels above 0"
        raise ValueError(
            f"{argument}='overlap': {names[i]} has fewer than {FEWEST} {what} in common with {names[0]} and the frames "
            "that overlap it: align() the frames first, or normalise groups of them"
        )


def measure(frame: xr.DataArray, name: str) -> float:
    """The level ``name`` (a row of `LEVELS`) of the finite samples of a frame; NaN if it has none."""
    values = frame.values
    values = values[np.isfinite(values)].astype(np.float64)
    return LEVELS[name](values) if values.size else float("nan")


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
