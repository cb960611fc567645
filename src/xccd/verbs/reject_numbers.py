"""What some rejections take beside their options: noise models of frames, and errors of samples."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.average_sigma import unit_noise
from xccd.compute.steps import Marked, Rejecting, Window
from xccd.kernels.table import CENTERS, Rejection
from xccd.labels.flags import flags_of, map_name
from xccd.labels.frames import frame_names, frames_first
from xccd.labels.keywords import keyword_of_frames
from xccd.verbs.weights import standard_deviations

Step = tuple[Any, Any]  # the step, and the numbers of samples or frames that go with it
MODEL = ("read", "light", "part", "zero", "own")  # of each frame in a noise model, as `compiled.by_errors.errors`


class Given(NamedTuple):
    """What a call asks for: the row and its name, thresholds and options with defaults filled in, and the frames."""

    name: str
    row: Rejection
    low: float | None
    high: float | None
    options: dict[str, Any]
    frames: int
    dim: Hashable

    def numbers(self, *more: float) -> tuple[float, ...]:
        """The thresholds as kernels take them, then other numbers."""
        return (*self.row._replace(options=()).numbers(self.low, self.high, {}), *more)


def noise(stack: xr.DataArray, given: Given) -> Step:
    """The step of "noise": one model for all frames, or one for each where frames were scaled or differ."""
    read = of_frames("readnoise", given, stack, lambda v: v >= 0, "0 or more")
    gain = of_frames("gain", given, stack, lambda v: v > 0, "above 0")
    part, by_mean = float(given.options["sensitivity"]), CENTERS[given.options["center"]]
    nkeep = float(given.options["nkeep"])
    scale, zero = (_label(stack, name, given.dim) for name in ("scale", "zero"))
    if any(f"zero_{d}" in stack.coords for d in stack.dims):
        raise ValueError("reject('noise') of frames less planes: reject before normalize(degree=1)")
    same = (read == read[0]).all() and (gain == gain[0]).all()
    if scale is None and zero is None and same:
        return Window(given.name, given.numbers(float(read[0]), float(gain[0]), part, by_mean, nkeep)), None
    numbers = given.numbers(2.0 * by_mean, 2.0, nkeep)
    scale = np.ones(given.frames) if scale is None else scale
    zero = np.zeros(given.frames) if zero is None else zero
    if not (arrays.is_dask(scale) or arrays.is_dask(zero)):
        table = _model(scale, zero, read, gain, part)
        return Marked(given.name, numbers, tuple(tuple(table[k].tolist()) for k in MODEL)), None
    import dask.array as da

    both = [da.asarray(factor).rechunk(-1) for factor in (scale, zero)]
    more = {"read": read, "gain": gain, "part": part}
    table = da.map_blocks(_model, *both, **more, dtype=_DTYPE, meta=np.empty(0, _DTYPE))
    return Marked(given.name, numbers, takes_samples=True), table.reshape((-1,) + (1,) * (stack.ndim - 1))


_DTYPE = np.dtype([(name, np.float64) for name in MODEL])


def _model(scale: Any, zero: Any, read: Any, gain: Any, part: float) -> Any:
    """The records of the noise of frames that are ``scale x - zero``."""
    table = np.empty(scale.shape, _DTYPE)
    ratio = scale * (read / gain)
    table["read"], table["light"], table["part"], table["zero"] = ratio * ratio, scale / gain, part * part, zero
    table["own"] = 0.0
    return table


def _label(stack: xr.DataArray, name: str, dim: Hashable) -> Any:
    """The numbers of frames in a coordinate, perhaps lazy; None without it."""
    label = stack.coords.get(name)
    if label is None:
        return None
    if label.dims != (dim,):
        raise ValueError(
            f"reject('noise'): the label {name!r} has the dimensions {label.dims}, so no frame has one noise: "
            "reject before normalize, or each plane by itself"
        )
    return label.data.astype(np.float64)


def of_frames(
    argument: str, given: Given, stack: xr.DataArray, is_right: Callable[[Any], Any], rule: str
) -> np.ndarray[Any, Any]:  # fmt: skip
    """An option with a number for each frame, as N float64: from a number, an array or a keyword."""
    value, dim = given.options[argument], given.dim
    if isinstance(value, str):
        try:
            values = np.asarray(keyword_of_frames(argument, value, stack, dim), np.float64)
        except ValueError as error:
            raise ValueError(f"{error}. Give a number, {argument}=..., or one for each frame") from None
    else:
        values = np.asarray(value.values if isinstance(value, xr.DataArray) else value)
        if values.dtype.kind not in "fiu" or values.shape not in ((), (given.frames,)):
            raise ValueError(
                f"{argument}={value!r} of {given.name!r}: give a number, one for each of the {given.frames} frames, "
                "or a keyword"
            )
        values = np.broadcast_to(values, given.frames).astype(np.float64)
    for i in np.flatnonzero(~(np.isfinite(values) & is_right(values))):
        raise ValueError(f"{argument}: {frame_names(stack, dim)[i]} has {values[i]}, which is not {rule}")
    return values


def variance(stack: xr.DataArray, given: Given) -> Step:
    """The step of "variance", by the uncertainties of the samples."""
    zeros = ((0.0,) * given.frames,) * given.row.kinds
    return Marked(given.name, given.numbers(), zeros, takes_samples=True), _uncertainty(stack, given)


def average_sigma(stack: xr.DataArray, given: Given) -> Step:
    """The step of "average_sigma", and the noise of unit light that it measures: of each row, pixel, or the image."""
    by_mean = CENTERS[given.options["center"]]
    flags = flags_of(stack)
    found = unit_noise(
        frames_first(stack, given.dim), None if flags is None else frames_first(flags, given.dim),
        by_mean=by_mean > 0, per=given.options["per"],
    )  # fmt: skip
    none, one = (0.0,) * given.frames, (1.0,) * given.frames
    table = (none, none, none, (-1.0,) * given.frames, one)  # e^2 (1 + max(c - 1, 0)) is e^2 max(1, c)
    numbers = given.numbers(by_mean, 3.0, float(given.options["nkeep"]))
    return Marked(given.name, numbers, table, takes_samples=True), found


def swarp(stack: xr.DataArray, given: Given) -> Step:
    """The step of "swarp", by noise of frames or by the uncertainties of the samples."""
    inverse = 1 / of_frames("gain", given, stack, lambda v: v > 0, "above 0")
    numbers, by_samples = given.numbers(float(given.options["amplitude"])), given.options["noise"] is None
    own = np.zeros(given.frames)
    if not by_samples:
        own = of_frames("noise", given, stack, lambda v: v >= 0, "0 or more")
    table = (tuple(inverse.tolist()), tuple((own * own).tolist()))
    return Marked(given.name, numbers, table, by_samples), _uncertainty(stack, given) if by_samples else None


def _uncertainty(stack: xr.DataArray, given: Given) -> Any:
    """The standard deviations of the samples, frames first."""
    found = stack.coords.get(map_name(stack.name, "uncertainty"))
    if found is None or set(found.dims) != set(stack.dims):
        instead = "or give noise=..." if given.name == "swarp" else "or use 'noise', which needs none"
        raise ValueError(
            f"reject({given.name!r}) takes the uncertainty of each sample, and there is none: make a Dataset that has "
            f"it, stack.ccd.to_dataset(uncertainty=...), {instead}"
        )
    return standard_deviations(found.transpose(*stack.dims), given.dim)


def of_options(kind: type[Rejecting], given: Given) -> Step:
    """The step of a row whose kernel takes nothing but its options."""
    make: Any = kind
    return make(given.name, given.row.numbers(given.low, given.high, given.options)), None
