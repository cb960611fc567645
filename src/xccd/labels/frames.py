"""Shared by all verbs: from labelled objects to arrays with frames on axis 0, and back."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, run
from xccd.compute.chain import Chain
from xccd.headers.common import HISTORY, history_steps
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import MAPS, ancillary_names, apart, flags_of, map_name
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.labels.problems import problems
from xccd.messages import did_you_mean, shown


def check_stack(stack: xr.DataArray, dim: Hashable, *, fixed: bool = False) -> int:
    """The count of frames. Raises if ``stack`` is not a stack of real numbers along ``dim``.

    ``fixed``: the verb takes no other dimension, so it has no ``dim=``.
    """
    if dim not in stack.dims:
        sizes = dict(stack.sizes)
        hint = f"dim={stack.dims[0]!r}" if stack.dims else "a stack of more than one frame"
        way = f"say which one holds the frames, {hint}, or rename it to 'frame'"
        if fixed:
            first = stack.dims[0] if stack.dims else "time"
            way = f"rename the one that holds the frames, as stack.rename({first}='frame')"
        raise ValueError(
            f"this DataArray has no dimension {dim!r}, it has {sizes}: {way} (a single image has nothing to clip or "
            f"combine){did_you_mean(dim, stack.dims)}"
        )
    float_dtype(stack.dtype)
    check_array("the stack", array_of(stack))
    n = stack.sizes[dim]
    if n == 0:
        raise ValueError(f"the stack is empty: its dimension {dim!r} has size 0")
    return n


def as_numbers(argument: str, given: Any) -> Any:
    """What a user gives as an array, dask's as it is; raises for a masked array, whose mask would be lost."""
    if isinstance(given._meta if arrays.is_dask(given) else given, np.ma.MaskedArray):
        raise TypeError(
            f"{argument}= is a masked array, whose mask would be lost: give plain numbers, as {argument}.filled(...)"
        )
    return given if arrays.is_dask(given) else np.asarray(given)


def check_array(argument: str, array: Any) -> None:
    """Raise unless an array is NumPy's, or dask's of NumPy arrays: units and masks would be lost."""
    if arrays.is_deferred(array):
        return
    held = array._meta if arrays.is_dask(array) else array
    if type(held) is not np.ndarray:  # not isinstance: a subclass may hold a unit or a mask
        kind = f"{type(held).__module__.partition('.')[0]}.{type(held).__name__}"
        of = "a dask array of " if held is not array else ""
        raise TypeError(
            f"{argument} holds {of}{kind}: xccd computes on plain numbers in NumPy and dask arrays. Make them such "
            "with .as_numpy(), keep a unit in attrs['units'], and make what is masked NaN"
        )


def frame_names(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """The names of the frames in messages: the index, the file if known, and whether it could not be opened."""
    names, why = file_names(stack, dim), problems(stack, dim)
    lost = f", which cannot be opened: isel({dim}=stack.problem == '') leaves it out"
    more = [lost if why and why[i] else "" for i in range(stack.sizes[dim])]
    return [f"frame {i} ({shown(names[i])}{more[i]})" if names else f"frame {i}" for i in range(stack.sizes[dim])]


def file_names(stack: xr.DataArray, dim: Hashable, *, chips: bool = True) -> list[str]:
    """The file of each frame, with the chip if known, such as "a.fits[SCI,1]"; [] without files."""
    file, chip = (stack.coords.get(name) for name in ("file", "chip"))
    if file is None or file.dims != (dim,):
        return []
    names = [str(name) for name in file.values.tolist()]
    if chip is None or chip.dims != (dim,) or not chips:
        return names
    return [f"{name}[{own}]" for name, own in zip(names, chip.values.tolist(), strict=True)]


def frames_first(stack: xr.DataArray, dim: Hashable) -> Any:
    """The data with ``dim`` as axis 0 (a view: no copy)."""
    axis = stack.get_axis_num(dim)
    return array_of(stack) if axis == 0 else _moveaxis(stack.data, axis, 0)


def _moveaxis(data: Any, source: Any, target: int) -> Any:
    order = [i for i in range(data.ndim) if i != source]
    order.insert(target, source)
    return data.transpose(order)


def copy_with(stack: xr.DataArray, dim: Hashable, data: Any) -> xr.DataArray:
    """A stack with new samples (frames on axis 0) and the same labels."""
    inverse = [0] * data.ndim
    axis = stack.get_axis_num(dim)
    order = [axis, *(i for i in range(data.ndim) if i != axis)]
    for new, old in enumerate(order):
        inverse[old] = new
    return with_samples(stack, as_lazy_indexed(data) if axis == 0 else data.transpose(inverse))


def with_samples(stack: xr.DataArray, data: Any) -> xr.DataArray:
    """New samples with the same labels, without the old ones' encoding in a file."""
    made = stack.copy(deep=False, data=data)
    made.encoding = {}
    return made


def unflagged(stack: xr.DataArray) -> xr.DataArray:
    """A stack without its maps, flagged samples NaN. A stack without flags is returned as it is."""
    flags = flags_of(stack)
    if flags is None:
        return stack
    dtype = float_dtype(stack.dtype)
    (data,) = run.chained(Chain(()), array_of(stack), flags=array_of(flags), dtypes=[dtype])
    (alone, *_) = apart(with_samples(stack, as_lazy_indexed(data)), stack.name).values()
    names = ancillary_names(alone)
    alone.attrs.pop("ancillary_variables", None)
    rest = [k for k in names if k not in (map_name(stack.name, kind) for kind in MAPS)]
    return alone.assign_attrs({"ancillary_variables": " ".join(rest)}) if rest else alone


def without_frames(stack: xr.DataArray, dim: Hashable, data: Any) -> xr.DataArray:
    """An image in place of the stack, without the coordinates along ``dim``."""
    along = [name for name, c in stack.coords.items() if dim in c.dims]
    image = stack.isel({dim: 0}).drop_vars(along)
    image = with_samples(image, as_lazy_indexed(data))
    image.attrs = dict(stack.attrs)
    return image


def add_history(stack: xr.DataArray, step: str) -> xr.DataArray:
    """Append ``step`` to the lines of ``attrs["history"]``, which become HISTORY cards.

    History is an attribute: arithmetic of a stack and its clip would drop a label that differs between the two.
    """
    return stack.assign_attrs({HISTORY: "\n".join([*history_steps(stack), step])})


def step_text(verb: str, **arguments: Any) -> str:
    """The text of a call for HISTORY, with functions by name and arrays by shape."""
    shown = (f"{k}={_argument_in_history(v)}" for k, v in arguments.items() if v is not None)
    return f"xccd.{verb}({', '.join(shown)})"


def _argument_in_history(value: Any) -> str:
    if callable(value):
        return str(getattr(value, "__name__", type(value).__name__))
    shape = getattr(value, "shape", ())
    if shape:
        return f"<{' x '.join(map(str, shape))} values>"
    if isinstance(value, (list, tuple)) and len(value) > 6:
        return f"<{len(value)} values>"
    return repr(value.item() if hasattr(value, "item") else value)
