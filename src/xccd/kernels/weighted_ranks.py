"""The weighted quantile: values are sorted as ever, and weights are summed from the samples in their own order."""

import numpy as np

from xccd.kernels.block import exchange, kernel, part
from xccd.kernels.window import middle


@part
def load_weighted(x, first, least, most, weights, offset, buffer, pads, used, count):
    """As `block.load`, samples of no weight missing too; ``used`` gets the weights, 0 for what is missing.

    Returns how many valid samples have a weight that cannot be used.
    """
    unusable = 0
    pad, zero = pads[0], pads[2]
    count[:] = 0
    for k in range(x.shape[0]):
        row, to, weight = x[k, first : first + least.size], buffer[k], used[k]
        frame = weights[k if weights.shape[0] > 1 else 0]
        if weights.shape[1] > 1:
            weight[: least.size] = frame[offset : offset + least.size]
        else:
            weight[: least.size] = frame[0]
        for c in range(least.size):
            v, w = row[c], weight[c]
            valid = (v >= least[c]) & (v <= most[c])
            usable = (w >= 0.0) & (w < np.inf)
            keep = valid & usable & (w > 0.0)
            unusable += 1 if valid & (not usable) else 0
            to[c] = (v if keep else pad) + zero
            weight[c] = w if keep else 0.0
            count[c] += 1 if keep else 0
    return unusable


@part
def weight_up_to(x, first, value, used, total):
    """Sum of the weights of the samples up to ``value``, pixel by pixel."""
    total[:] = 0.0
    for k in range(x.shape[0]):
        row, weight = x[k, first : first + value.size], used[k]
        for c in range(value.size):
            total[c] += weight[c] if row[c] <= value[c] else 0.0


@part
def halve(buffer, target, slack, total, value, low, high, reached):
    """One step of the search for the lowest row whose cumulative weight reaches the target; the next row's value."""
    for c in range(value.size):
        if low[c] < high[c]:
            mid = (low[c] + high[c]) // 2
            if total[c] >= target[c] - slack[c]:
                high[c] = mid
                reached[c] = total[c]
            else:
                low[c] = mid + 1
        value[c] = buffer[(low[c] + high[c]) // 2, c]


@kernel
def weighted_quantile(
    x, start, stop, least, most, bounded, known, number, exact, weights, option, ddof, pairs, pads, buffer, acc, out
):  # fmt: skip
    """The smallest value whose cumulative weight reaches ``option`` of all, the mean with the next where equal.

    Equal means within n eps W: 0.1 + 0.2 is not 0.3.
    """
    frames, columns = x.shape[0], buffer.shape[1]
    numbers = acc.reshape(frames + 4, columns)
    total, target, slack, reached, used = numbers[0], numbers[1], numbers[2], numbers[3], numbers[4:]
    value = np.empty(columns, buffer.dtype)
    low, high = np.empty(columns, np.int64), np.empty(columns, np.int64)
    bad = 0
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        size = a.size
        bad += load_weighted(x, start + i, a, b, weights, i, buffer, pads, used, n)
        exchange(buffer, pairs, pads[2])
        total[:] = 0.0
        for k in range(frames):
            for c in range(size):
                total[c] += used[k, c]
        for c in range(size):
            target[c], reached[c] = option * total[c], total[c]
            slack[c] = n[c] * 2.220446049250313e-16 * total[c]
            low[c], high[c] = 0, n[c] - 1 if n[c] else 0
            value[c] = buffer[(low[c] + high[c]) // 2, c]
        reach = 1
        while reach < frames:
            weight_up_to(x, start + i, value[:size], used, total)
            halve(buffer, target, slack, total, value[:size], low, high, reached)
            reach *= 2
        for c in range(size):
            k = low[c]
            following = k
            if abs(reached[c] - target[c]) <= slack[c]:
                while following < n[c] - 1 and buffer[following, c] == buffer[k, c]:
                    following += 1
            result = middle(np.float64(buffer[k, c]), np.float64(buffer[following, c]))
            out[i + c] = result if n[c] else np.nan
    return bad
