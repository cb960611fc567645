"""The noise of samples by the camera: that of their photons, and that of the readout."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.headers import units
from xccd.kernels.limits import float_dtype
from xccd.labels.frames import as_numbers, frame_names
from xccd.labels.keywords import keyword_of_frames
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.write.product_inputs import LARGEST_GAIN

ATTRS = {
    "long_name": "photon and read noise, from the samples themselves",
    "uncertainty_type": "std",
    "made_from": "samples",  # such errors lower a mean that they weight: a sample that is too low looks too sure
}


def photon_noise(stack: xr.DataArray, gain: Any, readnoise: Any, dim: Hashable = "frame") -> xr.Variable:
    """Standard deviations of the samples, in their unit: sqrt(max(x, 0) / gain + (readnoise / gain)^2).

    ``gain`` is in electrons per unit, ``readnoise`` in electrons: numbers, one for each frame, or keywords. Raises if
    the gain does not apply to the samples.
    """
    own = units.spelled(str(stack.attrs.get("units", "")))
    electrons = own == "electron"
    if own not in units.CAMERA and not electrons:
        raise ValueError(f"uncertainty='poisson': a gain in electrons per count says nothing of data in {own!r}")
    scale = stack.coords.get("scale")
    if scale is not None and not (isinstance(array_of(scale), np.ndarray) and np.all(scale.values == 1)):
        raise ValueError("uncertainty='poisson': these samples are scaled (label 'scale'): use it before normalize")
    gains = camera_numbers("gain", gain, stack, dim)
    if electrons and not np.all(gains == 1):
        raise ValueError(f"uncertainty='poisson': the data are in electron, so their gain is 1, not {gain!r}: gain=1")
    noises = camera_numbers("readnoise", readnoise, stack, dim)
    check_numbers("gain", gains, gains > 0, "above 0", stack, dim)
    check_numbers("readnoise", noises, noises >= 0, "0 or more", stack, dim)
    shapes = [tuple(v.size if d == dim else 1 for d in stack.dims) for v in (gains, noises)]
    extras = [v.reshape(shape) for v, shape in zip((gains, noises), shapes, strict=True)]
    dtype = float_dtype(stack.dtype)
    data = arrays.map_elementwise(partial(_noise, dtype=dtype), array_of(stack), *extras, dtype=dtype)
    unit = {k: v for k, v in stack.attrs.items() if k == "units"}
    return xr.Variable(stack.dims, as_lazy_indexed(data), ATTRS | unit)


def _noise(x: Any, gain: Any, readnoise: Any, *, dtype: np.dtype[Any]) -> Any:
    x = x.astype(np.float64, copy=False)
    return np.sqrt(np.maximum(x, 0) / gain + (readnoise / gain) ** 2).astype(dtype, copy=False)


def camera_numbers(argument: str, value: Any, stack: xr.DataArray, dim: Hashable) -> np.ndarray[Any, Any]:
    """One number, or one for each frame, float64."""
    if isinstance(value, str):
        if dim not in stack.dims:
            raise ValueError(f"{argument}={value!r}: a single image is given a number, as {argument}=1.5")
        found = keyword_of_frames(argument, value, stack, dim)
        if not isinstance(found, np.ndarray):
            raise ValueError(f"{argument}={value!r} is a label that is computed from the samples: give numbers")
        if value == "GAIN":
            _check_setting(found, stack, dim)
        return found
    numbers = as_numbers(argument, value)
    if numbers.dtype.kind not in "iuf":
        raise TypeError(f"{argument}={value!r} is neither a number, nor one for each frame, nor a keyword")
    frames = stack.sizes[dim] if dim in stack.dims else 1
    if numbers.shape not in ((), (frames,)):
        raise ValueError(f"{argument} has shape {numbers.shape}: give one number, or one for each of {frames} frames")
    return np.atleast_1d(numbers).astype(np.float64)


def _check_setting(gains: Any, stack: xr.DataArray, dim: Hashable) -> None:
    """Raise for a GAIN that is a setting of the camera: above 20, and no EGAIN equals it."""
    large = np.flatnonzero(gains > LARGEST_GAIN)
    if large.size == 0:
        return
    try:
        own = np.asarray(keyword_of_frames("gain", "EGAIN", stack, dim))
    except ValueError:  # no such keyword
        own = np.full(gains.size, np.nan)
    for i in large[own[large] != gains[large]].tolist():
        raise ValueError(
            f"gain='GAIN': {frame_names(stack, dim)[i]} has GAIN = {gains[i]:g}, which may be a setting of the camera: "
            "give electrons per count as a number, gain=1.5"
        )


def check_numbers(argument: str, values: Any, is_right: Any, rule: str, stack: xr.DataArray, dim: Hashable) -> None:
    """Raise for the first frame whose number breaks the rule."""
    for i in np.flatnonzero(~(is_right & np.isfinite(values))).tolist():
        whose = f"{frame_names(stack, dim)[i]} has " if dim in stack.dims and values.size > 1 else ""
        raise ValueError(f"{argument}: {whose}{values[i]:g}, give a finite number {rule}")
