"""`gain_correct` and `create_deviation`: electrons from counts, and the errors that photons and readout make."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any, overload

import numpy as np
import xarray as xr

from xccd.headers import units
from xccd.labels import calibration
from xccd.labels.apply import Obj
from xccd.labels.flags import flags_of, map_name
from xccd.labels.frames import add_history, check_array, step_text
from xccd.labels.lazy import array_of
from xccd.messages import a_type
from xccd.verbs.calibrate import samples
from xccd.verbs.lossless import to_dataset
from xccd.verbs.photon_noise import camera_numbers, check_numbers, photon_noise


def gain_correct(obj: Obj, gain: Any = "GAIN", *, dim: Hashable = "frame") -> Obj:
    """Multiply frames, or an image, by the gain: counts become electrons.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image.
    gain : str, number or array, default: "GAIN"
        Electrons per count: a keyword, one number, or one for each frame.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        The same labels, in the unit electron, lazy if ``obj`` is. Uncertainties are multiplied, too. The label GAIN
        becomes 1, GAINCOR has the gain. Products have no GAIN.

    Raises
    ------
    ValueError
        The frames are in electrons already or in another unit than counts; the gain is not positive, or a setting of
        the camera (above 20).

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> lights = xccd.open_stack([(np.full((1, 2), 100.0), {"GAIN": 1.5, "BUNIT": "adu"})])
    >>> electrons = lights.ccd.gain_correct()
    >>> electrons.values.tolist(), electrons.units, electrons.GAIN.values.tolist()
    ([[[150.0, 150.0]]], 'electron', [1.0])
    """
    return samples.on_images(obj, partial(_gain_correct, gain=gain, dim=dim), "gain_correct", dim)  # type: ignore[no-any-return]


def _gain_correct(stack: xr.DataArray, *, gain: Any, dim: Hashable) -> xr.DataArray:
    check_array("the stack", array_of(stack))
    own = units.spelled(str(stack.attrs.get("units", "")))
    if own not in units.CAMERA:
        raise ValueError(f"gain_correct: the data are in {own!r}, and a gain is for counts (adu)")
    values = camera_numbers("gain", gain, stack, dim)
    check_numbers("gain", values, values > 0, "above 0", stack, dim)
    g = values.reshape((-1,) + (1,) * (stack.ndim - 1))
    made = samples.with_data(stack, dim, np.multiply, samples.as_they_are, g)
    made = samples.with_common(samples.with_errors(made, dim, _variance, g), dim, _variance, g)
    made = samples.in_unit(made, "electron")
    made = calibration.noted(made, dim, "GAINCOR", values if values.size > 1 else float(values[0]))
    if dim in made.dims and "GAIN" in made.coords:
        made = made.assign_coords(GAIN=(dim, np.ones(made.sizes[dim])))
    if "GAIN" in made.attrs:
        made = made.assign_attrs(GAIN=1.0)
    return add_history(made, step_text("gain_correct", gain=gain))


def _variance(variance: Any, gain: Any) -> Any:
    return variance * np.square(gain)


@overload
def create_deviation(
    obj: xr.DataArray | xr.Dataset, gain: Any = "GAIN", readnoise: Any = "RDNOISE", *, dim: Hashable = "frame"
) -> xr.Dataset: ...
@overload
def create_deviation(
    obj: xr.DataTree, gain: Any = "GAIN", readnoise: Any = "RDNOISE", *, dim: Hashable = "frame"
) -> xr.DataTree: ...
def create_deviation(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    gain: Any = "GAIN",
    readnoise: Any = "RDNOISE",
    *,
    dim: Hashable = "frame",
) -> xr.Dataset | xr.DataTree:
    """Give frames the uncertainties that their photons and the readout make.

    The variance is ``max(x, 0) / gain + (readnoise / gain)^2``, for samples x without their bias: use it after
    `subtract_bias` or `subtract_overscan`, and before `flat_correct`.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image.
    gain : str, number or array, default: "GAIN"
        Electrons per count: a keyword, one number, or one for each frame; 1 for frames in electrons.
    readnoise : str, number or array, default: "RDNOISE"
        Electrons.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    Dataset or DataTree
        Flagged Datasets with ``data_uncertainty``, as from ``to_dataset(uncertainty="poisson")``. In a flagged Dataset
        it takes the place of uncertainties that were there; what masters added before (``data_common``) is part of the
        new ones, too.

    Raises
    ------
    ValueError
        A keyword is missing; a gain is not positive, or a setting of the camera (above 20); the frames are scaled, or
        in a unit that no gain applies to.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> lights = xccd.open_stack([(np.full((1, 1), 100.0), {"GAIN": 4.0, "RDNOISE": 20.0})])
    >>> lights.ccd.create_deviation().data_uncertainty.values.round(3).tolist()
    [[[7.071]]]
    """
    run = partial(_with_deviation, gain=gain, readnoise=readnoise, dim=dim)
    if isinstance(obj, xr.DataArray):
        obj = to_dataset(obj) if flags_of(obj) is None else obj.to_dataset(name=obj.name or "data")
    if not isinstance(obj, xr.Dataset | xr.DataTree):
        raise TypeError(f"xccd.create_deviation takes an xarray DataArray, Dataset or DataTree, not {a_type(obj)}")
    made: xr.Dataset | xr.DataTree = samples.on_images(obj, run, "create_deviation", dim)
    return made


def _with_deviation(stack: xr.DataArray, *, gain: Any, readnoise: Any, dim: Hashable) -> xr.DataArray:
    name = map_name(stack.name, "uncertainty")
    if flags_of(stack) is None:
        stack = _with_own_flags(stack)
    made = stack.drop_vars(name, errors="ignore")
    noise = photon_noise(made, gain, readnoise, dim)
    made = made.assign_coords({name: noise})
    common = made.coords.get(map_name(stack.name, "common"))
    if common is not None:
        moved = common.transpose(*made.dims)
        made = samples.with_errors(made, dim, _plus_square, samples.first(moved, dim))
    return add_history(made, step_text("create_deviation", gain=gain, readnoise=readnoise))


def _with_own_flags(stack: xr.DataArray) -> xr.DataArray:
    ds = to_dataset(stack)
    name = map_name(stack.name, "flags")
    return stack.assign_coords({name: ds[name].variable})


def _plus_square(variance: Any, common: Any) -> Any:
    return variance + np.square(common, dtype=np.float64)
