"""Sorting networks by groups of rows, and the vector instructions that run them."""

from itertools import product

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from xccd.kernels.compiled import block, vectors
from xccd.kernels.compiled.groups import KINDS, MERGE4, MERGE8, PAIR, SORT8, grouped_network, needed_groups, program
from xccd.kernels.limits import DIRECT, limits
from xccd.kernels.network import middle_rows, network

SIZES = sorted({1, 2, 3, 5, 6, 7, 25, 37, 53, 97, 100, 1000} | {2**k + d for k in range(3, 10) for d in (-1, 0, 1)})


def run(table, x):
    """The rows after the groups of a table; behind them a row of greatest ones, which nothing changes."""
    rows = np.concatenate([x, np.full_like(x[:1], x.max(initial=0) + 1)])
    for kind, *members in table.astype(int).tolist():
        for i, j in KINDS[kind]:
            p, q = members[i], members[j]
            assert p < q or p == q == len(x)
            rows[p], rows[q] = np.minimum(rows[p], rows[q]), np.maximum(rows[p], rows[q])
    assert (rows[-1] == x.max(initial=0) + 1).all()
    return rows[:-1]


@pytest.mark.parametrize("kind", [MERGE4, MERGE8, SORT8])
def test_what_stands_in_a_group(kind):
    """Rows come out sorted, of a merge if their halves were."""
    size = 1 + max(map(max, kind))
    x = np.array(list(product((0, 1), repeat=size)))
    if kind is not SORT8:
        halves = x.reshape(-1, 2, size // 2)
        x = x[(np.diff(halves, axis=2) >= 0).all(axis=(1, 2))]
    line = np.array([[KINDS.index(kind), *range(size)]])
    np.testing.assert_array_equal(run(line, x.T), np.sort(x.T, axis=0))


@pytest.mark.parametrize("n", range(1, 14))
def test_groups_sort_all_zeros_and_ones(n):
    x = np.array(list(product((0, 1), repeat=n))).T
    expected = np.sort(x, axis=0)
    for rows in [None, middle_rows(n), (0, n - 1), *((k,) for k in range(n))]:
        chosen = range(n) if rows is None else rows
        np.testing.assert_array_equal(run(program(n, rows), x)[list(chosen)], expected[list(chosen)])


@pytest.mark.parametrize("n", SIZES)
def test_groups_sort_any_number(n):
    rng = np.random.default_rng(n)
    x = np.stack([rng.integers(0, n, n), rng.integers(0, 2, n), np.arange(n, 0, -1), rng.permutation(n)], axis=1)
    x = np.concatenate([x, rng.integers(0, 2, (n, 200))], axis=1)
    expected = np.sort(x, axis=0)
    for rows in (tuple(range(n)), middle_rows(n), tuple(sorted({0, n // 3, n - 1}))):
        np.testing.assert_array_equal(run(program(n, rows), x)[list(rows)], expected[list(rows)])


def test_rows_are_written_less_often_than_by_pairs():
    def written(n, rows):
        return sum(1 + max(map(max, KINDS[kind])) for kind in program(n, rows)[:, 0])

    for n, most in ((25, 0.55), (100, 0.6), (1000, 0.62)):
        for rows in (None, middle_rows(n)):
            assert written(n, rows) < most * 2 * len(network(n, rows))


def test_groups_that_are_loaded_whole_lead():
    """A block's rows are sorted by eights as they are read: none of these groups may be left out or taken apart."""
    for n in SIZES:
        for rows in (None, middle_rows(n), (0,), (n - 1,), ()):
            table = program(n, rows)
            np.testing.assert_array_equal(table[: n // 8, 0], KINDS.index(SORT8))
            np.testing.assert_array_equal(table[: n // 8, 1:], np.arange(n // 8 * 8).reshape(-1, 8))


def test_what_is_not_needed_is_left_out():
    assert needed_groups(grouped_network(7), 7, []) == []
    few = needed_groups(grouped_network(7), 7, [0])
    assert len(few) == 6
    assert all(group.kind is PAIR for group in few)


def test_programs_are_kept_and_not_to_be_changed():
    assert program(25) is program(25)
    with pytest.raises(ValueError, match="read-only"):
        program(25)[0] = 7


# --- instructions


@numba.njit
def exchanged(buffer, groups, x):
    block.run_network(buffer, groups, 0, x, x.shape[1])  # which is beyond its end


@numba.njit
def loaded(x, first, buffer, row):
    return vectors.load_sorted(x, first, buffer, row)


@numba.njit
def counted(x, first, least, most, buffer, row, pad, count):
    vectors.load_counted(x, first, least, most, buffer, row, pad, pad, count)


@numba.njit
def turned(x, first, least, most, buffer, row, even, odd, turn):
    vectors.load_turned(x, first, least, most, buffer, row, even, odd, turn)


def samples(dtype):
    return hnp.arrays(dtype, (11, 75), elements=hnp.from_dtype(dtype, allow_nan=False))


def noise(dtype, shape, seed=0):
    rng = np.random.default_rng(seed)
    found = limits(dtype)
    if dtype.kind == "f":
        return rng.normal(size=shape).astype(dtype)
    return rng.integers(found.least, found.most, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", DIRECT, ids=str)
@pytest.mark.parametrize("n", [1, 2, 7, 8, 25, 100])
@pytest.mark.parametrize("pixels", [1, 16, 100, 256])
def test_a_block_is_sorted(dtype, n, pixels):
    buffer = block.block(n, dtype, pixels)
    assert buffer.shape[1] % vectors.LANES == 0
    assert buffer.shape[1] >= min(pixels, 64)
    x = noise(dtype, (n, buffer.shape[1]), n)
    buffer[:n] = x
    exchanged(buffer, program(n), x)
    np.testing.assert_array_equal(buffer[:n], np.sort(x, axis=0))
    assert (buffer[n] == limits(dtype).behind).all()


@pytest.mark.versions
@pytest.mark.parametrize("dtype", DIRECT, ids=str)
def test_eight_rows_are_loaded_and_sorted(dtype):
    x = noise(dtype, (11, 75))
    if dtype.kind == "f":
        x[2, 10:20] = -0.0
    for first in (0, 1, 11):
        buffer = np.ones((12, 64), dtype)
        assert not loaded(x, first, buffer, 2)
        np.testing.assert_array_equal(buffer[2:10], np.sort(x[2:10, first : first + 64], axis=0))
        assert not np.signbit(buffer[buffer == 0]).any()
        assert (buffer[:2] == 1).all()
        assert (buffer[10:] == 1).all()


@pytest.mark.versions
@pytest.mark.parametrize("dtype", [d for d in DIRECT if d.kind == "f"], ids=str)
@pytest.mark.parametrize("bad", [np.nan, -np.nan, np.inf, -np.inf])
def test_one_sample_that_is_not_finite_is_seen(dtype, bad):
    buffer = np.empty((8, 64), dtype)
    for place in ((0, 0), (7, 63), (3, 40)):
        x = noise(dtype, (8, 64))
        x[place] = bad
        assert loaded(x, 0, buffer, 0)
    x[place] = np.copysign(np.finfo(dtype).max, -1)
    assert not loaded(x, 0, buffer, 0)


@pytest.mark.parametrize("dtype", DIRECT, ids=str)
@settings(deadline=None)  # the first example compiles
@given(data=st.data())
def test_missing_samples_are_put_aside(dtype, data):
    x = data.draw(samples(dtype))
    if dtype.kind == "f":
        x[data.draw(hnp.arrays(bool, x.shape))] = np.nan
    first, row = data.draw(st.integers(0, 11)), data.draw(st.integers(0, 3))
    some = np.sort(data.draw(hnp.arrays(dtype, (2, 64), elements=hnp.from_dtype(dtype, allow_nan=False))), axis=0)
    found, used = limits(dtype), x[row : row + 8, first : first + 64]
    least, most = data.draw(st.sampled_from([some, np.repeat([[found.least], [found.most]], 64, axis=1).astype(dtype)]))
    valid = (used >= least) & (used <= most)

    buffer, count = np.zeros((11, 64), dtype), np.arange(64, dtype=np.int32)
    counted(x, first, least, most, buffer, row, found.behind, count)
    expected = np.sort(np.where(valid, used, found.behind), axis=0)
    np.testing.assert_array_equal(buffer[row : row + 8], expected)
    np.testing.assert_array_equal(count, np.arange(64) + valid.sum(axis=0))

    turn = np.where(np.arange(64) % 2, found.behind, found.before).astype(dtype)
    odd = (np.cumsum(~valid, axis=0) - ~valid + (turn == found.before)) % 2
    expected = np.sort(np.where(valid, used, np.where(odd, found.before, found.behind)), axis=0)
    turned(x, first, least, most, buffer, row, found.behind, found.before, turn)
    np.testing.assert_array_equal(buffer[row : row + 8], expected)
    last = (np.sum(~valid, axis=0) + 1 - np.arange(64) % 2) % 2
    np.testing.assert_array_equal(turn, np.where(last, found.before, found.behind))
