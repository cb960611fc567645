"""Samples, errors and flags of frames after one step with a master. All is elementwise, and lazy if the frames are.

Errors are variances here. The part that comes from masters is common to all frames: it is kept beside the errors, as
`data_common`, and `combine` does not average it down.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.headers import units
from xccd.headers.uncertainties import KINDS
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype
from xccd.kernels.table import OUTPUTS
from xccd.labels.apply import _in_place_of
from xccd.labels.flags import apart, flags_of, image_names, map_name, with_maps
from xccd.labels.frames import copy_with, frames_first, with_samples
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.labels.nodes import map_nodes
from xccd.labels.warn import _WarningsOnce
from xccd.messages import a_type
from xccd.verbs.calibrate.keywords import kind_of_stack
from xccd.verbs.calibrate.layers import with_step

Function = Callable[..., Any]


def on_images(
    obj: Any, verb: Callable[[xr.DataArray], xr.DataArray], name: str, dim: Hashable, skipped: tuple[str, ...] = ()
) -> Any:
    """A verb for a stack or an image, on a DataArray, on the images of a Dataset, or on the nodes of a tree.

    Nodes of the kinds ``skipped`` stay as they are.
    """
    if isinstance(obj, xr.DataArray):
        return verb(obj)
    if isinstance(obj, xr.Dataset):
        with _WarningsOnce():
            return _on_dataset(obj, verb, dim)
    if isinstance(obj, xr.DataTree):
        what = f"an image that is no {' or '.join(skipped)}" if skipped else "an image"
        with _WarningsOnce():
            concerned = partial(has_images, dim=dim, skipped=skipped)
            return map_nodes(lambda ds: _on_dataset(ds, verb, dim), obj, concerned, what)
    raise TypeError(f"xccd.{name} takes an xarray DataArray, Dataset or DataTree, not {a_type(obj)}")


def _on_dataset(ds: xr.Dataset, verb: Callable[[xr.DataArray], xr.DataArray], dim: Hashable) -> xr.Dataset:
    done: dict[Hashable, xr.DataArray] = {}
    names = images_of(ds, dim)
    if not names:
        raise ValueError(f"this Dataset has no image, its variables are {', '.join(map(str, ds.data_vars)) or 'none'}")
    for name in names:
        done |= apart(verb(with_maps(ds, name)), name)
    return _in_place_of(ds, done, dim)


def images_of(ds: xr.Dataset, dim: Hashable) -> list[Hashable]:
    """The names of the stacks of a Dataset, without tables of the frames; without any, its images."""
    names = [n for n in image_names(ds) if ds[n].ndim > 1]
    return [n for n in names if dim in ds[n].dims] or names


def has_images(ds: xr.Dataset, dim: Hashable, skipped: tuple[str, ...] = ()) -> bool:
    """Whether a Dataset has a stack or an image of another kind than those that are skipped."""
    return any(kind_of_stack(ds[name], dim) not in skipped for name in images_of(ds, dim))


def first(array: xr.DataArray, dim: Hashable) -> Any:
    """The samples with the frames first; of an image as they are."""
    return frames_first(array, dim) if dim in array.dims else array_of(array)


def _back(array: xr.DataArray, dim: Hashable, data: Any) -> xr.DataArray:
    return copy_with(array, dim, data) if dim in array.dims else with_samples(array, as_lazy_indexed(data))


def with_data(
    stack: xr.DataArray, dim: Hashable, change: Function, prepare: Function, *inputs: Any
) -> xr.DataArray:  # fmt: skip
    """The stack after ``change(x, prepare(*inputs))``, a step of `layers`, in the float dtype that holds samples."""
    return _back(stack, dim, with_step(first(stack, dim), change, prepare, *inputs, dtype=float_dtype(stack.dtype)))


def as_they_are(values: Any, *, dtype: Any) -> Any:
    """The numbers of a step in the dtype of the samples."""
    return values.astype(dtype, copy=False)


def with_flags(stack: xr.DataArray, dim: Hashable, function: Function, *inputs: Any) -> xr.DataArray:
    """The stack with ``function(flags, *inputs)`` for its flags, if it has flags."""
    flags = flags_of(stack)
    if flags is None:
        return stack
    data = arrays.map_elementwise(function, first(flags, dim), *inputs, dtype=np.dtype(np.uint8))
    return stack.assign_coords({flags.name: _back(flags, dim, data).variable})


def with_errors(stack: xr.DataArray, dim: Hashable, function: Function, *inputs: Any) -> xr.DataArray:
    """The stack with ``function(variance, *inputs)`` for its uncertainties, if it has some, in their own type."""
    known = _map(stack, "uncertainty")
    if known is None:
        return stack
    return _with_error(stack, dim, known, function, *inputs)


def with_common(
    stack: xr.DataArray, dim: Hashable, function: Function, *inputs: Any, adds: bool = False
) -> xr.DataArray:
    """The same for the part of the error that all frames share; if a master ``adds`` to it, it begins at 0."""
    if flags_of(stack) is None:  # `combine` uses it for flagged stacks only
        return stack
    known = _map(stack, "common")
    if known is None and not adds:
        return stack
    if known is None:
        attrs = dict(OUTPUTS["common"].attrs) | {k: stack.attrs[k] for k in ("units",) if k in stack.attrs}
        start = arrays.map_elementwise(_zeros, first(stack, dim), dtype=float_dtype(stack.dtype))
        known = _back(stack, dim, start)
        known = xr.DataArray(known.variable, name=map_name(stack.name, "common"), attrs=attrs)
        known.attrs = attrs
    return _with_error(stack, dim, known, function, *inputs)


def _with_error(
    stack: xr.DataArray, dim: Hashable, known: xr.DataArray, function: Function, *inputs: Any
) -> xr.DataArray:
    power = KINDS[known.attrs.get("uncertainty_type", "std")].power
    dtype = float_dtype(known.dtype)
    run = partial(_changed_error, function=function, power=power, dtype=dtype)
    new = _back(known, dim, arrays.map_elementwise(run, first(known, dim), *inputs, dtype=dtype))
    return stack.assign_coords({known.name: new.variable})


def _map(stack: xr.DataArray, kind: str) -> xr.DataArray | None:
    """A map with the stack's order of axes."""
    found = stack.coords.get(map_name(stack.name, kind))
    if found is None or set(found.dims) != set(stack.dims):
        return None
    moved: xr.DataArray = found.transpose(*stack.dims)
    return moved


def _zeros(x: Any) -> Any:
    return np.zeros(x.shape, float_dtype(x.dtype))


def _changed_error(error: Any, *inputs: Any, function: Function, power: int, dtype: Any) -> Any:
    with np.errstate(all="ignore"):  # what has no error, or no sample, is NaN or infinite
        return error_of(function(variance_of(error, power), *inputs), power).astype(dtype, copy=False)


def variance_of(error: Any, power: int) -> Any:
    """Uncertainties of any type as variances, float64. Those below 0 stay, so that they are seen."""
    values = np.asarray(error, np.float64)
    return np.sign(values) * values * values if power == 1 else values if power == 2 else 1 / values


def error_of(variance: Any, power: int) -> Any:
    """The inverse of `variance_of`."""
    return np.sqrt(variance) if power == 1 else variance if power == 2 else 1 / variance


def in_unit(stack: xr.DataArray, unit: str) -> xr.DataArray:
    """The stack and its errors in another unit; their numbers are changed by the caller."""
    made = stack.copy(deep=False)
    made.attrs = stack.attrs | {k: unit for k in ("units", "BUNIT") if k == "units" or k in stack.attrs}
    labels = {}
    for kind in ("uncertainty", "common"):
        found = _map(made, kind)
        if found is not None:
            power = KINDS[found.attrs.get("uncertainty_type", "std")].power
            written = {1: unit, 2: units.squared(unit), -2: f"({unit})**-2"}[power]
            found.attrs = found.attrs | {"units": written}
            labels[found.name] = found.variable
    return made.assign_coords(labels)


def joined_flags(flags: Any, values: Any, other: Any = None) -> Any:
    """Flags with those of a master (``other``); a pixel of it that is not finite has the flag 2."""
    own = np.where(np.isfinite(values), np.uint8(0), np.uint8(Flag.NOT_FINITE))
    return flags | own if other is None else flags | own | other
