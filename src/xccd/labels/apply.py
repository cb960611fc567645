"""Apply a verb for one DataArray to a Dataset, and to the nodes of a DataTree."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar, cast

import xarray as xr

from xccd.compute import arrays
from xccd.headers.common import COMBINED
from xccd.headers.texts import as_texts
from xccd.labels.flags import ancillary_names, apart, science_variables, with_maps
from xccd.labels.lazy import array_of
from xccd.labels.nodes import map_nodes
from xccd.labels.warn import _WarningsOnce

P = ParamSpec("P")
Obj = TypeVar("Obj", xr.DataArray, xr.Dataset, xr.DataTree)
Image = TypeVar("Image", xr.DataArray, xr.Dataset)


def per_variable(
    verb: Callable[Concatenate[xr.DataArray, P], xr.DataArray],
) -> Callable[Concatenate[Obj, P], Obj]:
    """Let a verb for a DataArray also take a Dataset and a DataTree; it works on each science variable.

    A science variable has the dimension that the verb works along, and no other variable names it in its
    ``ancillary_variables``. Other variables stay, unless they have a dimension that was combined. Nodes without the
    dimension stay.
    """

    @wraps(verb)
    def on_any(obj: Obj, *args: P.args, **kwargs: P.kwargs) -> Obj:
        dim: Hashable = kwargs.get("dim", "frame")

        def on_dataset(ds: xr.Dataset) -> xr.Dataset:
            done: dict[Hashable, xr.DataArray] = {}
            for name in science_variables(ds, dim):
                done |= apart(verb(with_maps(ds, name), *args, **kwargs), name)
            return _in_place_of(ds, done, dim)

        def is_concerned(ds: xr.Dataset) -> bool:
            return any(dim in v.dims for v in ds.data_vars.values())

        if isinstance(obj, xr.DataArray):
            return verb(obj, *args, **kwargs)
        if isinstance(obj, xr.Dataset):
            with _WarningsOnce():
                return on_dataset(obj)
        if isinstance(obj, xr.DataTree):
            with _WarningsOnce():
                return map_nodes(on_dataset, obj, is_concerned, f"a variable with the dimension {dim!r}")
        raise TypeError(
            f"xccd.{verb.__name__} takes an xarray DataArray, Dataset or DataTree, not {type(obj).__name__}: "
            "wrap a NumPy array with xr.DataArray(values, dims=('frame', 'y', 'x'))"
        )

    return cast("Callable[Concatenate[Obj, P], Obj]", on_any)


def _in_place_of(ds: xr.Dataset, done: dict[Hashable, xr.DataArray], dim: Hashable) -> xr.Dataset:
    """``ds`` with new science variables, and with the labels that the verb changed."""
    lost = {dim} - {d for new in done.values() for d in new.dims}
    gone = {str(n) for n, v in ds.variables.items() if lost & set(v.dims)} - set(map(str, done))
    labels = _common_labels(done)
    kept = ds.drop_vars([n for n, v in ds.variables.items() if lost & set(v.dims)])
    bare = {name: new.drop_vars([k for k in labels if k in new.coords]) for name, new in done.items()}
    for new in bare.values():
        names = ancillary_names(new)
        if gone & set(names):
            rest = {"ancillary_variables": " ".join(n for n in names if n not in gone)}
            new.attrs = {k: v for k, v in (new.attrs | rest).items() if v or k not in rest}
    made = kept.assign_coords(labels | _changed_indexes(kept, done)).assign(
        {name: new.variable for name, new in bare.items()}
    )
    made.encoding = {}  # the file's, such as an unlimited dimension, which may be gone
    return made


def _changed_indexes(kept: xr.Dataset, done: dict[Hashable, xr.DataArray]) -> dict[Hashable, xr.Variable]:
    """Pixel numbers whose attributes the verb changed, as `combine` does for a grid."""
    own = {d: new.coords[d] for new in done.values() for d in new.dims if d in new.coords}
    return {d: c.variable for d, c in own.items() if d in kept.coords and c.attrs != kept.coords[d].attrs}


def _common_labels(done: dict[Hashable, xr.DataArray]) -> dict[Hashable, xr.Variable]:
    """The coordinates of all variables; a Dataset holds one of each name.

    Numbers must agree. Header texts keep the lines that all have; BUNIT is written from each variable's own unit.
    """
    labels: dict[Hashable, xr.Variable] = {}
    for name, new in done.items():
        for k in (k for k in new.coords if k not in new.indexes):
            mine, other = new.coords[k].variable, labels.setdefault(k, new.coords[k].variable)
            if mine.dtype.kind in "fiub" and not _equal_labels(mine, other):
                raise ValueError(
                    f"the variables of this Dataset need a coordinate {k!r} each, and it holds one: work on one "
                    f"after the other, as ds[{name!r}].ccd"
                )
            if k == COMBINED:
                labels[k] = _common_text(mine, other)
    return labels


def _common_text(one: xr.Variable, other: xr.Variable) -> xr.Variable:
    """The lines that two header texts of products share."""
    if one.shape or other.shape or one.values.item() == other.values.item():
        return other
    both = set(str(one.values.item()).split("\n"))
    kept = (line for line in str(other.values.item()).split("\n") if line in both)
    return xr.Variable((), as_texts("\n".join(kept)))


def _equal_labels(a: xr.Variable, b: xr.Variable) -> bool:
    """Whether two labels are equal. Lazy ones are compared by name or identity, so that nothing is computed."""
    if arrays.is_deferred(array_of(a)):
        return array_of(a) is array_of(b)
    if arrays.is_dask(a.data) or arrays.is_dask(b.data):
        return bool(getattr(a.data, "name", a) == getattr(b.data, "name", b))
    return bool(a.equals(b))
