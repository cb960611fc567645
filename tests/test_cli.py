"""The command: what it writes, what it says, and its exit codes."""

import json
import logging
import os
import re
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
import xccd_command
from xccd.cli import main


@pytest.fixture(scope="module")
def raw(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    return xccd.simulate_night(folder / "raw", shape=(48, 64), nbias=5, ndark=0, nflat=4, nlight=0)


def run(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main.main([str(a) for a in arguments])
    said = capsys.readouterr()
    return end.value.code, said.out, said.err


@pytest.mark.versions
def test_combines_as_the_functions_do(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "flat.fits"
    code, said, err = run(
        "combine", *sorted(raw.glob("flat-r-*.fits")), "-o", out, "--normalize", "median", "--minmax", 0, 60000,
        "--clip-extrema", 1, 0, "--sigma-clip", 3, 3, "--center", "median", "--deviation", "mad_std",
        "--maxiters", "stable", "--weights", "EXPTIME", "--scale", "median", "--threads", 1, capsys=capsys,
    )  # fmt: skip
    assert (code, err) == (0, "")
    assert said.startswith(f"{out}: mean of 4 frames, ")
    stack = xccd.open_stack(raw / "flat-r-*.fits").ccd.normalize(scale="median").ccd.minmax(0, 60000)
    stack = stack.ccd.clip_extrema(1, 0).ccd.sigma_clip(3, 3, center="median", deviation="mad_std", maxiters=None)
    expected = stack.ccd.combine("mean", weights="EXPTIME", scale=lambda f: 1 / f.median())
    np.testing.assert_allclose(fits.getdata(out), expected.values, rtol=3e-7)
    used, valid = int(stack.ccd.count().sum()), 4 * 48 * 64
    assert f"{1 - used / valid:.2%} of the samples rejected" in said


def test_any_rejection_and_its_neighbours(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bias.fits"
    code, _, err = run(
        "combine", raw / "bias-*.fits", "-o", out, "--reject", "noise 4 off gain=1.5 readnoise=6.0",
        "--reject", "sigma 2 2 preset=iraf", "--reject", "esd alpha=0.01", "--grow", 1.5, capsys=capsys,
    )  # fmt: skip
    assert (code, err) == (0, "")
    stack = xccd.open_dataset(raw / "bias-*.fits").ccd.reject("noise", 4, None, gain=1.5, readnoise=6)
    stack = stack.ccd.reject("sigma", 2, 2, preset="iraf").ccd.reject("esd", alpha=0.01).ccd.grow(1.5)
    np.testing.assert_array_equal(fits.getdata(out), stack.ccd.combine("mean").data)
    assert (stack.data_flags == 64).any()


def test_a_keyword_scales(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("combine", raw / "flat-r-*.fits", "-o", tmp_path / "a.fits", "--scale", "EXPTIME", capsys=capsys)[0] == 0
    expected = xccd.open_stack(raw / "flat-r-*.fits").ccd.combine("mean", scale="EXPTIME")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), expected.values)


@pytest.mark.parametrize("method", ["median", "sum", "min", "max", "std", "var", "mad_std", "count"])
def test_methods(raw: Path, tmp_path: Path, method: str, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "image.fits"
    assert run("combine", raw / "bias-*.fits", "-o", out, "--method", method, capsys=capsys)[0] == 0
    np.testing.assert_array_equal(fits.getdata(out), xccd.open_stack(raw / "bias-*.fits").ccd.combine(method).values)


def test_a_second_run_needs_overwrite(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "bias.fits"
    arguments = ("combine", raw / "bias-*.fits", "-o", out)
    assert run(*arguments, capsys=capsys)[0] == 0
    before = out.read_bytes()
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 4
    assert err == f"xccd: --output={str(out)!r} is there already: --overwrite replaces it\n"
    assert run(*arguments, "--overwrite", capsys=capsys)[0] == 0
    assert out.read_bytes() == before


@pytest.mark.versions
@pytest.mark.parametrize("maps", [False, True])
def test_maps_and_a_bar_where_asked(raw: Path, tmp_path: Path, maps: bool, capsys: pytest.CaptureFixture[str]) -> None:
    out, more = tmp_path / "a.fits", ["--maps", "--progress", "--memory", "1 GB"] if maps else []
    arguments = ("combine", raw / "bias-*.fits", "-o", out, "--clip-extrema", 1, 1)
    code, said, err = run(*arguments, *more, capsys=capsys)
    assert (code, "to_fits" in err) == (0, maps)
    assert "40.00% of the samples rejected" in said
    with fits.open(out) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", *["UNCERT", "COUNT"][: 2 if maps else 0], "RECIPE"]


@pytest.mark.versions
@pytest.mark.parametrize("more", [["--maps"], ["--reject", "winsorized 2 2"], ["--method", "median", "--threads", "1"]])
def test_verbose_tells_what_each_frame_lost(
    raw: Path, tmp_path: Path, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "a.fits"
    given = ("combine", raw / "bias-*.fits", "-o", out, "--minmax", 900, 1300, "--sigma-clip", 1.5, 1.5, *more)
    code, said, err = run(*given, "-v", capsys=capsys)
    assert (code, "Traceback" in err) == (0, False)
    stack = xccd.open_dataset(raw / "bias-*.fits").ccd.minmax(900, 1300).ccd.sigma_clip(1.5, 1.5)
    if "--reject" in more:
        stack = stack.ccd.reject("winsorized", 2, 2)
    flags = stack.data_flags.values
    sides = [((flags & bit) != 0).sum((1, 2)).tolist() for bit in (16, 32)]
    rows = [line.split() for line in said.splitlines()[2:]]
    assert [int(row[0]) for row in rows] == sides[0]
    assert [int(row[2]) for row in rows] == sides[1]
    worst = int(np.argmax(np.sum(sides, 0)))
    assert [i for i, row in enumerate(rows) if "most" in row] == [worst]
    assert rows[worst][1] == f"{sides[0][worst] / flags[0].size:.2%}"
    with fits.open(out) as hdus:
        hdus.verify("exception")
        table = hdus["FRAMES"].data
        assert table["FILE"].tolist() == [f"bias-{i:03d}.fits" for i in range(1, 6)]
        np.testing.assert_array_equal([table["REJ_LOW"], table["REJ_HIGH"]], np.array(sides) / flags[0].size)
    found = json.loads(run(*given, "--json", "--overwrite", capsys=capsys)[1])["products"][0]
    assert [one["low"] for one in found["by_frame"]] == sides[0]
    assert found["frames"] == 5
    pixels = xccd.open_image(out).values
    assert run(*given, "--overwrite", capsys=capsys)[0] == 0
    np.testing.assert_array_equal(xccd.open_image(out).values, pixels)


def test_verbose_of_what_loses_nothing(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i, more in enumerate([(), ("--method", "count", "--clip-extrema", 1, 0)]):
        code, said, _ = run("combine", raw / "bias-*.fits", "-o", tmp_path / f"{i}.fits", *more, "-v", capsys=capsys)
        assert (code, said.count("\n")) == (0, 1)
        with fits.open(tmp_path / f"{i}.fits") as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "RECIPE"]
    code, said, _ = run("combine", raw / "bias-*.fits", "-o", tmp_path / "n.fits", "--json", capsys=capsys)
    assert json.loads(said)["products"][0]["by_frame"] is None


def test_tiers(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ("combine", raw / "bias-*.fits", "-o", tmp_path / "a.fits", "--minmax", 0, 900)
    assert run(*given, "--tiers", "above_maximum", capsys=capsys)[0] == 0
    stack = xccd.open_dataset(raw / "bias-*.fits").ccd.minmax(0, 900)
    expected = stack.ccd.combine("mean", tiers=["above_maximum"]).data
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), expected)
    code, _, err = run(*given, "--tiers", "above_maximun", "--overwrite", capsys=capsys)
    assert (code, "did you mean 'above_maximum'" in err, err.count("\n")) == (2, True, 1)


def test_the_worst_frames_are_left_out(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "a.fits"
    given = ("combine", raw / "flat-r-*.fits", "-o", out, "--keep", "background>40%", "--json")
    code, said, _ = run(*given, capsys=capsys)
    assert code == 0
    kept = xccd.open_stack(raw / "flat-r-*.fits").ccd.keep("background>40%")
    assert json.loads(said)["products"][0]["files"] == kept.file.values.tolist()
    assert 0 < kept.sizes["frame"] < 4
    np.testing.assert_array_equal(fits.getdata(out), kept.ccd.combine("mean").values)
    for rule, message in (("backgrund<1%", "background"), ("fwhm", "--keep='fwhm'"), ("noise<0", "no frame|leaves")):
        code, said, err = run(*given[:5], rule, "--overwrite", capsys=capsys)
        assert (code, said, err.count("\n")) == (2, "", 1), err
        assert re.search(message, err), err


def test_bad_files_are_skipped_if_asked(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(path) for path in sorted(raw.glob("bias-*.fits"))]
    (tmp_path / "bad.fits").write_bytes(Path(paths[0]).read_bytes()[:9000])
    given = ("combine", *paths, tmp_path / "bad.fits", "-o", tmp_path / "a.fits", "--clip-extrema", 1, 0, "-v")
    code, _, err = run(*given, capsys=capsys)
    assert (code, "bad.fits" in err) == (3, True)
    code, _, err = run(*given, "--skip-bad", capsys=capsys)
    assert (code, "bad.fits" in err) == (0, True)
    expected = xccd.open_stack(paths).ccd.clip_extrema(1, 0).ccd.combine("mean")
    np.testing.assert_array_equal(fits.getdata(tmp_path / "a.fits"), expected)
    table = fits.getdata(tmp_path / "a.fits", "FRAMES")
    assert table["FILE"].tolist() == [*(Path(p).name for p in paths), "bad.fits"]
    assert table["REJ_LOW"][:5].sum() == pytest.approx(1)
    assert np.isnan(table["REJ_LOW"][5])
    code, _, err = run("calibrate", *paths[:1], tmp_path / "bad.fits", "-o", tmp_path / "c/", "--saturation", 9e4,
                       "--skip-bad", capsys=capsys)  # fmt: skip
    assert (code, "left out: " in err, (tmp_path / "c/bias-001.fits").exists()) == (0, True, True)


def test_many_files_have_a_table(tmp_path: Path) -> None:
    """In the process of the command, in which yaml was blocked: astropy's tables import it."""
    for i in range(1001):
        fits.writeto(tmp_path / f"m{i:04d}.fits", np.full((2, 2), i % 7, "i2"))
    script = [sys.executable, "-c", "from xccd_command import run; run()", "combine", str(tmp_path)]
    out = tmp_path / "out.fit"
    done = subprocess.run([*script, "-o", str(out), "--clip-extrema", "1", "0", "-v"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    table = fits.getdata(out, "FRAMES")
    assert (len(table), table["REJ_LOW"].sum()) == (1001, 1.0)


def test_a_file_that_is_cut_short_while_it_is_read(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise OSError("bias-2.fits is gone")

    monkeypatch.setattr("xccd.read.images.pixels.FilePixels.read", gone)
    code, _, err = run("combine", raw / "bias-*.fits", "-o", tmp_path / "a.fits", capsys=capsys)
    assert (code, err) == (3, "xccd: bias-2.fits is gone\n")


@pytest.mark.versions
def test_the_command_needs_neither_dask_nor_astropy_nor_numbas_compiler(raw: Path, tmp_path: Path) -> None:
    names = ("dask", "astropy", "distributed", "numba.np.linalg", "pyarrow", "coverage", "yaml")
    report = f"print(*(m for m in {names} if sys.modules.get(m)))"
    code = f"import atexit, sys\natexit.register(lambda: {report})\nfrom xccd_command import run\nrun()"
    arguments = ["combine", str(raw / "bias-*.fits"), "-o", str(tmp_path / "a.fits"), "--sigma-clip", "1.5", "1.5"]
    for more in ([], ["--overwrite"]):  # the first may compile
        command = [sys.executable, "-c", code, *arguments, *more]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1:] == [""]


def test_what_is_imported_or_configured_is_not_blocked(tmp_path: Path) -> None:
    code = "import sys, json as coverage\nsys.modules['coverage'] = coverage\nimport xccd_command\n"
    code += "xccd_command.block_unused()\nprint(*(n for n in xccd_command.UNUSED if sys.modules.get(n, 0) is None))"
    for expected in ("dask scipy pyarrow yaml", "dask scipy pyarrow"):
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
        assert done.stdout.strip() == expected
        (tmp_path / ".numba_config.yaml").touch()  # numba's settings of a folder


@pytest.mark.parametrize("error", [OSError, TypeError, AttributeError])
def test_another_c_library_keeps_what_it_likes(monkeypatch: pytest.MonkeyPatch, error: type[Exception]) -> None:
    import ctypes

    def none(_: object) -> None:
        raise error

    monkeypatch.setattr(ctypes, "CDLL", none)
    xccd_command.keep_memory()


BAD = [
    ("no files", ["-o", "OUT"], 2, "Missing argument 'FILES...'"),
    ("no output", ["BIAS"], 2, "Missing option '-o'"),
    ("unknown option", ["BIAS", "-o", "OUT", "--foo"], 2, "No such option"),
    (
        "negative threshold",
        ["BIAS", "-o", "OUT", "--sigma-clip", "-1", "3"],
        2,
        r"--sigma-clip -1 3: low=-1\.0: thresholds are 0 or more .*inf switches",
    ),
    (
        "unknown centre",
        ["BIAS", "-o", "OUT", "--sigma-clip", "3", "3", "--center", "x"],
        2,
        "--center='x' is unknown: use one of mean, median$",
    ),
    ("passes", ["BIAS", "-o", "OUT", "--maxiters", "0"], 2, "neither a number of 1 or more nor 'stable'"),
    (
        "a centre of nothing",
        ["BIAS", "-o", "OUT", "--center", "median"],
        2,
        "--center has no effect without --sigma-clip",
    ),
    ("the default centre", ["BIAS", "-o", "OUT", "--center", "mean"], 2, "--center has no effect without --sigma-clip"),
    ("a deviation of nothing", ["BIAS", "-o", "OUT", "--deviation", "std"], 2, "--deviation has no effect without"),
    ("passes of nothing", ["BIAS", "-o", "OUT", "--maxiters", "3"], 2, "--maxiters has no effect without --sigma-clip"),
    ("a bad one of nothing", ["BIAS", "-o", "OUT", "--deviation", "mad"], 2, "unknown.* did you mean 'mad_std'"),
    ("a map of a map", ["BIAS", "-o", "OUT", "--method", "count", "--maps"], 2, "--maps has no effect"),
    (
        "a count of a scale",
        ["BIAS", "-o", "OUT", "--method", "count", "--scale", "EXPTIME"],
        2,
        "--scale has no effect",
    ),
    (
        "a count of a level",
        ["BIAS", "-o", "OUT", "--method", "count", "--normalize", "mode"],
        2,
        "--normalize has no ef",
    ),
    ("a quantile without q", ["BIAS", "-o", "OUT", "--method", "quantile"], 2, "'quantile' needs --q, from 0 to 1"),
    ("q without quantile", ["BIAS", "-o", "OUT", "--q", "0.5"], 2, "--q=0.5 with --method='mean': q goes with"),
    ("misspelt method", ["BIAS", "-o", "OUT", "--method", "medain"], 2, "did you mean 'median'"),
    ("misspelt level", ["BIAS", "-o", "OUT", "--normalize", "medain"], 2, "--normalize='medain' is no.*mean 'median'"),
    ("misspelt scale", ["BIAS", "-o", "OUT", "--scale", "medain"], 2, "--scale='medain' is no.*did you mean 'median'"),
    ("misspelt rejection", ["BIAS", "-o", "OUT", "--reject", "winsorised"], 2, "unknown.*did you mean 'winsorized'"),
    ("unknown rejection", ["BIAS", "-o", "OUT", "--reject", "foo 3 3"], 2, "use one of sigma, .*, lacosmic or auto$"),
    ("one threshold", ["BIAS", "-o", "OUT", "--reject", "esd 3"], 2, "'esd 3' is no name, or name and two thresholds"),
    (
        "option of another",
        ["BIAS", "-o", "OUT", "--reject", "esd gain=2"],
        2,
        "--reject 'esd gain=2': .*gain=2 is no option",
    ),
    ("nothing to grow", ["BIAS", "-o", "OUT", "--grow", "2"], 2, "--grow has no effect without a rejection"),
    ("misspelt keyword", ["BIAS", "-o", "OUT", "--weights", "EXPTIM"], 2, "--weights='EXPTIM'.*did you mean 'EXPTIME'"),
    ("misspelt option", ["BIAS", "-o", "OUT", "--normalise", "mode"], 2, "[Dd]id you mean '?--normalize"),
    ("one of two", ["BIAS", "-o", "OUT", "--sigma-clip", "3"], 2, "requires 2 arguments. As --sigma-clip LOW HIGH"),
    ("limits crossed", ["BIAS", "-o", "OUT", "--minmax", "5", "1"], 2, r"--minmax 5 1: min=5\.0 is above max=1\.0"),
    ("no memory", ["BIAS", "-o", "OUT", "--memory", "lots"], 2, "--memory='lots' is no size"),
    ("no name", ["BIAS", "-o", ""], 2, "--output is empty: name a file"),
    ("a picture", ["BIAS", "-o", "x.png"], 2, "--output='x.png' is not the name of a FITS file, write to 'x.fits'"),
    ("no suffix", ["BIAS", "-o", "flat.r.2024"], 2, "write to 'flat.r.2024.fits'"),
    ("a packed picture", ["BIAS", "-o", "x.jpg.fz"], 2, "is not the name of a FITS file"),
    ("an empty name", ["", "-o", "OUT"], 2, "a name is empty: give a path"),
    ("an empty hdu", ["BIAS", "-o", "OUT", "--hdu", ""], 2, "it is empty: give a number or a name"),
    ("an empty level", ["BIAS", "-o", "OUT", "--normalize", ""], 2, "--normalize='' is no coordinate"),
    ("packed", ["BIAS", "-o", "x.fits.gz"], 4, "--output='x.fits.gz': products are written unpacked, name it 'x.fits'"),
    (
        "method",
        ["BIAS", "-o", "OUT", "--method", "average"],
        2,
        "--method='average' is unknown: use one of mean.* count; did you mean 'mean'",
    ),
    (
        "weights with min",
        ["BIAS", "-o", "OUT", "--method", "min", "--weights", "EXPTIME"],
        2,
        "--method='min' is not defined with --weights: mean",
    ),
    ("unknown keyword", ["BIAS", "-o", "OUT", "--weights", "NOPE"], 2, "--weights='NOPE' is no coordinate"),
    ("no such file", ["nowhere.fits", "-o", "OUT"], 3, "nowhere.fits does not exist"),
    ("no match", ["nowhere-*.fits", "-o", "OUT"], 3, r"no file matches 'nowhere-\*\.fits'"),
    ("not FITS", ["TEXT", "-o", "OUT"], 3, "is not a FITS file"),
    ("several kinds", ["RAW", "-o", "OUT"], 3, r"IMAGETYP \(Bias Frame, Flat Field\) and in FILTER \(g, r\).* --mixed"),
    ("a file twice", ["ZERO", "ZERO", "-o", "OUT"], 3, "zero.fits is given twice"),
    ("no such hdu", ["BIAS", "-o", "OUT", "--hdu", "SCI"], 3, "has no --hdu='SCI'"),
    ("no such version", ["BIAS", "-o", "OUT", "--hdu", "SCI,2"], 3, "has no --hdu='SCI,2'"),
    (
        "a level of 0",
        ["ZERO", "-o", "OUT", "--normalize", "median"],
        3,
        "--normalize median: scale: frame 0 .* has the level 0",
    ),
    ("no folder", ["BIAS", "-o", "nowhere/out.fits"], 4, "there is no folder nowhere: make it first"),
    ("a folder", ["BIAS", "-o", "FOLDER", "--overwrite"], 4, "is a folder"),
]


@pytest.mark.versions
@pytest.mark.parametrize(("arguments", "code", "message"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_errors_are_one_line(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], code: int, message: str
) -> None:
    (tmp_path / "text.fits").write_text("not an image")
    fits.writeto(tmp_path / "zero.fits", np.zeros((4, 4), "f4"))
    names = {
        "OUT": tmp_path / "out.fits", "BIAS": raw / "bias-*.fits", "TEXT": tmp_path / "text.fits",
        "FOLDER": tmp_path, "RAW": raw, "ZERO": tmp_path / "zero.fits",
    }  # fmt: skip
    got, out, err = run("combine", *(names.get(a, a) for a in arguments), capsys=capsys)
    assert (got, out) == (code, "")
    assert err.startswith("xccd: ")
    assert err.count("\n") == 1
    assert re.search(message, err)
    assert not (tmp_path / "out.fits").exists()


def test_a_warning_is_one_line(raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, _, err = run("combine", raw / "bias-*.fits", "-o", tmp_path / "b.fits", "--sigma-clip", 3, 3, capsys=capsys)
    assert code == 0
    assert err.startswith("xccd: warning: sigma_clip: ")
    assert "can reject nothing with 5 frame(s)" in err
    assert err.count("\n") == 1


def test_anything_else_is_a_failed_run(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xccd.cli.combine_group.counted", lambda *_: 1 / 0)
    code, _, err = run("combine", raw / "bias-*.fits", "-o", tmp_path / "b.fits", capsys=capsys)
    assert (code, err) == (1, "xccd: ZeroDivisionError: division by zero (-vv shows where)\n")


def test_interrupted(
    raw: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xccd.cli.combine_group.counted", interrupt)
    code, _, err = run("combine", raw / "bias-*.fits", "-o", tmp_path / "b.fits", capsys=capsys)
    assert (code, err.strip()) == (130, "xccd: interrupted")
    assert not (tmp_path / "b.fits").exists()


@pytest.mark.versions
def test_ctrl_c_in_a_real_process(raw: Path, tmp_path: Path) -> None:
    slow = "real = P.read\nP.read = lambda *a: (print('ready', flush=True), time.sleep(0.3), real(*a))"
    # a shell that puts the tests in the background has the interrupt ignored, and what they start inherits that
    heard = "signal.signal(signal.SIGINT, signal.default_int_handler)"
    script = f"import signal, sys, time, xccd.cli.main as c\n{heard}\n"
    script += f"from xccd.read.images.pixels import FilePixels as P\n{slow}\nc.main(sys.argv[1:])"
    process = subprocess.Popen(
        [sys.executable, "-c", script, "combine", str(raw / "bias-*.fits"), "-o", str(tmp_path / "b.fits")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    start = time.monotonic()
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert (process.returncode, err.strip()) == (130, "xccd: interrupted")  # after the reads of one band
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.FITS", "a.fit", "a.fts", "a.fits.fz", "a.fz", ".a.fits"])
def test_names_of_products(raw: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("combine", raw / "bias-*.fits", "-o", tmp_path / name, capsys=capsys)[0] == 0
    assert xccd.open_image(tmp_path / name).shape == (48, 64)


@pytest.mark.versions
@pytest.mark.parametrize("arguments", [["--help"], ["combine", "--help"], ["demo", "--help"], ["--version"]])
def test_help(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, said, _ = run(*arguments, capsys=capsys)
    assert code == 0
    assert ("Example" in said) == (len(arguments) == 2)
    codes = re.findall(r"^  +(\d+) ", said, re.MULTILINE)
    assert codes == ([] if arguments[0] == "--version" else ["0", "1", "2", "3", "4", "130", "143"])


@pytest.mark.versions
def test_the_command_alone_shows_its_help(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run(capsys=capsys)
    assert (code, said) == (2, "")
    assert err.startswith("Usage: xccd")
    assert run("combin", capsys=capsys)[2].startswith("xccd: No such command 'combin'")


@pytest.mark.versions
def test_demo(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    caplog.set_level(logging.INFO, "xccd")
    night = partial(xccd.simulate_night, shape=(64, 64))  # CI runs the command on frames of its own size
    monkeypatch.setattr("xccd.demo.simulate_night", night)
    code, said, err = run("demo", "--folder", tmp_path / "demo", capsys=capsys)
    assert (code, err) == (0, "")
    assert "preview.png" in said
    rows = [line.split() for line in said.splitlines() if line.endswith(".fits")]
    assert "light-r-007" in rows[-1]  # the satellite crosses it
    assert [row[0] for row in rows] == ["bias", "dark", "flat", "flat", "light"]
    for row in rows:  # the noise of each mean is what sqrt(N) promises
        measured, expected = float(row[-3]), float(row[-2])
        assert measured == pytest.approx(expected, rel=0.08)
        assert (tmp_path / "demo/products" / row[-1]).exists()
    stacked = xccd.open_image(tmp_path / "demo/products/light-r.fits")
    truth = xccd.open_image(tmp_path / "demo/raw/truth/sky-and-stars.fits")
    difference = xr.DataArray((stacked * 1.5 - truth).values.ravel(), dims="frame")  # gain 1.5
    spread = difference.ccd.sigma_clip(5, 5, center="median", maxiters=None)
    assert abs(float(spread.mean())) < 0.02 * float(truth.median())
    again, said, _ = run("demo", "--folder", tmp_path / "demo", "--json", capsys=capsys)
    assert again == 0
    assert json.loads(said)["folder"] == f"{tmp_path}/demo-2"
    assert f"{tmp_path}/demo-2/products/light-r.fits" in json.loads(said)["files"]
    assert (tmp_path / "demo-2/preview.png").exists()


def test_demo_without_matplotlib(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xccd import demo

    def missing(*_: object) -> None:
        raise ModuleNotFoundError("matplotlib")

    said: list[str] = []
    monkeypatch.setattr(demo, "preview", missing)
    monkeypatch.setattr(demo, "simulate_night", lambda *_, **__: None)
    monkeypatch.setattr(demo, "reduce_night", lambda *_: iter(()))
    demo.run_demo(tmp_path / "demo", 0, said.append)
    assert said[-1].startswith("No picture: matplotlib is missing, pip install 'xccd[plot]'")
