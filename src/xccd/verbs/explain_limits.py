"""The centre and the bounds of a rejection in its last pass, for the samples of one pixel."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import by_functions
from xccd.kernels.plain.winsorized import deviations
from xccd.kernels.table import REJECTIONS, table_of

Array = np.ndarray[Any, Any]


class Limits(NamedTuple):
    """For each frame the centre and the bounds that its sample was compared with; NaN if there are none."""

    center: Array
    low: Array  # -inf: that side is off
    high: Array


Judge = Callable[[Array], tuple[Any, Any, Any]]  # of the samples in use: centre, low and high, numbers or (frames,)


def _none(x: Array) -> Limits:
    return Limits(*np.full((3, x.size), np.nan))


def _all(x: Array, center: Any, low: Any, high: Any) -> Limits:
    return Limits(*(np.array(np.broadcast_to(value, x.shape), np.float64) for value in (center, low, high)))


def _passes(x: Array, judge: Judge, least: float, *, once: bool = False) -> Limits:
    """The limits of the last pass: passes go on while they reject something and enough samples are left.

    A sample that was rejected before the last pass has the limits of its own pass if those differ between samples.
    """
    x, found = x.copy(), _none(x)
    while np.count_nonzero(np.isfinite(x)) >= max(least, 1):
        limits = _all(x, *judge(x))
        here = np.isfinite(limits.low) | np.isfinite(limits.high)
        for old, new in zip(found, limits, strict=True):
            old[here] = new[here]
        out = (x < limits.low) | (x > limits.high)
        if once or not out.any():
            break
        x[out] = np.nan
    return found


def _sigma(step: Any, x: Array, kept: Array) -> Limits:
    passes: list[tuple[Any, Any]] = []
    options = by_functions.in_names(step.options)
    by_functions.sides(x[:, None], options, passes)
    if not passes:
        return _none(x)
    center, size = (float(np.ravel(value)[0]) for value in passes[-1])
    if np.isnan(size):
        return _none(x)
    low, high = (k * size if np.isfinite(k) else np.inf for k in (options.low, options.high))
    return _all(x, center, center - low, center + high)


def _extrema(step: Any, x: Array, kept: Array) -> Limits:
    """By rank: what is left is between these two, and samples that equal one of them may be out."""
    return _all(x, np.nan, x[kept].min(), x[kept].max()) if kept.any() else _none(x)


def _range(step: Any, x: Array, kept: Array) -> Limits:
    low, high = -np.inf if step.low is None else step.low, np.inf if step.high is None else step.high
    return _all(x, np.nan, low, high)


def _about(center: Any, scatter: Any, low: float, high: float) -> tuple[Any, Any, Any]:
    """Centre and bounds, where a scatter of 0 rejects nothing and a threshold of infinity is off."""
    below, above = (np.where(np.isfinite(k) & (scatter > 0), k * scatter, np.inf) for k in (low, high))
    return center, center - below, center + above


def _percentile(step: Any, x: Array, kept: Array) -> Limits:
    def judge(x: Array) -> tuple[Any, Any, Any]:
        center = np.nanmedian(x)
        return _about(center, max(center, 0.0), *step.options[:2])

    return _passes(x, judge, 1, once=True)


def _percentile_rank(step: Any, x: Array, kept: Array) -> Limits:
    low, high, ranks, nkeep = step.options
    half = x.size // 2
    size = max(1, min(abs(int(ranks * half) if abs(ranks) < 1 else int(ranks)), half))

    def judge(x: Array) -> tuple[Any, Any, Any]:
        rows = np.sort(x[np.isfinite(x)])
        k = (rows.size - 1) // 2 - size if ranks < 0 else rows.size // 2 + size
        center = np.median(rows)
        return _about(center, abs(rows[min(max(k, 0), rows.size - 1)] - center), low, high)

    return _passes(x, judge, max(3, nkeep + 1), once=True)


def _linear_fit(step: Any, x: Array, kept: Array) -> Limits:
    """The line at the rank of each sample: each has bounds of its own."""

    def judge(x: Array) -> tuple[Any, Any, Any]:
        some = np.flatnonzero(np.isfinite(x))
        order = some[np.argsort(x[some], kind="stable")]
        k, y = np.arange(order.size), x[order]
        slope, start = np.polyfit(k - k.mean(), y - y.mean(), 1)
        line = y.mean() + start + slope * (k - k.mean())
        scatter = float(np.mean(np.abs(y - line)))
        found = np.full((3, x.size), np.nan)
        found[:, order] = _about(line, scatter if scatter > 1e-12 * (y[-1] - y[0]) else 0.0, *step.options[:2])
        return found[0], found[1], found[2]

    return _passes(x, judge, 5)


def _winsorized(step: Any, x: Array, kept: Array) -> Limits:
    low, high, floor = step.options

    def judge(x: Array) -> tuple[Any, Any, Any]:
        rows = np.sort(x[np.isfinite(x)])[:, None]
        center, scatter = deviations(rows, np.zeros(1, int), np.full(1, len(rows)), np.zeros(1, int), floor)
        return _about(center[0], scatter[0], low, high)

    return _passes(x, judge, 4)


def _center(x: Array, by_mean: bool, trim: bool) -> float:
    rows = np.sort(x[np.isfinite(x)])
    if not by_mean:
        return float(np.median(rows))
    return float(np.mean(rows[1:-1] if trim and rows.size >= 3 else rows))


def _noise(step: Any, x: Array, kept: Array) -> Limits:
    if len(step.options) != 7:
        return _errors(step, x, kept)
    low, high, readnoise, gain, part, by_mean, nkeep = step.options

    def judge(x: Array) -> tuple[Any, Any, Any]:
        center = _center(x, by_mean > 0, trim=True)
        level = max(center, 0.0)
        return _about(center, np.sqrt((readnoise / gain) ** 2 + level / gain + (part * level) ** 2), low, high)

    return _passes(x, judge, max(2, nkeep + 1))


def _errors(step: Any, x: Array, kept: Array) -> Limits:
    """By a noise of each frame, or of each sample."""
    low, high, by_mean, least, nkeep = (*step.options, 0.0, 0.0, 0.0)[:5]
    a, b, q, z, g = np.array(step.of_frames, np.float64)
    e = np.ravel(0.0 if step.of_samples is None else step.of_samples).astype(np.float64)
    turn = iter([True])

    def judge(x: Array) -> tuple[Any, Any, Any]:
        center = _center(x, by_mean > 0, trim=next(turn, by_mean > 1))
        v = np.maximum(center + z, 0.0)
        return _about(center, np.sqrt(e * e * (1 + g * v) + a + b * v + q * v * v), low, high)

    return _passes(x, judge, max(2, least, nkeep + 1))


def _swarp(step: Any, x: Array, kept: Array) -> Limits:
    low, high, amplitude = step.options[:3]
    inverse, own = np.array(step.of_frames, np.float64)
    e = np.ravel(0.0 if step.of_samples is None else step.of_samples).astype(np.float64)

    def judge(x: Array) -> tuple[Any, Any, Any]:
        center = np.nanmedian(x)
        center, below, above = _about(center, np.sqrt(e * e + own + abs(center) * inverse), low, high)
        return center, below - amplitude * abs(center), above + amplitude * abs(center)

    return _passes(x, judge, 3, once=True)  # two samples are compared with each other


def _esd(step: Any, x: Array, kept: Array) -> Limits:
    """The first test that rejects nothing, or the last one if as many were rejected as it may reject."""
    table = table_of(step.name, x.size, step.options)
    rows = np.sort(x[np.isfinite(x)])
    most, last = table[0][rows.size], None
    taken = rows.size - np.count_nonzero(kept)
    for k in range(int(min(most, taken + 1))):
        if rows.size < 3 or not (scatter := float(np.std(rows, ddof=1))) > 0:
            break
        center = float(np.mean(rows))
        last = _about(center, scatter, *(2 * (float(np.sqrt(table[1][rows.size])),)))
        rows = _without_worst(rows, center) if k < taken else rows
    return _none(x) if last is None else _all(x, *last)


def _without_worst(rows: Array, center: float) -> Array:
    return rows[:-1] if rows[-1] - center >= center - rows[0] else rows[1:]


def _chauvenet(step: Any, x: Array, kept: Array) -> Limits:
    table, robust = table_of(step.name, x.size, step.options)[1], step.options[3]
    rows, found = np.sort(x[np.isfinite(x)]), _none(x)
    while rows.size >= 3:
        center = float(np.median(rows) if robust else np.mean(rows))
        away = np.sort(np.abs(rows - center))
        scatter = float(away[int(np.ceil(0.683 * (rows.size - 1)))] if robust else np.std(rows, ddof=1))
        if not scatter > 0:
            break
        found = _all(x, *_about(center, scatter, *(2 * (float(np.sqrt(table[rows.size])),))))
        if rows[0] >= found.low[0] and rows[-1] <= found.high[0]:
            break
        rows = _without_worst(rows, center)
    return found


# A row for each rejection; one without a row here or in `NOT_TOLD` is a user's own.
LIMITS: dict[str, Callable[[Any, Array, Array], Limits]] = {
    "sigma": _sigma,
    "extrema": _extrema,
    "range": _range,
    "percentile": _percentile,
    "percentile_rank": _percentile_rank,
    "linear_fit": _linear_fit,
    "winsorized": _winsorized,
    "esd": _esd,
    "chauvenet": _chauvenet,
    "noise": _noise,
    "variance": _errors,
    "average_sigma": _errors,
    "swarp": _swarp,
}
NOT_TOLD = {"lacosmic": "it looks at the neighbours of a pixel in its frame, not at the other frames"}


def limits_of(step: Any, x: Array, kept: Array) -> Limits:
    """The limits of a step for the samples ``x`` (frames,), NaN where not in use before it; ``kept`` are in use after.

    NaN where it has none: a user's function, or too few samples.
    """
    if step is None or getattr(step, "function", None) is not None or not np.isfinite(x).any():
        return _none(x)
    name = next((name for name, row in REJECTIONS.items() if row is step.row), None)
    with np.errstate(all="ignore"):
        return LIMITS[name](step, x, kept) if name in LIMITS else _none(x)
