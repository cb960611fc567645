"""A sorting network by groups of up to eight rows, which are read once, compared in registers and written once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels import network

Pairs = tuple[tuple[int, int], ...]
# The kinds of groups: which of their rows are compared. All stand in `vectors`, as straight code.
PAIR: Pairs = ((0, 1),)
MERGE4: Pairs = ((0, 2), (1, 3), (1, 2))
MERGE8: Pairs = ((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (1, 2), (3, 4), (5, 6))
SORT8: Pairs = (
    *((0, 1), (2, 3), (4, 5), (6, 7), (0, 2), (1, 3), (4, 6), (5, 7), (1, 2), (5, 6)),
    *MERGE8,
)  # fmt: skip
WITHIN8: Pairs = ((0, 4), (1, 5), (2, 6), (3, 7), (2, 4), (3, 5), (3, 4))
ACROSS6: Pairs = ((1, 3), (2, 4), (0, 1), (2, 3), (4, 5))
KINDS = (PAIR, MERGE4, MERGE8, WITHIN8, ACROSS6, SORT8)


class Group(NamedTuple):
    """Rows, in ascending order, and what kind of group they are."""

    kind: Pairs
    rows: tuple[int, ...]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The rows that are compared, one pair after the other."""
        return [(self.rows[i], self.rows[j]) for i, j in self.kind]


def grouped_network(n: int) -> Iterator[Group]:
    """Batcher's odd-even merge sort of ``n`` rows (AFIPS 32, 307, 1968); rows beyond ``n`` stand for greatest samples.

    A merge compares rows that are ``stride`` apart, for strides that become halves. Rows that take part in some strides
    one after the other and in nothing else between are a group: eight for the first three strides; for three later
    ones eight and, across the ends of these, six.
    """
    for start in range(0, n, 8):
        if n - start < 6:  # so few take less one by one
            yield from (Group(PAIR, (start + i, start + j)) for i, j in network.pairwise_network(n - start))
        else:
            yield Group(SORT8, tuple(range(start, start + 8)))
    length = 8
    while length < n:
        for start in range(0, n - length, 2 * length):
            yield from _merge(start, length)
        length *= 2


def _merge(start: int, length: int) -> Iterator[Group]:
    """Merge two sorted runs of ``length`` rows, 8 or more."""
    yield from _spread(MERGE8, start, start + 1, length, length // 4)
    end, stride = start + 2 * length, length // 8
    while stride >= 4:
        quarter = stride // 4
        yield from _spread(WITHIN8, start + stride, end - stride, 2 * stride, quarter)
        yield from _spread(ACROSS6, start + quarter, end - stride, 2 * stride, quarter)
        stride //= 8
    if stride == 2:
        yield from _spread(MERGE4, start + 2, end - 2, 4, 1)
        yield from _spread(PAIR, start + 1, end - 1, 4, 1)
    elif stride == 1:
        yield from _spread(PAIR, start + 1, end - 1, 2, 1)


def _spread(kind: Pairs, first: int, end: int, step: int, apart: int) -> Iterator[Group]:
    """Groups of rows ``apart``, so many next to each other, at ``first``, ``first + step`` and so on."""
    size = 1 + max(map(max, kind))
    for i in range(first, end, step):
        for k in range(i, i + apart):
            yield Group(kind, tuple(range(k, k + size * apart, apart)))


def needed(groups: Iterable[Group], n: int, rows: Iterable[int]) -> list[Group]:
    """What can change the samples that end in ``rows``: whole groups, or one by one those few of a group that can."""
    live = set(rows)
    kept: list[Group] = []
    for group in reversed(list(groups)):
        pairs = network.needed([pair for pair in group.pairs if pair[1] < n], live)
        loaded = group.kind is SORT8 and group.rows[-1] < n  # in the same go, so in any case
        if loaded or 2 * len(pairs) > max(len(group.rows), len(group.kind)):  # a pair is written in two cycles
            kept.append(group)
        else:
            kept += [Group(PAIR, pair) for pair in reversed(pairs)]
    return kept[::-1]


@lru_cache(maxsize=256)
def program(n: int, rows: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """The groups as a read-only table: kind and rows of each; a row beyond ``n`` is ``n``, the spare one of a block."""
    groups = needed(grouped_network(n), n, range(n) if rows is None else rows)
    table = np.zeros((len(groups), 9), np.uint16)
    for line, (kind, members) in zip(table, groups, strict=True):
        line[0] = KINDS.index(kind)
        line[1 : 1 + len(members)] = np.minimum(members, n)
    table.flags.writeable = False
    return table
