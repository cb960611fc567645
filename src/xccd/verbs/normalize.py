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
from xccd.messages import called, did_you_mean, is_whole
from xccd.verbs.levels import LEVELS, measure
from xccd.verbs.overlap_levels import Wanted, solved
from xccd.verbs.weights import check_labels, of_frames, resolve
from xccd.write.product_inputs import SCALED, scaled_exposure

TO = ("first", "mean")
# Levels of frames that are compared with each other, for each argument, besides those measured in each frame.
COMPARED = {"scale": ("overlap",), "zero": ("overlap", "plane")}
ONE_PLANE = "for a cube work on each of its planes, as stack.isel(z=0)"
SECTION = re.compile(r"\[(\d+):(\d+),(\d+):(\d+)\]")


@per_variable
def normalize(
    stack: xr.DataArray,
    scale: Any = None,
    zero: Any = None,
    *,
    to: str | float = "first",
    degree: int = 0,
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
        valid pixels; a keyword of the frames ("EXPTIME"); one number a frame; or a function that takes a frame (a
        DataArray, NaN where masked) and returns a number. For aligned frames also "overlap", the best fit where pairs
        of frames overlap: for ``scale`` gains from the fluxes of sources, for ``zero`` the levels of the scaled frames.
        ``zero="plane"`` is a plane for each frame of one field, from its difference to the reference.
    to : {"first", "mean"} or float, default: "first"
        The common level: the level of the first frame, the mean of all levels, or a value. With ``zero="plane"`` frames
        are compared with the first frame, or for "mean" with the median of all.
    degree : {0, 1}, default: 0
        With ``zero="overlap"``: 0 shifts each frame by a level, 1 by a plane ``a + b x + c y``.
    region : tuple of slices, dict, str or boolean image, optional
        Where levels are measured: slices by position (y, x); a dict of labels as for ``sel``; a FITS section
        ("[1:2048,1:350]") or a keyword that holds one ("DATASEC"); or a boolean image, True where to measure.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Frames of the same shape and labels, as floats. The coordinates ``scale`` and ``zero`` on ``dim`` hold all
        normalisation since the stack was opened: ``y = scale * x - zero``. After planes ``zero_y`` and ``zero_x`` are
        there, too, per pixel: ``y = scale * x - (zero + zero_y * stack.y + zero_x * stack.x)``. After a ``scale``,
        frames of known EXPTIME also have ``scaled_exposure`` in seconds: the exposure time that matches their level,
        NaN if ``to`` is a value.

    Raises
    ------
    ValueError
        A level is NaN, or for ``scale`` not positive (the message names the frame; on dask input the error comes when
        the level is computed); a name is unknown; neither ``scale`` nor ``zero`` is given; the stack has no dimension
        ``dim`` or is empty; no chain of overlaps of 500 pixels or more joins a frame to the first one; the overlaps of
        a frame tell no plane; sources or planes are asked for and the frames are not images.

    Warns
    -----
    UserWarning
        ``scale="overlap"``: a frame has fewer than 5 sources in common with any other, so its gain is 1; or frames
        have sources in common with each other but not with the first one. ``degree=1``: a plane is uncertain by half
        of the noise of a pixel or more at a corner of its frame.

    Notes
    -----
    "mode" is that of IRAF's imcombine. It takes the central 70 % of the sorted pixels, steps a bin of 10 % of their
    range by 1 %, and returns the middle pixel of the fullest bin. "clipped_median" is the median after clipping at 3
    standard deviations about the median until stable.

    "overlap" compares pairs of frames with 500 common pixels or more.

    A gain is measured by sources. The sky of a frame is a plane through medians of cells of 64 pixels, and what they
    differ from it, interpolated. A source is a group of pixels above 8 times the noise (1.4826 MAD about the sky) in
    either frame of a pair, with the pixels up to 5 pixels from them. Its flux is the sum of its pixels above the sky.
    Left out are sources that touch an edge or a masked pixel, that reach 64 pixels beyond a patch of 512, and stars
    with a flat top or near the brightest pixel of a frame with such stars: they are saturated, and are better masked
    before by `minmax`. The gain of a pair is the weighted median of the ratios of fluxes of at least 5 sources of
    S/N > 10 in both, with weights min(S/N, 100)^2. The gains of frames are the least-squares fit to their logarithms.

    A zero level is the same fit to the medians of the differences of scaled frames, weighted with the counts of common
    pixels, on a lattice of at most 4 million samples; for a plane to medians on a grid of 8 by 8 cells of what two
    frames share. What is subtracted is the difference between the planes of a frame and of the reference. The
    reference's own gradient stays, and so does all that is no plane.

    Only pairs whose boxes overlap are compared, and for gains 12 or more of each frame. On dask input the frames are
    read once more for all this, and a warning comes when a level is computed: on a cluster in the log of a worker.

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
    planes = _check_degree(stack, zero, degree, dim)
    names = frame_names(stack, dim)
    levels = _all_levels(_numbered(stack, planes, dim), scale, zero, planes, to, region, dim)
    terms = _terms(levels, partial(_factors_of_levels, have=[v is not None for v in levels], to=to, names=names))
    data = _levelled_stack(stack, dim, terms, planes)
    if scale is None:
        terms = (np.ones(stack.sizes[dim]), *terms[1:])
    result = copy_with(stack, dim, data).assign_coords(_kept(stack, dim, terms, planes) | _light(stack, dim, scale, to))
    if _is_level(scale) and origin_of_samples(frames_first(stack, dim)):
        mark(data, LEVELLED)
    step = step_text("normalize", scale=scale, zero=zero, to=to, degree=degree or None, region=region)
    return add_history(result, step)


def _check_to(to: Any, scale: Any, zero: Any) -> None:
    if isinstance(to, str) and to in TO:
        return
    if not (isinstance(to, (int, float, np.number)) and np.isfinite(to)):
        raise ValueError(f"to={to!r} is unknown: use 'first', 'mean' or a number{did_you_mean(to, TO)}")
    for given in (scale, zero):
        if isinstance(given, str) and given in COMPARED["zero"]:
            raise ValueError(f"to={to!r} with {given!r}: levels of overlaps are relative, use 'first' or 'mean'")
    if scale is not None and zero is not None:
        raise ValueError(f"to={to!r} with both scale and zero does not say which level: normalise one after the other")
    if scale is not None and to <= 0:
        raise ValueError(f"to={to!r}: the level that frames are scaled to must be positive")


def _check_degree(stack: xr.DataArray, zero: Any, degree: Any, dim: Hashable) -> bool:
    """Whether planes are subtracted; raises if they cannot be."""
    if not is_whole(degree) or degree not in (0, 1):
        raise ValueError(f"degree={degree!r} is neither 0, a level for each frame, nor 1, a plane")
    if degree == 1 and not _is_compared("zero", zero):
        raise ValueError(f"degree=1 with zero={called(zero)}: planes go with zero='overlap' or zero='plane'")
    planes = degree == 1 or (isinstance(zero, str) and zero == "plane")
    if planes and stack.ndim != 3:
        raise ValueError(f"a plane is of images (frame, y, x), this stack has {dict(stack.sizes)}: {ONE_PLANE}")
    return planes


def _is_compared(argument: str, level: Any) -> bool:
    return isinstance(level, str) and level in COMPARED[argument]


def _numbered(stack: xr.DataArray, planes: bool, dim: Hashable) -> xr.DataArray:
    """The stack; for planes with the numbers of its pixels as coordinates that no selection changes."""
    return stack.assign_coords({k: (d, stack[d].values) for k, d in _places(stack, dim)}) if planes else stack


def _places(stack: xr.DataArray, dim: Hashable) -> list[tuple[str, Hashable]]:
    """The labels of slopes, as "zero_y", and the dimension that each is along."""
    return [(f"zero_{d}", d) for d in stack.dims if d != dim]


def _all_levels(
    stack: xr.DataArray, scale: Any, zero: Any, planes: bool, to: Any, region: Any, dim: Hashable
) -> list[Any]:
    """Levels S and Z, and the slopes of Z by row and column, an array of N float64 each; None if not asked for."""
    measured = _region(stack, region, dim)
    compared = {"scale": _is_compared("scale", scale), "zero": _is_compared("zero", zero)}
    own = {
        argument: None if level is None or compared[argument] else _levels_of_frames(argument, level, measured, dim)
        for argument, level in (("scale", scale), ("zero", zero))
    }
    if not any(compared.values()):
        return [own["scale"], own["zero"], None, None]
    if compared["scale"] and measured.ndim != 3:
        raise ValueError(
            f"scale='overlap' measures sources in images (frame, y, x), this stack has {dict(stack.sizes)}: {ONE_PLANE}"
        )
    wanted = Wanted(
        tuple(frame_names(stack, dim)), compared["scale"], zero if compared["zero"] else None, int(planes), to
    )
    rows, columns = _pixels(measured, planes, dim)
    found = solved(frames_first(measured, dim), wanted, own["scale"], rows, columns)
    levels = [found[0] if scale is not None else None, found[1], found[2], found[3]]
    if not compared["zero"]:
        levels[1:] = own["zero"], None, None
    return levels if planes else [*levels[:2], None, None]


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


def _pixels(measured: xr.DataArray, planes: bool, dim: Hashable) -> tuple[Any, Any]:
    """The numbers of the pixels along the last two axes, as `_numbered` noted them."""
    if planes:
        rows, columns = (measured.coords[k].values for k, _ in _places(measured, dim))
        return rows, columns
    last = [n for d, n in measured.sizes.items() if d != dim][-2:]
    rows, columns = (np.arange(n) for n in [1] * (2 - len(last)) + last)
    return rows, columns


def _terms(levels: list[Any], factors: Callable[..., Any]) -> Any:
    """``scale``, ``zero`` and its slopes in ``y = scale x - zero``, as an array (4, N); lazy if a level is lazy."""
    present = [v for v in levels if v is not None]
    if not any(map(arrays.is_dask, present)):
        return factors(np.stack(present))
    import dask.array as da

    # One chunk: each factor needs the level of the first frame, or the mean of all.
    table = da.stack([da.asarray(v) for v in present]).rechunk(-1)
    n = table.shape[1]
    return da.map_blocks(factors, table, chunks=((4,), (n,)), dtype=np.float64, meta=np.empty((0, 0)))


def _factors_of_levels(table: Any, *, have: list[bool], to: str | float, names: list[str]) -> Any:
    rows = iter(table)
    n = table.shape[1]
    s, z, *slopes = (next(rows) if here else np.full(n, float(i == 0)) for i, here in enumerate(have))
    for argument, values, usable in (("scale", s, np.isfinite(s) & (s > 0)), ("zero", z, np.isfinite(z))):
        for i in np.flatnonzero(~usable):
            need = "a positive number" if argument == "scale" else "a finite number"
            raise ValueError(f"{argument}: {names[i]} has the level {values[i]}, which must be {need}")
    f = (_reference(s, to) if have[0] else 1.0) / s
    # y = f (x - z) + reference, in the form scale x - zero
    shifts = zip((z, *slopes), have[1:], strict=True)
    return np.stack([f, *(f * v - (_reference(v, to) if here else 0.0) for v, here in shifts)])


def _levelled_stack(stack: xr.DataArray, dim: Hashable, terms: Any, planes: bool) -> Any:
    """The samples after ``scale x - zero``, with the frames first."""
    dtype = float_dtype(stack.dtype)
    shape = (-1,) + (1,) * (stack.ndim - 1)
    extras = [terms[0].reshape(shape), terms[1].reshape(shape)]
    if planes:
        rows, columns = (stack[d].values.astype(np.float64) for _, d in _places(stack, dim))
        extras[1] = (terms[1][:, None] + terms[2][:, None] * rows)[:, :, None]
        extras.append((terms[3][:, None] * columns)[:, None, :])
    return arrays.map_over_frames(
        partial(_levelled, dtype=dtype), frames_first(stack, dim), *extras, reduce=False, dtype=dtype
    )


def _reference(levels: Any, to: str | float) -> float:
    return {"first": float(levels[0]), "mean": float(levels.mean())}[to] if isinstance(to, str) else float(to)


def _levelled(x: Any, scale: Any, zero: Any, by_column: Any = None, *, dtype: np.dtype[Any]) -> Any:
    shifted = x * scale - (zero if by_column is None else zero + by_column)
    return shifted.astype(dtype, copy=False)


def _kept(stack: xr.DataArray, dim: Hashable, terms: Any, planes: bool) -> dict[str, Any]:
    """The coordinates ``scale`` and ``zero``: all normalisation since the file was read, with this step."""
    scale, zero, *slopes = terms
    names = ["zero", *(k for k, _ in _places(stack, dim))]
    here = {k: stack.coords[k].data for k in ("scale", *names) if k in stack.coords and stack.coords[k].dims == (dim,)}
    found = {"scale": scale, "zero": zero} | (dict(zip(names[1:], slopes, strict=True)) if planes else {})
    if {"scale", "zero"} <= set(here):
        # y = s (s0 x - z0) - z
        before = {k: scale * here[k] for k in names if k in here}
        found = {k: before.get(k, 0) + found.get(k, 0) for k in {**before, **found} if k != "scale"}
        found["scale"] = scale * here["scale"]
    return {k: (dim, v) for k, v in found.items()}


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
