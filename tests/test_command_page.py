"""The page of the command line: each line that begins with $ runs, in order, in one folder."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).parents[1] / "docs" / "command_line.md").read_text("utf-8")
LINES = [line[2:] for block in re.findall(r"^```console\n(.*?)^```", PAGE, re.S | re.M) for line in block.splitlines()]
SMALL = """
import xccd
from functools import partial
xccd.simulate_night = partial(xccd.simulate_night, shape=(160, 160), nbias=6, ndark=5, nflat=5, nlight=6)
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="the lines are for a shell")
def test_the_lines_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All in one process of the command for each, as a user's; the night is a small one."""
    command = tmp_path / "bin/xccd"
    command.parent.mkdir()
    text = SMALL.replace("\n", "\n    ").rstrip()
    command.write_text(f"#!{sys.executable}\nimport sys\nif 'demo' in sys.argv:{text}\n"
                       "from xccd_command import run\nrun()\n")  # fmt: skip
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    (tmp_path / "home").mkdir()
    assert len(LINES) > 15
    for line in LINES:
        done = subprocess.run(
            ["bash", "-c", line], capture_output=True, text=True, check=False, cwd=tmp_path / "home"
        )  # fmt: skip
        assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
        assert "error" not in done.stderr.lower(), line
        assert not any(sign in done.stderr for sign in ("warning: --", "Traceback")), f"{line}\n{done.stderr}"
    made = {path.name for path in (tmp_path / "home").rglob("*.fits")}
    assert {"bias.fits", "dark-60.fits", "flat-r.fits", "light-r.fits", "mosaic.fits", "noise.fits"} <= made
