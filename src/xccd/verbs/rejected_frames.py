"""A warning for frames of which clips rejected much more than of the others."""

from __future__ import annotations

from collections.abc import Hashable

import numpy as np
import xarray as xr

from xccd.compute.maps import shares
from xccd.kernels.flags import Flag
from xccd.labels.flags import flags_of
from xccd.labels.frames import frame_names, frames_first
from xccd.labels.lazy import array_of
from xccd.labels.rejected_shares import PIXELS, remarks
from xccd.labels.warn import warn


def tell_of_rejected_frames(stack: xr.DataArray, dim: Hashable) -> None:
    """Warn of frames with a large share of rejected samples; log one line if clips rejected nothing.

    Only of flags in memory: nothing is computed for it.
    """
    flags = flags_of(stack)
    if flags is None or not isinstance(array_of(flags), np.ndarray) or flags[{dim: 0}].size < PIXELS:
        return
    share = shares(frames_first(flags, dim), (int(Flag.REJECTED_LOW | Flag.REJECTED_HIGH),))[0]
    for text in remarks("combine", share, frame_names(stack, dim), str(stack.attrs.get("history", ""))):
        warn(text)
