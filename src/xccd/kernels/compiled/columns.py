"""Sorted columns for rejections: blocks of float64, sorted once, on which the rules work.

A first look at all columns of a block at once finds those that may lose a sample; only these are gone through one by
one. The first look adds in another order, so it leaves room for rounding (`SURE`). Its loops have few arrays each: with
more, LLVM does not find out that none overlaps another, and makes no vector code.
"""

import numpy as np

from xccd.kernels.compiled.block import sort_block
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import middle

WIDTH = 256  # columns of a block, at most
SURE = 1.0 - 1e-9  # of a threshold: what is nearer to it is looked at


@kernel
def sorted_columns(pixels, number, scratch, blocks):
    """Sort pixels into ``blocks`` (blocks, frames, columns); ``number`` gets the per-pixel count of samples in use.

    Behind its samples a column is filled with their median, which changes no sum about it; without any, with 0.
    Float64 holds all dtypes exactly. So a rule is compiled once for all of them.
    """
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, _ = scratch
    frames, columns = x.shape[0], buffer.shape[1]
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        missing = sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        to = blocks[i // columns]
        for k in range(frames):
            row, place = buffer[k], to[k]
            for c in range(n.size):
                place[c] = row[c]
        if missing:
            fill(to, n)


@inner_function
def fill(block, n):
    """Fill columns behind their samples."""
    for c in range(n.size):
        if n[c] < block.shape[0]:
            value = median_of(block, c, 0, n[c]) if n[c] > 0 else 0.0
            for k in range(n[c], block.shape[0]):
                block[k, c] = value


@kernel
def fill_block(block, n):
    """`fill`, for calls from Python."""
    fill(block, n)


@kernel
def ends(blocks, lo, hi, least, most):
    """Write the first and the last sample of each window; those of an empty one have no meaning."""
    width = blocks.shape[2]
    for p in range(lo.size):
        block, c = blocks[p // width], p % width
        least[p] = block[lo[p] if lo[p] < hi[p] else 0, c]
        most[p] = block[hi[p] - 1 if lo[p] < hi[p] else 0, c]


@kernel
def with_equals(blocks, number, lo, hi):
    """Widen windows by samples that equal their ends: bounds cannot part equal samples."""
    width = blocks.shape[2]
    for p in range(lo.size):
        block, c = blocks[p // width], p % width
        while 0 < lo[p] < hi[p] and block[lo[p] - 1, c] == block[lo[p], c]:
            lo[p] -= 1
        while lo[p] < hi[p] < number[p] and block[hi[p], c] == block[hi[p] - 1, c]:
            hi[p] += 1


@kernel
def picked(pixels, blocks, some, values, columns):
    """Copy some pixels: their samples, NaN for those not in use, and their sorted columns, both (pixels, frames)."""
    x, start, _, least, most, _ = pixels
    width = blocks.shape[2]
    for i in range(some.size):
        p = some[i]
        block, c = blocks[p // width], p % width
        for k in range(x.shape[0]):
            value = x[k, start + p]
            values[i, k] = value if (value >= least[p]) & (value <= most[p]) else np.nan
            columns[i, k] = block[k, c]


@inner_function
def median_of(block, c, lo, hi):
    """The median of ``block[lo:hi, c]``; there must be a sample."""
    n = hi - lo
    return middle(block[lo + (n - 1) // 2, c], block[lo + n // 2, c])


@inner_function
def mean_of(block, c, lo, hi, trim):
    """The mean of ``block[lo:hi, c]``, added up about the median; without one sample at each end if ``trim``."""
    med, n = median_of(block, c, lo, hi), hi - lo
    cut = 1 if trim and n >= 3 else 0
    total = 0.0
    for k in range(lo + cut, hi - cut):
        total += block[k, c] - med
    return med + total / np.float64(n - 2 * cut)


@inner_function
def all_medians(block, n, med, top):
    """Write the median and the highest sample of each column; 0 without samples."""
    frames = block.shape[0]
    lower, upper, last = block[(frames - 1) // 2], block[frames // 2], block[frames - 1]
    for c in range(n.size):
        med[c] = 0.5 * (lower[c] + upper[c])
    for c in range(n.size):
        top[c] = last[c]
    for c in range(n.size):
        if n[c] < frames or not abs(med[c]) < np.inf:
            med[c] = median_of(block, c, 0, n[c]) if n[c] > 0 else 0.0
            top[c] = block[n[c] - 1, c] if n[c] > 0 else 0.0


@inner_function
def all_sums(block, size, med, s1, s2):
    """Write the sums of residuals about ``med`` and of their squares; four rows at a time."""
    s1[:] = 0.0
    s2[:] = 0.0
    whole = block.shape[0] // 4 * 4
    for k in range(0, whole, 4):
        first, second, third, fourth = block[k], block[k + 1], block[k + 2], block[k + 3]
        for c in range(size):
            a, b, d, e = first[c] - med[c], second[c] - med[c], third[c] - med[c], fourth[c] - med[c]
            s1[c] += ((a + b) + d) + e
            s2[c] += ((a * a + b * b) + d * d) + e * e
    for k in range(whole, block.shape[0]):
        row = block[k]
        for c in range(size):
            y = row[c] - med[c]
            s1[c] += y
            s2[c] += y * y
