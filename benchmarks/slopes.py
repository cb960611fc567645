"""How time and memory grow with frames, pixels and threads, and the tasks of a graph with files.

python benchmarks/slopes.py [--frames 1000] [--size 2048] [--repeats 3] [--plot FILE]

Each point is a separate process that clips until stable, combines and writes a file, within a limit of 300 MB. Seconds
and peak memory are those beyond its imports, in the best of the repeats. One sweep goes up to --frames frames at a size
of 256, the other up to --size with 20 frames. A straight line is fitted; "off" is the largest distance from it, as a
fraction of the greatest value.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from astropy.io import fits
from measured import run
from timing import machine, machine_text, parser

import xccd

LIMIT = "300 MB"
CHILD = """import resource, sys, time
import dask, dask.array, numba, xccd
from astropy.io import fits
from xccd.kernels.compiled import engine
files, out, threads, limit = sys.argv[4:], sys.argv[1], int(sys.argv[2]), sys.argv[3]
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000
job = lambda stack: stack.ccd.sigma_clip(3, 3, center='median', maxiters=None).ccd.combine('mean')
with dask.config.set(num_workers=threads):
    job(xccd.open_stack(files[:10])[:, :16]).compute()
    before, start = peak(), time.perf_counter()
    job(xccd.open_stack(files, memory=limit if limit != 'none' else None)).ccd.to_fits(out, overwrite=True)
    print(time.perf_counter() - start, peak() - before)
"""


def point(folder: Path, frames: int, threads: int, repeats: int, limit: str = LIMIT) -> tuple[float, float]:
    """The least seconds and MB of a job on the first frames of a folder."""
    files = [str(folder / f"{i}.fits") for i in range(frames)]
    command = [sys.executable, "-c", CHILD, str(folder / "out.fits"), str(threads), limit, *files]
    found = [run(command).said for _ in range(repeats)]
    seconds, megabytes = np.min([list(map(float, line.split())) for line in found], axis=0)
    return float(seconds), float(megabytes)


def make(folder: Path, frames: int, size: int) -> Path:
    """Frames of noise with some cosmic rays."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    for i in range(frames):
        image = rng.normal(1000, 20, (size, size)).astype("u2")
        image[rng.random(image.shape) < 1e-4] = 40000
        fits.PrimaryHDU(image).writeto(folder / f"{i}.fits")
    return folder


def line(x: list[float], y: list[float]) -> tuple[np.ndarray, float]:
    """A straight line through points, and the largest distance from it."""
    fit = np.polyfit(x, y, min(1, len(x) - 1))
    fit = np.pad(fit, (2 - fit.size, 0))
    return fit, float(np.abs(np.polyval(fit, x) - y).max() / max(y))


def sweep(name: str, x: list[float], points: list[tuple[float, float]]) -> dict[str, list[float]]:
    """A table of points, with the lines through them."""
    seconds, memory = (list(values) for values in zip(*points, strict=True))
    print(f"\n{name:>12}{'seconds':>10}{'MB':>8}")
    for row in zip(x, seconds, memory, strict=True):
        print("{:>12.6g}{:>10.3f}{:>8.0f}".format(*row))
    (slope, start), off = line(x, seconds)
    print(f"{1e3 * slope:.4g} ms each and {1e3 * start:.0f} ms once, off by {off:.0%}; at most {max(memory):.0f} MB")
    return {"x": x, "seconds": seconds, "MB": memory}


def draw(path: Path, found: dict[str, dict[str, list[float]]]) -> None:
    """Time and memory of both sweeps."""
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, len(found), figsize=(8, 5), sharex="col", layout="constrained")
    for column, (name, points) in enumerate(found.items()):
        for axis, key in zip(axes[:, column], ("seconds", "MB"), strict=True):
            axis.plot(points["x"], points[key], "o", color="C0")
            if key == "seconds":  # memory stops growing once bands reach their size
                ends = np.array([0, max(points["x"])])
                axis.plot(ends, np.polyval(line(points["x"], points[key])[0], ends), color="C0", lw=0.8)
            axis.set_ylim(0, 1.1 * max(points[key]))
            axis.set_ylabel(key if key == "seconds" else "MB beyond the imports")
        axes[1, column].set_xlabel(name)
    figure.savefig(path)


def main() -> None:
    options = parser(__doc__, size=2048)
    options.add_argument("--plot", type=Path, help="a picture of the slopes")
    options.set_defaults(frames=1000, repeats=3)
    given = options.parse_args()
    given.repeats = given.repeats if given.size > 256 else 1  # a trial
    print(machine_text(machine()))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        counts = sorted({n for n in (10, 30, 100, 300, 600, 1000) if n <= given.frames} | {given.frames})
        small = make(root / "small", max(counts), min(256, given.size))
        found = {"frames": sweep("frames", counts, [point(small, n, 2, given.repeats) for n in counts])}
        sizes = [given.size // 2, int(given.size / 2**0.5), given.size] if given.size > 256 else [given.size]
        folders = [make(root / str(size), min(20, given.frames), size) for size in sizes]
        pixels = [size**2 / 1e6 for size in sizes]
        n = min(20, given.frames)
        found["million pixels"] = sweep("Mpixels", pixels, [point(f, n, 2, given.repeats) for f in folders])
        one, two = (point(folders[-1], n, threads, given.repeats)[0] for threads in (1, 2))
        print(f"\nthreads: 1 takes {one:.3f} s, 2 take {two:.3f} s: {one / two:.2f} times")
        limited, free = (point(folders[-1], n, 2, 2 * given.repeats, limit)[0] for limit in (LIMIT, "none"))
        print(f"within {LIMIT} it takes {limited:.3f} s, without a limit {free:.3f} s: {limited / free:.2f} times")
        print("\ntasks of the graph of a clip and mean, bands of 64 rows:")
        for n in counts:
            stack = xccd.open_stack([small / f"{i}.fits" for i in range(n)], chunks={"y": 64})
            graph = stack.ccd.sigma_clip(3, 3, center="median").ccd.combine("mean").data.__dask_graph__()
            print(f"{n:>12} files: {len(graph)} tasks")
        if given.plot:
            draw(given.plot, found)


if __name__ == "__main__":
    main()
