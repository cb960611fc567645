"""Combination by sums in NumPy: twins of `compiled.sums` and `compiled.spread`, frame after frame in their order.

Kernels of combination take ``(x, holes, request, out)``: the pixels (frames, columns), the mask of samples not in use
(None: all are in use), and an `arguments.Request`. Kernels with weights return the count of samples with an unusable
weight.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Request
from xccd.kernels.limits import limits
from xccd.kernels.plain.block import tally


class Sum:
    """A sum of rows with the rounding error of each addition (Knuth's two-sum): as `compiled.sums.add`."""

    def __init__(self, columns: int, whole: bool = False) -> None:
        self.total, self.rest = np.zeros(columns), np.zeros(columns)
        self.whole = whole  # for integers of at most 32 bits: no addition rounds
        self.t, self.z = np.empty(columns), np.empty(columns)

    def add(self, value: Any) -> None:
        """Add a row."""
        a, t, z = self.total, self.t, self.z
        np.add(a, value, out=t)
        if not self.whole:
            np.subtract(t, a, out=z)
            np.subtract(a, t - z, out=a)
            np.subtract(value, z, out=z)
            np.add(a, z, out=a)
            np.add(self.rest, a, out=self.rest)
        self.total, self.t = t, a  # the old total is room for the next one: no array is made in the loop

    def result(self) -> Any:
        """The sum of all rows, float64."""
        return self.total + np.where(np.abs(self.rest) < np.inf, self.rest, 0.0)  # inf - inf is NaN


def samples_or_zero(x: Any, holes: Any, k: int, out: Any) -> Any:
    """Write one frame's samples to ``out`` as float64, 0 if not in use; returns ``out``."""
    np.copyto(out, x[k])
    if holes is not None:
        out[holes[k]] = 0.0
    return out


def totals(x: Any, holes: Any) -> tuple[Any, Any]:
    """Sum and count of the samples of each pixel, both float64."""
    frames, columns = x.shape
    found, value = Sum(columns, whole=x.dtype.kind != "f"), np.empty(columns)
    for k in range(frames):
        found.add(samples_or_zero(x, holes, k, value))
    return found.result(), np.broadcast_to(tally(holes, frames), columns).astype(np.float64)


def sums(x: Any, holes: Any, request: Request, out: Any) -> None:
    """Sum, or with ``mode`` 1 the mean."""
    total, number = totals(x, holes)
    out[:] = total / number if request.mode else np.where(number > 0.0, total, np.nan)  # 0 / 0 is NaN


def usable(x: Any, holes: Any, weights: Any) -> Any:
    """For each frame the weights, 0 for samples not in use, and the count of samples with an unusable weight."""
    for k in range(x.shape[0]):
        w = np.broadcast_to(weights[k if len(weights) > 1 else 0], x.shape[1])
        good = (w >= 0.0) & (w < np.inf)
        valid = True if holes is None else ~holes[k]
        yield np.where(valid & good, w, 0.0), np.count_nonzero(valid & ~good)


def weighted_totals(x: Any, holes: Any, weights: Any) -> tuple[Any, Any, int]:
    """sum(w x), NaN if no sample has a weight; sum(w); and the count of samples with an unusable weight."""
    columns = x.shape[1]
    total, whole, bad = Sum(columns), np.zeros(columns), 0
    value = np.empty(columns)
    for row, (weight, unusable) in zip(x, usable(x, holes, weights), strict=True):
        np.multiply(row, weight, out=value)
        value[~(weight > 0.0)] = 0.0  # NaN times 0 is NaN
        total.add(value)
        whole += weight
        bad += unusable
    return np.where(whole > 0.0, total.result(), np.nan), whole, bad


def weighted_sums(x: Any, holes: Any, request: Request, out: Any) -> int:
    """sum(w x), or with ``mode`` 1 sum(w x) / sum(w)."""
    total, whole, bad = weighted_totals(x, holes, request.weights)
    out[:] = total / whole if request.mode else total
    return bad


def positive(value: Any) -> Any:
    """The values, with 0 for negative ones and NaN."""
    return np.where(value > 0.0, value, 0.0)


def variances(x: Any, holes: Any, ddof: int) -> tuple[Any, Any]:
    """Variance and its unit. Two passes: the second is about the mean."""
    frames, columns = x.shape
    total, n = totals(x, holes)
    center = np.where(n > 0.0, total / n, 0.0)
    s1, s2, y = np.zeros(columns), np.zeros(columns), np.empty(columns)
    for k in range(frames):
        np.copyto(y, x[k])
        np.subtract(y, center, out=y)
        if holes is not None:
            y[holes[k]] = 0.0
        s1 += y
        s2 += y * y
    # s1 would be 0 about an exact mean: this takes the rounding of the mean out again
    variance, unit = positive((s2 - s1 * s1 / n) / (n - ddof)), np.ones(columns)
    enough = (n > ddof) & (n > 0.0)
    unsafe = np.flatnonzero(enough & ~((s2 > 1e-250) & (s2 < 1e250)))
    if unsafe.size:
        some = None if holes is None else holes[:, unsafe]
        variance[unsafe], unit[unsafe] = rescued(x[:, unsafe].astype(np.float64), some, n[unsafe], ddof)
    variance[~enough] = np.nan
    return variance, unit


def rescued(x: Any, holes: Any, n: Any, ddof: int) -> tuple[Any, Any]:
    """Variance in a unit that is a power of two, and the unit, for pixels whose squares leave float64's range."""
    valid = np.ones(x.shape, bool) if holes is None else ~holes
    center, spread, s1, s2 = np.zeros((4, n.size))
    for row, use in zip(x, valid, strict=True):
        center += np.where(use, row / n, 0.0)  # divided first: a sum of huge samples overflows
    for row, use in zip(x, valid, strict=True):
        spread = np.fmax(spread, np.where(use, np.abs(row - center), 0.0))
    exponent = np.where((spread > 0.0) & (spread < np.inf), -np.frexp(spread)[1], 0)
    unit = np.ldexp(1.0, np.clip(exponent, -1000, 1000).astype(np.intc))  # 2^1024 is infinite
    for row, use in zip(x, valid, strict=True):
        y = np.where(use, (row - center) * unit, 0.0)
        s1 += y
        s2 += y * y
    return positive((s2 - s1 * s1 / n) / (n - ddof)), unit


def variance(x: Any, holes: Any, request: Request, out: Any) -> None:
    """Variance with divisor n - ddof, or with ``mode`` 1 its root."""
    found, unit = variances(x, holes, request.ddof)
    out[:] = np.sqrt(found) / unit if request.mode else found / unit / unit


def extremum(x: Any, holes: Any, request: Request, out: Any) -> None:
    """The minimum with ``mode`` 1, the maximum with -1."""
    found = limits(x.dtype)
    pad, pick = (found.behind, np.min) if request.mode > 0 else (found.before, np.max)
    out[:] = pick(x if holes is None else np.where(holes, pad, x), axis=0) + 0  # + 0: no -0.0
    if holes is not None:
        out[holes.all(axis=0)] = np.nan


def count(x: Any, holes: Any, request: Request, out: Any) -> None:
    """Count of samples in use."""
    out[:] = tally(holes, x.shape[0])
