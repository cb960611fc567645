"""Bars: when they show, what they say, and that they are never in the way."""

import io
import logging
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from dask.callbacks import Callback

import xccd
from xccd.compute import dask_bars, deferred, progress
from xccd.compute.pool import run_all


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Drawn:
    """In place of tqdm: what the bars of a test were told."""

    every: list["Drawn"] = []  # noqa: RUF012

    def __init__(self, total: int, desc: str, bar_format: str, delay: float, **_: Any) -> None:
        self.total, self.what, self.n, self.closed, self.format = total, desc, 0, False, bar_format
        self.start_t = self.last_print_t = 0.0
        self.delay, self.cleared, self.refreshed = delay, 0, 0
        Drawn.every.append(self)

    def update(self, count: int) -> None:
        assert not self.closed
        self.n += count

    def set_description_str(self, what: str, refresh: bool) -> None:
        self.what = what

    def clear(self) -> None:
        self.cleared += 1

    def refresh(self) -> None:
        self.refreshed += 1

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch, fresh_options: None) -> Iterator[list[Drawn]]:
    """Bars are asked for, and these were shown."""
    import tqdm.auto

    monkeypatch.setattr(progress, "_is_terminal", lambda: True)  # pytest sets stderr anew for each part of a test
    monkeypatch.setattr(tqdm.auto, "tqdm", Drawn)
    Drawn.every = []
    with xccd.set_options(progress=True):
        yield Drawn.every
    assert not progress._slot.locked()
    assert progress._shown is None
    assert all(bar.closed for bar in Drawn.every)


@pytest.fixture
def stack() -> xr.DataArray:
    values = np.random.default_rng(0).normal(100, 5, (6, 40, 50)).astype("f4")
    return xr.DataArray(values, dims=("frame", "y", "x"))


def told(bars: list[Drawn]) -> list[tuple[str, int, int]]:
    return [(bar.what, bar.n, bar.total) for bar in bars]


# --- where bars show


@pytest.fixture
def folder(tmp_path: Path, stack: xr.DataArray) -> Path:
    for i in range(6):
        stack[i].ccd.to_fits(tmp_path / f"{i}.fits")
    return tmp_path


def test_files_that_are_opened(folder: Path, bars: list[Drawn]) -> None:
    xccd.open_stack(folder)
    xccd.open_dataset(folder)
    xccd.open_frames(folder)
    xccd.scan(folder)
    assert told(bars) == [("open", 6, 6)] * 3 + [("scan", 6, 6)]


def test_bars_say_how_much_is_done_and_the_time_that_is_left(folder: Path, bars: list[Drawn]) -> None:
    xccd.open_stack(folder)
    assert "{n_fmt} of {total_fmt} files, {remaining} left" in bars[0].format


def test_deferred_stacks_are_counted_by_bands(folder: Path, bars: list[Drawn], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deferred, "WORTH_IT", 0)  # cut small frames, too
    stack = xccd.open_stack(folder, chunks=None)
    image = stack.ccd.sigma_clip(2, 2).ccd.combine("median")
    bars.clear()
    xccd.set_options(threads=2)
    image.load()
    stack.load()
    xccd.open_stack(folder, chunks=None).ccd.sigma_clip(2, 2).load()
    assert [bar.what for bar in bars] == ["combine", "read", "open", "clip"]
    assert all(bar.n == bar.total > 0 for bar in bars)


@pytest.mark.parametrize("threads", [1, 2])
def test_arrays_are_counted_by_tiles(bars: list[Drawn], stack: xr.DataArray, threads: int) -> None:
    with xccd.set_options(threads=threads):
        stack.ccd.sigma_clip(2, 2).ccd.combine("mean")
    assert told(bars) == [(what, 8 * threads, 8 * threads) for what in ("clip", "combine")]


def test_dask_is_counted_by_tasks(bars: list[Drawn], stack: xr.DataArray) -> None:
    lazy = stack.chunk({"y": 10})
    image = lazy.ccd.sigma_clip(2, 2).ccd.combine("mean")
    assert "combine" not in [bar.what for bar in bars]  # labels alone: `chunk` makes them lazy, too
    bars.clear()
    image.compute()
    ((what, done, total),) = told(bars)
    assert what == "combine"
    assert done == total >= 4


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        (["_run-abc"], "combine"),
        ([("_run_alone-abc", 0, 1)], "clip"),
        ([("open_stack-0f", 0), "finalize-x"], "read"),
        (["from-value-run-together-0a1b2c3d4e5f60718293a4b5c6d7e8f9"], "align, combine"),
        (["other-0"], "compute"),
        ([], "compute"),
    ],
)
def test_words_for_the_tasks_of_a_graph(keys: list[Any], word: str) -> None:
    assert dask_bars.work_of(keys) == word


def test_the_words_are_those_of_our_graphs(stack: xr.DataArray, folder: Path) -> None:
    """Names of tasks come from names of functions: a function that is renamed needs its row."""
    opened = xccd.open_stack(folder, chunks={"y": 20})
    lazy = stack.chunk({"y": 10})
    made = {
        "read": opened,
        "combine": opened.ccd.combine("median"),
        "clip": opened.ccd.sigma_clip(2, 2),
        "stats": opened.ccd.stats()["median"],
        "align, combine": opened.ccd.align(offsets=np.full((6, 2), 0.4)).ccd.combine("mean"),
        "normalize": lazy.ccd.normalize(scale="median"),
    }
    for word, one in made.items():
        (data,) = dask.optimize(one.data)
        assert word in dask_bars.work_of(dict(data.__dask_graph__())), word


def test_frames_are_counted_by_verbs_that_read_them(bars: list[Drawn], stack: xr.DataArray) -> None:
    pytest.importorskip("sep")
    stack.ccd.measure_stars()
    stack.ccd.normalize(scale="median")
    assert ("measure stars", 6, 6) in told(bars)
    assert ("levels", 6, 6) in told(bars)


@pytest.mark.parametrize("stars", [False, True])
def test_one_group_is_counted_by_its_frames(bars: list[Drawn], folder: Path, stars: bool) -> None:
    """A bar of one group would stand at 0 until the end."""
    if stars:
        pytest.importorskip("sep")
    stack = xccd.open_stack(folder, chunks=None)
    bars.clear()
    stack.ccd.stats(stars=stars)
    n = stack.sizes["frame"]
    assert told(bars) == [("stats", n, n)]
    assert list(progress.over(iter("a"), "read", 1, "files")) == ["a"]
    assert len(told(bars)) == 1


def test_a_night(bars: list[Drawn], tmp_path: Path) -> None:
    night = xccd.simulate_night(tmp_path / "night", shape=(40, 50), nbias=3, ndark=3, nflat=3, nlight=3)
    bars.clear()
    done = xccd.reduce(night, output=tmp_path / "products")
    products = (done.status == "made").sum()
    assert [bar.what.partition(":")[0] for bar in bars] == ["scan", done["product"].iloc[-1]]
    assert (bars[-1].n, bars[-1].total) == (products, products)


def test_a_function_is_told_in_place_of_a_bar(bars: list[Drawn], stack: xr.DataArray, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    image = stack.chunk({"y": 10}).ccd.combine("mean")
    image.ccd.to_fits(tmp_path / "a.fits", progress=lambda done, size: seen.append((done, size)))
    image.ccd.to_fits(tmp_path / "b.fits", progress=False)
    assert seen[-1] == (8000, 8000)
    assert not told(bars)
    image.ccd.to_fits(tmp_path / "c.fits")
    assert told(bars) == [("to_fits", 8000, 8000)]


# --- where none shows


def test_the_library_is_silent(
    stack: xr.DataArray, fresh_options: None, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    before = set(Callback.active)
    xccd.open_stack(folder).ccd.combine("mean").compute()
    assert terminal.getvalue() == ""
    assert Callback.active == before


@pytest.mark.parametrize("kind", ["file", "none", "closed", "odd"])
def test_no_log_file_has_bars(
    kind: str, tmp_path: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    file = (tmp_path / "log.txt").open("w")
    if kind == "closed":
        file.close()
    monkeypatch.setattr(sys, "stderr", {"none": None, "odd": object()}.get(kind, file))
    with xccd.set_options(progress=True), caplog.at_level(logging.DEBUG, "xccd"):
        assert not progress.wanted()
        xccd.open_stack(folder).ccd.combine("mean").compute()
    file.close()
    assert (tmp_path / "log.txt").read_text() == ""
    assert "%|" not in caplog.text


def test_notebooks_have_bars(monkeypatch: pytest.MonkeyPatch, fresh_options: None) -> None:
    from types import ModuleType, SimpleNamespace

    shell: Any = ModuleType("IPython")
    shell.get_ipython = lambda: SimpleNamespace(config={"IPKernelApp": {}})
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setitem(sys.modules, "IPython", shell)
    monkeypatch.setitem(sys.modules, "ipykernel", ModuleType("ipykernel"))
    assert not progress.wanted()
    with xccd.set_options(progress=True):
        assert progress.wanted()
    shell.get_ipython = lambda: None
    with xccd.set_options(progress=True):
        assert not progress.wanted()


def test_what_is_short_shows_nothing(stack: xr.DataArray, fresh_options: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with xccd.set_options(progress=True):
        stack.chunk({"y": 10}).ccd.combine("mean").compute()
    assert terminal.getvalue() == ""


def test_what_is_long_shows_a_line_and_takes_it_away(fresh_options: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    with xccd.set_options(progress=True), progress.bar("combine", 4, "bands") as shown:
        for _ in range(4):
            time.sleep(0.2)
            shown.add()
    text = terminal.getvalue()
    assert "combine: " in text
    assert "of 4 bands" in text
    assert " left" in text
    assert "\n" not in text
    assert text.endswith("\r")


# --- one at a time, and closed


def test_nested_work_shows_one_bar(bars: list[Drawn]) -> None:
    def one(i: int) -> None:
        run_all(lambda _: None, 5, 2, "inner")

    run_all(one, 3, 2, "outer")
    assert told(bars) == [("outer", 3, 3)]


def test_threads_beside_each_other_show_one_bar(bars: list[Drawn]) -> None:
    first, second = threading.Barrier(2), threading.Barrier(2)

    def work() -> None:
        with progress.bar("work", 100, "tiles") as shown:
            first.wait(10)
            for _ in range(100):
                shown.add()
            second.wait(10)

    threads = [threading.Thread(target=work) for _ in range(2)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert told(bars) == [("work", 100, 100)]


def test_many_threads_add_to_one_bar(bars: list[Drawn]) -> None:
    run_all(lambda i: None, 3000, 8, "tiles")
    assert told(bars) == [("tiles", 3000, 3000)]


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_work_that_fails_or_is_interrupted_takes_its_bar_away(
    bars: list[Drawn], stack: xr.DataArray, scheduler: str
) -> None:
    def interrupted(values: Any, axis: int) -> Any:
        raise KeyboardInterrupt

    def failed(values: Any, axis: int) -> Any:
        raise RuntimeError("broken")

    lazy = stack.chunk({"y": 10})
    with dask.config.set(scheduler=scheduler):
        with pytest.raises(RuntimeError, match="broken"):
            lazy.ccd.combine(failed).compute()
        if scheduler == "synchronous":
            with pytest.raises(KeyboardInterrupt):
                lazy.ccd.combine(interrupted).compute()
    with pytest.raises(KeyboardInterrupt):
        stack.ccd.combine(interrupted)
    assert bars
    assert all(bar.closed for bar in bars)
    assert not progress._slot.locked()


def test_a_loop_that_ends_early_takes_its_bar_away(bars: list[Drawn]) -> None:
    for i in progress.over(range(10), "loop", 10, "frames"):
        if i == 3:
            break
    assert told(bars) == [("loop", 3, 10)]
    assert bars[0].closed


def test_threads_that_compute_at_one_time_do_not_lose_the_bars(bars: list[Drawn], stack: xr.DataArray) -> None:
    lazy = stack.chunk({"y": 10})
    threads = [threading.Thread(target=lambda: lazy.ccd.combine("mean").compute()) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    image = lazy.ccd.combine("mean")
    bars.clear()
    image.compute()
    assert len(bars) == 1


@pytest.mark.parametrize("method", ["__init__", "update", "set_description_str", "close"])
def test_a_bar_that_fails_is_dropped(
    method: str, stack: xr.DataArray, folder: Path, bars: list[Drawn], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        for bar in bars:
            bar.closed = True
        raise OSError("the terminal is gone")

    expected = stack.ccd.combine("mean")
    monkeypatch.setattr(Drawn, method, fails)
    xr.testing.assert_identical(stack.ccd.combine("mean"), expected)
    xr.testing.assert_equal(stack.chunk({"y": 10}).ccd.combine("mean").compute(), expected)
    assert xccd.open_stack(folder).sizes["frame"] == 6
    stack[0].ccd.to_fits(folder / "new.fits")


def test_the_pixels_are_the_same(bars: list[Drawn], stack: xr.DataArray) -> None:
    shown = stack.ccd.sigma_clip(2, 2).ccd.combine("median")
    with xccd.set_options(progress=False):
        xr.testing.assert_identical(stack.ccd.sigma_clip(2, 2).ccd.combine("median"), shown)


# --- the setting


def test_the_setting_ends_with_its_block(fresh_options: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", Terminal())
    before = set(Callback.active)
    with xccd.set_options(progress=True):
        assert len(Callback.active) == len(before) + 1
        with xccd.set_options(progress=False):
            assert Callback.active == before
        assert len(Callback.active) == len(before) + 1
    assert Callback.active == before


@pytest.mark.parametrize("given", ["yes", 1, 0, []])
def test_what_is_no_setting(given: Any) -> None:
    with pytest.raises(TypeError, match=r"progress=.* is not True or False"):
        xccd.set_options(progress=given)


def test_lines_beside_a_bar(bars: list[Drawn]) -> None:
    with progress.aside():
        pass
    with progress.bar("work", 3, "tiles"):
        bars[0].last_print_t = 9.0
        with progress.aside():
            assert bars[0].cleared == 1
    assert bars[0].refreshed == 1


def test_a_forked_child_shows_nothing(bars: list[Drawn]) -> None:
    slot = progress._slot
    try:
        progress._after_fork()
        assert progress.begun("work", 3, "tiles") is progress.NO_BAR
    finally:
        progress._slot = slot
