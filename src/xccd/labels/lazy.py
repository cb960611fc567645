"""The joint with xarray: deferred arrays inside xarray objects. The only file that uses xarray's internals.

xarray may change its internals without notice. So the first use tries them on a small array (`_internals`). If the
trial fails, deferred arrays are computed at once and one line is logged.
"""

from __future__ import annotations

import logging
from functools import cache
from operator import attrgetter
from typing import Any

import numpy as np
import xarray as xr
from xarray.backends import BackendArray

from xccd.compute.arrays import is_dask
from xccd.compute.deferred import Deferred, view
from xccd.errors import in_tree

indexing: Any
AccessorRegistrationWarning: type[Warning]
try:
    from xarray.core import indexing
except ImportError:
    indexing = None
try:
    from xarray.core.extensions import AccessorRegistrationWarning
except ImportError:
    AccessorRegistrationWarning = UserWarning

held = attrgetter("_data")  # the data of a Variable, not loaded


class DeferredBackend(BackendArray):
    """A deferred array in the form that xarray's backends give."""

    def __init__(self, array: Deferred) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    @in_tree
    def __getitem__(self, key: Any) -> Any:
        if not isinstance(key, indexing.VectorizedIndexer):
            return self.array.select(key.tuple)
        support = indexing.IndexingSupport.OUTER  # xarray makes selections of single points out of these
        return indexing.explicit_indexing_adapter(key, self.shape, support, self.array.select)


def as_lazy_indexed(array: Any) -> Any:
    """An array in the form that an xarray object may hold.

    A deferred array is wrapped: xarray indexes it lazily, and keeps its values once they were used. Other arrays are
    returned as they are.
    """
    if not isinstance(array, Deferred):
        return array
    return _wrapped(array) if _internals() else array.select((slice(None),) * array.ndim)


def array_of(stack: xr.DataArray | xr.Variable) -> Any:
    """The array in an xarray object: NumPy's, dask's, or a deferred one whose values were not used yet."""
    variable = stack.variable if isinstance(stack, xr.DataArray) else stack
    found = _unwrapped(held(variable)) if _internals() else None
    return variable.data if found is None else found


def stored(variable: xr.Variable) -> Any:
    """The data of a variable, to be passed to another variable: a lazy array stays lazy."""
    return held(variable) if _internals() else variable.data


def in_memory(obj: xr.DataArray) -> bool:
    """Whether its values are there, so that using them computes and reads nothing."""
    data = held(obj.variable)
    return isinstance(data, np.ndarray) or bool(getattr(obj.variable, "_in_memory", False))


def made_from(label: xr.DataArray, stack: xr.DataArray) -> bool:
    """Whether computing a lazy ``label`` would compute the stack's samples. False if it is cheap to read."""
    one, other = array_of(label), array_of(stack)
    return is_dask(one) and is_dask(other) and not one.dask.layers.keys().isdisjoint(other.dask.layers)


def _wrapped(array: Deferred) -> Any:
    # As around the arrays of xarray's backends: what was read is kept, and a write goes into what is kept.
    lazily = indexing.LazilyIndexedArray(DeferredBackend(array))
    return indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazily))


def _unwrapped(data: Any) -> Deferred | None:
    """The deferred array in a variable's data; None if there is none, or if its selection is no view."""
    while isinstance(data, indexing.MemoryCachedArray | indexing.CopyOnWriteArray):
        data = data.array
    if isinstance(data, indexing.LazilyIndexedArray) and isinstance(data.array, DeferredBackend):
        return view(data.array.array, data.key.tuple)
    return None


def selection_of(variable: xr.Variable) -> tuple[Deferred, tuple[Any, ...], tuple[int, ...]] | None:
    """A deferred array of which a variable holds a selection that is no view, the selection, and its shape."""
    if not _internals():
        return None
    data = held(variable)
    while isinstance(data, indexing.MemoryCachedArray | indexing.CopyOnWriteArray):
        data = data.array
    if not (isinstance(data, indexing.LazilyIndexedArray) and isinstance(data.array, DeferredBackend)):
        return None
    base, key = data.array.array, data.key.tuple
    return None if view(base, key) is not None else (base, key, data.shape)


@cache
def _internals() -> bool:
    """Whether xarray's internals are those that this file knows; logged if not."""
    try:
        _try_internals()
    except Exception as error:
        logging.getLogger("xccd").warning(
            "xarray %s has other internals than xccd knows (%s: %s): what is opened with chunks=None is read and "
            "computed at once; chunks='auto' stays lazy",
            xr.__version__, type(error).__name__, error,
        )  # fmt: skip
        return False
    return True


def _try_internals() -> None:
    """Wrap a small array, select, read, write. Raises if anything is not as it should be."""
    values = np.arange(12.0).reshape(3, 2, 2)
    variable = xr.Variable(("frame", "y", "x"), _wrapped(Deferred(np.copy, [values], values.shape, values.dtype)))
    part = variable[1:, :, 1:]
    found = _unwrapped(held(part))
    one, other = xr.Variable("point", [0, 2]), xr.Variable("point", [1, 0])
    points = variable[{"frame": one, "x": other}].transpose("y", "point").values
    same = [found is not None and found.shape == (2, 2, 1), np.array_equal(part.values, values[1:, :, 1:])]
    same += [np.array_equal(points, values[[0, 2], :, [1, 0]].T)]
    variable[0] = 7.0  # into the values that are kept
    same += [_unwrapped(held(variable)) is None, variable.values.max(axis=(1, 2)).tolist() == [7.0, 7.0, 11.0]]
    if not all(same):
        raise RuntimeError("a trial gave other values")
