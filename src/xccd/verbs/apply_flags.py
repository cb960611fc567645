"""`apply_flags`: the flags of one image on others, with their reasons."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.kernels.limits import float_dtype
from xccd.labels.apply import Obj, per_variable
from xccd.labels.flags import check_flags, flags_of, image_names, map_name, science_variable
from xccd.labels.frames import add_history, copy_with, frames_first, step_text
from xccd.labels.nodes import map_nodes
from xccd.messages import a_type, did_you_mean
from xccd.verbs.mask import marks_of, mask_where


def apply_flags(obj: Obj, flags: Any, *, dim: Hashable = "frame") -> Obj:
    """Give the flags of one image to others: a sample that is out in one is out in all.

    Parameters
    ----------
    obj : Dataset, DataTree or DataArray
        Frames along ``dim``: flagged Datasets keep the reason of each flag. In a DataArray flagged samples become NaN.
    flags : str, Dataset or DataArray
        The image whose flags are given: a variable of ``obj`` by its name, a flagged Dataset of one image, or flags
        (uint8) themselves. They match the frames as masks in `mask_where`.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    Dataset, DataTree or DataArray
        As ``obj``, with the union of the own flags and the given ones. Samples stay.

    Raises
    ------
    ValueError
        An image of that name, or its flags, are not there; or they do not match in shape, files or coordinates.
    TypeError
        Something else than flags: `mask_where` takes masks and planes of quality.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> red, blue = (xr.DataArray(v, dims="frame") for v in ([7, 7, 90, 7, 7], [3, 3, 5, 3, 3]))
    >>> clipped = red.ccd.to_dataset().ccd.sigma_clip(None, 1.5)
    >>> blue.ccd.to_dataset().ccd.apply_flags(clipped).data_flags.values.tolist()
    [0, 0, 32, 0, 0]
    """
    if isinstance(flags, str):
        if isinstance(obj, xr.DataTree):
            concerned = lambda ds: flags in ds.data_vars  # noqa: E731
            return map_nodes(lambda ds: apply_flags(ds, flags, dim=dim), obj, concerned, f"a variable {flags!r}")
        found = _named(obj, flags)
    elif isinstance(flags, xr.Dataset):
        found = _named(flags, science_variable(flags))
    elif isinstance(flags, xr.DataArray):
        found = flags
    else:
        raise TypeError(f"flags= is {a_type(flags)}: give the name of a variable, a flagged Dataset, or its flags")
    if found.dtype != np.uint8:
        raise TypeError(f"flags= has dtype {found.dtype}, flags are uint8: mask_where() takes masks and planes of bits")
    return _with_flags(obj, found, text=step_text("apply_flags", flags=flags), dim=dim)


def _named(ds: Any, name: Hashable) -> xr.DataArray:
    """The flags of a variable."""
    if not isinstance(ds, xr.Dataset):
        raise ValueError(
            f"flags={name!r} names a variable of a Dataset, this is {a_type(ds)}: give the flags themselves"
        )
    own = map_name(name, "flags")
    if name not in ds.data_vars or own not in ds.data_vars:
        names = [n for n in image_names(ds) if map_name(n, "flags") in ds.data_vars]
        raise ValueError(
            f"flags={name!r} is no variable with flags ({', '.join(map(str, names)) or 'there are none'})"
            f"{did_you_mean(name, names)}"
        )
    check_flags(ds[own])
    return ds[own]


@per_variable
def _with_flags(stack: xr.DataArray, flags: xr.DataArray, *, text: str, dim: Hashable = "frame") -> xr.DataArray:
    own, marks = flags_of(stack), marks_of("flags", flags, stack, dim)
    if own is None:
        return mask_where(stack, flags, dim=dim)
    float_dtype(stack.dtype)
    after = arrays.map_elementwise(np.bitwise_or, frames_first(own, dim), marks, dtype=own.dtype)
    return add_history(stack.assign_coords({own.name: copy_with(own, dim, after).variable}), text)
