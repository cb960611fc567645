"""Masters of bias frames, darks and flats."""

from __future__ import annotations

import xarray as xr

from xccd.night.reduce.calibrate_frames import calibrated, some_again
from xccd.night.reduce.combine_frames import combined
from xccd.night.reduce.frame_levels import levelled
from xccd.night.reduce.work import OFF, Work


def make_master(work: Work) -> xr.Dataset:
    """The master of the frames, lazily; flats are brought to one level before."""
    frames, part = calibrated(work), getattr(work.recipe, work.kind)
    if work.kind == "flat" and part.normalize not in OFF:
        frames = levelled(frames, some_again(work, frames), {"scale": part.normalize})
    return combined(frames, part, maps=work.recipe.output.maps)
