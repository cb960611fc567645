"""`find_offsets`: the offsets between frames, measured from their pixels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from xccd.labels.flags import not_taken, science_variables, with_maps
from xccd.labels.frames import check_stack, frame_names, unflagged
from xccd.labels.warn import warn
from xccd.messages import called, did_you_mean, is_whole

Array = np.ndarray[Any, Any]
GROUP_BYTES = 256 << 20  # of frames that are read together
TURNED, STRETCHED = 2e-3, 2e-3  # largest rotation in rad, and largest change of scale, of a plain shift
ALIKE = 0.2  # correlation with the reference below which an offset is doubtful


def find_offsets(
    stack: xr.DataArray | xr.Dataset,
    method: str = "phase",
    *,
    reference: int = 0,
    precision: int = 20,
    plot: Any = None,
) -> xr.DataArray:
    """Measure the offsets between frames without WCS, for ``align(offsets=...)``. Reads the frames at once.

    Parameters
    ----------
    stack : DataArray or Dataset
        Calibrated frames (frame, y, x). Hot pixels do not move with the scene and would look like no shift. A Dataset
        must have one variable with ``frame`` that is not a map.
    method : {"phase", "stars"}, default: "phase"
        "phase" finds the peak of the correlation with scikit-image, for any scene. "stars" matches triangles of stars
        with astroalign, for large shifts and frames that differ much.
    reference : int, default: 0
        The index of the frame that the others are compared with.
    precision : int, default: 20
        For "phase": offsets are multiples of 1 / ``precision`` pixel. 1 gives whole pixels, which `align` copies.
    plot : matplotlib Axes, optional
        Draw the offsets here, coloured by the correlation after the shift.

    Returns
    -------
    DataArray
        Offsets (frame, axis) as float64: rows and columns, in pixels. The coordinate ``correlation`` on ``frame`` is
        the correlation with the reference where both overlap after the shift.

    Raises
    ------
    ValueError
        The method is unknown, the reference does not exist, the Dataset has several stacks, or a frame has no valid
        pixels. With "stars": frames have too few stars in common, or are rotated or scaled.
    TypeError
        ``stack`` is not a DataArray or a Dataset.
    ImportError
        scikit-image or astroalign is not installed.

    Warns
    -----
    UserWarning
        A frame correlates with the reference by less than 0.2 after the shift.

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
    stack = _only_stack(stack)
    n = check_stack(stack, "frame")
    if not isinstance(method, str) or method not in METHODS:
        near = did_you_mean(method, METHODS)
        raise ValueError(f"method={called(method)} is unknown: use one of {', '.join(METHODS)}{near}")
    if set(stack.dims) != {"frame", "y", "x"}:
        raise ValueError(f"find_offsets takes frames (frame, y, x), this stack has {dict(stack.sizes)}")
    if not is_whole(reference) or not -n <= reference < n:
        raise ValueError(f"reference={reference!r}: the frames are 0 to {n - 1}")
    if not is_whole(precision) or not 1 <= precision <= 1000:
        raise ValueError(f"precision={precision!r} is not a whole number from 1 to 1000")
    stack = unflagged(stack).transpose("frame", "y", "x")
    names = frame_names(stack, "frame")
    first = _zero_where_masked(stack.isel(frame=reference).values, names[reference])
    found, alike = np.zeros((n, 2)), np.ones(n)
    size = max(1, int(GROUP_BYTES // max(1, stack.nbytes // n)))
    for start in range(0, n, size):
        for k, frame in enumerate(stack[start : start + size].values, start):
            if k != reference % n:  # it may count from the end
                frame = _zero_where_masked(frame, names[k])
                found[k] = METHODS[method](first, frame, precision, names[k])
                alike[k] = _correlation(first, frame, found[k])
    _doubt(alike, names)
    result = xr.DataArray(
        found, dims=("frame", "axis"), coords={"axis": ["y", "x"], "correlation": ("frame", alike)}, name="offsets"
    )
    result = result.assign_coords({k: stack.coords[k] for k in ("file", "chip") if k in stack.coords})
    if plot is not None:
        _draw(plot, result)
    return result


def _only_stack(stack: Any) -> xr.DataArray:
    """The stack itself, or the only stack of a Dataset with its maps."""
    if isinstance(stack, xr.Dataset):
        names = science_variables(stack, "frame")
        if len(names) > 1:
            raise ValueError(
                f"find_offsets compares the frames of one stack, this Dataset has {', '.join(map(str, names))}: "
                f"pick one, as ds[{names[0]!r}].ccd.find_offsets()"
            )
        return with_maps(stack, names[0])
    if not isinstance(stack, xr.DataArray):
        raise not_taken("find_offsets()", stack, "find_offsets takes a DataArray or a Dataset, not")
    return stack


def _zero_where_masked(frame: Array, name: str) -> Array:
    """The frame minus its median, 0 where masked."""
    good = np.isfinite(frame)
    if not good.any():
        raise ValueError(f"{name} has no pixels: there is nothing to compare")
    return np.asarray(np.where(good, frame - np.median(frame[good]), 0.0), np.float64)


def _phase(reference: Array, frame: Array, precision: int, name: str) -> Array:
    try:
        from skimage.registration import phase_cross_correlation
    except ImportError as error:
        raise ImportError("method='phase' needs scikit-image: pip install 'xccd[offsets]'") from error

    def shift_of(one: Array, other: Array, upsample: int) -> Array:
        rows, columns = (np.hanning(n + 2)[1:-1] for n in one.shape)
        window = rows[:, None] * columns  # the edges do not match, so they fade out
        # Not normalised: that would weight noise, and pixels masked in both, as much as stars.
        found, _, _ = phase_cross_correlation(
            one * window, other * window, upsample_factor=upsample, normalization=None
        )
        return np.asarray(found)

    whole = shift_of(reference, frame, 1)
    one, other = _overlap(reference, frame, whole)  # now both windows show the same scene
    return whole + shift_of(one, other, precision) if min(one.shape) > 1 else whole


def _offset_by_stars(reference: Array, frame: Array, precision: int, name: str) -> Array:
    try:
        import astroalign
    except ImportError as error:
        raise ImportError("method='stars' needs astroalign: pip install 'xccd[offsets]'") from error
    try:
        found, _ = astroalign.find_transform(frame, reference)
    except (astroalign.MaxIterError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: too few stars match those of the reference ({error})") from error
    if abs(found.rotation) > TURNED or abs(found.scale - 1) > STRETCHED:
        raise ValueError(
            f"{name} is turned by {np.rad2deg(found.rotation):.3g} degrees and stretched by {found.scale:.4g}: offsets "
            "do not describe it, solve its WCS"
        )
    # of a transform that also turns a little, the shift at the centre is the mean of all
    centre = np.array(frame.shape)[::-1] / 2
    return np.asarray((found(centre)[0] - centre)[::-1])


METHODS: dict[str, Callable[[Array, Array, int, str], Array]] = {"phase": _phase, "stars": _offset_by_stars}


def _overlap(reference: Array, frame: Array, offset: Array) -> tuple[Array, Array]:
    """The parts of both frames that overlap after a shift by whole pixels."""
    dy, dx = (round(float(v)) for v in offset)
    rows, columns = frame.shape
    one = reference[max(0, dy) : rows + min(0, dy), max(0, dx) : columns + min(0, dx)]
    return one, frame[max(0, -dy) : rows - max(0, dy), max(0, -dx) : columns - max(0, dx)]


def _correlation(reference: Array, frame: Array, offset: Array) -> float:
    """The correlation of both frames where they overlap after the shift."""
    one, other = (part.ravel() for part in _overlap(reference, frame, offset))
    if one.size < 2 or not (np.ptp(one) and np.ptp(other)):
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _doubt(alike: Array, names: list[str]) -> None:
    poor = np.flatnonzero(alike < ALIKE)
    if poor.size:
        more = f" (and {poor.size - 1} more)" if poor.size > 1 else ""
        warn(
            f"find_offsets: {names[poor[0]]}{more} has a correlation of {alike[poor[0]]:.2f} with the reference after "
            "the shift: its offset may be wrong, look at it, or use method='stars'"
        )


def _draw(axes: Any, offsets: xr.DataArray) -> None:
    """Draw the offsets in a plane, coloured by the correlation."""
    drawn = axes.scatter(offsets[:, 1], offsets[:, 0], c=offsets.correlation, vmin=0, vmax=1)
    for i, (y, x) in enumerate(offsets.values):
        axes.annotate(str(i), (x, y), xytext=(4, 4), textcoords="offset points")
    axes.set(xlabel="columns", ylabel="rows", title="offsets of frames")
    axes.figure.colorbar(drawn, ax=axes, label="correlation with the reference")
