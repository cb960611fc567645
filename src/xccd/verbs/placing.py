"""Where frames lie: by their WCS, by offsets, by transforms, or so that a moving object stands still."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.labels.frames import frame_names
from xccd.labels.warn import warn
from xccd.sky.canvas import canvas_of
from xccd.sky.grid import Grid, every, grids_of
from xccd.sky.pixel_map import PixelMap, moved, pixel_map
from xccd.sky.placed import Placed, model_of, placed
from xccd.sky.union import union
from xccd.verbs.moving import following_grids, positions_in_history, rates

APART = 10  # ratio of pixel sizes up to which there is no warning


class Where(NamedTuple):
    """What says where the frames lie: the arguments of `align` of these names, of which one is given; else the WCS."""

    offsets: Any = None
    transforms: Any = None
    rate: Any = None
    ephemeris: Any = None

    @property
    def by_wcs(self) -> bool:
        return self.offsets is None and self.transforms is None

    def check(self) -> None:
        """Raise if two are given, or a rate is none."""
        names = [f"{name}=" for name, value in self._asdict().items() if value is not None]
        if len(names) > 1:
            raise ValueError(f"{' and '.join(names)} were both given: a frame is placed by one of them")
        if self.rate is not None:
            rates(self.rate)

    def in_history(self) -> dict[str, Any]:
        """The argument that is given, for HISTORY."""
        found: dict[str, Any] = {"offsets": self.offsets}
        if self.transforms is not None:
            found["transforms"] = model_of(self.transforms)
        if self.rate is not None:
            found["rate"] = tuple(round(v, 6) for v in rates(self.rate))
        if self.ephemeris is not None:
            found["ephemeris"] = positions_in_history(self.ephemeris)
        return found


def place(stacks: list[xr.DataArray], to: Any, where: Where, *, corners: bool, spread: float) -> Placed:
    """A map for each frame of stacks (frame, y, x) to the target ``to``; the rest as for `pixel_map`."""
    if where.offsets is not None:
        return _by_offsets(stacks, where.offsets, to, spread)
    if where.transforms is not None:
        return placed(stacks, where.transforms, to, spread=spread)
    grids = [grids_of(stack) for stack in stacks]
    if where.rate is not None or where.ephemeris is not None:
        grids = following_grids(stacks, grids, where.rate, where.ephemeris, to)
    grid = _target(to, grids)
    maps = _maps_to_target(grids, grid, corners=corners, spread=spread)
    if all(m.box[0] == m.box[1] for some in maps for m in some):
        raise ValueError(_apart([g for some in grids for g in some], grid))
    _check_scales(grids, stacks, grid)
    sources = [_first_grids(stack, some) for stack, some in zip(stacks, grids, strict=True)]
    return Placed(maps, sources, grid.shape, grid, {})


def target_of_planes(stacks: list[Any], dim: Hashable, to: Any, where: Where) -> Any:
    """The target for each plane of cubes, whose planes share the WCS of their frame."""
    if isinstance(where.transforms, str):
        raise ValueError(
            f"transforms={where.transforms!r} with planes along {dim!r}: say whose stars count, as "
            f"transforms=stack.isel({dim}=0).ccd.find_transforms()"
        )
    if where.offsets is not None or where.transforms is not None:
        return to
    if to is not None and not isinstance(to, str):
        return to
    first = [stack.isel({dim: 0}) for stack in stacks]
    return _target(to, [every(stack) for stack in first])


def _target(to: Any, grids: list[list[Grid]]) -> Grid:
    every = [g for some in grids for g in some]
    if to is None or (isinstance(to, str) and to == "union"):
        return union(every)
    if isinstance(to, str) and to == "intersection":
        raise ValueError("to='intersection' goes with offsets=: to align by the WCS, give a Grid")
    if isinstance(to, int | np.integer) and not isinstance(to, bool):
        if not -len(every) <= to < len(every):
            raise ValueError(f"to={to}: the frames are 0 to {len(every) - 1}")
        return every[to]
    try:
        return Grid.of(to)
    except ValueError as error:
        raise ValueError(f"to= has no grid that can be used: {error}") from error


def _maps_to_target(grids: list[list[Grid]], grid: Grid, **options: Any) -> list[list[PixelMap]]:
    """A map for each frame. Frames with the same grid share one."""
    known: dict[Grid, PixelMap] = {}
    for g in (g for some in grids for g in some):
        if g not in known:
            known[g] = pixel_map(g, grid, **options)
    return [[known[g] for g in some] for some in grids]


def _apart(grids: list[Grid], grid: Grid) -> str:
    from astropy.coordinates import SkyCoord

    there = SkyCoord(*grid.center, unit="deg", frame=grid.frame).icrs
    away = min(SkyCoord(*g.center, unit="deg", frame=g.frame).icrs.separation(there).deg for g in grids)
    return f"no frame lies on the grid: the nearest is centred {away:.4g} degrees from the centre of {grid!r}"


def _check_scales(grids: list[list[Grid]], stacks: list[xr.DataArray], grid: Grid) -> None:
    names = [name for stack in stacks for name in frame_names(stack, "frame")]
    sizes = [g.pixel_size for some in grids for g in some]
    far = [i for i, size in enumerate(sizes) if not 1 / APART <= size / grid.pixel_size <= APART]
    if far:
        more = f" (and {len(far) - 1} more)" if far[1:] else ""
        warn(
            f'align: {names[far[0]]} has pixels of {sizes[far[0]] * 3600:.4g}"{more}, the grid '
            f'{grid.pixel_size * 3600:.4g}": interpolation leaves most pixels out, or repeats them'
        )


def _first_grids(stack: xr.DataArray, grids: list[Grid]) -> list[str]:
    """The grid of each frame as its camera made it: that before the first of several alignments by the WCS."""
    label = stack.coords.get("aligned_from")
    before = label.values.tolist() if label is not None and label.dims == ("frame",) else [""] * len(grids)
    return [text if "CTYPE1" in text else "\n".join(grid.lines) for text, grid in zip(before, grids, strict=True)]


def _by_offsets(stacks: list[xr.DataArray], offsets: Any, to: Any, spread: float) -> Placed:
    """The frames at offsets on a canvas, with the WCS of the first frame if it has one."""
    canvas = canvas_of(stacks, offsets, to)
    maps, sources, n = [], [], 0
    for stack in stacks:
        shape = (stack.sizes["y"], stack.sizes["x"])
        some = [tuple(float(v) for v in by) for by in canvas.origins[n : n + stack.sizes["frame"]]]
        maps.append([moved(shape, canvas.shape, (by[0], by[1]), spread=spread) for by in some])
        sources.append([_moved_lines(shape, by) for by in some])
        n += stack.sizes["frame"]
    return Placed(maps, sources, canvas.shape, canvas.grid, {})


def _moved_lines(shape: tuple[int, int], by: Sequence[float]) -> str:
    """The cards of a frame that is aligned by an offset."""
    return "\n".join([*size_cards(shape), cards.make("OFFSET1", float(by[1])), cards.make("OFFSET2", float(by[0]))])


def size_cards(shape: tuple[int, int]) -> list[str]:
    """NAXIS1 and NAXIS2 as cards."""
    return [cards.make(f"NAXIS{k}", n) for k, n in enumerate(shape[::-1], 1)]
