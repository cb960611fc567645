"""Calibrated frames to one image: the rejection and the method of a recipe."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xccd.verbs.auto import chosen
from xccd.verbs.combine import combine
from xccd.verbs.combine_with_maps import combine_with_maps
from xccd.verbs.reject import reject
from xccd.verbs.reject_text import parsed

LEAST = 3  # frames: of two, neither can be said to be the outlier


def combined(frames: xr.Dataset, part: Any, *, maps: bool, weights: str = "") -> xr.Dataset:
    """The image of the frames, with its maps, by the ``reject`` and ``method`` of a part of a recipe."""
    if part.reject and frames.sizes["frame"] >= LEAST:
        arguments, options = parsed(part.reject)
        if arguments[0] == "auto":
            arguments, options = _by_scatter(frames, arguments, options)
        frames = reject(frames, *arguments, **options)
    if not maps:
        image: xr.Dataset = combine(frames, part.method, weights=weights or None)
        return image
    made: xr.Dataset = combine_with_maps(frames, part.method, weights=weights or None)
    return made if weights else made.drop_vars("data_weight", errors="ignore")  # without weights it is the count


def _by_scatter(
    frames: xr.Dataset, arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:  # fmt: skip
    """What "auto" is for samples without errors.

    Errors here come from GAIN and RDNOISE of the headers. Where GAIN is a setting of the camera they are too small, and
    a clip by them would take most good samples.
    """
    thresholds = arguments[1:]
    cores = options.get("spare_cores")
    given = {k: v for k, v in options.items() if k != "spare_cores"}
    found = chosen(frames["data"], "frame", dict(zip(("low", "high"), thresholds, strict=False)), given, cores)
    spared = {} if found.cores is None else {"spare_cores": found.cores}
    return (found.algorithm, *thresholds), found.options | spared
