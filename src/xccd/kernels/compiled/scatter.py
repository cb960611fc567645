"""The error of a weighted mean, from the scatter of its samples about it."""

import math

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.sums import COLUMNS

# Rows: total weight, mean, greatest weight, and the sums of a r^2, of a, and of h^2 r^2 / (1 - h).
PLACES = (6, COLUMNS)


@inner_function
def weight(value, least, most, given):
    """The given weight of a sample; 0 if it is not in use."""
    return given if (value >= least) & (value <= most) else 0.0


@kernel
def weighted_error(pixels, weights, acc, total, out):
    """Write the error of the weighted mean to ``out`` and the total weights to ``total``.

    With normalised weights h, residuals r and a = h^2 / (1 - 2 h) the variance is sum(a r^2) / (1 + sum(a)), which is
    unbiased. If one sample has half of the weight or more, it is sum(h^2 r^2 / (1 - h)). The error is its root.
    """
    x, start, stop, least, most, _ = pixels
    per_frame, per_pixel = weights.shape[0] > 1, weights.shape[1] > 1
    whole, mean, greatest, square, share, lopsided = acc[0], acc[1], acc[2], acc[3], acc[4], acc[5]
    for i in range(0, stop - start, COLUMNS):
        a, b = least[i : i + COLUMNS], most[i : i + COLUMNS]
        size = a.size
        acc[:] = 0.0  # three passes over samples in cache: residuals need the mean, that the total
        for k in range(x.shape[0]):
            row = x[k, start + i : start + i + size]
            for c in range(size):
                w = weight(row[c], a[c], b[c], weights[k if per_frame else 0, i + c if per_pixel else 0])
                whole[c] += w
                greatest[c] = w if w > greatest[c] else greatest[c]
        for k in range(x.shape[0]):
            row = x[k, start + i : start + i + size]
            for c in range(size):
                w = weight(row[c], a[c], b[c], weights[k if per_frame else 0, i + c if per_pixel else 0])
                mean[c] += w / whole[c] * np.float64(row[c]) if w > 0.0 else 0.0
        for k in range(x.shape[0]):
            row = x[k, start + i : start + i + size]
            for c in range(size):
                w = weight(row[c], a[c], b[c], weights[k if per_frame else 0, i + c if per_pixel else 0])
                h, r = w / whole[c], np.float64(row[c]) - mean[c]
                h, r = (h, r) if w > 0.0 else (0.0, 0.0)
                # infinite at h = 1/2, from where on `lopsided` is used
                part_of = h * h / (1.0 - 2.0 * h)
                square[c] += part_of * (r * r)
                share[c] += part_of
                lopsided[c] += h * h * (r * r) / (1.0 - h)
        for c in range(size):
            even = greatest[c] / whole[c] < 0.5
            error = math.sqrt(square[c] / (1.0 + share[c]) if even else lopsided[c])
            total[i + c] = whole[c]
            out[i + c] = error if whole[c] > 0.0 else np.nan
