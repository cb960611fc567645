"""Sorted columns for rejections: blocks of float64, sorted once, on which the rules of `windows` and `marks` work."""

import numpy as np

from xccd.kernels.compiled.block import sort_block
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import middle


@kernel
def sorted_columns(pixels, number, scratch, blocks):
    """Sort pixels into ``blocks`` (blocks, frames, columns); ``number`` gets the per-pixel count of samples in use.

    Missing samples are behind the others, with no particular value. Float64 holds all dtypes exactly. So a rule is
    compiled once for all of them.
    """
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, _ = scratch
    frames, columns = x.shape[0], buffer.shape[1]
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        to = blocks[i // columns]
        for k in range(frames):
            for c in range(n.size):
                to[k, c] = buffer[k, c]


@kernel
def ends(blocks, lo, hi, least, most):
    """Write the first and the last sample of each window; those of an empty one have no meaning."""
    width = blocks.shape[2]
    for p in range(lo.size):
        block, c = blocks[p // width], p % width
        least[p] = block[lo[p] if lo[p] < hi[p] else 0, c]
        most[p] = block[hi[p] - 1 if lo[p] < hi[p] else 0, c]


@inner_function
def median_of(block, c, lo, hi):
    """The median of ``block[lo:hi, c]``; there must be a sample."""
    n = hi - lo
    return middle(block[lo + (n - 1) // 2, c], block[lo + n // 2, c])


@inner_function
def all_medians(block, n, first, med):
    """Write the median of each column of a block, whose counts are ``n[first:]``; 0 without samples."""
    frames = block.shape[0]
    lower, upper = block[(frames - 1) // 2], block[frames // 2]
    for c in range(min(med.size, n.size - first)):
        med[c] = middle(lower[c], upper[c])
        if n[first + c] < frames:
            med[c] = median_of(block, c, 0, n[first + c]) if n[first + c] > 0 else 0.0


@inner_function
def mark_rank(values, p, block, c, rank, flag, out):
    """Write ``flag`` to the sample of pixel ``p`` that has this rank in its sorted column. Equal ones: in frame order.

    ``values`` are (frames, pixels), ``block`` their sorted columns.
    """
    value, skip = block[rank, c], 0
    while rank - skip > 0 and block[rank - skip - 1, c] == value:
        skip += 1
    for k in range(values.shape[0]):
        if values[k, p] == value:
            if skip == 0:
                out[k, p] = flag
                return
            skip -= 1


@kernel
def spread(pixels, values):
    """Write samples as float64 to ``values`` (frames, pixels), NaN for those not in use."""
    x, start, stop, least, most, _ = pixels
    for k in range(x.shape[0]):
        row, to = x[k, start:stop], values[k]
        for c in range(stop - start):
            value = row[c]
            to[c] = value if (value >= least[c]) & (value <= most[c]) else np.nan


@inner_function
def mean_of(block, c, lo, hi, trim):
    """The mean of ``block[lo:hi, c]``, added up about the median; without one sample at each end if ``trim``."""
    med, n = median_of(block, c, lo, hi), hi - lo
    cut = 1 if trim and n >= 3 else 0
    total = 0.0
    for k in range(lo + cut, hi - cut):
        total += block[k, c] - med
    return med + total / np.float64(n - 2 * cut)
