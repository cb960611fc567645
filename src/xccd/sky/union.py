"""The grid that holds all frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.sky.transform import EDGE, SAME, positions, whole_shift

if TYPE_CHECKING:
    from xccd.sky.grid import Grid


def union(
    frames: Any, *, resolution: Any = None, frame: Any = None, north_up: bool = True, projection: str = "TAN"
) -> Grid:  # fmt: skip
    """The grid that holds all frames: see `Grid.union`."""
    grids: list[Grid] = list(dict.fromkeys(frames))  # each once: frames often share a grid
    side = _angle(resolution)
    try:
        same = resolution is None and frame is None and projection == "TAN"
        found = _extended(grids) if same else None
        return found or _optimal(grids, resolution=side, frame=frame, auto_rotate=not north_up, projection=projection)
    except ValueError as error:
        centres = sorted({"({:.4g} {:+.4g})".format(*grid.center) for grid in grids})
        raise ValueError(
            f"there is no grid of a usable size that holds all frames ({error}): look at their centres, "
            f"{', '.join(centres[:6])} degrees, or give a grid"
        ) from error


def _extended(grids: list[Grid]) -> Grid | None:
    """The first grid, enlarged; None if another grid does not lie on its pixels."""
    shifts = [whole_shift(grid, grids[0]) for grid in grids]
    if any(shift is None for shift in shifts):
        return None
    origins = np.array([shift for shift in shifts if shift is not None], float)
    low, high = (-origins).min(0), (np.array([grid.shape for grid in grids]) - origins).max(0)
    if not low.any() and tuple(high) == grids[0].shape:
        return grids[0]
    return grids[0].moved(low[0], low[1], (int(high[0] - low[0]), int(high[1] - low[1])))


def _optimal(grids: list[Grid], **options: Any) -> Grid:
    try:
        from reproject.mosaicking import find_optimal_celestial_wcs
    except ImportError as error:
        raise ImportError(
            "the grid that holds all frames needs reproject: pip install 'xccd[align]', or give the grid as to="
        ) from error
    wcs, shape = find_optimal_celestial_wcs([(g.shape, g.wcs) for g in grids], **options)
    return _holding(type(grids[0]).of(wcs, shape=(int(shape[0]), int(shape[1]))), grids)


def _holding(grid: Grid, frames: list[Grid]) -> Grid:
    """The grid, enlarged to hold all frames: reproject rounds its size to the nearest pixel."""
    edges = []
    for frame in frames:
        rows, columns = frame.shape
        x, y = np.meshgrid(np.linspace(-0.5, columns - 0.5, EDGE), np.linspace(-0.5, rows - 0.5, EDGE))
        edges.append(positions(grid, frame, x, y).reshape(2, -1))
    at = np.concatenate(edges, axis=1)[::-1]
    if not np.isfinite(at).all():  # frames all over the sky
        return grid
    # SAME, so that rounding in the WCS adds no row or column
    low, high = np.floor(at.min(1) + 0.5 + SAME).astype(int), np.ceil(at.max(1) + 0.5 - SAME).astype(int)
    rows, columns = (int(n) for n in high - low)
    return (
        grid
        if (rows, columns) == grid.shape and not low.any()
        else grid.moved(int(low[0]), int(low[1]), (rows, columns))
    )


def _angle(resolution: Any) -> Any:
    """The side of a pixel as an angle. A plain number is in arcseconds."""
    from astropy import units as u

    if resolution is None:
        return None
    angle = u.Quantity(resolution, u.arcsec) if not hasattr(resolution, "unit") else resolution.to(u.arcsec)
    if not (np.ndim(angle.value) == 0 and np.isfinite(angle.value) and angle.value > 0):
        raise ValueError(f"resolution={resolution!r} is not the side of a pixel: give arcseconds, or an angle")
    return angle
