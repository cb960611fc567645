"""Between the two forms of a stack: NaN for what is out, or flags beside samples that stay as they are."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, plans
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import ancillary, attributes, map_name, not_taken, with_maps
from xccd.labels.frames import unflagged
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.messages import did_you_mean

TYPES = ("std", "var", "ivar")


def to_dataset(stack: xr.DataArray, *, mask: Any = None, uncertainty: Any = None) -> xr.Dataset:
    """The lossless form of a stack: flags beside the samples say what is out, and why.

    Parameters
    ----------
    stack : DataArray
        A stack, or an image. What is not finite gets the flag 2.
    mask : DataArray or array, optional
        True, or not 0, for samples that are masked: flag 1. A DataArray has some of the stack's dimensions; an array
        has its shape, or that of one frame.
    uncertainty : DataArray, array, number or astropy NDUncertainty, optional
        Uncertainties of the samples, given as a mask is. Of which kind they are an attribute ``uncertainty_type`` says,
        or the object: "std" (as without one), "var" or "ivar".

    Returns
    -------
    Dataset
        ``data``, or the name of the stack; ``data_flags`` and ``data_uncertainty`` as `open_dataset` has them.

    Raises
    ------
    TypeError
        ``stack`` is not a DataArray, a mask is not of booleans or integers.
    ValueError
        A shape or a dimension that the stack does not have, an unknown type of uncertainties.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray([[1.0, 2.0], [3.0, np.nan]], dims=("frame", "x"))
    >>> ds = stack.ccd.to_dataset(mask=[[True, False], [False, False]])
    >>> ds.data_flags.values.tolist()
    [[1, 0], [0, 2]]
    >>> ds.ccd.to_stack().values.tolist()
    [[nan, 2.0], [3.0, nan]]
    """
    if not isinstance(stack, xr.DataArray):
        raise not_taken("to_dataset()", stack, "to_dataset takes a DataArray, not")
    float_dtype(stack.dtype)
    name = "data" if stack.name is None else stack.name
    marks = []
    if mask is not None:
        masked = _spread("mask", mask, stack)
        if masked.dtype.kind not in "biu":
            raise TypeError(f"mask= has dtype {masked.dtype}: give booleans, True where masked")
        marks.append(masked.data)
    data = arrays.map_elementwise(_first, array_of(stack), *marks, dtype=np.dtype(np.uint8))
    if not marks:
        plans.remember_flags(data, array_of(stack), None, ())
    maps = {map_name(name, "flags"): xr.Variable(stack.dims, as_lazy_indexed(data), attributes())}
    if uncertainty is not None:
        maps[map_name(name, "uncertainty")] = _uncertainty(uncertainty, stack)
    image = stack.assign_attrs(ancillary_variables=" ".join(maps))
    return image.to_dataset(name=name).assign(maps)


def _first(x: Any, mask: Any = None) -> Any:
    flags = np.zeros(x.shape, np.uint8)
    if x.dtype.kind == "f":
        flags[~np.isfinite(x)] = Flag.NOT_FINITE
    if mask is not None:
        flags[np.broadcast_to(mask != 0, x.shape)] = Flag.MASKED_ON_INPUT
    return flags


def _spread(argument: str, given: Any, stack: xr.DataArray) -> xr.Variable:
    """What is given for a stack or a frame, with the stack's dimensions, those that it lacks of size 1."""
    if isinstance(given, xr.DataArray):
        unknown = [d for d in given.dims if d not in stack.dims]
        wrong = [d for d in given.dims if d in stack.dims and given.sizes[d] != stack.sizes[d]]
        if unknown or wrong:
            raise ValueError(f"{argument}= has sizes {dict(given.sizes)}, the stack {dict(stack.sizes)}")
        xr.align(stack, given, join="exact")
        variable = given.variable
    else:
        array = given if arrays.is_dask(given) else np.asarray(given)
        if array.shape not in ((), stack.shape[1:], stack.shape):
            raise ValueError(f"{argument}= has shape {array.shape}: give {stack.shape}, or {stack.shape[1:]} for each")
        variable = xr.Variable(stack.dims[stack.ndim - array.ndim :], array)
    sizes = {d: variable.sizes.get(d, 1) for d in stack.dims}
    data = variable.transpose(*(d for d in sizes if d in variable.dims)).data
    return xr.Variable(stack.dims, data.reshape(tuple(sizes.values())))


def _uncertainty(given: Any, stack: xr.DataArray) -> xr.Variable:
    kind = getattr(given, "uncertainty_type", None) or getattr(given, "attrs", {}).get("uncertainty_type", "std")
    if kind not in TYPES:
        raise ValueError(f"uncertainty= is of type {kind!r}: {', '.join(TYPES)} are known{did_you_mean(kind, TYPES)}")
    spread = _spread("uncertainty", given if isinstance(given, xr.DataArray) else getattr(given, "array", given), stack)
    if spread.dtype.kind not in "fiu":
        raise TypeError(f"uncertainty= has dtype {spread.dtype}: give real numbers")
    data = arrays.map_elementwise(_filled, array_of(stack), spread.data, dtype=float_dtype(spread.dtype))
    units = {k: v for k, v in stack.attrs.items() if k == "units"} if kind == "std" else {}
    return xr.Variable(stack.dims, as_lazy_indexed(data), {"uncertainty_type": kind} | units)


def _filled(x: Any, values: Any) -> Any:
    return np.broadcast_to(values, x.shape).astype(float_dtype(values.dtype))


def to_stack(ds: xr.Dataset) -> xr.DataArray:
    """A stack by itself, from its lossless form: what has a flag is NaN.

    Parameters
    ----------
    ds : Dataset
        Of `open_dataset` or `to_dataset`, before or after clips; or an image with its maps.

    Returns
    -------
    DataArray
        The samples in the float dtype that holds them (float32 for integers of up to 16 bits, else float64), as
        `open_stack` gives them, labels and headers included.

    Raises
    ------
    TypeError
        ``ds`` is not a Dataset.
    ValueError
        It has no variable with flags, or several.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> ds = xccd.open_dataset([(np.array([[1, 2]], "uint16"), {}), (np.array([[9, 2]], "uint16"), {})])
    >>> ds.ccd.minmax(max=5).ccd.to_stack().values.tolist()
    [[[1.0, 2.0]], [[nan, 2.0]]]
    """
    if not isinstance(ds, xr.Dataset):
        raise TypeError(
            f"to_stack takes a Dataset, not a {type(ds).__name__}"
            + (": tree[node].to_dataset().ccd.to_stack()" if isinstance(ds, xr.DataTree) else "")
        )
    helpers = ancillary(ds)
    names = [n for n in ds.data_vars if n not in helpers]
    flagged = [n for n in names if map_name(n, "flags") in helpers and map_name(n, "flags") in ds]
    if len(flagged) != 1:
        raise ValueError(
            f"to_stack gives one variable with its flags as a DataArray, and of {', '.join(map(str, names)) or 'none'} "
            f"{len(flagged)} have flags: ds[['data', 'data_flags']].ccd.to_stack() picks one"
        )
    (name,) = flagged
    return unflagged(with_maps(ds, name))
