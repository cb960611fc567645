"""`find_offsets`: the offsets between frames, measured from their pixels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import progress
from xccd.labels.choices import OffsetMethod
from xccd.labels.frames import check_stack, frame_names, unflagged
from xccd.labels.warn import warn
from xccd.messages import called, did_you_mean, is_whole
from xccd.sky import shifts
from xccd.sky.phase import overlap
from xccd.sky.shifts import METHODS, Found, Frame
from xccd.verbs.channels import without_channels
from xccd.verbs.only_array import only_array

Array = np.ndarray[Any, Any]
GROUP_BYTES = 256 << 20  # of frames that are read together
FINEST = 100  # parts of a pixel, of a correlation
LISTED = 5  # frames named in a warning


def find_offsets(
    stack: xr.DataArray | xr.Dataset,
    method: OffsetMethod = "auto",
    *,
    reference: int = 0,
    precision: int | None = None,
    plot: Any = None,
) -> xr.DataArray:
    """Measure the offsets between frames without WCS, for ``align(offsets=...)``. Reads the frames at once.

    Parameters
    ----------
    stack : DataArray or Dataset
        Frames (frame, y, x), raw or calibrated, or the colours of `debayer`, of which the mean counts. Samples that are
        not finite are left out. A Dataset must have one variable with ``frame`` that is not a map.
    method : {"auto", "phase", "stars"}, default: "auto"
        "stars" finds the shift on which most pairs of stars agree, and takes the mean of their centroids. "phase" is
        for any scene, such as planets and nebulae: the peak of the correlation of the pixels. Calibrate frames for it:
        a pattern that stays on the detector draws small shifts to 0. Stars only check it. "auto" takes the stars, and
        the correlation for frames whose stars do not tell. Hot pixels, cosmic rays, trails and gradients of the sky
        lead none of them.
    reference : int, default: 0
        The index of the frame that the others are compared with. By stars, a frame that has too few in common with it
        is compared with all frames that are placed already.
    precision : int, optional
        Round to multiples of 1 / ``precision`` pixel. 1 gives whole pixels, which `align` copies.
    plot : matplotlib Axes, optional
        Draw the offsets here, coloured by the correlation after the shift.

    Returns
    -------
    DataArray
        Offsets (frame, axis) as float64: rows and columns, in pixels. Coordinates on ``frame``: ``matched``, the number
        of stars that agree on the offset (0 where the pixels were correlated); ``error``, the estimated standard error
        of the offset in pixels; ``doubtful``, true for the frames of the warning; ``correlation`` with the reference
        where both overlap after the shift.

    Raises
    ------
    ValueError
        The method is unknown, the reference does not exist, the Dataset has several stacks, or a frame has no valid
        pixels. A frame is turned or scaled, so that its corners move by over 1.5 pixels. With "stars": a frame has too
        few stars in common with the others.
    TypeError
        ``stack`` is not a DataArray or a Dataset.
    ImportError
        sep (for stars) or scikit-image (for the correlation) is not installed.

    Warns
    -----
    UserWarning
        The offset of a frame may be wrong: another shift is nearly as good, it may be off by over 0.3 pixel and over
        1 / ``precision``, the frame is slightly turned, what matches stays at its pixels as hot pixels do, or the stars
        say another shift than the correlation. The warning names the frames.

    Notes
    -----
    Each pair of stars, one of the reference and one of the frame, votes for a shift. A shift counts if stars strewn at
    random would give so many votes in less than one of 10000 frames. Stars that stay on their pixels while others agree
    on another shift are a pattern of the detector. Of a raw frame of a colour camera, means over neighbours count.
    Stars are weighted by the error of their centroids (King 1983, PASP 95, 163). The correlation is Padfield's
    (2012, IEEE TIP 21, 2706), of pixels minus their surroundings, and then upsampled by scikit-image.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> scene = np.random.default_rng(0).exponential(10, (80, 90))
    >>> stack = xccd.open_stack([(scene[8:72, 8:72], {}), (scene[5:69, 12:76], {})])
    >>> offsets = stack.ccd.find_offsets(precision=1)
    >>> offsets.values.tolist()
    [[0.0, 0.0], [-3.0, 4.0]]
    >>> stack.ccd.align(offsets=offsets).shape
    (2, 67, 68)
    """
    stack = without_channels(only_array("find_offsets", stack))
    _check(stack, method, reference, precision)
    stack = unflagged(stack).transpose("frame", "y", "x")
    names = frame_names(stack, "frame")
    found, alike = _all(stack, method, reference % stack.sizes["frame"], precision or FINEST, names)
    offsets = np.array([one.offset for one in found])
    if precision is not None:
        offsets = np.round(offsets * precision) / precision
    _doubt(found, names)
    labels = {
        "correlation": alike,
        "matched": [one.matched for one in found],
        "error": [one.error for one in found],
        "doubtful": [bool(one.doubt) for one in found],
    }
    on_frame = {name: ("frame", np.array(values)) for name, values in labels.items()}
    result = xr.DataArray(
        offsets + 0.0, dims=("frame", "axis"), coords={"axis": ["y", "x"], **on_frame}, name="offsets"
    )
    result = result.assign_coords({k: stack.coords[k].variable for k in ("file", "chip") if k in stack.coords})
    if plot is not None:
        _draw(plot, result)
    return result


def _check(stack: xr.DataArray, method: Any, reference: Any, precision: Any) -> None:
    n = check_stack(stack, "frame", fixed=True)
    if not isinstance(method, str) or method not in METHODS:
        near = did_you_mean(method, METHODS)
        raise ValueError(f"method={called(method)} is unknown: use one of {', '.join(METHODS)}{near}")
    if set(stack.dims) != {"frame", "y", "x"}:
        raise ValueError(f"find_offsets takes frames (frame, y, x), this stack has {dict(stack.sizes)}")
    if not is_whole(reference) or not -n <= reference < n:
        raise ValueError(f"reference={reference!r}: the frames are 0 to {n - 1}")
    if precision is not None and (not is_whole(precision) or not 1 <= precision <= 1000):
        raise ValueError(f"precision={precision!r} is not a whole number from 1 to 1000")


def _all(
    stack: xr.DataArray, method: str, reference: int, precision: int, names: list[str]
) -> tuple[list[Found], Array]:
    """The shift of each frame, and its correlation with the reference after it."""
    first = _frame(stack[reference].values, method, names[reference])
    found: dict[int, Found] = {reference: Found(np.zeros(2), 0 if method == "phase" else first.number, 0.0, "")}
    alike = np.ones(stack.sizes["frame"])
    missed: dict[int, Frame] = {}
    direct = METHODS["stars" if method == "auto" else method]
    placed: list[tuple[Frame, Found]] = []
    for k, image in _read(stack, [k for k in range(stack.sizes["frame"]) if k != reference]):
        frame = _frame(image, method, names[k])
        one = direct(first, frame, precision)
        if one is None or (one.is_pattern and method != "phase"):
            missed[k] = frame.without_pixels()
            continue
        found[k], alike[k] = _sure(one, names[k]), _correlation(first.image, image, one.offset)
        placed.append((frame.without_pixels(), one))
    by_others, near = shifts.by_others(first, placed, missed, precision) if missed else ({}, first)
    for k, image in _read(stack, list(missed)):
        one = by_others.get(k) or METHODS[method](near, _frame(image, method, names[k]), precision)
        if one is None:
            raise ValueError(
                f"{names[k]}: too few stars match those of the reference (it has {missed[k].number}, the reference "
                f"{first.number}): use method='phase', or another reference="
            )
        found[k], alike[k] = _sure(one, names[k]), _correlation(first.image, image, one.offset)
    return [found[k] for k in sorted(found)], alike


def _read(stack: xr.DataArray, which: list[int]) -> Iterator[tuple[int, Array]]:
    """The frames one by one, read in groups that fit into memory."""
    size = max(1, int(GROUP_BYTES // max(1, stack.nbytes // stack.sizes["frame"])))
    groups = [which[start : start + size] for start in range(0, len(which), size)]
    pairs = (pair for group in groups for pair in zip(group, stack[group].values, strict=True))
    yield from progress.over(pairs, "find offsets", len(which), "frames")


def _frame(image: Array, method: str, name: str) -> Frame:
    if not np.isfinite(image).any():
        raise ValueError(f"{name} has no pixels: there is nothing to compare")
    return shifts.measured(image, method)


def _sure(found: Found, name: str) -> Found:
    """The shift of a frame. Raises if no shift describes it."""
    if found.is_turned:
        raise ValueError(
            f"{name} is turned by {np.rad2deg(found.turn):.3g} degrees and stretched by {1 + found.stretch:.4g}: "
            "offsets do not describe it, align(transforms='similarity') does"
        )
    return found


def _correlation(reference: Array, frame: Array, offset: Array) -> float:
    """The correlation of both frames where they overlap after the shift."""
    one, other = overlap(reference, frame, offset)
    good = np.isfinite(one) & np.isfinite(other)
    one, other = one[good].astype(np.float64), other[good].astype(np.float64)
    if one.size < 2 or not (np.ptp(one) and np.ptp(other)):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _doubt(found: list[Found], names: list[str]) -> None:
    doubts = [f"{name} ({one.doubt})" for one, name in zip(found, names, strict=True) if one.doubt]
    if doubts:
        more = f" and {len(doubts) - LISTED} more" if len(doubts) > LISTED else ""
        warn(
            f"find_offsets: the offset may be wrong of {', '.join(doubts[:LISTED])}{more}: look at it, or leave out "
            "the frames that are doubtful in the result"
        )


def _draw(axes: Any, offsets: xr.DataArray) -> None:
    """Draw the offsets in a plane, coloured by the correlation."""
    drawn = axes.scatter(offsets[:, 1], offsets[:, 0], c=offsets.correlation, vmin=0, vmax=1)
    for i, (y, x) in enumerate(offsets.values):
        axes.annotate(str(i), (x, y), xytext=(4, 4), textcoords="offset points")
    axes.set(xlabel="columns", ylabel="rows", title="offsets of frames")
    axes.figure.colorbar(drawn, ax=axes, label="correlation with the reference")
