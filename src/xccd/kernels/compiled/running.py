"""Running statistics: one more frame for mean, squares and count of each pixel, and its outliers left out."""

import numpy as np

from xccd.kernels.compiled.compile import kernel


@kernel
def added(frame, mean, squares, count, low, high, limits, least, floor, start, stop):
    """Add a frame to the pixels ``start <= j < stop``; returns how many samples are valid, and how many are rejected.

    ``squares`` is the sum of squared deviations from ``mean`` (Welford). ``limits`` (2, counts) has the square of the
    largest deviation below and above the mean, in parts of ``squares``, for each count that a pixel may have. A pixel
    with fewer samples than ``least``, 2 or more, rejects none. ``floor`` is the least variance.
    """
    there, rejected = 0, 0
    for j in range(start, stop):
        value = np.float64(frame[j])
        if not np.isfinite(value):
            continue
        there += 1
        n = count[j]
        d = value - mean[j]
        if n >= least:
            # not the variance: a division for each sample takes as long as all the rest
            spread, rounding = squares[j], floor * (n - 1)
            spread = spread if spread > rounding else rounding
            # infinity times 0 is NaN, which rejects nothing
            if d * d > limits[0 if d < 0.0 else 1, n] * spread:
                rejected += 1
                if d < 0.0:
                    low[j] += 1
                else:
                    high[j] += 1
                continue
        count[j] = n + 1
        mean[j] += d / (n + 1)
        squares[j] += d * (value - mean[j])
    return there, rejected
