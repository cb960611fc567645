"""`xccd stats`, `preview` and `report`: their lines, JSON, exit codes, and odd files."""

import json
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.visualization import ZScaleInterval

import xccd
from test_cli import run
from test_stats import star_frames
from test_verify import ODD
from xccd.cli.stats import number

COMMANDS = ("stats", "preview", "report")


@pytest.fixture
def night(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for i in range(6):
        level = 3000 if i == 4 else 1000
        cards = fits.Header([("IMAGETYP", "flat"), ("FILTER", "r"), ("EXPTIME", 5.0), ("GAIN", 1.5 + (i > 3))])
        fits.writeto(tmp_path / f"flat-{i}.fits", rng.normal(level, 20, (60, 80)).astype("u2"), cards)
    for i in range(2):
        cards = fits.Header([("IMAGETYP", "bias"), ("EXPTIME", 0.0)])
        fits.writeto(tmp_path / f"bias-{i}.fits", rng.normal(300, 3, (60, 80)).astype("u2"), cards)
    return tmp_path


def test_stats_are_those_of_the_function(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = run("stats", night, capsys=capsys)
    assert code == 0
    assert err == "xccd: warning: the frames differ in GAIN (1.5, 2.5)\n"
    lines = text.splitlines()
    assert lines[0].split() == ["frame", "mean", "median", "backgr.", "noise", "min", "max"]
    assert [line.split()[0] for line in lines[1:]] == ["bias-0", "bias-1", *(f"flat-{i}" for i in range(6))]
    assert [line for line in lines if "<" in line] == [lines[7]]
    assert lines[7].endswith("  < high background")
    table = xccd.open_stack(night / "flat-*.fits").ccd.stats().compute()
    assert lines[3].split()[2] == f"{table['median'].values[0]:.4g}".rstrip(".0")
    assert max(map(len, lines)) < 100


def test_stats_as_json(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run("stats", night / "flat-*.fits", "--json", capsys=capsys)
    rows = json.loads(text)
    table = xccd.open_stack(night / "flat-*.fits").ccd.stats().compute()
    assert code == 0
    assert [row["odd"] for row in rows] == table.odd.values.tolist()
    for name in ("mean", "median", "background", "noise", "min", "max", "missing"):
        assert [row[name] for row in rows] == table[name].values.tolist()
    assert rows[0]["file"] == f"{night}/flat-0.fits"


def test_stars(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, frame in enumerate(star_frames(widths=(1.5, 1.5, 3, 1.5, 1.5))):
        fits.writeto(tmp_path / f"a{i}.fits", frame.astype("f4"))
    code, text, _ = run("stats", tmp_path, "--stars", capsys=capsys)
    lines = text.splitlines()
    assert code == 0
    assert lines[0].split() == ["frame", "median", "backgr.", "noise", "max", "stars", "fwhm", "elong."]
    assert lines[3].endswith("  < much light, wide stars")
    assert max(map(len, lines)) < 100


def test_stars_are_looked_for_in_lights_alone(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fits.writeto(night / "light.fits", star_frames()[0].astype("f4"), fits.Header([("IMAGETYP", "light")]))
    _, text, _ = run("stats", night, "--stars", "--json", capsys=capsys)
    assert [row["file"] for row in json.loads(text) if "stars" in row] == [f"{night}/light.fits"]


def test_stars_without_sep(night: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "sep", None)
    fits.writeto(night / "light.fits", star_frames()[0].astype("f4"), fits.Header([("IMAGETYP", "light")]))
    code, text, err = run("stats", night, "--stars", capsys=capsys)
    assert (code, text) == (2, "")
    assert "star lists need sep: pip install 'xccd[offsets]'" in err


def test_frames_of_other_shapes_and_units_go_apart(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fits.writeto(night / "z1.fits", np.ones((5, 6)), fits.Header([("BUNIT", "electron")]))
    fits.writeto(night / "z2.fits", np.ones((5, 6)), fits.Header([("BUNIT", "adu")]))
    fits.writeto(night / "z3.fits", np.ones((2, 5, 6)))
    fits.writeto(night / "z4.fits", np.ones(7))
    code, text, _ = run("stats", night, capsys=capsys)
    assert code == 0
    assert len(text.splitlines()) == 13


def test_a_file_that_is_cut_has_its_problem(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = (night / "flat-0.fits").read_bytes()
    (night / "flat-9.fits").write_bytes(raw[:4000])
    (night / "flat-x.fits").write_bytes(b"x")
    for command in COMMANDS:
        code, text, err = run(command, night, capsys=capsys)
        assert code == 3
        assert "truncated" in text
        assert "not a FITS file" in text
        assert err.endswith("xccd: 2 of 10 files cannot be read, see their problem\n")


def test_a_file_that_cannot_be_unpacked_leaves_the_others(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import gzip

    whole = gzip.compress((night / "flat-0.fits").read_bytes())
    (night / "flat-7.fits.gz").write_bytes(whole[:-500])
    code, text, _ = run("stats", night, capsys=capsys)
    lines = [line for line in text.splitlines() if line.startswith("flat-")]
    assert code == 3
    assert [("!" in line) for line in lines] == [False] * 6 + [True]
    assert "cannot be unpacked" in lines[-1]


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (0.0, "0"), (12.3456, "12.35"), (12345.6, "12346"), (-1234.5, "-1234"), (1e12, "1e+12"),
     (0.00012345, "0.0001234"), (999.96, "1000")],
)  # fmt: skip
def test_numbers_are_short(value: float | None, text: str) -> None:
    assert number(value) == text


@pytest.mark.versions
def test_preview(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, err = run("preview", night / "flat-*.fits", "--json", capsys=capsys)
    assert (code, err) == (0, "")
    rows = json.loads(text)
    data = fits.getdata(night / "flat-0.fits").astype(float)
    low, high = ZScaleInterval().get_limits(data)
    assert (rows[0]["name"], rows[0]["shape"], rows[0]["read"]) == ("flat-0", [60, 80], 1.0)
    assert (rows[0]["low"], rows[0]["high"]) == pytest.approx((low, high), rel=0.02)
    assert rows[0]["median"] == pytest.approx(np.median(data))
    code, text, _ = run("preview", night, capsys=capsys)
    assert text.splitlines()[0].split() == ["frame", "size", "black", "white", "median", "min", "max", "read%"]
    assert text.splitlines()[1].split()[:2] == ["bias-0", "60x80"]


def test_preview_reads_some_rows_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xccd.night.look.quick_look import quick_looks
    from xccd.read.files.local import LocalFile

    data = np.random.default_rng(0).normal(500, 5, (2000, 300)).astype("f4")
    fits.writeto(tmp_path / "a.fits", data)
    read = []
    fill = LocalFile.fill
    monkeypatch.setattr(LocalFile, "fill", lambda self, view, start: read.append(len(view)) or fill(self, view, start))
    (row,) = quick_looks(xccd.scan(tmp_path))
    assert sum(read) == 64 * 300 * 4
    assert row["median"] == pytest.approx(np.median(data), abs=0.2)


@pytest.mark.parametrize("shape", [(7,), (1, 1), (3, 5, 6), (2, 3, 4, 5), (1, 5000)])
def test_preview_of_any_shape(tmp_path: Path, shape: tuple[int, ...], capsys: pytest.CaptureFixture[str]) -> None:
    fits.writeto(tmp_path / "a.fits", np.arange(np.prod(shape), dtype="f4").reshape(shape))
    code, text, _ = run("preview", tmp_path, "--json", capsys=capsys)
    assert code == 0
    assert json.loads(text)[0]["shape"] == list(shape)


def test_report(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = run("report", night, capsys=capsys)
    assert code == 0
    assert text.splitlines()[:3] == ["Inputs", "      2  bias, 0 s, 60x80", "      6  flat, r, 5 s, 60x80"]
    assert "  flat, r, 5 s, 60x80\n    GAIN: 1.5 (4), 2.5 (2)\n" in text
    assert "flat, r, 5 s, 60x80: no WCS" in text
    assert "  2 bias: xccd combine FILES -o bias.fits --reject 'auto 4 4'" in text
    assert "  6 r flat: xccd combine FILES -o flat-r.fits --normalize median --reject" in text
    assert "  Look at the odd frames first: flat-4." in text
    code, text, _ = run("report", night, "--json", capsys=capsys)
    found = json.loads(text)
    assert list(found) == ["inputs", "problems", "statistics", "odd", "suggestions"]
    assert found["odd"] == [{"frame": "flat-4", "odd": "high background"}]


def test_report_on_lights(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cards = {"IMAGETYP": "light", "FILTER": "r", "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 10.0,
             "CRVAL2": 20.0, "CRPIX1": 1.0, "CRPIX2": 1.0, "CDELT1": -0.001, "CDELT2": 0.001}  # fmt: skip
    for i, extra in enumerate([{}, {}, {"FILTER": "g"}, {"FILTER": "g", "CRVAL1": 10.1}, {"FILTER": "i"}, {}]):
        head = fits.Header(list((cards | extra).items()))
        if i == 4:
            del head["CTYPE1"], head["CTYPE2"]
        fits.writeto(tmp_path / f"a{i}{'.wht' * (i == 5)}.fits", np.random.default_rng(i).random((5, 6)), head)
    _, text, _ = run("report", tmp_path, capsys=capsys)
    assert "light, r, 5x6: one WCS for all" in text
    assert "light, g, 5x6: a WCS each" in text
    assert "2 r light: they have one WCS: xccd combine takes them as they lie." in text
    assert "2 g light: they have a WCS each: align them first." in text
    assert "1 i light: nothing to combine." in text
    assert "1 r light: by their names maps of other files: leave them out." in text
    assert "There are lights and no bias frames: the lights may be calibrated already." in text


@pytest.mark.filterwarnings("ignore::astropy.utils.exceptions.AstropyWarning")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("name", [k for k in ODD if k != "folder"])
def test_odd_files(tmp_path: Path, name: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    ODD[name][0](tmp_path / "odd.fits")
    code, text, err = run(command, tmp_path / "odd.fits", capsys=capsys)
    assert code in (0, 3), err
    assert "odd" in text
    assert "Error:" not in text + err


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "Missing argument 'FILES...'"),
        (("",), 2, "a name is empty: give a path, a folder or a glob"),
        (("nowhere/*",), 3, "no file matches 'nowhere/*'"),
        ((".", "--starz"), 2, "No such option"),
    ],
)
def test_errors(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str,
    arguments: tuple[str, ...], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    found, text, err = run(command, *arguments, capsys=capsys)
    assert (found, text) == (code, "")
    assert message in err


def test_names_are_escaped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fits.writeto(tmp_path / "a\x1b[2J.fits", np.random.default_rng(0).random((5, 6)), fits.Header([("OBJECT", "M")]))
    for command in COMMANDS:
        _, text, err = run(command, tmp_path, capsys=capsys)
        assert "\x1b" not in text + err
        assert "a\\x1b[2J" in text


@pytest.mark.parametrize("command", COMMANDS)
def test_chips_and_lists(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    units = [fits.PrimaryHDU(), *(fits.ImageHDU(np.random.default_rng(i).random((5, 6))) for i in range(2))]
    fits.HDUList(units).writeto(tmp_path / "a.fits")
    (tmp_path / "list.txt").write_text(f"{tmp_path}/a.fits\n")
    code, text, err = run(command, f"@{tmp_path}/list.txt", "--hdu", "all", "-q", capsys=capsys)
    assert (code, err) == (0, "")
    assert "a[1]" in text
    assert "a[2]" in text


def test_preview_draws(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    code, text, err = run("preview", night / "flat-*.fits", "-o", tmp_path / "a.png", capsys=capsys)
    assert (code, text) == (0, f"{tmp_path}/a.png: 6 frames\n")
    assert err == "xccd: warning: the frames differ in GAIN (1.5, 2.5)\n"
    with Image.open(tmp_path / "a.png") as picture:
        assert picture.size[0] > 400
    code, text, _ = run("preview", night / "bias-*.fits", "-o", tmp_path / "b.gif", "--json", capsys=capsys)
    assert (code, json.loads(text)) == (0, {"picture": f"{tmp_path}/b.gif", "frames": 2})
    with Image.open(tmp_path / "b.gif") as film:
        assert film.n_frames == 2
    before = [f"{night}/bias-{i}.fits" for i in (1, 0)]
    options = ["--original", before[0], "--each", "--key", "EXPTIME", "-n", "1", "--overwrite"]
    code, text, err = run("preview", night / "bias-*.fits", "-o", tmp_path / "a.png", *options, capsys=capsys)
    assert (code, text, err) == (0, f"{tmp_path}/a.png: 2 frames\n", "")


@pytest.mark.parametrize(
    ("options", "code", "text"),
    [
        (["--wcs"], 2, "--wcs has no effect without -o"),
        (["-n", "3"], 2, "-n has no effect without -o"),
        (["-o", "a.fits"], 2, "-o 'a.fits' ends in none of .png"),
        (["-o", "no/such/a.png"], 4, "there is no folder no/such"),
        (["-o", "a.gif", "--wcs"], 2, "--wcs has no effect on .gif"),
        (["-o", "a.png", "--wcs"], 3, "has no WCS"),
        (["-o", "a.png", "--key", "EXPTIM"], 3, "--key='EXPTIM,': no frame has"),
    ],
)
def test_wrong_previews(
    night: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    code: int,
    text: str,
) -> None:
    monkeypatch.chdir(night)
    found, said, err = run("preview", "bias-0.fits", "bias-1.fits", *options, capsys=capsys)
    assert (found, said) == (code, "")
    assert text in err
    assert not list(night.glob("a.*"))


def test_a_preview_with_a_bad_file_shows_why(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (night / "bias-9.fits").write_bytes(b"x")
    code, text, err = run("preview", night / "bias-*.fits", "-o", night / "a.png", capsys=capsys)
    assert (code, text) == (3, f"{night}/a.png: 3 frames\n")
    assert "1 of 3 files cannot be read" in err
