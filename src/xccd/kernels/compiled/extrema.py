"""Rejection by rank."""

import numpy as np

from xccd.kernels.compiled.block import run_network, sort_block
from xccd.kernels.compiled.compile import inner_function, kernel


@kernel
def extrema_bounds(pixels, number, total, nlow, nhigh, cuts, scratch, ties):
    """Narrow the bounds by rejecting ``nlow`` lowest and ``nhigh`` highest samples; returns the count of tied pixels.

    Bounds and ``number`` are as in `clip.sigma_bounds`. A pixel is tied if some samples equal to a bound are rejected
    and some stay; ``ties`` (an `arguments.Ties`) then has their counts. ``cuts`` is the network for the rows outside
    and next to the cuts. It is enough if no sample is missing or tied. ``total`` gets the sums of the remaining samples
    unless it is empty. For a sum it does not matter which of several equal samples is rejected.
    """
    x, start, stop, least, most, bounded = pixels
    groups, pads, buffer, _ = scratch
    skip, keep = ties
    frames, columns = x.shape[0], buffer.shape[1]
    tied = 0
    for i in range(0, stop - start, columns):
        a, b, n = least[i : i + columns], most[i : i + columns], number[i : i + columns]
        # The pruned network is enough if no sample is missing or equal to one across a cut. Else all rows are sorted.
        few = sort_block(x, start + i, a, b, bounded, buffer, cuts, pads, n)
        few |= nlow + nhigh >= frames  # nothing is left, and `_bounds` says so
        if not few and total.size == 0:
            for c in range(a.size):
                few |= nlow > 0 and buffer[nlow - 1, c] == buffer[nlow, c]
                few |= nhigh > 0 and buffer[frames - nhigh, c] == buffer[frames - nhigh - 1, c]
        if few:
            run_network(buffer, groups, 0, x, start + i + columns)
            tied += _bounds(buffer, n, nlow, nhigh, pads, a, b, skip[i : i + columns], keep[i : i + columns])
        else:
            for c in range(a.size):
                a[c], b[c] = buffer[nlow, c], buffer[frames - nhigh - 1, c]
                skip[i + c], keep[i + c] = 0, frames
        if total.size > 0:
            _add_up(buffer, n, nlow, nhigh, total[i : i + columns])
        for c in range(a.size):
            n[c] = n[c] - nlow - nhigh if n[c] > nlow + nhigh else 0
    return tied


@inner_function
def _add_up(buffer, n, nlow, nhigh, total):
    """Sums of the rows between the cuts."""
    fewest = n[0]
    for c in range(n.size):
        total[c] = 0.0
        fewest = min(fewest, n[c])
    # Rows between the cuts of every column are added as vectors, the others column by column.
    for k in range(nlow, fewest - nhigh):
        row = buffer[k]
        for c in range(n.size):
            total[c] += np.float64(row[c])
    for c in range(n.size):
        for k in range(max(nlow, fewest - nhigh), n[c] - nhigh):
            total[c] += np.float64(buffer[k, c])


@inner_function
def _bounds(buffer, n, nlow, nhigh, pads, a, b, skip, keep):
    """Set the bounds of each column from its own count of samples; returns the count of tied columns."""
    tied = 0
    for c in range(a.size):
        skip[c], keep[c] = 0, buffer.shape[0] - 2  # the frames: the buffer has two more rows
        if n[c] <= nlow + nhigh:
            # least behind and most before all samples: none is between them
            a[c], b[c] = pads[0], pads[1]
            continue
        a[c], b[c] = buffer[nlow, c], buffer[n[c] - nhigh - 1, c]
        if (nlow > 0 and buffer[nlow - 1, c] == a[c]) or (nhigh > 0 and buffer[n[c] - nhigh, c] == b[c]):
            tied += 1
            skip[c], keep[c] = tied_samples(buffer, c, n[c], nlow, nhigh)
    return tied


@inner_function
def tied_samples(buffer, c, n, nlow, nhigh):
    """``skip``: rejected low samples equal to the lower bound; ``keep``: remaining samples equal to the upper bound."""
    skip, keep = 0, 0
    while skip < nlow and buffer[nlow - skip - 1, c] == buffer[nlow, c]:
        skip += 1
    while keep < n - nhigh and buffer[n - nhigh - keep - 1, c] == buffer[n - nhigh - 1, c]:
        keep += 1
    return skip, keep
