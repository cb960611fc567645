"""The grid that holds all frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.labels.warn import warn
from xccd.sky.transform import EDGE, SAME, positions, whole_shift

if TYPE_CHECKING:
    from xccd.sky.grid import Grid

LARGE = 100  # times the pixels of all frames: such a grid is no mosaic, one WCS may be wrong


def union(
    frames: Any, *, resolution: Any = None, frame: Any = None, north_up: bool = True, projection: str = "TAN"
) -> Grid:  # fmt: skip
    """The grid that holds all frames: see `Grid.union`."""
    grids: list[Grid] = list(dict.fromkeys(frames))  # each once: frames often share a grid
    side = _angle(resolution)
    try:
        same = resolution is None and frame is None and projection == "TAN"
        found = _extended(grids) if same else None
        made = found or _optimal(grids, resolution=side, frame=frame, auto_rotate=not north_up, projection=projection)
    except ValueError as error:
        why = f"projection={projection!r} cannot hold them; AIT and CAR hold most" if "NaN" in str(error) else error
        raise ValueError(
            f"there is no grid of a usable size that holds all frames ({why}): look at their centres, "
            f"{_centres(grids)} degrees, or give a grid"
        ) from error
    area = sum(np.prod(grid.shape) * grid.pixel_size**2 for grid in grids) / made.pixel_size**2
    if np.prod(made.shape) > LARGE * area:
        warn(
            f"the grid that holds all frames has {made.shape[0]} x {made.shape[1]} pixels, "
            f"{np.prod(made.shape) / area:.3g} times those of the frames: look at their centres, "
            f"{_centres(grids)} degrees"
        )
    return made


def _centres(grids: list[Grid]) -> str:
    return ", ".join(sorted({"({:.4g} {:+.4g})".format(*grid.center) for grid in grids})[:6])


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
            "the grid that holds all frames needs reproject and shapely: pip install 'xccd[align]' or "
            "conda install reproject shapely, or give the grid as to="
        ) from error
    wcs, shape = find_optimal_celestial_wcs([(g.shape, g.wcs) for g in grids], **options)
    return _holding(type(grids[0]).of(wcs, shape=(int(shape[0]), int(shape[1]))), grids)


def _holding(grid: Grid, frames: list[Grid]) -> Grid:
    """The grid, enlarged to hold all frames: reproject rounds its size to the nearest pixel."""
    edges, margin = [], 0.0
    for frame in frames:
        there = _spread(grid, frame, EDGE, EDGE)
        jumps = max(np.abs(np.diff(there, axis=k)).max(initial=0) for k in (1, 2))
        edges.append(there.reshape(2, -1))
        if jumps > max(grid.shape) / 2:  # the frame lies on a seam of the grid, which these points find to half a pixel
            margin, every = 0.5, [2 * n for n in frame.shape]
            edges += [
                _spread(grid, frame, every[0], EDGE).reshape(2, -1),
                _spread(grid, frame, EDGE, every[1]).reshape(2, -1),
            ]
    at = np.concatenate(edges, axis=1)[::-1]
    if not np.isfinite(at).all():  # frames all over the sky
        return grid
    # SAME, so that rounding in the WCS adds no row or column
    low = np.floor(at.min(1) + 0.5 - margin + SAME).astype(int)
    high = np.ceil(at.max(1) + 0.5 + margin - SAME).astype(int)
    rows, columns = (int(n) for n in high - low)
    return (
        grid
        if (rows, columns) == grid.shape and not low.any()
        else grid.moved(int(low[0]), int(low[1]), (rows, columns))
    )


def _spread(grid: Grid, frame: Grid, rows: int, columns: int) -> Any:
    """Positions (2, rows, columns) in the grid of points all over a frame."""
    x, y = np.meshgrid(np.linspace(-0.5, frame.shape[1] - 0.5, columns), np.linspace(-0.5, frame.shape[0] - 0.5, rows))
    return positions(grid, frame, x, y)


def _angle(resolution: Any) -> Any:
    """The side of a pixel as an angle. A plain number is in arcseconds."""
    from astropy import units as u

    if resolution is None:
        return None
    angle = u.Quantity(resolution, u.arcsec) if not hasattr(resolution, "unit") else resolution.to(u.arcsec)
    if not (np.ndim(angle.value) == 0 and np.isfinite(angle.value) and angle.value > 0):
        raise ValueError(f"resolution={resolution!r} is not the side of a pixel: give arcseconds, or an angle")
    return angle
