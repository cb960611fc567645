"""The scatter of samples about the centres of their pixels, over the light: what the noise of unit light is made of."""

import numpy as np

from xccd.kernels.compiled.columns import WIDTH
from xccd.kernels.compiled.compile import inner_function, kernel

CENTER, SUM, SQUARES, N, LOWEST, HIGHEST = (i * WIDTH for i in range(6))  # numbers of pixels, in one array
FEWEST = 3  # samples of a pixel that counts


@kernel
def unit_squares(pixels, by_mean, medians, out):
    """Write the sum of squares about the centre over max(1, centre); 0 for pixels of few samples.

    The centre is the median, or the mean without one lowest and one highest sample.
    """
    x, start, stop, least, most, _ = pixels
    acc = np.empty(6 * WIDTH)
    for i in range(0, stop - start, WIDTH):
        a, b, to = least[i : i + WIDTH], most[i : i + WIDTH], out[i : i + WIDTH]
        acc[:] = 0.0
        for c in range(to.size):
            acc[c + CENTER] = medians[i + c]
        for k in range(x.shape[0]):
            add(x[k, start + i : start + i + to.size], a, b, acc)
        if by_mean:
            for c in range(to.size):
                rest = acc[c + SUM] - acc[c + LOWEST] - acc[c + HIGHEST]
                acc[c + CENTER] += rest / (acc[c + N] - 2.0)
                acc[c + SQUARES] = acc[c + N] = 0.0
            for k in range(x.shape[0]):
                add(x[k, start + i : start + i + to.size], a, b, acc)
        for c in range(to.size):
            light = acc[c + CENTER] if acc[c + CENTER] > 1.0 else 1.0
            to[c] = acc[c + SQUARES] / light if acc[c + N] >= FEWEST else 0.0


@inner_function
def add(row, least, most, acc):
    """Add one frame's samples in use: their count, sums about the centre, least and greatest distance."""
    for c in range(row.size):
        y = np.float64(row[c]) - acc[c + CENTER]
        valid = (row[c] >= least[c]) & (row[c] <= most[c])
        y = y if valid else 0.0
        acc[c + SUM] += y
        acc[c + SQUARES] += y * y
        acc[c + N] += 1.0 if valid else 0.0
        acc[c + LOWEST] = y if y < acc[c + LOWEST] else acc[c + LOWEST]
        acc[c + HIGHEST] = y if y > acc[c + HIGHEST] else acc[c + HIGHEST]
