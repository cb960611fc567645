"""Weights, scales and levels that a user gives, as numbers for the samples of a stack."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable
from functools import partial
from pathlib import PurePath
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.headers.common import ALIGNED_TO
from xccd.headers.uncertainties import KINDS
from xccd.kernels.limits import float_dtype
from xccd.labels import lazy
from xccd.labels.flags import flags_of, map_name
from xccd.labels.frames import as_numbers, check_array, file_names, frame_names, frames_first, unflagged
from xccd.labels.keywords import keyword_of_frames
from xccd.labels.lazy import array_of
from xccd.labels.mixed import check_alike
from xccd.labels.warn import warn
from xccd.messages import called
from xccd.sky import drizzle, footprint
from xccd.sky.stars import noise_of

# Weights by name: what makes those of all samples (frame, y, x) of a stack. A label of that name comes first.
NAMED: dict[str, Callable[[xr.DataArray], Any]] = {
    **{name: partial(footprint.weights, name) for name in footprint.KINDS},
    "drizzle": drizzle.weights,
}


class PerSample(NamedTuple):
    """Numbers that broadcast against a stack with frames first: (1 or N, 1 or ny, 1 or nx)."""

    data: Any
    per_frame: np.ndarray[Any, Any] | None  # the N numbers, where they are known now

    @classmethod
    def of_frames(cls, values: Any, ndim: int) -> PerSample:
        known = None if arrays.is_dask(values) else np.asarray(values, np.float64)
        data = values if known is None else known
        return cls(data.reshape((-1,) + (1,) * (ndim - 1)), known)

    @classmethod
    def one(cls, ndim: int) -> PerSample:
        return cls(np.ones((1,) * ndim), None)


def resolve(
    argument: str, value: Any, stack: xr.DataArray, dim: Hashable, *, factors: PerSample | None = None
) -> PerSample:  # fmt: skip
    """The value of ``weights=`` or ``scale=`` as numbers for the samples of ``stack``.

    ``factors`` are those that the samples are multiplied by before weights count.
    """
    ndim = stack.ndim
    if value is None:
        return PerSample.one(ndim)
    if argument == "weights" and isinstance(value, str) and "*" in value and value not in stack.coords:
        return _product([resolve(argument, one.strip(), stack, dim, factors=factors) for one in value.split("*")])
    if argument == "weights" and isinstance(value, str) and value in QUALITY:
        return QUALITY[value](stack, dim, PerSample.one(ndim) if factors is None else factors)
    if isinstance(value, str) and argument == "weights" and value in NAMED and value not in stack.coords:
        data = NAMED[value](stack)
        order = [("frame", "y", "x").index(str(d)) for d in (dim, *(d for d in stack.dims if d != dim))]
        return PerSample(data if order == [0, 1, 2] else data.transpose(order), None)
    if isinstance(value, str):
        others: dict[str, Iterable[str]] = {}
        if argument == "weights":
            others = {"weights by geometry": NAMED, "by quality": QUALITY}
        return PerSample.of_frames(keyword_of_frames(argument, value, stack, dim, **others), ndim)
    if callable(value) and not isinstance(value, xr.DataArray):
        return PerSample.of_frames(of_frames(argument, value, stack, dim), ndim)
    if isinstance(value, xr.DataArray):
        return _labelled(argument, value, stack, dim)
    return _of_numbers(argument, value, stack, dim)


def uncertainty_of(stack: xr.DataArray, kind: str) -> xr.DataArray | None:
    """The map ``kind`` of a flagged stack, with its order of axes; None without."""
    found = stack.coords.get(map_name(stack.name, kind))
    if found is None or set(found.dims) != set(stack.dims) or flags_of(stack) is None:
        return None
    moved: xr.DataArray = found.transpose(*stack.dims)
    return moved


def standard_deviations(errors: xr.DataArray, dim: Hashable) -> Any:
    """A map of uncertainties of any type as standard deviations, with the frames first."""
    power, data = KINDS[errors.attrs.get("uncertainty_type", "std")].power, frames_first(errors, dim)
    if power == 1:
        return data
    return arrays.map_elementwise(partial(_standard, power=power), data, dtype=np.dtype(np.float64))


def _standard(errors: Any, *, power: int) -> Any:
    """Variances or inverse variances as standard deviations. Those below 0 stay, so that they are seen."""
    errors = np.asarray(errors, np.float64)
    with np.errstate(all="ignore"):
        root = np.sqrt(np.abs(errors))
        found = root if power == 2 else 1 / root
    return np.where(errors < 0, errors, found)


def of_frames(argument: str, function: Callable[[xr.DataArray], Any], stack: xr.DataArray, dim: Hashable) -> Any:
    """``function(frame)`` for each whole frame, a DataArray with NaN where missing; lazy if the stack is."""
    stack = unflagged(stack)
    along = [k for k, c in stack.coords.items() if dim in c.dims]
    template = stack.isel({dim: 0}).drop_vars(along)
    dims, coords = template.dims, {k: c.variable for k, c in template.coords.items()}
    # copies: on lazy input the function is called later
    labels = {k: stack.coords[k].values.copy() for k in along if _may_matter(stack.coords[k], stack)}

    def number(i: int, values: np.ndarray[Any, Any]) -> float:
        finite = np.where(np.isfinite(values), values, np.nan)
        # in one memory order, as sums depend on it
        finite = np.asarray(finite, dtype=float_dtype(values.dtype), order="C")
        frame = xr.DataArray(finite, dims=dims, coords=coords | {k: v[i] for k, v in labels.items()})
        result = np.asarray(function(frame))
        if result.size != 1:
            raise ValueError(
                f"{argument}={called(function)} gave shape {result.shape} for frame {i}: "
                "a function of a frame must give one number"
            )
        return float(result.reshape(()))

    return arrays.per_frame(number, frames_first(stack, dim))


def _may_matter(label: xr.DataArray, stack: xr.DataArray) -> bool:
    """Whether a label is a number for each frame that a function may use (EXPTIME, GAIN, ...)."""
    return label.ndim == 1 and label.dtype.kind in "iuf" and not lazy.made_from(label, stack)


def _labelled(argument: str, value: xr.DataArray, stack: xr.DataArray, dim: Hashable) -> PerSample:
    _check_dtype(argument, value.dtype)
    check_array(argument, array_of(value))
    value = matched(argument, value, stack, dim)
    order = [dim, *(d for d in stack.dims if d != dim)]
    present = [d for d in order if d in value.dims]
    data = value.transpose(*present).data
    shape = tuple(stack.sizes[d] if d in value.dims else 1 for d in order)
    known = np.asarray(data, np.float64) if present == [dim] and not arrays.is_dask(data) else None
    return PerSample(data.reshape(shape), known)


def matched(argument: str, value: xr.DataArray, stack: xr.DataArray, dim: Hashable) -> xr.DataArray:
    """The value with the stack's frames: matched by ``file`` where both name the same files, else by order."""
    extra = set(value.dims) - set(stack.dims)
    if extra or any(value.sizes[d] != stack.sizes[d] for d in value.dims):
        raise ValueError(
            f"{argument} has {dict(value.sizes)}, the stack {dict(stack.sizes)}: dimensions must be "
            "among the stack's, with the same sizes"
        )
    if dim in value.dims:
        value = _in_file_order(argument, value, stack, dim)
    check_labels(argument, value, stack)
    if "y" in value.dims:
        check_alike(argument, value, stack)
    return value


def check_labels(argument: str, value: xr.DataArray, stack: xr.DataArray) -> None:
    """Raise if a coordinate of a dimension differs between both: one was cut, the other was not."""
    for d in value.dims:
        if d in value.indexes and d in stack.indexes and not value.indexes[d].equals(stack.indexes[d]):
            raise ValueError(
                f"{argument} and the stack differ in their coordinate {d!r} "
                f"({value[d].values[:3].tolist()}... and {stack[d].values[:3].tolist()}...): cut both alike"
            )


def _in_file_order(argument: str, value: xr.DataArray, stack: xr.DataArray, dim: Hashable) -> xr.DataArray:
    chips = all("chip" in a.coords for a in (value, stack))  # they tell frames of one file apart
    ours, theirs = (file_names(a, dim, chips=chips) for a in (stack, value))
    if not ours or not theirs or ours == theirs:
        return value
    if not set(ours) & set(theirs):  # weight maps, masks: other files, whose names may be equal in another folder
        ours, theirs = ([PurePath(name).name for name in names] for names in (ours, theirs))
    if ours == theirs or not set(ours) & set(theirs):
        return value
    differing = sorted(set(theirs) ^ set(ours)) or sorted(f for f in set(ours) if ours.count(f) > 1)
    if differing or sorted(ours) != sorted(theirs):
        raise ValueError(
            f"{argument} and the stack share some of their files, not all, each once ({', '.join(differing[:3])}): "
            "select the frames alike, or drop_vars('file') to go by order"
        )
    place = {name: i for i, name in enumerate(theirs)}
    return value.isel({dim: [place[name] for name in ours]})


def _of_numbers(argument: str, value: Any, stack: xr.DataArray, dim: Hashable) -> PerSample:
    """A number, N numbers (one a frame), or an array of the stack's own shape."""
    array = as_numbers(argument, value)
    _check_dtype(argument, array.dtype)
    if argument != "weights" and str(getattr(value, "unit", "")):  # of weights only ratios matter
        raise TypeError(f"{argument}= is in {value.unit}, which a plain product would lose: give plain numbers")
    n = stack.sizes[dim]
    if array.shape == ():
        return PerSample(array.reshape((1,) * stack.ndim), None if arrays.is_dask(array) else np.full(n, float(array)))
    if array.shape == (n,):
        return PerSample.of_frames(array, stack.ndim)
    if array.shape != stack.shape:
        raise ValueError(
            f"{argument} has shape {array.shape}, the stack {dict(stack.sizes)}: give one number a frame "
            f"({n}), an array of the stack's shape, or name its dimensions with xr.DataArray(values, dims=...)"
        )
    axis = stack.get_axis_num(dim)
    order = [axis, *(i for i in range(array.ndim) if i != axis)]
    return PerSample(array.transpose(order), None)


def _check_dtype(argument: str, dtype: np.dtype[Any]) -> None:
    if dtype.kind not in "fiub":
        raise TypeError(f"{argument} has dtype {dtype}: it must hold real numbers")


def check_weights(weights: PerSample, stack: xr.DataArray, dim: Hashable) -> np.ndarray[Any, Any] | None:
    """The weights per frame, checked at once; weights per sample (None here) are checked when they are used."""
    values = weights.per_frame
    if values is None:
        return None
    usable = np.isfinite(values) & (values >= 0)
    _check_frames("weights", "weight", values, usable, stack, dim, "weights are finite, 0 or more")
    if usable.any() and not values[usable].any():
        raise ValueError("weights are 0 for every frame: nothing would be left to combine")
    return np.where(usable, values, 0) if usable.any() else None


def check_scale(scale: PerSample, stack: xr.DataArray, dim: Hashable) -> None:
    """As `check_weights`, for factors."""
    values = scale.per_frame
    if values is not None:
        _check_frames("scale", "scale", values, np.isfinite(values), stack, dim, "factors are finite")


def _check_frames(
    argument: str, called: str, values: Any, usable: Any, stack: xr.DataArray, dim: Hashable, rule: str
) -> None:
    """Raise for the first frame whose number cannot be used, unless all its samples are missing."""
    for i in np.flatnonzero(~usable).tolist():
        frame = stack.isel({dim: i})
        if arrays.is_dask(frame.data) or np.isfinite(frame.values).any():
            raise ValueError(f"{argument}: {frame_names(stack, dim)[i]} has {called} {values[i]}: {rule}")


# --- weights by the quality of frames


def _product(some: list[PerSample]) -> PerSample:
    """The product of weights."""
    one, *rest = some
    for other in rest:
        known = None if one.per_frame is None or other.per_frame is None else one.per_frame * other.per_frame
        larger, smaller = sorted((one.data, other.data), key=lambda data: -int(np.prod(data.shape)))
        one = PerSample(arrays.map_elementwise(_times, larger, smaller, dtype=np.dtype(np.float64)), known)
    return one


def _times(a: Any, b: Any) -> Any:
    return np.multiply(a, b, dtype=np.float64)


def inverse_variances(argument: str, stack: xr.DataArray, dim: Hashable, factors: PerSample) -> PerSample:
    """1 / sigma^2 of the samples times their factors, from the uncertainties of a flagged Dataset."""
    sigma = uncertainty_of(stack, "uncertainty")
    if sigma is None:
        raise ValueError(
            f"{argument} needs uncertainties, the variable data_uncertainty of a flagged Dataset: see open_dataset, or "
            "stack.ccd.to_dataset(uncertainty=...)"
        )
    power = KINDS[sigma.attrs.get("uncertainty_type", "std")].power
    run = partial(_inverse_variances, power=power)
    return PerSample(arrays.map_elementwise(run, frames_first(sigma, dim), factors.data, dtype=np.dtype(float)), None)


def _inverse_variances(sigma: Any, factors: Any, *, power: int) -> Any:
    with np.errstate(all="ignore"):
        values = np.asarray(sigma, np.float64)
        values = np.where(values >= 0, values, np.nan)
        return (values if power < 0 else values**-1 if power == 2 else values**-2) / np.square(factors)


def _of_noise(stack: xr.DataArray, dim: Hashable, factors: PerSample) -> PerSample:
    """1 / noise^2, from the label, else measured."""
    if _has_label("noise", stack, dim):
        values = keyword_of_frames("weights", "noise", stack, dim)
    else:
        if ALIGNED_TO in stack.coords:
            warn("weights='noise' is measured in resampled frames, which have less noise: measure_stars before align")
        values = of_frames("weights", lambda frame: noise_of(frame.values.reshape(-1, frame.shape[-1])), stack, dim)
    found = _squared(PerSample.of_frames(values, stack.ndim))
    return found if factors.data.size == 1 else _product([found, _squared(factors)])


def _of_stars(stack: xr.DataArray, dim: Hashable, factors: PerSample) -> PerSample:
    """The number of stars."""
    return PerSample.of_frames(_label("stars", stack, dim), stack.ndim)


def _of_fwhm(stack: xr.DataArray, dim: Hashable, factors: PerSample) -> PerSample:
    """1 / fwhm^2."""
    return _squared(PerSample.of_frames(_label("fwhm", stack, dim), stack.ndim))


def _squared(one: PerSample) -> PerSample:
    """1 / number^2."""
    with np.errstate(divide="ignore"):  # 0 is told of with the name of its frame
        known = None if one.per_frame is None else 1 / np.square(one.per_frame)
        if arrays.is_lazy(one.data):
            return PerSample(arrays.map_elementwise(_inverse_square, one.data, dtype=np.dtype(np.float64)), known)
        return PerSample(_inverse_square(one.data), known)


def _inverse_square(a: Any) -> Any:
    with np.errstate(divide="ignore"):
        return 1 / np.square(np.asarray(a, np.float64))


def _has_label(name: str, stack: xr.DataArray, dim: Hashable) -> bool:
    return name in stack.coords and stack.coords[name].dims in ((dim,), ())


def _label(name: str, stack: xr.DataArray, dim: Hashable) -> Any:
    """A label of `measure_stars` for each frame; an error that says how to get it."""
    if not _has_label(name, stack, dim):
        raise ValueError(
            f"weights={name!r} needs the label {name!r} on {dim!r}: "
            "stack = stack.assign_coords(stack.ccd.measure_stars()), before align"
        )
    return keyword_of_frames("weights", name, stack, dim)


# Weights by the quality of frames, from the stack, its dimension of frames and the factors of its samples. For these
# names a label is not the weight itself.
QUALITY: dict[str, Callable[[xr.DataArray, Hashable, PerSample], PerSample]] = {
    "noise": _of_noise,
    "ivar": partial(inverse_variances, "weights='ivar'"),
    "stars": _of_stars,
    "fwhm": _of_fwhm,
}
