"""The weighted quantile: values are sorted as usual, and weights are summed in the order of frames."""

import numpy as np

from xccd.kernels.compiled.block import run_network
from xccd.kernels.compiled.compile import inner_function, kernel
from xccd.kernels.compiled.window import middle

EPSILON = 2.220446049250313e-16  # of float64


@inner_function
def load_weighted(x, first, least, most, weights, offset, buffer, pads, used, count):
    """Copy pixels to the block; returns the count of samples in use with an unusable weight.

    Samples of weight 0 are missing, too. ``used`` gets the weights, 0 for missing samples, and ``count`` the per-pixel
    count of the others.
    """
    unusable = 0
    pad, zero = pads[0], pads[2]
    per_frame, per_pixel = weights.shape[0] > 1, weights.shape[1] > 1
    for c in range(least.size):
        count[c] = 0
    for k in range(x.shape[0]):
        row, to, weight = x[k, first : first + least.size], buffer[k], used[k]
        for c in range(least.size):
            v, w = row[c], weights[k if per_frame else 0, offset + c if per_pixel else 0]
            valid = (v >= least[c]) & (v <= most[c])
            usable = (w >= 0.0) & (w < np.inf)
            keep = valid & usable & (w > 0.0)
            unusable += 1 if valid & (not usable) else 0
            to[c] = (v if keep else pad) + zero
            weight[c] = w if keep else 0.0
            count[c] += 1 if keep else 0
    return unusable


@inner_function
def weight_up_to(x, first, value, used, total):
    """Write the sum of the weights of samples up to ``value`` to ``total``, for each pixel."""
    for c in range(value.size):
        total[c] = 0.0
    for k in range(x.shape[0]):
        row, weight = x[k, first : first + value.size], used[k]
        for c in range(value.size):
            # equal samples count together, in whichever of their rows the search is
            total[c] += weight[c] if np.float64(row[c]) <= value[c] else 0.0


@inner_function
def search(x, first, option, n, buffer, numbers):
    """Find the lowest row whose cumulative weight reaches ``option`` of the total, by halving; it is ``numbers[1]``.

    The rows of ``numbers`` are: a cumulative weight, the row, the end of the search, the weight reached at the row, the
    total weight, a value; then the weights of all frames.
    """
    total, low, high, reached, whole, value = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5]
    used = numbers[6:]
    for c in range(n.size):
        whole[c], low[c], high[c] = 0.0, 0.0, n[c] - 1.0 if n[c] else 0.0
    for k in range(x.shape[0]):
        for c in range(n.size):
            # in the order of frames, as in `weight_up_to`: at the last row both sums have equal bits
            whole[c] += used[k, c]
    for c in range(n.size):
        reached[c] = whole[c]
    reach = 1
    while reach < x.shape[0]:
        for c in range(n.size):
            value[c] = buffer[np.int64(low[c] + high[c]) // 2, c]
        weight_up_to(x, first, value[: n.size], used, total)
        for c in range(n.size):  # choices, not branches: the processor cannot predict them
            mid = np.floor((low[c] + high[c]) * 0.5)
            more = low[c] < high[c]
            enough = total[c] >= option * whole[c] - n[c] * EPSILON * whole[c]
            reached[c] = total[c] if more & enough else reached[c]
            high[c], low[c] = mid if more & enough else high[c], low[c] if enough | (not more) else mid + 1.0
        reach *= 2  # as many rounds for each column, whatever its count: no branch to predict


@kernel
def weighted_quantile(pixels, counts, request, scratch, out):
    """The smallest value whose cumulative weight reaches ``mode`` of the total; if equal, the mean with the next value.

    Equal means within n eps W, because 0.1 + 0.2 is not 0.3. The sums of the scratch are (frames + 6, columns) here.
    """
    x, start, stop, least, most, _ = pixels
    number = counts.count
    weights, mode = request.weights, request.mode
    groups, pads, buffer, acc = scratch
    columns = buffer.shape[1]
    own = np.empty(columns, number.dtype)  # samples with a weight; `counts` is of all samples in use
    bad = 0
    for i in range(0, stop - start, columns):
        a, b = least[i : i + columns], most[i : i + columns]
        n = own[: a.size]
        bad += load_weighted(x, start + i, a, b, weights, i, buffer, pads, acc[6:], n)
        run_network(buffer, groups, 0, x, start + i + columns)
        search(x, start + i, mode, n, buffer, acc)
        for c in range(n.size):
            k = np.int64(acc[1, c])
            following = k
            if abs(acc[3, c] - mode * acc[4, c]) <= n[c] * EPSILON * acc[4, c]:
                while following < n[c] - 1 and buffer[following, c] == buffer[k, c]:
                    following += 1
            result = middle(np.float64(buffer[k, c]), np.float64(buffer[following, c]))
            out[i + c] = result if n[c] else np.nan
    return bad
