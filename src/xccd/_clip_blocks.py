"""What a clip does to one block, frames on axis 0: the kernels, and a user's own statistics in NumPy."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from xccd import _stack

Statistic = str | Callable[..., Any]


def sigma_clip(x: Any, start: int, stop: int, out: Any, *, rule: Any, maxiters: int) -> None:
    from xccd import kernels

    kernels.sigma_clip(x, rule, maxiters, start, stop, out)


def clip_extrema(x: Any, start: int, stop: int, out: Any, *, nlow: int, nhigh: int) -> None:
    from xccd import kernels

    kernels.clip_extrema(x, nlow, nhigh, start, stop, out)


def minmax(x: Any, *, low: float | None, high: float | None) -> Any:
    inside = np.isfinite(x)
    if low is not None:
        inside &= x >= low
    if high is not None:
        inside &= x <= high
    return np.where(inside, x, np.nan).astype(_stack.float_dtype(x.dtype), copy=False)


def by_functions(
    x: Any, *, center: Statistic, deviation: Statistic, bounds: list[float], maxiters: int,
    ddof: int, floor: float, nkeep: int,
) -> Any:  # fmt: skip
    """`sigma_clip` with a user's centre or deviation, all pixels of the block at a time."""
    dtype = _stack.float_dtype(x.dtype)
    values = np.where(np.isfinite(x), x, np.nan).astype(np.float64)
    middle = center if callable(center) else _STATISTICS[center]
    spread = deviation if callable(deviation) else _STATISTICS[deviation]
    live = np.ones(x.shape[1:], bool)
    passes = 0
    while passes != maxiters and live.any():
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # pixels without samples
            residual = values - np.asarray(middle(values, 0))
            s = np.asarray(spread(values, 0, ddof) if spread is _std else spread(values, 0))
            size = np.fmax(s, floor)
            out = (residual < -bounds[0] * size) | (residual > bounds[1] * size)
        valid = np.isfinite(values)
        out &= valid & live & (valid.sum(0) > nkeep)
        out &= ~_put_back(np.abs(residual), valid, out, nkeep)
        live = out.any(0)
        values[out] = np.nan
        passes += 1
    return np.where(np.isnan(values), np.nan, x).astype(dtype, copy=False)


def _put_back(distance: Any, valid: Any, out: Any, nkeep: int) -> Any:
    """The rejected samples of smallest residual that bring each pixel back to ``nkeep``."""
    left = (valid & ~out).sum(0)
    lacking = np.clip(np.minimum(valid.sum(0), nkeep) - left, 0, None)
    ranked = np.sort(np.where(out, distance, np.inf), axis=0)
    edge = np.take_along_axis(ranked, np.maximum(lacking - 1, 0)[None], 0)[0]
    return out & (lacking > 0) & (distance <= edge)


def _std(values: Any, axis: int, ddof: int = 0) -> Any:
    return np.nanstd(values, axis=axis, ddof=ddof)


def _mad_std(values: Any, axis: int) -> Any:
    center = np.nanmedian(values, axis=axis, keepdims=True)
    return 1.482602218505602 * np.nanmedian(np.abs(values - center), axis=axis)


_STATISTICS: dict[str, Callable[..., Any]] = {
    "mean": lambda values, axis: np.nanmean(values, axis=axis),
    "median": lambda values, axis: np.nanmedian(values, axis=axis),
    "std": _std,
    "mad_std": _mad_std,
}
