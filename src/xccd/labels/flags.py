"""Flags: why a sample is masked, one bit a reason. The data stay as they were read.

In a flagged Dataset the flags of a variable are its map ``<name>_flags``. While a verb works on the variable, they are
a coordinate of that name.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.kernels.flags import Flag
from xccd.kernels.table import OUTPUTS
from xccd.labels.lazy import stored
from xccd.messages import a_type, did_you_mean

MAPS = tuple(OUTPUTS)  # the maps of a variable, named <name>_flags and so on
CARRIED = tuple(name for name, row in OUTPUTS.items() if row.of_stack)  # those that verbs carry


ON_A_DATASET = (
    "arithmetic on a Dataset changes its flags and uncertainties, too. Work on the samples alone, as "
    "ds.assign(data=ds['data'] - bias), or on ds.ccd.to_stack()"
)


def attributes() -> dict[str, Any]:
    """The attributes of a flags variable, by the CF conventions."""
    return {
        "long_name": "why a sample is out",
        "flag_masks": np.array(list(Flag), np.uint8),
        "flag_meanings": " ".join(flag.name.lower() for flag in Flag if flag.name),
    }


def map_name(name: Any, kind: str) -> str:
    """The name of a variable's map. A variable without a name counts as ``data``."""
    return f"{'data' if name is None else name}_{kind}"


def flags_of(stack: xr.DataArray) -> xr.DataArray | None:
    """The flags of a stack, with its order of axes; None for a stack whose mask is NaN."""
    flags = stack.coords.get(map_name(stack.name, "flags"))
    if flags is None or set(flags.dims) != set(stack.dims):
        return None
    check_flags(flags)
    found: xr.DataArray = flags.transpose(*stack.dims)
    return found


def check_flags(flags: xr.DataArray) -> None:
    """Raise if a variable has the name of flags but another dtype."""
    if flags.dtype != np.uint8:  # after arithmetic on the Dataset, for example
        raise TypeError(f"{flags.name!r} has dtype {flags.dtype}, but flags are uint8: {ON_A_DATASET}")


def check_uncertainty(values: Any, in_use: Any = True) -> None:
    """Raise if samples in use have uncertainties below 0."""
    wrong = int(np.count_nonzero((np.asarray(values) < 0) & in_use))
    if wrong:
        raise ValueError(f"{wrong} uncertainties are negative: {ON_A_DATASET}")


def with_maps(ds: xr.Dataset, name: Any) -> xr.DataArray:
    """A variable of a Dataset, with its maps as coordinates."""
    stack: xr.DataArray = ds[name]
    maps = {map_name(name, kind) for kind in CARRIED} & set(ancillary_names(stack)) & set(ds.data_vars)
    if (flags := map_name(name, "flags")) in maps:
        check_flags(ds[flags])
    return stack.assign_coords({k: ds[k].variable for k in sorted(maps)})


def apart(stack: xr.DataArray, name: Any) -> dict[Any, xr.DataArray]:
    """The inverse of `with_maps`: the variable, which names its maps, and the maps."""
    here = [k for kind in MAPS if (k := map_name(name, kind)) in stack.coords]
    if not here:
        return {name: stack}
    bare = stack.drop_vars(here)
    named = dict.fromkeys([*ancillary_names(bare), *here])
    bare.attrs = bare.attrs | {"ancillary_variables": " ".join(named)}
    found = {k: bare.copy(deep=False, data=stored(stack.coords[k].variable)) for k in here}
    for k, new in found.items():
        new.attrs, new.encoding, new.name = dict(stack.coords[k].attrs), {}, k
    return {name: bare, **found}


def science_variables(ds: xr.Dataset, dim: Hashable) -> list[Hashable]:
    """The names of the images that have ``dim``; ValueError if there are none."""
    found = [name for name in image_names(ds) if dim in ds[name].dims]
    if not found:
        dims = {str(n): v.dims for n, v in ds.data_vars.items()}
        raise ValueError(
            f"no variable of this Dataset has the dimension {dim!r} (variables: {dims}): "
            "name the dimension of the frames with dim=..., or rename it to 'frame'"
            f"{did_you_mean(dim, {d for v in ds.data_vars.values() for d in v.dims})}"
        )
    return found


def science_variable(ds: xr.Dataset) -> Hashable:
    """The name of the only image of a Dataset; ValueError if it has none or several."""
    names = image_names(ds)
    if len(names) != 1:
        raise ValueError(f"this Dataset has {len(names)} images ({', '.join(map(str, names))}): pick one with its maps")
    return names[0]


def image_names(ds: xr.Dataset) -> list[Hashable]:
    """The names of the variables that no other variable names as ancillary."""
    helpers = ancillary(ds)
    return [name for name in ds.data_vars if name not in helpers]


def ancillary(ds: xr.Dataset) -> set[Hashable]:
    """The names in the ``ancillary_variables`` of all variables."""
    return {name for variable in ds.data_vars.values() for name in ancillary_names(variable)}


def ancillary_names(array: xr.DataArray) -> list[str]:
    """The names in the attribute ``ancillary_variables``."""
    return str(array.attrs.get("ancillary_variables", "")).split()


def not_taken(verb: str, obj: Any, rule: str) -> TypeError:
    """The error for an object that a verb does not take; it names a part that the verb takes."""
    way = ""
    if isinstance(obj, xr.DataTree):
        parts = (
            (key, name) for key, node in obj.subtree_with_keys for name in image_names(node.to_dataset(inherit=False))
        )
        where = next(
            (f"[{name!r}]" if key == "." else f"[{key!r}][{name!r}]" for key, name in parts), "[node][variable]"
        )
        way = f": pick a variable, as tree{where}.ccd.{verb}"
    elif isinstance(obj, xr.Dataset):
        way = f": pick a variable, as ds[{next(iter(image_names(obj)), 'name')!r}].ccd.{verb}"
    return TypeError(f"{rule} {a_type(obj)}{way}")
