"""The masked stack: samples in use as they are, NaN for all others."""

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.streams import arrived, stream_inside
from xccd.kernels.compiled.vectors import LINE

LARGE = 32 << 20  # bytes of an array that is written past the cache: most of it would leave the cache anyway


@kernel
def masked(pixels, out, first):
    """Write the pixels to ``first ...`` of ``out``, NaN where outside the bounds."""
    x, start, stop, least, most, _ = pixels
    if out.size * out.itemsize >= LARGE:
        _streamed(x, start, stop, least, most, out, first)
    else:
        _nan_outside(x, start, stop, least, most, out, first)


@kernel
def masked_ties(pixels, ties, out, first):
    """As `masked`, but also reject the samples at the bounds that ``ties`` rejects. ``ties`` is used up."""
    x, start, stop, least, most, _ = pixels
    skip, keep = ties
    _nan_outside(x, start, stop, least, most, out, first)
    for c in range(stop - start):  # few columns are tied
        if skip[c] == 0 and keep[c] >= x.shape[0]:
            continue
        for k in range(x.shape[0]):
            value = x[k, start + c]
            # Of equal samples the first frames are rejected at the lower bound, and kept at the upper one.
            if value == most[c]:
                out[k, first + c] = value if keep[c] > 0 else np.nan
                keep[c] -= 1
            if value == least[c] and skip[c] > 0:
                out[k, first + c] = np.nan
                skip[c] -= 1


@inner_function
def _nan_outside(x, start, stop, least, most, out, first):
    size = stop - start
    for k in range(x.shape[0]):
        row, to = x[k, start:stop], out[k, first : first + size]
        for c in range(size):
            value = row[c]
            to[c] = value if (value >= least[c]) & (value <= most[c]) else np.nan


@inner_function
def _streamed(x, start, stop, least, most, out, first):
    """As `_nan_outside`; the whole cache lines of each row past the cache."""
    size, lanes = stop - start, LINE // out.itemsize
    for k in range(x.shape[0]):
        row, to = x[k, start:stop], out[k, first : first + size]
        head = min(size, -(to.ctypes.data // out.itemsize) % lanes)  # samples before the first whole line
        tail = size - (size - head) % lanes  # the first sample behind the last one
        for c in range(head):
            to[c] = row[c] if (row[c] >= least[c]) & (row[c] <= most[c]) else np.nan
        stream_inside(x, start, least, most, out, first, k, head, tail - head)
        for c in range(tail, size):
            to[c] = row[c] if (row[c] >= least[c]) & (row[c] <= most[c]) else np.nan
    arrived()
