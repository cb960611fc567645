"""What `show_versions` prints."""

import io
import os
import platform
import re
from importlib import metadata
from pathlib import Path

import pytest

import xccd
from xccd import versions


def shown() -> dict[str, str]:
    text = io.StringIO()
    xccd.show_versions(text)
    return dict(line.split(": ", 1) for line in text.getvalue().splitlines())


def test_what_is_there() -> None:
    rows = shown()
    assert rows["xccd"] == xccd.__version__
    assert rows["Python"].startswith(platform.python_version())
    assert rows["numpy"] == metadata.version("numpy")
    assert list(rows)[:9] == [
        "xccd", "Python", "system", "CPU", "cores", "memory", "threads=", "memory=", "engine=",
    ]  # fmt: skip
    assert re.fullmatch(r"unknown|\d+\.\d GiB", rows["memory"])
    assert rows["engine="] in ("numba", "numpy")
    assert {*versions.NEEDED, *versions.OPTIONAL} <= set(rows)


def test_the_settings(fresh_options: None) -> None:
    with xccd.set_options(threads=3, memory="2 GB", engine="numpy"):
        rows = shown()
    assert (rows["threads="], rows["memory="], rows["engine="]) == ("3", "2000000000 bytes", "numpy")


def test_what_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", lacking)
    assert shown()["sep"] == "not installed"


def test_no_names_of_users_or_folders() -> None:
    text = "\n".join(shown().values())
    assert platform.node() not in text
    assert str(Path.home()) not in text
    assert os.getcwd() not in text


def test_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    xccd.show_versions()
    assert capsys.readouterr().out.startswith("xccd: ")


def test_every_extra_of_the_package_is_shown() -> None:
    """A package that is added to pyproject.toml gets its line."""
    needed = {
        re.match(r"[\w-]+", one)[0].lower()
        for one in metadata.requires("xccd")
        if (extra := re.search(r"extra == .(\w+)", one)) and extra[1] not in ("test", "docs", "dev", "all")
    }
    lacking = needed - {name.lower() for name in versions.OPTIONAL}
    assert len(needed) > 10
    assert not lacking
