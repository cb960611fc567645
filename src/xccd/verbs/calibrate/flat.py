"""`flat_correct`: frames divided by a flat of mean 1."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.kernels.flags import Flag
from xccd.labels import calibration
from xccd.labels.apply import Obj
from xccd.labels.flags import flags_of
from xccd.labels.frames import add_history, check_array, step_text
from xccd.labels.lazy import array_of
from xccd.messages import called, did_you_mean
from xccd.verbs.bayer_pattern import colours_of
from xccd.verbs.calibrate import samples
from xccd.verbs.calibrate.checks import check_again, check_binning, check_kind
from xccd.verbs.calibrate.keywords import filter_of, filters_of
from xccd.verbs.calibrate.masters import Master, master_of, placed

NORMS = ("mean", "median", "cfa")


def flat_correct(
    obj: Obj, flat: Any, *, norm: Any = "mean", min_value: float | None = None, dim: Hashable = "frame"
) -> Obj:
    """Divide frames, or an image, by a flat.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image. In a tree, nodes of biases, darks and flats stay as they are.
    flat : path, DataArray, Dataset, CCDData, array or DataTree
        An image with the pixels of the frames. Its unit does not matter. Of a tree of masters the flat of the same
        filter is taken, as the log says.
    norm : {"mean", "median", "cfa"}, number or None, default: "mean"
        What the flat is divided by before: the mean or the median of its pixels that are not masked; "cfa", the mean of
        each colour of the Bayer pattern (BAYERPAT) for the pixels of that colour; or a number. None takes the flat as
        it is.
    min_value : float, optional
        Pixels where the flat, after ``norm``, is not above this value are missing. Default: 0.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        As from `subtract_bias`. Pixels where the flat is not above ``min_value`` have the flag 1. The label FLATCOR
        names the flat.

    Raises
    ------
    ValueError
        As `subtract_bias`, but the unit is not compared; also if the flat is of another filter, if ``norm`` is unknown
        or the level of the flat is not positive, or for "cfa" if there is no BAYERPAT. On dask input the level is
        computed with the frames; otherwise the flat is read now for it.
    TypeError, OSError
        As `subtract_bias`.

    Warns
    -----
    UserWarning
        A flat was divided by before.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> lights = xr.DataArray([[[90.0, 150.0, 5.0]]], dims=("frame", "y", "x"))
    >>> flat = xr.DataArray([[750.0, 1250.0, 0.0]], dims=("y", "x"))
    >>> lights.ccd.flat_correct(flat, norm=1000.0).values.tolist()
    [[[120.0, 120.0, nan]]]
    """
    run = partial(_flat_correct, flat=flat, norm=norm, min_value=min_value, dim=dim)
    return samples.on_images(obj, run, "flat_correct", dim, ("bias", "dark", "flat"))  # type: ignore[no-any-return]


def _flat_correct(stack: xr.DataArray, *, flat: Any, norm: Any, min_value: Any, dim: Hashable) -> xr.DataArray:
    check_array("the stack", array_of(stack))
    check_again(stack, dim, "FLATCOR", "flat_correct")
    _check_norm(norm)
    least = 0.0 if min_value is None else float(min_value)
    master = master_of("flat", flat, stack, dim)
    check_kind(master, ("flat",))
    check_binning(master, stack, dim)
    _check_filter(master, stack, dim)
    made = _divided(stack, dim, master, norm, least)
    made = calibration.noted(made, dim, "FLATCOR", master.name)
    return add_history(made, step_text("flat_correct", flat=master.name, norm=norm, min_value=min_value))


def _check_norm(norm: Any) -> None:
    if norm is None or (isinstance(norm, str) and norm in NORMS):
        return
    if isinstance(norm, bool) or not isinstance(norm, int | float | np.number) or not 0 < norm < float("inf"):
        raise ValueError(
            f"norm={called(norm)} is unknown: use one of {', '.join(NORMS)}, a number above 0, or None"
            f"{did_you_mean(norm, NORMS)}"
        )


def _check_filter(master: Master, stack: xr.DataArray, dim: Hashable) -> None:
    """Raise if the flat is of another filter than a frame."""
    own = filter_of(master.image)
    if not own:
        return
    if other := next((n for n in filters_of(stack, dim) if n.casefold() != own.casefold()), None):
        raise ValueError(
            f"{master.shown} is of the filter {own!r}, and there are frames of {other!r}: select frames by filter, as "
            f"stack[stack.FILTER.values == {own!r}], or mend it by flat.assign_attrs(FILTER={other!r})"
        )


def _divided(stack: xr.DataArray, dim: Hashable, master: Master, norm: Any, least: float) -> xr.DataArray:
    flagged = flags_of(stack) is not None
    alone = master.without_flags()
    used = master if flagged else alone
    levels, colour = _levels(alone.image, norm, stack, dim)
    level = levels[0] if colour is None else arrays.map_elementwise(_picked, colour, *levels, dtype=np.dtype(float))
    values = placed(used.image, stack, dim)
    x = samples.with_data(stack, dim, np.divide, partial(_usable, least=least), values, level)
    if not flagged:
        return x
    own = [placed(used.flags, stack, dim)] if used.flags is not None else []
    made = samples.with_flags(x, dim, partial(_flags, least=least), values, level, *own)
    error, power = used.errors or (None, 1)
    sides = () if error is None else (samples.first(x, dim), placed(error, stack, dim))
    run = partial(_variance, power=power)
    made = samples.with_errors(made, dim, run, values, level, *sides)
    return samples.with_common(made, dim, run, values, level, *sides, adds=error is not None)


def _levels(image: xr.DataArray, norm: Any, stack: xr.DataArray, dim: Hashable) -> tuple[list[Any], Any]:
    """The levels that the flat is divided by, and for "cfa" the number of the level for each pixel."""
    one = (1,) * stack.ndim
    if norm is None or not isinstance(norm, str):
        return [np.full(one, 1.0 if norm is None else float(norm))], None
    data, others = array_of(image), [d for d in image.dims if d != dim]
    known = xr.Variable(image.dims, data.load() if arrays.is_deferred(data) else data)
    x = known.transpose(dim, *others).data if dim in image.dims else known.data[None]
    if norm != "cfa":
        return [arrays.per_frame(partial(_level, norm=norm), x).reshape(one)], None
    letters = colours_of(stack if "frame" in stack.dims else stack.expand_dims("frame")).transpose(
        *(d for d in stack.dims if d in ("y", "x"))
    )
    codes = np.unique(letters.values, return_inverse=True)[1].reshape(letters.shape)
    number = xr.DataArray(codes, dims=letters.dims)
    in_flat = number.transpose(*(d for d in others if d in number.dims)).values
    found = [arrays.per_frame(partial(_level, norm="mean", where=in_flat == code), x).reshape(one) for code in range(3)]
    return found, placed(number, stack, dim)


def _level(i: int, frame: Any, *, norm: str, where: Any = None) -> float:
    values = np.ascontiguousarray(frame).reshape(-1) if where is None else frame[where]
    if norm != "median" and (total := float(values.sum(dtype=np.float64))) > 0 and np.isfinite(total):
        return total / values.size  # nothing is missing
    good = values[np.isfinite(values)].astype(np.float64)
    found = float(np.median(good) if norm == "median" else good.mean()) if good.size else float("nan")
    if not found > 0:
        raise ValueError(f"norm={norm!r}: the level of the flat is {found:g}, not above 0")
    return found


def _picked(code: Any, *levels: Any) -> Any:
    return np.choose(code, levels)


def _usable(flat: Any, level: Any, *, least: float, dtype: Any) -> Any:
    """What the samples are divided by."""
    relative = _relative(flat, level)
    np.copyto(relative, np.nan, where=~(relative > least))
    return relative.astype(dtype, copy=False)


def _relative(flat: Any, level: Any) -> Any:
    return np.divide(flat, level, dtype=np.float64)


def _flags(flags: Any, flat: Any, level: Any, other: Any = None, *, least: float) -> Any:
    low = np.where(_relative(flat, level) > least, np.uint8(0), np.uint8(Flag.MASKED_ON_INPUT))
    return samples.joined_flags(flags, flat, other) | low


def _variance(variance: Any, flat: Any, level: Any, x: Any = None, error: Any = None, *, power: int) -> Any:
    """``(v + x^2 v_f / f^2) / f^2`` for samples before the division; here ``x`` are those after it."""
    found = variance / np.square(_relative(flat, level))
    if x is None:
        return found
    part = samples.variance_of(error, power) / np.square(flat, dtype=np.float64)
    return found + np.square(x, dtype=np.float64) * part
