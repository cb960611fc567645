"""What the command says at a shell: options, not Python; nothing that moves a cursor. And what ends it from outside."""
# ruff: noqa: E501  (a table is read by its rows)

import io
import logging
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from astropy.io import fits
from hypothesis import given
from hypothesis import strategies as st

import xccd
from test_bad_input import BAD
from xccd.cli import main
from xccd.cli import shell as shell_module
from xccd.cli.combine import combine

PYTHON = re.compile(r"(?<![-\w/])(?!low|high|min|max)[a-z_]+=|=True|=None|xccd\.|\.ccd")


def run(*arguments: object, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main.main([str(a) for a in arguments])
    said = capsys.readouterr()
    return int(end.value.code or 0), said.out, said.err


def frames(folder: Path, *images: Any, dtype: str = "f4") -> list[Path]:
    paths = [folder / f"a{i}.fits" for i in range(len(images))]
    for path, image in zip(paths, images, strict=True):
        fits.writeto(path, np.full((4, 5), image, dtype))
    return paths


class Said(Exception):
    """What the command said in the place of `open_stack`."""


@pytest.mark.versions
def test_the_command_speaks_of_options(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that can be wrong with files, by the command."""
    real, done = xccd.open_stack, 0

    def by_command(files: Any, **options: Any) -> None:
        names = [files] if isinstance(files, str | Path) else files
        if options.keys() - {"hdu"} or not names or not all(isinstance(name, str | Path) for name in names):
            raise Said(0, "")
        more = [f"--hdu={value}" for value in options.values()]
        monkeypatch.setattr(xccd, "open_stack", real)
        code, _, err = run("combine", *names, "-o", "out.fits", *more, capsys=capsys)
        raise Said(code, err)

    for number, (name, bad) in enumerate(BAD.items()):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        monkeypatch.setattr(xccd, "open_stack", by_command)
        try:
            bad.provoke()
        except Said as said:
            code, err = said.args
        except Exception:
            continue
        if code:
            assert not PYTHON.search(err.removeprefix("xccd: ")), name
            assert re.fullmatch(r"xccd: [^\n]+\n", err), name
            assert code == 3, name
            done += 1
    assert done > 40


@pytest.mark.versions
@pytest.mark.parametrize(
    ("python", "shell"),
    [
        ("path='a.fits' is there already: overwrite=True replaces it", "--output='a.fits' is there already: --overwrite replaces it"),
        ("a.fits does not exist: check the path in files=", "a.fits does not exist: check the path in FILES"),
        ("files='a.txt' is no file", "FILES 'a.txt' is no file"),
        ("maxiters=0 is not a whole number of 1 or more", "--maxiters=0 is not a whole number of 1 or more"),
        ("a.fits has no hdu=('SCI', 2): its HDUs", "a.fits has no --hdu='SCI,2': its HDUs"),
        ("use center='median', deviation='mad_std'", "use --center='median', --deviation='mad_std'"),
        ("its mask has shape (2, 2): mask_hdu=None leaves it", "its mask has shape (2, 2): only Python's open_stack can leave its mask"),
        ("/data/center=3/a.fits is empty", "/data/center=3/a.fits is empty"),
        ("a-center=3.fits is empty", "a-center=3.fits is empty"),
    ],
)  # fmt: skip
def test_options_for_arguments(python: str, shell: str) -> None:
    with click.Context(combine):
        assert shell_module.in_options(python) == shell


PAGE = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text("utf-8")


def commands() -> dict[str, click.Command]:
    found = {name: main.cli.get_command(click.Context(main.cli), name) for name in main.COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


OWN = ("scan", "calibrate", "align", "combine", "live", "demo", "completion")


@pytest.mark.parametrize("name", OWN)
def test_the_page_has_every_option_and_exit_code(name: str) -> None:
    options = [p for p in commands()[name].params if isinstance(p, click.Option)]
    missing = [o for p in options for o in (*p.opts, *p.secondary_opts) if f"`{o}`" not in PAGE]
    assert not missing
    assert all(f"| {code} | {meaning} |" in PAGE for code, meaning in shell_module.ENDS.items())
    assert f"## `xccd {name}`" in PAGE


def test_every_command_has_examples_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    _, listed, _ = run("--help", capsys=capsys)
    for name, command in commands().items():
        assert command.name == name
        code, said, _ = run(name, "--help", capsys=capsys)
        assert code == 0
        assert f"  xccd {name} " in said or f"xccd {name} " in said.partition("Example")[2]
        assert "  143  terminated" in said
        assert all(option in said for option in ("-q, --quiet", "-v, --verbose", "--log-file", "--version"))
        assert name not in OWN or re.search(rf"^  {name} +[A-Z][^.]*\.$", listed, re.MULTILINE), (
            "the first sentence is too long"
        )


@given(st.text())
def test_what_is_shown_is_printable(text: str) -> None:
    assert shell_module.visible(text).isprintable()
    assert shell_module.visible(text) == text or not text.isprintable()


NASTY = "b\x1b[31m\a\x9b2J\n\u202e.fits"


def test_control_characters_are_shown_not_sent(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = frames(tmp_path, 1, 2)
    code, out, err = run("combine", *paths, "-o", tmp_path / NASTY, "--clip-extrema", 1, 0, capsys=capsys)
    assert (code, err) == (0, "")
    assert r"b\x1b[31m\x07\x9b2J\n\u202e.fits: mean of 2 frames" in out
    (tmp_path / f"text{NASTY}").write_text("no image")
    (tmp_path / os.fsdecode(b"bytes\xff.fits")).write_text("no image")
    for bad in (f"text{NASTY}", f"none{NASTY}", os.fsdecode(b"bytes\xff.fits"), "--\x1b[31m"):
        code, said, err = run("combine", tmp_path / bad if bad[0] != "-" else bad, "-o", "a.fits", capsys=capsys)
        assert (code, said) == (2 if bad[0] == "-" else 3, "")
        assert err.removesuffix("\n").isprintable()
        assert r"\x1b[31m" in err or r"bytes\udcff.fits" in err
    fits.setval(paths[0], "EXPTIME", value=1.0)
    code, _, err = run("combine", *paths, "-o", tmp_path / "c.fits", "--weights", "EXP\x1b[31m", capsys=capsys)
    assert (code, err.removesuffix("\n").isprintable()) == (2, True)


def test_a_warning_shows_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    shell_module.one_line("a\x1b[2Jb\nc", UserWarning)
    assert capsys.readouterr().err == "xccd: warning: a\\x1b[2Jb\\nc\n"


def test_a_terminal_that_lacks_letters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(said, encoding="ascii", write_through=True))
    with pytest.raises(SystemExit, match="0"):
        main.main(["combine", *map(str, frames(tmp_path, 1, 2)), "-o", str(tmp_path / "é.fits")])
    assert b"/\\xe9.fits: mean of 2 frames" in said.getvalue()


NOTHING = [
    ("all clipped", [1, 2, 3, 4], ["--clip-extrema", 2, 2], "--clip-extrema 2 2 leaves no sample of 4 frame"),
    ("out of range", [1, 2], ["--minmax", 5, 1e6, "--clip-extrema", 1, 0], r"--minmax 5 1e\+06 leaves no sample of 2 fr"),
    ("by two steps", [1, 2, 9], ["--minmax", 0, 5, "--clip-extrema", 1, 1], "--clip-extrema 1 1 leaves no sample"),
    ("by a median", [1, 2], ["--method", "median", "--minmax", 5, 9], "--minmax 5 9 leaves no sample"),
    ("nothing there", [np.nan, np.nan], [], "the frames have no valid sample"),
    ("with maps", [1, 2], ["--minmax", 5, 9, "--maps"], "--minmax 5 9 leaves no sample of 2 frame"),
]  # fmt: skip


@pytest.mark.versions
@pytest.mark.parametrize(
    ("images", "options", "message"), [row[1:] for row in NOTHING], ids=[row[0] for row in NOTHING]
)
@pytest.mark.filterwarnings("ignore:.*leaves nothing")
def test_a_product_of_nothing_is_not_written(
    tmp_path: Path, images: list[float], options: list[Any], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    paths, out = frames(tmp_path, *images), tmp_path / "out.fits"
    out.write_text("a good product")
    code, said, err = run("combine", *paths, "-o", out, *options, "--overwrite", capsys=capsys)
    assert (code, said) == (1, "")
    assert re.search(f"^xccd: {message}.*: '.*out.fits' is not written$", err, re.MULTILINE)
    assert out.read_text() == "a good product"
    assert sorted(tmp_path.iterdir()) == sorted([*paths, out])


def test_a_product_of_little_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = frames(tmp_path, 1, 2)
    with fits.open(paths[1], mode="update") as hdus:
        hdus[0].data[0, 0] = 7
    assert run("combine", *paths, "-o", tmp_path / "out.fits", "--minmax", 5, 9, capsys=capsys)[0] == 0
    assert np.isfinite(fits.getdata(tmp_path / "out.fits")).sum() == 1
    counted = ("--method", "count", "--minmax", 50, 90)  # no sample is what a map of counts may say
    assert run("combine", *paths, "-o", tmp_path / "n.fits", *counted, capsys=capsys)[0] == 0
    quantile = ("--method", "quantile", "--q", 0.25)
    assert run("combine", *paths, "-o", tmp_path / "q.fits", *quantile, capsys=capsys)[0] == 0
    assert fits.getdata(tmp_path / "q.fits")[1, 1] == 1.25


START = """
import signal, sys, time, xccd_command as c
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell in the background has it ignored
start = c.Listener.__init__
def started(self):
    start(self)
    print("ready", flush=True)
c.Listener.__init__ = started
"""
SLOW = """
import builtins
real = c.Listener.imported
def imported(self):
    from xccd.read.images.pixels import FilePixels as P
    read = P.read
    P.read = lambda *a: (print("reading", flush=True), time.sleep(0.2), read(*a))
    real(self)
c.Listener.imported = imported
"""


def started(folder: Path, script: str, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", f"{START}{script}\nc.run()", "combine", "a*.fits", "-o", "out.fits", *options]
    process = subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


ENDS = [(signal.SIGINT, 130, "xccd: interrupted\n"), (signal.SIGTERM, 143, "xccd: terminated\n")]


@pytest.mark.parametrize(("number", "code", "message"), ENDS, ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("delay", [0, 0.15])
def test_a_signal_during_the_imports(tmp_path: Path, number: int, code: int, message: str, delay: float) -> None:
    frames(tmp_path, 1, 2)
    process = started(tmp_path, "")
    time.sleep(delay)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (code, message)
    assert not (tmp_path / "out.fits").exists()


@pytest.mark.versions
@pytest.mark.parametrize(("number", "code", "message", "threads"), [(*ENDS[0], "2"), (*ENDS[1], "2"), (*ENDS[1], "1")])
def test_a_signal_while_threads_read(tmp_path: Path, number: int, code: int, message: str, threads: str) -> None:
    """Sent twice, as a scheduler and a shell may: the second must not stop what clears away."""
    paths = frames(tmp_path, 1, 2)
    process = started(tmp_path, SLOW, "--threads", threads)
    assert process.stdout is not None
    assert process.stdout.readline() == "reading\n"
    before = [path.name for path in tmp_path.iterdir() if path.suffix == ".part"]
    process.send_signal(number)
    process.send_signal(number)
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err.lstrip()) == (code, message)  # click begins a line after the ^C
    assert len(before) == 1
    assert sorted(tmp_path.iterdir()) == paths


def test_sigterm_of_the_command_within_a_process(tmp_path: Path) -> None:
    """Called as a function it hears it too, and leaves it as it was."""
    paths = frames(tmp_path, 1, 2)
    script = "import os, signal, sys, xccd.cli.main as c\nfrom xccd.read.images.pixels import FilePixels as P\n"
    script += "P.read = lambda *a: os.kill(os.getpid(), signal.SIGTERM)\ntry:\n    c.main(sys.argv[1:])\n"
    script += "finally:\n    print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)"
    command = [sys.executable, "-c", script, "combine", "a*.fits", "-o", "out.fits", "--threads", "1"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (143, "True\n", "xccd: terminated\n")
    assert sorted(tmp_path.iterdir()) == paths


@pytest.mark.versions
def test_a_click_that_does_not_guess() -> None:
    """Before 8.4 it has no guess for a command."""
    with click.Context(main.cli, info_name="xccd") as context:
        for said, near in {"No such command 'combin'.": "combine", "No such option: --versio": "--version"}.items():
            text = shell_module.of_click(click.UsageError(said, context), main.COMMANDS)
            assert text == f"{said}; did you mean {near!r}? (see xccd --help)"
    assert shell_module.of_click(click.ClickException("else")) == "else (see xccd --help)"


# What all commands have


def test_quiet_says_only_errors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths, clips = frames(tmp_path, 1, 2), ("--sigma-clip", 3, 3)  # two frames: the clip warns that it can do nothing
    assert run("combine", *paths, "-o", tmp_path / "b.fits", *clips, "-q", capsys=capsys) == (0, "", "")
    code, out, err = run("-q", "combine", *paths, "-o", tmp_path / "b.fits", capsys=capsys)
    assert (code, out) == (4, "")
    assert err.startswith("xccd: --output=")
    assert run("scan", tmp_path, "-q", capsys=capsys)[1].count("\n") == 4


def test_verbose_says_more_and_shows_tracebacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    frames(tmp_path, 1, 2)
    assert "xccd: info: scan: 2 files" in run("scan", tmp_path, "-v", capsys=capsys)[2]
    assert "info" not in run("scan", tmp_path, capsys=capsys)[2]
    missing = tmp_path / "none"
    _, _, err = run("scan", missing, "-v", capsys=capsys)
    assert err.count("\n") == 1
    _, _, err = run("scan", missing, "-vv", capsys=capsys)
    assert err.startswith("Traceback")
    assert err.splitlines()[-1].startswith("xccd: ")
    code, _, err = run("scan", missing, "-v", "-q", capsys=capsys)
    assert (code, "--quiet and --verbose contradict" in err) == (2, True)


def test_a_log_file_is_appended_to(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths, log = frames(tmp_path, 1, 2), tmp_path / "night.log"
    given = ("combine", *paths, "-o", tmp_path / "b.fits", "--sigma-clip", 3, 3, "--progress", "--log-file", log)
    assert run(*given, capsys=capsys)[0] == 0
    assert run(*given, "-q", capsys=capsys)[0] == 4
    lines = log.read_text().splitlines()
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR) ", line) for line in lines)
    assert [line.split(" ")[1] for line in lines if "xccd combine" in line] == ["INFO", "INFO"]
    assert sum("mean of 2 frames" in line for line in lines) == 1
    assert sum(" WARNING sigma_clip: " in line for line in lines) == 1
    assert " ERROR --output=" in lines[-1]
    assert "it/s" not in log.read_text()


def test_a_log_file_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = frames(tmp_path, 1)
    before = paths[0].read_bytes()
    for name, message in ((tmp_path / "no/a.log", "there is no folder"), (tmp_path, "directory"),
                          (paths[0], "is no text file: name another")):  # fmt: skip
        code, out, err = run("scan", tmp_path, "--log-file", name, capsys=capsys)
        assert (code, out, err.count("\n")) == (4, "", 1)
        assert err.startswith("xccd: --log-file")
        assert message in err
    assert paths[0].read_bytes() == before
    code, _, err = run("scan", tmp_path, "--log-file", "", capsys=capsys)
    assert (code, "it is empty: name a text file" in err) == (2, True)


def test_a_log_file_on_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The work goes on, and it is said once."""
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    paths = frames(tmp_path, 1, 2)
    code, out, err = run("combine", *paths, "-o", tmp_path / "b.fits", "--log-file", "/dev/full", capsys=capsys)
    assert (code, "mean of 2 frames" in out) == (0, True)
    assert err.count("warning: --log-file") == err.count("\n") == 1


def test_the_next_run_is_as_loud_as_ever(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    log = logging.getLogger("xccd")
    before = (log.level, list(log.handlers))
    run("scan", tmp_path, "-vv", "--log-file", tmp_path / "a.log", capsys=capsys)
    assert (log.level, log.handlers) == before
    size = (tmp_path / "a.log").stat().st_size
    run("scan", tmp_path, capsys=capsys)
    assert (tmp_path / "a.log").stat().st_size == size


def test_a_list_of_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    frames(tmp_path, 1, 2)
    fits.writeto(tmp_path / "c#1.fits", np.full((4, 5), 6, "f4"))
    monkeypatch.chdir(tmp_path)
    text = "\ufeff# frames of the night\r\n a0.fits   # the first\r\n\r\na[1-9].fits\r\nc#1.fits\r\n"
    Path("list.txt").write_bytes(text.encode())
    code, out, _ = run("combine", "@list.txt", "-o", "b.fits", capsys=capsys)
    assert (code, "mean of 3 frames" in out) == (0, True)
    assert fits.getdata("b.fits")[0, 0] == 3


LISTS = [
    ("@none.txt", None, "@none.txt: there is no list 'none.txt'"),
    ("@", None, "@ alone names no list"),
    ("@.", None, "@.: .*directory"),
    ("@empty", b"\n# nothing\n", "@empty has no name in it: write one a line"),
    ("@binary", b"SIMPLE  = \0\0", "@binary is no list of names but a binary file"),
    ("@latin", b"\xff\xfe.fits", "@latin is no list of names but a binary file"),
    ("@nested", b"a0.fits\n@more\n", "@nested names another list, @more: give both on the command line"),
    ("@missing", b"x.fits\n", "x.fits does not exist"),
    (
        "@far/list",
        b"z.fits\n",
        "@far/list: 'z.fits' is beside the list, but names start from the current folder: write",
    ),
    ("@far/twice", b"a0.fits\na0.fits\n", "a0.fits is given twice"),
]


@pytest.mark.parametrize(("name", "content", "message"), LISTS)
def test_lists_that_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, content: bytes | None, message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    frames(tmp_path, 1)
    (tmp_path / "far").mkdir()

    (tmp_path / "far/z.fits").write_bytes((tmp_path / "a0.fits").read_bytes())
    monkeypatch.chdir(tmp_path)
    if content is not None:
        Path(name[1:]).write_bytes(content)
    code, out, err = run("combine", name, "-o", "b.fits", capsys=capsys)
    assert (code, out, err.count("\n")) == (3, "", 1)
    assert re.search(message, err)


def test_stdout_that_is_closed_or_full(tmp_path: Path) -> None:
    frames(tmp_path, *range(9))
    script = [sys.executable, "-c", "from xccd_command import run; run()", "scan", str(tmp_path)]
    head = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    head.wait()
    done = subprocess.run(script, stdout=head.stdin, stderr=subprocess.PIPE, text=True, check=False)
    head.stdin.close()
    assert (done.returncode, done.stderr) == (4, "")
    if Path("/dev/full").exists():
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(script, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
        assert (done.returncode, done.stderr.count("\n")) == (4, 1)
        assert "No space left" in done.stderr
