"""Sums of the samples' own errors in NumPy: the twin of `compiled.scatter.error_sums`."""

from __future__ import annotations

from typing import Any

import numpy as np


def error_sums(
    x: Any, least: Any, most: Any, weights: Any, factors: Any, errors: Any, common: Any, ranks: bool, sums: Any
) -> int:  # fmt: skip
    """Write the sums that the errors of means and medians are made of; returns the count of errors below 0."""
    wrong: int = 0
    sums[:] = 0.0
    for k, row in enumerate(x):
        w, f, error, shared = (given[k if len(given) > 1 else 0] for given in (weights, factors, errors, common))
        f = np.abs(f)
        sigma, shared = f * error, f * shared
        keep = (row >= least) & (row <= most) & (w > 0.0)
        wrong += int(np.count_nonzero(keep & (error < 0.0)))
        own = sigma * sigma - shared * shared
        own = np.where(own < 0.0, 0.0, own)
        sums[0] += np.where(keep, w, 0.0)
        sums[1] += np.where(keep, w * w * own, 0.0)
        sums[2] += np.where(keep, w * shared, 0.0)
        if ranks:
            sums[3] += np.where(keep, w / np.sqrt(own), 0.0)
            sums[4] += np.where(keep, w * w, 0.0)
            sums[5] += keep
    return wrong
