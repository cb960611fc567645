"""`normalize`: bring frames to a common level by a factor, a shift, or both."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.notes import LEVELLED, mark, origin_of_samples
from xccd.kernels.limits import float_dtype
from xccd.labels.apply import per_variable
from xccd.labels.flags import flags_of
from xccd.labels.frames import add_history, check_stack, copy_with, frame_names, frames_first, step_text
from xccd.labels.keywords import keyword_of_frames
from xccd.messages import did_you_mean
from xccd.verbs.levels import LEVELS, measure
from xccd.verbs.levels import levels as solved
from xccd.verbs.weights import check_labels, of_frames, resolve
from xccd.write.product_inputs import SCALED, scaled_exposure

TO = ("first", "mean")
SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")


@per_variable
def normalize(
    stack: xr.DataArray,
    scale: Any = None,
    zero: Any = None,
    *,
    to: str | float = "first",
    region: Any = None,
    dim: Hashable = "frame",
) -> xr.DataArray:
    """Bring frames to a common level: ``y = f (x - Z) + z_ref`` with ``f = S_ref / S``.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``. In a Dataset, and in each node of a DataTree, every variable with ``dim``.
    scale, zero : str, callable or array-like, optional
        The level S to scale by, the level Z to shift by: "mean", "median", "mode" or "clipped_median" of a frame's
        valid pixels; "overlap" (the best fit where pairs of aligned frames overlap); a keyword of the frames
        ("EXPTIME"); one number a frame; or a function that takes a frame (a DataArray, NaN where masked) and returns a
        number.
    to : {"first", "mean"} or float, default: "first"
        The common level: the level of the first frame, the mean of all levels, or a value.
    region : tuple of slices, dict, str or boolean image, optional
        Where levels are measured: slices by position (y, x); a dict of labels as for ``sel``; a FITS section
        ("[1:2048,1:350]") or a keyword that holds one ("DATASEC"); or a boolean image, True where to measure.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Frames of the same shape and labels, as floats. The coordinates ``scale`` and ``zero`` on ``dim`` hold all
        normalisation since the stack was opened: ``y = scale * x - zero``. After a ``scale``, frames of known EXPTIME
        also have ``scaled_exposure`` in seconds: the exposure time that matches their level, NaN if ``to`` is a value.

    Raises
    ------
    ValueError
        A level is NaN, or for ``scale`` not positive (the message names the frame; on dask input the error comes when
        the level is computed); a name is unknown; neither ``scale`` nor ``zero`` is given; the stack has no dimension
        ``dim`` or is empty.

    Notes
    -----
    "mode" is that of IRAF's imcombine. It takes the central 70 % of the sorted pixels, steps a bin of 10 % of their
    range by 1 %, and returns the middle pixel of the fullest bin. "clipped_median" is the median after clipping at 3
    standard deviations about the median until stable. "overlap" compares the common pixels of each pair: the median of
    differences (zero), or the logarithm of the ratio of medians (scale), on a lattice of at most 4 million samples. The
    levels are the least-squares solution, weighted with the counts of common pixels.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> flats = xr.DataArray([[10.0, 20.0, 30.0], [22.0, 40.0, 60.0]], dims=("frame", "x"))
    >>> level = flats.ccd.normalize(scale="median")
    >>> level.values.tolist(), level.scale.values.tolist()
    ([[10.0, 20.0, 30.0], [11.0, 20.0, 30.0]], [1.0, 0.5])
    """
    check_stack(stack, dim)
    if flags_of(stack) is not None:
        raise ValueError(
            "normalize changes the samples, but a flagged Dataset keeps them as they were read: "
            "ds.ccd.to_stack().ccd.normalize(...)"
        )
    if scale is None and zero is None:
        raise ValueError("scale= and zero= are both None: say which level to normalise, as scale='median'")
    _check_to(to, scale, zero)
    names = frame_names(stack, dim)
    measured = _region(stack, region, dim)
    levels = [
        None if level is None else _levels_of_frames(argument, level, measured, dim)
        for argument, level in (("scale", scale), ("zero", zero))
    ]
    terms = _terms(levels, partial(_factors_of_levels, have=[v is not None for v in levels], to=to, names=names))
    dtype = float_dtype(stack.dtype)
    shape = (-1,) + (1,) * (stack.ndim - 1)
    data = arrays.map_over_frames(
        partial(_levelled, dtype=dtype),
        frames_first(stack, dim), terms[0].reshape(shape), terms[1].reshape(shape),
        reduce=False, dtype=dtype,
    )  # fmt: skip
    if scale is None:
        terms = np.ones(stack.sizes[dim]), terms[1]
    result = copy_with(stack, dim, data).assign_coords(_kept(stack, dim, terms) | _light(stack, dim, scale, to))
    if _is_level(scale) and origin_of_samples(frames_first(stack, dim)):
        mark(data, LEVELLED)
    step = step_text("normalize", scale=scale, zero=zero, to=to, region=region)
    return add_history(result, step)


def _check_to(to: Any, scale: Any, zero: Any) -> None:
    if all(isinstance(given, str) and given == "overlap" for given in (scale, zero)):
        raise ValueError("scale='overlap' with zero='overlap': normalise one after the other")
    if isinstance(to, str) and to in TO:
        return
    if not (isinstance(to, (int, float, np.number)) and np.isfinite(to)):
        raise ValueError(f"to={to!r} is unknown: use 'first', 'mean' or a number{did_you_mean(to, TO)}")
    if "overlap" in (given for given in (scale, zero) if isinstance(given, str)):
        raise ValueError(f"to={to!r} with 'overlap': levels of overlaps are relative, use 'first' or 'mean'")
    if scale is not None and zero is not None:
        raise ValueError(f"to={to!r} with both scale and zero does not say which level: normalise one after the other")
    if scale is not None and to <= 0:
        raise ValueError(f"to={to!r}: the level that frames are scaled to must be positive")


def _levels_of_frames(argument: str, level: Any, stack: xr.DataArray, dim: Hashable) -> Any:
    """One level a frame, as an array of N float64; lazy on dask input."""
    if isinstance(level, str) and level == "overlap":
        return solved(argument, stack, dim)
    if isinstance(level, str):
        if level not in LEVELS:
            return keyword_of_frames(argument, level, stack, dim, levels=(*LEVELS, "overlap"))
        level = partial(measure, name=level)
    if callable(level) and not isinstance(level, xr.DataArray):
        return of_frames(argument, level, stack, dim)
    n = stack.sizes[dim]
    values = resolve(argument, level, stack, dim).data
    if values.size != n or values.shape[0] != n:
        raise ValueError(f"{argument}={level!r}: give one level for each of the {n} frames, a name or a function")
    return values.reshape(n)


def _terms(levels: list[Any], factors: Callable[..., Any]) -> Any:
    """``scale`` and ``zero`` of ``y = scale x - zero``, as an array (2, N); lazy if a level is lazy."""
    present = [v for v in levels if v is not None]
    if not any(map(arrays.is_dask, present)):
        return factors(np.stack(present))
    import dask.array as da

    # One chunk: each factor needs the level of the first frame, or the mean of all.
    table = da.stack([da.asarray(v) for v in present]).rechunk(-1)
    n = table.shape[1]
    return da.map_blocks(factors, table, chunks=((2,), (n,)), dtype=np.float64, meta=np.empty((0, 0)))


def _factors_of_levels(table: Any, *, have: list[bool], to: str | float, names: list[str]) -> Any:
    rows = iter(table)
    n = table.shape[1]
    s = next(rows) if have[0] else np.ones(n)
    z = next(rows) if have[1] else np.zeros(n)
    for argument, values, usable in (("scale", s, np.isfinite(s) & (s > 0)), ("zero", z, np.isfinite(z))):
        for i in np.flatnonzero(~usable):
            need = "a positive number" if argument == "scale" else "a finite number"
            raise ValueError(f"{argument}: {names[i]} has the level {values[i]}, which must be {need}")
    f = (_reference(s, to) if have[0] else 1.0) / s
    # y = f (x - z) + reference, in the form scale x - zero
    return np.stack([f, f * z - (_reference(z, to) if have[1] else 0.0)])


def _reference(levels: Any, to: str | float) -> float:
    return {"first": float(levels[0]), "mean": float(levels.mean())}[to] if isinstance(to, str) else float(to)


def _levelled(x: Any, scale: Any, zero: Any, *, dtype: np.dtype[Any]) -> Any:
    return (x * scale - zero).astype(dtype, copy=False)


def _kept(stack: xr.DataArray, dim: Hashable, terms: Any) -> dict[str, Any]:
    """The coordinates ``scale`` and ``zero``: all normalisation since the file was read, with this step."""
    scale, zero = terms
    before = [stack.coords[k].data for k in ("scale", "zero") if k in stack.coords and stack.coords[k].dims == (dim,)]
    if len(before) == 2:
        scale, zero = scale * before[0], scale * before[1] + zero  # y = s (s0 x - z0) - z
    return {"scale": (dim, scale), "zero": (dim, zero)}


def _light(stack: xr.DataArray, dim: Hashable, scale: Any, to: str | float) -> dict[str, Any]:
    """The coordinate with the exposure time that matches each frame's new level."""
    found = None if scale is None else scaled_exposure(stack, dim, to)
    notes = {"long_name": "exposure time whose light a frame shows", "units": "s"}
    return {} if found is None else {SCALED: (dim, found, notes)}


def _is_level(scale: Any) -> bool:
    return scale is None or (isinstance(scale, str) and scale in LEVELS)


def _region(stack: xr.DataArray, region: Any, dim: Hashable) -> xr.DataArray:
    """The part of each frame where levels are measured."""
    if region is None:
        return stack
    image_dims = [d for d in stack.dims if d != dim]
    if isinstance(region, str):
        part = stack.isel(_section(region, stack))
    elif isinstance(region, dict):
        part = stack.sel(region)
    elif isinstance(region, slice) or (isinstance(region, tuple) and all(isinstance(s, slice) for s in region)):
        part = stack.isel(_slices(region, image_dims[-2:]))
    else:
        part = stack.where(_region_image(region, stack, image_dims))
    if 0 in part.shape:
        raise ValueError(f"region={region!r} holds no pixel of the frames {dict(stack.sizes)}")
    return part


def _slices(region: Any, dims: list[Hashable]) -> dict[Hashable, slice]:
    slices = (region,) if isinstance(region, slice) else region
    if len(slices) != len(dims):
        raise ValueError(f"region={region!r}: give a slice for each of {', '.join(map(repr, dims))}")
    return dict(zip(dims, slices, strict=True))


def _section(text: str, stack: xr.DataArray) -> dict[str, Any]:
    """The positions of a FITS section (1-based, inclusive) along x and y, whose labels are 0-based."""
    section = text
    if not text.startswith("["):
        found = stack.attrs.get(text)
        if found is None and text in stack.coords and len(set(stack.coords[text].values.tolist())) == 1:
            found = stack.coords[text].values[0]
        if found is None:
            near = did_you_mean(text, stack.attrs)
            raise ValueError(
                f"region={text!r} is no section '[x1:x2,y1:y2]' and no keyword that all frames share{near}"
            )
        section = str(found)
    match = SECTION.fullmatch(section.replace(" ", ""))
    if match is None:
        raise ValueError(f"region={text!r}: {section!r} is not of the form '[x1:x2,y1:y2]'")
    if not {"x", "y"} <= set(stack.dims):
        raise ValueError(f"region={text!r}: a section is of 'x' and 'y', the stack has {dict(stack.sizes)}")
    x1, x2, y1, y2 = (int(v) for v in match.groups())
    # by labels, which are pixels of the detector: a section means the same pixels after a crop
    return {"x": _between(stack["x"].values, x1 - 1, x2 - 1), "y": _between(stack["y"].values, y1 - 1, y2 - 1)}


def _between(labels: Any, first: int, last: int) -> Any:
    """The positions whose labels lie from first to last, both included. An axis without labels has its positions."""
    inside = np.flatnonzero((labels >= first) & (labels <= last))
    run = inside.size and inside[-1] - inside[0] + 1 == inside.size
    return slice(int(inside[0]), int(inside[-1]) + 1) if run else inside


def _region_image(region: Any, stack: xr.DataArray, dims: list[Hashable]) -> xr.DataArray:
    """``region`` as a boolean image with all dimensions of a frame, or some of them if it is a DataArray."""
    if isinstance(region, xr.DataArray):
        check_labels("region", region, stack)
        image = region.variable
    else:
        values = region if arrays.is_dask(region) else np.asarray(region)
        image = xr.Variable(dims if values.ndim == len(dims) else [f"axis {i}" for i in range(values.ndim)], values)
    fits = all(d in dims and stack.sizes[d] == n for d, n in image.sizes.items())
    if image.dtype != bool or not image.dims or not fits:
        raise ValueError(
            f"region has dtype {image.dtype} and sizes {dict(image.sizes)}: give a boolean image of "
            f"{ {d: stack.sizes[d] for d in dims} }, slices, a dict of labels or a section"
        )
    return xr.DataArray(image)
