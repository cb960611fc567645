"""`context`: which frames have a sample in each pixel, as bits."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, notes
from xccd.compute.deferred import Deferred
from xccd.labels.apply import per_variable
from xccd.labels.flags import MAPS, flags_of, map_name
from xccd.labels.frames import check_stack, frames_first
from xccd.labels.lazy import as_lazy_indexed

BITS = 32  # of a plane, as in STScI's context images


@per_variable
def context(stack: xr.DataArray, *, dim: Hashable = "frame") -> xr.DataArray:
    """Return which frames have a sample in each pixel: the context image of a drizzle.

    After a clip, these are the samples that are left.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``, as `align` gives them.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        int32 planes (plane, ...), as in STScI's drizzle: bit k of plane p is set where frame 32 p + k has a sample.
        Lazy if the stack is.

    Raises
    ------
    ValueError
        There is no dimension ``dim``, or the stack is empty.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray([[1.0, 2.0], [np.nan, 3.0], [5.0, np.nan]], dims=("frame", "x"))
    >>> found = stack.ccd.context()
    >>> found.values.tolist()
    [[5, 3]]
    >>> [i for i in range(3) if found.values[i // 32, 0] >> i % 32 & 1]  # the frames of the first pixel
    [0, 2]
    """
    check_stack(stack, dim)
    flags = flags_of(stack)
    inputs = [frames_first(a, dim) for a in (stack, flags) if a is not None]
    maps = {map_name(stack.name, kind) for kind in MAPS}
    coords = {k: c.variable for k, c in stack.coords.items() if dim not in c.dims and k not in maps}
    attrs = {"long_name": f"frames with a sample: bit k of plane p is frame {BITS} p + k"}
    dims = ("plane", *(d for d in stack.dims if d != dim))
    return xr.DataArray(as_lazy_indexed(_planes(inputs)), dims=dims, coords=coords, attrs=attrs, name=stack.name)


def _planes(inputs: list[Any]) -> Any:
    """The planes (planes, pixels) of samples, and flags if there are any, with frames first."""
    x = inputs[0]
    starts = range(0, x.shape[0], BITS)
    if any(map(arrays.is_deferred, inputs)) and not any(map(arrays.is_dask, inputs)):
        return Deferred(_all_bits, list(map(notes.kept, inputs)), (len(starts), *x.shape[1:]), np.int32)
    inputs = list(map(arrays.as_dask_input, inputs)) if any(map(arrays.is_dask, inputs)) else inputs
    each = [[a[start : start + BITS] for a in inputs] for start in starts]
    planes = [arrays.map_over_frames(_bits, *some, reduce=True, dtype=np.dtype(np.int32)) for some in each]
    if not arrays.is_dask(planes[0]):
        return np.stack(planes)
    import dask.array as da

    return da.stack(planes)


def _all_bits(*inputs: Any) -> Any:
    return np.stack([_bits(*(a[s : s + BITS] for a in inputs)) for s in range(0, inputs[0].shape[0], BITS)])


def _bits(x: Any, flags: Any = None) -> Any:
    """One plane of up to 32 frames. The last bit is the sign."""
    found = np.zeros(x.shape[1:], np.uint32)
    for k in range(x.shape[0]):
        good = np.isfinite(x[k]) if flags is None else np.isfinite(x[k]) & (flags[k] == 0)
        found |= good.astype(np.uint32) << np.uint32(k)
    return found.view(np.int32)
