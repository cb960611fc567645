"""`xccd live`, and the folder that it watches: what is whole is added, what is not is waited for and named."""

import gzip
import json
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from astropy.io import fits

import xccd
from test_live import frame
from test_shell import run
from xccd.cli.live import live
from xccd.night.live import folder as watched
from xccd.night.live.folder import Arrivals, lacking


def write(folder: Path, *numbers: int, **cards: Any) -> list[Path]:
    paths = [folder / f"l{i}.fits" for i in numbers]
    for number, path in zip(numbers, paths, strict=True):
        data, own = frame(number, **cards)
        fits.writeto(path, data, fits.Header(own))
    return paths


@pytest.fixture
def night(tmp_path: Path) -> Path:
    (tmp_path / "night").mkdir()
    write(tmp_path / "night", *range(1, 11))
    return tmp_path / "night"


# The folder


@pytest.mark.parametrize("cut", [1, 80, 2880, 3000, 5279])
def test_what_a_file_lacks(tmp_path: Path, cut: int) -> None:
    (path,) = write(tmp_path, 1)
    whole = path.read_bytes()
    assert lacking(path) == ""
    path.write_bytes(whole[: 2880 + 2400])  # without the last block's padding: all samples are there
    assert lacking(path) == ""
    path.write_bytes(whole[:cut])
    assert re.search("declare 5280 bytes, it has|no FITS file|not a FITS|truncated|empty|END", lacking(path))
    packed = tmp_path / "a.fits.gz"
    packed.write_bytes(gzip.compress(whole))
    assert lacking(packed) == ""
    packed.write_bytes(gzip.compress(whole)[:-20])
    assert lacking(packed)


def test_a_file_without_an_image(tmp_path: Path) -> None:
    fits.HDUList([fits.PrimaryHDU()]).writeto(tmp_path / "a.fits")
    assert lacking(tmp_path / "a.fits") == "it has no image"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_file_that_grows_is_waited_for_and_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watched, "OLD", 1e9)
    clock, said = Clock(), []
    found = Arrivals(tmp_path, 5.0, lambda p: p.name == "skip.fits", lambda p, why: said.append((p.name, why)), clock)

    def names(seconds: float = 1.0) -> list[str]:
        clock.now += seconds
        return [path.name for path in found.ready()]

    first, third = write(tmp_path, 9, 11)
    whole = first.read_bytes()
    (tmp_path / "skip.fits").write_bytes(whole)
    (tmp_path / "notes.txt").write_text("no frame")
    half = tmp_path / "l10.fits"
    half.write_bytes(whole[:3000])
    assert (names(), names()) == ([], ["l9.fits"])  # seen once, and unchanged since
    assert found.pending
    half.write_bytes(whole[:4000])
    assert (names(4), names(4), said) == ([], [], [])  # it grew: the patience begins again
    assert names(4) == ["l11.fits"]
    assert said == [("l10.fits", "its headers declare 5280 bytes, it has 4000")]
    assert not found.pending
    half.write_bytes(whole)
    assert (names(), names(), names()) == ([], ["l10.fits"], [])
    (tmp_path / "l12.fits").write_bytes(whole[:90])
    assert names() == []
    (tmp_path / "l12.fits").unlink()
    assert (names(), found.pending, len(said)) == ([], False, 1)
    assert third.exists()


def test_a_file_that_is_old_is_taken_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, 2, 10, 1)
    monkeypatch.setattr(watched, "OLD", -1.0)
    found = Arrivals(tmp_path, 5.0, lambda _: False, lambda *_: None)
    assert [path.name for path in found.ready()] == ["l1.fits", "l2.fits", "l10.fits"]


@pytest.mark.versions
def test_events_end_a_rest(tmp_path: Path) -> None:
    pytest.importorskip("watchdog")
    with watched.events(tmp_path, False) as changed:
        assert changed is not None
        threading.Timer(0.2, write, [tmp_path, 1]).start()
        began = time.monotonic()
        watched.rest(changed, False, 0.01)
        assert time.monotonic() - began < 5
    with watched.events(tmp_path, True) as changed:
        assert changed is None


def test_without_watchdog(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "watchdog.observers", None)
    with watched.events(tmp_path, False) as changed:
        assert changed is None
        watched.rest(changed, False, 0.01)


# The command


@pytest.mark.versions
def test_once(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = night / "live.fits"
    code, said, err = run("live", night, "-o", out, "--once", "--minimum", 5, "--max", 1050, capsys=capsys)
    assert (code, err) == (0, "")
    lines = said.splitlines()
    assert [line.partition(":")[0] for line in lines[:-1]] == [f"{i} l{i}.fits" for i in range(1, 11)]
    assert lines[-1] == f"{out}: mean of 10 frames"
    live = xccd.LiveStack(minimum=5, max=1050)
    for number in range(1, 11):
        live.add(night / f"l{number}.fits")
    np.testing.assert_array_equal(fits.getdata(out), live.snapshot()["data"])
    assert fits.getval(out, "NCOMBINE") == 10
    code, _, err = run("live", night, "-o", out, "--once", capsys=capsys)
    assert (code, err) == (4, f"xccd: --output={str(out)!r} is there already: --overwrite replaces it\n")
    assert run("live", night, "-o", out, "--once", "--overwrite", capsys=capsys)[0] == 0


def test_it_goes_on_from_a_state(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, state = tmp_path / "live.fits", tmp_path / "live.state"
    command = ("live", night, "-o", out, "--once", "--state", state)
    assert run(*command, capsys=capsys)[0] == 0
    before = out.read_bytes()
    code, said, _ = run(*command, capsys=capsys)
    assert (code, said) == (0, f"{state}: goes on with 10 frames\n{out}: mean of 10 frames\n")
    assert out.read_bytes() == before
    write(night, 11)
    code, said, _ = run(*command, capsys=capsys)
    assert (code, said.splitlines()[1][:11]) == (0, "11 l11.fits")
    assert fits.getval(out, "NCOMBINE") == 11
    out.unlink()
    assert run(*command, capsys=capsys)[0] == 0
    assert fits.getval(out, "NCOMBINE") == 11
    code, _, err = run(*command, "--high", "inf", capsys=capsys)
    assert (code, err) == (
        2,
        f"xccd: --state {str(state)!r} was made with --high 3.0, not inf: give the same options\n",
    )
    state.write_bytes(state.read_bytes()[:-400])
    code, _, err = run(*command, capsys=capsys)
    assert (code, "live.state is damaged (" in err) == (3, True)


def test_frames_that_do_not_go_with_the_others(
    night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:  # fmt: skip
    write(night, 11, FILTER="g")
    (night / "l12.fits").write_bytes((night / "l3.fits").read_bytes())
    (night / "l13.fits").write_bytes((night / "l3.fits").read_bytes()[:4000])
    (night / "l14.fits").write_text("no frame")
    out = tmp_path / "live.fits"
    code, said, err = run("live", night, "-o", out, "--once", "--patience", 0.2, "--interval", 0.1, capsys=capsys)
    assert (code, len(said.splitlines())) == (3, 11)
    assert fits.getval(out, "NCOMBINE") == 10
    warned = err.splitlines()
    for number, line in zip((11, 12), warned[:2], strict=True):
        assert re.match(rf"xccd: warning: left out: .*l{number}\.fits ", line)
    assert "allow it with --mixed" in warned[0]
    assert warned[1].endswith("it has the same samples")
    assert "xccd: warning: l13.fits is not whole (its headers declare 5280 bytes, it has 4000)" in warned[2]
    assert warned[3].startswith("xccd: warning: l14.fits is not whole (")
    assert warned[4] == "xccd: 4 files left out, named above"


BAD = [
    (["none", "-o", "a.fits"], 3, "there is no folder 'none'"),
    ([".", "-o", "a.txt"], 2, "is not the name of a FITS file"),
    ([".", "-o", "none/a.fits"], 4, "there is no folder none"),
    ([".", "-o", "a.fits", "--minimum", "1"], 2, "--minimum=1 is not a whole number of 3 or more"),
    ([".", "-o", "a.fits", "--zero", "medien"], 2, "--zero='medien' is unknown: .* did you mean 'median'"),
    ([".", "-o", "a.fits", "--align", "sky"], 2, "is not one of 'pixels', 'wcs', 'offsets', 'transforms'"),
    ([".", "-o", "a.fits", "--state", "none/a.state"], 4, "--state: .*there is no folder none"),
    ([".", "-o", "a.fits", "--state", "a.fits"], 2, "--state and --output are the same file"),
    ([".", "-o", "a.fits", "--once"], 3, "no frame of '.' could be added: 'a.fits' is not written"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), BAD, ids=[row[2] for row in BAD])
def test_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: list[str], code: int, message: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    got, said, err = run("live", *arguments, capsys=capsys)
    assert (got, said) == (code, "")
    assert re.fullmatch(rf"xccd: .*{message}.*\n", err)
    assert list(tmp_path.iterdir()) == []


START = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); import xccd_command as c; c.run()"


@pytest.mark.versions
@pytest.mark.parametrize("poll", [[], ["--poll"]], ids=["events", "poll"])
def test_files_that_appear_while_it_runs(tmp_path: Path, poll: list[str]) -> None:
    """Written in two parts; then Ctrl-C."""
    night, out, state = tmp_path / "night", tmp_path / "live.fits", tmp_path / "live.state"
    night.mkdir()
    write(night, 1)
    options = [str(night), "-o", str(out), "--state", str(state), "--interval", "0.1", *poll]
    command = [sys.executable, "-c", START, "live", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("1 l1.fits: ")
        (source,) = write(tmp_path, 2)
        whole = source.read_bytes()
        with open(night / "l2.fits", "wb") as file:
            file.write(whole[:3500])
            file.flush()
            time.sleep(0.5)
            file.write(whole[3500:])
        assert process.stdout.readline().startswith("2 l2.fits: ")
        write(night, 3, 4)
        assert process.stdout.readline().startswith("3 l3.fits: ")
        assert process.stdout.readline().startswith("4 l4.fits: ")
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
    assert (process.returncode, err.strip()) == (130, "xccd: interrupted")
    assert fits.getval(out, "NCOMBINE") in (3, 4)
    assert len(xccd.LiveStack.load(state)) in (3, 4)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["l2.fits", "live.fits", "live.html", "live.state", "night"]


def test_the_page_has_every_option() -> None:
    page = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text("utf-8")
    assert all(f"`{name}`" in page for p in live.params if isinstance(p, click.Option) for name in p.opts)


def test_json_when_it_ends(night: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(night, 11, FILTER="other")
    out = tmp_path / "live.fits"
    code, said, err = run("live", night, "-o", out, "--once", "--json", capsys=capsys)
    told = json.loads(said)
    assert (code, told["output"], told["frames"], len(told["added"])) == (3, str(out), 10, 10)
    assert all(0 <= row["rejected"] < 1 for row in told["added"])
    (lost,) = told["left_out"]
    assert Path(lost["file"]).parent == night
    assert lost["why"] in err


def test_no_frame_is_replaced(night: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = night / "l1.fits"
    before = first.read_bytes()
    code, _, err = run("live", night, "-o", first, "--once", "--overwrite", capsys=capsys)
    assert code == 4
    assert "l1.fits' is a frame of " in err
    assert first.read_bytes() == before
    for _ in range(2):
        assert run("live", night, "-o", night / "live.fits", "--once", "--overwrite", capsys=capsys)[0] == 0


def test_json_without_a_frame(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "empty").mkdir()
    code, said, _ = run("live", tmp_path / "empty", "-o", tmp_path / "a.fits", "--once", "--json", capsys=capsys)
    assert (code, json.loads(said)["frames"]) == (3, 0)
