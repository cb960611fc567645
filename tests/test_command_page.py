"""The page of the command line: each line that begins with $ runs, in order, in one folder."""

import re
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

import xccd
from test_cli import run

PAGE = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text("utf-8")
LINES = [line[2:] for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.S | re.M) for line in block.splitlines()]
START = (sys.executable, "-c", "from xccd_command import run; run()")
# Its start is another one for these: packages are blocked. The first line with each is a process of its own.
ALONE = ("combine", "calibrate")


def shell(line: str, folder: Path) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False, cwd=folder)


def words_of(line: str, folder: Path) -> list[str]:
    """The words of a line as a shell hands them to the command: without quotes, with globs expanded."""
    done = shell(f"printf '%s\\0' {line}", folder)
    assert done.returncode == 0, f"{line}\n{done.stderr}"
    return done.stdout.split("\0")[:-1]


@pytest.mark.skipif(shutil.which("bash") is None, reason="the lines are for a shell")
def test_the_lines_of_the_page_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """All run in this process, as its start takes a second; the night is a small one."""
    small = partial(xccd.simulate_night, shape=(160, 160), nbias=6, ndark=5, nflat=5, nlight=6)
    monkeypatch.setattr(xccd, "simulate_night", small)
    monkeypatch.chdir(tmp_path)
    assert len(LINES) > 15
    seen = set()
    for line in LINES:
        first, *_ = words = words_of(line, tmp_path) if line.startswith("xccd ") else [""]
        if first != "xccd":
            done = shell(line, tmp_path)
            code, said, err = done.returncode, done.stdout, done.stderr
        elif words[1] in ALONE and words[1] not in seen:
            alone = subprocess.run([*START, *words[1:]], capture_output=True, text=True, check=False)
            code, said, err = alone.returncode, alone.stdout, alone.stderr
        else:
            code, said, err = run(*words[1:], capsys=capsys)
        seen.update(words[1:2])
        assert code == 0, f"{line}\n{said}{err}"
        assert "error" not in err.lower(), line
        assert not any(sign in err for sign in ("warning: --", "Traceback")), f"{line}\n{err}"
    made = {path.name for path in tmp_path.rglob("*.fits")}
    assert {"bias.fits", "dark-60.fits", "flat-r.fits", "light-r.fits", "mosaic.fits", "noise.fits"} <= made
    assert seen >= {"demo", "scan", "calibrate", "align", *ALONE}
