"""`sigma_clip` of one block, frames on axis 0, with a user's own centre or deviation, in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xccd.kernels.flags import Flag
from xccd.kernels.limits import MAD_TO_STD, float_dtype
from xccd.messages import called

Statistic = str | Callable[..., Any]


def by_functions(x: Any, **rule: Any) -> Any:
    """What `sides` leaves of a block, NaN elsewhere."""
    missing = (sides(x, **rule) != 0) | ~np.isfinite(x)
    return np.where(missing, np.nan, x).astype(float_dtype(x.dtype), copy=False)


def flags_by_functions(x: Any, flags: Any, **rule: Any) -> Any:
    """The flags of a block, and of what `sides` takes of the samples that have none."""
    flags = np.where((flags == 0) & ~np.isfinite(x), np.uint8(Flag.NOT_FINITE), flags)
    x = np.where(flags == 0, x, np.nan).astype(float_dtype(x.dtype), copy=False)
    return flags | sides(x, **rule)


def sides(
    x: Any, *, center: Statistic, deviation: Statistic, bounds: list[float], maxiters: int,
    ddof: int, floor: float, nkeep: int,
) -> Any:  # fmt: skip
    """Which samples `sigma_clip` rejects, by the flag of their side; all pixels of the block at a time."""
    low, high = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)
    found = np.zeros(x.shape, np.uint8)
    values = np.where(np.isfinite(x), x, np.nan).astype(np.float64)
    live = np.ones(x.shape[1:], bool)
    passes = 0
    while passes != maxiters and live.any():
        valid = np.isfinite(values)
        shown = np.where(valid.any(0), values, 0.0)  # functions that skip NaN warn of pixels that are all NaN
        with np.errstate(all="ignore"):
            residual = values - _statistic("center", center, shown, ddof)
            size = np.maximum(_statistic("deviation", deviation, shown, ddof), floor)
            below = residual < -bounds[0] * size
            out = below | (residual > bounds[1] * size)
        out &= valid & live & (valid.sum(0) > nkeep)
        out &= ~_put_back(np.abs(residual), valid, out, nkeep)
        live = out.any(0)
        values[out] = np.nan
        found[out] = np.where(below[out], low, high)
        passes += 1
    return found


def _put_back(distance: Any, valid: Any, out: Any, nkeep: int) -> Any:
    """The rejected samples of smallest residual that bring each pixel back to ``nkeep``."""
    left = (valid & ~out).sum(0)
    lacking = np.clip(np.minimum(valid.sum(0), nkeep) - left, 0, None)
    ranked = np.sort(np.where(out, distance, np.inf), axis=0)
    edge = np.take_along_axis(ranked, np.maximum(lacking - 1, 0)[None], 0)[0]
    return out & (lacking > 0) & (distance <= edge)


def _statistic(argument: str, given: Statistic, values: Any, ddof: int) -> Any:
    """One number a pixel, by a user's function or by name."""
    if not callable(given):
        return _STATISTICS[given](values, ddof)
    result = np.asarray(given(values, 0))
    if result.shape != values.shape[1:]:
        raise ValueError(
            f"{argument}={called(given)} gave shape {result.shape} for values of shape "
            f"{values.shape} along axis 0: it must give {values.shape[1:]}"
        )
    if argument == "center" and np.isnan(result).any():  # pixels without samples were filled
        raise ValueError(
            f"center={called(given)} gave NaN for {int(np.isnan(result).sum())} pixels that have "
            "valid samples: values are NaN where missing, use a function that skips them, as np.nanmedian"
        )
    return result


def _mean(values: Any, _: int) -> Any:
    """About the median, so that equal samples have residuals of exactly 0."""
    middle = np.nanmedian(values, axis=0)
    return middle + np.nanmean(values - middle, axis=0)


def _std(values: Any, ddof: int) -> Any:
    """As the kernel's: NaN, which rejects nothing, for no more than ``ddof`` samples."""
    shifted = values - np.nanmedian(values, axis=0)
    n = np.isfinite(values).sum(0)
    square = np.nanvar(shifted, axis=0) * n
    return np.sqrt(np.where(n > ddof, square / np.where(n > ddof, n - ddof, 1), np.nan))


def _mad_std(values: Any, _: int) -> Any:
    center = np.nanmedian(values, axis=0)
    return MAD_TO_STD * np.nanmedian(np.abs(values - center), axis=0)


_STATISTICS: dict[str, Callable[..., Any]] = {
    "mean": _mean,
    "median": lambda values, _: np.nanmedian(values, axis=0),
    "std": _std,
    "mad_std": _mad_std,
}
