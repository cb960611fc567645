"""The factors of `normalize`: levels of frames, and the terms ``scale x - zero`` that make them equal."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.errors import in_tree
from xccd.labels.frames import frame_names, frames_first
from xccd.labels.keywords import keyword_of_frames
from xccd.labels.lazy import array_of
from xccd.verbs.by_plane import plane_dims
from xccd.verbs.levels import LEVELS, measure, of_planes
from xccd.verbs.overlap_levels import Wanted, solved
from xccd.verbs.weights import matched, of_frames, resolve

# Levels of frames that are compared with each other, for each argument, besides those measured in each frame.
COMPARED = {"scale": ("overlap",), "zero": ("overlap", "plane")}


class Ask(NamedTuple):
    """What is asked for: two levels, whether slopes are subtracted, the common level, the dimension of the frames."""

    scale: Any
    zero: Any
    sloped: bool
    to: str | float
    dim: Hashable


def is_compared(argument: str, level: Any) -> bool:
    """Whether a level is found by comparing frames."""
    return isinstance(level, str) and level in COMPARED[argument]


def own_planes(stack: xr.DataArray, ask: Ask) -> tuple[Hashable, ...]:
    """The dimensions of the planes of a cube if each plane has levels of its own, else ()."""
    cube = plane_dims(stack, ask.dim)
    some = any(_differs(k, v, cube, stack, ask.dim) for k, v in (("scale", ask.scale), ("zero", ask.zero)))
    return cube if some and all(stack.sizes[d] for d in cube) else ()


def _differs(argument: str, level: Any, cube: tuple[Hashable, ...], stack: xr.DataArray, dim: Hashable) -> bool:
    """Whether a level may differ between the planes of a cube: one that is measured, or given for each plane."""
    if isinstance(level, str):
        if level in (*LEVELS, *COMPARED[argument]):
            return bool(cube)
        level = stack.coords.get(level)
        return level is not None and dim in level.dims and bool(set(level.dims) & set(cube))
    if isinstance(level, xr.DataArray):
        return bool(set(level.dims) & set(cube))
    return bool(cube) and callable(level)


def terms_of(measured: xr.DataArray, ask: Ask, cube: tuple[Hashable, ...]) -> dict[str, xr.Variable]:
    """``scale``, ``zero`` and its slopes in ``y = scale x - zero``; lazy if a level is lazy.

    They are along the frames, and along the dimensions ``cube`` of planes, each of which is normalised by itself.
    """
    dim, names = ask.dim, frame_names(measured, ask.dim)
    levels = _all_levels(measured, ask, names, cube)
    planes = [_name_of_plane(measured, where) for where in _planes(measured, cube)]
    have = [v is not None for v in levels]
    table = _terms(levels, partial(_factors_of_levels, have=have, to=ask.to, names=names, planes=planes))
    labels = ["scale", "zero", *(slope_names(measured, dim) if ask.sloped else [])]
    found = {k: xr.Variable((dim, *cube), row) for k, row in zip(labels, table, strict=False)}
    if not _differs("scale", ask.scale, cube, measured, dim):
        found["scale"] = found["scale"].isel(dict.fromkeys(cube, 0))
    return found


def _planes(stack: xr.DataArray, cube: tuple[Hashable, ...]) -> list[dict[Hashable, int]]:
    """The position of each plane along the dimensions ``cube``."""
    return [dict(zip(cube, at, strict=True)) for at in np.ndindex(*(stack.sizes[d] for d in cube))]


def _name_of_plane(stack: xr.DataArray, where: dict[Hashable, int]) -> str:
    """A plane in messages, as " at colour='R'", or by its position where it has no label."""
    labels = {d: stack[d].values[k : k + 1] for d, k in where.items()}
    shown = (f"{d}={v[0] if v.dtype.kind in 'mM' else repr(v.tolist()[0])}" for d, v in labels.items())
    return f" at {', '.join(shown)}" if where else ""


def _of_planes(function: Callable[[dict[Hashable, int]], Any], stack: xr.DataArray, cube: tuple[Hashable, ...]) -> Any:
    """The arrays ``function(where)`` of all planes along new last axes; of images as it is."""
    each = [function(where) for where in _planes(stack, cube)]
    if not cube:
        return each[0]
    shape = (*each[0].shape, *(stack.sizes[d] for d in cube))
    if not any(map(arrays.is_dask, each)):
        return np.stack(each, axis=-1).reshape(shape)
    import dask.array as da

    return da.stack(each, axis=-1).reshape(shape)


def _all_levels(measured: xr.DataArray, ask: Ask, names: list[str], cube: tuple[Hashable, ...]) -> list[Any]:
    """Levels S and Z, and the slopes of Z by row and column: float64 (N, planes); None if not asked for."""
    scale, zero, sloped, to, dim = ask
    compared = {"scale": is_compared("scale", scale), "zero": is_compared("zero", zero)}
    own = {
        argument: None if level is None or compared[argument] else _own_levels(argument, level, measured, dim, cube)
        for argument, level in (("scale", scale), ("zero", zero))
    }
    if not any(compared.values()):
        return [own["scale"], own["zero"], None, None]

    def of_plane(where: dict[Hashable, int]) -> Any:
        plane, suffix = measured.isel(where), _name_of_plane(measured, where)
        named = tuple(f"{name}{suffix}" for name in names)
        wanted = Wanted(named, compared["scale"], zero if compared["zero"] else None, int(sloped), to)
        scales = None if own["scale"] is None else own["scale"][(slice(None), *where.values())]
        return solved(_samples_of(measured, where, dim), wanted, scales, *_pixels(plane, sloped, dim))

    found = _of_planes(of_plane, measured, cube)
    levels = [found[0] if scale is not None else None, found[1], found[2], found[3]]
    if not compared["zero"]:
        levels[1:] = own["zero"], None, None
    return levels if sloped else [*levels[:2], None, None]


def _samples_of(stack: xr.DataArray, where: dict[Hashable, int], dim: Hashable) -> Any:
    """The samples of a plane, frames first. A deferred stack stays so, with axes of size 1, as it is read by parts."""
    thin = stack.isel({d: slice(k, k + 1) for d, k in where.items()})
    if stack.dims[: 1 + len(where)] == (dim, *where) and arrays.is_deferred(array_of(thin)):
        return array_of(thin)
    return frames_first(stack.isel(where), dim)


def _own_levels(argument: str, level: Any, stack: xr.DataArray, dim: Hashable, cube: tuple[Hashable, ...]) -> Any:
    """The levels of frames by themselves (N, planes); lazy on dask input."""
    if not _differs(argument, level, cube, stack, dim):
        values = _levels_of_frames(argument, level, stack, dim)  # once for all planes: it may read headers
        return _of_planes(lambda _: values, stack, cube)
    if isinstance(level, str) and level in LEVELS:
        order = (dim, *cube, *slope_names(stack, dim).values())
        return of_planes(array_of(stack) if stack.dims == order else stack.transpose(*order).data, level)
    if isinstance(level, xr.DataArray):
        level = matched(argument, level, stack, dim)

    def of_plane(where: dict[Hashable, int]) -> Any:
        own = level.isel(where, missing_dims="ignore") if isinstance(level, xr.DataArray) else level
        return _levels_of_frames(argument, own, stack.isel(where), dim)

    return _of_planes(of_plane, stack, cube)


def _levels_of_frames(argument: str, level: Any, stack: xr.DataArray, dim: Hashable) -> Any:
    """One level a frame, as an array of N float64; lazy on dask input."""
    if isinstance(level, str):
        if level not in LEVELS:
            return keyword_of_frames(argument, level, stack, dim, levels=(*LEVELS, *COMPARED[argument]))
        level = partial(measure, name=level)
    if callable(level) and not isinstance(level, xr.DataArray):
        return of_frames(argument, level, stack, dim)
    n = stack.sizes[dim]
    values = resolve(argument, level, stack, dim).data
    if values.size != n or values.shape[0] != n:
        raise ValueError(f"{argument}={level!r}: give one level for each of the {n} frames, a name or a function")
    return values.reshape(n)


def slope_names(stack: xr.DataArray, dim: Hashable) -> dict[str, Hashable]:
    """The labels of slopes, as "zero_y", and the dimension that each is along."""
    return {f"zero_{d}": d for d in stack.dims if d not in (dim, *plane_dims(stack, dim))}


def numbered(stack: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """The stack with the numbers of its pixels as coordinates that no selection changes."""
    return stack.assign_coords({k: (d, stack[d].values) for k, d in slope_names(stack, dim).items()})


def _pixels(measured: xr.DataArray, sloped: bool, dim: Hashable) -> tuple[Any, Any]:
    """The numbers of the pixels along the last two axes, as `numbered` noted them."""
    if sloped:
        rows, columns = (measured.coords[k].values for k in slope_names(measured, dim))
        return rows, columns
    last = [n for d, n in measured.sizes.items() if d != dim][-2:]
    rows, columns = (np.arange(n) for n in [1] * (2 - len(last)) + last)
    return rows, columns


def _terms(levels: list[Any], factors: Callable[..., Any]) -> Any:
    """``scale``, ``zero`` and its slopes in ``y = scale x - zero``, as an array (4, N, planes); lazy if a level is."""
    present = [v for v in levels if v is not None]
    if not any(map(arrays.is_dask, present)):
        return factors(np.stack(present))
    import dask.array as da

    # One chunk of all frames: each factor needs the level of the first one, or the mean of all. Of lazy cubes a plane
    # needs its own levels alone.
    table = da.stack([da.asarray(v) for v in present]).rechunk({0: -1, 1: -1})
    chunks = ((4,), *table.chunks[1:])
    return da.map_blocks(factors, table, chunks=chunks, dtype=np.float64, meta=np.empty((0,) * table.ndim))


@in_tree
def _factors_of_levels(
    table: Any, *, have: list[bool], to: str | float, names: list[str], planes: list[str], block_info: Any = None
) -> np.ndarray[Any, Any]:
    """The terms (4, N, planes) from the levels that are given; dask says in ``block_info`` which planes they are of."""
    if block_info is not None:
        shape, places = (block_info[0][k][2:] for k in ("shape", "array-location"))
        here = np.arange(len(planes)).reshape(shape)[tuple(slice(*place) for place in places)]
        planes = [planes[k] for k in here.ravel().tolist()]
    each = np.moveaxis(table.reshape(*table.shape[:2], -1), -1, 0)
    found = [_of_plane(np.ascontiguousarray(own), have, to, names, at) for own, at in zip(each, planes, strict=True)]
    return np.stack(found, axis=-1).reshape(4, *table.shape[1:])


def _of_plane(table: Any, have: list[bool], to: str | float, names: list[str], at: str) -> Any:
    """The terms (4, N) of one plane."""
    rows = iter(table)
    n = table.shape[1]
    s, z, *slopes = (next(rows) if here else np.full(n, float(i == 0)) for i, here in enumerate(have))
    for argument, values, usable in (("scale", s, np.isfinite(s) & (s > 0)), ("zero", z, np.isfinite(z))):
        for i in np.flatnonzero(~usable):
            need = "a positive number" if argument == "scale" else "a finite number"
            raise ValueError(f"{argument}: {names[i]}{at} has the level {values[i]}, which must be {need}")
    f = (_reference(s, to) if have[0] else 1.0) / s
    # y = f (x - z) + reference, in the form scale x - zero
    shifts = zip((z, *slopes), have[1:], strict=True)
    return np.stack([f, *(f * v - (_reference(v, to) if here else 0.0) for v, here in shifts)])


def _reference(levels: Any, to: str | float) -> float:
    return {"first": float(levels[0]), "mean": float(levels.mean())}[to] if isinstance(to, str) else float(to)
