"""The array within an xarray object, not computed; and an array that is not computed within xarray."""

from __future__ import annotations

from typing import Any

import xarray as xr
from xarray.core import indexing

from xccd.compute.arrays import is_dask
from xccd.compute.deferred import Deferred, view


def as_lazy_indexed(array: Any) -> Any:
    """An array as xarray may hold it: a deferred one lazily indexed, and kept once its values were used."""
    if not isinstance(array, Deferred):
        return array
    lazily: Any = indexing.LazilyIndexedArray(array)
    return indexing.MemoryCachedArray(indexing.CopyOnWriteArray(lazily))


def array_of(stack: xr.DataArray | xr.Variable) -> Any:
    """The array that a labelled one holds: NumPy's, dask's, or a deferred one that nobody has used the values of."""
    variable = stack.variable if isinstance(stack, xr.DataArray) else stack
    held: Any = variable._data
    while isinstance(held, indexing.MemoryCachedArray | indexing.CopyOnWriteArray):
        held = held.array
    if isinstance(held, indexing.LazilyIndexedArray) and isinstance(held.array, Deferred):
        found = view(held.array, held.key.tuple)
        if found is not None:
            return found
    return variable.data


def made_from(label: xr.DataArray, stack: xr.DataArray) -> bool:
    """Whether computing ``label`` would compute the stack's samples; one that is lazy by itself is cheap to read."""
    one, other = array_of(label), array_of(stack)
    return is_dask(one) and is_dask(other) and not one.dask.layers.keys().isdisjoint(other.dask.layers)
