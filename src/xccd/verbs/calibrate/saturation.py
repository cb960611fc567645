"""Saturated samples: found before a level is subtracted, as their limit is one of samples as read."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.kernels.flags import Flag
from xccd.labels import calibration
from xccd.labels.flags import flags_of, map_name
from xccd.labels.lazy import array_of
from xccd.verbs.calibrate import samples
from xccd.verbs.photon_noise import camera_numbers, check_numbers


def without_saturated(stack: xr.DataArray, dim: Hashable, saturation: Any) -> xr.DataArray:
    """The stack without samples at ``saturation`` or above: NaN, or with the flag 8.

    Raises ValueError if a level was subtracted before.
    """
    if saturation is None:
        return stack
    before = [name for name in ("OSCANSEC", "BIASCOR", "DARKCOR", "FLATCOR", "GAINCOR") if _was_done(stack, dim, name)]
    if before:
        raise ValueError(
            f"saturation={saturation!r} is a limit of samples as read, and {before[0]} says that these are calibrated: "
            "give it to the first step"
        )
    values = camera_numbers("saturation", saturation, stack, dim)
    check_numbers("saturation", values, values > 0, "above 0", stack, dim)
    limit = values.reshape((-1,) + (1,) * (stack.ndim - 1))
    if flags_of(stack) is None:
        made = samples.with_data(stack, dim, _mask, _as_given, limit)
        notes.mark(array_of(made), notes.origin_of_samples(array_of(stack)))
        return made
    made = samples.with_flags(stack, dim, _flagged, samples.first(stack, dim), limit)
    name = map_name(stack.name, "flags")
    flags = made.coords[name].variable.copy(deep=False)
    flags.attrs = flags.attrs | {"saturation": saturation if isinstance(saturation, str) else values.tolist()}
    return made.assign_coords({name: flags})


def _was_done(stack: xr.DataArray, dim: Hashable, name: str) -> bool:
    return name in stack.coords or (dim not in stack.dims and name in calibration.done(stack, dim))


def _as_given(limit: Any, *, dtype: Any) -> Any:
    return limit


def _mask(x: Any, limit: Any, *, out: Any) -> None:
    np.copyto(out, np.nan, where=~(x < limit))


def _flagged(flags: Any, x: Any, limit: Any) -> Any:
    return flags | np.where(x >= limit, np.uint8(Flag.ABOVE_MAXIMUM), np.uint8(0))
