"""The time and memory of `open_stack` per file: headers of 150 cards, for more and more files.

python benchmarks/opening.py [--frames 100000] [--repeats 3]

Each count of files, a tenth of the one before, has a separate process. The files have 4 x 4 pixels and differ in one
card. Seconds are the least of the repeats, after some files were opened. Memory is the peak beyond that at this point.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
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


def make(folder: Path, count: int) -> None:
    """Files with headers as long as a camera's."""
    header = fits.Header([(f"KEY{k:03d}", k * 1.5, "a comment") for k in range(140)])
    header.update({"EXPTIME": 30.0, "DATE-OBS": "2026-01-01T00:00:00", "OBJECT": "M 0000000"})
    fits.PrimaryHDU(np.zeros((4, 4), "u2"), header).writeto(folder / "first.fits")
    first = (folder / "first.fits").read_bytes()
    for i in range(count):
        (folder / f"{i}.fits").write_bytes(first.replace(b"M 0000000", b"M %07d" % i))


def main() -> None:
    options = parser(__doc__)
    options.set_defaults(frames=100_000, repeats=3)
    given = options.parse_args()
    print(machine_text(machine()))
    print(f"{'files':>9}{'ms a file':>12}{'kB a file':>12}{'tasks':>8}")
    with tempfile.TemporaryDirectory() as name:
        make(Path(name), given.frames)
        for count in sorted({max(10, given.frames // 10**k) for k in range(3)}):
            command = [sys.executable, "-c", CHILD, name, str(count)]
            runs = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(given.repeats)]
            found = np.array([list(map(float, run.stdout.split())) for run in runs])
            seconds, megabytes, tasks = found[:, 0].min(), found[:, 1].max(), found[0, 2]
            print(f"{count:>9}{1e3 * seconds / count:>12.3f}{1e3 * megabytes / count:>12.1f}{tasks:>8.0f}")


if __name__ == "__main__":
    main()
