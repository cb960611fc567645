"""Bands of a frame by reproject's adaptive resampling (DeForest 2004)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.limits import HALF
from xccd.sky.grid import Grid

Array = np.ndarray[Any, Any]
UNIT = 256  # rows of the target that are made together: reproject rounds by what else it is given


def reprojected(frame: Array, here: Grid, there: Grid, *, total: bool) -> Array:
    """A frame (NaN where missing) of the grid ``here`` on the grid ``there``."""
    from reproject import reproject_adaptive

    def by(values: Array, flux: bool) -> Any:
        return reproject_adaptive(
            (values, here.wcs), there.wcs, shape_out=there.shape, return_footprint=False, roundtrip_coords=False,
            conserve_flux=flux, boundary_mode="ignore", boundary_ignore_threshold=HALF, bad_value_mode="ignore",
        )  # fmt: skip

    value: Array = by(frame.astype(float), total)
    good = np.isfinite(frame)
    if not good.all():
        value[~(by(good.astype(float), False) >= HALF)] = np.nan
    return value
