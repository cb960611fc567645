"""Frames on another grid: positions of its pixels in a frame, and interpolated values there."""

import math

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.limits import HALF, ON_PIXEL, OUTSIDE, RUN, SINE, THIRD

# steps between pixels; numba checks whether a signed index counts from the end, at each use
I1, I2, I3, I4, I5 = map(np.uintp, range(1, 6))


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
def weigh(x, taps, w):
    """Weights of the ``taps`` pixels for up to `RUN` positions ``x``: weight k of position n is ``w[k * RUN + n]``.

    Loops without branches, on one array with fixed distances: LLVM makes vector instructions of them.
    """
    if taps == 1:
        w[: x.size] = 1.0
    elif taps == 2:
        for n in range(x.size):
            t = x[n] - np.floor(x[n])
            w[n], w[RUN + n] = 1.0 - t, t
    elif taps == 4:  # Keys (1981), a = -1/2
        for n in range(x.size):
            t = x[n] - np.floor(x[n])
            w[n] = t * (t * (1.0 - 0.5 * t) - 0.5)
            w[RUN + n] = t * t * (1.5 * t - 2.5) + 1.0
            w[2 * RUN + n] = t * (t * (2.0 - 1.5 * t) + 0.5)
            w[3 * RUN + n] = t * t * (0.5 * t - 0.5)
    else:
        lanczos(x, w)


@inner_function
def lanczos(x, w):
    """As `weigh`: Lanczos with three lobes, normalised to a sum of 1.

    At t behind the third of 6 pixels the weights are sin(d) sin(d / 3) / d**2, d = pi (t + 2 - k). All sin(d) are equal
    but for their signs, so that the sum takes them out. All sin(d / 3) follow from two, as their angles are a third of
    pi apart.
    """
    for n in range(x.size):
        t = x[n] - np.floor(x[n])
        u = 1.0 - t
        s, r = short_sine(THIRD * t), short_sine(THIRD * u)
        p, q = (t + 1.0) * (t + 2.0), (u + 1.0) * (u + 2.0)
        both = 1.0 / (t * u * p * q)  # all reciprocals from one division, which costs as much as ten products
        near, far = both * p * q, both * t * u
        a, b = near * u, near * t  # 1 / t, 1 / u
        p, q = far * q, far * p  # their reciprocals
        c, d, e, f = p * (t + 1.0), p * (t + 2.0), q * (u + 2.0), q * (u + 1.0)  # 1 / (t + 2), 1 / (t + 1), ...
        c, d, a = r * c * c, -(s + r) * d * d, s * a * a
        b, e, f = r * b * b, -(s + r) * e * e, s * f * f
        scale = 1.0 / (c + d + a + b + e + f)
        w[n], w[RUN + n], w[2 * RUN + n] = c * scale, d * scale, a * scale
        w[3 * RUN + n], w[4 * RUN + n], w[5 * RUN + n] = b * scale, e * scale, f * scale
    for n in range(x.size):  # by itself: with a branch the loop above does not become vector instructions
        if x[n] - np.floor(x[n]) < ON_PIXEL:
            for k in range(6):
                w[k * RUN + n] = 1.0 if k == 2 else 0.0


@inner_function
def short_sine(z):
    """The sine of an angle up to a third of pi, by its series: 3 times faster than `math.sin`, and exact to 2e-17."""
    q = z * z
    p = q * q
    low = (SINE[0] + SINE[1] * q) + p * (SINE[2] + SINE[3] * q)  # in pairs, which do not wait for each other
    high = (SINE[4] + SINE[5] * q) + p * (SINE[6] + SINE[7] * q)
    return z + z * q * (low + p * p * high)


@inner_function
def inside(x, y, taps, first, rows, width):
    """Whether all pixels for a position are among the rows given."""
    before, behind = max(0, taps // 2 - 1), max(1, taps // 2)
    return x >= before and x < width - behind and y >= first + before and y < first + rows - behind


@inner_function
def corner(x, y, taps, first):
    """The first row and column for a position that is `inside`, counted from the rows given."""
    before, half = max(0, taps // 2 - 1), 0.5 if taps == 1 else 0.0
    return np.uintp(int(y + half) - before - first), np.uintp(int(x + half) - before)


@inner_function
def quick(plane, first, x, y, taps, wx, wy, out):
    """Write to ``out`` the sums of weights times ``plane`` at positions ``x``, ``y`` whose pixels are all in its rows.

    Elsewhere it is NaN. If one of the pixels is NaN or infinite, so is the sum.
    """
    rows, width = plane.shape
    for n in range(x.size):
        out[n] = np.nan
        if not inside(x[n], y[n], taps, first, rows, width):
            continue
        j, i = corner(x[n], y[n], taps, first)
        # products are written out: loops of unknown length took twice as long
        if taps == 1:
            out[n] = plane[j, i]
            continue
        a, b, k = wx[n], wx[RUN + n], j + I1
        if taps == 2:
            above = wy[n] * (a * plane[j, i] + b * plane[j, i + I1])
            out[n] = above + wy[RUN + n] * (a * plane[k, i] + b * plane[k, i + I1])
            continue
        c, d, total = wx[2 * RUN + n], wx[3 * RUN + n], 0.0
        for m in range(taps):
            r = j + np.uintp(m)
            along = a * plane[r, i] + b * plane[r, i + I1] + c * plane[r, i + I2] + d * plane[r, i + I3]
            if taps == 6:
                along = along + wx[4 * RUN + n] * plane[r, i + I4] + wx[5 * RUN + n] * plane[r, i + I5]
            total += wy[m * RUN + n] * along
        out[n] = total


@inner_function
def first_tap(x, taps):
    """The first of the ``taps`` pixels that are used for position ``x``."""
    # not round(): it takes halves to the even pixel
    return math.floor(x + 0.5) if taps == 1 else math.floor(x) - taps // 2 + 1


@inner_function
def gathered(frame, variance, flags, first, height, x, y, taps, wx, wy, todo, found):
    """For the positions ``todo``, write to the columns of ``found``: sum and weight of the good pixels, the sum of
    squared weights times variances, whether all are good, the flags of the bad ones, and the count of pixels not among
    the rows given. More than two taps end at a row with a bad pixel, as their sums are of no use then.
    """
    rows, width = frame.shape
    for n in range(x.size):
        if not todo[n]:
            continue
        total, weight, square, whole, bits, beyond = 0.0, 0.0, 0.0, True, np.uint8(0), 0
        i, j = first_tap(x[n], taps), first_tap(y[n], taps)
        for a in range(taps):
            p, along, beside = wy[a * RUN + n], 0.0, 0.0
            for b in range(taps):
                q, r, c = wx[b * RUN + n], j + a, i + b
                if p * q == 0.0:  # at a whole position: NaN in the next pixel does no harm
                    continue
                if r < 0 or r >= height or c < 0 or c >= width:
                    whole, bits = False, bits | OUTSIDE
                elif r < first or r >= first + rows:
                    beyond += 1  # the caller reports it
                elif math.isfinite(frame[r - first, c]):
                    along += q * frame[r - first, c]
                    weight += p * q
                    if variance.size > 0:
                        beside += q * q * variance[r - first, c]
                else:
                    whole, bits = False, bits | (flags[r - first, c] if variance.size > 0 else np.uint8(0))
            total += p * along
            square += p * p * beside
            if taps > 2 and not whole:
                break
        found[0, n], found[1, n], found[2, n] = total, weight, square
        found[3, n], found[4, n], found[5, n] = whole, bits, beyond


@inner_function
def finished(todo, found, k, start, value, error, reasons, carries):
    """Write what was `gathered` for the positions ``todo``. Returns the count of pixels not among the rows given."""
    beyond = 0
    for n in range(min(RUN, value.shape[1] - start)):
        if not todo[n]:
            continue
        weight, whole = found[1, n], found[3, n] > 0.0
        usable = whole or weight >= HALF
        divisor = 1.0 if whole else weight
        beyond += int(found[5, n])
        value[k, start + n] = found[0, n] / divisor if usable else np.nan
        if carries:
            error[k, start + n] = math.sqrt(found[2, n]) / divisor if usable else np.nan
            reasons[k, start + n] = 0 if usable else np.uint8(found[4, n])
    return beyond


@inner_function
def summed(frame, variance, first, x, y, taps, wx, wy, sx, sy, sums, squares):
    """Weights of up to `RUN` positions, and the sums that are `quick`; ``sx`` and ``sy`` are scratch."""
    weigh(x, taps, wx)
    weigh(y, taps, wy)
    quick(frame, first, x, y, taps, wx, wy, sums)
    if variance.size > 0:
        for n in range(taps * RUN):
            sx[n], sy[n] = wx[n] * wx[n], wy[n] * wy[n]
        quick(variance, first, x, y, taps, sx, sy, squares)


@inner_function
def reached(x, y, low, right, bottom, todo):
    """Mark as ``todo`` the positions that may be near enough to the frame to have a value. Returns their count."""
    near = 0
    for n in range(x.size):  # NaN is not near
        todo[n] = (x[n] > low) & (x[n] < right) & (y[n] > low) & (y[n] < bottom)
        near += todo[n]
    return near


@inner_function
def settled(sums, squares, value, todo):
    """Write the sums to ``value``. What is finite is no longer ``todo``. Returns the count of what is."""
    left = 0
    for n in range(value.size):
        value[n] = sums[n]
        todo[n] = todo[n] & (not abs(sums[n]) + squares[n] < np.inf)
        left += todo[n]
    return left


@inner_function
def explained(sums, squares, error, reasons):
    """Write standard errors, and flags as if all that has no sum were outside."""
    for n in range(error.size):
        error[n] = math.sqrt(squares[n])
        reasons[n] = 0 if abs(sums[n]) < np.inf else OUTSIDE


@kernel
def resampled(frame, variance, flags, first, height, at, taps, value, error, reasons):
    """Write ``frame`` (rows from ``first`` on, of ``height``) at positions ``at`` (2, rows, columns) to ``value``.

    Only good pixels count, and they must have half of the weight, else the value is NaN. With more than two taps an
    axis all pixels must be good, else the position is done with two taps. ``error`` gets standard errors and
    ``reasons`` the flags of missing values, unless ``variance`` is empty. Returns the count of needed pixels that are
    not among the rows given.
    """
    carries, beyond = variance.size > 0, 0
    wx, wy, ux, uy = np.zeros(6 * RUN), np.zeros(6 * RUN), np.zeros(6 * RUN), np.zeros(6 * RUN)
    sums, squares, found = np.empty(RUN), np.empty(RUN), np.empty((6, RUN))
    todo, again = np.empty(RUN, np.bool_), np.empty(RUN, np.bool_)
    least = min(taps, 2)  # not 2: for a constant numba compiles the called functions once more
    low, right, bottom = -float(taps), float(frame.shape[1] + taps), float(height + taps)
    for k in range(value.shape[0]):
        for start in range(0, value.shape[1], RUN):
            run = slice(start, start + RUN)
            x, y = at[0, k, run], at[1, k, run]
            sums[:], squares[:] = np.nan, np.nan if carries else 0.0
            if reached(x, y, low, right, bottom, todo) > 0:
                summed(frame, variance, first, x, y, taps, wx, wy, ux, uy, sums, squares)
            left = settled(sums, squares, value[k, run], todo)
            if carries:
                explained(sums, squares, error[k, run], reasons[k, run])
            if left == 0:  # as nearly everywhere: all pixels are there and good, or none is
                continue
            gathered(frame, variance, flags, first, height, x, y, taps, wx, wy, todo, found)
            if taps > 2:  # wide kernels have negative lobes, and ring if a pixel is left out
                for n in range(x.size):
                    again[n] = todo[n] and found[3, n] == 0.0
                weigh(x, least, ux)
                weigh(y, least, uy)
                gathered(frame, variance, flags, first, height, x, y, least, ux, uy, again, found)
            beyond += finished(todo, found, k, start, value, error, reasons, carries)
    return beyond
