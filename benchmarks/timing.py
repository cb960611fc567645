"""How a job is timed, checked and judged, and which machine it runs on.

python benchmarks/timing.py [--frames 25] [--size 1024] [--repeats 5]

prints the machine and how fast it reads and writes memory, which limits the speed of every job.
"""

from __future__ import annotations

import argparse
import os
import platform
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

Call = Callable[[], Any]
SLOW = 5.0  # seconds that the repeats of a peer may take together
PACKAGES = ("xccd", "numpy", "numba", "xarray", "astropy", "bottleneck", "ccdproc")


class Goal(NamedTuple):
    """A number, and its meaning."""

    kind: str  # "faster" (at least this many times), "at most" (this many times), "ns a sample", "ms more"
    number: float

    def value(self, ours: float, theirs: float, samples: int) -> float:
        """The value to compare with the number, from two durations in seconds."""
        if self.kind in ("faster", "at most"):
            return theirs / ours if self.kind == "faster" else ours / theirs
        return 1e9 * ours / samples if self.kind == "ns a sample" else 1e3 * (ours - theirs)

    def reached(self, value: float) -> bool:
        return value >= self.number if self.kind == "faster" else value <= self.number

    def text(self, number: float) -> str:
        unit = {"faster": "x faster", "at most": "x as long", "ns a sample": "ns each", "ms more": "ms more"}[self.kind]
        return f"{number:.2f} {unit:<9}" if number < 100 else f"{number:.0f} {unit:<9}"


@dataclass(frozen=True)
class Job:
    """A row; ``pair`` returns two results that must be equal, if these are not ours and the peer's."""

    name: str
    samples: int
    ours: Call
    peer: str = "-"
    theirs: Call | None = None
    goal: Goal | None = None
    bound: str = ""  # what limits ours
    pair: Call | None = None

    def check(self) -> None:
        """Compare the results; peers that sum in float32 round by about 1e-6."""
        with warnings.catch_warnings(action="ignore"):  # astropy warns of NaN
            got, expected = self.pair() if self.pair else (self.ours(), self.theirs() if self.theirs else np.nan)
        np.testing.assert_allclose(got, expected, rtol=1e-5, err_msg=f"{self.name}, {self.peer}")

    def time(self, repeats: int) -> tuple[list[float], list[float]]:
        """Seconds of ours and of the peer, alternating, after one run of each; fewer runs of a slow peer."""
        self.ours()
        turns = min(repeats, max(1, int(SLOW / max(seconds(self.theirs), 1e-9)))) if self.theirs else 0
        ours: list[float] = []
        theirs: list[float] = []
        for i in range(repeats):
            ours.append(seconds(self.ours))
            if self.theirs and i < turns:
                theirs.append(seconds(self.theirs))
        return ours, theirs


def seconds(call: Call) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def machine() -> dict[str, Any]:
    """Processor, caches and versions, needed to compare the numbers of two runs."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    except OSError:
        models = []
    caches = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = ((index / name).read_text().strip() for name in ("level", "type", "size"))
        if kind != "Instruction":
            caches.append(f"L{level} {size}")
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "caches": caches,
        "system": platform.platform(terse=True),
        "load": [round(v, 2) for v in os.getloadavg()] if hasattr(os, "getloadavg") else None,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
    }


def machine_text(about: dict[str, Any]) -> str:
    versions = ", ".join(f"{k} {v}" for k, v in about["versions"].items())
    return (
        f"{about['processor']}, {about['cores']} cores, {', '.join(about['caches']) or 'caches unknown'}; "
        f"load {about['load']}\n{about['system']}, Python {about['python']}, {versions}\n{about['date']}"
    )


def parser(about: str | None, size: int = 1024) -> argparse.ArgumentParser:
    """The options that all benchmarks take."""
    options = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--frames", type=int, default=25)
    options.add_argument("--size", type=int, default=size, help="pixels along a side of a frame")
    options.add_argument("--repeats", type=int, default=5)
    return options


def main() -> None:
    args = parser(__doc__).parse_args()
    print(machine_text(machine()))
    x = np.ones((args.frames, args.size * args.size), np.float32)
    out = np.empty_like(x)
    calls: dict[str, Call] = {
        "numpy sum, a plain read": lambda: np.sum(x),
        "numpy copyto, memory given": lambda: np.copyto(out, x),
        "numpy copy, new memory": lambda: x.copy(),
    }
    for name, call in calls.items():
        times = Job(name, x.size, call).time(args.repeats)[0]
        print(f"{name:<28}{1e3 * median(times):9.2f} ms {1e9 * median(times) / x.size:7.3f} ns a sample")


if __name__ == "__main__":
    main()
