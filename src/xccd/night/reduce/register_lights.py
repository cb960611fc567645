"""Lights on one grid: by their WCS, by their stars, or as they lie."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr

from xccd.labels.flags import with_maps
from xccd.night.reduce.work import OFF, Work
from xccd.sky.frame_wcs import wcs
from xccd.verbs.align import align
from xccd.verbs.find_transforms import find_transforms

Change = Callable[[xr.Dataset], xr.Dataset]


def register(frames: xr.Dataset, work: Work, light_of: Callable[[int], xr.Dataset]) -> Change:
    """What brings the frames onto one grid.

    ``light_of`` gives one of the frames as a stack, for the search of stars.
    """
    how = work.recipe.light.register
    if how in OFF or frames.sizes["frame"] == 1:
        if how in OFF:
            work.say("combined as they lie: the recipe says register = 'off'")
        return _as_it_is
    if how == "wcs" or (how == "auto" and have_wcs(frames)):
        return align
    try:
        pieces = [light_of(i) for i in range(frames.sizes["frame"])]
        found = find_transforms(pieces)
    except (ValueError, ImportError) as error:
        if how == "stars":
            raise
        why = str(error).removeprefix("reference=0: ").split(": ", 1)[0]
        work.say(f"no WCS, and no registration by stars: combined as they lie ({why})")
        return _as_it_is
    matrices = np.asarray(found.matrix.values)
    work.say(f"registered by stars: {int(found.stars_matched[1:].min())} or more in common with the first frame")
    return lambda ds: align(ds, 0, transforms=matrices)


def have_wcs(frames: xr.Dataset) -> bool:
    """Whether each frame has a WCS of the sky."""
    stack = with_maps(frames, "data")
    if "channel" in stack.dims:
        stack = stack.isel(channel=0)
    try:
        return all(wcs(stack, i).has_celestial for i in range(stack.sizes["frame"]))
    except ValueError:
        return False


def _as_it_is(ds: xr.Dataset) -> xr.Dataset:
    return ds
