"""Fixtures that several test files share."""

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from xccd.compute import options
from xccd.read.files import local

collect_ignore = ["typing"]  # mypy reads these files, nothing runs them


def pytest_itemcollected(item: pytest.Item) -> None:
    """`versions(name=(...))` marks a test where its parameter of this name is one of these."""
    given = item.callspec.params if hasattr(item, "callspec") else {}
    item.own_markers[:] = [
        mark
        for mark in item.own_markers
        if mark.name != "versions" or all(given[name] in chosen for name, chosen in mark.kwargs.items())
    ]


@pytest.fixture(scope="session")
def real_frames() -> Path:
    """The folder of real frames, beside the repository; it must be there on CI."""
    folder = (Path(__file__).parents[2] / "shared" / "data").resolve()
    if not folder.is_dir():
        reason = "no folder ../shared/data with real frames beside the repository"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return folder


@pytest.fixture(scope="module")
def client() -> Iterator[Any]:
    """A client of a cluster with two processes on this machine."""
    import distributed

    with warnings.catch_warnings(action="ignore"):
        cluster = distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None)
        client = distributed.Client(cluster, set_as_default=False)
        try:
            yield client
        finally:
            client.close()
            cluster.close(timeout=60)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many bytes were read from files, as a list of one number."""
    counted, fill = [0], local.LocalFile.fill

    def count(self: local.LocalFile, view: memoryview, start: int) -> None:
        counted[0] += len(view)
        fill(self, view, start)

    monkeypatch.setattr(local.LocalFile, "fill", count)
    return counted


@pytest.fixture
def fresh_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a test's own, as a fresh process has them."""
    monkeypatch.setattr(options, "_OPTIONS", {"threads": None, "engine": None, "memory": None, "progress": None})
    monkeypatch.setattr(options, "_said", [])


@pytest.fixture(autouse=True)
def every_kernel_compiles() -> Iterator[None]:
    """One that does not is replaced by NumPy's, and no pixel would show it."""
    before = list(options._said)
    yield
    assert options._said == before
