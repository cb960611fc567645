"""`xccd completion`: scripts that shells read, and what bash then completes."""

import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from test_shell import run

SHELLS = ("bash", "zsh", "fish")


@pytest.fixture
def xccd_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder on PATH with the command."""
    command = tmp_path / "bin/xccd"
    command.parent.mkdir()
    command.write_text(f"#!{sys.executable}\nfrom xccd_command import run\nrun()\n")
    command.chmod(command.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(command.parent), prepend=":")
    return tmp_path


ASKED = {
    "xccd com": ["combine", "completion"],
    "xccd combine --sig": ["--sigma-clip"],
    "xccd align --method dri": ["drizzle"],
    "xccd combine @none.txt a": ["by default"],  # names of files, by bash itself; no list is read
    "xccd calibrate a.fits -o b": ["by default"],
}


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not here")
def test_bash_completes(xccd_on_path: Path) -> None:
    lines = ['eval "$(xccd completion bash)"', 'compopt() { COMPREPLY+=("by $2"); }']
    for typed in ASKED:
        lines += [f"COMP_WORDS=({typed}); COMP_CWORD={typed.count(' ')}; COMPREPLY=()", "_xccd_completion xccd",
                  'printf "%s," "${COMPREPLY[@]}"; echo']  # fmt: skip
    done = subprocess.run(
        ["bash", "-c", "\n".join(lines)], capture_output=True, text=True, check=True, cwd=xccd_on_path
    )
    assert done.stderr == ""
    assert [line.rstrip(",").split(",") for line in done.stdout.splitlines()] == list(ASKED.values())


@pytest.mark.parametrize("shell", SHELLS)
def test_scripts(shell: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run("completion", shell, capsys=capsys)
    assert (code, err) == (0, "")
    assert "_XCCD_COMPLETE" in said
    if shutil.which(shell):
        (tmp_path / "script").write_text(said)
        subprocess.run([shell, "-n", str(tmp_path / "script")], check=True)


def test_another_shell(capsys: pytest.CaptureFixture[str]) -> None:
    code, said, err = run("completion", "tcsh", capsys=capsys)
    assert (code, said) == (2, "")
    assert "'tcsh' is not one of 'bash', 'zsh', 'fish'" in err
