"""-o: templates, folders, groups; names that are safe whatever the headers say."""

import json
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import xccd
from test_shell import run
from xccd.cli.output_names import Template, safe, stem_of


def write(folder: Path, name: str, value: float = 1, **cards: Any) -> Path:
    path = folder / name
    fits.writeto(path, np.full((3, 4), value, "f4"), fits.Header({k.replace("_", "-"): v for k, v in cards.items()}))
    return path


@pytest.fixture
def night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "n").mkdir()
    for i in range(2):
        write(tmp_path / "n", f"b{i}.fits", 10 + i, IMAGETYP="zero", FILTER="r", EXPTIME=0.0)
        for name, band in (("f", "r"), ("g", "g")):
            write(tmp_path / "n", f"{name}{i}.fits", 20 + i, IMAGETYP="Flat Field", FILTER=band, EXPTIME=2.5)
        write(tmp_path / "n", f"l{i}.fits", 30 + i, IMAGETYP="Light Frame", FILTER="r", EXPTIME=30.0, OBJECT="M 31/a")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_product_of_each_group(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run(
        "combine", "n", "--by", "IMAGETYP,FILTER", "-o", "out/{IMAGETYP}-{FILTER}.fits", capsys=capsys
    )
    assert (code, err) == (0, "")
    names = ["bias-no_FILTER.fits", "flat-g.fits", "flat-r.fits", "light-r.fits"]
    assert sorted(os.listdir("out")) == names
    assert [line.split(":")[0] for line in said.splitlines()] == [f"out/{name}" for name in names]
    tree = xccd.open_tree("n", by=["IMAGETYP", "FILTER"]).ccd.combine("mean")
    np.testing.assert_array_equal(fits.getdata("out/flat-r.fits"), tree["flat/r/data"].values)


@pytest.mark.parametrize(
    ("output", "names"),
    [
        ("masters.fits", ["masters-bias.fits", "masters-flat-2.5.fits", "masters-light-30.fits"]),
        ("m.fits.fz", ["m-bias.fits.fz", "m-flat-2.5.fits.fz", "m-light-30.fits.fz"]),
        ("new/", ["new/bias.fits", "new/flat-2.5.fits", "new/light-30.fits"]),
        ("n", ["n/bias.fits", "n/flat-2.5.fits", "n/light-30.fits"]),
        ("x-{file}.fits", None),
    ],
)
def test_names_without_braces(
    night: Path, output: str, names: list[str] | None, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ("combine", "n", "--by", "IMAGETYP,EXPTIME", "--mixed", "-o", output, "--json")
    code, said, _ = run(*given, capsys=capsys)
    if names is None:
        assert (code, said) == (2, "")
        return
    assert code == 0
    made = [one["output"] for one in json.loads(said)["products"]]
    assert made == [name.replace("bias", "bias-0") for name in names]
    assert all(Path(name).exists() for name in made)


def test_a_group_that_fails_stops_no_other(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run("combine", "n", "--by", "IMAGETYP", "-o", "{IMAGETYP}.fits", "--json", capsys=capsys)
    assert code == 3
    found = json.loads(said)
    assert [one["group"] for one in found["products"]] == ["bias", "light"]
    assert [one["group"] for one in found["failed"]] == ["flat"]
    assert err.splitlines()[0].startswith("xccd: flat: the frames differ in FILTER (r, g): ")
    assert err.splitlines()[1] == "xccd: 1 of 3 groups failed: flat"
    assert not Path("flat.fits").exists()


def test_a_dry_run_writes_nothing(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(night.rglob("*"))
    given = ("combine", "n", "--by", "IMAGETYP,FILTER", "-o", "new/", "--dry-run")
    code, said, _ = run(*given, capsys=capsys)
    assert code == 0
    assert said.splitlines()[1] == "new/flat-g.fits: would be the mean of 2 frames of 3 x 4 pixels"
    found = json.loads(run(*given, "--json", capsys=capsys)[1])
    assert found["dry_run"] is True
    assert found["products"][3] == {
        "output": "new/light-r.fits", "group": "light/r", "frames": 2, "files": ["n/l0.fits", "n/l1.fits"]
    }  # fmt: skip
    assert sorted(night.rglob("*")) == before
    assert "  n/l1.fits" in run(*given, "-v", capsys=capsys)[1].splitlines()


BAD = [
    ("{FILTR}.fits", 2, r"no frame has a \{FILTR\}; did you mean 'FILTER'"),
    ("{filetr}.fits", 2, r"no frame has a \{filetr\}; did you mean"),
    ("{OBJECT", 2, "expected '}' before end of string; a brace that is meant is doubled"),
    ("{}.fits", 2, "braces without a name"),
    ("{ }.fits", 2, "braces without a name"),
    ("{FILTER:3}.fits", 2, r"takes no format: write \{FILTER\}"),
    ("{FILTER!r}.fits", 2, r"takes no format: write \{FILTER\}"),
    ("{FILTER}.png", 2, "is not the name of a FITS file"),
    ("{FILTER}.fits.gz", 4, "products are written unpacked"),
    ("{file}.fits", 2, r"the frames of flat/g differ in \{file\} \(g0, g1\): leave it out of the name"),
    ("{EXPTIME}.fits", 2, "'2.5.fits' would be the product of flat/g and of flat/r"),
    ("no/where/{FILTER}.fits", 4, "there is no folder no/where"),
    ("n/l0.fits/{FILTER}.fits", 4, "there is no folder"),
]


@pytest.mark.parametrize(("output", "code", "message"), BAD)
def test_wrong_templates(night: Path, output: str, code: int, message: str, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(night.rglob("*"))
    got, said, err = run("combine", "n/f*", "n/g*", "--by", "IMAGETYP,FILTER", "-o", output, capsys=capsys)
    assert (got, said, err.count("\n")) == (code, "", 1)
    assert re.search(message, err)
    assert sorted(night.rglob("*")) == before


def test_values_that_differ_within_a_product(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("combine", "n/f*", "n/g*", "--mixed", "-o", "{FILTER}.fits", capsys=capsys)
    assert code == 2
    assert "the frames differ in {FILTER} (r, g): leave it out of the name, or add it to --by, as --by FILTER" in err


def test_a_product_that_is_there_stops_all(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("flat-r.fits").write_text("mine")
    given = ("combine", "n", "--by", "IMAGETYP,FILTER", "-o", "{IMAGETYP}-{FILTER}.fits")
    code, said, err = run(*given, capsys=capsys)
    assert (code, said) == (4, "")
    assert "'flat-r.fits' is there already: --overwrite replaces it" in err
    assert not Path("flat-g.fits").exists()
    assert run(*given, "--overwrite", capsys=capsys)[0] == 0
    assert Path("flat-r.fits").read_bytes()[:6] == b"SIMPLE"


def test_by_names_a_keyword(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for by, message in (("FILTR", "did you mean 'FILTER'? --by='FILTR': no frame has"), ("", "empty name"),
                        ("FILTER,", "empty name"), ("FILTER,FILTER", "has FILTER twice")):  # fmt: skip
        code, said, err = run("combine", "n", "--by", by, "-o", "x/", capsys=capsys)
        assert (code, said, err.count("\n"), message in err) == (2, "", 1, True), err


WILD = ["..", ".", "../../etc/x", "/abs", "a/b", "a\\b", "\0", "a\nb", "\x1b[2J", "CON", "nul.fits", "", "   ",
        ".hidden", "-rf", "a.", "~", "$HOME", "*", "x" * 300, "\u202e", "é", "a:b"]  # fmt: skip


@pytest.mark.parametrize("value", WILD)
def test_values_stay_in_their_folder(value: str) -> None:
    path = Template("out/{OBJECT}.fits").path({"OBJECT": value})
    assert path.parent == Path("out")
    assert path.suffix == ".fits"
    assert len(path.stem) <= 61
    assert not path.name.startswith((".", "-", "~"))


@given(st.text())
def test_any_value_is_one_safe_part_of_a_name(value: str) -> None:
    made = safe(value, "X")
    assert re.fullmatch(r"[\w.+-]+", made)
    assert made.isprintable()
    assert not made.startswith(".")
    assert not made.endswith(".")
    assert Template("{X}/y.fits").path({"X": value}).parts == (made, "y.fits")


@pytest.mark.parametrize(
    ("value", "name"),
    [(30.0, "30"), (2.5, "2.5"), (-10, "minus10"), (None, "no_X"), ("M 31/a", "M_31_a"), ("r'", "r_"), (1e-7, "1e-07")],
)
def test_values_as_names(value: Any, name: str) -> None:
    assert safe(value, "X") == name


def test_a_header_cannot_choose_the_folder(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(night, "evil.fits", OBJECT="../../../escape")
    assert run("combine", "evil.fits", "-o", "out/{object}-{file}.fits", capsys=capsys)[0] == 0
    assert os.listdir("out") == ["_escape-evil.fits"]


def test_braces_that_are_meant(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("combine", "n/f*", "-o", "a{{b}}.fits", "--overwrite", capsys=capsys)[0] == 0
    assert run("combine", "n/f*", "-o", "{FILTER}{{b}}.fits", capsys=capsys)[0] == 0
    assert Path("r{b}.fits").exists()


@pytest.mark.parametrize("name", ["a.fits", "d/a.FITS.gz", "a.fits.fz", "a.fit", "a.fts.bz2"])
def test_stems(name: str) -> None:
    assert stem_of(name) == "a"
