"""`to_dataset` and `to_stack`: between a stack with NaN and a flagged Dataset, which keeps every sample."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, plans
from xccd.headers.uncertainties import TYPES
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import ancillary, attributes, image_names, map_name, not_taken, with_maps
from xccd.labels.frames import as_numbers, unflagged
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.messages import a_type, did_you_mean
from xccd.read.images.quality import bad_values, bits_of
from xccd.verbs.photon_noise import photon_noise


def to_dataset(
    stack: xr.DataArray,
    *,
    mask: Any = None,
    bits: Any = None,
    uncertainty: Any = None,
    gain: Any = None,
    readnoise: Any = None,
) -> xr.Dataset:
    """Turn a stack into a flagged Dataset: the samples stay, and flags say which are masked, and why.

    Parameters
    ----------
    stack : DataArray
        A stack, or an image. Samples that are not finite get the flag 2.
    mask : DataArray or array, optional
        True, or not 0, for masked samples: they get the flag 1. A DataArray has some of the stack's dimensions; an
        array has the stack's shape, or that of one frame.
    bits : int or iterable of int, optional
        The bits of ``mask`` that mask, as powers of two, such as ``[1, 4]``, or their sum, 5. Default: all bits.
    uncertainty : "poisson", DataArray, array, number or astropy NDUncertainty, optional
        Uncertainties of the samples, in a shape as for ``mask``. Their type is the attribute ``uncertainty_type``, or
        that of the NDUncertainty: "std" (the default), "var" or "ivar". "poisson": the noise of photons and readout,
        sqrt(max(x, 0) / gain + (readnoise / gain)^2), for samples x without their bias.
    gain, readnoise : number, array or str, optional
        For "poisson": electrons per unit, and electrons. One number, one for each frame, or a keyword. Default: the
        keywords GAIN and RDNOISE.

    Returns
    -------
    Dataset
        The variable ``data``, or the name of the stack, with its maps ``data_flags`` (uint8) and ``data_uncertainty``
        as in `open_dataset`.

    Raises
    ------
    TypeError
        ``stack`` is not a DataArray, or the mask has no booleans or integers; with ``bits``, no integers.
    ValueError
        A shape or a dimension differs from the stack's, or the type of uncertainties is unknown. For "poisson": a
        keyword that is missing, a gain that is a setting of the camera (above 20), data in a unit that no gain applies
        to, or scaled data.

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

    Counts with a gain of 4 electrons a count, and a read noise of 8 electrons:

    >>> stack.ccd.to_dataset(uncertainty="poisson", gain=4, readnoise=8).data_uncertainty.values.round(3).tolist()
    [[2.062, 2.121], [2.179, nan]]
    """
    if not isinstance(stack, xr.DataArray):
        raise not_taken("to_dataset()", stack, "to_dataset takes a DataArray, not")
    float_dtype(stack.dtype)
    chosen = bits_of(bits)
    name = "data" if stack.name is None else stack.name
    marks = []
    if mask is not None:
        masked = _with_all_dims("mask", mask, stack)
        if masked.dtype.kind not in "biu":
            raise TypeError(f"mask= has dtype {masked.dtype}: give booleans, True where masked")
        if chosen is not None and masked.dtype == bool:
            raise TypeError("mask= holds booleans, which have no bits: leave bits= out")
        marks.append(masked.data)
    elif bits is not None:
        raise ValueError(f"bits={bits!r} are those of a mask: give mask= too")
    flag = partial(_flags_of_stack, bits=chosen)
    data = arrays.map_elementwise(flag, array_of(stack), *marks, dtype=np.dtype(np.uint8))
    if not marks:
        # Flags that follow from the samples: a clip need not read them, and begins at the samples.
        plans.remember_flags(data, array_of(stack), None, ())
    maps = {map_name(name, "flags"): xr.Variable(stack.dims, as_lazy_indexed(data), attributes())}
    if isinstance(uncertainty, str) and uncertainty == "poisson":
        camera = "GAIN" if gain is None else gain, "RDNOISE" if readnoise is None else readnoise
        maps[map_name(name, "uncertainty")] = photon_noise(stack, *camera)
    elif gain is not None or readnoise is not None:
        raise ValueError("gain= and readnoise= go with uncertainty='poisson'")
    elif uncertainty is not None:
        maps[map_name(name, "uncertainty")] = _uncertainty_given(uncertainty, stack)
    image = stack.assign_attrs(ancillary_variables=" ".join(maps))
    return image.to_dataset(name=name).assign(maps)


def _flags_of_stack(x: Any, mask: Any = None, *, bits: int | None) -> Any:
    flags = np.zeros(x.shape, np.uint8)
    if x.dtype.kind == "f":
        flags[~np.isfinite(x)] = Flag.NOT_FINITE
    if mask is not None:
        bad = mask != 0 if bits is None else bad_values(np.ascontiguousarray(mask), bits)
        flags[np.broadcast_to(bad, x.shape)] = Flag.MASKED_ON_INPUT
    return flags


def _with_all_dims(argument: str, given: Any, stack: xr.DataArray) -> xr.Variable:
    """A mask or uncertainties with all dimensions of the stack, of size 1 where ``given`` has none."""
    if isinstance(given, xr.DataArray):
        unknown = [d for d in given.dims if d not in stack.dims]
        wrong = [d for d in given.dims if d in stack.dims and given.sizes[d] != stack.sizes[d]]
        if unknown or wrong:
            raise ValueError(f"{argument}= has sizes {dict(given.sizes)}, the stack {dict(stack.sizes)}")
        xr.align(stack, given, join="exact")
        variable = given.variable
    else:
        array = as_numbers(argument, given)
        if array.shape not in ((), stack.shape[1:], stack.shape):
            raise ValueError(f"{argument}= has shape {array.shape}: give {stack.shape}, or {stack.shape[1:]} for each")
        variable = xr.Variable(stack.dims[stack.ndim - array.ndim :], array)
    sizes = {d: variable.sizes.get(d, 1) for d in stack.dims}
    data = variable.transpose(*(d for d in sizes if d in variable.dims)).data
    return xr.Variable(stack.dims, data.reshape(tuple(sizes.values())))


def _uncertainty_given(given: Any, stack: xr.DataArray) -> xr.Variable:
    if isinstance(given, str):
        raise ValueError(
            f"uncertainty={given!r} is unknown: use 'poisson', or give numbers{did_you_mean(given, ('poisson',))}"
        )
    kind = getattr(given, "uncertainty_type", None) or getattr(given, "attrs", {}).get("uncertainty_type", "std")
    if kind not in TYPES:
        raise ValueError(
            f"uncertainty= has the unknown type {kind!r}: use one of {', '.join(TYPES)}{did_you_mean(kind, TYPES)}"
        )
    errors = given if isinstance(given, xr.DataArray) else getattr(given, "array", given)
    spread = _with_all_dims("uncertainty", errors, stack)
    if spread.dtype.kind not in "fiu":
        raise TypeError(f"uncertainty= has dtype {spread.dtype}: give real numbers")
    data = arrays.map_elementwise(_whole_shape, array_of(stack), spread.data, dtype=float_dtype(spread.dtype))
    units = (
        {k: v for k, v in stack.attrs.items() if k == "units"} if kind == "std" else {}
    )  # only std has the unit of the data
    return xr.Variable(stack.dims, as_lazy_indexed(data), {"uncertainty_type": kind} | units)


def _whole_shape(x: Any, values: Any) -> Any:
    return np.broadcast_to(values, x.shape).astype(float_dtype(values.dtype))


def to_stack(ds: xr.Dataset) -> xr.DataArray:
    """Turn a flagged Dataset into a stack: flagged samples become NaN.

    Parameters
    ----------
    ds : Dataset
        From `open_dataset` or `to_dataset`, before or after clips; or an image with its maps.

    Returns
    -------
    DataArray
        The samples with labels and headers, as `open_stack` returns them, in the float dtype that holds them: float32
        for integers of up to 16 bits, float64 for wider ones.

    Raises
    ------
    TypeError
        ``ds`` is not a Dataset.
    ValueError
        ``ds`` has no variable with flags, or several.

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
            f"to_stack takes a Dataset, not {a_type(ds)}"
            + (": tree[node].to_dataset().ccd.to_stack()" if isinstance(ds, xr.DataTree) else "")
        )
    names, helpers = image_names(ds), ancillary(ds)
    flagged = [n for n in names if map_name(n, "flags") in helpers and map_name(n, "flags") in ds]
    if len(flagged) != 1:
        raise ValueError(
            f"to_stack takes a Dataset with one flagged variable, this one has {len(flagged)} (of "
            f"{', '.join(map(str, names)) or 'none'}): ds[['data', 'data_flags']].ccd.to_stack() picks one"
        )
    (name,) = flagged
    return unflagged(with_maps(ds, name))
