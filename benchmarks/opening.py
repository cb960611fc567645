"""The time and memory of `open_stack` and `scan` per file: headers of 150 cards, for more and more files.

python benchmarks/opening.py [--frames 100000] [--repeats 3] [--scan]

Each count of files, a tenth of the one before, has a separate process. The files have 4 x 4 pixels and differ in one
card. Seconds are the least of the repeats, after some files were opened. Memory is the peak beyond that at this point.
"again" is a scan of the same files with `cache=`.

--scan: only `scan`, in MB and in seconds of the processor, as those of a clock depend on the disk; then its table,
repeated to a million rows in a Parquet file: the time to read it, to select 100 frames, and to open these as a stack.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from measured import run
from timing import machine, machine_text, parser

CHILD = """import resource, sys, time
import dask.array, xccd
files = [f'{sys.argv[1]}/{i}.fits' for i in range(int(sys.argv[2]))]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
xccd.open_stack(files[:10])
before, start = peak(), time.perf_counter()
stack = xccd.open_stack(files)
print(time.perf_counter() - start, peak() - before, len(stack.__dask_graph__()))
"""
SCAN = """import os, resource, sys, time
import xccd
folder, count = sys.argv[1], int(sys.argv[2])
files = [f'{folder}/{i}.fits' for i in range(count)]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
cache = f'{folder}/{count}.parquet'
xccd.scan(files[:10], cache=cache)
os.remove(cache)
before, times = peak(), [time.perf_counter()]
for _ in range(2):
    xccd.scan(files, cache=cache)
    times.append(time.perf_counter())
os.remove(cache)
print(times[1] - times[0], times[2] - times[1], peak() - before)
"""
TABLE = """import resource, sys, time
import dask.array, pandas as pd, xccd
folder, count = sys.argv[1], int(sys.argv[2])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
small = xccd.scan([f'{folder}/{i}.fits' for i in range(min(count, 1000))])
many = [small.assign(file=small['file'].str.replace(folder, f'{folder}/{k}' if k else folder)) for k in range(1000)]
pd.concat(many, ignore_index=True).iloc[:1_000_000].to_parquet(f'{folder}/million.parquet')
del many
xccd.open_stack(small[:10])
times = [time.perf_counter()]
table = pd.read_parquet(f'{folder}/million.parquet')
times.append(time.perf_counter())
some = table[(table.exposure == 30) & table['file'].isin(small['file'])][:100]
times.append(time.perf_counter())
stack = xccd.open_stack(some)
times.append(time.perf_counter())
print(len(table), *(b - a for a, b in zip(times, times[1:])), table.memory_usage(deep=True).sum() / 1e6)
"""


def found(child: str, folder: str, count: int, repeats: int) -> np.ndarray:
    """What the child prints, as (repeats, numbers)."""
    command = [sys.executable, "-c", child, folder, str(count)]
    return np.array([list(map(float, run(command).said.split())) for _ in range(repeats)])


def make(folder: Path, count: int) -> None:
    """Files with headers as long as a camera's."""
    header = fits.Header([(f"KEY{k:03d}", k * 1.5, "a comment") for k in range(140)])
    header.update({"EXPTIME": 30.0, "DATE-OBS": "2026-01-01T00:00:00", "OBJECT": "M 0000000"})
    fits.PrimaryHDU(np.zeros((4, 4), "u2"), header).writeto(folder / "first.fits")
    first = (folder / "first.fits").read_bytes()
    for i in range(count):
        (folder / f"{i}.fits").write_bytes(first.replace(b"M 0000000", b"M %07d" % i))


def _counts(frames: int) -> list[int]:
    return sorted({min(frames, max(10, frames // 10**k)) for k in range(3)})


def scan_alone(folder: str, counts: list[int], repeats: int) -> None:
    """Seconds and MB of scans, and of a table of a million rows."""
    print(f"{'files':>9}{'scan s':>12}{'again s':>12}{'MB':>12}")
    for count in counts:
        scanned = found(SCAN.replace("perf_counter", "process_time"), folder, count, repeats)
        print(f"{count:>9}{scanned[:, 0].min():>12.2f}{scanned[:, 1].min():>12.2f}{scanned[:, 2].max():>12.0f}")
    rows, read, chosen, opened, size = found(
        TABLE.replace("perf_counter", "process_time"), folder, counts[-1], repeats
    ).min(0)
    print(f"{rows:.0f} rows: read in {read:.2f} s, {size:.0f} MB, selected in {chosen:.2f} s, opened in {opened:.2f} s")


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(frames=100_000, repeats=3)
    options.add_argument("--scan", action="store_true")
    given = options.parse_args()
    print(machine_text(machine()))
    if given.scan:
        with tempfile.TemporaryDirectory() as name:
            make(Path(name), given.frames)
            scan_alone(name, _counts(given.frames), given.repeats)
        return
    head = ("ms a file", "kB a file", "tasks", "scan ms", "again ms", "kB a file")
    print(f"{'files':>9}" + "".join(f"{name:>12}" for name in head))
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), given.frames)
        for count in _counts(given.frames):
            opened, scanned = (found(child, name, count, given.repeats) for child in (CHILD, SCAN))
            seconds, megabytes, tasks = opened[:, 0].min(), opened[:, 1].max(), opened[0, 2]
            first, again, more = scanned[:, 0].min(), scanned[:, 1].min(), scanned[:, 2].max()
            cells = (1e3 * seconds / count, 1e3 * megabytes / count, tasks)
            cells = (*cells, 1e3 * first / count, 1e3 * again / count, 1e3 * more / count)
            print(f"{count:>9}" + "".join(f"{cell:>12.3f}" for cell in cells))


if __name__ == "__main__":
    main()
