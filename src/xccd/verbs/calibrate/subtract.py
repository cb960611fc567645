"""`subtract_bias` and `subtract_dark`: a master is subtracted, with its errors and flags."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.headers.detector import TEMPERATURES
from xccd.labels import calibration
from xccd.labels.apply import Obj
from xccd.labels.flags import flags_of, map_name
from xccd.labels.frames import add_history, as_numbers, check_array, frame_names, step_text
from xccd.labels.keywords import keyword_of_frames
from xccd.labels.lazy import array_of
from xccd.labels.warn import warn
from xccd.verbs.calibrate import samples
from xccd.verbs.calibrate.checks import check_again, check_binning, check_kind, check_settings
from xccd.verbs.calibrate.keywords import keyword_of, number_of
from xccd.verbs.calibrate.masters import Master, master_of, placed, unit_factor
from xccd.verbs.calibrate.saturation import without_saturated

# Cards of a dark from which the bias level was taken off, by xccd, IRAF or ccdproc.
WITHOUT_BIAS = ("BIASCOR", "ZEROCOR", "OSCANSEC", "OVERSCAN", "SUBBIAS", "SUBOSCAN")
DEGREES = 1.0  # within which temperatures count as the same


def subtract_bias(obj: Obj, bias: Any, *, saturation: Any = None, dim: Hashable = "frame") -> Obj:
    """Subtract a bias from frames, or from an image.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image. In a tree, nodes of biases stay as they are.
    bias : path, DataArray, Dataset, CCDData, array or DataTree
        An image with the pixels of the frames. A flagged Dataset has its uncertainties and flags. Of a tree of masters
        the bias with these pixels is taken, as the log says.
    saturation : number, array or str, optional
        Samples at this value or above, before the subtraction, are saturated: they get the flag 8, or NaN. One number,
        one for each frame, or a keyword, as "SATURATE".
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        The same labels, lazy if ``obj`` is. 8- and 16-bit integers become float32. Pixels that the bias lacks are
        missing: NaN, or with the flags of the bias. ``data_uncertainty`` is that of both, and ``data_common`` the
        part that comes from masters, which all frames share. The label BIASCOR names the bias; products and
        `header` have it as a card.

    Raises
    ------
    ValueError
        The bias has other pixels than the frames, another binning or unit, or it is of another kind of frames; no
        pixel is read before.
    TypeError
        The bias is no image of real numbers.
    OSError
        A path cannot be read.

    Warns
    -----
    UserWarning
        The gain of the bias is another one, or a bias was subtracted before.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> lights = xccd.open_stack([(np.full((2, 3), 1100, "uint16"), {"BUNIT": "adu"})])
    >>> bias = np.full((2, 3), 1000.5)
    >>> found = lights.ccd.subtract_bias(bias)
    >>> found.values.tolist(), found.dtype
    ([[[99.5, 99.5, 99.5], [99.5, 99.5, 99.5]]], dtype('float32'))
    """
    run = partial(_subtract_bias, bias=bias, saturation=saturation, dim=dim)
    return samples.on_images(obj, run, "subtract_bias", dim, ("bias",))  # type: ignore[no-any-return]


def _checked(kind: str, given: Any, stack: xr.DataArray, dim: Hashable) -> Master:
    """The master of a kind; raises or warns where it does not go with the frames."""
    check_array("the stack", array_of(stack))
    master = master_of(kind, given, stack, dim)
    check_kind(master, (kind,))
    check_binning(master, stack, dim)
    check_settings(master, stack, dim, ("GAIN",))
    return master


def _subtract_bias(stack: xr.DataArray, *, bias: Any, saturation: Any, dim: Hashable) -> xr.DataArray:
    check_again(stack, dim, "BIASCOR", "subtract_bias")
    master = _checked("bias", bias, stack, dim)
    stack = without_saturated(stack, dim, saturation)
    made = _minus(stack, dim, master, np.full((1,) * stack.ndim, unit_factor(master, stack)))
    made = calibration.noted(made, dim, "BIASCOR", master.name)
    return add_history(made, step_text("subtract_bias", bias=master.name, saturation=saturation))


def subtract_dark(obj: Obj, dark: Any, *, scale: Any = "EXPTIME", dim: Hashable = "frame") -> Obj:
    """Subtract a dark from frames, or from an image, scaled by the exposure time.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image. In a tree, nodes of biases and darks stay as they are.
    dark : path, DataArray, Dataset, CCDData, array or DataTree
        An image with the pixels of the frames. Subtract its bias before, if it is scaled. Of a tree of masters the dark
        of the nearest exposure time is taken, as the log says.
    scale : str, number, array or None, default: "EXPTIME"
        A keyword: the dark is multiplied by its value for the frame over that for the dark. Or the factor itself, one
        number, or one for each frame. None takes the dark as it is.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        As from `subtract_bias`. The label DARKCOR names the dark.

    Raises
    ------
    ValueError
        As `subtract_bias`; also if the frames or the dark lack the keyword of ``scale``.
    TypeError, OSError
        As `subtract_bias`.

    Warns
    -----
    UserWarning
        The dark is scaled, and no card says that its bias was subtracted; temperature or gain of the dark are others;
        or a dark was subtracted before.

    Notes
    -----
    The variance becomes ``v + s^2 v_d``. If the same bias was taken off the frames and the dark (BIASCOR names it), its
    part counts with ``(1 - s)``.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> lights = xccd.open_stack([(np.full((1, 2), 100.0), {"EXPTIME": t}) for t in (60.0, 120.0)])
    >>> dark = xccd.open_image((np.full((1, 2), 6.0), {"EXPTIME": 60.0, "BIASCOR": "bias.fits"}))
    >>> lights.ccd.subtract_dark(dark).values.tolist()
    [[[94.0, 94.0]], [[88.0, 88.0]]]
    """
    run = partial(_subtract_dark, dark=dark, scale=scale, dim=dim)
    return samples.on_images(obj, run, "subtract_dark", dim, ("bias", "dark"))  # type: ignore[no-any-return]


def _subtract_dark(stack: xr.DataArray, *, dark: Any, scale: Any, dim: Hashable) -> xr.DataArray:
    check_again(stack, dim, "DARKCOR", "subtract_dark")
    master = _checked("dark", dark, stack, dim)
    check_settings(master, stack, dim, TEMPERATURES, within=DEGREES)
    factors = _factors(scale, master, stack, dim)
    if (factors != 1).any() and not any(keyword_of(master.image, k) for k in WITHOUT_BIAS):
        warn(
            f"{master.shown} is scaled by {_range(factors)}, and no card (BIASCOR) says that its bias was subtracted: "
            "a bias must not be scaled. Use dark.ccd.subtract_bias(bias) before, or scale=None if the dark is as long "
            "as the frames"
        )
    s = (factors * unit_factor(master, stack)).reshape((-1,) + (1,) * (stack.ndim - 1))
    made = _minus(stack, dim, master, s, bias=_same_bias(master, stack, dim))
    made = calibration.noted(made, dim, "DARKCOR", master.name)
    shown = scale if scale is None or isinstance(scale, str) else np.asarray(scale)
    return add_history(made, step_text("subtract_dark", dark=master.name, scale=shown))


def _range(factors: Any) -> str:
    least, most = factors.min(), factors.max()
    return f"{least:.4g}" if least == most else f"{least:.4g} to {most:.4g}"


def _same_bias(master: Master, stack: xr.DataArray, dim: Hashable) -> bool:
    """Whether one bias was taken off both, and the frames have no errors of other masters."""
    own = {k: v for k, v in calibration.done(stack, dim).items() if k not in ("TRIM", "OSCANSEC")}
    name = str(keyword_of(master.image, "BIASCOR") or "")
    return own == {"BIASCOR": name} and not name.startswith("<")  # an array without a name may be any


def _factors(scale: Any, master: Master, stack: xr.DataArray, dim: Hashable) -> np.ndarray[Any, Any]:
    """What the dark is multiplied by: one number, or one for each frame."""
    if scale is None:
        return np.ones(1)
    if not isinstance(scale, str):
        found = as_numbers("scale", scale)
        n = stack.sizes[dim] if dim in stack.dims else 1
        if found.dtype.kind not in "iuf" or found.shape not in ((), (1,), (n,)):
            raise ValueError(
                f"scale={scale!r} is no keyword, no number, and no list of {n} numbers, one for each frame"
            )
        if not (np.isfinite(found) & (found >= 0)).all():
            raise ValueError(f"scale={scale!r}: give finite numbers of 0 or more")
        return np.atleast_1d(found).astype(np.float64)
    way = "scale=None takes it as it is, a number is the factor itself"
    length = number_of(master.image, scale)
    if not length > 0 or not np.isfinite(length):
        raise ValueError(f"scale={scale!r}: {master.shown} has no {scale} above 0: {way}")
    if dim in stack.dims:
        values = np.asarray(keyword_of_frames("scale", scale, stack, dim), np.float64)
        names = frame_names(stack, dim)
    else:
        values, names = np.array([number_of(stack, scale)]), ["the image"]
    for i in np.flatnonzero(~(np.isfinite(values) & (values >= 0))).tolist():
        raise ValueError(f"scale={scale!r}: {names[i]} has {scale} = {values[i]:g}: {way}")
    return values / length


def _minus(stack: xr.DataArray, dim: Hashable, master: Master, s: Any, *, bias: bool = False) -> xr.DataArray:
    """The stack less ``s`` times the master, with the errors and flags of both."""
    flagged = flags_of(stack) is not None
    used = master if flagged else master.without_flags()
    values = placed(used.image, stack, dim)
    made = samples.with_data(stack, dim, np.subtract, _taken, values, s)
    notes.mark(array_of(made), notes.origin_of_samples(array_of(stack)))  # a gain is still that of the samples
    if not flagged:
        return made
    own = [placed(used.flags, stack, dim)] if used.flags is not None else []
    made = samples.with_flags(made, dim, samples.joined_flags, values, *own)
    if used.errors is None:
        return made
    errors, power = used.errors
    sides: tuple[Any, ...] = (placed(errors, stack, dim), s)
    if bias and (common := stack.coords.get(map_name(stack.name, "common"))) is not None:
        # v_b counts in the frames and in the dark: (1 - s)^2 v_b + s^2 (v_d - v_b) = v_b + s^2 v_d - 2 s v_b
        sides = (*sides, samples.first(common.transpose(*stack.dims), dim))
    add = partial(_more, power=power)
    made = samples.with_errors(made, dim, add, *sides)
    return samples.with_common(made, dim, add, *sides, adds=True)


def _taken(master: Any, s: Any, *, dtype: Any) -> Any:
    """What is subtracted from the samples."""
    s, values = s.astype(dtype, copy=False), master.astype(dtype, copy=False)
    alike = (s == s.flat[0]).all()
    return values if alike and s.flat[0] == 1 else values * (s.flat[0] if alike else s)


def _more(variance: Any, error: Any, s: Any, bias: Any = None, *, power: int) -> Any:
    found = variance + np.square(s) * samples.variance_of(error, power)
    return found if bias is None else np.maximum(found - 2 * s * np.square(np.asarray(bias, np.float64)), 0)
