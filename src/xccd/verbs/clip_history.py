"""Which clip a stack went through, from its history: errors after one plain sigma clip can be corrected."""

from __future__ import annotations

import ast
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers.common import history_steps
from xccd.kernels.clip_errors import Clip, clip_of
from xccd.kernels.table import CENTERS, DEVIATIONS, ClipOptions
from xccd.labels.flags import flags_of

OF_FRAMES = "clipped_frames"  # attribute of flags: a clip knows only the frames that the stack had then
CLIPS = ("sigma_clip", "clip_extrema", "reject")  # they look at the other samples of a pixel
# Steps that leave the noise of each pixel normal. Those before a clip may mask samples: the count of the rest is known.
BEFORE = ("minmax", "mask_where", "bayer_planes", "align", "normalize", "assign_wcs", "refine_wcs")
PLAIN = {"low", "high", "center", "deviation", "maxiters"}  # the options of a clip that a history always has
AFTER = ("normalize", "assign_wcs", "refine_wcs")


def was_clipped(stack: xr.DataArray) -> bool:
    """Whether the history names a clip."""
    return any(_verb(step) in CLIPS for step in history_steps(stack))


def only_clip(stack: xr.DataArray, dim: Hashable) -> Clip | None:
    """The clip of the history; None if it is not the only one, not along ``dim`` of all frames, or not in the table."""
    steps, flags = history_steps(stack), flags_of(stack)
    if flags is None or flags.attrs.get(OF_FRAMES) != stack.sizes[dim]:
        return None
    clips = [i for i, step in enumerate(steps) if _verb(step) == "sigma_clip"]
    if len(clips) != 1:
        return None
    before, after = steps[: clips[0]], steps[clips[0] + 1 :]
    if not ({_verb(s) for s in before} <= set(BEFORE) and {_verb(s) for s in after} <= set(AFTER)):
        return None
    options = _options(steps[clips[0]], dim)
    return None if options is None else clip_of(options)


def _verb(step: str) -> str:
    """The name of the verb of a step; "" if it is another program's."""
    return step.removeprefix("xccd.").partition("(")[0] if step.startswith("xccd.") else ""


def _options(step: str, dim: Hashable) -> ClipOptions | None:
    """The options of a step "xccd.sigma_clip(low=3, ...)"; None if they cannot be told, or it was not along ``dim``."""
    try:
        call: Any = ast.parse(step, mode="eval").body
        given = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    except (SyntaxError, ValueError, AttributeError):  # a function has only its name there
        return None
    given.pop("preset", None)
    along = given.pop("dim", "frame")
    if along != dim or given.keys() != PLAIN:  # another option is not at its default; those of a preset are all there
        return None
    low, high = (np.inf if given[side] == "off" else float(given[side]) for side in ("low", "high"))
    passes = -1.0 if given["maxiters"] == "stable" else float(given["maxiters"])
    return ClipOptions(CENTERS[given["center"]], DEVIATIONS[given["deviation"]], low, high, maxiters=passes)
