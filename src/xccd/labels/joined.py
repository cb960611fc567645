"""The coordinates of several stacks as those of one."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.headers.texts import Short
from xccd.labels.lazy import array_of


def joined(stacks: list[xr.DataArray]) -> dict[Any, Any]:
    """Coordinates on ``frame`` of all stacks, and scalar coordinates that all stacks share."""
    found: dict[Any, Any] = {}
    names = dict.fromkeys(k for s in stacks for k, c in s.coords.items() if c.dims == ("frame",))
    for name in names:
        found[name] = ("frame", _column([(s.coords.get(name), s.sizes["frame"]) for s in stacks]))
    for name, value in stacks[0].coords.items():
        if value.dims == () and all(name in s.coords and s.coords[name].identical(value) for s in stacks):
            found[name] = value.variable
    return found


def _column(parts: list[tuple[Any, int]]) -> Any:
    """One coordinate for all frames, with a missing value where a stack does not have it."""
    here = [c.values for c, _ in parts if c is not None]
    kinds = {v.dtype.kind for v in here}
    if kinds <= set("iufb") and len(here) < len(parts):
        gap: Any = np.nan
    else:
        gap = np.datetime64("NaT", "ns") if kinds == {"M"} else "" if not kinds <= set("iufb") else np.nan
    columns = [np.full(n, gap, object if gap == "" else None) if c is None else c.values for c, n in parts]
    made = np.concatenate(columns)
    kept = next((type(held) for c, _ in parts if c is not None and isinstance(held := array_of(c), Short)), None)
    return made if kept is None else made.view(kept)
