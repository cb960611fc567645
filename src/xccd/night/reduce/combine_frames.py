"""Calibrated frames to one image: the rejection and the method of a recipe."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xccd.verbs.combine import combine
from xccd.verbs.combine_with_maps import combine_with_maps
from xccd.verbs.reject import reject
from xccd.verbs.reject_text import parsed

LEAST = 3  # frames: of two, neither can be said to be the outlier


def combined(frames: xr.Dataset, part: Any, *, maps: bool, weights: str = "") -> xr.Dataset:
    """The image of the frames, with its maps, by the ``reject`` and ``method`` of a part of a recipe."""
    if part.reject and frames.sizes["frame"] >= LEAST:
        arguments, options = parsed(part.reject)
        frames = reject(frames, *arguments, **options)
    if not maps:
        image: xr.Dataset = combine(frames, part.method, weights=weights or None)
        return image
    made: xr.Dataset = combine_with_maps(frames, part.method, weights=weights or None)
    return made if weights else made.drop_vars("data_weight", errors="ignore")  # without weights it is the count
