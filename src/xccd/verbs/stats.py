"""`stats`: a table of the frames of a stack, a row each."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.compute.arrays import is_dask
from xccd.compute.frame_stats import Look, of_frames, stride
from xccd.headers import cards, common
from xccd.headers.coords import keyword_value
from xccd.kernels.flags import Flag
from xccd.labels import calibration
from xccd.labels.flags import flags_of
from xccd.labels.frames import check_stack, file_names
from xccd.labels.lazy import array_of
from xccd.messages import is_number
from xccd.sky.stars import find_stars, needs_sep, noise_of
from xccd.verbs.levels import LEVELS
from xccd.verbs.only_array import only_array
from xccd.verbs.photon_noise import camera_numbers, check_numbers
from xccd.verbs.stats_printed import StatsTable
from xccd.verbs.stats_rejected import samples_and_flags
from xccd.verbs.stats_table import odd_frames, short_names

Array = np.ndarray[Any, Any]
RANKS = ("median", "background", "noise")
STARS = ("stars", "fwhm", "elongation")
COUNTS = ("rejected_low", "rejected_high", "stars")  # whole numbers, as those of flags
CAUSES = tuple(flag for flag in Flag if flag not in (Flag.REJECTED_LOW, Flag.REJECTED_HIGH))
FLAGS = tuple(f"flag_{flag.name}".lower() for flag in CAUSES)
ORDER = ("name", "mean", *RANKS, "min", "max", "missing", "saturated", "rejected_low", "rejected_high", "rejected",
         *FLAGS, *STARS)  # fmt: skip
MEASURED = tuple(name for name in ORDER if name not in ("name", *FLAGS))
TEXTS = {  # long names, and units if they are not those of the samples
    "name": ("frame, as far as names differ", ""),
    "mean": ("mean", None),
    "median": ("median", None),
    "background": ("median of the clipped frame", None),
    "noise": ("noise from differences along rows", None),
    "min": ("least sample", None),
    "max": ("greatest sample", None),
    "missing": ("share of samples that are not in use", "1"),
    "saturated": ("share of saturated samples", "1"),
    "rejected_low": ("number of samples rejected as too low", "1"),
    "rejected_high": ("number of samples rejected as too high", "1"),
    "rejected": ("share of rejected samples", "1"),
    "stars": ("number of stars", "1"),
    "fwhm": ("width of stars at half of their peak", "pixel"),
    "elongation": ("long axis of stars over their short axis", "1"),
    "odd": ("how the frame differs from most", ""),
    **{name: (f"number of samples with the flag {name.removeprefix('flag_')}", "1") for name in FLAGS},
}


def stats(
    obj: xr.DataArray | xr.Dataset,
    *,
    stars: bool = False,
    saturation: float | str | Sequence[float] | None = None,
    flags: bool = False,
    original: xr.DataArray | None = None,
    dim: Hashable = "frame",
) -> xr.Dataset:
    """Measure each frame of a stack: a table with a row a frame, in which odd frames are marked.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack. Samples that are not finite, and those with a flag, are not in use. A Dataset must have one variable
        that is not a map. All planes of a cube count as one frame: pick one, as ``stack.sel(channel=0)``, for its own.
    stars : bool, default: False
        Also measure the stars, as `measure_stars` does. Takes a second or more for a frame of 2048 x 2048.
    saturation : float, list of float, or str, optional
        Samples at or above it are saturated: a number, one a frame, or a keyword. Default: SATURATE of the headers,
        if the samples are known to be those of files. After arithmetic, and after the load of dask chunks, that is
        not known.
    flags : bool, default: False
        Also count the samples with each other flag. For a flagged Dataset, and where rejected samples are counted.
    original : DataArray, optional
        The same frames before a clip, for a stack in memory whose rejected samples are NaN. They are then counted, as
        low or high by their side of the median of what is left in their pixel.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    Dataset
        On ``frame``. In memory it prints as a table, a line for each frame.

        - ``name``: the file, as far as names differ;
        - ``mean``, ``median``, ``background`` (the median after clips at 3 standard deviations), ``noise`` (from
          differences along rows), ``min``, ``max``, in the unit of the samples;
        - ``missing``: the share of samples that are not in use, for whatever reason;
        - ``saturated``: the share of saturated samples, where that is known;
        - of a flagged Dataset, after the clip of a lazy stack, and with ``original``: ``rejected_low`` and
          ``rejected_high``, numbers of samples that clips rejected, ``rejected``, their share, and with ``flags`` the
          numbers ``flag_masked_on_input`` and so on;
        - with ``stars``: ``stars`` (how many), ``fwhm`` (pixels), ``elongation``: medians, NaN without stars;
        - ``odd``: in words how the frame differs from most; "" if it does not.

        They can be labels: ``stack.assign_coords(stack.ccd.stats().compute())``. Lazy if the stack is a dask array: a
        selection of frames by a label needs ``compute()`` first. A stack that was opened with ``chunks=None`` is read
        now.

    Raises
    ------
    ValueError
        There is no dimension ``dim``, the stack is empty, the Dataset has several images, ``saturation`` is out of
        range, ``flags`` without flags, ``original`` has another shape, or ``stars`` of frames that have other
        dimensions than y and x.
    TypeError
        ``obj`` is not a DataArray or a Dataset, samples are no real numbers, or ``stars`` or ``flags`` is not True or
        False.
    ImportError
        ``stars`` without sep.

    See Also
    --------
    keep : leave the worst frames out
    measure_stars : the stars of an image

    Notes
    -----
    All samples count for the mean, the extremes and the shares. ``median``, ``background`` and ``noise`` are exact up
    to 2^18 samples in a frame. For a larger frame they come from every third, fifth, ... row, about 2^18 samples: the
    error of the median is 0.3 % of the scatter of the frame. ``attrs["rows"]`` says which.

    A frame is odd if it is farther from the median of the frames than 5 (1 + 5 / n) times their scatter (1.4826 times
    the median of absolute deviations), for n frames, of which there must be 5 or more. The difference must also
    matter: see :doc:`statistics`.

    The samples are looked at once, in bands within the limit of memory. With ``stars`` whole frames are needed, so
    bands that are computed from several frames, as those of a clip, are computed for some frames at a time, again for
    each group.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> frames = [rng.normal(500, 5, (64, 64)) for _ in range(6)]
    >>> frames[3] += 200
    >>> stack = xccd.open_stack([(frame, {}) for frame in frames])
    >>> table = stack.ccd.stats().compute()
    >>> table.background.round().values.tolist()
    [500.0, 500.0, 500.0, 700.0, 500.0, 500.0]
    >>> table.odd.values.tolist()
    ['', '', '', 'high background', '', '']
    >>> labelled = stack.assign_coords(table)
    >>> labelled.isel(frame=labelled.background < 600).sizes["frame"]
    5
    """
    for argument, value in (("stars", stars), ("flags", flags)):
        if not isinstance(value, bool | np.bool_):
            raise TypeError(f"{argument}={value!r} is not True or False")
    stack = only_array("stats", obj, dim)
    check_stack(stack, dim)
    x, marks = samples_and_flags(stack, dim, original)
    if flags and marks is None:
        raise ValueError("flags=True counts flags, and this stack has none: stack.ccd.to_dataset() gives it flags")
    if stars:
        _check_for_stars(stack, dim)
    limits = _limits(stack, dim, saturation)
    names = _columns(marks is not None, limits, stars, flags, stack)
    look = Look(_ranks, _stars if stars else None, (*RANKS, *(STARS if stars else ())), odd_frames, limits)
    fields = [(name, np.int64 if name in (*COUNTS, *FLAGS) else np.float64) for name in names]
    records = of_frames(x, marks, look, fields)
    columns = {name: records[name] for name in (*names, "odd")}
    if not is_dask(records):
        columns["odd"] = np.array(columns["odd"].tolist(), str)
    return _table(stack, dim, columns, x.shape)


def _check_for_stars(stack: xr.DataArray, dim: Hashable) -> None:
    if set(stack.dims) != {dim, "y", "x"}:
        rest = [d for d in stack.dims if d not in (dim, "y", "x")]
        way = f": pick one plane, as stack.isel({rest[0]}=0)" if rest and {"y", "x"} < set(stack.dims) else ""
        raise ValueError(f"stars=True takes frames (y, x), these have {dict(stack.sizes)}{way}")
    needs_sep()


def _limits(stack: xr.DataArray, dim: Hashable, saturation: Any) -> Array | None:
    """A limit for each frame, NaN where it is unknown; None if no limit is known."""
    if saturation is not None:
        if isinstance(saturation, bool) or (is_number(saturation) and not np.isfinite(float(saturation))):
            raise ValueError(f"saturation={saturation!r} is not a finite number: give a number or a keyword")
        values = camera_numbers("saturation", saturation, stack, dim)
        check_numbers("saturation", values, values > 0, "above 0", stack, dim)
        return np.broadcast_to(np.asarray(values, np.float64), stack.sizes[dim])
    if notes.origin_of_samples(array_of(stack)) != notes.READ or any(k in stack.coords for k in calibration.CARDS):
        return None
    texts = common.texts(stack, dim)
    values = np.array([cards.as_number(keyword_value(text, "SATURATE")) for text in texts], np.float64)
    values[~(values > 0)] = np.nan
    return values if len(values) == stack.sizes[dim] and np.isfinite(values).any() else None


def _columns(marked: bool, limits: Array | None, stars: bool, flags: bool, stack: xr.DataArray) -> list[str]:
    """The names of the columns of numbers, in order."""
    left_out = {"name", *(() if stars else STARS), *(() if flags else FLAGS)}
    if not marked:
        left_out |= {"rejected_low", "rejected_high", "rejected"}
    own = flags_of(stack)
    told = own is not None and "saturation" in own.attrs
    judged = marked and (told or "minmax" in str(stack.attrs.get("history", "")))
    if limits is None and not judged:
        left_out.add("saturated")
    return [name for name in ORDER if name not in left_out]


def _ranks(rows: Array) -> tuple[float, ...]:
    """Median, background and noise of rows, NaN where samples are not in use."""
    good = rows[np.isfinite(rows)].astype(np.float64)
    if not good.size:
        return (np.nan,) * len(RANKS)
    power = int(np.frexp(np.abs(good).max())[1])
    if abs(power) > 500:  # squares beyond float64: in other units, which is exact
        return tuple(float(np.ldexp(value, power)) for value in _ranks(np.ldexp(rows.astype(np.float64), -power)))
    return float(np.median(good)), LEVELS["clipped_median"](good), noise_of(rows)


def _stars(image: Array, saturated: Array) -> tuple[float, ...]:
    """Number, width and elongation of the stars of a frame, as `measure_stars` finds them."""
    found = find_stars(image, saturated if saturated.any() else None)
    if not len(found):
        return 0, np.nan, np.nan
    return len(found), float(np.median(found.fwhm)), float(np.median(found.elongation))


def _table(stack: xr.DataArray, dim: Hashable, columns: dict[str, Any], shape: tuple[int, ...]) -> StatsTable:
    """The columns as variables, with their names and units."""
    files = file_names(stack, dim)
    names = short_names(files) if files else [str(i) for i in range(stack.sizes[dim])]
    every = {"name": np.array(names), **columns}
    own = stack.attrs.get("units")
    made = {}
    for name, values in every.items():
        text, unit = TEXTS[name]
        unit = own if unit is None else unit
        made[name] = (dim, values, {"long_name": text} | ({"units": unit} if unit else {}))
    step = stride(shape[1:])
    rows = "all" if step == 1 else f"every {step}{'rd' if step == 3 else 'th'}"
    return StatsTable(made, attrs={"rows": f"{rows} for median, background and noise"})
