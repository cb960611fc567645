"""Bands of a frame by reproject's adaptive resampling (DeForest 2004)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.limits import HALF
from xccd.sky.grid import Grid

Array = np.ndarray[Any, Any]
UNIT = 256  # target rows made together: how reproject rounds depends on the rows it is given


def reprojected(frame: Array, source: Grid, target: Grid, *, total: bool) -> Array:
    """A frame of the grid ``source``, NaN where masked, resampled to the grid ``target``."""
    from reproject import reproject_adaptive

    def by(values: Array, flux: bool) -> Any:
        return reproject_adaptive(
            (values, source.wcs), target.wcs, shape_out=target.shape, return_footprint=False, roundtrip_coords=False,
            conserve_flux=flux, boundary_mode="ignore", boundary_ignore_threshold=HALF, bad_value_mode="ignore",
        )  # fmt: skip

    value: Array = by(frame.astype(float), total)
    good = np.isfinite(frame)
    if not good.all():
        value[~(by(good.astype(float), False) >= HALF)] = np.nan
    return value
