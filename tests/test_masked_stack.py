"""The masked stack: written past the cache if it is large, with the same bits."""

import numpy as np
import pytest

from xccd.kernels.arguments import Bounds
from xccd.kernels.compiled import engine, masked
from xccd.kernels.limits import float_dtype
from xccd.kernels.plain import engine as plain

PAIRS = [(kind, None, shift) for kind in ("f4", "f8", "i2", "u2") for shift in (0, 1, 5)]
PAIRS += [("f4", "f8", 1), ("f8", "f4", 1), ("u2", "f8", 0), ("i4", "f8", 1), ("u1", "f4", 1)]


@pytest.mark.parametrize(("dtype", "to", "shift"), PAIRS)
def test_a_large_stack_has_the_same_bits(dtype, to, shift):
    rng = np.random.default_rng(0)
    most = 200 if dtype == "u1" else 60_000
    x = rng.integers(0, most, (2, 700)).astype(dtype)
    if x.dtype.kind == "f":
        x[0, :4] = np.nan, np.inf, -np.inf, -0.0
    kind = float_dtype(x.dtype) if to is None else np.dtype(to)
    room = np.full(masked.LARGE // kind.itemsize + 100, 77, kind)  # begins anywhere
    columns = (room.size - 99) // 2 + 1
    out = room[shift : shift + 2 * columns].reshape(2, columns)
    assert out.nbytes >= masked.LARGE
    for start, stop, first in ((0, 700, 3), (5, 696, columns - 691), (10, 13, 40), (20, 20, 7), (1, 18, 0)):
        size = stop - start
        low, high = np.sort(rng.integers(0, most, (2, size)), axis=0).astype(dtype)
        bounds = Bounds(low, high, True)
        expected = np.full((2, size), 7, kind)
        plain.masked(x, start, stop, bounds, None, expected, 0)
        engine.masked(x, start, stop, bounds, None, out, first)
        found = out[:, first : first + size]
        np.testing.assert_array_equal(found.view(f"u{kind.itemsize}"), expected.view(f"u{kind.itemsize}"))
        found[:] = 77
    assert (room == 77).all()
