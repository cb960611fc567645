"""Levels of aligned frames from what pairs of them have in common: background matching."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd import _stack
from xccd._deferred import Deferred, wrapped
from xccd._labels import frame_names, frames_first

Array = np.ndarray[Any, Any]
SAMPLES = 1 << 22  # of all frames, on a lattice: more change a median of an overlap by less than its noise
FEWEST = 10  # common pixels without which a pair says nothing


def levels(argument: str, stack: xr.DataArray, dim: Hashable) -> Any:
    """One level a frame, lazy on dask input: offsets for "zero", factors for "scale", the first frame's 0 or 1."""
    names = frame_names(stack, dim)
    some = _lattice(frames_first(stack, dim))
    solve = partial(_solved, argument=argument, names=names)
    if not _stack.is_lazy(some):
        return solve(some)
    import dask.array as da
    from dask.delayed import delayed

    return da.from_delayed(delayed(solve, pure=True)(some), (len(names),), np.float64)


def _lattice(x: Any) -> Any:
    """Pixels at equal distances, as many as are enough."""
    frames, *shape = x.shape
    step = max(1, int(np.ceil((frames * np.prod(shape) / SAMPLES) ** (1 / max(1, len(shape))))))
    lattice = (slice(None), *(slice(None, None, step) for _ in shape))
    if not isinstance(x, Deferred):
        return x[lattice]
    height = step * max(1, 256 // step)  # some rows at a time: what is between them is not kept
    waiting = xr.Variable([f"d{i}" for i in range(x.ndim)], wrapped(x))
    parts = [waiting[:, a : a + height].values[lattice] for a in range(0, shape[0], height)]
    return np.concatenate(parts, axis=1)


def _solved(x: Array, argument: str, names: list[str]) -> Array:
    """Levels that fit those of all pairs best, each weighted by its number of pixels."""
    frames = len(x)
    flat = x.reshape(frames, -1).astype(np.float64)
    good = np.isfinite(flat) & ((flat > 0) if argument == "scale" else True)
    weight, apart = np.zeros((frames, frames)), np.zeros((frames, frames))
    for i in range(frames):
        for j in range(i):
            both = good[i] & good[j]
            number = np.count_nonzero(both)
            if number >= FEWEST:
                weight[i, j] = weight[j, i] = number
                apart[i, j] = _difference(flat[i][both], flat[j][both], argument)
                apart[j, i] = -apart[i, j]
    _check_joined(weight, argument, names)
    laplace = np.diag(weight.sum(1)) - weight
    right = (weight * apart).sum(1)
    found = np.zeros(frames)
    found[1:] = np.linalg.solve(laplace[1:, 1:], right[1:])  # the first is 0
    return np.exp(found) if argument == "scale" else found


def _difference(one: Array, other: Array, argument: str) -> float:
    if argument == "zero":
        return float(np.median(one - other))
    return float(np.log(np.median(one) / np.median(other)))


def _check_joined(weight: Array, argument: str, names: list[str]) -> None:
    """Raise for a frame that no chain of overlaps joins to the first."""
    reached = np.zeros(len(weight), bool)
    reached[0] = True
    while (more := reached | (weight[reached] > 0).any(0)).sum() > reached.sum():
        reached = more
    for i in np.flatnonzero(~reached):
        what = "good pixels" if argument == "zero" else "pixels above 0"
        raise ValueError(
            f"{argument}='overlap': {names[i]} has fewer than {FEWEST} {what} in common with {names[0]} and the frames "
            "that overlap that one: align() the frames first, or normalise groups of them"
        )
