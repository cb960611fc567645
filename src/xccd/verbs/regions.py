"""Parts of frames where levels are measured."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.labels.frames import as_numbers
from xccd.verbs.by_plane import plane_dims
from xccd.verbs.calibrate.sections import labels_of_text
from xccd.verbs.weights import check_labels


def part_of(stack: xr.DataArray, region: Any, dim: Hashable) -> xr.DataArray:
    """The part of each frame where levels are measured."""
    if region is None:
        return stack
    image_dims = [d for d in stack.dims if d not in (dim, *plane_dims(stack, dim))]
    if isinstance(region, str):
        part = stack.isel(_section(region, stack, dim))
    elif isinstance(region, dict):
        part = stack.sel(region)
    elif isinstance(region, slice) or (isinstance(region, tuple) and all(isinstance(s, slice) for s in region)):
        part = stack.isel(_slices(region, image_dims[-2:]))
    else:
        part = stack.where(_region_image(region, stack, image_dims, dim))
    if 0 in part.shape:
        raise ValueError(f"region={region!r} holds no pixel of the frames {dict(stack.sizes)}")
    return part


def _slices(region: Any, dims: list[Hashable]) -> dict[Hashable, slice]:
    slices = (region,) if isinstance(region, slice) else region
    if len(slices) != len(dims):
        raise ValueError(f"region={region!r}: give a slice for each of {', '.join(map(repr, dims))}")
    return dict(zip(dims, slices, strict=True))


def _section(text: str, stack: xr.DataArray, dim: Hashable) -> dict[Hashable, Any]:
    """The positions of a FITS section along x and y, or of a keyword that holds one."""
    if not {"x", "y"} <= set(stack.dims):
        raise ValueError(f"region={text!r}: a section is of 'x' and 'y', the stack has {dict(stack.sizes)}")
    # by labels, which are pixels of the detector: a section means the same pixels after a crop
    return {d: _between(stack[d].values, *ends) for d, ends in labels_of_text(text, stack, dim).items()}


def _between(labels: Any, first: int, last: int) -> Any:
    """The positions whose labels lie from first to last, both included. An axis without labels has its positions."""
    inside = np.flatnonzero((labels >= first) & (labels <= last))
    run = inside.size and inside[-1] - inside[0] + 1 == inside.size
    return slice(int(inside[0]), int(inside[-1]) + 1) if run else inside


def _region_image(region: Any, stack: xr.DataArray, image_dims: list[Hashable], dim: Hashable) -> xr.DataArray:
    """``region`` as a boolean image of a frame or of a plane of it; a DataArray may have some of the dimensions."""
    every = [d for d in stack.dims if d != dim]
    if isinstance(region, xr.DataArray):
        check_labels("region", region, stack)
        image = region.variable
    else:
        values = as_numbers("region", region)
        unnamed: list[Hashable] = [f"axis {i}" for i in range(values.ndim)]
        image = xr.Variable(next((d for d in (image_dims, every) if len(d) == values.ndim), unnamed), values)
    fits = all(d in every and stack.sizes[d] == n for d, n in image.sizes.items())
    if image.dtype != bool or not image.dims or not fits:
        raise ValueError(
            f"region has dtype {image.dtype} and sizes {dict(image.sizes)}: give a boolean image of "
            f"{ {d: stack.sizes[d] for d in image_dims} }, slices, a dict of labels or a section"
        )
    return xr.DataArray(image)
