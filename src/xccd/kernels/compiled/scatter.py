"""Errors of combined pixels: from the scatter of samples with weights, and sums of the samples' own errors."""

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


@inner_function
def add_errors(row, least, most, weights, factors, errors, common, ranks, sums):
    """Add one frame to the rows of ``sums``; returns the count of samples in use with an error below 0."""
    wrong = 0
    many = weights.size > 1, factors.size > 1, errors.size > 1, common.size > 1
    for c in range(row.size):
        w, f = weights[c if many[0] else 0], abs(factors[c if many[1] else 0])
        error = errors[c if many[2] else 0]
        sigma, shared = f * error, f * common[c if many[3] else 0]
        keep = (row[c] >= least[c]) & (row[c] <= most[c]) & (w > 0.0)
        wrong += 1 if keep & (error < 0.0) else 0
        own = sigma * sigma - shared * shared
        own = 0.0 if own < 0.0 else own
        sums[0, c] += w if keep else 0.0
        sums[1, c] += w * w * own if keep else 0.0
        sums[2, c] += w * shared if keep else 0.0
        if ranks:
            sums[3, c] += w / math.sqrt(own) if keep else 0.0
            sums[4, c] += w * w if keep else 0.0
            sums[5, c] += 1.0 if keep else 0.0
    return wrong


@kernel
def error_sums(pixels, weights, factors, errors, common, ranks, sums):
    """Write the sums that the errors of means and medians are made of; returns the count of errors below 0.

    The rows of ``sums``, for weights w, errors s and the part c of them that all frames share, both times a factor:
    w, w^2 (s^2 - c^2), w c; and if ``ranks``: w / sqrt(s^2 - c^2), w^2, the count of samples with a weight.
    """
    x, start, stop, least, most, _ = pixels
    wrong = 0
    sums[:] = 0.0
    for i in range(0, stop - start, COLUMNS):
        a, b = least[i : i + COLUMNS], most[i : i + COLUMNS]
        end = i + a.size
        for k in range(x.shape[0]):
            wrong += add_errors(
                x[k, start + i : start + end], a, b, part(weights, k, i, end), part(factors, k, i, end),
                part(errors, k, i, end), part(common, k, i, end), ranks, sums[:, i:end],
            )  # fmt: skip
    return wrong


@inner_function
def part(given, k, start, stop):
    """Frame ``k`` of numbers that may be one for all frames, one for all pixels, or both."""
    row = given[k if given.shape[0] > 1 else 0]
    return row[start:stop] if given.shape[1] > 1 else row
