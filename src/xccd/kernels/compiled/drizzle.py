"""Drizzle: each pixel of a frame, as a smaller drop, falls on the pixels of another grid.

A grid's pixel is a quadrilateral in the frame. It gets the share of each drop that falls on it (Fruchter and Hook 2002,
PASP 114, 144): of a square its area in the quadrilateral, of a point all or nothing, of a Gaussian its height at the
centre of the quadrilateral.
"""

import math

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.overlap import quadrilateral, under
from xccd.kernels.drops import FAR, FWHM, GAUSSIAN, HALVINGS, LEAST, POINT, SERIES, SIGMAS, SQUARE, TOUCHED
from xccd.kernels.limits import OUTSIDE


@inner_function
def square(us, vs, i, j, sign, pixfrac):
    """The share of the square drop of pixel (j, i) in a quadrilateral: coordinates are scaled to the drop's side."""
    share, larger = 0.0, 1.0 / pixfrac
    u0, v0 = (us[0] - i - 0.5) * larger + 0.5, (vs[0] - j - 0.5) * larger + 0.5
    for e in range(1, 5):
        u1, v1 = (us[e] - i - 0.5) * larger + 0.5, (vs[e] - j - 0.5) * larger + 0.5
        share += under(u0, v0, u1, v1, 0.0, 0.0)
        u0, v0 = u1, v1
    return share * sign


@inner_function
def point(us, vs, i, j):
    """Whether the centre of pixel (j, i) lies in a quadrilateral. Of all that share an edge, one has a point on it."""
    u, v, inside = i + 0.5, j + 0.5, False
    for e in range(4):
        if (vs[e] > v) != (vs[e + 1] > v):
            # from the lower end of the edge, so that its other side gets the same bits
            low, high = (e, e + 1) if vs[e] < vs[e + 1] else (e + 1, e)
            if u < us[low] + (v - vs[low]) * (us[high] - us[low]) / (vs[high] - vs[low]):
                inside = not inside
    return 1.0 if inside else 0.0


@inner_function
def decay(t):
    """exp(-t) for t from 0 on, by a series, so that all engines have the same bits."""
    if not t < FAR:
        return 0.0
    z, total = -t / 2.0**HALVINGS, 0.0
    for factor in SERIES:
        total = total * z + factor
    for _ in range(HALVINGS):
        total *= total
    return total


@inner_function
def pixel_axes(us, vs, pixfrac, axes):
    """For a Gaussian: write centre, inverse axes and half widths of a quadrilateral, and the Gaussian, to ``axes``.

    They are: centre u, v; the inverse Jacobian's four elements; half widths along u and v of the box that is reached;
    the reach in pixels of the grid; the exponent for a squared distance of 1.
    """
    ux, uy = 0.5 * (us[1] - us[0] + us[2] - us[3]), 0.5 * (us[3] - us[0] + us[2] - us[1])
    vx, vy = 0.5 * (vs[1] - vs[0] + vs[2] - vs[3]), 0.5 * (vs[3] - vs[0] + vs[2] - vs[1])
    det = ux * vy - uy * vx
    side = math.sqrt(abs(det))
    reach = max(SIGMAS / FWHM * pixfrac, LEAST) / side + 0.5
    axes[0], axes[1] = 0.25 * (us[0] + us[1] + us[2] + us[3]), 0.25 * (vs[0] + vs[1] + vs[2] + vs[3])
    axes[2], axes[3], axes[4], axes[5] = vy / det, -uy / det, -vx / det, ux / det
    axes[6], axes[7] = reach * (abs(ux) + abs(uy)), reach * (abs(vx) + abs(vy))
    axes[8], axes[9] = reach, 0.5 * (FWHM * side / pixfrac) ** 2


@inner_function
def gaussian(axes, i, j):
    """The height of the Gaussian drop of pixel (j, i) at the centre of a quadrilateral, in shares of the drop."""
    u, v = i + 0.5 - axes[0], j + 0.5 - axes[1]
    x, y = axes[2] * u + axes[3] * v, axes[4] * u + axes[5] * v
    if abs(x) > axes[8] or abs(y) > axes[8]:
        return 0.0
    return axes[9] / math.pi * decay((x * x + y * y) * axes[9])


@inner_function
def fallen(frame, variance, flags, first, height, us, vs, area, kind, pixfrac, axes):
    """Over one pixel of the grid: the sum of shares, of values and of variances, flags, and pixels not read."""
    (rows, width), carries = frame.shape, variance.size > 0
    weight, sums, spread, bits, beyond = 0.0, 0.0, 0.0, np.uint8(0), 0
    if not (math.isfinite(area) and area != 0.0):
        return weight, sums, spread, bits, beyond
    half = 0.5 + (0.5 * pixfrac if kind == SQUARE else 0.0)  # from the edge of a drop to the far edge of its pixel
    if kind == GAUSSIAN:
        pixel_axes(us, vs, pixfrac, axes)
        left, right, top, bottom = axes[0] - axes[6], axes[0] + axes[6], axes[1] - axes[7], axes[1] + axes[7]
    else:
        left, right, top, bottom = us[0], us[0], vs[0], vs[0]
        for e in range(1, 4):  # five times as fast as min() and max() of so few numbers
            left, right = min(left, us[e]), max(right, us[e])
            top, bottom = min(top, vs[e]), max(bottom, vs[e])
    if not (bottom > 0.0 and top < height and right > 0.0 and left < width):  # also if one is NaN
        return weight, sums, spread, bits, beyond
    i0, i1 = math.ceil(max(left - half, 0.0)), math.floor(min(right - 1.0 + half, width - 1.0))
    j0, j1 = math.ceil(max(top - half, 0.0)), math.floor(min(bottom - 1.0 + half, height - 1.0))
    for j in range(j0, j1 + 1):
        for i in range(i0, i1 + 1):
            if kind == GAUSSIAN:
                w = gaussian(axes, i, j)
            elif kind == POINT:
                w = point(us, vs, i, j)
            else:
                w = square(us, vs, i, j, math.copysign(1.0, area), pixfrac)
            if w <= TOUCHED:
                continue
            if j < first or j >= first + rows:
                beyond += 1
                continue
            v = np.float64(frame[j - first, i])
            if math.isfinite(v):
                weight += w
                sums += w * v
                if carries:
                    spread += w * w * np.float64(variance[j - first, i])
            elif carries:
                bits |= flags[j - first, i]
    return weight, sums, spread, bits, beyond


@kernel
def dropped(frame, variance, flags, first, height, corners, total, kind, pixfrac, shares, value, error, reasons):
    """Write the mean of the drops on each pixel of a grid to ``value``, and the sum of their shares to ``shares``.

    ``corners``, ``total`` and the other arguments are as in `xccd.kernels.compiled.overlap.overlapped`; ``kind`` is
    one of `xccd.kernels.drops.DROPS`, and ``pixfrac`` the side, or full width at half maximum, of a drop in pixels of
    the frame. Masked pixels drop nothing. Where nothing falls, the value is NaN and the share 0.
    """
    carries, beyond = variance.size > 0, 0
    us, vs, axes = np.empty(5), np.empty(5), np.empty(10)
    for k in range(value.shape[0]):
        for c in range(value.shape[1]):
            area = quadrilateral(corners, k, c, us, vs)
            found = fallen(frame, variance, flags, first, height, us, vs, area, kind, pixfrac, axes)
            weight, sums, spread, bits, missed = found
            beyond += missed
            shares[k, c] = weight
            scale = np.nan
            if weight > 0.0:
                scale = abs(area) / weight if total else 1.0 / weight
            value[k, c] = sums * scale
            if carries:
                error[k, c] = math.sqrt(spread) * scale
                reasons[k, c] = 0 if weight > 0.0 else bits if bits else OUTSIDE
    return beyond
