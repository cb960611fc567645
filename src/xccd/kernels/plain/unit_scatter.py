"""The scatter of samples about the centres of their pixels, over the light: as `compiled.unit_scatter`."""

from __future__ import annotations

from typing import Any

import numpy as np

FEWEST = 3  # samples of a pixel that counts


def unit_squares(x: Any, holes: Any, by_mean: bool, medians: Any, out: Any, number: Any) -> None:
    """Write the sum of squares about the centre over max(1, centre), and the count; a sum of 0 for few samples."""
    here = np.ones(x.shape, bool) if holes is None else ~holes
    n, center = here.sum(0), medians
    y = np.where(here, x - center, 0.0)
    if by_mean:
        total = np.zeros(out.size)
        for row in y:  # one after another: NumPy adds those of a single pixel in another order
            total += row
        center = center + (total - y.min(0, initial=0) - y.max(0, initial=0)) / (n - 2)
        y = np.where(here, x - center, 0.0)
    total = np.zeros(out.size)
    for row in y:
        total += row * row
    number[:] = n
    out[:] = np.where(n >= FEWEST, total / np.maximum(center, 1.0), 0.0)
