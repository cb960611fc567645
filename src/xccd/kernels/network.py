"""Sorting networks: the pairs of rows to compare, in order, so that the columns of a block become sorted."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np


def pairwise_network(n: int) -> list[tuple[int, int]]:
    """Parberry's pairwise sorting network, for any ``n`` (Parallel Processing Letters 2, 205, 1992).

    Pairs (i, j) with i < j: the lesser value goes to row i. There are about n log2(n)^2 / 4 pairs, as many as in
    Batcher's merge exchange. But a median needs fewer of them: for 25 samples 104 against 113.
    """
    pairs = []
    step = 1
    while step < n:  # sort by pairs, then pairs by their lesser, ...
        pairs += [(j - step, j) for j in range(step, n) if j // step % 2]
        step *= 2
    step, reach = step // 4, 1
    while step > 0:
        far = reach
        while far > 0:
            pairs += [(j - far * step, j) for j in range((far + 1) * step, n) if (j // step - far - 1) % 2 == 0]
            far //= 2
        step, reach = step // 2, 2 * reach + 1
    return pairs


def needed_pairs(pairs: list[tuple[int, int]], live: set[int]) -> list[tuple[int, int]]:
    """The pairs that can change the final rows ``live``: for a median of 25 samples 104 of the 138 that sort.

    ``live`` is changed in place to the rows that matter before these pairs.
    """
    kept = []
    for pair in reversed(pairs):
        if not live.isdisjoint(pair):
            live.update(pair)
            kept.append(pair)
    return kept[::-1]


@lru_cache(maxsize=256)
def network(n: int, rows: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """The pairs as a read-only uint64 array (pairs, 2), for a whole sort or for one that is right in ``rows`` only."""
    pairs = pairwise_network(n)
    if rows is not None:
        pairs = needed_pairs(pairs, set(rows))
    table = np.array(pairs, np.uint64).reshape(-1, 2)
    table.flags.writeable = False
    return table


def middle_rows(n: int) -> tuple[int, ...]:
    """The rows that hold the median of ``n`` rows, also with missing samples as in `compiled.ranks.sort_balanced`."""
    return tuple(sorted({max(0, n // 2 - 1), n // 2}))
