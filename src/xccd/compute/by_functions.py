"""`sigma_clip` of one block, frames on axis 0, with a user's own function for centre or deviation, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xccd.errors import in_tree
from xccd.kernels.flags import Flag
from xccd.kernels.limits import MAD_TO_STD, float_dtype
from xccd.kernels.table import CENTERS, DEVIATIONS, ClipOptions
from xccd.messages import called

Statistic = str | Callable[..., Any]


class FunctionOptions(NamedTuple):
    """The options of a clip as in `table.ClipOptions`, but centre and deviation are names or functions."""

    center: Statistic
    deviation: Statistic
    low: float
    high: float
    ddof: int
    floor: float
    nkeep: int
    maxiters: int
    about_center: bool = False  # whether "std" is about the centre, not about the mean
    minimum: int = 0


def in_names(options: ClipOptions) -> FunctionOptions:
    """The same options, with the names of centre and deviation."""
    center, deviation = (
        next(name for name, number in names.items() if number == value)
        for names, value in ((CENTERS, options.center), (DEVIATIONS, options.deviation))
    )
    ddof, nkeep, maxiters = int(options.ddof), int(options.nkeep), int(options.maxiters)
    return FunctionOptions(
        center, deviation, options.low, options.high, ddof, options.floor, nkeep, maxiters,
        bool(options.about), int(options.minimum),
    )  # fmt: skip


def clipped(x: Any, options: FunctionOptions) -> Any:
    """The block with rejected samples NaN."""
    missing = (sides(x, options) != 0) | ~np.isfinite(x)
    return np.where(missing, np.nan, x).astype(float_dtype(x.dtype), copy=False)


def flags_by_functions(x: Any, flags: Any, options: FunctionOptions) -> Any:
    """The flags of the block, with those of the rejected samples added. Samples with a flag are not in use."""
    flags = np.where((flags == 0) & ~np.isfinite(x), np.uint8(Flag.NOT_FINITE), flags)
    x = np.where(flags == 0, x, np.nan).astype(float_dtype(x.dtype), copy=False)
    return flags | sides(x, options)


def sides(x: Any, options: FunctionOptions, passes_of: list[tuple[Any, Any]] | None = None) -> Any:
    """The flags that `sigma_clip` sets, uint8 in the shape of ``x``: the side of each rejected sample, else 0.

    The centre and the deviation of each pass that may reject something are added to ``passes_of``.
    """
    ddof, nkeep = options.ddof, options.nkeep
    low, high = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)
    found = np.zeros(x.shape, np.uint8)
    values = np.where(np.isfinite(x), x, np.nan).astype(np.float64)  # so that a user's mean does not round in float32
    live = np.ones(x.shape[1:], bool)
    passes = 0
    while passes != options.maxiters and live.any():
        valid = np.isfinite(values)
        shown = np.where(valid.any(0), values, 0.0)  # NumPy's nan-functions warn about pixels that are all NaN
        with np.errstate(all="ignore"):
            center = _computed_statistic("center", options.center, shown, ddof)
            residual = values - center
            # not fmax: where the deviation is NaN nothing may be rejected
            if options.about_center and options.deviation == "std":
                size = _root_mean_square(residual, ddof)
            else:
                size = _computed_statistic("deviation", options.deviation, shown, ddof)
            size = np.maximum(size, options.floor)
            below = residual < -options.low * size
            out = below | (residual > options.high * size)
        judged = live & (valid.sum(0) > nkeep) & (valid.sum(0) >= options.minimum)
        if passes_of is not None and judged.any():
            passes_of.append((center, size))
        out &= valid & judged
        out &= ~_to_put_back(np.abs(residual), valid, out, nkeep)
        live = out.any(0)  # a pixel that lost nothing would lose nothing in the next pass
        values[out] = np.nan
        found[out] = np.where(below[out], low, high)
        passes += 1
    return found


@in_tree
def marks(x: Any, function: Callable[..., Any]) -> Any:
    """The flags of the samples that a user's function rejects, uint8; ``x`` is (frames, pixels), NaN where missing."""
    values = np.where(np.isfinite(x), x, np.nan).astype(np.float64)
    valid = np.isfinite(values)
    shown = np.where(valid.any(0), values, 0.0)  # NumPy's nan-functions warn about pixels that are all NaN
    with np.errstate(all="ignore"):
        found = np.asarray(function(shown, 0))
    if found.shape != values.shape or found.dtype != bool:
        raise ValueError(
            f"algorithm={called(function)} gave {found.dtype} of shape {found.shape} for values of shape "
            f"{values.shape}: it must give True for each sample to reject, bool of that shape"
        )
    return sides_of_median(values, found & valid)


def sides_of_median(values: Any, rejected: Any) -> Any:
    """The flags of rejected samples by their side of the median of their pixel, uint8; values are NaN where missing."""
    found = np.zeros(values.shape, np.uint8)
    some = np.flatnonzero(rejected.any(0))
    if some.size:
        part = values[:, some]
        low = part < np.nanmedian(part, axis=0)
        sides = np.where(low, np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH))
        found[:, some] = np.where(rejected[:, some], sides, np.uint8(0))
    return found


def _to_put_back(distance: Any, valid: Any, out: Any, nkeep: int) -> Any:
    """Mask of the rejected samples to put back: those of smallest residual, until each pixel has ``nkeep``."""
    left = (valid & ~out).sum(0)
    lacking = np.clip(np.minimum(valid.sum(0), nkeep) - left, 0, None)
    ranked = np.sort(np.where(out, distance, np.inf), axis=0)
    # Samples as far as the last one come back with it, so the order of frames plays no role.
    edge = np.take_along_axis(ranked, np.maximum(lacking - 1, 0)[None], 0)[0]
    return out & (lacking > 0) & (distance <= edge)


@in_tree
def _computed_statistic(argument: str, given: Statistic, values: Any, ddof: int) -> Any:
    """The centre or deviation of each pixel, by a user's function or by name."""
    if not callable(given):
        return _STATISTICS[given](values, ddof)
    result = np.asarray(given(values, 0))
    if result.shape != values.shape[1:]:
        raise ValueError(
            f"{argument}={called(given)} gave shape {result.shape} for values of shape "
            f"{values.shape} along axis 0: it must give {values.shape[1:]}"
        )
    if argument == "center" and np.isnan(result).any():  # pixels without samples have 0 here
        raise ValueError(
            f"center={called(given)} gave NaN for {int(np.isnan(result).sum())} pixels that have "
            "valid samples: values are NaN where missing, use a function that skips them, as np.nanmedian"
        )
    return result


def _mean(values: Any, _: int) -> Any:
    """The mean, computed about the median, so that equal samples have residuals of exactly 0."""
    middle = np.nanmedian(values, axis=0)
    return middle + np.nanmean(values - middle, axis=0)


def _std(values: Any, ddof: int) -> Any:
    """The standard deviation; NaN, which rejects nothing, for ``ddof`` samples or fewer, as in the kernel."""
    shifted = values - np.nanmedian(values, axis=0)
    n = np.isfinite(values).sum(0)
    square = np.nanvar(shifted, axis=0) * n
    return np.sqrt(np.where(n > ddof, square / np.where(n > ddof, n - ddof, 1), np.nan))


def _root_mean_square(residual: Any, ddof: int) -> Any:
    """The square root of the sum of squares over n - ddof; NaN for ``ddof`` samples or fewer."""
    n = np.isfinite(residual).sum(0)
    return np.sqrt(np.nansum(residual * residual, axis=0) / np.where(n > ddof, n - ddof, np.nan))


def _mad_std(values: Any, _: int) -> Any:
    center = np.nanmedian(values, axis=0)
    return MAD_TO_STD * np.nanmedian(np.abs(values - center), axis=0)


_STATISTICS: dict[str, Callable[..., Any]] = {
    "mean": _mean,
    "median": lambda values, _: np.nanmedian(values, axis=0),
    "std": _std,
    "mad_std": _mad_std,
}
