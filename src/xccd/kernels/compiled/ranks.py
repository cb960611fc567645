"""Combination by rank, from a sorted block."""

import numpy as np

from xccd.kernels.compiled.block import run_network, sort_block, sort_clean
from xccd.kernels.compiled.clip import both_nearest
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.vectors import load_turned
from xccd.kernels.compiled.window import median_distance, middle
from xccd.kernels.limits import HUGE, MAD_TO_STD


@inner_function
def sort_balanced(x, first, least, most, bounded, buffer, groups, pads):
    """As `block.sort_block`, but missing samples sort behind and before all in turn, so the median stays in the middle.

    Returns whether any sample may be missing. If so, the last row of the buffer has the value that the next missing
    sample would get: it tells whether their count is odd.
    """
    frames, columns, width = x.shape[0], least.size, buffer.shape[1]
    even, odd, zero = pads[0], pads[1], pads[2]
    # Without a missing sample nothing is compared with bounds: with 5 % NaN a median takes 1.2 times as long.
    if not bounded and sort_clean(x, first, columns, buffer, groups, zero):
        return False
    # Vector instructions take eight rows at a time, and the whole width of the block.
    done = np.intp(frames // 8 if columns == width and first + width <= x.shape[1] else 0)
    turn = buffer[frames + 1]
    turn[:] = even
    for k in range(done):
        load_turned(x, np.intp(first), least, most, buffer, 8 * k, even, odd, turn)
    for k in range(8 * done, frames):
        row, to = x[k, first : first + columns], buffer[k]
        for c in range(columns):
            value, pad = row[c], turn[c]
            valid = (value >= least[c]) & (value <= most[c])
            other = odd if pad == even else even
            to[c] = (value if valid else pad) + zero  # + zero: 0.0 for -0.0
            turn[c] = (pad if valid else other) + zero
    run_network(buffer, groups, done, x, first + width)
    return True


@kernel
def median(pixels, counts, request, scratch, out):
    """The middle sample. For an even count the mean of the two middle ones, or with ``mode`` 0 the lower one."""
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, _ = scratch
    frames, columns, lower = x.shape[0], buffer.shape[1], request.mode == 0.0
    odd = frames & 1
    one, turn = buffer[frames // 2 if odd else frames // 2 - 1], buffer[frames + 1]
    other = buffer[max(0, frames // 2 - 1) if odd else frames // 2]
    for i in range(0, stop - start, columns):
        to, a, b = out[i : i + columns], least[i : i + columns], most[i : i + columns]
        if sort_balanced(x, start + i, a, b, bounded, buffer, groups, pads):
            for c in range(to.size):  # a choice, not a branch: whether the missing count is odd cannot be predicted
                both = (turn[c] != pads[0]) == odd  # an even count: frames and missing are both odd or even
                first, second = np.float64(one[c]), np.float64(other[c] if both else one[c])
                to[c] = min(first, second) if lower else middle(first, second)
            _nan_where_empty(x, start + i, a, b, pads, one, other, to)
        elif odd or lower:
            for c in range(to.size):
                to[c] = one[c]
        else:
            for c in range(to.size):
                to[c] = middle(np.float64(one[c]), np.float64(other[c]))
    return 0


@inner_function
def _nan_where_empty(x, first, least, most, pads, one, other, to):
    """Write NaN for pixels without a sample.

    Only pixels with a pad in the middle can be empty. Integers can be equal to a pad, so their samples are counted.
    """
    for c in range(to.size):
        if one[c] == pads[0] or one[c] == pads[1] or other[c] == pads[0] or other[c] == pads[1]:
            n = 0
            for k in range(x.shape[0]):
                n += (x[k, first + c] >= least[c]) & (x[k, first + c] <= most[c])
            to[c] = to[c] if n else np.nan


@kernel
def quantile(pixels, counts, request, scratch, out):
    """The quantile ``mode`` by NumPy's method "linear"."""
    x, start, stop, least, most, bounded = pixels
    number, mode = counts.count, request.mode
    groups, pads, buffer, _ = scratch
    columns = buffer.shape[1]
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        for c in range(a.size):
            if n[c] == 0:
                out[i + c] = np.nan
                continue
            rank = mode * (n[c] - 1)
            k = np.int64(rank)
            t = rank - k
            low, high = np.float64(buffer[k, c]), np.float64(buffer[k + 1 if k + 1 < n[c] else k, c])
            # from the nearer end, as NumPy does: monotonic in q, exact at both ends
            out[i + c] = low + (high - low) * t if t < 0.5 else high - (high - low) * (1.0 - t)
    return 0


@inner_function
def _medians(buffer, frames, n, missing, med, inner, outer):
    """Write the median of each column to ``med`` and its MAD to ``outer``; ``inner`` is scratch."""
    for c in range(n.size):
        low, high = buffer[(n[c] - 1) // 2 if n[c] else 0, c], buffer[n[c] // 2 if n[c] else 0, c]
        med[c] = middle(np.float64(low), np.float64(high))
    if missing:
        for c in range(n.size):
            outer[c] = median_distance(buffer, c, 0, n[c], med[c]) if n[c] else np.nan
    else:
        # all columns at once, which needs columns of one length
        both_nearest(buffer, frames, med, inner, outer)
        for c in range(n.size):
            outer[c] = middle(inner[c], outer[c])


@kernel
def mad_std(pixels, counts, request, scratch, out):
    """Median absolute deviation from the median (MAD), scaled to the sigma of normal noise."""
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, acc = scratch
    columns = buffer.shape[1]
    med, inner, outer = acc[:columns], acc[columns : 2 * columns], acc[2 * columns : 3 * columns]
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], counts.count[i : i + columns]
        missing = sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        _medians(buffer, x.shape[0], n, missing, med, inner, outer)
        for c in range(a.size):
            out[i + c] = MAD_TO_STD * outer[c]
    return 0


@kernel
def biweight(pixels, counts, request, scratch, out):
    """Tukey's biweight location, one step from the median. Samples farther than ``mode`` MAD have no weight.

    The result is the median if the MAD is 0 or overflows, or if no sample is near enough.
    """
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, acc = scratch
    columns = buffer.shape[1]
    med, mad, far = acc[:columns], acc[columns : 2 * columns], acc[2 * columns : 3 * columns]
    total, whole = acc[3 * columns : 4 * columns], acc[4 * columns : 5 * columns]
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], counts.count[i : i + columns]
        missing = sort_block(x, start + i, a, b, bounded, buffer, groups, pads, n)
        _medians(buffer, x.shape[0], n, missing, med, total, mad)
        for c in range(a.size):
            far[c] = request.mode * mad[c]
            total[c], whole[c] = 0.0, 0.0
        for k in range(x.shape[0]):
            _weigh(buffer[k], k, n, med, far, total, whole)
        for c in range(a.size):
            out[i + c] = med[c] + total[c] / whole[c] if whole[c] > 0.0 else med[c]
            highest = buffer[n[c] - 1 if n[c] else 0, c]
            if n[c] == 0:
                out[i + c] = np.nan
            elif not (mad[c] < HUGE and highest - np.float64(buffer[0, c]) < HUGE):
                out[i + c] = _huge_biweight(buffer, c, n[c], med[c], mad[c], request.mode)  # a difference may overflow
    return 0


@inner_function
def _weigh(row, k, n, med, far, total, whole):
    """Add the weights of row ``k`` of a sorted block, and its distances to the medians times these."""
    for c in range(n.size):
        distance = np.float64(row[c]) - med[c]
        near = (abs(distance) < far[c]) & (k < n[c])
        u = distance / far[c]
        weight = (1.0 - u * u) * (1.0 - u * u)
        total[c] += distance * weight if near else 0.0
        whole[c] += weight if near else 0.0


@inner_function
def _huge_biweight(buffer, c, n, center, mad, reach):
    """The biweight of huge samples ``buffer[:n, c]``, in units of 2^700, so that no difference overflows."""
    unit = 2.0**-700
    far = reach * (mad * unit) if mad < np.inf else 0.0
    total, whole = 0.0, 0.0
    for k in range(n):
        distance = np.float64(buffer[k, c]) * unit - center * unit
        if abs(distance) < far:
            u = distance / far
            weight = (1.0 - u * u) * (1.0 - u * u)
            total += distance * weight
            whole += weight
    return center + total / whole / unit if whole > 0.0 else center
