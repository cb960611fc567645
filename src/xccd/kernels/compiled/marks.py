"""Rejections whose survivors are no window of the sorted column: each rule marks every rejected sample.

For each rule there is a first look, ``look_<rule>``. It is given the sorted blocks of all pixels, the count of samples
of each, the numbers of the options (low and high first), numbers of each frame (kinds, frames), the least of those of
each pixel's samples (pixels or 1), and ``flag``, where it writes True for pixels that may lose a sample.

The rule is given these pixels only: ``values`` (pixels, frames), NaN where missing, their sorted ``columns``, their
counts, the options and the numbers of frames, the numbers of samples (pixels or 1, frames or 1), and ``out`` (pixels,
frames), which is 0 before.
"""

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.flags import Flag

LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)
PART = 0.001  # of a sample, by which IRAF rounds down


@inner_function
def mark_rank(value, column, rank, flag, out):
    """Write ``flag`` to the sample of a pixel that has this rank in its sorted column. Equal ones: in frame order."""
    skip = 0
    while rank - skip > 0 and column[rank - skip - 1] == column[rank]:
        skip += 1
    for k in range(value.size):
        if value[k] == column[rank]:
            if skip == 0:
                out[k] = flag
                return
            skip -= 1


@kernel
def look_ranks(blocks, number, options, of_frames, of_samples, flag):
    """All pixels: each may lose its lowest and highest samples."""
    flag[:] = number > 0


@kernel
def ranks(values, columns, number, options, of_frames, of_samples, out):
    """The lowest and the highest samples, in proportion to the count of samples that a pixel has."""
    frames = values.shape[1]
    for p in range(number.size):
        n = number[p]
        low = min(n, np.int64(n * options[0] / frames + PART))
        high = min(n - low, np.int64(n * options[1] / frames + PART))
        for k in range(low):
            mark_rank(values[p], columns[p], k, LOW, out[p])
        for k in range(n - high, n):
            mark_rank(values[p], columns[p], k, HIGH, out[p])


@kernel
def within_bounds(values, marks, least, most, gone):
    """Write the least and the greatest sample that stay, and the count of marks; clear marks that these bounds imply.

    They imply all marks of a pixel if each low one is below and each high one above them.
    """
    for p in range(least.size):
        value, mark = values[p], marks[p]
        below, low, high, above, n = -np.inf, np.inf, -np.inf, np.inf, 0
        for k in range(value.size):
            v, flag = value[k], mark[k]
            low = v if flag == 0 and v < low else low
            high = v if flag == 0 and v > high else high
            below = v if flag == LOW and v > below else below
            above = v if flag == HIGH and v < above else above
            n += 1 if flag != 0 else 0
        least[p], most[p], gone[p] = low, high, n
        if below < low <= high < above:
            for k in range(value.size):
                mark[k] = 0
