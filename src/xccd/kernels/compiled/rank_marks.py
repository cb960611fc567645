"""Marks by rank in sorted columns: bounds where they say what is left, else the frames of the marked samples."""

import numpy as np

from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.flags import Flag

LOW, HIGH = np.uint8(Flag.REJECTED_LOW), np.uint8(Flag.REJECTED_HIGH)


@inner_function
def nth(found, n):
    """The rank of the n-th sample, from 0, that has no mark."""
    rank, left = 0, 0
    for k in range(found.size):
        left += 1 if found[k] == 0 else 0
        rank += 1 if left <= n else 0
    return rank


@kernel
def outermost(blocks, number, lo, hi, odd, found, left, least, most):
    """Write the ends of the windows; decide which are odd, and return the count of marks that these may have.

    ``left`` gets the count of samples that stay. Empty windows keep their bounds.
    """
    total, width = 0, blocks.shape[2]
    for p in range(number.size):
        block, c, n, marked = blocks[p // width], p % width, number[p], lo[p] + number[p] - hi[p]
        if odd[p]:
            _, _, marked = ends_of(found[p], n)
            odd[p] = marked > lo[p] + n - hi[p] or lo[p] == hi[p] or wrong_side(found[p], lo[p], hi[p], n)
        left[p] = n - marked
        if lo[p] < hi[p]:
            low, high = block[lo[p], c], block[hi[p] - 1, c]
            least[p], most[p] = low, high
            # bounds cannot part equal samples
            odd[p] |= (lo[p] > 0 and block[lo[p] - 1, c] == low) or (hi[p] < n and block[hi[p], c] == high)
        total += marked if odd[p] else 0
    return total


@inner_function
def ends_of(found, n):
    """The window of the outermost of n samples without a mark, and the count of marks."""
    lo, hi, marked = n, 0, 0
    for k in range(n):
        stays = found[k] == 0
        marked += 0 if stays else 1
        lo = k if stays & (lo == n) else lo
        hi = k + 1 if stays else hi
    return min(lo, hi), hi, marked


@inner_function
def wrong_side(found, lo, hi, n):
    """Whether a sample below the window is marked as too high, or one above as too low."""
    wrong = False
    for k in range(n):
        wrong |= ((k < lo) & (found[k] != LOW)) | ((k >= hi) & (found[k] != HIGH))
    return wrong


@kernel
def marks_of_ranks(pixels, blocks, some, found, lo, hi, marks):
    """Write pixel, frame and flag of each mark of some pixels to the rows of ``marks``; returns how many.

    Marks that follow from the windows' ends are left out.
    """
    x, start, _, least, most, _ = pixels
    value, width, to, frames = np.empty(x.shape[0]), blocks.shape[2], 0, x.shape[0]
    for p in some:
        block, c = blocks[p // width], p % width
        for k in range(frames):
            v = x[k, start + p]
            value[k] = v if (v >= least[p]) & (v <= most[p]) else np.nan
        first, last = (block[lo[p], c], block[hi[p] - 1, c]) if lo[p] < hi[p] else (-np.inf, np.inf)
        for rank in range(frames):
            v, flag = block[rank, c], found[p, rank]
            if flag == 0 or (v < first and flag == LOW) or (v > last and flag == HIGH):
                continue
            skip = 0
            while rank - skip > 0 and block[rank - skip - 1, c] == v:
                skip += 1
            marks[0, to], marks[1, to], marks[2, to] = p, place(value, v, skip), flag
            to += 1
    return to


@inner_function
def place(value, v, skip):
    """The frame of a value; of equal ones the first have the lowest ranks, and some are skipped."""
    frame, left = 0, 0
    for k in range(value.size):
        left += 1 if value[k] == v else 0
        frame += 1 if left <= skip else 0
    return frame
