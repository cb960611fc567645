"""`measure_stars`: the stars of an image, or what they say of each frame of a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import progress
from xccd.kernels.limits import float_dtype
from xccd.labels.frames import check_array, check_stack, unflagged
from xccd.labels.lazy import array_of
from xccd.messages import is_number, is_whole
from xccd.sky.stars import Stars, find_stars, noise_of
from xccd.verbs.channels import without_channels
from xccd.verbs.levels import LEVELS
from xccd.verbs.only_array import only_array

Array = np.ndarray[Any, Any]
GROUP_BYTES = 256 << 20  # of frames that are read together
TEXTS = {  # long names, and units if they are not those of the samples
    "x": ("column of the centre", "pixel"),
    "y": ("row of the centre", "pixel"),
    "flux": ("light above the sky", None),
    "peak": ("height of the profile above the sky", None),
    "fwhm": ("width of stars at half of their peak", "pixel"),
    "elongation": ("long axis of stars over their short axis", "1"),
    "snr": ("signal over the noise of the sky", "1"),
    "stars": ("number of stars", "1"),
    "background": ("median of the clipped frame", None),
    "noise": ("noise from differences along rows", None),
    "missing": ("share of missing samples", "1"),
    "saturated": ("share of saturated samples", "1"),
}


def measure_stars(
    obj: xr.DataArray | xr.Dataset,
    *,
    threshold: float = 4.0,
    most: int = 500,
    saturation: float | None = None,
) -> xr.Dataset:
    """List the stars of an image, or measure the quality of each frame of a stack. Reads the samples at once.

    Parameters
    ----------
    obj : DataArray or Dataset
        An image (y, x) or a stack (frame, y, x); of the colours of `debayer` the mean. Samples that are not finite are
        left out. A Dataset must have one variable that is not a map. Measure before `align`: resampling halves the
        noise and widens stars.
    threshold : float, default: 4
        The faintest light that counts, in units of the noise, after a filter of the size of a star.
    most : int, default: 500
        The brightest so many stars are measured.
    saturation : float, optional
        Samples at or above it are saturated; they are part of no star's fit.

    Returns
    -------
    Dataset
        Of an image, on ``star``, brightest first, as float64: ``x``, ``y`` (centres, in the numbers of the coordinates
        ``x`` and ``y``), ``flux``, ``peak`` (above the sky), ``fwhm`` (pixels), ``elongation``, ``snr``.

        Of a stack, on ``frame``: ``stars`` (how many, int64), ``fwhm`` and ``elongation`` (their medians, NaN without
        stars), ``background``, ``noise`` and the shares ``missing`` and, if ``saturation`` is given, ``saturated``.
        They can be labels: ``stack.assign_coords(stack.ccd.measure_stars())``.

    Raises
    ------
    ValueError
        ``obj`` has other dimensions, the Dataset has several images, ``threshold``, ``most`` or ``saturation`` is out
        of range.
    TypeError
        ``obj`` is not a DataArray or a Dataset.
    ImportError
        sep is not installed.

    See Also
    --------
    find_offsets : how far frames lie apart, from their stars

    Notes
    -----
    sep, the library of Source Extractor (Bertin and Arnouts 1996, A&AS 117, 393), finds islands of light on a map of
    the sky. Hot pixels and cosmic rays are left out first: pixels whose neighbours do not share their light. Islands
    are fitted by Moffat profiles (1969, A&A 3, 455); those much smaller, larger or longer than most are no stars. The
    width is that of the image, in which each pixel is a mean over its area: at 1.6 pixels this adds 8 %, at 3 pixels
    2 %.

    ``background`` is the median after clips at 3 standard deviations. ``noise`` is 1.4826 / sqrt(6) times the median
    of abs(2 x(i) - x(i-2) - x(i+2)) along rows: shading and stars hardly raise it.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> v, u = np.mgrid[:100, :120]
    >>> frame = rng.normal(1000, 5, (100, 120)) + 800 * np.exp(-((u - 40.3) ** 2 + (v - 60.8) ** 2) / 4.5)
    >>> stack = xccd.open_stack([(frame, {})])
    >>> star = stack[0].ccd.measure_stars()
    >>> star.sizes["star"], star.x.round(1).item(), star.y.round(1).item(), star.fwhm.round(1).item()
    (1, 40.3, 60.8, 3.5)
    >>> labelled = stack.assign_coords(stack.ccd.measure_stars())
    >>> labelled.stars.item(), labelled.noise.round().item()
    (1, 5.0)
    """
    if not _is_number(threshold) or threshold <= 0:
        raise ValueError(f"threshold={threshold!r} is not a finite number above 0")
    if saturation is not None and not _is_number(saturation):
        raise ValueError(f"saturation={saturation!r} is not a finite number")
    if not is_whole(most) or most < 1:
        raise ValueError(f"most={most!r} is not a whole number of 1 or more")
    array = _checked(without_channels(only_array("measure_stars", obj, what="image or stack")))
    how = {"threshold": float(threshold), "most": int(most)}
    if "frame" in array.dims:
        return _of_stack(array, how, saturation)
    return _of_image(array, how, saturation)


def _is_number(value: Any) -> bool:
    return is_number(value) and bool(np.isfinite(float(value)))


def _checked(array: xr.DataArray) -> xr.DataArray:
    if set(array.dims) not in ({"frame", "y", "x"}, {"y", "x"}):
        raise ValueError(f"measure_stars takes an image (y, x) or frames (frame, y, x), this has {dict(array.sizes)}")
    if "frame" in array.dims:
        check_stack(array, "frame", fixed=True)
    else:
        float_dtype(array.dtype)
        check_array("the image", array_of(array))
    return unflagged(array).transpose(*(dim for dim in ("frame", "y", "x") if dim in array.dims))


def _stars(image: Array, how: dict[str, Any], saturation: float | None) -> Stars:
    bad: Array | None = None if saturation is None else np.asarray(image >= saturation)
    return find_stars(image, bad, **how)


def _of_image(image: xr.DataArray, how: dict[str, Any], saturation: float | None) -> xr.Dataset:
    found = _stars(image.values, how, saturation)
    columns = {"x": _labels(image, "x", found.x), "y": _labels(image, "y", found.y)}
    columns |= {name: getattr(found, name) for name in ("flux", "peak", "fwhm", "elongation", "snr")}
    return _table(columns, "star", image)


def _labels(image: xr.DataArray, axis: str, index: Array) -> Array:
    """Positions along an axis in the numbers of its coordinate; between pixels they are interpolated."""
    labels = image.coords.get(axis)
    if labels is None or labels.dims != (axis,) or labels.dtype.kind not in "iuf":
        return index
    numbers = labels.values.astype(np.float64)
    if len(numbers) < 2:
        return np.asarray(index + numbers[0])
    first = np.clip(np.floor(index).astype(int), 0, len(numbers) - 2)
    return np.asarray(numbers[first] + (index - first) * (numbers[first + 1] - numbers[first]))


def _of_stack(stack: xr.DataArray, how: dict[str, Any], saturation: float | None) -> xr.Dataset:
    n = stack.sizes["frame"]
    size = max(1, int(GROUP_BYTES // max(1, stack.nbytes // n)))
    frames = (image for start in range(0, n, size) for image in stack[start : start + size].values)
    rows = [_quality(image, how, saturation) for image in progress.over(frames, "measure stars", n, "frames")]
    table = _table({name: np.array([row[name] for row in rows]) for name in rows[0]}, "frame", stack)
    return table.assign_coords({k: stack.coords[k].variable for k in ("file", "chip") if k in stack.coords})


def _quality(image: Array, how: dict[str, Any], saturation: float | None) -> dict[str, float]:
    """The row of a frame."""
    found = _stars(image, how, saturation)
    good = image[np.isfinite(image)].astype(np.float64)
    row: dict[str, float] = {
        "stars": len(found),
        "fwhm": float(np.median(found.fwhm)) if len(found) else np.nan,
        "elongation": float(np.median(found.elongation)) if len(found) else np.nan,
        "background": LEVELS["clipped_median"](good) if good.size else np.nan,
        "noise": noise_of(image),
        "missing": 1 - good.size / image.size,
    }
    if saturation is not None:
        row["saturated"] = float(np.count_nonzero(image >= saturation)) / image.size
    return row


def _table(columns: dict[str, Array], dim: str, of: xr.DataArray) -> xr.Dataset:
    """The columns as variables, with their names and units."""
    own = of.attrs.get("units")
    attrs = {
        name: {"long_name": TEXTS[name][0]} | ({"units": unit} if (unit := TEXTS[name][1] or own) else {})
        for name in columns
    }
    return xr.Dataset({name: (dim, values, attrs[name]) for name, values in columns.items()})
