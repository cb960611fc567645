"""Cubes (frame, z, y, x): what works on images, plane by plane."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import xarray as xr

IMAGE = {"frame", "y", "x"}


def plane_dim(stacks: list[Any]) -> Hashable | None:
    """The dimension of the planes of cubes, such as colour or wavelength; None for stacks of images."""
    found = {
        dim for stack in stacks for array in _arrays(stack) if set(array.dims) >= IMAGE for dim in array.dims
    } - IMAGE
    return found.pop() if len(found) == 1 else None


def plane_dims(stack: xr.DataArray, dim: Hashable) -> tuple[Hashable, ...]:
    """The dimensions of the planes of a cube with frames along ``dim``; none without ``y`` and ``x``."""
    rest = [d for d in stack.dims if d != dim]
    return tuple(d for d in rest if d not in ("y", "x")) if {"y", "x"} <= set(rest) else ()


def by_plane(call: Callable[[list[Any]], Any], stacks: list[Any], dim: Hashable) -> Any:
    """The result of ``call`` for each plane of all stacks, as one cube with its dimensions in the order they had."""
    sizes = {stack.sizes.get(dim) for stack in stacks}
    if len(sizes) > 1 or None in sizes:
        raise ValueError(
            f"the stacks have {', '.join(map(str, sizes))} planes along {dim!r}: give them the same planes"
        )
    planes = [call([stack.isel({dim: k}) for stack in stacks]) for k in range(sizes.pop())]
    own = [name for stack in stacks for name, coord in stack.coords.items() if dim in coord.dims]
    maps = [name for name, coord in planes[0].coords.items() if set(coord.dims) >= IMAGE]
    coords = [name for name in dict.fromkeys([*own, *maps]) if name in planes[0].coords]
    options: dict[str, Any] = {"coords": coords, "compat": "override", "join": "override"}
    if isinstance(planes[0], xr.Dataset):
        options["data_vars"] = [name for name, array in planes[0].data_vars.items() if set(array.dims) >= IMAGE]
    made = xr.concat(planes, dim, combine_attrs="override", **options)
    order = next(array.dims for array in _arrays(stacks[0]) if set(array.dims) >= IMAGE)
    return made.transpose(*order, ...)


def _arrays(stack: Any) -> list[Any]:
    return list(stack.data_vars.values()) if isinstance(stack, xr.Dataset) else [stack]
