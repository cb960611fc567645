"""The offsets that a user may give, and the canvas on which the frames lie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common, pixel_grid
from xccd.labels.frames import frame_names
from xccd.labels.keywords import keyword_of_frames
from xccd.messages import did_you_mean
from xccd.sky.grid import Grid, grids_of
from xccd.sky.transform import positions

Array = np.ndarray[Any, Any]
GRID = re.compile(r"grid\s+(\d+)\s+(-?\d+)\s+(\d+)\s+(-?\d+)")  # columns, column spacing, rows, row spacing
OFF = 0.5  # pixels: the largest deviation from a plain shift


@dataclass(frozen=True)
class Canvas:
    """The shape of the canvas, the position (row, column) of its first pixel in each frame, and its WCS if any."""

    shape: tuple[int, int]
    origins: Array  # (frames, 2)
    grid: Grid | None


def canvas_of(stacks: list[xr.DataArray], offsets: Any, to: Any) -> Canvas:
    """The canvas for frames at ``offsets``."""
    by = _offsets(stacks, offsets)
    sizes = np.concatenate([np.tile([s.sizes["y"], s.sizes["x"]], (s.sizes["frame"], 1)) for s in stacks])
    whole = np.round(by)
    first, last = np.floor(by), np.ceil(by + sizes)
    if to is None or (isinstance(to, str) and to == "union"):
        # outwards: a frame between pixels touches one more
        low, high = first.min(0), last.max(0)
    elif isinstance(to, str) and to == "intersection":
        # inwards: each frame covers these pixels wholly
        low, high = np.ceil(by).max(0), np.floor(by + sizes).min(0)
    elif isinstance(to, int | np.integer) and not isinstance(to, bool) and -len(by) <= to < len(by):
        low, high = whole[to], whole[to] + sizes[to]
    else:
        near = did_you_mean(to, ("union", "intersection"))
        raise ValueError(f"to={to!r} with offsets=: use 'union', 'intersection', or the number of a frame{near}")
    if (high <= low).any():
        raise ValueError("to='intersection': the frames have no pixel in common at these offsets")
    rows, columns = (int(n) for n in high - low)
    return Canvas((rows, columns), low - by, _grid_of_canvas(stacks[0], by[0], low, (rows, columns)))


def _grid_of_canvas(stack: xr.DataArray, by: Array, low: Array, shape: tuple[int, int]) -> Grid | None:
    """The first frame's WCS on the canvas."""
    texts = common.texts(stack, "frame")
    if not texts or cards.card_value(texts[0], "CTYPE1") is None:
        return None
    (grid,) = grids_of(stack.isel(frame=slice(0, 1)))
    start = low - by
    return grid.moved(float(start[0]), float(start[1]), shape)


def _offsets(stacks: list[xr.DataArray], offsets: Any) -> Any:
    """The position (row, column) of each frame's first pixel; (0, 0) for the first frame."""
    n = sum(s.sizes["frame"] for s in stacks)
    if isinstance(offsets, str):
        found = _by_name(stacks, offsets, n)
    elif isinstance(offsets, list | tuple) and len(offsets) == 2 and all(isinstance(name, str) for name in offsets):
        columns = [
            np.concatenate([np.asarray(keyword_of_frames("offsets", k, s, "frame")) for s in stacks]) for k in offsets
        ]
        found = np.stack(columns, axis=1)
    else:
        try:
            found = np.asarray(offsets, dtype=float)
        except (TypeError, ValueError):
            raise TypeError(f"offsets={offsets!r} are no numbers: give a pair (rows, columns) for each frame") from None
    if found.shape != (n, 2):
        raise ValueError(f"offsets has shape {found.shape}: give a pair (rows, columns) for each of {n} frames")
    if not np.isfinite(found).all():
        bad = int(np.flatnonzero(~np.isfinite(found).all(1))[0])
        raise ValueError(f"offsets of frame {bad} are {found[bad].tolist()}: give numbers")
    if np.abs(found).max() > 1e6:
        raise ValueError(f"offsets reach {np.abs(found).max():.4g} pixels: 1e6 is the most")
    return found - found[0]  # the canvas has the WCS of the first frame


def _by_name(stacks: list[xr.DataArray], offsets: str, n: int) -> Array:
    if (match := GRID.fullmatch(offsets.strip())) is not None:
        columns, dx, rows, dy = map(int, match.groups())
        if columns * rows < n or columns < 1:
            raise ValueError(f"offsets={offsets!r} has {columns * rows} places for {n} frames")
        row, column = np.divmod(np.arange(n), columns)
        return np.stack([row * dy, column * dx], axis=1).astype(float)
    if offsets == "physical":
        texts = [t for s in stacks for t in common.texts(s, "frame")]
        if len(texts) != n:
            raise ValueError("offsets='physical' needs the headers of the frames (LTV1, LTV2)")
        return np.array([[pixel_grid.first_pixel(t, 2), pixel_grid.first_pixel(t, 1)] for t in texts], float)
    if offsets == "wcs":
        return _by_wcs(stacks)
    raise ValueError(
        f"offsets={offsets!r} is unknown: give pairs, two names of coordinates, 'wcs', 'physical' or 'grid 2 100 3 100'"
        f"{did_you_mean(offsets, ('wcs', 'physical'))}"
    )


def _by_wcs(stacks: list[xr.DataArray]) -> Array:
    """Offsets from the WCS, in whole pixels; ValueError if frames are rotated or scaled relative to the first."""
    grids = [g for s in stacks for g in grids_of(s)]
    names = [name for s in stacks for name in frame_names(s, "frame")]
    found = []
    for grid, name in zip(grids, names, strict=True):
        rows, columns = grid.shape
        x, y = (np.array(v, float) for v in ([0, columns - 1, 0, columns - 1], [0, 0, rows - 1, rows - 1]))
        at = positions(grids[0], grid, x, y)
        by = at - np.stack([x, y])
        # 2: from the least to the greatest shift of a corner
        if not np.isfinite(by).all() or np.ptp(by, axis=1).max() > 2 * OFF:
            raise ValueError(
                f"offsets='wcs': {name} is turned or stretched against the first frame: align() without offsets"
            )
        found.append(np.round(by.mean(1))[::-1])  # (x, y) to (row, column)
    return np.array(found)
