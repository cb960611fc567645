"""Flags: why a sample is out, one bit a reason, beside data that stay as they were read.

Of a Dataset the flags of a variable are its companion ``<name>_flags``. While a verb works on that variable they travel
with it as a coordinate of that name.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.kernels.flags import Flag
from xccd.kernels.table import OUTPUTS
from xccd.messages import did_you_mean

MAPS = tuple(OUTPUTS)  # what a variable may have beside it, as <name>_flags


ON_A_DATASET = (
    "arithmetic on a Dataset changes its flags and uncertainties, too. Work on the samples alone, as "
    "ds.assign(data=ds['data'] - bias), or on ds.ccd.to_stack()"
)


def attributes() -> dict[str, Any]:
    """What makes a variable known as flags, by the CF conventions."""
    return {
        "long_name": "why a sample is out",
        "flag_masks": np.array(list(Flag), np.uint8),
        "flag_meanings": " ".join(flag.name.lower() for flag in Flag if flag.name),
    }


def map_name(name: Any, kind: str) -> str:
    """The name of a map beside a variable; of a variable without a name that of ``data``."""
    return f"{'data' if name is None else name}_{kind}"


def flags_of(stack: xr.DataArray) -> xr.DataArray | None:
    """The flags that travel with a stack, axes in its order; None for a stack whose mask is NaN."""
    flags = stack.coords.get(map_name(stack.name, "flags"))
    if flags is None or set(flags.dims) != set(stack.dims):
        return None
    check_flags(flags)
    found: xr.DataArray = flags.transpose(*stack.dims)
    return found


def check_flags(flags: xr.DataArray) -> None:
    """Raise for what has the name of flags and are none."""
    if flags.dtype != np.uint8:
        raise TypeError(f"{flags.name!r} has dtype {flags.dtype}, and flags are uint8: {ON_A_DATASET}")


def check_uncertainty(values: Any, in_use: Any = True) -> None:
    """Raise for uncertainties below 0 of samples that are in use."""
    wrong = int(np.count_nonzero((np.asarray(values) < 0) & in_use))
    if wrong:
        raise ValueError(f"{wrong} uncertainties are negative: {ON_A_DATASET}")


def with_maps(ds: xr.Dataset, name: Any) -> xr.DataArray:
    """A variable of a Dataset, its flags and uncertainty as coordinates."""
    stack: xr.DataArray = ds[name]
    named = str(stack.attrs.get("ancillary_variables", "")).split()
    maps = {map_name(name, kind) for kind in MAPS} & set(named) & set(ds.data_vars)
    if (flags := map_name(name, "flags")) in maps:
        check_flags(ds[flags])
    return stack.assign_coords({k: ds[k].variable for k in sorted(maps)})


def apart(stack: xr.DataArray, name: Any) -> dict[Any, xr.DataArray]:
    """The variables of `with_maps` again, the first naming the others."""
    here = [k for kind in MAPS if (k := map_name(name, kind)) in stack.coords]
    if not here:
        return {name: stack}
    bare = stack.drop_vars(here)
    named = dict.fromkeys([*str(bare.attrs.get("ancillary_variables", "")).split(), *here])
    bare.attrs = bare.attrs | {"ancillary_variables": " ".join(named)}
    found = {k: bare.copy(deep=False, data=stack.coords[k].variable._data) for k in here}
    for k, new in found.items():
        new.attrs, new.encoding, new.name = dict(stack.coords[k].attrs), {}, k
    return {name: bare, **found}


def science_variables(ds: xr.Dataset, dim: Hashable) -> list[Hashable]:
    """The variables with ``dim`` that are not another's ancillary ones."""
    helpers = ancillary(ds)
    found = [n for n, v in ds.data_vars.items() if dim in v.dims and n not in helpers]
    if not found:
        dims = {str(n): v.dims for n, v in ds.data_vars.items()}
        raise ValueError(
            f"no variable of this Dataset has the dimension {dim!r} (variables: {dims}): "
            "name the dimension of the frames with dim=..., or rename it to 'frame'"
            f"{did_you_mean(dim, {d for v in ds.data_vars.values() for d in v.dims})}"
        )
    return found


def ancillary(ds: xr.Dataset) -> set[Hashable]:
    """The variables that others name as their ``ancillary_variables``."""
    return {name for v in ds.data_vars.values() for name in str(v.attrs.get("ancillary_variables", "")).split()}


def not_taken(verb: str, obj: Any, rule: str) -> TypeError:
    """The error for an object that a verb does not take, with a part of it that it does."""
    way = ""
    if isinstance(obj, xr.DataTree):
        parts = ((key, name) for key, node in obj.subtree_with_keys for name in _images(node.to_dataset(inherit=False)))
        where = next(
            (f"[{name!r}]" if key == "." else f"[{key!r}][{name!r}]" for key, name in parts), "[node][variable]"
        )
        way = f": pick a variable, as tree{where}.ccd.{verb}"
    elif isinstance(obj, xr.Dataset):
        way = f": pick a variable, as ds[{next(iter(_images(obj)), 'name')!r}].ccd.{verb}"
    return TypeError(f"{rule} a {type(obj).__name__}{way}")


def _images(ds: xr.Dataset) -> list[Hashable]:
    """The variables that are not another's ancillary ones."""
    helpers = ancillary(ds)
    return [name for name in ds.data_vars if name not in helpers]
