"""A sorting network in groups of up to eight rows: each group is read once, compared in registers, and written once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels import network

Pairs = tuple[tuple[int, int], ...]
# The kinds of groups: the pairs of their rows that are compared. `vectors` has straight code for each kind.
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
    """A kind of group, and its rows in ascending order."""

    kind: Pairs
    rows: tuple[int, ...]

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The pairs of rows that are compared, in order."""
        return [(self.rows[i], self.rows[j]) for i, j in self.kind]


def grouped_network(n: int) -> Iterator[Group]:
    """Batcher's odd-even merge sort of ``n`` rows (AFIPS 32, 307, 1968). Rows from ``n`` on hold a greatest value.

    A merge compares rows that are ``stride`` apart; the stride is then halved. Rows that take part in several strides
    in a row, and in nothing else between, form a group. The first three strides make groups of eight. Three later
    strides make groups of eight, and groups of six across the ends of these.
    """
    for start in range(0, n, 8):
        if n - start < 6:  # for so few rows single pairs cost less
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
    yield from _groups_apart(MERGE8, start, start + 1, length, length // 4)
    end, stride = start + 2 * length, length // 8
    while stride >= 4:
        quarter = stride // 4
        yield from _groups_apart(WITHIN8, start + stride, end - stride, 2 * stride, quarter)
        yield from _groups_apart(ACROSS6, start + quarter, end - stride, 2 * stride, quarter)
        stride //= 8
    if stride == 2:
        yield from _groups_apart(MERGE4, start + 2, end - 2, 4, 1)
        yield from _groups_apart(PAIR, start + 1, end - 1, 4, 1)
    elif stride == 1:
        yield from _groups_apart(PAIR, start + 1, end - 1, 2, 1)


def _groups_apart(kind: Pairs, first: int, end: int, step: int, apart: int) -> Iterator[Group]:
    """Groups whose rows are ``apart`` rows from each other: ``apart`` adjacent groups, repeated every ``step`` rows."""
    size = 1 + max(map(max, kind))
    for i in range(first, end, step):
        for k in range(i, i + apart):
            yield Group(kind, tuple(range(k, k + size * apart, apart)))


def needed_groups(groups: Iterable[Group], n: int, rows: Iterable[int]) -> list[Group]:
    """The part of the network that the final ``rows`` need: whole groups, or the few pairs needed of a group."""
    live = set(rows)
    kept: list[Group] = []
    for group in reversed(list(groups)):
        pairs = network.needed_pairs([pair for pair in group.pairs if pair[1] < n], live)
        loaded = group.kind is SORT8 and group.rows[-1] < n  # sorted whole by `load_sorted` in any case
        if loaded or 2 * len(pairs) > max(len(group.rows), len(group.kind)):  # a pair takes two cycles to write
            kept.append(group)
        else:
            kept += [Group(PAIR, pair) for pair in reversed(pairs)]
    return kept[::-1]


@lru_cache(maxsize=256)
def program(n: int, rows: tuple[int, ...] | None = None) -> np.ndarray[Any, Any]:
    """The groups as a read-only uint16 table (groups, 9): kind, then rows. Row ``n`` replaces all rows beyond it."""
    # A table, not code: one compiled loop runs the networks of all counts of frames.
    groups = needed_groups(grouped_network(n), n, range(n) if rows is None else rows)
    table = np.zeros((len(groups), 9), np.uint16)
    for line, (kind, members) in zip(table, groups, strict=True):
        line[0] = KINDS.index(kind)
        line[1 : 1 + len(members)] = np.minimum(members, n)
    table.flags.writeable = False
    return table
