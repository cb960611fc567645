"""Rejection: outliers become NaN, or get a flag in a flagged Dataset; other samples stay as they are."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, by_functions, notes
from xccd.compute.by_functions import FunctionOptions
from xccd.compute.chain import Chain
from xccd.compute.run import chained, flags_after
from xccd.compute.steps import Extrema, Range, Rejecting, Sigma
from xccd.kernels.limits import float_dtype
from xccd.kernels.rejections import ABOUT
from xccd.kernels.table import CENTERS, DEVIATIONS, ClipOptions
from xccd.labels.apply import per_variable
from xccd.labels.choices import About, Center, Deviation, Preset
from xccd.labels.flags import flags_of
from xccd.labels.frames import add_history, check_stack, copy_with, frames_first, step_text
from xccd.labels.warn import warn
from xccd.messages import did_you_mean, is_number, not_one_alone
from xccd.verbs.clip_history import OF_FRAMES
from xccd.verbs.presets import takes_preset


@takes_preset
@not_one_alone(
    "high",
    "sigma_clip({0}) leaves high=3: give both, sigma_clip({0}, {0}), or name one, low={0}",
    lambda k: k >= 0 and k != 3,
)
@per_variable
def sigma_clip(
    stack: xr.DataArray,
    low: float | None = 3,
    high: float | None = 3,
    *,
    center: Center = "mean",
    deviation: Deviation = "std",
    maxiters: int | None = 1,
    ddof: int = 0,
    floor: float = 0,
    nkeep: int = 0,
    about: About = "mean",
    minimum: int = 0,
    preset: Preset | None = None,
    dim: Hashable = "frame",
) -> xr.DataArray:
    """Reject samples far from the centre of their pixel.

    For each pixel, over the frames: samples outside ``center - low * deviation`` to ``center + high * deviation``
    become NaN; one on a bound stays. Missing samples enter no statistic, and stay missing.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``; of a Dataset, and of each node of a DataTree, every variable that has it.
    low, high : float or None, default: 3
        Thresholds in deviations, 0 or more. ``None`` switches a side off.
    center : {"mean", "median"} or callable, default: "mean"
        A function takes (values with NaN where missing, axis).
    deviation : {"std", "mad_std"} or callable, default: "std"
        "std" is about the mean, unless ``about`` says otherwise; "mad_std" is 1.482602218505602 times the median
        absolute deviation from the median.
    maxiters : int or None, default: 1
        Passes; each works on what the last one left. ``None``: until nothing changes. 2 passes equal two calls.
    ddof : int, default: 0
        The divisor of the variance is n - ddof.
    floor : float, default: 0
        The least deviation, in data units: 0.29 for whole counts, whose rounding alone has that scatter.
    nkeep : int, default: 0
        Never leave fewer samples than this (or than there were): those of smallest residual are put back.
    about : {"mean", "center"}, default: "mean"
        What "std" is about.
    minimum : int, default: 0
        Samples without which no pass begins.
    preset : {"astropy", "ccdproc", "iraf", "siril", "gnuastro"}, optional
        Clip as this program does by default; arguments that are given win. See :doc:`coming_from`.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Same shape and labels, rejected samples NaN, in the stack's float dtype (float32 for integers of up to 16
        bits, float64 for wider ones). Finite values that stay are not changed.

    Raises
    ------
    ValueError
        Negative or NaN thresholds, an unknown name, no dimension ``dim``, an empty stack.
    TypeError
        Samples that are not real numbers; one threshold other than 3 by position, which may be for one side or both.

    Warns
    -----
    UserWarning
        If with so few frames no sample could ever be rejected, or "mean" with "mad_std" could reject all of a pixel.

    Notes
    -----
    One outlier among N samples reaches at most sqrt(N - 1) standard deviations from the mean, and
    sqrt(N (1 + 1 / (N // 2 + 1))) from the median: for few frames use ``center="median", deviation="mad_std"``.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray([100.0, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90], dims="frame")
    >>> clipped = stack.ccd.sigma_clip(3, 3, center="median", maxiters=None)
    >>> clipped.count().item(), clipped.mean().item()
    (8, 100.0)
    >>> stack.ccd.sigma_clip(preset="siril").count().item()
    9
    """
    n = check_stack(stack, dim)
    options = {
        "center": center, "deviation": deviation, "maxiters": maxiters, "ddof": ddof, "floor": floor, "nkeep": nkeep,
        "about": about, "minimum": minimum,
    }  # fmt: skip
    step = sigma_step(n, low, high, options)
    text = step_text(
        "sigma_clip", low="off" if low is None else low, high="off" if high is None else high,
        center=center, deviation=deviation,
        maxiters="stable" if maxiters is None else maxiters,
        ddof=ddof or None, floor=floor or None, nkeep=nkeep or None,
        about=None if about == "mean" else about, minimum=minimum or None, preset=preset,
        dim=None if dim == "frame" else dim,
    )  # fmt: skip
    return rejected(stack, dim, step, text)


def check_sigma(low: Any, high: Any, options: dict[str, Any]) -> None:
    """Raise for options that cannot be, whatever the frames are."""
    check_thresholds(low, high)
    check_name("center", options["center"], CENTERS)
    check_name("deviation", options["deviation"], DEVIATIONS)
    about, floor = options.get("about", "mean"), options["floor"]
    if about not in ABOUT:
        raise ValueError(f"about={about!r} is unknown: use one of {', '.join(ABOUT)}{did_you_mean(about, ABOUT)}")
    wholes = {name: options[name] for name in ("maxiters", "ddof", "nkeep")} | {"minimum": options.get("minimum", 0)}
    for name, value in wholes.items():
        if not (value is None and name == "maxiters"):
            check_whole(name, value, 1 if name == "maxiters" else 0)
    if not (isinstance(floor, (int, float, np.number)) and 0 <= floor < math.inf):
        raise ValueError(f"floor={floor!r} is not a finite number of 0 or more")


def sigma_step(n: int, low: Any, high: Any, options: dict[str, Any]) -> Sigma | FunctionOptions:
    """The step of a clip of ``n`` frames; raises for options that cannot be, and warns of those that make no sense."""
    check_sigma(low, high, options)
    center, deviation, maxiters, floor = (options[k] for k in ("center", "deviation", "maxiters", "floor"))
    ddof, nkeep, minimum = options["ddof"], options["nkeep"], options.get("minimum", 0)
    about_center = options.get("about", "mean") == "center"
    if not about_center:  # how far a sample can be is another number then
        _warn_if_idle(n, low, high, center, deviation, ddof)
    _warn_if_emptying(n, low, high, center, deviation, nkeep)
    below, above = (math.inf if k is None else float(k) for k in (low, high))
    passes = -1 if maxiters is None else int(maxiters)
    if callable(center) or callable(deviation):
        rest = (int(ddof), float(floor), int(nkeep), passes, about_center, int(minimum))
        return FunctionOptions(center, deviation, below, above, *rest)
    # all of one type, so that numba compiles the kernel once
    other = about_center and center != "mean"  # about the mean both are the same
    numbers = map(float, (below, above, ddof, floor, nkeep, passes, other, minimum))
    return Sigma(ClipOptions(CENTERS[center], DEVIATIONS[deviation], *numbers))


def rejected(
    stack: xr.DataArray, dim: Hashable, step: Rejecting | FunctionOptions, text: str, numbers: Any = None
) -> xr.DataArray:
    """``stack`` with rejected samples flagged where it has flags, NaN where it has none.

    ``numbers`` are those of each sample or frame that the step takes, frames first.
    """
    x, flags = frames_first(stack, dim), flags_of(stack)
    if flags is None:
        dtype = float_dtype(stack.dtype)
        if isinstance(step, FunctionOptions):
            run = partial(by_functions.clipped, options=step)
            data = arrays.map_over_frames(run, x, reduce=False, dtype=dtype)
            notes.mark(data, notes.origin_of_samples(x))
        else:
            (data,) = chained(Chain((step,)), x, weights=numbers, dtypes=[dtype])
        return add_history(copy_with(stack, dim, data), text)
    before = frames_first(flags, dim)
    if isinstance(step, FunctionOptions):
        run = partial(by_functions.flags_by_functions, options=step)
        after = arrays.map_over_frames(run, x, before, reduce=False, dtype=flags.dtype)
    else:
        after = flags_after((step,), x, before, numbers)
    # The samples stay as they were read: only their flags are new.
    new = copy_with(flags, dim, after).variable
    new.attrs[OF_FRAMES] = stack.sizes[dim]
    return add_history(stack.assign_coords({flags.name: new}), text)


@per_variable
def clip_extrema(stack: xr.DataArray, nlow: int = 0, nhigh: int = 0, *, dim: Hashable = "frame") -> xr.DataArray:
    """Reject the ``nlow`` lowest and the ``nhigh`` highest samples of each pixel.

    Valid samples only are ranked; equal ones go in frame order. (IRAF imcombine calls this "minmax" rejection; cuts at
    levels are `minmax` here.)

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``; of a Dataset, and of each node of a DataTree, every variable that has it.
    nlow, nhigh : int, default: 0
        How many go at each end. A pixel with no more valid samples than ``nlow + nhigh`` becomes missing.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Same shape and labels, rejected samples NaN.

    Raises
    ------
    ValueError
        Counts that are negative or not whole, no dimension ``dim``, an empty stack.
    TypeError
        Samples that are not real numbers.

    Warns
    -----
    UserWarning
        If ``nlow + nhigh`` is the number of frames or more, so that nothing is left.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray([5.0, 1.0, 3.0, 9.0, 7.0], dims="frame")
    >>> stack.ccd.clip_extrema(1, 2).values.tolist()
    [5.0, nan, 3.0, nan, nan]
    """
    n = check_stack(stack, dim)
    step = extrema_step(n, nlow, nhigh, ("nlow", "nhigh"))
    return rejected(stack, dim, step, step_text("clip_extrema", nlow=nlow, nhigh=nhigh))


def extrema_step(n: int, nlow: Any, nhigh: Any, names: tuple[str, str]) -> Extrema:
    """The step of a rejection by rank of ``n`` frames; ``names`` are those of the arguments."""
    for name, value in zip(names, (nlow, nhigh), strict=True):
        check_whole(name, value, 0)
    if nlow + nhigh >= n:
        counts = f"{names[0]}={nlow}, {names[1]}={nhigh}"
        warn(f"clip_extrema({counts}) leaves nothing of {n} frame(s): every pixel becomes missing")
    return Extrema(int(nlow), int(nhigh))


@not_one_alone(
    "max", "minmax({0}) does not say which limit that is: name it, min={0} or max={0}, or give two", lambda v: v == v
)
@per_variable
def minmax(
    stack: xr.DataArray,
    min: float | None = None,
    max: float | None = None,
    *,
    dim: Hashable = "frame",
) -> xr.DataArray:
    """Reject samples below ``min`` and above ``max``; the limits themselves stay.

    (IRAF imcombine's "minmax" rejection is another thing: `clip_extrema` here.)

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``; of a Dataset, and of each node of a DataTree, every variable that has it.
    min, max : float, optional
        Limits in data units. ``None``: no limit. By position both are given: ``minmax(0, 60000)``.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        Same shape and labels, rejected samples NaN.

    Raises
    ------
    ValueError
        ``min`` above ``max``, a limit that is NaN, no dimension ``dim``, an empty stack.
    TypeError
        A limit, or samples, that are not real numbers; one limit by position, which may be either.

    Examples
    --------
    >>> import xarray as xr
    >>> import xccd
    >>> xr.DataArray([1.0, 5.0, 9.0], dims="frame").ccd.minmax(max=5).values.tolist()
    [1.0, 5.0, nan]
    """
    check_stack(stack, dim)
    for name, value in (("min", min), ("max", max)):
        if value is not None and not isinstance(value, (int, float, np.number)):
            raise TypeError(f"{name}={value!r} is not a number")
        if value is not None and value != value:
            raise ValueError(f"{name}={value!r}: a limit cannot be NaN, leave it out for none")
    if min is not None and max is not None and min > max:
        raise ValueError(f"min={min!r} is above max={max!r}: nothing would be left")
    step = Range(*(None if v is None else float(v) for v in (min, max)))
    return rejected(stack, dim, step, step_text("minmax", min=min, max=max))


def check_thresholds(low: Any, high: Any) -> None:
    """Raise unless both thresholds are numbers of 0 or more, or None."""
    for name, value in (("low", low), ("high", high)):
        if value is None:
            continue
        if not is_number(value):
            raise TypeError(f"{name}={value!r} is not a number of deviations, or None for no limit")
        if not value >= 0:
            raise ValueError(
                f"{name}={value!r}: thresholds are 0 or more deviations, on both sides of the centre "
                "(None switches a side off)"
            )


def check_name(argument: str, value: Any, known: Iterable[str]) -> None:
    """Raise unless the value is a known name or a function."""
    if not callable(value) and not (isinstance(value, str) and value in known):
        raise ValueError(
            f"{argument}={value!r} is unknown: use one of {', '.join(known)}, or a function of (values, axis)"
            f"{did_you_mean(value, known)}"
        )


def check_whole(argument: str, value: Any, least: int) -> None:
    """Raise unless the value is a whole number of ``least`` or more."""
    whole = isinstance(value, (int, np.integer)) and not isinstance(value, bool)
    if not whole or value < least:
        raise ValueError(f"{argument}={value!r} is not a whole number of {least} or more")


def reach(n: int, center: Any, ddof: int = 0) -> float:
    """The greatest distance of a sample among ``n`` from the centre, in standard deviations.

    From the median the distance is greatest if half of the samples are equal, and the others but the outlier lie at
    their mean: a little more than n / sqrt(n - 1), the distance of an outlier among equal samples.
    """
    if n < 2 or n <= ddof:
        return 0.0
    farthest = n * (1 + 1 / (n // 2 + 1)) if center == "median" and n > 2 else n - 1
    return math.sqrt(farthest * (n - ddof) / n)


def _needed(threshold: float, center: Any, ddof: int) -> int:
    """The least count of frames with which a sample can pass ``threshold``."""
    n = max(2, int(threshold**2) + ddof - 2)  # at n frames the reach is under sqrt(n - ddof + 2)
    while reach(n, center, ddof) <= threshold:
        n += 1
    return n


def _warn_if_idle(n: int, low: Any, high: Any, center: Any, deviation: Any, ddof: int) -> None:
    """Warn of thresholds that no sample among ``n`` can pass."""
    if deviation != "std" or callable(center):  # how far a sample can be from another centre is not known
        return
    farthest = reach(n, center, ddof)
    idle = {k: v for k, v in (("low", low), ("high", high)) if v is not None and farthest <= v < math.inf}
    if not idle:
        return
    sides = " and ".join(f"{side}={k} takes {_needed(k, center, ddof)} frames or more" for side, k in idle.items())
    instead = "for few use center='median', deviation='mad_std'" if n > 2 else "of one or two none is an outlier"
    warn(
        f"sigma_clip: {' and '.join(idle)} can reject nothing with {n} frame(s), of which a sample is at most "
        f"{farthest:.2f} standard deviations from the {center}. {sides}; {instead}"
    )


def _warn_if_emptying(n: int, low: Any, high: Any, center: Any, deviation: Any, nkeep: int) -> None:
    both = low is not None and high is not None
    if center == "mean" and deviation == "mad_std" and both and nkeep == 0 and n > 2:
        warn(
            "sigma_clip with center='mean' and deviation='mad_std' can reject every sample of a pixel (an outlier "
            "moves the mean, not the deviation): use center='median', or nkeep=1"
        )
