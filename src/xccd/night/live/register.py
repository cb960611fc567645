"""A new frame at the level of the first one, and on its pixels, by its WCS, its offset or its stars."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xccd.headers import cards
from xccd.headers.common import ALIGNED_TO
from xccd.sky.grid import Grid
from xccd.verbs.align import align
from xccd.verbs.clip import minmax
from xccd.verbs.find_offsets import find_offsets
from xccd.verbs.levels import measure
from xccd.verbs.normalize import normalize

ALIGN = (None, "pixels", "wcs", "offsets", "transforms")


class Unregistered(Exception):  # noqa: N818  (no error: the frame is left out)
    """A frame that cannot be brought onto the pixels of the first one."""


def levelled(
    stack: xr.DataArray, name: str, options: dict[str, Any], level: float | None
) -> tuple[xr.DataArray, float | None]:
    """The frame without samples beyond the limits, at a level, which is its own if it is the first; and that level."""
    least, most, zero = (options[k] for k in ("min", "max", "zero"))
    if least is not None or most is not None:
        stack = minmax(stack, min=least, max=most)
    if zero is None:
        return stack, None
    if not bool(stack.notnull().any()):
        raise ValueError(f"{name} has no valid sample: there is no level for zero={zero!r}")
    level = measure(stack, zero) if level is None else level
    return normalize(stack, zero=zero, to=level), level


def registered(new: xr.DataArray, first: xr.DataArray, how: str) -> xr.DataArray:
    """The frame on the pixels of the first one, in memory; raises `Unregistered`."""
    try:
        found: xr.DataArray = _BY[how](new, first)
    except ValueError as error:
        raise Unregistered(str(error)) from error
    found = found.load()
    if not bool(found.notnull().any()):
        raise Unregistered("it shows nothing of the field of the first frame")
    return found


def _by_wcs(new: xr.DataArray, first: xr.DataArray) -> xr.DataArray:
    grid = Grid.of(first)
    found = align(new, to=grid)
    if ALIGNED_TO not in found.coords:  # it is on the grid already
        found = found.assign_coords({ALIGNED_TO: ("frame", ["\n".join(grid.lines)])})
    result: xr.DataArray = found
    return result


def _by_offsets(new: xr.DataArray, first: xr.DataArray) -> xr.DataArray:
    pair = xr.concat([_bare(first), _bare(new)], "frame")
    with cards.quiet():  # its warning of a doubtful offset would come beside ours
        offsets = find_offsets(pair)
    if bool(offsets.doubtful[1]):
        raise Unregistered("find_offsets takes its offset for doubtful")
    return _second(first, new, offsets=offsets.values)


def _by_transforms(new: xr.DataArray, first: xr.DataArray) -> xr.DataArray:
    return _second(first, new, transforms="similarity")


def _second(first: xr.DataArray, new: xr.DataArray, **how: Any) -> xr.DataArray:
    """The second of two frames on the pixels of the first."""
    found: xr.DataArray = align([first, new], to=0, **how)
    return found.isel(frame=[1])


def _bare(frame: xr.DataArray) -> xr.DataArray:
    """A frame with its file alone: labels that the other one lacks would not go together."""
    names = [k for k in frame.coords if k not in ("file", "chip")]
    return frame.drop_vars(names).drop_attrs()


_BY = {"wcs": _by_wcs, "offsets": _by_offsets, "transforms": _by_transforms}
