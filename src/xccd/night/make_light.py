"""An image of the sky from raw lights: calibrated, the best kept, registered, levelled, clipped, combined."""

from __future__ import annotations

from functools import partial

import xarray as xr

from xccd.night.calibrate_frames import calibrated
from xccd.night.combine_frames import combined, with_levels
from xccd.night.register_lights import register
from xccd.night.work import OFF, Work
from xccd.verbs.normalize import normalize


def make_light(work: Work) -> xr.Dataset:
    """The image of the frames, lazily but for levels and stars."""
    light = work.recipe.light
    frames = calibrated(work)
    frames, onto_one_grid = register(frames, work, partial(_one, work, frames))
    if light.normalize not in OFF and frames.sizes["frame"] > 1:
        # before the frames are moved: all pixels count, and nothing is interpolated for a level
        frames = with_levels(normalize(frames, zero="median"))
    return combined(onto_one_grid(frames), light, maps=work.recipe.output.maps, weights=light.weights)


def _one(work: Work, frames: xr.Dataset, i: int) -> xr.Dataset:
    """Frame ``i`` alone, opened again: a part of a lazy stack is made with all frames of the stack."""
    name = frames["file"].values[i]
    same = [k for k, file in enumerate(frames["file"].values) if file == name]
    rows = [k for k, file in enumerate(work.rows["file"]) if file == name]
    number = rows[same.index(i)]
    return calibrated(work, slice(number, number + 1))
