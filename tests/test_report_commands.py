"""The pages that commands write: `xccd reduce`, `xccd live`, `xccd report -o`."""

import html
import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import xccd
from test_cli import run
from test_report import read
from xccd.cli import main
from xccd.night.live.live_page import LivePage
from xccd.night.reduce.night_page import NAME


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("night")
    size = {"nbias": 3, "ndark": 3, "nflat": 3, "nlight": 6}
    return Path(xccd.simulate_night(folder / "raw", shape=(64, 80), **size))


def command(*words: object) -> int:
    """The exit code of the command."""
    with pytest.raises(SystemExit) as end:
        main.main([str(word) for word in words])
    return int(end.value.code or 0)


@pytest.fixture(scope="module")
def products(night: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("products")
    recipe = xccd.Recipe(light={"method": "median"})
    xccd.reduce(night, recipe, output=folder)
    return folder


def test_a_night_has_a_page(products: Path) -> None:
    made = read(products / NAME)
    assert {"products", "left-out", "recipe", "again", "versions"} <= set(made.within)
    for name in ("bias", "dark-120s", "flat-r", "Made-up_field-r-120s"):
        assert name in made.within["products"]
    light = made.within["product-made-up-field-r-120s"]
    assert "light-r-006.fits" in light
    assert "flat-r" in light
    assert "sqrt(N)" in light
    assert "xccd run --from" in light
    assert "light.method" in made.within["recipe"]
    assert "xccd.reduce(" in made.within["again"]
    assert made.tags.count("img") >= 6 * 4 + 1


def test_products_tell_the_rejected_share_of_each_frame(products: Path) -> None:
    with fits.open(next(products.glob("*.fits"))) as hdus:
        table = hdus["FRAMES"].data
        total = sum(hdus[name].data.sum() for name in ("REJ_LOW", "REJ_HIGH"))
        assert table["FILE"].tolist() == [f"light-r-00{i}.fits" for i in range(1, 7)]
        share = (table["REJ_LOW"] + table["REJ_HIGH"]).sum() * hdus[0].data.size
    assert share == pytest.approx(total)


def test_the_page_is_kept_when_nothing_is_made(night: Path, products: Path) -> None:
    (products / NAME).unlink()
    recipe = xccd.Recipe(light={"method": "median"})
    done = xccd.reduce(night, recipe, output=products)
    assert set(done.status) == {"up to date"}
    assert "up to date" in read(products / NAME).within["products"]


def test_a_recipe_can_leave_the_page_out(night: Path, tmp_path: Path) -> None:
    recipe = xccd.Recipe(output={"report": False})
    xccd.reduce(sorted(night.glob("bias*")), recipe, output=tmp_path / "p")
    assert not (tmp_path / "p" / NAME).exists()


def test_a_page_that_cannot_be_written_costs_no_product(night: Path, tmp_path: Path) -> None:
    (tmp_path / "p" / NAME).mkdir(parents=True)
    with pytest.warns(UserWarning, match=r"reduce writes no report: .*report\.html is there already, and is none of"):
        done = xccd.reduce(sorted(night.glob("bias*")), output=tmp_path / "p")
    assert list(done.status) == ["made"]
    with pytest.warns(UserWarning, match=r"reduce could not write .*report\.html"):
        xccd.reduce(sorted(night.glob("bias*")), output=tmp_path / "p", overwrite=True)


def test_another_file_of_that_name_stays(night: Path, tmp_path: Path) -> None:
    (tmp_path / "p").mkdir()
    (tmp_path / "p" / NAME).write_text("mine")
    with pytest.warns(UserWarning, match=r"is none of its own"):
        xccd.reduce(sorted(night.glob("bias*")), output=tmp_path / "p")
    assert (tmp_path / "p" / NAME).read_text() == "mine"


def test_what_failed_and_what_was_left_out(night: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in [*sorted(night.glob("bias*")), *sorted(night.glob("flat-r*"))]:
        (raw / path.name).write_bytes(path.read_bytes())
    (raw / "not<script>.fits").write_text("no image")
    masters = tmp_path / "p/masters"
    masters.mkdir(parents=True)
    (masters / "bias.fits").write_text("mine")  # so the bias fails, and what needs it
    done = xccd.reduce(raw, output=tmp_path / "p")
    assert "failed" in set(done.status)
    made = read(tmp_path / "p" / NAME)
    assert "is no product of reduce" in made.within["product-bias"]
    assert "it needs bias, which failed" in made.within["products"]
    assert "not<script>.fits" in made.within["left-out"]


def test_the_command_that_makes_the_night_again(night: Path, tmp_path: Path) -> None:
    words = ["reduce", night, "-o", tmp_path / "p", "--set", "light.method=median", "--set", "output.picture=false"]
    assert command(*words) == 0
    again = read(tmp_path / "p" / NAME).within["again"]
    assert f"xccd reduce {night} -o {tmp_path / 'p'} --set light.method=median --set output.picture=false" in again


def test_report_writes_a_page(night: Path, products: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    raw = tmp_path / "raw"
    raw.mkdir()
    for path in sorted(night.glob("*.fits")):
        (raw / path.name).write_bytes(path.read_bytes())
    (raw / "bad.fits").write_text("no image")
    assert command("report", raw, "-o", tmp_path / "a.html") == 3
    assert "1 of 22 files cannot be read" in capsys.readouterr().err
    made = read(tmp_path / "a.html")
    assert "bad.fits" in made.within["overview"]
    assert "xccd report" in made.within["overview"]
    assert sum(name.endswith("-statistics") for name in made.within) == 6
    assert command("report", next(products.glob("*.fits")), "-o", tmp_path / "b.html") == 0
    assert "xccd run --from" in read(tmp_path / "b.html").within["made"]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["-o", "a.txt"], 2, "does not end in .html"),
        (["-o", "there.html"], 4, "is there already: --overwrite replaces it"),
        (["-o", "no/a.html"], 4, "there is no folder"),
        (["--overwrite"], 2, "--overwrite goes with --output FILE"),
    ],
)
def test_errors_of_report(
    words: list[str], code: int, message: str, night: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    Path("there.html").write_text("mine")
    assert command("report", next(night.glob("bias*")), *words) == code
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["there.html"]


def test_nothing_is_written_if_no_file_can_be_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.fits").write_text("no image")
    assert command("report", tmp_path / "bad.fits", "-o", tmp_path / "a.html") == 3
    assert "no file can be read: " in capsys.readouterr().err
    assert not (tmp_path / "a.html").exists()


def live_folder(folder: Path, count: int = 4) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(1)
    for i in range(count):
        fits.writeto(folder / f"light-{i}.fits", rng.normal(500, 5, (30, 40)).astype("f4"))
    return folder


def test_live_keeps_a_page(tmp_path: Path) -> None:
    folder = live_folder(tmp_path / "in")
    fits.writeto(folder / "other.fits", np.zeros((5, 5), "f4"))
    assert command("live", folder, "-o", tmp_path / "live.fits", "--once") == 3
    made = read(tmp_path / "live.html")
    assert "light-3" in made.within["frames"]
    assert "other.fits" in made.within["left-out"]
    assert "sqrt(N)" in made.within["noise"]
    assert 'http-equiv="refresh"' not in (tmp_path / "live.html").read_text()  # it has ended
    assert command("live", folder, "-o", tmp_path / "b.fits", "--once", "--no-report", "--report", "x.html") == 2
    assert command("live", folder, "-o", tmp_path / "b.fits", "--once", "--report", tmp_path / "b.txt") == 2
    assert command("live", folder, "-o", tmp_path / "b.fits", "--once", "--no-report") == 3
    assert not (tmp_path / "b.html").exists()


def test_live_does_not_replace_another_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = live_folder(tmp_path / "in")
    (tmp_path / "live.html").write_text("mine")
    assert command("live", folder, "-o", tmp_path / "live.fits", "--once") == 4
    assert "live.html' is there already, and is no report of xccd live" in capsys.readouterr().err
    assert (tmp_path / "live.html").read_text() == "mine"


def test_a_live_page_is_written_at_most_every_few_seconds(tmp_path: Path) -> None:
    now = [0.0]
    page = LivePage(tmp_path / "a.html", tmp_path / "a.fits", "xccd live <in>", clock=lambda: now[0])
    stack = xccd.LiveStack()
    assert not page.update(stack)  # there is no frame yet
    rng = np.random.default_rng(1)
    written = []
    for second in (0, 1, 2, 4):
        now[0] = float(second)
        page.added.append(stack.add(rng.normal(500, 5, (30, 40)).astype("f4")))
        written.append(page.update(stack))
    assert written == [True, False, False, True]
    assert '<meta http-equiv="refresh" content="5">' in page.path.read_text()
    now[0] = 5.0
    page.added.append(stack.add(rng.normal(500, 5, (30, 40)).astype("f4")))
    assert not page.update(stack)
    now[0] = 7.5
    page.catch_up(stack)
    assert "5 frames in the mean" in page.path.read_text()


def test_a_live_page_that_cannot_be_written_is_a_warning(tmp_path: Path) -> None:
    page = LivePage(tmp_path / "no/a.html", tmp_path / "a.fits")
    stack = xccd.LiveStack()
    stack.add(np.ones((4, 5), "f4"))
    with pytest.warns(UserWarning, match=r"LiveStack: .*a\.html could not be written"):
        page.update(stack)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        page.catch_up(stack)  # not tried again before there is something new
    assert len(stack) == 1


FORGED = "a\ngood     other\n1 mean\x1b[2J.fits"  # a name that would print as lines of its own


@pytest.mark.parametrize(
    "command",
    [
        ["scan"],
        ["info"],
        ["verify"],
        ["stats"],
        ["preview"],
        ["report"],
        ["combine", "--dry-run", "-v", "-o", "m.fits"],
        ["combine", "-v", "-o", "m.fits", "--sigma-clip", "1", "1"],
        ["reduce", "--dry-run", "-o", "products"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("damaged", [False, True])
def test_a_line_end_in_a_file_name_makes_no_line(
    command: list[str],
    damaged: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    pixels = np.random.default_rng(0).normal(100, 5, (3, 60, 70)).astype("f4")
    for name, x in zip([FORGED, "b.fits", "c.fits"], pixels, strict=True):
        fits.writeto(f"raw-{name}", x, fits.Header([("IMAGETYP", "Bias Frame")]))
    if damaged:
        Path(f"raw-{FORGED}").write_bytes(Path(f"raw-{FORGED}").read_bytes()[:4000])
    said = "".join(run(*command, *sorted(Path().glob("raw-*")), capsys=capsys)[1:])
    assert "\x1b" not in said
    assert "a\\ngood     other\\n1 mean\\x1b[2J" in said or command[0] == "reduce"
    assert not [line for line in said.splitlines() if line.strip().startswith(("good     other", "1 mean"))]


def lines_of_shell(page: Path) -> list[list[str]]:
    """The commands in a page, as words."""
    lines = html.unescape(re.sub(r"<[^>]+>", "\n", page.read_text("utf-8"))).splitlines()
    return [shlex.split(line) for line in lines if line.startswith("xccd ")]


def test_the_command_in_a_page_makes_it_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also with another HDU, a name that begins with a dash, and letters of the shell."""
    monkeypatch.chdir(tmp_path)
    names = ["-a.fits", "b [1]'$x.fits"]
    for name in names:
        image = fits.ImageHDU(np.random.default_rng(0).normal(9, 1, (40, 50)), name="SCI", ver=2)
        fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(np.zeros((3, 4))), image]).writeto(name)
    assert command("report", "--hdu", "SCI,2", "-o", "a page.html", "--", *names) == 0
    (words,) = (words for words in lines_of_shell(Path("a page.html")) if words[1] == "report")
    Path("a page.html").unlink()
    assert command(*words[1:]) == 0
    page = Path("a page.html").read_text("utf-8")
    assert "40 x 50" in page.replace("50 x 40", "40 x 50")
    assert "2 images." in page


@pytest.mark.parametrize("hdu", ["1", "SCI", "SCI,1", "all"])
def test_the_page_of_a_night_says_which_images(hdu: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("raw").mkdir()
    for i in range(3):
        image = fits.ImageHDU(np.full((40, 50), 9.0 + i), name="SCI")
        fits.HDUList([fits.PrimaryHDU(header=fits.Header([("IMAGETYP", "bias")])), image]).writeto(f"raw/{i}.fits")
    assert command("reduce", "raw", "-o", "p", "--hdu", hdu) == 0
    (words,) = (words for words in lines_of_shell(Path("p") / NAME) if words[1] == "reduce")
    assert words == ["xccd", "reduce", "raw", "-o", "p", "--hdu", hdu]
