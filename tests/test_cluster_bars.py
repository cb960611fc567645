"""A real cluster: a bar counts its tasks, and goes with them; errors of its workers are those of the tree."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

import xccd
from fits_files import write
from xccd.compute import dask_bars, progress

pytestmark = [
    pytest.mark.versions,
    pytest.mark.filterwarnings("ignore::UserWarning:distributed", "ignore::ResourceWarning"),
]


class Recorded:
    """In place of a bar."""

    every: list["Recorded"] = []  # noqa: RUF012

    def __init__(self, what: str, total: int, unit: str, delay: float) -> None:
        self.what, self.total, self.unit, self.done, self.closed = what, total, unit, [0], False
        Recorded.every.append(self)

    def add(self, count: int = 1) -> None:
        self.done.append(self.done[-1] + count)

    def say(self, what: str, done: int | None = None, total: int | None = None) -> None:
        self.what, self.total = what, total or self.total
        self.done.append(done or 0)

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def bars(monkeypatch: pytest.MonkeyPatch, fresh_options: None) -> Iterator[list[Recorded]]:
    monkeypatch.setattr(progress, "_is_terminal", lambda: True)
    monkeypatch.setattr(progress, "_Bar", Recorded)
    Recorded.every = []
    with xccd.set_options(progress=True):
        yield Recorded.every
    for _ in range(200):
        if not any(one.name == "xccd-progress" for one in threading.enumerate()):
            break
        time.sleep(0.05)
    else:
        pytest.fail("the thread that looks at the cluster does not end")
    assert not progress._slot.locked()
    assert all(bar.closed for bar in bars_of())


def bars_of() -> list[Recorded]:
    return Recorded.every


def slow(values: Any, axis: int) -> Any:
    time.sleep(0.1)
    return np.nanmean(values, axis)


@pytest.fixture
def lazy() -> xr.DataArray:
    return xr.DataArray(np.ones((3, 300, 20), "f4"), dims=("frame", "y", "x")).chunk({"frame": -1, "y": 10})


def test_tasks_of_a_cluster(client: Any, lazy: xr.DataArray, bars: list[Recorded]) -> None:
    with client.as_current():
        image = lazy.ccd.combine(slow).compute(scheduler=client)
    assert image.shape == (300, 20)
    (bar,) = (bar for bar in bars if bar.total > 10)
    assert (bar.what, bar.unit) == ("combine", "tasks")
    assert bar.total >= 30
    assert sorted(bar.done) == bar.done
    assert 0 < bar.done[-1] <= bar.total
    for _ in range(40):
        if bar.closed:
            break
        time.sleep(0.05)
    assert bar.closed


def test_work_that_is_cancelled(client: Any, lazy: xr.DataArray, bars: list[Recorded]) -> None:
    with client.as_current():
        image = lazy.ccd.combine(slow)
        future = client.compute(image.data + 1)
        for _ in range(100):
            if bars:
                break
            time.sleep(0.05)
        (bar,) = bars
        assert not bar.closed
        future.cancel(force=True)
        for _ in range(100):
            if bar.closed:
                break
            time.sleep(0.05)
    assert bar.closed


def test_a_cluster_that_cannot_be_asked(
    client: Any, lazy: xr.DataArray, bars: list[Recorded], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> Any:
        raise RuntimeError("no permission")

    monkeypatch.setattr(dask_bars, "_counter", broken)
    with client.as_current():
        image = lazy.isel(y=slice(0, 60)).ccd.combine(slow).compute(scheduler=client)
    assert float(image.mean()) == 1.0
    assert not bars


def test_errors_of_workers(client: Any, tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", np.ones((20, 10), "f4"))
    image = xccd.open_stack([path]).ccd.combine("mean")
    path.unlink()
    with pytest.raises(xccd.XccdError, match="is gone") as caught:
        image.compute(scheduler=client)
    assert isinstance(caught.value, FileNotFoundError)
