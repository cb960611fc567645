"""An image of the sky from raw lights: calibrated, the best kept, registered, levelled, clipped, combined."""

from __future__ import annotations

from functools import partial

import xarray as xr

from xccd.night.calibrate_frames import all_have, calibrated
from xccd.night.combine_frames import combined, with_levels
from xccd.night.keep_lights import kept
from xccd.night.register_lights import register
from xccd.night.work import OFF, Work
from xccd.verbs.debayer import debayer
from xccd.verbs.normalize import normalize


def make_light(work: Work) -> xr.Dataset:
    """The image of the frames, lazily but for levels and stars."""
    light = work.recipe.light
    frames = _with_colours(calibrated(work), light.debayer)
    one = partial(_one, work, frames["file"].values.tolist())
    frames, numbers = kept(frames, light.keep, one, work)
    onto_one_grid = register(frames, work, lambda i: one(numbers[i]))
    if light.normalize not in OFF and frames.sizes["frame"] > 1:
        # before the frames are moved: all pixels count, and nothing is interpolated for a level
        frames = with_levels(normalize(frames, zero="median"))
    return combined(onto_one_grid(frames), light, maps=work.recipe.output.maps, weights=light.weights)


def _with_colours(frames: xr.Dataset, method: str) -> xr.Dataset:
    """Frames of a colour camera with their colours."""
    if method in OFF or (method == "auto" and not all_have("BAYERPAT", frames)):
        return frames
    made: xr.Dataset = debayer(frames, "bilinear" if method == "auto" else method)
    return made


def _one(work: Work, files: list[str], i: int) -> xr.Dataset:
    """Frame ``i`` alone, opened again: a part of a lazy stack is made with all frames of the stack."""
    rows = [k for k, file in enumerate(work.rows["file"]) if file == files[i]]
    number = rows[files[:i].count(files[i])]  # a file may hold several
    return _with_colours(calibrated(work, slice(number, number + 1)), work.recipe.light.debayer)
