"""Comparator networks: which rows of a block are compared, in which order, to sort its columns."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np


def pairwise_network(n: int) -> list[tuple[int, int]]:
    """Parberry's pairwise sorting network, for any ``n`` (Parallel Processing Letters 2, 205, 1992).

    Pairs (i, j) with i < j: the lesser value goes to row i. About n log2(n)^2 / 4 of them, as many as Batcher's merge
    exchange has; but of the middle rows fewer are needed: for a median of 25 samples 104 against 113.
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


def needed(pairs: list[tuple[int, int]], live: set[int]) -> list[tuple[int, int]]:
    """The pairs that can change what ends in the rows ``live``: for a median of 25 samples 104 of the 138 that sort.

    ``live`` gets the rows that matter before them.
    """
    kept = []
    for pair in reversed(pairs):
        if not live.isdisjoint(pair):
            live.update(pair)
            kept.append(pair)
    return kept[::-1]


@lru_cache(maxsize=256)
def network(n: int, rows: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """The pairs as a read-only (pairs, 2) array: of a whole sort, or of one that is right in ``rows``."""
    pairs = pairwise_network(n)
    if rows is not None:
        pairs = needed(pairs, set(rows))
    table = np.array(pairs, np.uint64).reshape(-1, 2)
    table.flags.writeable = False
    return table


def middle_rows(n: int) -> tuple[int, ...]:
    """The rows that hold the median of ``n`` samples, whatever number of them is missing."""
    return tuple(sorted({max(0, n // 2 - 1), n // 2}))
