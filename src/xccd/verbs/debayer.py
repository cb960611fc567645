"""`debayer`: raw frames of a colour camera as red, green and blue at every pixel."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, mosaic
from xccd.compute.colours import coloured
from xccd.headers.colour_axis import CHANNEL, OF_PIXEL, PATTERN, coordinate, doubled
from xccd.headers.uncertainties import KINDS
from xccd.kernels.limits import float_dtype
from xccd.labels import calibration
from xccd.labels.apply import Obj
from xccd.labels.choices import DebayerMethod, Pattern
from xccd.labels.flags import apart, flags_of, map_name, not_taken, science_variables, with_maps
from xccd.labels.frames import add_history, check_stack, step_text
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.labels.nodes import map_nodes
from xccd.labels.warn import _WarningsOnce
from xccd.messages import called, did_you_mean
from xccd.verbs.bayer_pattern import PATTERNS, colours_of, pattern_of
from xccd.verbs.calibrate.keywords import kind_of_stack
from xccd.verbs.calibrate.samples import error_of, variance_of

METHODS = tuple(mosaic.REACH)
DIMS = ("frame", CHANNEL, "y", "x")
SKIPPED = ("bias", "dark", "flat")  # nodes of a tree that stay as they are


def debayer(stack: Obj, method: DebayerMethod = "bilinear", *, pattern: Pattern | None = None) -> Obj:
    """Make red, green and blue images of raw frames of a colour camera, after calibration.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Raw frames (frame, y, x), not aligned. Nodes of a tree with bias, dark or flat frames stay as they are.
    method : {"bilinear", "superpixel", "vng"}, default: "bilinear"
        "bilinear": the mean of the nearest samples of a colour. "superpixel": each 2 x 2 samples become one pixel,
        whose green is the mean of two: nothing is interpolated, and the image has half the size. "vng": the mean
        differences of colours in the directions in which the frame changes least; sharper, and not linear.
    pattern : {"RGGB", "BGGR", "GRBG", "GBRG"}, optional
        The colours of the first 2 x 2 pixels of a file as they are stored, row by row. Default: BAYERPAT of the
        headers, moved by XBAYROFF and YBAYROFF. A crop of the stack keeps the colours of its pixels.

    Returns
    -------
    DataArray, Dataset or DataTree
        Dimensions (frame, channel, y, x), with the coordinate ``channel`` = R, G, B. Lazy if the stack is. The label
        DEBAYER has the method; products and `header` have it as a card, and have no BAYERPAT.

    Raises
    ------
    ValueError
        The method or the pattern is unknown; the stack has other dimensions, fewer than 2 x 2 pixels, or gaps between
        them; a pattern that is missing or ambiguous, as for `bayer_planes`; the frames are aligned or have colours.
    TypeError
        ``stack`` is no xarray object.

    See Also
    --------
    bayer_planes : the samples of each colour as they are, for drizzle

    Notes
    -----
    A missing sample stays missing in its own colour: no value takes its place. Values of other pixels are made of the
    samples that are left; without any they are missing. Where one of the 25 samples that "vng" looks at is missing, the
    value is that of "bilinear". Samples beyond the edge of the frame count as missing.

    In a flagged Dataset a value that could be made of samples without flags has no flag. Else it is made of all, and
    has all their flags. Uncertainties follow from the weights of the samples, for "vng" those of the directions it
    chose. Neighbours share samples, so their errors are not independent: a mean over an area is worse than it looks.

    "superpixel" leaves out an odd last row or column. Pixel numbers are those of the centres of the blocks, as 0.5 and
    2.5, from which the WCS follows. Binning and pixel size are doubled in headers.

    "vng" is the method with a variable number of gradients (Chang, Cheung and Pang 1999, Proc. SPIE 3650, 36), with its
    thresholds 1.5 and 0.5.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> mosaic = np.array([[1.0, 2.0, 1.0, 2.0], [2.0, 3.0, 2.0, 3.0]])
    >>> stack = xccd.open_stack([(mosaic, {"BAYERPAT": "RGGB"})])
    >>> colours = stack.ccd.debayer()
    >>> colours.sizes["channel"], colours.sel(channel="B").values.tolist()
    (3, [[[3.0, 3.0, 3.0, 3.0], [3.0, 3.0, 3.0, 3.0]]])
    >>> stack.ccd.debayer("superpixel").sel(channel="G").values.tolist()
    [[[2.0, 2.0]]]
    """
    if not isinstance(method, str) or method not in METHODS:
        near = f"; a pattern is given as pattern={method!r}" if method in PATTERNS else did_you_mean(method, METHODS)
        raise ValueError(f"method={called(method)} is unknown: use one of {', '.join(METHODS)}{near}")
    run = partial(_debayer, method=method, pattern=pattern)
    if isinstance(stack, xr.DataArray):
        return run(stack)
    if isinstance(stack, xr.Dataset):
        with _WarningsOnce():
            return _of_dataset(stack, run)
    if isinstance(stack, xr.DataTree):
        with _WarningsOnce():
            return map_nodes(
                partial(_of_dataset, run=run), stack, _is_concerned, "raw frames that are no bias, dark or flat"
            )
    raise not_taken("debayer()", stack, "debayer takes a DataArray, a Dataset or a DataTree, not")


def _is_concerned(ds: xr.Dataset) -> bool:
    has_frames = any("frame" in v.dims for v in ds.data_vars.values())
    return has_frames and any(kind_of_stack(ds[name], "frame") not in SKIPPED for name in _stacks(ds))


def _stacks(ds: xr.Dataset) -> list[Hashable]:
    """The variables with frames, without tables of them."""
    every = science_variables(ds, "frame")
    return [name for name in every if ds[name].ndim > 1] or every


def _of_dataset(ds: xr.Dataset, run: Any) -> xr.Dataset:
    """All stacks of a Dataset with their maps; other variables of their pixels would not fit, and are refused."""
    done: dict[Hashable, xr.DataArray] = {}
    for name in _stacks(ds):
        done |= apart(run(with_maps(ds, name)), name)
    rest = {k: v for k, v in ds.data_vars.items() if k not in done}
    if odd := [k for k, v in rest.items() if {"y", "x"} & set(v.dims)]:
        raise ValueError(
            f"debayer does not know what {odd[0]!r} of this Dataset is: drop_vars({odd[0]!r}), or join it after"
        )
    made = xr.Dataset(done, attrs=ds.attrs)
    return made.assign(rest) if rest else made


def _debayer(stack: xr.DataArray, *, method: str, pattern: Any) -> xr.DataArray:
    _check(stack)
    stack = stack.transpose("frame", "y", "x")
    red = np.argwhere(colours_of(stack[:, :2, :2], pattern).values == "R")[0]
    how = mosaic.Mosaic(method, int(red[0]), int(red[1]))
    x, flags = array_of(stack), flags_of(stack)
    given = [x, None if flags is None else array_of(flags)]
    data = _run(mosaic.values_of, how, given, float_dtype(stack.dtype))
    coords = _labels(stack, how)
    if flags is not None:
        bits = _run(mosaic.flags_of, how, given, flags.dtype)
        coords[flags.name] = (DIMS, as_lazy_indexed(bits), dict(flags.attrs))
    coords |= _errors(stack, how, given)
    attrs = {k: doubled(v) if how.step > 1 and k in OF_PIXEL else v for k, v in stack.attrs.items() if k not in PATTERN}
    made = xr.DataArray(as_lazy_indexed(data), dims=DIMS, coords=coords, attrs=attrs, name=stack.name)
    made = calibration.noted(made, "frame", "DEBAYER", method)
    return add_history(made, step_text("debayer", method=method, pattern=pattern_of(stack, pattern)))


def _run(function: Any, how: mosaic.Mosaic, given: list[Any], dtype: Any) -> Any:
    """`coloured` with the inputs that there are; others are None."""
    here = [one is not None for one in given]
    return coloured(partial(_with_none, function=function, here=here), how, [g for g in given if g is not None], dtype)


def _with_none(*tiles: Any, function: Any, here: list[bool], how: mosaic.Mosaic) -> Any:
    found = iter(tiles)
    return function(*(next(found) if is_here else None for is_here in here), how)


def _errors(stack: xr.DataArray, how: mosaic.Mosaic, given: list[Any]) -> dict[Hashable, Any]:
    """Uncertainties, and the part of them that all frames share: both are independent from pixel to pixel."""
    found: dict[Hashable, Any] = {}
    for kind in ("uncertainty", "common"):
        name = map_name(stack.name, kind)
        if name not in stack.coords:
            continue
        known = stack.coords[name].transpose(*stack.dims)
        power, dtype = KINDS[known.attrs.get("uncertainty_type", "std")].power, float_dtype(known.dtype)
        variance = arrays.map_elementwise(partial(_variance, power=power), array_of(known), dtype=np.dtype(float))
        made = _run(mosaic.variances_of, how, [*given, variance], np.dtype(float))
        error = arrays.map_elementwise(partial(_error, power=power, dtype=dtype), made, dtype=dtype)
        found[name] = (DIMS, as_lazy_indexed(error), dict(known.attrs))
    return found


def _variance(error: Any, *, power: int) -> Any:
    with np.errstate(all="ignore"):
        return variance_of(error, power)


def _error(variance: Any, *, power: int, dtype: Any) -> Any:
    with np.errstate(all="ignore"):  # an inverse variance of 0 is an infinite error
        return error_of(variance, power).astype(dtype, copy=False)


def _check(stack: xr.DataArray) -> None:
    if set(stack.dims) == {"y", "x"}:
        raise ValueError("debayer takes frames (frame, y, x), this is one image: open its file with open_stack")
    check_stack(stack, "frame", fixed=True)
    if CHANNEL in stack.dims:
        raise ValueError(f"these frames have colours already, {dict(stack.sizes)}: debayer takes raw frames")
    if set(stack.dims) != {"frame", "y", "x"}:
        raise ValueError(f"debayer takes frames (frame, y, x), this stack has {dict(stack.sizes)}")
    if min(stack.sizes["y"], stack.sizes["x"]) < 2:
        raise ValueError(f"debayer needs 2 x 2 pixels or more, this stack has {dict(stack.sizes)}")
    for name in ("y", "x"):
        numbers = stack.coords[name].values if name in stack.coords else np.arange(2)
        if numbers.dtype.kind not in "iuf" or (np.diff(numbers) != 1).any():
            raise ValueError(
                f"the coordinate {name!r} runs {numbers[:3].tolist()}...: debayer needs all pixels between the first "
                "and the last, in their order. Take every second one after it"
            )


def _labels(stack: xr.DataArray, how: mosaic.Mosaic) -> dict[Hashable, Any]:
    """The coordinates of the frames and of the new pixels; those of pixels stay if these do."""
    maps = {map_name(stack.name, kind) for kind in ("flags", "uncertainty", "common")}
    changed = {"y", "x"} if how.step > 1 else set()
    found: dict[Hashable, Any] = {
        k: c.variable for k, c in stack.coords.items() if not changed & set(c.dims) and k not in maps | PATTERN
    }
    if how.step > 1:
        for k in OF_PIXEL & set(map(str, found)):
            old = found[k]
            values = np.array([doubled(v) for v in old.values.reshape(-1).tolist()], old.dtype).reshape(old.shape)
            found[k] = xr.Variable(old.dims, values, old.attrs)
    for name in ("y", "x"):
        if name not in stack.coords:
            continue
        old = stack.coords[name].variable
        first = old.values[: old.size // how.step * how.step : how.step]
        found[name] = old if how.step == 1 else xr.Variable(name, first + 0.5, old.attrs)
    return found | {CHANNEL: (CHANNEL, coordinate())}
