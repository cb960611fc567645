"""Memory of large results: used again when a result is gone, never before."""

import gc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import xarray as xr

from xccd.compute import memory

pytestmark = pytest.mark.skipif(memory.OFFERED is None, reason="the system cannot be offered memory")
SHAPE = (3, 4, 5)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(memory, "LEAST", 100)
    memory._kept.clear()


def place(array):
    return array.__array_interface__["data"][0]


def test_memory_is_used_again_when_its_array_is_gone():
    first = memory.empty(SHAPE, "f4")
    at, first[:] = place(first), 1
    other = memory.empty(SHAPE, "f4")
    assert place(other) != at
    del first
    again = memory.empty(SHAPE, ">f8")
    assert (place(again), again.shape, again.dtype) == (at, SHAPE, np.dtype(">f8"))
    assert again.flags.carray
    assert not np.shares_memory(again, other)


@pytest.mark.parametrize(
    "keep", [lambda x: x[1, :, ::2], lambda x: x.T, lambda x: memoryview(x), lambda x: xr.DataArray(x)[0]]
)
def test_a_view_keeps_the_memory(keep):
    first = memory.empty(SHAPE, "f4")
    first[:] = 7
    view = keep(first)
    del first
    gc.collect()
    memory.empty(SHAPE, "f4")[:] = 0
    assert (np.asarray(view) == 7).all()


def test_views_refer_to_one_array_of_the_samples():
    whole = memory.empty((3, 20), "f4")
    assert whole.reshape(SHAPE)[1].base is whole


def test_only_memory_of_the_same_size_is_used_again():
    at = place(memory.empty((memory.PAGE,), "u1"))
    larger = memory.empty((memory.PAGE + 1,), "u1")
    assert place(larger) != at
    assert place(memory.empty((memory.PAGE,), "u1")) == at


def test_no_more_than_the_most_is_kept(monkeypatch):
    assert memory.empty((memory.MOST + 1,), "u1").base is None
    monkeypatch.setattr(memory._Loan.__del__, "__defaults__", (memory.OFFERED, memory._kept, 3 * memory.PAGE))
    held = [memory.empty(SHAPE, "f4") for _ in range(5)]
    del held
    assert sum(map(len, memory._kept)) == 3 * memory.PAGE


def test_small_results_are_numpys():
    assert memory.empty((24,), "f4").base is None
    assert memory.empty((0, 3), "f4").shape == (0, 3)


def test_without_memory_numpy_raises(monkeypatch):
    def none(size):
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(memory, "_taken", none)
    assert memory.empty(SHAPE, "f4").base is None


def test_threads_never_share_memory():
    def use(number):
        for _ in range(50):
            mine = memory.empty((1000,), "i8")
            mine[:] = number
            assert (mine == number).all()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(use, range(8)))


def test_a_clip_gives_an_array_of_its_own():
    stack = xr.DataArray(np.random.default_rng(0).normal(size=(9, 20, 30)), dims=("frame", "y", "x"))
    first = stack.ccd.sigma_clip(2, 2)
    before = first.values.copy()
    second = (stack + 5).ccd.sigma_clip(2, 2)
    np.testing.assert_array_equal(first, before)
    second.values[:] = 0
    np.testing.assert_array_equal(first, before)
    assert not np.shares_memory(first.values, stack.values)
