"""Rejections whose survivors are a window of the sorted column: each rule narrows ``lo`` and ``hi`` of all columns.

A rule is given ``blocks`` (blocks, frames, columns) of sorted float64, the windows ``lo <= k < hi`` of their samples
(int32, one for each pixel), the numbers of the rejection's options (low and high first), and its table.
"""

from xccd.kernels.compiled.columns import median_of
from xccd.kernels.compiled.compile import kernel


@kernel
def percentile(blocks, lo, hi, options, table):
    """Samples further from the median than ``low`` or ``high`` times the median, where that is above 0."""
    low, high = options[0], options[1]
    width = blocks.shape[2]
    for p in range(lo.size):
        block, c, a, b = blocks[p // width], p % width, lo[p], hi[p]
        if b <= a:
            continue
        center = median_of(block, c, a, b)
        if not center > 0.0:
            continue
        while a < b and center - block[a, c] > low * center:
            a += 1
        while a < b and block[b - 1, c] - center > high * center:
            b -= 1
        lo[p], hi[p] = a, b
