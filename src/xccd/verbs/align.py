"""`align`: frames on one grid of the sky."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, overload

import numpy as np
import xarray as xr

from xccd.compute import arrays, notes, options
from xccd.headers import common
from xccd.headers.colour_axis import CHANNEL
from xccd.headers.texts import as_texts
from xccd.headers.uncertainties import KINDS
from xccd.kernels.limits import float_dtype
from xccd.labels.apply import Image, Obj
from xccd.labels.choices import AlignMethod, Drop, Flux, Order
from xccd.labels.flags import apart, attributes, flags_of, map_name, with_maps
from xccd.labels.frames import add_history, check_stack, step_text
from xccd.labels.joined import joined
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.labels.mixed import check_alike, without_order
from xccd.labels.nodes import has_frames, map_nodes
from xccd.sky import drizzle, gather, shared
from xccd.sky.gather import Resampling
from xccd.sky.grid import Grid
from xccd.sky.placed import Placed
from xccd.verbs import resampling
from xccd.verbs.align_units import check_alike_units, check_per_pixel
from xccd.verbs.by_plane import by_plane, plane_dim
from xccd.verbs.find_transforms import find_named
from xccd.verbs.placing import Where, place, size_cards, target_of_planes


@overload
def align(
    stack: Obj,
    to: Any = ...,
    *,
    method: AlignMethod = ...,
    order: Order = ...,
    flux: Flux = ...,
    pixfrac: float = ...,
    kernel: Drop = ...,
    offsets: Any = ...,
    rate: Any = ...,
    ephemeris: Any = ...,
    transforms: Any = ...,
) -> Obj: ...
@overload
def align(
    stack: Sequence[Image],
    to: Any = ...,
    *,
    method: AlignMethod = ...,
    order: Order = ...,
    flux: Flux = ...,
    pixfrac: float = ...,
    kernel: Drop = ...,
    offsets: Any = ...,
    rate: Any = ...,
    ephemeris: Any = ...,
    transforms: Any = ...,
) -> Image: ...
def align(
    stack: Any,
    to: Any = None,
    *,
    method: AlignMethod = "interp",
    order: Order = "bilinear",
    flux: Flux = "surface brightness",
    pixfrac: float = 1.0,
    kernel: Drop = "square",
    offsets: Any = None,
    rate: Any = None,
    ephemeris: Any = None,
    transforms: Any = None,
) -> Any:
    """Resample all frames to one grid, so that a pixel is the same position on the sky in each.

    A masked sample is never averaged into others: only good pixels have weight, and a pixel is masked if they have less
    than half of the total weight. Frames that differ from the grid by whole pixels are copied. If all frames are on the
    grid already, the samples stay as they are.

    Parameters
    ----------
    stack : DataArray, Dataset, DataTree, or a list of DataArrays or Datasets
        Frames (frame, y, x), each with a WCS, as `open_stack` returns them. Cubes (frame, z, y, x), and colours (frame,
        channel, y, x), are aligned plane by plane, to one grid. If shapes differ, a list of stacks as
        `open_frames` returns it; they become one stack.
    to : Grid, WCS, Header, path, DataArray, Dataset, int or None, optional
        The grid, an object that has one, or the index of a frame. Default: the grid that holds all frames
        (`Grid.union`). With ``offsets`` or ``transforms``: "union" (the default), "intersection", or the index of a
        frame.
    method : {"interp", "adaptive", "exact", "drizzle"}, default: "interp"
        "interp" interpolates between pixels. "adaptive" uses reproject, with a kernel as wide as the larger of the two
        pixels; it is some hundred times slower and carries no uncertainties. "exact" is the mean over the exact
        overlaps of pixels, as quadrilaterals in the frame; with ``flux="total"`` no flux is lost. "drizzle" shrinks
        pixels to drops, which fall on the grid; combine them with ``weights="drizzle"``.
    order : {"nearest", "bilinear", "bicubic", "lanczos3"}, default: "bilinear"
        Interpolation from 1, 2, 4 or 6 pixels along each axis. If one of 4 or 6 is missing, 2 are used.
    flux : {"surface brightness", "total"}, default: "surface brightness"
        What a pixel holds: a value per area, which does not change with the size of pixels, or a total flux, which is
        multiplied by the local ratio of areas.
    pixfrac : float, default: 1.0
        For "drizzle": the side of a drop in pixels of the frame, above 0 and up to 1; of a Gaussian, its full width at
        half maximum.
    kernel : {"square", "point", "gaussian"}, default: "square"
        For "drizzle": the shape of a drop. A "square" gives each pixel the part that falls on it, a "point" falls on
        one pixel. Neither loses flux. A "gaussian" counts with its height at the centre of each pixel.
    offsets : array-like, (str, str) or str, optional
        Align by offsets instead of the WCS: the rows and columns by which the first pixel of each frame is moved, as
        pairs (frames, 2) or the names of two coordinates on ``frame``. "wcs": from the WCS, rounded to whole pixels.
        "physical": from LTV. "grid 2 100 3 100": side by side in 2 columns 100 pixels apart and 3 rows 100 pixels
        apart. Whole-pixel offsets copy samples and interpolate nothing.
    rate : (float, float), optional
        Follow a comet or an asteroid, so that it stands still and the stars trail: its motion in RA times cos(Dec) and
        in Dec, in arcseconds an hour, as Horizons prints them (RA*cosD, d(DEC)/dt). It starts at the centre of the
        first frame, or of frame ``to``.
    ephemeris : table, optional
        The same with positions: an astropy Table, DataFrame, Dataset or dict with a column "time" (UTC), "jd",
        "datetime_jd" or "mjd", and "ra" and "dec" in ICRS degrees ("RA" and "DEC" of Horizons). Positions between its
        rows follow cubics.
    transforms : {"similarity", "affine"}, Dataset or array-like (frame, 2, 3), optional
        Align by shift, turn and scale instead of the WCS: the result of `find_transforms`, matrices from a frame's
        pixels to the reference's, or a model, for which the frames are read at once. ``to`` as with ``offsets``.

    Returns
    -------
    DataArray, Dataset or DataTree
        Frames (frame, y, x) on the grid, float32 or float64; lazy if a stack is lazy. Pixels that a frame does not
        reach are NaN, and have the flag 128 in a flagged Dataset. New coordinates on ``frame``: ``aligned_to``, the
        grid, whose WCS headers now have (the coordinate ``header`` keeps the file's text); ``align_error``, the largest
        error of positions compared with the WCS, in pixels; ``aligned_from``, the grid of the frame before, from which
        ``weights="footprint"`` and ``"feather"`` of `combine` are computed; ``residual`` and ``stars_matched`` of
        ``transforms``. With offsets and transforms the WCS is that of the first frame, or the reference, if it has one.
        Drizzled frames also have the coordinate ``drizzle_weight`` (frame, y, x), float32: the sum of the shares of the
        drops that fell on a pixel.

    Raises
    ------
    ValueError
        A frame has no WCS, or one that is not celestial, singular or absurd; no frame lies on the grid; the grid is
        larger than memory; ``flux="total"`` with data per area; the stacks have several units or, with offsets,
        several ROWORDER; an argument is unknown.
    TypeError
        ``stack`` is not a stack, or ``to`` has no grid.
    OSError
        ``to`` is a file that cannot be read.

    Notes
    -----
    Positions are cubics through nodes up to 256 pixels apart, compared with both WCS at 400 random pixels. Nodes move
    closer until both agree to 0.001 pixel. If no spacing is close enough, the WCS is evaluated for each pixel.
    Errors are propagated with the squared weights. Neighbouring pixels of an aligned frame have correlated errors.
    ``data_common``, the part that all frames share, is propagated too. Frames share it where they bring the same pixels
    of the detector together. So it is multiplied by the root of the part that two frames share on average, which is
    its attribute ``share_after_align``: 1 for equal shifts, 0 if all frames lie some pixels apart.
    Overlaps are integrals along the edges of quadrilaterals, by Green's theorem, in pixels of the frame.
    Bicubic is Keys (1981, IEEE Trans. ASSP 29, 1153) with a = -1/2. Drizzle is Fruchter and Hook (2002, PASP 114, 144),
    without a least weight; a share below 1e-9 of a drop is none, and on a seam of the sky nothing falls.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> cards = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0, "CRVAL2": 20.0,
    ...          "CRPIX2": 1.0, "CDELT1": -1e-4, "CDELT2": 1e-4}
    >>> stack = xccd.open_stack([(np.array([[1.0, 2.0, 3.0]]), cards | {"CRPIX1": x}) for x in (1.0, 2.0)])
    >>> aligned = stack.ccd.align(0)
    >>> aligned.values.tolist()
    [[[1.0, 2.0, 3.0]], [[2.0, 3.0, nan]]]
    >>> stack.ccd.align().sizes["x"]
    4
    """
    how = Resampling(method, order, flux, pixfrac, kernel)
    resampling.check(how)
    where = Where(offsets, transforms, rate, ephemeris)
    where.check()
    if isinstance(stack, xr.DataTree):
        on_node = partial(align, to=to, **where._asdict(), **how._asdict())
        return map_nodes(on_node, stack, has_frames, "a variable with the dimension 'frame'")
    stacks = list(stack) if isinstance(stack, list | tuple) else [stack]
    kinds = {type(s) for s in stacks}
    if not stacks or not (kinds <= {xr.DataArray} or kinds <= {xr.Dataset}):
        raise TypeError(
            f"align takes a DataArray, a Dataset, a DataTree, or a list of DataArrays or of Datasets, not "
            f"{', '.join(sorted(k.__name__ for k in kinds)) or 'an empty list'}"
        )
    if (dim := plane_dim(stacks)) is not None:
        if dim == CHANNEL:
            where = where._replace(transforms=find_named(stack, transforms, to))
        return by_plane(
            partial(_each_stack, to=target_of_planes(stacks, dim, to, where), how=how, where=where), stacks, dim
        )
    return _each_stack(stacks, to, how, where._replace(transforms=find_named(stack, transforms, to)))


def _each_stack(stacks: list[Any], to: Any, how: Resampling, where: Where) -> Any:
    """`align` of DataArrays, or of Datasets, of images."""
    if isinstance(stacks[0], xr.DataArray):
        return _align(stacks, to, how, where)
    names = resampling.names_to_align(stacks[0], how)
    done: dict[Any, xr.DataArray] = {}
    for name in names:
        done |= apart(_align([with_maps(ds, name) for ds in stacks], to, how, where), name)
    rest = {k: v for k, v in stacks[0].data_vars.items() if not {"frame", "y", "x"} & set(v.dims)}
    return drizzle.merged({**done, **rest}).assign_attrs(stacks[0].attrs)


def _align(stacks: list[xr.DataArray], to: Any, how: Resampling, where: Where) -> xr.DataArray:
    for stack in stacks:
        check_stack(stack, "frame", fixed=True)
        if set(stack.dims) != {"frame", "y", "x"}:
            raise ValueError(
                f"align takes frames (frame, y, x), or cubes with one dimension more, this has {dict(stack.sizes)}"
            )
    stacks = [stack.transpose("frame", "y", "x") for stack in stacks]
    check_alike_units(stacks)
    if how.flux == "total":
        check_per_pixel(stacks)
    step = step_text("align", to=_target_in_history(to), **resampling.in_history(how), **where.in_history())
    if not where.by_wcs:
        if where.offsets is not None:
            resampling.check_offsets(how.method)
        for other in stacks:
            check_alike("a stack", other, stacks[0])
    at = place(stacks, to, where, corners=resampling.METHODS[how.method].corners, spread=resampling.spread_of(how))
    still = all(m.shape == at.shape and m.shift == (0, 0) for m in at.maps[0])
    if still and where.by_wcs and len(stacks) == 1 and not resampling.drops_of(how):
        return _in_place(stacks[0], at.sources[0])  # nothing is resampled: the dtype stays
    if at.grid is not None and at.grid.tables:
        raise ValueError("to= is distorted by tables, which a header cannot hold: give a grid without them")
    # rows now run as in the grid, if there is one
    upright = stacks if at.grid is None or where.offsets is not None else [without_order(stack) for stack in stacks]
    return _result(upright, at, how, step)


def _in_place(stack: xr.DataArray, sources: list[str]) -> xr.DataArray:
    """Frames that are on the grid already, with the coordinates of aligned frames."""
    labels = {"align_error": np.zeros(len(sources)), "aligned_from": as_texts(sources)}
    return stack.assign_coords({name: ("frame", values) for name, values in labels.items()})


def _result(stacks: list[xr.DataArray], at: Placed, how: Resampling, step: str) -> xr.DataArray:
    """The frames resampled by their maps, with new coordinates."""
    frames = [_source(stack) for stack in stacks]
    parts = _count_of_maps(stacks, frames, how)
    dtype = np.result_type(*(float_dtype(s.dtype) for s in stacks))
    if drops := resampling.drops_of(how):
        at = replace(at, maps=[[drizzle.spread_out(m, at.shape, drops) for m in some] for some in at.maps])
    maps = [m for some in at.maps for m in some]
    dtypes = (dtype, np.dtype(np.uint8), dtype)[:parts] + ((drizzle.WEIGHT_DTYPE,) if drops else ())
    plan = gather.AlignmentPlan(
        tuple(tuple(some) for some in at.maps), at.shape, gather.ORDERS[how.order], how.flux == "total",
        dtypes, _kind(stacks), how.method, drops,
    )  # fmt: skip
    _check_size(frames, plan)
    data, *more = gather.aligned(frames, plan)
    if all(m.shift is not None for m in maps):  # whole pixels are copied
        origins = {notes.origin_of_samples(f.x) for f in frames}
        notes.mark(data, origins.pop() if len(origins) == 1 else "")
    dims = ("frame", "y", "x")
    lies_on = "\n".join(at.grid.lines if at.grid is not None else size_cards(at.shape))
    coords = (
        joined(stacks)
        | at.labels
        | {
            common.ALIGNED_TO: ("frame", as_texts([lies_on] * plan.frames)),
            "align_error": ("frame", np.array([m.error for m in maps])),
            "aligned_from": ("frame", as_texts(text for some in at.sources for text in some)),
        }
    )
    for name, size in zip(dims[1:], at.shape, strict=True):
        attrs = {"long_name": f"pixel of the grid along {name}, 0-based", "numbered": common.ON_GRID}
        coords[name] = (name, np.arange(size), attrs)
    if drops:
        coords[drizzle.WEIGHT] = (dims, as_lazy_indexed(more.pop()), drizzle.ATTRIBUTES)
    for kind, array in zip(("flags", "uncertainty"), more, strict=False):
        name = map_name(stacks[0].name, kind)
        attrs = attributes() if kind == "flags" else dict(stacks[0].coords[name].attrs)
        coords[name] = (dims, as_lazy_indexed(array), attrs)
    coords |= _common(stacks, plan)
    attrs = {k: v for k, v in stacks[0].attrs.items() if all(s.attrs.get(k) == v for s in stacks)}
    made = xr.DataArray(as_lazy_indexed(data), dims=dims, coords=coords, attrs=attrs, name=stacks[0].name)
    return add_history(made, step)


def _count_of_maps(stacks: list[xr.DataArray], frames: list[gather.Source], how: Resampling) -> int:
    """The count of arrays of each stack: samples, flags, uncertainties. Raises if they differ, or cannot be carried."""
    parts = {len(f.arrays) for f in frames}
    if len(parts) > 1:
        raise ValueError(
            "some of these stacks have flags or uncertainties and others do not: give them to all, or use to_stack()"
        )
    if how.method == "adaptive" and 3 in parts:
        raise ValueError(
            f"method={how.method!r} carries no uncertainties: use 'interp' or 'exact', or leave them out with "
            f"drop_vars({map_name(stacks[0].name, 'uncertainty')!r})"
        )
    return parts.pop()


def _source(stack: xr.DataArray, kind: str = "uncertainty") -> gather.Source:
    flags = flags_of(stack)
    error = stack.coords.get(map_name(stack.name, kind))
    if error is not None and flags is None:
        raise ValueError("this stack has uncertainties but no flags: use to_dataset(uncertainty=)")
    rest = [None if c is None else array_of(c.transpose(*stack.dims)) for c in (flags, error)]
    return gather.Source(array_of(stack), *rest)


def _common(stacks: list[xr.DataArray], plan: gather.AlignmentPlan) -> dict[str, Any]:
    """The part of the errors that all frames share, resampled as the errors are, where there is one.

    Frames that are shifted against each other share less of it: so much smaller it becomes.
    """
    name = map_name(stacks[0].name, "common")
    if not any(name in stack.coords for stack in stacks) or plan.given < 3:
        return {}
    if not all(name in stack.coords for stack in stacks):
        raise ValueError(f"some of these stacks have {name} and others do not: give it to all, or drop_vars({name!r})")
    maps = [one for some in plan.maps for one in some]
    corners = [(float(s["y"][0]), float(s["x"][0])) for s, some in zip(stacks, plan.maps, strict=True) for _ in some]
    taps = plan.taps if plan.method == "interp" else gather.ORDERS["bilinear"]  # as overlaps of equal pixels
    part, kind = shared.share(maps, plan.shape, corners, taps), _kind(stacks, "common")
    _, _, data, *_ = gather.aligned([_source(stack, "common") for stack in stacks], replace(plan, kind=kind))
    with np.errstate(divide="ignore"):  # an infinite inverse variance is no error
        factor = np.full((1, 1, 1), part) ** (KINDS[kind].power / 2)
    data = arrays.map_elementwise(partial(_times, dtype=plan.dtypes[2]), data, factor, dtype=plan.dtypes[2])
    attrs = dict(stacks[0].coords[name].attrs) | {shared.SHARE: round(part, 3)}
    return {name: (("frame", "y", "x"), as_lazy_indexed(data), attrs)}


def _times(x: Any, factor: Any, *, dtype: np.dtype[Any]) -> Any:
    return (x * factor).astype(dtype, copy=False)


def _kind(stacks: list[xr.DataArray], of: str = "uncertainty") -> str:
    """The type of the uncertainties."""
    errors = [s.coords.get(map_name(s.name, of)) for s in stacks]
    kinds = {str(e.attrs.get("uncertainty_type", "std")) for e in errors if e is not None}
    if len(kinds) > 1:
        raise ValueError(f"the stacks have uncertainties of types {', '.join(sorted(kinds))}: align one type at a time")
    return kinds.pop() if kinds else "std"


def _check_size(frames: list[gather.Source], plan: gather.AlignmentPlan) -> None:
    """Raise if the result does not fit into memory, before it is allocated."""
    rows, columns = plan.shape
    one = rows * columns * sum(d.itemsize for d in plan.dtypes)
    now = not any(arrays.is_lazy(f.x) for f in frames)
    size, limit = one * (plan.frames if now else 1), options.memory() or options.installed()
    if size > limit:
        raise ValueError(
            f"align would make {size / 1e9:.4g} GB ({plan.frames if now else 1} frame(s) of {rows} x {columns} "
            f"pixels), more than the {limit / 1e9:.4g} GB of memory: give a smaller grid as to="
            + (", or open the files lazily with open_stack" if now else "")
        )


def _target_in_history(to: Any) -> Any:
    """The argument ``to`` for HISTORY."""
    return to if to is None or isinstance(to, str | int) else repr(to) if isinstance(to, Grid) else type(to).__name__
