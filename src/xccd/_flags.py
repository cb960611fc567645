"""Flags: why a sample is out, one bit a reason, beside data that stay as they were read.

Of a Dataset the flags of a variable are its companion ``<name>_flags``. While a verb works on that variable they travel
with it as a coordinate of that name.
"""

from __future__ import annotations

from enum import IntFlag
from typing import Any

import numpy as np
import xarray as xr


class Flag(IntFlag):
    """The reasons, in the order of their bits."""

    MASKED_ON_INPUT = 1
    NOT_FINITE = 2
    BELOW_MINIMUM = 4
    ABOVE_MAXIMUM = 8
    REJECTED_LOW = 16
    REJECTED_HIGH = 32
    GROWN = 64
    OUTSIDE_FOOTPRINT = 128


MAPS = ("flags", "uncertainty", "count")  # what a variable may have beside it, as <name>_flags


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


def companion(name: Any, kind: str) -> str:
    """The name of a map beside a variable; of a variable without a name that of ``data``."""
    return f"{'data' if name is None else name}_{kind}"


def flags_of(stack: xr.DataArray) -> xr.DataArray | None:
    """The flags that travel with a stack, axes in its order; None for a stack whose mask is NaN."""
    flags = stack.coords.get(companion(stack.name, "flags"))
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
    maps = {companion(name, kind) for kind in MAPS} & set(named) & set(ds.data_vars)
    if (flags := companion(name, "flags")) in maps:
        check_flags(ds[flags])
    return stack.assign_coords({k: ds[k].variable for k in sorted(maps)})


def apart(stack: xr.DataArray, name: Any) -> dict[Any, xr.DataArray]:
    """The variables of `with_maps` again, the first naming the others."""
    here = [k for kind in MAPS if (k := companion(name, kind)) in stack.coords]
    if not here:
        return {name: stack}
    bare = stack.drop_vars(here)
    named = dict.fromkeys([*str(bare.attrs.get("ancillary_variables", "")).split(), *here])
    bare.attrs = bare.attrs | {"ancillary_variables": " ".join(named)}
    found = {k: bare.copy(deep=False, data=stack.coords[k].variable._data) for k in here}
    for k, new in found.items():
        new.attrs, new.encoding, new.name = dict(stack.coords[k].attrs), {}, k
    return {name: bare, **found}
