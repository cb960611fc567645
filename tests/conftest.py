"""Fixtures that several test files share."""

import os
from pathlib import Path

import pytest

from xccd.compute import options


@pytest.fixture(scope="session")
def real_frames() -> Path:
    """The folder of real frames, beside the repository; it must be there on CI."""
    folder = (Path(__file__).parents[2] / "shared" / "data").resolve()
    if not folder.is_dir():
        reason = "no folder ../shared/data with real frames beside the repository"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return folder


@pytest.fixture
def fresh_options(monkeypatch: pytest.MonkeyPatch) -> None:
    """Settings of a test's own, as a fresh process has them."""
    monkeypatch.setattr(options, "_OPTIONS", {"threads": None, "engine": None})
    monkeypatch.setattr(options, "_said", [])
