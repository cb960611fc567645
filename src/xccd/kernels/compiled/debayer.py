"""Colours at every pixel of a tile of a raw colour frame, by neighbours of a colour or by blocks of 2 x 2.

A tile has ``edge`` more samples on each side than the results. ``row`` and ``column`` (0 or 1) are where the first red
sample of the results is; blue is one further in both. What is not finite is missing.
"""

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel

RED, GREEN, BLUE = 0, 1, 2
SPAN = 512  # columns that are looked at for missing samples together


@inner_function
def mean(total, count, squared):
    """The mean of ``count`` samples, or the variance of that mean; NaN without any."""
    return total / (count * count) if squared else total / count


@kernel
def bilinear(tile, values, edge, row, column, squared, out):
    """Write to ``out`` (3, rows, columns) the means of ``values`` at the nearest samples of each colour.

    Samples count where ``tile`` is finite. With ``squared``, ``values`` are variances, and so are the results.
    """
    cuts = parts(out.shape[2])
    is_whole = np.ones((tile.shape[0], cuts.size - 1), np.uint8)
    for i in range(tile.shape[0]):
        for k in range(is_whole.shape[1]):
            is_whole[i, k] = all_finite(tile[i, edge - 1 + cuts[k] : edge + 1 + cuts[k + 1]])
    for i in range(out.shape[1]):
        chroma = RED if i % 2 == row else BLUE
        last, first = BLUE - chroma, column if chroma == RED else 1 - column  # the first sample of that colour
        above, below = i + edge - 1, i + edge + 2
        for k in range(is_whole.shape[1]):
            here, around = slice(cuts[k], cuts[k + 1]), slice(edge - 1 + cuts[k], None)
            green, own, other = out[GREEN, i, here], out[chroma, i, here], out[last, i, here]
            if is_whole[above, k] and is_whole[above + 1, k] and is_whole[above + 2, k]:
                a, b, c = values[above, around], values[above + 1, around], values[above + 2, around]
                whole(a, b, c, first, squared, green, own, other)
            else:
                near, summed = tile[above:below, around], values[above:below, around]
                at_chroma(near, summed, first, squared, own, green, other)
                at_green(near, summed, 1 - first, squared, green, own, other)


@inner_function
def parts(columns):
    """Where parts of a row begin, at even columns, and its end. The outermost are short: beyond them nothing is."""
    cuts = np.empty(columns // SPAN + 5, np.int64)
    cuts[0], n, at = 0, 1, 2
    while at < columns:
        cuts[n] = at
        n, rest = n + 1, columns - at
        at += SPAN if rest > SPAN + 4 else max(2, (rest - 2) // 2 * 2)
    cuts[n] = columns
    return cuts[: n + 1]


@inner_function
def all_finite(row):
    """1 if all samples are there, else 0."""
    found = 1
    for j in range(row.size):
        found &= 1 if abs(row[j]) < np.inf else 0
    return found


@inner_function
def whole(a, b, c, first, squared, green, chroma, other):
    """A part of a row around which no sample is missing: as the functions below, in vector instructions."""
    two, four = (0.25, 0.0625) if squared else (0.5, 0.25)
    for j in range(green.size):
        column = np.float64(a[j + 1]) + np.float64(c[j + 1])
        line = np.float64(b[j]) + np.float64(b[j + 2])
        corners = (np.float64(a[j]) + np.float64(c[j + 2])) + (np.float64(a[j + 2]) + np.float64(c[j]))
        is_chroma = (j & 1) == first
        green[j] = four * (column + line) if is_chroma else b[j + 1]
        chroma[j] = b[j + 1] if is_chroma else two * line
        other[j] = four * corners if is_chroma else two * column


@inner_function
def at_chroma(t, v, first, squared, own, green, other):
    """Every second pixel of a row, from ``first``: red or blue."""
    for j in range(first, own.size, 2):
        n, s = np.isfinite(t[0, j + 1]), np.isfinite(t[2, j + 1])
        w, e = np.isfinite(t[1, j]), np.isfinite(t[1, j + 2])
        total = (add(v[0, j + 1], n) + add(v[2, j + 1], s)) + (add(v[1, j], w) + add(v[1, j + 2], e))
        green[j] = mean(total, (one(n) + one(s)) + (one(w) + one(e)), squared)
        nw, ne = np.isfinite(t[0, j]), np.isfinite(t[0, j + 2])
        sw, se = np.isfinite(t[2, j]), np.isfinite(t[2, j + 2])
        total = (add(v[0, j], nw) + add(v[2, j + 2], se)) + (add(v[0, j + 2], ne) + add(v[2, j], sw))
        other[j] = mean(total, (one(nw) + one(se)) + (one(ne) + one(sw)), squared)
        own[j] = v[1, j + 1] if np.isfinite(t[1, j + 1]) else np.nan


@inner_function
def at_green(t, v, first, squared, own, aside, above):
    """Every second pixel of a row, from ``first``: green, with the colours of its neighbours in row and column."""
    for j in range(first, own.size, 2):
        w, e = np.isfinite(t[1, j]), np.isfinite(t[1, j + 2])
        aside[j] = mean(add(v[1, j], w) + add(v[1, j + 2], e), one(w) + one(e), squared)
        n, s = np.isfinite(t[0, j + 1]), np.isfinite(t[2, j + 1])
        above[j] = mean(add(v[0, j + 1], n) + add(v[2, j + 1], s), one(n) + one(s), squared)
        own[j] = v[1, j + 1] if np.isfinite(t[1, j + 1]) else np.nan


@inner_function
def add(value, is_here):
    """The value as a term of a sum, 0 where it is missing."""
    return np.float64(value) if is_here else 0.0


@inner_function
def one(is_here):
    """1 where a value is, as a term of a count."""
    return 1.0 if is_here else 0.0


@kernel
def superpixel(tile, values, row, column, squared, out):
    """Write to ``out`` (3, rows, columns) the colours of blocks of 2 x 2 samples; green is the mean of two.

    The tile has no edge. Samples count as in `bilinear`.
    """
    for i in range(out.shape[1]):
        for colour, y in ((RED, row), (BLUE, 1 - row)):
            x = column if colour == RED else 1 - column
            t, v, to = tile[2 * i + y], values[2 * i + y], out[colour, i]
            for j in range(to.size):
                to[j] = v[2 * j + x] if np.isfinite(t[2 * j + x]) else np.nan
        upper, lower, to = (1 - column if row == 0 else column), (column if row == 0 else 1 - column), out[GREEN, i]
        for j in range(to.size):
            a, b = np.isfinite(tile[2 * i, 2 * j + upper]), np.isfinite(tile[2 * i + 1, 2 * j + lower])
            total = add(values[2 * i, 2 * j + upper], a) + add(values[2 * i + 1, 2 * j + lower], b)
            to[j] = mean(total, one(a) + one(b), squared)
