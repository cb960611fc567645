"""Sigma clip of 16-bit integers as they are stored, in the numbers that masters make of them.

Less a bias and a dark, over a positive flat, samples of a pixel stay in order, also after each operation is rounded. So
the integers are sorted, in half the time of float32, and the sorted column is changed: the result is the same column.
"""

from xccd.kernels.changes import DIVIDE, SUBTRACT
from xccd.kernels.compiled.block import sort_clean
from xccd.kernels.compiled.calibrate import change
from xccd.kernels.compiled.clip import clip_sorted, extremes, nothing_found
from xccd.kernels.compiled.compile import inner_function, kernel


@kernel
def stored_bounds(pixels, kinds, operands, number, total, options, scratch, changed):
    """As `clip.sigma_bounds`, with bounds and pads of the dtype of ``changed``, a block as wide as the buffer.

    ``kinds`` and ``operands`` are those of `calibrate.calibrated_shorts`. Divisors and factors are positive, or NaN.
    """
    x, start, stop, least, most, _ = pixels
    groups, pads, buffer, state = scratch
    frames, columns = x.shape[0], buffer.shape[1]
    nothing_found(state)
    good = pads[0]
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        sums = total[i : i + columns]
        sort_clean(x, start + i, n.size, buffer, groups, buffer.dtype.type(0))
        change_sorted(buffer, frames, n.size, kinds, operands, i, pads[2], changed)
        missing, good = without_missing(frames, n, pads[0], good, changed)
        clip_sorted(changed, frames, n, missing, pads, a, b, sums, options, state)
    return extremes(state)


@inner_function
def change_sorted(buffer, frames, size, kinds, operands, first, zero, changed):
    """Write the sorted samples as floats, after all operations; their operands begin at ``first``."""
    usual = kinds.size == 3 and kinds[0] == SUBTRACT and kinds[1] == SUBTRACT and kinds[2] == DIVIDE
    last = first + size  # operands are cut row by row: LLVM takes no vectors of a part of all
    for k in range(frames):
        row, to = buffer[k], changed[k]
        if usual:
            bias, dark, flat = operands[0, first:last], operands[1, first:last], operands[2, first:last]
            for c in range(size):
                to[c] = (to.dtype.type(row[c]) - bias[c] - dark[c]) / flat[c] + zero
        else:
            for c in range(size):
                to[c] = row[c]
            for s in range(kinds.size):
                change(to[:size], kinds[s], operands[s, first:last])
            for c in range(size):
                to[c] += zero  # no -0.0


@inner_function
def without_missing(frames, n, pad, good, changed):
    """Move what is not finite behind all samples, as ``pad``; returns whether there is any. ``n`` gets the counts.

    Pixels without a sample get ``good``, a finite one of others, which is returned, too: the range of all samples tells
    whether their sums may round.
    """
    bottom, top = changed[0], changed[frames - 1]
    odd = False
    for c in range(n.size):
        n[c] = frames
        odd |= (bottom[c] - bottom[c] != 0) | (top[c] - top[c] != 0)  # a column is in order: so are all between
    if not odd:
        return odd, bottom[0]
    for c in range(n.size):
        good = bottom[c] if bottom[c] - bottom[c] == 0 else good
    for c in range(n.size):
        if bottom[c] - bottom[c] == 0 and top[c] - top[c] == 0:
            continue
        left = 0
        for k in range(frames):
            value = changed[k, c]
            if value - value == 0:
                changed[left, c] = value
                left += 1
        for k in range(left, frames):
            changed[k, c] = pad if left > 0 else good
        n[c] = left
    return odd, good
