"""`xccd calibrate`: the verbs' results to the bit, files whole, and what does not fit is said before any work."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from test_shell import run


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A night with masters: bias.fits, dark.fits, flat-r.fits and flat-g.fits, as a user makes them."""
    folder = tmp_path_factory.mktemp("made")
    xccd.simulate_night(folder / "raw", shape=(32, 40), nbias=3, ndark=3, nflat=3, nlight=3)
    bias = xccd.open_dataset(folder / "raw/bias-*.fits").ccd.combine("mean")
    bias.ccd.to_fits(folder / "bias.fits")
    for name, source in {
        "dark-120": "dark-120s",
        "dark-60": "dark-60s",
        "flat-r": "flat-r",
        "flat-g": "flat-g",
    }.items():
        stack = xccd.open_dataset(folder / f"raw/{source}-*.fits").ccd.subtract_bias(bias)
        stack.ccd.combine("mean").ccd.to_fits(folder / f"{name}.fits")
    return folder


@pytest.fixture
def night(made: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder as the current one; products go to tmp_path."""
    monkeypatch.chdir(made)
    return tmp_path


MASTERS = ["--bias", "bias.fits", "--dark", "dark-120.fits", "--flat", "flat-r.fits"]


def equal(path: Path, expected: Any, hdu: Any = 0) -> None:
    np.testing.assert_array_equal(fits.getdata(path, hdu), expected)


def test_equals_the_functions(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run("calibrate", "raw/light-r-*.fits", "-o", f"{night}/cal/", *MASTERS, capsys=capsys)
    assert (code, err) == (0, "")
    assert said.splitlines()[0] == f"{night}/cal/light-r-001.fits: bias, dark, flat"
    stack = xccd.open_stack("raw/light-r-*.fits").ccd.subtract_bias("bias.fits")
    stack = stack.ccd.subtract_dark("dark-120.fits").ccd.flat_correct("flat-r.fits")
    for i in range(3):
        path = night / f"cal/light-r-00{i + 1}.fits"
        equal(path, stack[i].values)
        header = fits.getheader(path)
        own = stack[i].ccd.header()
        assert {k: header[k] for k in ("BIASCOR", "DARKCOR", "FLATCOR", "EXPTIME", "FILTER")} == {
            k: own[k] for k in ("BIASCOR", "DARKCOR", "FLATCOR", "EXPTIME", "FILTER")
        }
        assert header["BIASCOR"] == "bias.fits"
        assert len(header["HISTORY"]) == 3
        with fits.open(path) as hdus:
            hdus.verify("exception")


def test_errors_and_flags(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = night / "a.fits"
    given = ("raw/light-r-002.fits", "-o", out, "--errors", "--electrons", "--saturation", 3000, "--gain", 1.5)
    assert run("calibrate", *given, *MASTERS, capsys=capsys)[0] == 0
    ds = xccd.open_dataset("raw/light-r-002.fits").ccd.subtract_bias("bias.fits", saturation=3000)
    ds = ds.ccd.create_deviation(1.5, "RDNOISE").ccd.subtract_dark("dark-120.fits").ccd.flat_correct("flat-r.fits")
    ds = ds.ccd.gain_correct(1.5).isel(frame=0)
    assert (ds.data_flags.values & 8).any()
    equal(out, ds.data.values)
    equal(out, ds.data_uncertainty.values, "UNCERT")
    equal(out, ds.data_common.values, "COMMON")
    equal(out, ds.data_flags.values, "MASK")
    assert fits.getheader(out)["BUNIT"] == "electron"
    again = xccd.open_dataset(out)
    np.testing.assert_array_equal(again.data_uncertainty[0], ds.data_uncertainty)


def test_masters_are_chosen_for_each_frame(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("raw/light-r-00[12].fits", "raw/flat-g-001.fits", "raw/dark-60s-001.fits", "raw/bias-001.fits")
    masters = ("--bias", "bias.fits", "--dark", "dark-*.fits", "--flat", "flat-g.fits", "--flat", "flat-r.fits")
    code, said, _ = run("calibrate", *given, "-o", night, *masters, "--json", capsys=capsys)
    assert code == 0
    found = json.loads(said)["products"]
    assert [(one["kind"], one["steps"]) for one in found] == [
        ("light", ["--bias", "--dark", "--flat"]), ("light", ["--bias", "--dark", "--flat"]),
        ("flat", ["--bias", "--dark"]), ("dark", ["--bias"]), ("bias", []),
    ]  # fmt: skip
    stack = xccd.open_stack("raw/light-r-001.fits").ccd.subtract_bias("bias.fits")
    equal(night / "light-r-001.fits", stack.ccd.subtract_dark("dark-120.fits").ccd.flat_correct("flat-r.fits")[0])
    header = fits.getheader(night / "light-r-001.fits")
    assert (header["DARKCOR"], header["FLATCOR"]) == ("dark-120.fits", "flat-r.fits")
    equal(night / "bias-001.fits", fits.getdata("raw/bias-001.fits").astype("f4"))


@pytest.mark.parametrize("maps", [False, True])
def test_overscan_trim_and_bad_pixels(tmp_path: Path, maps: bool, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    raw = rng.integers(1000, 1100, (20, 30)).astype("u2")
    cards = fits.Header([("BIASSEC", "[25:30,1:20]"), ("TRIMSEC", "[1:24,2:20]"), ("SATURATE", 1095)])
    fits.writeto(tmp_path / "r.fits", raw, cards)
    bad = np.zeros((20, 30), "i2")
    bad[5, 6] = 1
    fits.writeto(tmp_path / "bad.fits", bad)
    more = ["--maps"] if maps else []
    given = (
        "calibrate",
        tmp_path / "r.fits",
        "-o",
        f"{tmp_path}/{{file}}-c.fits",
        "--bad-pixels",
        tmp_path / "bad.fits",
    )
    code, said, err = run(*given, *more, "--overscan", "--trim", "--saturation", "--overscan-smooth", 2, capsys=capsys)
    assert (code, err) == (0, "")
    assert "overscan, bad-pixels, trim" in said
    opener = xccd.open_dataset if maps else xccd.open_stack
    stack = opener(tmp_path / "r.fits", chunks=None).ccd.subtract_overscan(smooth=2, saturation="SATURATE")
    stack = stack.ccd.mask_where(xccd.open_image(tmp_path / "bad.fits")).ccd.trim().isel(frame=0)
    equal(tmp_path / "r-c.fits", (stack.data if maps else stack).values)
    if maps:
        equal(tmp_path / "r-c.fits", stack.data_flags.values, "MASK")
    fits.writeto(tmp_path / "small.fits", bad[1:20, :24], fits.Header([("LTV1", 0.0), ("LTV2", -1.0)]))
    given = (*given[:4], "--bad-pixels", tmp_path / "small.fits", "--overscan=[25:30,1:20]", "--trim=[1:24,2:20]")
    code, said, _ = run(*given, "--overwrite", capsys=capsys)
    assert (code, "overscan, trim, bad-pixels" in said) == (0, True)
    assert np.isnan(fits.getdata(tmp_path / "r-c.fits")).sum() == 1


def test_saturation_alone(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("raw/light-r-001.fits", "-o", night / "s.fits", "--saturation", 1300)
    assert run("calibrate", *given, capsys=capsys)[0] == 0
    raw = fits.getdata("raw/light-r-001.fits").astype("f4")
    equal(night / "s.fits", np.where(raw >= 1300, np.nan, raw))


def test_a_real_spectrograph(real_frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """kast_blue: overscan, trim, bias and dome flats by hand, through the command and through the functions."""
    raw, over, part = real_frames / "kast_blue", "[2049:2112,1:350]", "[1:2048,1:350]"
    sections = (f"--overscan={over}", f"--trim={part}")
    assert run("calibrate", raw / "b2[123].fits.gz", "-o", f"{tmp_path}/b/", *sections, capsys=capsys)[0] == 0
    assert run("combine", tmp_path / "b/", "-o", tmp_path / "bias.fits", "--method", "median", capsys=capsys)[0] == 0
    first = ("--bias", tmp_path / "bias.fits")
    assert run("calibrate", raw / "b1*.fits.gz", "-o", f"{tmp_path}/f/", *sections, *first, capsys=capsys)[0] == 0
    given = (tmp_path / "f/", "-o", tmp_path / "flat.fits", "--normalize", "median")
    assert run("combine", *given, capsys=capsys)[0] == 0
    given = (
        raw / "b27.fits.gz",
        "-o",
        f"{tmp_path}/{{file}}.fits",
        *sections,
        *first,
        "--flat",
        tmp_path / "flat.fits",
    )
    code, _, err = run("calibrate", *given, capsys=capsys)  # the header of the flat says OBJECT
    assert (code, "is a light, by IMAGETYP" in err, "--any-kind takes it as it is" in err) == (3, True, True)
    given = (*given, "--any-kind")
    code, _, err = run("calibrate", *given, "--norm", "median", capsys=capsys)
    assert (code, err) == (0, "")

    def cut(files: Any) -> xr.DataArray:
        return xccd.open_stack(files).ccd.subtract_overscan(over).ccd.trim(part)

    bias = cut(raw / "b2[123].fits.gz").ccd.combine("median").compute()
    equal(tmp_path / "bias.fits", bias.values)
    flat = cut(raw / "b1*.fits.gz").ccd.subtract_bias(bias).ccd.normalize(scale="median").ccd.combine("mean").compute()
    equal(tmp_path / "flat.fits", flat.values)
    flat = flat.assign_attrs(IMAGETYP="flat")
    done = cut(raw / "b27.fits.gz").ccd.subtract_bias(bias).ccd.flat_correct(flat, norm="median")
    equal(tmp_path / "b27.fits", done[0].values)
    assert fits.getheader(tmp_path / "b27.fits")["OSCANSEC"] == over


def test_a_dry_run_writes_nothing(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("calibrate", "raw/light-r-001.fits", "-o", f"{night}/new/", *MASTERS, "--dry-run")
    code, said, _ = run(*given, capsys=capsys)
    assert (code, list(night.iterdir())) == (0, [])
    assert said == (
        f"{night}/new/light-r-001.fits: would be raw/light-r-001.fits: bias, dark, flat\n1 file would be written\n"
    )


def test_a_master_with_its_bias_is_told_of(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    xccd.open_stack("raw/dark-120s-*.fits").ccd.combine("mean").ccd.to_fits(night / "d.fits")
    given = ("raw/light-r-001.fits", "-o", f"{night}/a.fits", "--bias", "bias.fits", "--dark", night / "d.fits")
    code, _, err = run("calibrate", *given, capsys=capsys)
    assert code == 0
    assert "no BIASCOR in its header says that a bias was subtracted. If none was, the bias would be subtracted" in err


def test_what_was_done_or_is_not_done_is_told(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("calibrate", "raw/light-r-001.fits", "-o", night, "--dark", "dark-120.fits")
    _, _, err = run(*given, capsys=capsys)
    assert "light-r-001.fits: a bias was subtracted from --dark, and none is from the frame: give --bias or" in err
    _, _, err = run(*given, "--bias", "bias.fits", "--overwrite", capsys=capsys)
    assert err == ""
    again = ("calibrate", night / "light-r-001.fits", "-o", night / "again", "--bias", "bias.fits")
    _, _, err = run(*again, capsys=capsys)
    assert "light-r-001.fits: BIASCOR = 'bias.fits' says that --bias was done before" in err
    twice = ("--bias", "bias.fits", "--bias", "bias.fits")
    code, _, err = run(*given, *twice, "--overwrite", capsys=capsys)
    assert (code, "'bias.fits', 'bias.fits-2'" in err) == (3, True)


BAD: list[tuple[list[str], int, str]] = [
    (["L", "-o", "O/"], 2, "there is nothing to do: give one of --overscan"),
    (["L", "-o", "O/", "--bias", "none.fits"], 3, "--bias: none.fits does not exist"),
    (
        ["L", "-o", "O/", "--bias", "flat-r.fits"],
        3,
        "--bias .flat-r.fits. is a flat, by IMAGETYP.*not a bias: --any-kind",
    ),
    (
        ["L", "-o", "O/", "--flat", "flat-g.fits"],
        3,
        "light-r-001.fits: --flat .*of the filter 'g'.*: give the flats of all filters",
    ),
    (["L", "-o", "O/", "--dark", "small.fits"], 3, "8 x 8 pixels"),
    (["L", "-o", "O/", "--overscan"], 3, "--overscan: .*BIASSEC"),
    (["-o", "O/", "--overscan", "raw/light-r-001.fits"], 2, "put another option, or nothing, behind it"),
    (["L", "-o", "O/", "--overscan=[a:b]"], 3, r"is no section"),
    (["L", "-o", "O/", "--trim", "[900:999,1:2]"], 3, "--trim"),
    (["L", "-o", "O/", "--saturation", "full well"], 2, "'full well' is neither a number nor a keyword"),
    (["L", "-o", "O/", "--saturation", "SATURAT"], 3, "SATURAT"),
    (["L", "-o", "O/", "--flat", "flat-r.fits", "--norm", "medain"], 2, "did you mean 'median'"),
    (["L", "-o", "O/", "--bias", "bias.fits", "--norm", "median"], 2, "--norm has no effect without --flat"),
    (["L", "-o", "O/", "--bias", "bias.fits", "--no-dark-scale"], 2, "--no-dark-scale has no effect without --dark"),
    (["L", "-o", "O/", "--bias", "bias.fits", "--gain", "2"], 2, "--gain has no effect without --errors or"),
    (["L", "-o", "O/", "--bias", "bias.fits", "--errors", "--readnoise", "RON"], 3, "RON"),
    (["L", "-o", "O/", "--errors"], 2, "--errors takes frames without their bias level: give --bias"),
    (["L", "-o", "O/", "--errors", "--gain", "nan"], 2, "neither a number nor a keyword"),
    (["L", "-o", "O/x.fits", "--bias", "bias.fits"], 2, "would be the product of .*light-r-001.fits and of"),
    (["L", "-o", "raw/", "--bias", "bias.fits", "--overwrite"], 4, "is a file that this was made of"),
    (["L", "-o", "{file}.fits", "--bias", "bias.fits", "--hdu", "SCI"], 3, "has no --hdu='SCI'"),
    (["L", "-o", "O/{file}.png", "--bias", "bias.fits"], 2, "is not the name of a FITS file"),
    (["text.fits", "-o", "O/", "--bias", "bias.fits"], 3, "text.fits"),
    (["L", "-o", "O/", "--bias", "bias.fits", "--bad-pixels", "small.fits"], 3, "--bad-pixels"),
    (["L", "-o", "O/", "--bias", "bias.fits", "-j", "0"], 2, "-j"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD)
def test_errors_come_before_any_work(
    night: Path, arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    fits.writeto("small.fits", np.zeros((8, 8), "f4"), overwrite=True)
    Path("text.fits").write_text("no image")
    before = {path: path.stat().st_mtime_ns for path in Path("raw").rglob("*.fits")}
    names = {"L": "raw/light-r-*.fits"}
    given = [names.get(a, a.replace("O/", f"{night}/O/")) for a in arguments]
    got, said, err = run("calibrate", *given, capsys=capsys)
    assert (got, said) == (code, ""), err
    assert err.count("\n") == 1
    assert re.search(message, err), err
    assert list(night.iterdir()) == []
    assert {path: path.stat().st_mtime_ns for path in Path("raw").rglob("*.fits")} == before
