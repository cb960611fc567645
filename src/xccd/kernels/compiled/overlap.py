"""Exact overlap: the areas that pixels of another grid, as quadrilaterals, share with the pixels of a frame.

By Green's theorem such an area is the sum of the integrals of u dv over the four edges. Here v is clamped to the rows
of the pixel, and u to its columns.
"""

import math

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.limits import HALF, OUTSIDE

FLAT = 1e-7  # pixels: if u changes less along an edge, its mean is used, because the quotient of differences is inexact
TOUCHED = 1e-9  # of the area: a smaller overlap is rounding


@inner_function
def rise(u, i):
    """The integral up to ``u`` of u clamped to the column ``i``."""
    d = u - i
    if d <= 0.0:
        return 0.0
    return 0.5 * d * d if d < 1.0 else d - 0.5


@inner_function
def under(u0, v0, u1, v1, i, j):
    """The part of one edge in the area within pixel (j, i)."""
    va, vb = min(max(v0, j), j + 1.0), min(max(v1, j), j + 1.0)
    if va == vb:
        return 0.0
    slope = (u1 - u0) / (v1 - v0)
    ua, ub = u0 + slope * (va - v0), u0 + slope * (vb - v0)
    if abs(ub - ua) < FLAT:
        return (vb - va) * min(max(0.5 * (ua + ub) - i, 0.0), 1.0)
    return (vb - va) * (rise(ub, i) - rise(ua, i)) / (ub - ua)


@inner_function
def quadrilateral(corners, k, c, us, vs):
    """Write pixel (k, c) as a closed path of five points, in coordinates of pixel edges; returns its signed area."""
    area = 0.0
    for e in range(5):
        a, b = k + (e == 2 or e == 3), c + (e == 1 or e == 2)
        us[e], vs[e] = corners[0, a, b] + 0.5, corners[1, a, b] + 0.5  # a pixel is then from j to j + 1
    for e in range(4):
        # relative to the first corner: far from 0 the difference of large products loses digits
        area += 0.5 * ((us[e] - us[0]) + (us[e + 1] - us[0])) * (vs[e + 1] - vs[e])
    return area


@inner_function
def summed(frame, variance, flags, first, height, us, vs, area):
    """Over a quadrilateral: area of good pixels, sum, variance sum, area within the frame, flags, pixels not read.

    The flags are those of bad pixels. Pixels not read are in the frame but not among the rows given.
    """
    rows, width = frame.shape
    carries = variance.size > 0
    sign = 1.0 if area > 0.0 else -1.0  # negative if the WCS mirrors the pixel
    weight, sums, square, inside, bits, beyond = 0.0, 0.0, 0.0, 0.0, np.uint8(0), 0
    # - 0.5, as the floor of the height is one row too many
    for j in range(math.floor(max(vs.min(), 0.0)), math.floor(min(vs.max(), height - 0.5)) + 1):
        for i in range(math.floor(max(us.min(), 0.0)), math.floor(min(us.max(), width - 0.5)) + 1):
            w = 0.0
            for e in range(4):
                w += under(us[e], vs[e], us[e + 1], vs[e + 1], i, j)
            w *= sign
            if w <= 0.0:
                continue
            inside += w
            if j < first or j >= first + rows:
                beyond += 1
                continue
            v = np.float64(frame[j - first, i])
            if math.isfinite(v):
                weight += w
                sums += w * v
                if carries:
                    square += w * w * np.float64(variance[j - first, i])
            elif carries and w > TOUCHED * abs(area):
                bits |= flags[j - first, i]
    return weight, sums, square, inside, bits, beyond


@kernel
def overlapped(frame, variance, flags, first, height, corners, total, value, error, reasons):
    """Write the mean of ``frame`` (rows from ``first`` on, of ``height``) over quadrilaterals to ``value``.

    ``corners`` is (2, rows + 1, columns + 1), x and y. Weights are the areas shared with good pixels; these must be
    half of the quadrilateral. With ``total`` the mean is multiplied by the area of the quadrilateral. Errors, flags
    and the returned count are as in `xccd.kernels.compiled.resample.resampled`.
    """
    width, carries, beyond = frame.shape[1], variance.size > 0, 0
    us, vs = np.empty(5), np.empty(5)
    for k in range(value.shape[0]):
        for c in range(value.shape[1]):
            value[k, c] = np.nan
            if carries:
                error[k, c], reasons[k, c] = np.nan, OUTSIDE
            area = quadrilateral(corners, k, c, us, vs)
            if not (vs.max() > 0.0 and vs.min() < height and us.max() > 0.0 and us.min() < width):
                continue
            found = summed(frame, variance, flags, first, height, us, vs, area)
            weight, sums, square, inside, bits, missed = found
            beyond += missed
            whole = abs(area)
            if weight > 0.0 and weight >= HALF * whole:
                scale = whole / weight if total else 1.0 / weight
                value[k, c] = sums * scale
                if carries:
                    error[k, c], reasons[k, c] = math.sqrt(square) * scale, 0
            elif carries:
                reasons[k, c] = bits if inside >= whole * (1.0 - FLAT) else bits | OUTSIDE
    return beyond
