"""`normalize`: bring frames to a common level by a factor, a shift, or both."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.notes import LEVELLED, mark, origin_of_samples
from xccd.headers.uncertainties import KINDS
from xccd.kernels.limits import float_dtype
from xccd.labels.apply import per_variable
from xccd.labels.choices import Level
from xccd.labels.flags import map_name
from xccd.labels.frames import add_history, check_stack, copy_with, frames_first, step_text, unflagged
from xccd.messages import called, did_you_mean, is_whole
from xccd.verbs.by_plane import plane_dims
from xccd.verbs.factors import COMPARED, Ask, is_compared, numbered, own_planes, slope_names, terms_of
from xccd.verbs.levels import LEVELS
from xccd.verbs.regions import part_of
from xccd.write.product_inputs import SCALED, scaled_exposure

TO = ("first", "mean")
ERRORS = ("uncertainty", "common")  # the maps of a variable that scale with it


@per_variable
def normalize(
    stack: xr.DataArray,
    scale: Any = None,
    zero: Any = None,
    *,
    to: Level = "first",
    degree: int = 0,
    region: Any = None,
    each_plane: bool = True,
    dim: Hashable = "frame",
) -> xr.DataArray:
    """Bring frames to a common level: ``y = f (x - Z) + z_ref`` with ``f = S_ref / S``.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``. In a Dataset, and in each node of a DataTree, every variable with ``dim``. Of cubes
        (frame, z, y, x) each plane is normalised by itself, such as a colour or a wavelength. Of a flagged Dataset
        levels are those of the samples without a flag.
    scale, zero : str, callable or array-like, optional
        The level S to scale by, the level Z to shift by: "mean", "median", "mode" or "clipped_median" of a frame's
        valid pixels; a keyword of the frames ("EXPTIME"); one number a frame, or a DataArray (frame, z) with one for
        each plane of cubes; or a function that takes a frame (a DataArray, NaN where masked) and returns a number. For
        aligned frames also "overlap", the best fit where pairs of frames overlap: for ``scale`` gains from the fluxes
        of sources, for ``zero`` the levels of the scaled frames. ``zero="plane"`` is a plane for each frame of one
        field, from its difference to the reference.
    to : {"first", "mean"} or float, default: "first"
        The common level: the level of the first frame, the mean of all levels, or a value. With ``zero="plane"`` frames
        are compared with the first frame, or for "mean" with the median of all.
    degree : {0, 1}, default: 0
        With ``zero="overlap"``: 0 shifts each frame by a level, 1 by a plane ``a + b x + c y``.
    region : tuple of slices, dict, str or boolean image, optional
        Where levels are measured: slices by position (y, x); a dict of labels as for ``sel``; a FITS section
        ("[1:2048,1:350]") or a keyword that holds one ("DATASEC"); or a boolean image, True where to measure.
    each_plane : bool, default: True
        Of cubes: True gives each plane levels of its own, and functions take a plane. False gives each frame one level
        for all its planes, from the pixels of all, and functions take a cube; with ``region={"z": 1}`` from one plane.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Frames of the same shape and labels, as floats. Flags stay. Uncertainties, and a label ``noise`` on ``dim``,
        are multiplied by the size of the factor. The coordinates ``scale`` and ``zero`` on ``dim`` hold all
        normalisation since the stack was opened: ``y = scale * x - zero``. After planes ``zero_y`` and ``zero_x`` are
        there, too, per pixel: ``y = scale * x - (zero + zero_y * stack.y + zero_x * stack.x)``. Of cubes whose planes
        have levels of their own they have the dimensions (frame, z). After a ``scale``,
        frames of known EXPTIME also have ``scaled_exposure`` in seconds: the exposure time that matches their level,
        NaN if ``to`` is a value.

    Raises
    ------
    ValueError
        A level is NaN, or for ``scale`` not positive (the message names the frame and the plane; on dask input the
        error comes when the level is computed); a name is unknown; neither ``scale`` nor ``zero`` is given; the stack
        has no dimension ``dim`` or is empty; no chain of overlaps of 500 pixels or more joins a frame to the first one;
        the overlaps of a frame tell no plane; sources or planes are asked for and the frames are neither images nor
        cubes of them; ``region`` selects among planes that have levels of their own.

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
    >>> colours = xr.DataArray([[[[10.0]], [[20.0]]], [[[20.0]], [[80.0]]]], dims=("frame", "colour", "y", "x"))
    >>> colours.ccd.normalize(scale="median").scale.values.tolist()
    [[1.0, 1.0], [0.5, 0.25]]
    """
    check_stack(stack, dim)
    if scale is None and zero is None:
        raise ValueError("scale= and zero= are both None: say which level to normalise, as scale='median'")
    _check_to(to, scale, zero)
    sloped = _check_degree(zero, degree)
    ask = Ask(scale, zero, sloped, to, dim)
    cube = own_planes(stack, ask) if each_plane else ()
    _check_images(stack, ask, cube)
    in_use = unflagged(stack)  # levels are those of samples without a flag
    measured = part_of(numbered(in_use, dim) if sloped else in_use, region, dim)
    if any(measured.sizes.get(d) != stack.sizes[d] for d in cube):
        raise ValueError(
            f"region={region!r} selects among the planes along {cube[0]!r}, but each plane has a level of its own: "
            "use each_plane=False for one level a frame"
        )
    terms = terms_of(measured, ask, cube)
    data = _levelled_stack(stack, dim, terms)
    if scale is None:
        terms["scale"] = xr.Variable(dim, np.ones(stack.sizes[dim]))
    labels = _kept(stack, dim, terms) | _light(stack, dim, scale, to) | _errors(stack, dim, terms["scale"])
    result = copy_with(stack, dim, data).assign_coords(labels)
    if _is_level(scale) and origin_of_samples(frames_first(stack, dim)):
        mark(data, LEVELLED)
    together = False if not each_plane and plane_dims(stack, dim) else None
    step = step_text(
        "normalize", scale=scale, zero=zero, to=to, degree=degree or None, region=region, each_plane=together
    )
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


def _check_degree(zero: Any, degree: Any) -> bool:
    """Whether planes are subtracted; raises if the arguments do not fit together."""
    if not is_whole(degree) or degree not in (0, 1):
        raise ValueError(f"degree={degree!r} is neither 0, a level for each frame, nor 1, a plane")
    if degree == 1 and not is_compared("zero", zero):
        raise ValueError(f"degree=1 with zero={called(zero)}: planes go with zero='overlap' or zero='plane'")
    return degree == 1 or (isinstance(zero, str) and zero == "plane")


def _check_images(stack: xr.DataArray, ask: Ask, cube: tuple[Hashable, ...]) -> None:
    """Raise if sources or slopes are asked for and the frames, or the planes of cubes, are no images."""
    if stack.ndim - len(cube) == 3:
        return
    rule = f"this stack has {dict(stack.sizes)}: cubes need the dimensions 'y' and 'x', and each_plane=True"
    if ask.sloped:
        raise ValueError(f"a plane is of images (frame, y, x), {rule}")
    if is_compared("scale", ask.scale):
        raise ValueError(f"scale='overlap' measures sources in images (frame, y, x), {rule}")


def _levelled_stack(stack: xr.DataArray, dim: Hashable, terms: dict[str, xr.Variable]) -> Any:
    """The samples after ``scale x - zero``, with the frames first."""
    dtype = float_dtype(stack.dtype)
    order = [dim, *(d for d in stack.dims if d != dim)]

    def against(term: xr.Variable) -> Any:
        present = term.transpose(*(d for d in order if d in term.dims))
        return present.data.reshape([present.sizes.get(d, 1) for d in order])

    scale, zero, *slopes = terms.values()
    extras = [against(scale), against(zero)]
    if slopes:
        places = (xr.Variable(d, stack[d].values.astype(np.float64)) for d in slope_names(stack, dim).values())
        by_row, by_column = (slope * place for slope, place in zip(slopes, places, strict=True))
        extras = [against(scale), against(zero + by_row), against(by_column)]
    return arrays.map_over_frames(
        partial(_levelled, dtype=dtype), frames_first(stack, dim), *extras, reduce=False, dtype=dtype
    )


def _levelled(x: Any, scale: Any, zero: Any, by_column: Any = None, *, dtype: np.dtype[Any]) -> Any:
    shifted = x * scale - (zero if by_column is None else zero + by_column)
    return shifted.astype(dtype, copy=False)


def _kept(stack: xr.DataArray, dim: Hashable, found: dict[str, xr.Variable]) -> dict[str, xr.Variable]:
    """The coordinates ``scale`` and ``zero``: all normalisation since the file was read, with this step."""
    names = ["zero", *slope_names(stack, dim)]
    coords = {k: stack.coords[k].variable for k in ("scale", *names) if k in stack.coords}
    kept = {k: xr.Variable(v.dims, v.data) for k, v in coords.items() if dim in v.dims and not {"y", "x"} & set(v.dims)}
    if not {"scale", "zero"} <= set(kept):
        return found
    # y = s (s0 x - z0) - z
    before = {k: found["scale"] * kept[k] for k in names if k in kept}
    after = {k: v for k, v in found.items() if k != "scale"}
    both = {k: before[k] + after[k] if k in before and k in after else (before | after)[k] for k in before | after}
    return both | {"scale": found["scale"] * kept["scale"]}


def _light(stack: xr.DataArray, dim: Hashable, scale: Any, to: str | float) -> dict[str, Any]:
    """The coordinate with the exposure time that matches each frame's new level."""
    found = None if scale is None else scaled_exposure(stack, dim, to)
    notes = {"long_name": "exposure time whose light a frame shows", "units": "s"}
    return {} if found is None else {SCALED: (dim, found, notes)}


def _errors(stack: xr.DataArray, dim: Hashable, scale: xr.Variable) -> dict[str, xr.Variable]:
    """Uncertainties, and the label of each frame's noise, of the scaled samples."""
    made: dict[str, xr.Variable] = {}
    label = stack.coords.get("noise")
    if label is not None and label.dims == (dim,) and scale.dims == (dim,):
        made["noise"] = abs(scale) * label.variable
        made["noise"].attrs = dict(label.attrs)
    for name in ERRORS:
        known = stack.coords.get(map_name(stack.name, name))
        if known is None or set(known.dims) != set(stack.dims):
            continue
        power = KINDS[known.attrs.get("uncertainty_type", "std")].power
        order = [dim, *(d for d in stack.dims if d != dim)]
        present = scale.transpose(*(d for d in order if d in scale.dims))
        factor = abs(present.data.reshape([present.sizes.get(d, 1) for d in order])) ** power
        found = known.transpose(*stack.dims)
        dtype = float_dtype(found.dtype)
        run = partial(_levelled, dtype=dtype)
        data = arrays.map_over_frames(
            run, frames_first(found, dim), factor, np.zeros_like(factor), reduce=False, dtype=dtype
        )
        made[str(known.name)] = copy_with(found, dim, data).variable
    return made


def _is_level(scale: Any) -> bool:
    return scale is None or (isinstance(scale, str) and scale in LEVELS)
