"""The scatter of samples about the centres of their pixels, over the light: what the noise of unit light is made of."""

import numpy as np

from xccd.kernels.compiled.columns import WIDTH
from xccd.kernels.compiled.compile import inner_function, kernel

# Numbers of pixels, in one array. The bounds as float64: LLVM converts a number faster than the result of a choice.
CENTER, SUM, SQUARES, N, LOWEST, HIGHEST, LEAST, MOST = (i * WIDTH for i in range(8))
FEWEST = 3  # samples of a pixel that counts


@kernel
def unit_squares(pixels, by_mean, medians, out, number):
    """Write the sum of squares about the centre over max(1, centre), and the count; a sum of 0 for few samples.

    The centre is the median, or the mean without one lowest and one highest sample.
    """
    x, start, stop, least, most, _ = pixels
    acc = np.empty(8 * WIDTH)
    for i in range(0, stop - start, WIDTH):
        to, n = out[i : i + WIDTH], number[i : i + WIDTH]
        acc[:] = 0.0
        for c in range(n.size):
            acc[c + CENTER] = medians[i + c]
            acc[c + LEAST] = least[i + c]
            acc[c + MOST] = most[i + c]
        if by_mean:
            for k in range(x.shape[0]):
                add(x[k, start + i : start + i + n.size], acc)
            for c in range(n.size):
                rest = acc[c + SUM] - acc[c + LOWEST] - acc[c + HIGHEST]
                acc[c + CENTER] += rest / (acc[c + N] - 2.0)
                acc[c + N] = 0.0
        for k in range(x.shape[0]):
            add_squares(x[k, start + i : start + i + n.size], acc)
        for c in range(n.size):
            light = acc[c + CENTER] if acc[c + CENTER] > 1.0 else 1.0
            to[c] = acc[c + SQUARES] / light if acc[c + N] >= FEWEST else 0.0
        for c in range(n.size):
            n[c] = acc[c + N]


@inner_function
def add(row, acc):
    """Add one frame's samples in use: their count, sums about the centre, least and greatest distance."""
    for c in range(row.size):
        v = np.float64(row[c])
        valid = (v >= acc[c + LEAST]) & (v <= acc[c + MOST])
        y = v - acc[c + CENTER] if valid else 0.0
        acc[c + SUM] += y
        acc[c + N] += 1.0 if valid else 0.0
        acc[c + LOWEST] = y if y < acc[c + LOWEST] else acc[c + LOWEST]
        acc[c + HIGHEST] = y if y > acc[c + HIGHEST] else acc[c + HIGHEST]


@inner_function
def add_squares(row, acc):
    """Add one frame's samples in use: their count, and the squares of their distances from the centre."""
    for c in range(row.size):
        v = np.float64(row[c])
        valid = (v >= acc[c + LEAST]) & (v <= acc[c + MOST])
        y = v - acc[c + CENTER] if valid else 0.0
        acc[c + SQUARES] += y * y
        acc[c + N] += 1.0 if valid else 0.0
