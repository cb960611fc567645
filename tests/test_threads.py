"""How many threads there are: cores, one pool, none of ours within dask, forked processes."""

import math
import multiprocessing
import os
import threading
import time

import pytest

import xccd
from processes import finish, make, start
from xccd.compute import options as settings
from xccd.compute import pool as pool_module

pytestmark = pytest.mark.usefixtures("fresh_options")


# Cores


@pytest.fixture
def affinity(monkeypatch):
    def allow(number):
        monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(number)), raising=False)

    allow(8)
    return allow


def version_1(root, quota, period):
    (root / "cpu").mkdir()
    (root / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (root / "cpu" / "cpu.cfs_period_us").write_text(period)


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("150000 100000\n", 2),
        ("200000 100000\n", 2),
        ("max 100000\n", 8),
        ("50000 100000\n", 1),
        ("1000 100000\n", 1),
        ("300000 50000", 6),
        ("6400000 100000\n", 8),
        ("", 8),
        ("100000\n", 8),
        ("a b\n", 8),
        ("100000 max\n", 8),
        ("1.5 1\n", 8),
        ("1 2 3\n", 8),
        ("100000 0\n", 8),
    ],
)
def test_cores_of_a_control_group(tmp_path, affinity, text, number):
    (tmp_path / "cpu.max").write_text(text)
    assert settings.cores(str(tmp_path)) == number
    affinity(1)
    assert settings.cores(str(tmp_path)) == 1


def test_text_that_is_none_limits_nothing(tmp_path, affinity):
    (tmp_path / "cpu.max").write_bytes(b"\xff\xfe \x80")
    assert settings.cores(str(tmp_path)) == 8
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu.max").mkdir()
    assert settings.cores(str(tmp_path)) == 8


@pytest.mark.parametrize(
    ("quota", "period", "number"),
    [
        ("150000\n", "100000\n", 2),
        ("50000\n", "100000\n", 1),
        ("300000", "100000", 3),
        ("-1\n", "100000\n", 8),
        ("6400000\n", "100000\n", 8),
        ("", "100000\n", 8),
        ("100000\n", "", 8),
        ("x\n", "100000\n", 8),
    ],
)
def test_cores_of_a_control_group_of_version_1(tmp_path, affinity, quota, period, number):
    version_1(tmp_path, quota, period)
    assert settings.cores(str(tmp_path)) == number
    affinity(2)
    assert settings.cores(str(tmp_path)) == min(number, 2)


def test_version_2_goes_before_version_1(tmp_path, affinity):
    version_1(tmp_path, "100000\n", "100000\n")
    (tmp_path / "cpu.max").write_text("300000 100000\n")
    assert settings.cores(str(tmp_path)) == 3


def test_cores_without_a_control_group(tmp_path, affinity):
    assert settings.cores(str(tmp_path)) == 8
    assert settings.cores(str(tmp_path / "none")) == 8
    version_1(tmp_path, "100000\n", "100000\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").unlink()
    assert settings.cores(str(tmp_path)) == 8


@pytest.mark.parametrize(("count", "number"), [(6, 6), (None, 1)])
def test_cores_without_an_affinity_mask(tmp_path, monkeypatch, count, number):
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: count)
    assert settings.cores(str(tmp_path)) == number


def test_cores_of_this_machine():
    number = settings.cores()
    assert isinstance(number, int)
    assert 1 <= number <= (os.cpu_count() or math.inf)


# One pool


def workers():
    return {thread for thread in threading.enumerate() if thread.name.startswith("xccd")}


def soon(condition, seconds=10):
    """Whether ``condition()`` comes true in some seconds."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


def many_verbs():
    for stack in (make(), make((9, 3, 100)), make(dtype="uint16")):
        clipped = stack.ccd.sigma_clip(2, 2)
        clipped.ccd.combine("median")
        stack.ccd.minmax(90, 110).ccd.combine("mean")
        stack.ccd.combine("std")


def test_many_verbs_use_the_threads_of_one_pool():
    xccd.set_options(engine="numpy", threads=3)
    many_verbs()
    assert soon(lambda: len(workers()) <= 3)  # those of a pool before end
    first = workers()
    many_verbs()
    with xccd.set_options(engine="numba"):
        many_verbs()
    assert 1 <= len(workers()) <= 3
    assert workers() >= first  # none ended


def test_another_number_of_threads_is_another_pool():
    xccd.set_options(engine="numpy", threads=3)
    many_verbs()
    pool = pool_module._pool(3)
    old = set(pool._threads)
    assert old <= workers()
    with xccd.set_options(threads=2):
        many_verbs()
        assert soon(lambda: not old & workers())
        assert 1 <= len(workers()) <= 2
    many_verbs()
    assert soon(lambda: len(workers()) <= 3)
    assert pool_module._pool(3) is not pool
    assert len(pool_module._pools) == 1


def test_one_thread_is_that_which_calls(monkeypatch):
    def never(*args, **options):
        raise AssertionError("asked for a pool")

    monkeypatch.setattr(pool_module, "_pool", never)
    with xccd.set_options(engine="numpy", threads=1):
        many_verbs()
    with xccd.set_options(threads=2), pytest.raises(AssertionError, match=r"^asked for a pool$"):
        many_verbs()


@pytest.mark.versions
def test_verbs_in_threads_share_a_pool():
    xccd.set_options(engine="numpy", threads=3)
    expected = make().ccd.combine("median").values.tobytes()
    found = []

    def run():
        found.extend(make().ccd.combine("median").values.tobytes() for _ in range(5))

    callers = [threading.Thread(target=run) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert found == [expected] * 20
    assert soon(lambda: len(workers()) <= 3)


def test_threads_may_ask_for_different_numbers_of_threads():
    xccd.set_options(engine="numpy")
    stack, errors = make(), []

    def run(number):
        try:
            for _ in range(100):
                with xccd.set_options(threads=number):
                    stack.ccd.combine("median")
        except RuntimeError as error:
            errors.append(error)

    callers = [threading.Thread(target=run, args=(number,)) for number in (2, 3)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert not errors


DASK = """
import threading
import numpy as np
import xarray as xr
import xccd

def workers():
    return [t.name for t in threading.enumerate() if t.name.startswith("xccd")]

xccd.set_options(threads=4, engine="numpy")
values = np.random.default_rng(3).normal(100, 5, (7, 20, 30)).astype("f4")
seen = []

def count(values, axis):
    seen.append((threading.current_thread() is threading.main_thread(), workers()))
    return np.nanmax(values, axis)

eager = xr.DataArray(values, dims=("frame", "y", "x"))
lazy = eager.chunk({"frame": -1, "y": 5, "x": 10})
found = lazy.ccd.sigma_clip(2, 2).ccd.combine("median").compute(scheduler="threads", num_workers=2)
own = lazy.ccd.combine(count).compute(scheduler="threads", num_workers=2)
assert not workers(), workers()
assert len(seen) >= 12 and not any(main for main, _ in seen) and not any(names for _, names in seen)
assert np.array_equal(own, values.max(0))
expected = eager.ccd.sigma_clip(2, 2).ccd.combine("median")
assert 1 <= len(workers()) <= 4
assert found.values.tobytes() == expected.values.tobytes()
"""


@pytest.mark.versions
def test_dask_starts_no_threads_of_ours():
    finish(start(DASK))


def send_median(pipe):
    with xccd.set_options(threads=3):
        pipe.send_bytes(make().ccd.combine("median").values.tobytes())
        pipe.send(len(workers()))


@pytest.mark.versions
@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
@pytest.mark.parametrize("engine", settings.ENGINES)
def test_after_a_fork(engine):
    xccd.set_options(engine=engine, threads=3)
    expected = make().ccd.combine("median").values.tobytes()
    assert workers()
    context = multiprocessing.get_context("fork")
    mine, theirs = context.Pipe()
    child = context.Process(target=send_median, args=(theirs,))
    child.start()
    try:
        assert mine.poll(60), "the child hangs"
        assert mine.recv_bytes() == expected
        assert mine.poll(10)
        assert 1 <= mine.recv() <= 3
        child.join(60)
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()
    assert make().ccd.combine("median").values.tobytes() == expected  # and here the pool is as it was
