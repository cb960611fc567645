"""Frames brought to one level, which is measured in some frames at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes, options
from xccd.headers.common import HISTORY, history_steps
from xccd.labels.flags import with_maps
from xccd.labels.frames import step_text, unflagged
from xccd.labels.lazy import array_of
from xccd.verbs.levels import measure
from xccd.verbs.normalize import normalize

SHARE = 16  # of the memory limit, or of `USUAL`, that frames have whose levels are measured together
USUAL = 2 << 30
MOST = 16  # frames


def levelled(frames: xr.Dataset, some: Callable[[Sequence[int]], xr.Dataset], how: dict[str, str]) -> xr.Dataset:
    """As ``normalize(frames, scale=...)``, or ``zero=...``, by the name of a level.

    ``some`` gives frames by their numbers, opened again: what is lazy without dask is made for all frames of a stack,
    and 300 frames of 2048 x 2048 would take 5 GB.
    """
    ((argument, name),) = how.items()
    count = frames.sizes["frame"]
    size = together(frames)
    values = [_levels(some(range(i, min(i + size, count))), name) for i in range(0, count, size)]
    levels = xr.concat(values, "frame")
    before = array_of(frames["data"])
    made: xr.Dataset = normalize(frames, **{argument: levels if levels.ndim > 1 else levels.values})  # type: ignore[arg-type]
    data = made["data"]
    if argument == "scale" and notes.origin_of_samples(before):
        notes.mark(array_of(data), notes.LEVELLED)
    steps = [*history_steps(data)[:-1], step_text("normalize", **how, to="first")]
    data.attrs[HISTORY] = "\n".join(steps)
    return made.assign(data=data)


def together(frames: xr.Dataset) -> int:
    """How many frames are held at a time."""
    pixels = frames["data"].size // frames.sizes["frame"]
    limit = options.memory() or USUAL
    return max(1, min(MOST, limit // SHARE // (pixels * 4)))


def _levels(frames: xr.Dataset, name: str) -> xr.DataArray:
    """The level of each frame; of colours, that of each."""
    stack = unflagged(with_maps(frames, "data"))
    planes = [d for d in stack.dims if d not in ("frame", "y", "x")]
    stack = stack.transpose("frame", *planes, "y", "x").load()
    shape = tuple(stack.sizes[d] for d in ("frame", *planes))
    values: Any = np.array([measure(stack[at], name) for at in np.ndindex(shape)]).reshape(shape)
    return xr.DataArray(values, dims=("frame", *planes), coords={d: stack[d].values for d in planes})
