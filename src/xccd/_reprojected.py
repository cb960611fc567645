"""Bands of a frame by reproject: adaptive (DeForest 2004) and by exact overlaps of pixels on the sphere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xccd.grid import Grid

Array = np.ndarray[Any, Any]
HALF = 0.499999  # of a pixel's weight must be good: a half, whatever the rounding
UNIT = 256  # rows of the target that are made together: reproject rounds by what else it is given


def reprojected(frame: Array, here: Grid, there: Grid, method: str, *, total: bool) -> Array:
    """A frame (NaN where missing) of the grid ``here`` on the grid ``there``."""
    area: Any = 1.0
    if total and method == "exact":
        area = _areas(there)
        frame = frame / _areas(here)
    found = ROWS[method](frame, here, there, total)
    return np.asarray(found * area)


def _adaptive(frame: Array, here: Grid, there: Grid, total: bool) -> Array:
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


def _exact(frame: Array, here: Grid, there: Grid, _: bool) -> Array:
    from reproject import reproject_exact

    good = np.isfinite(frame)
    value: Array
    value, share = reproject_exact((np.where(good, frame, 0.0), here.wcs), there.wcs, shape_out=there.shape)
    if not good.all():
        part = reproject_exact((good.astype(float), here.wcs), there.wcs, shape_out=there.shape, return_footprint=False)
        with np.errstate(all="ignore"):
            value, share = value / part, share * part
    value[~(share >= HALF)] = np.nan
    return value


ROWS: dict[str, Callable[[Array, Grid, Grid, bool], Array]] = {"adaptive": _adaptive, "exact": _exact}


def _areas(grid: Grid) -> Array:
    """The area of each pixel, in that of a degree squared: half the cross product of its diagonals."""
    rows, columns = grid.shape
    x, y = np.meshgrid(np.arange(columns + 1) - 0.5, np.arange(rows + 1) - 0.5)
    world = grid.wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    longitude, latitude = (np.deg2rad(world[i]).reshape(x.shape) for i in (grid.wcs.wcs.lng, grid.wcs.wcs.lat))
    at = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)], -1)
    diagonals = at[1:, 1:] - at[:-1, :-1], at[1:, :-1] - at[:-1, 1:]
    return np.asarray(np.rad2deg(np.rad2deg(np.linalg.norm(np.cross(*diagonals), axis=-1))) / 2)
