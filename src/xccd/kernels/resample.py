"""Frames on another grid: where its pixels lie in a frame, and what the frame has there."""

import math

import numpy as np

from xccd.kernels.compiled import kernel, part

HALF = 0.499999  # of a pixel's weight must be good: a half, whatever the rounding of positions
OUTSIDE = np.uint8(128)


@kernel
def places(nodes, table, first, out):
    """Planes of ``nodes`` (planes, rows, columns) at pixels ``first ...`` of a grid that they lie on, one each step.

    By the cubic through four nodes along each axis, whose weights are ``table`` (4, step).
    """
    step, width = table.shape[1], out.shape[2]
    line = np.empty(nodes.shape[2])
    for p in range(nodes.shape[0]):
        for y in range(out.shape[1]):
            j, t = (first + y) // step, (first + y) % step
            a, b, c, d = table[0, t], table[1, t], table[2, t], table[3, t]
            for i in range(line.size):
                line[i] = a * nodes[p, j, i] + b * nodes[p, j + 1, i] + c * nodes[p, j + 2, i] + d * nodes[p, j + 3, i]
            for k in range(0, width, step):
                i, size = k // step, min(step, width - k)
                row = out[p, y, k : k + size]
                a, b, c, d = line[i], line[i + 1], line[i + 2], line[i + 3]
                for s in range(size):
                    row[s] = table[0, s] * a + table[1, s] * b + table[2, s] * c + table[3, s] * d


@part
def first_tap(x, taps, w):
    """The first of the pixels that make up position ``x``; their weights go into ``w``."""
    if taps == 1:
        w[0] = 1.0
        return math.floor(x + 0.5)
    i = math.floor(x)
    t = x - i
    if taps == 2:
        w[0], w[1] = 1.0 - t, t
    elif taps == 4:  # Keys (1981), a = -1/2
        w[0] = t * (t * (1.0 - 0.5 * t) - 0.5)
        w[1] = t * t * (1.5 * t - 2.5) + 1.0
        w[2] = t * (t * (2.0 - 1.5 * t) + 0.5)
        w[3] = t * t * (0.5 * t - 0.5)
    elif t == 0.0:
        w[:] = 0.0
        w[2] = 1.0
    else:  # Lanczos with three lobes, made to sum to 1
        total = 0.0
        for k in range(6):
            d = math.pi * (t + 2.0 - k)
            w[k] = math.sin(d) * math.sin(d / 3.0) / (d * d)
            total += w[k]
        for k in range(6):
            w[k] /= total
    return i - taps // 2 + 1


@part
def gathered(frame, first, height, x, y, taps, wx, wy):
    """Sum and weight of the good pixels that make up a position, whether all are good, and how many are not here."""
    rows, width = frame.shape
    total, weight, whole, beyond = 0.0, 0.0, True, 0
    i, j = first_tap(x, taps, wx), first_tap(y, taps, wy)
    for a in range(taps):
        for b in range(taps):
            w = wy[a] * wx[b]
            if w == 0.0:
                continue
            r, c = j + a, i + b
            if r < 0 or r >= height or c < 0 or c >= width:
                whole = False
                continue
            if r < first or r >= first + rows:
                beyond += 1
                continue
            v = np.float64(frame[r - first, c])
            if not math.isfinite(v):
                whole = False
                continue
            total += w * v
            weight += w
    return total, weight, whole, beyond


@kernel
def resampled(frame, first, height, at, taps, out):
    """``frame`` (rows from ``first`` on, of ``height``) at the positions ``at`` (x, y; ...), NaN where it has none.

    Weights are those of the good pixels, which must have half of the whole. Of more than two pixels an axis all must
    be good: else two are taken. Returns how many pixels would have been needed that are not among the rows.
    """
    rows, width = frame.shape
    wx, wy = np.empty(taps), np.empty(taps)
    ux, uy = np.empty(2), np.empty(2)
    beyond = 0
    for k in range(out.shape[0]):
        xs, ys, row = at[0, k], at[1, k], out[k]
        for c in range(row.size):
            x, y = xs[c], ys[c]
            if not (x > -taps and x < width + taps and y > -taps and y < height + taps):
                row[c] = np.nan
                continue
            if taps == 2 and x >= 0.0 and x < width - 1 and y >= first and y < first + rows - 1:
                i, j = int(x), int(y)
                t, u = x - i, y - j
                above, below = frame[j - first], frame[j - first + 1]
                v = (1.0 - u) * (1.0 - t) * above[i] + (1.0 - u) * t * above[i + 1]
                v = v + u * (1.0 - t) * below[i] + u * t * below[i + 1]
                if math.isfinite(v):
                    row[c] = v
                    continue
            v, weight, whole, far = gathered(frame, first, height, x, y, taps, wx, wy)
            if taps > 2 and not whole:
                v, weight, whole, far = gathered(frame, first, height, x, y, 2, ux, uy)
            beyond += far
            if not whole:
                v = v / weight if weight >= HALF else np.nan
            row[c] = v
    return beyond


@part
def spread_of(frame, variance, flags, first, height, x, y, taps, wx, wy):
    """Sum of squared weights times variances, the weight, the bits of what is not good, and whether all is."""
    rows, width = frame.shape
    square, weight, bits, whole = 0.0, 0.0, np.uint8(0), True
    i, j = first_tap(x, taps, wx), first_tap(y, taps, wy)
    for a in range(taps):
        for b in range(taps):
            w = wy[a] * wx[b]
            if w == 0.0:
                continue
            r, c = j + a, i + b
            if r < 0 or r >= height or c < 0 or c >= width:
                whole = False
                bits |= OUTSIDE
                continue
            if r < first or r >= first + rows:
                continue
            if not math.isfinite(frame[r - first, c]):
                whole = False
                bits |= flags[r - first, c]
                continue
            square += w * w * np.float64(variance[r - first, c])
            weight += w
    return square, weight, bits, whole


@kernel
def carried(frame, variance, flags, first, height, at, taps, error, reasons):
    """What goes with `resampled`: into ``error`` the standard errors, into ``reasons`` the bits of what is missing."""
    width = frame.shape[1]
    wx, wy = np.empty(taps), np.empty(taps)
    ux, uy = np.empty(2), np.empty(2)
    for k in range(error.shape[0]):
        xs, ys = at[0, k], at[1, k]
        for c in range(error.shape[1]):
            x, y = xs[c], ys[c]
            error[k, c], reasons[k, c] = np.nan, OUTSIDE
            if not (x > -taps and x < width + taps and y > -taps and y < height + taps):
                continue
            square, weight, bits, whole = spread_of(frame, variance, flags, first, height, x, y, taps, wx, wy)
            if taps > 2 and not whole:
                square, weight, bits, whole = spread_of(frame, variance, flags, first, height, x, y, 2, ux, uy)
            if whole or weight >= HALF:
                reasons[k, c] = 0
                error[k, c] = math.sqrt(square) if whole else math.sqrt(square) / weight
            else:
                reasons[k, c] = bits
