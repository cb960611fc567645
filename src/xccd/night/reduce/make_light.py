"""An image of the sky from raw lights: calibrated, the best kept, registered, levelled, clipped, combined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from xccd.night.reduce.calibrate_frames import calibrated, has_colours, some_again
from xccd.night.reduce.combine_frames import combined
from xccd.night.reduce.frame_levels import levelled
from xccd.night.reduce.keep_lights import kept
from xccd.night.reduce.register_lights import register
from xccd.night.reduce.work import OFF, Work
from xccd.verbs.debayer import debayer


def make_light(work: Work) -> xr.Dataset:
    """The image of the frames, lazily but for levels and stars."""
    light = work.recipe.light
    mono = calibrated(work)
    again = some_again(work, mono)

    def some(numbers: Sequence[int]) -> xr.Dataset:
        return _with_colours(again(numbers), light.debayer)

    frames, left = kept(_with_colours(mono, light.debayer), light.keep, light.weights, some, work)
    onto_one_grid = register(frames, work, lambda i: some([left[i]]))
    if light.normalize not in OFF and frames.sizes["frame"] > 1:
        # before the frames are moved: all pixels count, and nothing is interpolated for a level
        frames = levelled(frames, lambda numbers: some([left[i] for i in numbers]), {"zero": "median"})
    return combined(onto_one_grid(frames), light, maps=work.recipe.output.maps, weights=light.weights)


def _with_colours(frames: xr.Dataset, method: Any) -> xr.Dataset:
    """Frames of a colour camera with their colours."""
    if method in OFF or (method == "auto" and not has_colours(frames)):
        return frames
    made: xr.Dataset = debayer(frames, "bilinear" if method == "auto" else method)
    return made
