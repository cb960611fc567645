"""`xccd scan`: lines or JSON, and the exit code of a folder with damaged files."""

import errno
import json
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
from astropy.io import fits

import xccd
from test_cli import run


@pytest.fixture
def night(tmp_path: Path) -> Path:
    for i, kind in enumerate(["Bias Frame", "Flat Field"]):
        cards = fits.Header([("IMAGETYP", kind), ("FILTER", "r"), ("DATE-OBS", "2024-03-01T20:00:00"), ("SEEING", 1.5)])
        fits.writeto(tmp_path / f"n{i}.fits", np.zeros((3, 4), ">i2"), cards)
    return tmp_path


def test_a_line_for_each_frame(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run("scan", night, "--keyword", "SEEING", capsys=capsys)
    assert (code, err) == (0, "")
    assert [line.split() for line in said.splitlines()] == [
        ["hdu", "kind", "filter", "date", "shape", "SEEING", "file"],
        ["0", "bias", "2024-03-01T20:00:00", "3x4", "1.5", f"{night}/n0.fits"],
        ["0", "flat", "r", "2024-03-01T20:00:00", "3x4", "1.5", f"{night}/n1.fits"],
    ]


def test_json_holds_the_table(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run("scan", night / "*.fits", "--json", "--cache", night / "t.parquet", capsys=capsys)
    assert code == 0
    rows = json.loads(said)
    table = xccd.scan(night, cache=night / "t.parquet")
    assert [list(row) for row in rows] == [list(table)] * 2
    assert [row["file"] for row in rows] == list(table.file)
    assert rows[1]["date"] == "2024-03-01T20:00:00"
    assert rows[0]["gain"] is None


def test_damaged_files_are_named_at_the_end(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (night / "n2.fits").write_bytes(b"no image")
    code, said, err = run("scan", night, capsys=capsys)
    assert code == 3
    assert f"{night}/n2.fits: not a FITS file: it starts with b'no image'" in said
    assert err == "xccd: 1 of 3 files cannot be opened, see their problem\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("nowhere",), 3, "nowhere' does not exist: check the path"),
        (("nowhere/*",), 3, "no file matches 'nowhere/*'"),
        ((), 2, "Missing argument 'WHERE...'"),
        ((".", "--cache", "."), 3, "is a folder: name a file in it"),
    ],
)
def test_errors(
    night: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...],
    code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(night)
    found, said, err = run("scan", *arguments, capsys=capsys)
    assert (found, said) == (code, "")
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("scan", "NIGHT", "--keyword", ""), 2, "--keyword is empty: name a header keyword, as AIRMASS"),
        (("scan", "NIGHT", "--cache", "NIGHT/none/a.parquet"), 3, "--cache='NIGHT/none/a.parquet': there is no folder"),
        (("verify", "NIGHT/empty"), 3, "holds no FITS file (.fits, .fit, .fts, packed or not): name a folder in it"),
        (("calibrate", "NIGHT/a.fits", "-o", "NIGHT/cal/", "--trim"), 3, "give a section, as '[1:2048,1:2048]'"),
    ],
)
def test_messages_in_the_words_of_the_command(tmp_path, capsys, arguments, code, message):
    fits.writeto(tmp_path / "a.fits", np.zeros((3, 4), "f4"))
    (tmp_path / "empty").mkdir()
    found, _, err = run(*(a.replace("NIGHT", str(tmp_path)) for a in arguments), capsys=capsys)
    assert found == code
    assert message.replace("NIGHT", str(tmp_path)) in err


def test_a_cache_on_a_full_disk_is_named_by_its_option(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    full = mock.Mock(side_effect=OSError(errno.ENOSPC, "No space left on device"))
    monkeypatch.setattr("pyarrow.parquet.write_table", full)
    code, said, err = run("scan", night, "--cache", tmp_path / "t.parquet", capsys=capsys)
    assert (code, said) == (3, "")
    assert f"--cache='{tmp_path}/t.parquet' cannot be written: No space left on device" in err
    assert not list(tmp_path.glob("*.parquet"))
