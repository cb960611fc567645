"""Stacks of colours (frame, channel, y, x) for verbs that look for stars: the mean of the channels."""

from __future__ import annotations

import xarray as xr

from xccd.compute.colours import mean_of_channels
from xccd.headers.colour_axis import CHANNEL
from xccd.labels.frames import unflagged
from xccd.labels.lazy import array_of, as_lazy_indexed


def without_channels(obj: xr.DataArray) -> xr.DataArray:
    """A stack or an image of colours as the mean of its channels, NaN where one is missing; others as they are.

    Stars keep their places in it, and one transform holds for all channels.
    """
    if CHANNEL not in obj.dims or not {"y", "x"} < set(obj.dims):
        return obj
    alone = unflagged(obj)
    if "frame" not in alone.dims:
        return alone.mean(CHANNEL, skipna=False, keep_attrs=True)
    alone = alone.transpose("frame", CHANNEL, "y", "x")
    coords = {k: c.variable for k, c in alone.coords.items() if CHANNEL not in c.dims}
    data = as_lazy_indexed(mean_of_channels(array_of(alone)))
    return xr.DataArray(data, dims=("frame", "y", "x"), coords=coords, attrs=alone.attrs, name=alone.name)
