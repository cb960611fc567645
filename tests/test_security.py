"""What SECURITY.md promises against hostile files, where no other test says so."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import xccd
from xccd.read.files import unpack


class Ran:
    """Unpickled, it makes a file."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)

    def __reduce__(self) -> tuple[object, tuple[str, int]]:
        return os.open, (self.path, os.O_CREAT)


def test_no_pickle_of_a_saved_state_is_run(tmp_path: Path) -> None:
    live = xccd.LiveStack(minimum=3, low=None, high=None)
    for level in (1.0, 2.0, 3.0):
        live.add((np.full((4, 5), level), {"EXPTIME": 1.0}))
    state = live.save(tmp_path / "live.state")
    hostile = io.BytesIO()
    np.lib.format.write_array(hostile, np.array([Ran(tmp_path / "ran")] * 20, dtype=object), allow_pickle=True)
    with zipfile.ZipFile(state) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    arrays = [name for name in members if name.endswith(".npy")]
    assert arrays
    with zipfile.ZipFile(tmp_path / "bad.state", "w") as archive:
        for name, content in members.items():
            archive.writestr(name, hostile.getvalue() if name in arrays else content)
    with pytest.raises(OSError, match=r"bad\.state is damaged \(.*allow_pickle"):
        xccd.LiveStack.load(tmp_path / "bad.state")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "text", ["!!python/object/apply:os.system ['touch ran']", "__import__('os')", "light = os.remove"]
)
def test_a_recipe_is_data(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("recipe.toml").write_text(text)
    with pytest.raises(OSError, match=r"recipe\.toml is no TOML"):
        xccd.Recipe.from_file("recipe.toml")
    assert os.listdir() == ["recipe.toml"]


def test_a_packed_file_is_unpacked_as_far_as_its_header_asks(tmp_path: Path) -> None:
    """20 MB of zeros behind four pixels are not written to the disk."""
    plain = io.BytesIO()
    fits.PrimaryHDU(np.ones((2, 2), "int16")).writeto(plain)
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(plain.getvalue() + bytes(20 << 20)))
    before = set(unpack._copies.values())
    stack = xccd.open_stack(path)
    assert stack.compute().values.tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    assert sum(copy.stat().st_size for copy in set(unpack._copies.values()) - before) < 1 << 20


def test_objects_choose_no_folder(tmp_path: Path) -> None:
    night = tmp_path / "a" / "night"
    night.mkdir(parents=True)
    for i, name in enumerate(("../../up", "/etc/up", "..", "up\x00", "C:\\up")):
        card = name.replace("\x00", "")
        header = fits.Header({"OBJECT": card, "FILTER": "../r", "EXPTIME": 10.0, "IMAGETYP": "light"})
        fits.PrimaryHDU(np.full((8, 8), i + 1, "int16"), header).writeto(night / f"{i}.fits")
    output = tmp_path / "a" / "out"
    xccd.reduce(night, output=output)
    made = [path for path in tmp_path.rglob("*.fits") if path.parent != night]
    assert made
    assert all(path.parent == output for path in made)
