"""Frames on another grid: positions of its pixels in a frame, and interpolated values there."""

import math

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.limits import HALF, ON_PIXEL, OUTSIDE, SINE, THIRD


@kernel
def interpolated_nodes(nodes, table, first, out):
    """Interpolate ``nodes`` (planes, rows, columns) to the pixels of a grid, rows from ``first`` on, into ``out``.

    There is one node for every ``step`` pixels. Along each axis a cubic through four nodes is used; its weights are
    ``table`` (4, step).
    """
    step, width = table.shape[1], out.shape[2]
    line = np.empty(nodes.shape[2])
    for p in range(nodes.shape[0]):
        for y in range(out.shape[1]):
            j, t = (first + y) // step, (first + y) % step
            a, b, c, d = table[0, t], table[1, t], table[2, t], table[3, t]
            # along y once for each column of nodes, not for each pixel: `step` times less work
            for i in range(line.size):
                line[i] = a * nodes[p, j, i] + b * nodes[p, j + 1, i] + c * nodes[p, j + 2, i] + d * nodes[p, j + 3, i]
            for k in range(0, width, step):
                i, size = k // step, min(step, width - k)
                row = out[p, y, k : k + size]
                a, b, c, d = line[i], line[i + 1], line[i + 2], line[i + 3]
                for s in range(size):
                    row[s] = table[0, s] * a + table[1, s] * b + table[2, s] * c + table[3, s] * d


@inner_function
def first_tap(x, taps, w):
    """The first of the ``taps`` pixels that are used for position ``x``; their weights are written to ``w``."""
    if taps == 1:
        w[0] = 1.0
        return math.floor(x + 0.5)  # not round(): it takes halves to the even pixel
    i = math.floor(x)
    t = x - i
    if taps == 2:
        w[0], w[1] = 1.0 - t, t
    elif taps == 4:  # Keys (1981), a = -1/2
        w[0] = t * (t * (1.0 - 0.5 * t) - 0.5)
        w[1] = t * t * (1.5 * t - 2.5) + 1.0
        w[2] = t * (t * (2.0 - 1.5 * t) + 0.5)
        w[3] = t * t * (0.5 * t - 0.5)
    elif t < ON_PIXEL:
        w[:] = 0.0
        w[2] = 1.0
    else:
        lanczos(t, w)
    return i - taps // 2 + 1


@inner_function
def lanczos(t, w):
    """Weights of Lanczos with three lobes, normalised to a sum of 1, for a position ``t`` behind the third of 6 pixels.

    They are sin(d) sin(d / 3) / d**2 at d = pi (t + 2 - k). All sin(d) are equal but for their signs, so that the sum
    takes them out. All sin(d / 3) follow from two, as their angles are a third of pi apart.
    """
    u = 1.0 - t
    s, r = short_sine(THIRD * t), short_sine(THIRD * u)
    p, q = (t + 1.0) * (t + 2.0), (u + 1.0) * (u + 2.0)
    both = 1.0 / (t * u * p * q)  # all reciprocals from one division, which costs as much as ten products
    near, far = both * p * q, both * t * u
    a, b = near * u, near * t  # 1 / t, 1 / u
    p, q = far * q, far * p  # their reciprocals
    c, d, e, f = p * (t + 1.0), p * (t + 2.0), q * (u + 2.0), q * (u + 1.0)  # 1 / (t + 2), 1 / (t + 1), ...
    w[0], w[1], w[2] = r * c * c, -(s + r) * d * d, s * a * a
    w[3], w[4], w[5] = r * b * b, -(s + r) * e * e, s * f * f
    scale = 1.0 / (w[0] + w[1] + w[2] + w[3] + w[4] + w[5])
    for k in range(6):
        w[k] *= scale


@inner_function
def short_sine(z):
    """The sine of an angle up to a third of pi, by its series: 3 times faster than `math.sin`, and exact to 2e-17."""
    q = z * z
    p = q * q
    low = (SINE[0] + SINE[1] * q) + p * (SINE[2] + SINE[3] * q)  # in pairs, which do not wait for each other
    high = (SINE[4] + SINE[5] * q) + p * (SINE[6] + SINE[7] * q)
    return z + z * q * (low + p * p * high)


@inner_function
def gathered(frame, variance, flags, first, height, x, y, taps, wx, wy):
    """For one position: sum and weight of its good pixels, the sum of squared weights times variances, the flags of
    the bad ones, whether all are good, and the count of pixels not among the rows given.
    """
    rows, width = frame.shape
    carries = variance.size > 0
    total, weight, square, bits, whole, beyond = 0.0, 0.0, 0.0, np.uint8(0), True, 0
    i, j = first_tap(x, taps, wx), first_tap(y, taps, wy)
    for a in range(taps):
        along = 0.0
        for b in range(taps):
            w, r, c = wy[a] * wx[b], j + a, i + b
            if w == 0.0:  # at a whole position: NaN in the next pixel does no harm
                continue
            if r < 0 or r >= height or c < 0 or c >= width:
                whole = False
                bits |= OUTSIDE
                continue
            if r < first or r >= first + rows:
                beyond += 1  # the caller reports it
                continue
            v = np.float64(frame[r - first, c])
            if math.isfinite(v):
                along += wx[b] * v
                weight += w
                if carries:
                    square += w * w * np.float64(variance[r - first, c])
            else:
                whole = False
                if carries:
                    bits |= flags[r - first, c]
        total += wy[a] * along
    return total, weight, square, bits, whole, beyond


@inner_function
def between(frame, first, x, y):
    """The bilinear value between four pixels; NaN if one of them is NaN. All four must be among the rows given."""
    i, j = int(x), int(y)
    t, u = x - i, y - j
    above, below = frame[j - first], frame[j - first + 1]
    return (1.0 - u) * ((1.0 - t) * above[i] + t * above[i + 1]) + u * ((1.0 - t) * below[i] + t * below[i + 1])


@inner_function
def among(frame, first, x, y, taps, wx, wy):
    """Like `between`, from 4 or 6 pixels an axis."""
    i, j = first_tap(x, taps, wx), first_tap(y, taps, wy)
    total = 0.0
    for a in range(taps):
        row = frame[j + a - first]
        along = wx[0] * row[i] + wx[1] * row[i + 1] + wx[2] * row[i + 2] + wx[3] * row[i + 3]
        if taps == 6:  # written out, as loops of unknown length took twice as long
            along = along + wx[4] * row[i + 4] + wx[5] * row[i + 5]
        total += wy[a] * along
    return total


@kernel
def resampled(frame, variance, flags, first, height, at, taps, value, error, reasons):
    """Write ``frame`` (rows from ``first`` on, of ``height``) at positions ``at`` (2, rows, columns) to ``value``.

    Only good pixels count, and they must have half of the weight, else the value is NaN. With more than two taps an
    axis all pixels must be good, else the position is done with two taps. ``error`` gets standard errors and
    ``reasons`` the flags of missing values, unless ``variance`` is empty. Returns the count of needed pixels that are
    not among the rows given.
    """
    rows, width = frame.shape
    wx, wy, ux, uy = np.empty(taps), np.empty(taps), np.empty(2), np.empty(2)
    carries, beyond = variance.size > 0, 0
    before, behind = max(0, taps // 2 - 1), max(1, taps // 2)
    left, right, top, bottom = before, width - behind, first + before, first + rows - behind
    for k in range(value.shape[0]):
        xs, ys, row = at[0, k], at[1, k], value[k]
        for c in range(row.size):
            x, y = xs[c], ys[c]
            # most pixels: all that are needed are there and good; NaN goes the long way
            if not carries and x >= left and x < right and y >= top and y < bottom:
                if taps == 2:
                    row[c] = between(frame, first, x, y)
                elif taps == 1:
                    row[c] = frame[int(y + 0.5) - first, int(x + 0.5)]
                else:
                    row[c] = among(frame, first, x, y, taps, wx, wy)
                if math.isfinite(row[c]):
                    continue
            v, weight, square, bits, whole, far = 0.0, 0.0, 0.0, OUTSIDE, False, 0
            if x > -taps and x < width + taps and y > -taps and y < height + taps:  # false for NaN
                found = gathered(frame, variance, flags, first, height, x, y, taps, wx, wy)
                # wide kernels have negative lobes, and ring if a pixel is left out
                if taps > 2 and not found[4]:
                    found = gathered(frame, variance, flags, first, height, x, y, 2, ux, uy)
                v, weight, square, bits, whole, far = found
            beyond += far
            usable = whole or weight >= HALF
            divisor = 1.0 if whole else weight
            row[c] = v / divisor if usable else np.nan
            if carries:
                error[k, c] = math.sqrt(square) / divisor if usable else np.nan
                reasons[k, c] = 0 if usable else bits
    return beyond
