"""`align`: frames on one grid of the sky."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, notes, options
from xccd.headers import cards, common
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import apart, attributes, flags_of, map_name, science_variables, with_maps
from xccd.labels.frames import add_history, check_stack, frame_names, step_text
from xccd.labels.joined import joined
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.labels.mixed import check_alike, without_order
from xccd.labels.nodes import map_nodes
from xccd.labels.warn import warn
from xccd.messages import did_you_mean
from xccd.sky import gather
from xccd.sky.canvas import Canvas, canvas_of
from xccd.sky.gather import Resampling
from xccd.sky.grid import Grid, grids_of
from xccd.sky.pixel_map import PixelMap, moved, pixel_map
from xccd.sky.placed import model_of, placed
from xccd.sky.transform import whole_shift
from xccd.sky.union import union
from xccd.verbs.align_units import check_alike_units, check_per_pixel
from xccd.verbs.find_transforms import find_named

METHODS = ("interp", "adaptive", "exact")
FLUX = ("surface brightness", "total")
APART = 10  # ratio of pixel sizes up to which there is no warning


def align(
    stack: Any,
    to: Any = None,
    *,
    method: str = "interp",
    order: str = "bilinear",
    flux: str = "surface brightness",
    offsets: Any = None,
    transforms: Any = None,
) -> Any:
    """Resample all frames to one grid, so that a pixel is the same position on the sky in each.

    A masked sample is never averaged into others: only good pixels have weight, and a pixel is masked if they have less
    than half of the total weight. Frames that differ from the grid by whole pixels are copied. If all frames are on the
    grid already, the samples stay as they are.

    Parameters
    ----------
    stack : DataArray, Dataset, DataTree, or a list of DataArrays or Datasets
        Frames (frame, y, x), each with a WCS, as `open_stack` returns them. If shapes differ, a list of stacks as
        `open_frames` returns it; they become one stack.
    to : Grid, WCS, Header, path, DataArray, Dataset, int or None, optional
        The grid, an object that has one, or the index of a frame. Default: the grid that holds all frames
        (`Grid.union`). With ``offsets`` or ``transforms``: "union" (the default), "intersection", or the index of a
        frame.
    method : {"interp", "adaptive", "exact"}, default: "interp"
        "interp" interpolates between pixels. "adaptive" uses reproject, with a kernel as wide as the larger of the two
        pixels; it is some hundred times slower and carries no uncertainties. "exact" is the mean over the exact
        overlaps of pixels, as quadrilaterals in the frame; with ``flux="total"`` no flux is lost.
    order : {"nearest", "bilinear", "bicubic", "lanczos3"}, default: "bilinear"
        Interpolation from 1, 2, 4 or 6 pixels along each axis. If one of 4 or 6 is missing, 2 are used.
    flux : {"surface brightness", "total"}, default: "surface brightness"
        What a pixel holds: a value per area, which does not change with the size of pixels, or a total flux, which is
        multiplied by the local ratio of areas.
    offsets : array-like, (str, str) or str, optional
        Align by offsets instead of the WCS: the rows and columns by which the first pixel of each frame is moved, as
        pairs (frames, 2) or the names of two coordinates on ``frame``. "wcs": from the WCS, rounded to whole pixels.
        "physical": from LTV. "grid 2 100 3 100": side by side in 2 columns 100 pixels apart and 3 rows 100 pixels
        apart. Whole-pixel offsets copy samples and interpolate nothing.
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
    Overlaps are integrals along the edges of quadrilaterals, by Green's theorem, in pixels of the frame.
    Bicubic is Keys (1981, IEEE Trans. ASSP 29, 1153) with a = -1/2.

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
    how = Resampling(method, order, flux)
    _check_arguments(how)
    if isinstance(stack, xr.DataTree):
        on_node = partial(align, to=to, offsets=offsets, transforms=transforms, **how._asdict())
        return map_nodes(on_node, stack, _is_stack, "a variable with the dimension 'frame'")
    stacks = list(stack) if isinstance(stack, list | tuple) else [stack]
    kinds = {type(s) for s in stacks}
    if not stacks or not (kinds <= {xr.DataArray} or kinds <= {xr.Dataset}):
        raise TypeError(
            f"align takes a DataArray, a Dataset, a DataTree, or a list of DataArrays or of Datasets, not "
            f"{', '.join(sorted(k.__name__ for k in kinds)) or 'an empty list'}"
        )
    by = find_named(stack, transforms, to, offsets)
    if kinds == {xr.DataArray}:
        return _align(stacks, to, how, offsets, by)
    names = science_variables(stacks[0], "frame")
    done: dict[Any, xr.DataArray] = {}
    for name in names:
        done |= apart(_align([with_maps(ds, name) for ds in stacks], to, how, offsets, by), name)
    rest = {k: v for k, v in stacks[0].data_vars.items() if not {"frame", "y", "x"} & set(v.dims)}
    return xr.Dataset({**done, **rest}, attrs=stacks[0].attrs)


def _is_stack(ds: xr.Dataset) -> bool:
    return any("frame" in v.dims for v in ds.data_vars.values())


def _check_arguments(how: Resampling) -> None:
    method, order, flux = how
    if method not in METHODS:
        near = did_you_mean(method, METHODS)
        raise ValueError(f"method={method!r} is unknown: use one of {', '.join(METHODS)}{near}")
    if method != "interp" and order != "bilinear":
        raise ValueError(f"order={order!r} with method={method!r}: order goes with 'interp'")
    if method == "adaptive" and find_spec("reproject") is None:
        raise ImportError(f"method={method!r} needs reproject: pip install 'xccd[align]'")
    if order not in gather.ORDERS:
        near = did_you_mean(order, gather.ORDERS)
        raise ValueError(f"order={order!r} is unknown: use one of {', '.join(gather.ORDERS)}{near}")
    if flux not in FLUX:
        near = did_you_mean(flux, FLUX)
        raise ValueError(f"flux={flux!r} is unknown: use 'surface brightness' or 'total'{near}")


def _align(stacks: list[xr.DataArray], to: Any, how: Resampling, offsets: Any, by: Any) -> xr.DataArray:
    for stack in stacks:
        check_stack(stack, "frame")
        if set(stack.dims) != {"frame", "y", "x"}:
            raise ValueError(f"align takes frames (frame, y, x), this stack has {dict(stack.sizes)}")
    stacks = [stack.transpose("frame", "y", "x") for stack in stacks]
    check_alike_units(stacks)
    if how.flux == "total":
        check_per_pixel(stacks)
    step = step_text("align", to=_target_in_history(to), **how._asdict(), offsets=offsets)
    if offsets is not None:
        if how.method != "interp":
            raise ValueError(f"method={how.method!r} with offsets=: frames at offsets are copied, or interpolated")
        for other in stacks:
            check_alike("a stack", other, stacks[0])
        return _on_canvas(stacks, canvas_of(stacks, offsets, to), how, step)
    if by is not None:
        for other in stacks:
            check_alike("a stack", other, stacks[0])
        at = placed(stacks, by, to)
        upright = [without_order(stack) for stack in stacks] if at.grid else stacks
        step = step_text("align", to=_target_in_history(to), **how._asdict(), transforms=model_of(by))
        return _result(upright, at.maps, at.shape, at.sources, at.grid, how, step).assign_coords(at.labels)
    grids = [grids_of(stack) for stack in stacks]
    grid = _target(to, stacks, grids)
    if len(stacks) == 1 and all(g.shape == grid.shape and whole_shift(g, grid) == (0, 0) for g in grids[0]):
        return _in_place(stacks[0], [_text_of_grid(g) for g in grids[0]])  # nothing is resampled: the dtype stays
    maps = _maps_to_target(grids, grid, corners=how.method == "exact")
    if all(m.box[0] == m.box[1] for some in maps for m in some):
        raise ValueError(_apart([g for some in grids for g in some], grid))
    _check_scales(grids, stacks, grid)
    sources = [[_text_of_grid(g) for g in some] for some in grids]
    if grid.tables:
        raise ValueError("to= is distorted by tables, which a header cannot hold: give a grid without them")
    upright = [without_order(stack) for stack in stacks]  # rows now run as in the grid
    return _result(upright, maps, grid.shape, sources, grid, how, step)


def _target(to: Any, stacks: list[xr.DataArray], grids: list[list[Grid]]) -> Grid:
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


def _maps_to_target(grids: list[list[Grid]], grid: Grid, *, corners: bool) -> list[list[PixelMap]]:
    """A map for each frame. Frames with the same grid share one."""
    known: dict[Grid, PixelMap] = {}
    for g in (g for some in grids for g in some):
        if g not in known:
            known[g] = pixel_map(g, grid, corners=corners)
    return [[known[g] for g in some] for some in grids]


def _apart(grids: list[Grid], grid: Grid) -> str:
    from astropy.coordinates import SkyCoord

    there = SkyCoord(*grid.center, unit="deg", frame=grid.frame)
    away = min(SkyCoord(*g.center, unit="deg", frame=g.frame).separation(there).deg for g in grids)
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


def _on_canvas(stacks: list[xr.DataArray], canvas: Canvas, how: Resampling, step: str) -> xr.DataArray:
    """The frames at offsets on a canvas, with the WCS of the first frame if it has one."""
    maps, sources, n = [], [], 0
    for stack in stacks:
        shape = (stack.sizes["y"], stack.sizes["x"])
        some = [tuple(float(v) for v in by) for by in canvas.origins[n : n + stack.sizes["frame"]]]
        maps.append([moved(shape, canvas.shape, (by[0], by[1])) for by in some])
        sources.append([_moved_lines(shape, by) for by in some])
        n += stack.sizes["frame"]
    return _result(stacks, maps, canvas.shape, sources, canvas.grid, how, step)


def _in_place(stack: xr.DataArray, sources: list[str]) -> xr.DataArray:
    """Frames that are on the grid already, with the coordinates of aligned frames."""
    labels = {"align_error": np.zeros(len(sources)), "aligned_from": np.array(sources, object)}
    return stack.assign_coords({name: ("frame", values) for name, values in labels.items()})


def _text_of_grid(grid: Grid) -> str:
    return "\n".join(grid.lines)


def _moved_lines(shape: tuple[int, int], by: Sequence[float]) -> str:
    """Like `_text_of_grid`, for a frame that is aligned by an offset."""
    return "\n".join([*_size_cards(shape), cards.make("OFFSET1", float(by[1])), cards.make("OFFSET2", float(by[0]))])


def _size_cards(shape: tuple[int, int]) -> list[str]:
    return [cards.make(f"NAXIS{k}", n) for k, n in enumerate(shape[::-1], 1)]


def _result(
    stacks: list[xr.DataArray], maps: list[list[PixelMap]], shape: tuple[int, int], sources: list[list[str]],
    grid: Grid | None, how: Resampling, step: str,
) -> xr.DataArray:  # fmt: skip
    """The frames resampled by their maps, with new coordinates."""
    frames = [_source(stack) for stack in stacks]
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
    dtype = np.result_type(*(float_dtype(s.dtype) for s in stacks))
    plan = gather.AlignmentPlan(
        tuple(tuple(some) for some in maps), shape, gather.ORDERS[how.order], how.flux == "total",
        (dtype, np.dtype(np.uint8), dtype)[: parts.pop()], _kind(stacks), how.method,
    )  # fmt: skip
    _check_size(frames, plan)
    data, *more = gather.aligned(frames, plan)
    if all(m.shift is not None for some in maps for m in some):  # whole pixels are copied
        origins = {notes.origin_of_samples(f.x) for f in frames}
        notes.mark(data, origins.pop() if len(origins) == 1 else "")
    dims = ("frame", "y", "x")
    lies_on = "\n".join(grid.lines if grid is not None else _size_cards(shape))
    coords = joined(stacks) | {
        common.ALIGNED_TO: ("frame", np.array([lies_on] * plan.frames, object)),
        "align_error": ("frame", np.array([m.error for some in maps for m in some])),
        "aligned_from": ("frame", np.array([text for some in sources for text in some], object)),
    }
    for name, size in zip(dims[1:], shape, strict=True):
        attrs = {"long_name": f"pixel of the grid along {name}, 0-based", "numbered": common.ON_GRID}
        coords[name] = (name, np.arange(size), attrs)
    for kind, array in zip(("flags", "uncertainty"), more, strict=False):
        name = map_name(stacks[0].name, kind)
        attrs = attributes() if kind == "flags" else dict(stacks[0].coords[name].attrs)
        coords[name] = (dims, as_lazy_indexed(array), attrs)
    attrs = {k: v for k, v in stacks[0].attrs.items() if all(s.attrs.get(k) == v for s in stacks)}
    made = xr.DataArray(as_lazy_indexed(data), dims=dims, coords=coords, attrs=attrs, name=stacks[0].name)
    return add_history(made, step)


def _source(stack: xr.DataArray) -> gather.Source:
    flags = flags_of(stack)
    error = stack.coords.get(map_name(stack.name, "uncertainty"))
    if error is not None and flags is None:
        raise ValueError("this stack has uncertainties but no flags: use to_dataset(uncertainty=)")
    rest = [None if c is None else array_of(c.transpose(*stack.dims)) for c in (flags, error)]
    return gather.Source(array_of(stack), *rest)


def _kind(stacks: list[xr.DataArray]) -> str:
    """The type of the uncertainties."""
    errors = [s.coords.get(map_name(s.name, "uncertainty")) for s in stacks]
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
