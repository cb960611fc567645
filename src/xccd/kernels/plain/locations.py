"""Other locations in NumPy: twins of `compiled.locations`."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Request
from xccd.kernels.formulas import EXP, LOG, LOG_OF_2, ROOT_OF_HALF, ROUNDS
from xccd.kernels.plain.block import Block, middle, sort, tally
from xccd.kernels.plain.sums import totals, variances


def geometric_mean(x: Any, holes: Any, request: Request, out: Any) -> None:
    """The n-th root of the product; NaN where a sample is 0 or less."""
    mantissa, exponent = np.full(x.shape[1], 0.5), np.ones(x.shape[1])
    for k, row in enumerate(x):
        value = row.astype(np.float64)
        if holes is not None:
            value[holes[k]] = 1.0
        one, power = np.frexp(value)
        mantissa *= np.where(value > 0.0, one, np.nan)
        small = mantissa < 0.5
        mantissa = np.where(small, 2.0 * mantissa, mantissa)
        exponent += power - 1.0 * small
    n = np.broadcast_to(tally(holes, x.shape[0]), x.shape[1])
    found = np.where(n == 1, np.ldexp(mantissa, exponent.astype(np.intc)), root(mantissa, exponent, n))
    out[:] = np.where((n > 0) & (mantissa > 0.0), found, np.nan)


def root(mantissa: Any, exponent: Any, n: Any) -> Any:
    """The ``n``-th root of a product: as `compiled.locations.root`, for ``n`` above 1."""
    n = np.maximum(n, 1)
    whole = np.floor(exponent / n + 0.5)
    rest = exponent - whole * n
    low = mantissa < ROOT_OF_HALF
    mantissa, rest = np.where(low, 2.0 * mantissa, mantissa), np.where(low, rest - 1.0, rest)
    s = (mantissa - 1.0) / (mantissa + 1.0)
    z, series = s * s, 0.0
    for factor in LOG:
        series = series * z + factor
    t, power = (2.0 * s * series + rest * LOG_OF_2) / n, 0.0
    for factor in EXP:
        power = power * t + factor
    return np.ldexp(power, whole.astype(np.intc))


def half_sample_mode(x: Any, holes: Any, request: Request, out: Any) -> None:
    """The narrowest half of the samples, of that the narrowest half, until three are left or two."""
    block = sort(x, holes)
    n = np.array(np.broadcast_to(block.count, x.shape[1]))
    some, low = n > 0, np.zeros_like(n)
    while (n > 3).any():
        half = np.where(n > 3, (n + 1) // 2, n)
        low, n = narrowest(block, low, n, half), half
    first, mid, last = (block.row(low + k) for k in (np.zeros_like(n), (n > 2).astype(int), np.maximum(n - 1, 0)))
    below, above = mid - first, last - mid
    first, last = np.where((n == 3) & (below >= above), mid, first), np.where((n == 3) & (above >= below), mid, last)
    out[:] = np.where(some, middle(first, last), np.nan)


def narrowest(block: Block, low: Any, n: Any, half: Any) -> Any:
    """The first row of the narrowest ``half`` of ``n`` sorted samples from ``low`` on; of equal ones the middle."""
    halves, size = n - half + 1, max(1, int((n - half + 1).max()))
    widths = np.empty((size, n.size))
    for k, row in enumerate(widths):
        own = low + np.minimum(k, np.maximum(halves - 1, 0))
        row[:] = block.row(own + np.maximum(half - 1, 0)) - block.row(own)
    inside = np.arange(size)[:, None] < halves
    ties = np.cumsum((widths == np.where(inside, widths, np.inf).min(0)) & inside, axis=0)
    return low + (ties < (ties[-1] + 1) // 2).sum(0)


def adaptive(x: Any, holes: Any, request: Request, out: Any) -> None:
    """Stetson's mean: as `compiled.locations.adaptive`."""
    total, n = totals(x, holes)
    center = np.where(n > 0.0, total / n, 0.0)
    spread, unit = variances(x, holes, 1)
    deviation = 2.0 * (np.sqrt(spread) / unit)
    moves = (deviation > 0.0) & (deviation < np.inf)
    for _ in range(ROUNDS):
        pulled, whole = np.zeros((2, x.shape[1]))
        for k, row in enumerate(x):
            r = row - center
            u = r / deviation
            w = 1.0 / (1.0 + u * u)
            if holes is not None:
                r[holes[k]] = w[holes[k]] = 0.0
            pulled += w * r
            whole += w
        center = center + np.where(moves, pulled / whole, 0.0)
    out[:] = np.where(n > 0.0, center, np.nan)


def outermost(x: Any, holes: Any, request: Request, out: Any) -> None:
    """The first sample in use with ``mode`` 1, the last with -1."""
    frames = range(x.shape[0]) if request.mode > 0.0 else range(x.shape[0] - 1, -1, -1)
    found = np.full(x.shape[1], np.nan)
    for k in frames:
        free = np.isnan(found) if holes is None else np.isnan(found) & ~holes[k]
        np.copyto(found, x[k], where=free)
        if not np.isnan(found).any():
            break
    out[:] = found + 0.0
