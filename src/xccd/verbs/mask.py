"""`mask` and `mask_where`: the masked samples of a stack, and masking by an image or a stack of masks."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, notes
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype
from xccd.labels.apply import Obj, per_variable
from xccd.labels.flags import MAPS, flags_of, map_name, with_maps
from xccd.labels.frames import add_history, as_numbers, check_array, copy_with, frames_first, step_text, with_samples
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.labels.nodes import map_nodes
from xccd.messages import a_type
from xccd.read.images.quality import bad_values, bits_of
from xccd.verbs.weights import matched

KINDS = "fiub"  # kinds of dtype that a mask may have


def mask(stack: Obj) -> Obj:
    """Return which samples are masked: NaN, infinite or flagged.

    As ``.ccd.mask`` it is a property, written without parentheses.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Samples of any shape.

    Returns
    -------
    DataArray, Dataset or DataTree
        Booleans of the same shape, True where masked; lazy if the stack is lazy.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> xr.DataArray([1.0, np.nan, np.inf], dims="frame").ccd.mask.values.tolist()
    [False, True, True]
    """
    if isinstance(stack, xr.DataTree):
        return map_nodes(mask, stack, lambda ds: bool(ds.data_vars), "a variable")
    if isinstance(stack, xr.Dataset):
        flagged = {k: flags for k in stack.data_vars if (flags := flags_of(with_maps(stack, k))) is not None}
        images = stack.drop_vars([map_name(k, kind) for k in flagged for kind in MAPS], errors="ignore")
        missing = {k: _missing_of(stack[k], array_of(f)).variable for k, f in flagged.items()}
        return images.map(mask).assign(missing)
    return _missing_of(stack)


def _missing_of(stack: xr.DataArray, *flags: Any) -> xr.DataArray:
    data = arrays.map_elementwise(_missing, array_of(stack), *flags, dtype=np.dtype(bool))
    return with_samples(stack, as_lazy_indexed(data))


def _missing(x: Any, flags: Any = None) -> Any:
    return ~np.isfinite(x) if flags is None else ~np.isfinite(x) | (flags != 0)


@per_variable
def mask_where(stack: xr.DataArray, bad: Any, *, bits: Any = None, dim: Hashable = "frame") -> xr.DataArray:
    """Mask samples by an image, a stack of masks, or planes of data quality.

    The stack keeps its headers, WCS and file names. ``stack.where(masks == 0)`` would drop them if the masks have
    others.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image.
    bad : DataArray or array
        Samples where ``bad`` is not 0, or NaN, are masked. It has the stack's shape, or one frame's for all frames.
        Masks that were opened from files match the frames by their order, or by file name if they name the stack's own
        files.
    bits : int or iterable of int, optional
        The bits of ``bad`` that mask, as powers of two, such as ``[1, 4]``, or their sum, 5. Other bits mask nothing.
        Default: all bits.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        The stack with masked samples NaN. In a flagged Dataset they get the flag 1 and keep their other flags.

    Raises
    ------
    ValueError
        The mask does not match the stack in shape, files or coordinates, or ``bits`` has no valid bits.
    TypeError
        The mask holds no numbers, or fractions although ``bits`` is given.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], dims=("frame", "x"))
    >>> stack.ccd.mask_where([False, True, False]).values.tolist()
    [[1.0, nan, 3.0], [4.0, nan, 6.0]]
    >>> quality = xr.DataArray([[0, 4, 1], [2, 0, 6]], dims=("frame", "x"))
    >>> stack.ccd.mask_where(quality, bits=4).values.tolist()
    [[1.0, nan, 3.0], [4.0, 5.0, nan]]
    """
    dtype, chosen = float_dtype(stack.dtype), bits_of(bits)
    check_array("the stack", array_of(stack))
    marks = marks_of("bad", bad, stack, dim)
    if chosen is not None and marks.dtype == bool:
        raise TypeError("bad= holds booleans, which have no bits: leave bits= out")
    text = step_text("mask_where", bad=bad, bits=bits)
    flags = flags_of(stack)
    along = dim if dim in stack.dims else stack.dims[0]
    x = frames_first(stack, along)
    if flags is None:
        data = arrays.map_elementwise(partial(_without, bits=chosen, dtype=dtype), x, marks, dtype=dtype)
        notes.mark(data, notes.origin_of_samples(x))
        return add_history(copy_with(stack, along, data), text)
    before = frames_first(flags, along)
    after = arrays.map_elementwise(partial(_marked, bits=chosen), before, marks, dtype=flags.dtype)
    return add_history(stack.assign_coords({flags.name: copy_with(flags, along, after).variable}), text)


def marks_of(argument: str, bad: Any, stack: xr.DataArray, dim: Hashable) -> Any:
    """A mask as an array with the frames first, of size 1 along dimensions that it does not have."""
    order = list(dict.fromkeys(d for d in (dim, *stack.dims) if d in stack.dims))
    if isinstance(bad, xr.DataArray):
        value = matched(argument, bad, stack, dim)
    elif isinstance(bad, xr.Dataset | xr.DataTree):
        raise TypeError(f"{argument}= is {a_type(bad)}: give one array of it, as ds['data_flags']")
    else:
        array = as_numbers(argument, bad)
        frame = tuple(d for d in stack.dims if d != dim)
        dims = {stack.shape: stack.dims, tuple(stack.sizes[d] for d in frame): frame}.get(array.shape)
        if dims is None:
            raise ValueError(
                f"{argument}= has shape {array.shape}, the stack {dict(stack.sizes)}: give its shape, or a frame's"
            )
        value = xr.DataArray(array, dims=dims)
    if value.dtype.kind not in KINDS:
        raise TypeError(f"{argument}= has dtype {value.dtype}: give booleans, or numbers that are not 0 where masked")
    check_array(f"{argument}=", array_of(value))
    present = [d for d in order if d in value.dims]
    sizes = tuple(stack.sizes[d] if d in value.dims else 1 for d in order)
    data = array_of(value.transpose(*present))
    if arrays.is_deferred(data):
        return data if data.shape == sizes else data.load().reshape(sizes)
    return data.reshape(sizes)


def _is_bad(marks: Any, bits: int | None) -> Any:
    if bits is None:
        return marks != 0  # NaN too
    missing = ~np.isfinite(marks)
    if marks.dtype.kind == "f":
        whole = np.where(missing, 0, marks)
        # from 2^63 on a cast to int64 is undefined
        if (whole != np.trunc(whole)).any() or (np.abs(whole) >= 2.0**63).any():
            raise TypeError("bad= holds numbers that are not whole, which have no bits: leave bits= out")
        marks = whole.astype(np.int64)
    return bad_values(np.ascontiguousarray(marks), bits) | missing


def _without(x: Any, marks: Any, *, bits: int | None, dtype: Any) -> Any:
    return np.where(_is_bad(marks, bits), np.nan, x).astype(dtype, copy=False)


def _marked(flags: Any, marks: Any, *, bits: int | None) -> Any:
    return flags | np.where(_is_bad(marks, bits), np.uint8(Flag.MASKED_ON_INPUT), np.uint8(0))
