"""`xccd reduce` and `xccd run`: the same as from Python, what is said, exit codes, and a product made again."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import xccd
from test_cli import run

LIGHT = "Made-up_field-r-120s"
QUIET = pytest.mark.filterwarnings("ignore:reject:UserWarning")


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    folder = tmp_path_factory.mktemp("night") / "raw"
    return xccd.simulate_night(folder, shape=(64, 80), nbias=5, ndark=4, nflat=4, nlight=5)


@pytest.fixture(scope="module")
def done(night, tmp_path_factory):
    output = tmp_path_factory.mktemp("done") / "products"
    xccd.reduce(night, output=output)
    return output


@pytest.fixture
def copy(night, tmp_path):
    shutil.copytree(night, tmp_path / "raw")
    xccd.reduce(tmp_path / "raw", output=tmp_path / "products")
    return tmp_path / "raw", tmp_path / "products"


def check_same(one: Path, other: Path, *, headers: bool = True) -> None:
    """All pixels, maps and cards are the same."""
    with fits.open(one) as left, fits.open(other) as right:
        assert [hdu.name for hdu in left] == [hdu.name for hdu in right]
        for a, b in zip(left, right, strict=True):
            if a.name != "RECIPE":
                assert a.data.dtype == b.data.dtype
                np.testing.assert_array_equal(a.data, b.data)
                assert not headers or fits.HeaderDiff(a.header, b.header).identical


def test_the_command_is_the_same_as_python(night, done, tmp_path, capsys):
    code, said, err = run("reduce", night, "-o", tmp_path / "products", capsys=capsys)
    assert (code, err) == (0, "")
    lines = said.splitlines()
    assert len(lines) == 6
    assert lines[0].startswith(f"{tmp_path}/products/masters/bias.fits: 5 frames, ")
    assert lines[4].endswith("(no dark of 1.5 s: the bias alone is subtracted)")
    for path in done.rglob("*.fits"):
        check_same(path, tmp_path / "products" / path.relative_to(done))
    assert (done / f"{LIGHT}.png").read_bytes() == (tmp_path / "products" / f"{LIGHT}.png").read_bytes()
    code, said, err = run("reduce", night, "-o", tmp_path / "products", capsys=capsys)
    assert [line.partition(": ")[2][:10] for line in said.splitlines()] == ["up to date"] * 6


def test_a_dry_run_writes_nothing(night, tmp_path, capsys):
    code, said, _ = run("reduce", night, "-o", tmp_path / "products", "--dry-run", capsys=capsys)
    assert code == 0
    assert f"{LIGHT}.fits: 5 lights, 120s" in said
    assert not (tmp_path / "products").exists()
    code, said, _ = run("reduce", night, "--dry-run", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(said)


def test_the_recipe_is_printed_and_read_back(night, tmp_path, capsys):
    code, said, _ = run("reduce", "--print-recipe", "--set", "light.method=median", capsys=capsys)
    assert code == 0
    assert 'method = "median"  # --set' in said
    (tmp_path / "night.toml").write_text(said)
    code, again, _ = run("reduce", "--print-recipe", "--recipe", tmp_path / "night.toml", capsys=capsys)
    assert xccd.Recipe.from_text(again) == xccd.Recipe(light={"method": "median"})
    code, _, err = run("reduce", night, "-o", tmp_path / "p", "--recipe", tmp_path / "night.toml", capsys=capsys)
    assert (code, err) == (0, "")
    assert "xccd.combine(method='median')" in str(fits.getheader(tmp_path / "p" / f"{LIGHT}.fits")["HISTORY"])


def test_json_is_a_list_of_products(night, done, capsys):
    code, said, _ = run("reduce", night, "-o", done, "--json", capsys=capsys)
    assert code == 0
    assert [row["status"] for row in json.loads(said)] == ["up to date"] * 6


def test_progress_goes_to_the_terminal_only(night, tmp_path, capsys):
    log = tmp_path / "log.txt"
    code, _, err = run("reduce", night, "-o", tmp_path / "p", "--progress", "--log-file", log, capsys=capsys)
    assert code == 0
    assert "of 6 products" in err  # what each does is shown if it takes a tenth of a second
    assert not re.search(r"writing|of 6 products", log.read_text())
    assert "masters/bias.fits: 5 frames" in log.read_text()


def test_a_failure_ends_with_its_reason(copy, capsys):
    night, output = copy
    path = night / "flat-r-002.fits"
    path.write_bytes(path.read_bytes()[:-3000])
    code, said, err = run("reduce", night, "-o", output, capsys=capsys)
    assert code == 3
    assert "truncated" in said + err
    code, said, err = run("reduce", night, "-o", output, "--skip-bad", capsys=capsys)
    assert code == 0
    assert fits.getheader(output / "masters" / "flat-r.fits")["NCOMBINE"] == 3


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        ((), 2, "NIGHT is missing: give the folder of the raw frames"),
        (("NIGHT",), 2, "--output FOLDER is missing: name a folder for the products"),
        (("NIGHT", "-o", ""), 2, "it is empty: name a folder"),
        (("nowhere", "-o", "OUT"), 3, "nowhere' does not exist: check the path"),
        (("NIGHT", "-o", "NIGHT"), 3, "is the folder of the frames"),
        (("NIGHT", "-o", "NIGHT/bias-001.fits"), 4, "is a file: name a folder"),
        (("NIGHT", "-o", "OUT", "--workers", "2", "--scheduler", "tcp://x:1"), 2, "were both given"),
        (("NIGHT", "-o", "OUT", "--set", "light.method"), 2, "light.method"),
        (("NIGHT", "-o", "OUT", "--set", "light.methd=median"), 2, "did you mean 'light.method'?"),
        (("NIGHT", "-o", "OUT", "--keep", "fwhm"), 2, "as 'fwhm<80%'"),
        (("NIGHT", "-o", "OUT", "--keep", "fhwm<80%"), 2, "has 'fhwm': use"),
        (("NIGHT", "--dry-run", "--keep", "FHWM<80%"), 3, "no frame has FHWM in its header"),
        (("NIGHT", "-o", "OUT", "--hdu", ""), 2, "it is empty: give a number or a name"),
        (("NIGHT", "-o", "OUT", "--recipe", "nowhere.toml"), 3, "nowhere.toml"),
        (("NIGHT", "-o", "OUT", "--memory", "much"), 2, "memory"),
        (("NIGHT", "-o", "OUT", "--outputs"), 2, "No such option"),
        (("NIGHT/truth/stars.csv", "-o", "OUT"), 3, "no frame belongs to a product"),
    ],
)
def test_errors(night, tmp_path, arguments, code, message, capsys):
    given = [str(a).replace("NIGHT", str(night)).replace("OUT", str(tmp_path / "out")) for a in arguments]
    found, _, err = run("reduce", *given, capsys=capsys)
    assert found == code
    assert message in err


def test_an_output_that_cannot_be_written(night, tmp_path, capsys):
    (tmp_path / "masters").write_text("a file")
    code, _, err = run("reduce", night, "-o", tmp_path, capsys=capsys)
    assert code == 4
    assert "its folder cannot be made" in err


def test_a_missing_package_names_the_extra(night, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "distributed", None)
    code, _, err = run("reduce", night, "-o", tmp_path / "p", "--workers", "2", capsys=capsys)
    assert code == 2
    assert "--workers needs dask.distributed, which is not installed: pip install 'xccd[distributed]'" in err


@QUIET
def test_a_product_is_made_again(copy, tmp_path, capsys):
    _, output = copy
    again = tmp_path / "elsewhere" / "again.fits"
    again.parent.mkdir()
    code, said, err = run("run", "--from", output / f"{LIGHT}.fits", "-o", again, capsys=capsys)
    assert (code, err) == (0, "")
    assert said == f"{again}: made again from {output}/{LIGHT}.fits\n"
    check_same(output / f"{LIGHT}.fits", again)
    (output / "masters" / "bias.fits").unlink()
    shutil.rmtree(output / ".xccd")
    code, said, _ = run("run", "--from", again, "-o", tmp_path / "third.fits", capsys=capsys)
    assert code == 0
    assert said.endswith("masters made again, too: bias\n")
    check_same(output / f"{LIGHT}.fits", tmp_path / "third.fits")
    code, said, _ = run("run", "--from", tmp_path / "third.fits", "--overwrite", capsys=capsys)
    assert code == 0
    check_same(again, tmp_path / "third.fits")


@QUIET
def test_frames_that_changed_are_named(copy, tmp_path, capsys):
    night, output = copy
    with fits.open(night / "light-r-002.fits", mode="update") as hdus:
        hdus[0].data[3, 4] += 7
    arguments = ("run", "--from", output / f"{LIGHT}.fits", "-o", tmp_path / "again.fits")
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 3
    assert "light-r-002.fits is not as when the product was made" in err
    assert not (tmp_path / "again.fits").exists()
    code, _, err = run(*arguments, "--changed", capsys=capsys)
    assert code == 0
    assert "light-r-002.fits is not as it was when the product was made" in err
    (night / "light-r-003.fits").unlink()
    code, _, err = run(*arguments, "--changed", "--overwrite", capsys=capsys)
    assert code == 3
    assert "light-r-003.fits is not there any more" in err


def test_what_cannot_be_made_again(night, done, tmp_path, capsys):
    code, _, err = run("run", "--from", night / "bias-001.fits", "-o", tmp_path / "a.fits", capsys=capsys)
    assert code == 3
    assert "does not say how it was made: it has no extension RECIPE" in err
    (tmp_path / "text.fits").write_text("no FITS")
    code, _, err = run("run", "--from", tmp_path / "text.fits", "-o", tmp_path / "a.fits", capsys=capsys)
    assert code == 3
    assert "text.fits cannot be read as FITS" in err
    code, _, err = run("run", "--from", tmp_path / "none.fits", "-o", tmp_path / "a.fits", capsys=capsys)
    assert code == 3
    assert "there is no such file" in err
    code, _, err = run("run", "--from", done / f"{LIGHT}.fits", "-o", tmp_path / "a.png", capsys=capsys)
    assert code == 2
    assert "a.png' is not the name of a FITS file" in err
    code, _, err = run(
        "run", "--from", done / f"{LIGHT}.fits", "-o", night / "bias-001.fits", "--overwrite", capsys=capsys
    )
    assert code == 4
    assert "bias-001.fits' is a frame or a master that the product was made of: name another file" in err
    code, _, err = run("run", "--from", done / f"{LIGHT}.fits", capsys=capsys)
    assert code == 4
    assert "is there already: --overwrite replaces it" in err


@pytest.mark.parametrize("kill", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_a_killed_run_goes_on(night, done, tmp_path, kill):
    """Nothing half written has a product's name, and what is left over is swept by the next run."""
    output = tmp_path / "products"
    command = [sys.executable, "-c", "from xccd_command import run; run()", "reduce", night, "-o", output]
    for wait in ("masters/bias.fits", "masters/flat-r.fits"):
        process = subprocess.Popen([str(a) for a in command], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        end = time.monotonic() + 100
        while not (output / wait).exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.005)
        process.send_signal(kill)
        process.communicate(timeout=100)
        for path in output.rglob("*.fits"):
            check_same(path, done / path.relative_to(output))
    found = xccd.reduce(night, output=output)
    assert found["status"].iloc[0] == "up to date"
    assert not [path for path in output.rglob("*") if path.name.endswith(".part")]
    for path in done.rglob("*.fits"):
        check_same(path, output / path.relative_to(done))
    assert os.listdir(output / ".xccd")


def test_one_run_at_a_time(night, done):
    from xccd.night.reduce.one_at_a_time import alone

    with alone(done), pytest.raises(OSError, match="another run of xccd writes there: wait for its end"):
        xccd.reduce(night, output=done)


def test_a_cluster_gives_the_same_pixels(night, done, tmp_path, capsys):
    code, _, err = run("reduce", night, "-o", tmp_path / "products", "--workers", "2", capsys=capsys)
    assert code == 0, err
    for path in done.rglob("*.fits"):
        check_same(path, tmp_path / "products" / path.relative_to(done))


def test_a_product_of_combine_is_made_again(night, tmp_path, capsys):
    first, again = tmp_path / "first.fits", tmp_path / "else {x}" / "again.fits"
    again.parent.mkdir()
    words = ("--method", "median", "--minmax", "-5", "60000", "--clip-extrema", "0", "1", "--maps", "-v")
    assert run("combine", night / "bias-*.fits", "-o", first, *words, capsys=capsys)[0] == 0
    assert xccd.open_stack(first).shape == (1, 64, 80)
    code, said, _ = run("run", "--from", first, "-o", again, "-v", "-j", 1, "--memory", "1 GB", capsys=capsys)
    assert code == 0
    assert "median of 5 frames" in said
    check_same(first, again)
    code, said, _ = run("run", "--from", again, "--overwrite", "-v", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(said)["products"][0]["frames"] == 5
    check_same(first, again)


def test_products_of_groups_are_made_again(night, tmp_path, capsys):
    code, _, _ = run("combine", night, "--by", "IMAGETYP,FILTER,EXPTIME", "-o", f"{tmp_path}/", capsys=capsys)
    assert code == 0
    first = next(tmp_path.glob("flat-r*.fits"))
    assert run("run", "--from", first, "-o", tmp_path / "again.fits", capsys=capsys)[0] == 0
    check_same(first, tmp_path / "again.fits")


def test_some_chips_of_files_cannot_be_made_again(tmp_path, capsys):
    data = np.zeros((4, 5), "f4")
    for i in range(2):
        chips = [fits.ImageHDU(data + i, name=name) for name in ("A", "B")]
        fits.HDUList([fits.PrimaryHDU(), *chips]).writeto(tmp_path / f"{i}.fits")
    given = ("combine", tmp_path / "?.fits", "--hdu", "all")
    code, _, _ = run(*given, "--by", "chip", "-o", f"{tmp_path / 'groups'}/", capsys=capsys)
    assert code in (0, 2)
    for path in (tmp_path / "groups").glob("*.fits"):
        code, _, err = run("run", "--from", path, "-o", tmp_path / "x.fits", capsys=capsys)
        assert code == 3
        assert "has no extension RECIPE, as products of xccd reduce, xccd combine, xccd calibrate have" in err
    assert run(*given, "-o", tmp_path / "all.fits", capsys=capsys)[0] == 0
    assert run("run", "--from", tmp_path / "all.fits", "-o", tmp_path / "again.fits", capsys=capsys)[0] == 0
    check_same(tmp_path / "all.fits", tmp_path / "again.fits")


def test_frames_of_combine_that_changed_are_named(copy, tmp_path, capsys):
    night, _ = copy
    first, second = night / "bias-001.fits", night / "bias-002.fits"
    assert run("combine", night / "bias-*.fits", "-o", tmp_path / "a.fits", capsys=capsys)[0] == 0
    again = ("run", "--from", tmp_path / "a.fits", "-o", tmp_path / "b.fits")
    status = first.stat()
    os.utime(first, ns=(0, status.st_mtime_ns // 10**9 * 10**9))  # as from an archive, which keeps whole seconds
    assert run(*again, capsys=capsys)[0] == 0
    os.utime(first, ns=(0, status.st_mtime_ns + 1))
    code, _, err = run(*again, "--overwrite", capsys=capsys)
    assert code == 3
    assert "bias-001.fits is not as when the product was made: --changed takes what is there now" in err
    code, _, err = run(*again, "--overwrite", "--changed", capsys=capsys)
    assert code == 0
    assert "bias-001.fits is not as it was when the product was made" in err
    second.unlink()
    code, _, err = run(*again, "--overwrite", "--changed", capsys=capsys)
    assert code == 3
    assert "bias-002.fits is not there any more" in err
    code, _, err = run(*again, "--workers", "2", "--overwrite", capsys=capsys)
    assert code == 2
    assert "--scheduler and --workers have no effect on a product of xccd combine" in err


def test_a_calibrated_frame_is_made_again(night, done, tmp_path, capsys):
    masters = done / "masters"
    given = ("--bias", masters / "bias.fits", "--dark", masters / "dark-*.fits", "--flat", masters / "flat-*.fits")
    more = ("--no-dark-scale", "--maps", "--bad-pixels", night / "bias-001.fits", "--saturation", "60000")
    code, _, _ = run("calibrate", night / "light-r-00?.fits", "-o", tmp_path / "cal", *given, *more, capsys=capsys)
    assert code == 0
    first = tmp_path / "cal" / "light-r-002.fits"
    code, said, _ = run("run", "--from", first, "-o", tmp_path / "again.fits", capsys=capsys)
    assert code == 0
    assert "again.fits: bad-pixels, bias, dark, flat" in said
    check_same(first, tmp_path / "again.fits")


def test_a_command_that_is_unknown(night, done, tmp_path, capsys):
    image = xccd.open_image(done / f"{LIGHT}.fits").assign_coords(made_by='command = "xccd align"')
    image.ccd.to_fits(tmp_path / "a.fits")
    code, _, err = run("run", "--from", tmp_path / "a.fits", "-o", tmp_path / "b.fits", capsys=capsys)
    assert code == 3
    assert "it was made by 'xccd align': products of xccd reduce, xccd combine, xccd calibrate can be made again" in err


def test_json_of_a_product_made_again(night, done, tmp_path, capsys):
    bias = done / "masters" / "bias.fits"
    code, said, _ = run("run", "--from", bias, "-o", tmp_path / "b.fits", "--json", capsys=capsys)
    assert code == 0
    assert json.loads(said) == {"output": f"{tmp_path}/b.fits", "from": str(bias), "masters_made_again": []}


def test_options_as_they_were_typed():
    from xccd.cli.combine import combine
    from xccd.cli.typed import typed_options

    words = ["combine", "a.fits", "--reject", "noise 4 4", "-o", "x.fits", "--maps", "--overwrite", "--reject", "esd",
             "--clip-extrema", "0", "1", "b.fits"]  # fmt: skip
    context = combine.make_context("combine", ["a.fits", "-o", "x.fits"])
    assert typed_options(context, words) == [
        "--reject", "noise 4 4", "--reject", "esd", "--maps", "--clip-extrema", "0", "1",
    ]  # fmt: skip


@QUIET
def test_spectra_by_the_command(real_frames, tmp_path, capsys):
    """kast_blue: a recipe file says what the table says in Python."""
    overscan, trim = "[2049:2080,1:350]", "[1:2048,1:350]"
    table = xccd.scan(real_frames / "kast_blue")
    table.loc[table.object == "Dome Flat", "kind"] = "flat"
    recipe = xccd.Recipe(detector={"overscan": overscan, "trim": trim})
    found = xccd.reduce(table, recipe, output=tmp_path / "python")
    text = f'[kinds]\nflat = ["Dome Flat*"]\n[detector]\noverscan = "{overscan}"\ntrim = "{trim}"\n'
    (tmp_path / "kast.toml").write_text(text)
    arguments = ("-o", tmp_path / "command", "--recipe", tmp_path / "kast.toml")
    code, _, err = run("reduce", real_frames / "kast_blue", *arguments, capsys=capsys)
    assert (code, err) == (0, "")
    for path in found["path"]:
        check_same(Path(path), tmp_path / "command" / Path(path).relative_to(tmp_path / "python"))
    product = tmp_path / "command" / "J1217p3905-1200s.fits"
    shutil.rmtree(tmp_path / "command" / "masters")
    code, _, _ = run("run", "--from", product, "-o", tmp_path / "again.fits", capsys=capsys)
    assert code == 0
    check_same(product, tmp_path / "again.fits")


@pytest.mark.parametrize("name", ["reduce", "run"])
def test_the_page_has_every_option(name):
    import click

    from xccd.cli.main import cli

    page = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text("utf-8")
    own = page.partition(f"## `xccd {name}`")[2].partition("\n## ")[0]
    general = page.partition("## What all commands have")[2].partition("\n## ")[0]
    options = [p for p in cli.get_command(click.Context(cli), name).params if isinstance(p, click.Option)]
    assert [o for p in options for o in p.opts if f"`{o}`" not in own + general] == []
