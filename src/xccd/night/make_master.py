"""Masters of bias frames, darks and flats."""

from __future__ import annotations

import xarray as xr

from xccd.night.calibrate_frames import calibrated
from xccd.night.combine_frames import combined, with_levels
from xccd.night.work import OFF, Work
from xccd.verbs.normalize import normalize


def make_master(work: Work) -> xr.Dataset:
    """The master of the frames, lazily; flats are brought to one level before."""
    frames, part = calibrated(work), getattr(work.recipe, work.kind)
    if work.kind == "flat" and part.normalize not in OFF:
        frames = with_levels(normalize(frames, scale=part.normalize))
    return combined(frames, part, maps=work.recipe.output.maps)
