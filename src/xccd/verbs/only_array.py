"""What verbs of one stack or image take: an array itself, or the only one of a Dataset."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import xarray as xr

from xccd.labels.flags import image_names, not_taken, with_maps


def only_array(
    verb: str,
    given: Any,
    dim: Hashable = "frame",
    *,
    what: str = "stack",
    taken: str = "a DataArray or a Dataset",
    arguments: str = "",
) -> xr.DataArray:
    """The array itself, or with its maps the only one of a Dataset that has ``dim``, or the only one at all.

    ``what`` and ``taken`` say in messages which arrays and objects the verb takes, ``arguments`` what its
    call shows.
    """
    if isinstance(given, xr.DataArray):
        return given
    if not isinstance(given, xr.Dataset):
        raise not_taken(f"{verb}({arguments})", given, f"{verb} takes {taken}, not")
    every = image_names(given)
    names = [name for name in every if dim in given[name].dims and given[name].ndim > 1] or every
    if len(names) != 1:
        pick = f": pick one, as ds[{names[0]!r}].ccd.{verb}({arguments})" if names else ""
        raise ValueError(f"{verb} takes one {what}, this Dataset has {', '.join(map(str, names)) or 'none'}{pick}")
    return with_maps(given, names[0])
