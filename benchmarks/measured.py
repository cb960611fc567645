"""Processes, each with its time and its peak memory.

A small process starts each of them: the system counts the memory of the one that starts a process to the new one's
peak. A benchmark that had made 300 frames before was taken for 1.8 GB of a job that needs 0.8.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

UNIT = 1e6 if sys.platform == "darwin" else 1e3  # what a system's peak has to be divided by for MB
START = """import os, subprocess, sys, time
start = time.perf_counter()
process = subprocess.Popen(sys.argv[1:])
_, status, used = os.wait4(process.pid, 0)
seconds = time.perf_counter() - start
process.returncode = os.waitstatus_to_exitcode(status)
print(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss)
sys.exit(process.returncode != 0)
"""


class Ended(NamedTuple):
    """What a process took, and what it printed."""

    seconds: float
    cpu: float  # seconds of all threads: other work on the machine hardly changes it
    megabytes: float
    said: str


def run(command: Sequence[Any], folder: Path | None = None, **environ: str) -> Ended:
    """Run a command to its end in a folder; raises with the end of what it printed if it fails."""
    done = subprocess.run(
        [sys.executable, "-c", START, *map(str, command)], cwd=folder, env=os.environ | environ, text=True,
        stdin=subprocess.DEVNULL, capture_output=True, errors="replace",
    )  # fmt: skip
    said, _, last = done.stdout.rstrip("\n").rpartition("\n")
    if done.returncode:
        raise RuntimeError(f"{command[0]} failed:\n{said[-1000:]}{done.stderr[-1000:]}")
    seconds, cpu, peak = map(float, last.split())
    return Ended(seconds, cpu, peak / UNIT, said)
