"""A warning for frames of which clips rejected much more than of the others: trails, clouds, another field."""

from __future__ import annotations

import logging
from collections.abc import Hashable

import numpy as np
import xarray as xr

from xccd.compute.maps import shares
from xccd.kernels.flags import Flag
from xccd.labels.flags import flags_of
from xccd.labels.frames import frame_names, frames_first
from xccd.labels.lazy import array_of
from xccd.labels.warn import warn

MUCH = 0.3  # of all samples: "percentile_rank" takes 10 to 23 % of clean ones
LARGE, TIMES = 0.1, 3  # a share that is told of: above 10 %, and above 3 times that of the median frame
PIXELS = 1000  # of a frame: a share of fewer says little
MOST_NAMES = 5
CLIPS = ("xccd.sigma_clip(", "xccd.clip_extrema(", "xccd.reject(")
log = logging.getLogger("xccd")


def tell_of_rejected_frames(stack: xr.DataArray, dim: Hashable) -> None:
    """Warn of frames with a large share of rejected samples; log one line if clips rejected nothing.

    Only of flags in memory: nothing is computed for it.
    """
    flags = flags_of(stack)
    if flags is None or not isinstance(array_of(flags), np.ndarray) or flags[{dim: 0}].size < PIXELS:
        return
    share = shares(frames_first(flags, dim), (int(Flag.REJECTED_LOW | Flag.REJECTED_HIGH),))[0]
    if not share.any():
        if any(clip in str(stack.attrs.get("history", "")) for clip in CLIPS):
            log.info("combine: the clips rejected no sample of %d frames", share.size)
        return
    usual = float(np.median(share))
    if usual > MUCH:
        warn(f"combine: rejected were {usual:.0%} of the median frame: the thresholds, or the noise, may be wrong")
    far = np.flatnonzero((share > LARGE) & (share > TIMES * usual))
    if far.size:
        names = frame_names(stack, dim)
        some = ", ".join(f"{share[i]:.0%} of {names[i]}" for i in far[:MOST_NAMES].tolist())
        more = f" and {far.size - MOST_NAMES} more" if far.size > MOST_NAMES else ""
        warn(f"combine: rejected were {some}{more}, and {usual:.1%} of the median frame: look at it, or leave it out")
