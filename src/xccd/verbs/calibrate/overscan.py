"""`subtract_overscan`: the level of each row, or column, from pixels that saw no light."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, notes
from xccd.kernels.flags import Flag
from xccd.labels import calibration
from xccd.labels.apply import Obj
from xccd.labels.choices import Axis, OverscanMethod
from xccd.labels.flags import flags_of
from xccd.labels.frames import add_history, check_array, step_text, unflagged
from xccd.labels.lazy import array_of
from xccd.messages import did_you_mean, is_whole
from xccd.verbs.calibrate import samples
from xccd.verbs.calibrate.checks import check_again
from xccd.verbs.calibrate.saturation import without_saturated
from xccd.verbs.calibrate.sections import part_of_frames
from xccd.write.product_cards import error_of_median

METHODS = ("median", "mean")


def subtract_overscan(
    obj: Obj,
    region: Any = None,
    *,
    method: OverscanMethod = "median",
    axis: Axis | None = None,
    smooth: int | None = None,
    window: int | None = None,
    saturation: Any = None,
    dim: Hashable = "frame",
) -> Obj:
    """Subtract the level of the overscan from frames, or from an image.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image.
    region : str, slice, tuple of slices or dict, optional
        The overscan: a section "[x1:x2,y1:y2]" of the file; a keyword that holds one; a slice of columns, or slices
        (y, x), by position; or a dict of slices of labels. Default: BIASSEC.
    method : {"median", "mean"}, default: "median"
        The level of a row of the region, from its pixels that are not masked.
    axis : {"x", "y"}, optional
        "x": the pixels of a row make one level, which is subtracted from the row. "y": those of a column. Default: the
        direction in which the region is shorter.
    smooth : int, optional
        The degree of a Legendre polynomial that is fitted to the levels of each frame, and subtracted in their place.
        It also reaches rows beyond the region.
    window : int, optional
        The odd count of rows of a running median of the levels. At the ends it has fewer rows.
    saturation : number, array or str, optional
        Samples at this value or above, before the subtraction, are saturated: they get the flag 8, or NaN. One number,
        one for each frame, or a keyword, as "SATURATE".
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        The same labels, lazy on dask; otherwise the levels are read now. Rows without a level are missing: NaN, or
        with the flag 1. The error of the level is part of ``data_uncertainty``, if there is one. The overscan stays
        until `trim`. The label OSCANSEC has the region; products and `header` have it as a card.

    Raises
    ------
    ValueError
        The region is no section and no keyword of the frames, differs between frames, reaches beyond the image, or
        holds no pixel; an argument is unknown, or ``smooth`` and ``window`` are both given.
    TypeError
        ``region`` is something else.

    Warns
    -----
    UserWarning
        An overscan was subtracted before.

    Notes
    -----
    The error of a level of n pixels is ``s / sqrt(n)``, for the median times its factor (1.25 for many). s is the
    deviation within rows of the region, of all rows of the frame together. A polynomial makes the error smaller by the
    root of its leverage, and a running median of w levels by ``sqrt(w)`` over the factor of the median.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> raw = xccd.open_stack([(np.array([[9, 10, 3, 4], [9, 9, 1, 2]]), {"BIASSEC": "[3:4,1:2]"})])
    >>> raw.ccd.subtract_overscan(method="mean").ccd.trim("[1:2,*]").values.tolist()
    [[[5.5, 6.5], [7.5, 7.5]]]
    """
    _check(method, axis, smooth, window)
    run = partial(
        _subtract, region=region, method=method, axis=axis, smooth=smooth, window=window, saturation=saturation, dim=dim
    )
    return samples.on_images(obj, run, "subtract_overscan", dim)  # type: ignore[no-any-return]


def _check(method: Any, axis: Any, smooth: Any, window: Any) -> None:
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown: use 'median' or 'mean'{did_you_mean(method, METHODS)}")
    if axis not in (None, "x", "y"):
        raise ValueError(f"axis={axis!r} is neither 'x', a level for each row, nor 'y', one for each column")
    if smooth is not None and not (is_whole(smooth) and 0 <= smooth <= 20):
        raise ValueError(f"smooth={smooth!r} is no degree of a polynomial from 0 to 20")
    if window is not None and not (is_whole(window) and window > 0 and window % 2):
        raise ValueError(f"window={window!r} is no odd count of rows")
    if smooth is not None and window is not None:
        raise ValueError(f"smooth={smooth!r} and window={window!r}: give one of them")


def _subtract(
    stack: xr.DataArray,
    *,
    region: Any,
    method: str,
    axis: str | None,
    smooth: Any,
    window: Any,
    saturation: Any,
    dim: Hashable,
) -> xr.DataArray:
    check_array("the stack", array_of(stack))
    check_again(stack, dim, "OSCANSEC", "subtract_overscan")
    stack = without_saturated(stack, dim, saturation)
    place, section = part_of_frames(region, stack, dim, ("BIASSEC",))
    sizes = {d: part.stop - part.start for d, part in place.items()}
    along = axis or ("x" if sizes["x"] <= sizes["y"] else "y")
    lines = "y" if along == "x" else "x"
    if smooth is not None and smooth >= sizes[lines]:
        raise ValueError(
            f"smooth={smooth}: the region {section} has {sizes[lines]} levels, a polynomial of this degree takes "
            f"{smooth + 1} or more"
        )
    fit = partial(_levels, method=method, smooth=smooth, window=window, start=place[lines].start)
    level, variance = _of_strip(stack.isel(place), stack, dim, (along, lines), fit)
    made = samples.with_data(stack, dim, np.subtract, samples.as_they_are, level)
    notes.mark(array_of(made), notes.origin_of_samples(array_of(stack)))
    made = samples.with_flags(made, dim, _flag, level)
    made = samples.with_errors(made, dim, np.add, variance)
    made = calibration.noted(made, dim, "OSCANSEC", section)
    step = step_text(
        "subtract_overscan", region=section, method=method, axis=along, smooth=smooth, window=window,
        saturation=saturation,
    )  # fmt: skip
    return add_history(made, step)


def _of_strip(strip: xr.DataArray, stack: xr.DataArray, dim: Hashable, axes: tuple[str, str], fit: Any) -> Any:
    """Levels and their variances, arrays that broadcast against the frames, which are first."""
    along, lines = axes
    x = samples.first(unflagged(strip) if flags_of(strip) is not None else strip, dim)
    order = [d for d in (dim, *(d for d in stack.dims if d != dim)) if d in stack.dims]
    run = partial(fit, along=order.index(along), lines=order.index(lines), size=stack.sizes[lines])
    if not arrays.is_dask(x):
        return run(x.load() if arrays.is_deferred(x) else x)
    import dask.array as da

    whole = x.rechunk({order.index(along): -1, order.index(lines): -1})
    chunks = list(whole.chunks)
    chunks[order.index(along)], chunks[order.index(lines)] = (1,), (stack.sizes[lines],)
    meta = np.empty((0,) * (whole.ndim + 1))
    both = da.map_blocks(
        lambda block: np.stack(run(block)), whole, dtype=np.float64, meta=meta, new_axis=0, chunks=((2,), *chunks)
    )
    return both[0], both[1]


def _levels(
    x: Any, *, method: str, smooth: Any, window: Any, start: int, along: int, lines: int, size: int
) -> tuple[Any, Any]:
    """The level and its variance for each of ``size`` rows, NaN where there is none."""
    values = np.moveaxis(np.asarray(x, np.float64), (lines, along), (-2, -1))
    level, n, noise = _of_rows(values, method)
    with np.errstate(all="ignore"):
        variance = noise[..., None] / n
    if method == "median":
        variance = variance * _factors(n)
    found = np.full((2, *level.shape[:-1], size), np.nan)
    own = slice(start, start + level.shape[-1])
    if smooth is not None:
        found[:] = _fitted(level, variance, smooth, np.arange(size) - start)
    elif window is not None:
        found[0, ..., own], found[1, ..., own] = _running(level, variance, window)
    else:
        found[0, ..., own], found[1, ..., own] = level, variance
    both = np.moveaxis(found[..., None], (-2, -1), (lines - values.ndim, along - values.ndim))
    return both[0], both[1]


def _of_rows(values: Any, method: str) -> tuple[Any, Any, Any]:
    """Level and count of each row, and the variance within rows, of all rows of a frame together."""
    good = np.isfinite(values)
    n = good.sum(-1)
    with np.errstate(all="ignore"):
        mean = np.where(good, values, 0).sum(-1) / n
        squares = np.square(np.where(good, values - mean[..., None], 0)).sum((-1, -2))
        noise = squares / (n - 1).clip(0).sum(-1)
    return (_median(values, n) if method == "median" else mean), n, noise


def _median(values: Any, n: Any) -> Any:
    """The median of the finite values along the last axis: sorted, NaN and infinite ones last."""
    ordered = np.sort(np.where(np.isfinite(values), values, np.nan), axis=-1)
    places = ((n - 1).clip(0) // 2, n // 2 * (n > 0))
    low, high = (np.take_along_axis(ordered, i[..., None], -1)[..., 0] for i in places)
    return np.where(n > 0, (low + high) / 2, np.nan)


def _factors(n: Any) -> Any:
    """The variance of the median of n samples over that of their mean."""
    table = np.array([error_of_median(int(i)) ** 2 for i in range(int(n.max(initial=1)) + 1)])
    return table[n]


def _fitted(level: Any, variance: Any, degree: int, rows: Any) -> Any:
    """The polynomial of each frame at all rows, and its variance."""
    n = level.shape[-1]
    unit = 2 * rows / max(n - 1, 1) - 1
    every = np.polynomial.legendre.legvander(unit, degree)
    base = every[(rows >= 0) & (rows < n)]
    flat, errors = level.reshape(-1, n), variance.reshape(-1, n)
    found = np.full((2, flat.shape[0], rows.size), np.nan)
    for i, (one, error) in enumerate(zip(flat, errors, strict=True)):
        good = np.isfinite(one)
        if good.sum() > degree:
            weights = every @ np.linalg.pinv(base[good])
            found[0, i] = weights @ one[good]
            found[1, i] = np.square(weights) @ error[good]
    return found.reshape(2, *level.shape[:-1], rows.size)


def _running(level: Any, variance: Any, window: int) -> tuple[Any, Any]:
    """The running median of levels along the last axis, and its variance."""
    half = window // 2
    ends = [(0, 0)] * (level.ndim - 1) + [(half, half)]
    near, errors = (
        np.lib.stride_tricks.sliding_window_view(np.pad(a, ends, constant_values=np.nan), window, axis=-1)
        for a in (level, variance)
    )
    n = np.isfinite(near).sum(-1)
    with np.errstate(all="ignore"):
        mean = np.where(np.isfinite(errors), errors, 0).sum(-1) / n
        return _median(near, n), mean / n * _factors(n)


def _flag(flags: Any, level: Any) -> Any:
    return flags | np.where(np.isfinite(level), np.uint8(0), np.uint8(Flag.MASKED_ON_INPUT))
