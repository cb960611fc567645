"""What the maps of a product need beside its image, in NumPy: twins of `compiled.maps`."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds
from xccd.kernels.plain.sums import positive, rescued


def spread(x: Any, bounds: Bounds, number: Any, total: Any, ddof: int) -> Any:
    """The standard deviation about means that are known: as `plain.sums.variances`."""
    n = number.astype(np.float64)
    center = np.where(n > 0.0, total / n, 0.0)
    s1, s2 = np.zeros((2, n.size))
    for row in x:
        y = np.where((row >= bounds.least) & (row <= bounds.most), row - center, 0.0)
        s1 += y
        s2 += y * y
    variance, unit = positive((s2 - s1 * s1 / n) / (n - ddof)), np.ones(n.size)
    enough = (n > ddof) & (n > 0.0)
    unsafe = np.flatnonzero(enough & ~((s2 > 1e-250) & (s2 < 1e250)))
    if unsafe.size:
        some = x[:, unsafe]
        holes = ~((some >= bounds.least[unsafe]) & (some <= bounds.most[unsafe]))
        variance[unsafe], unit[unsafe] = rescued(some.astype(np.float64), holes, n[unsafe], ddof)
    variance[~enough] = np.nan
    return np.sqrt(variance) / unit


def sides(x: Any, bounds: Bounds, before: Bounds, number: Any, low: Any, high: Any, by_frame: Any) -> None:
    """Count the samples between the bounds before clips and those after them: per pixel, and for each frame."""
    low[:], high[:] = 0, 0
    for k, row in enumerate(x):
        down = (row >= before.least) & (row < bounds.least) & (number > 0)
        up = (row > bounds.most) & (row <= before.most) & (number > 0)
        low += down
        high += up
        by_frame[0, k] += np.count_nonzero(down)
        by_frame[1, k] += np.count_nonzero(up)


def own_errors(x: Any, bounds: Bounds, errors: Any, ranks: bool, squared: Any, inverse: Any) -> int:
    """Sums of s^2 and, if ``ranks``, of 1 / s for errors s; returns the count of errors below 0."""
    squared[:], inverse[:], wrong = 0.0, 0.0, 0
    for row, given in zip(x, errors, strict=True):
        keep, error = (row >= bounds.least) & (row <= bounds.most), given.astype(np.float64)
        squared += np.where(keep, error * error, 0.0)
        if ranks:
            inverse += np.where(keep, 1.0 / np.sqrt(error * error), 0.0)
        wrong += int(np.count_nonzero(keep & (error < 0.0)))
    return wrong
