"""Time against the count of frames, and plots of it and of the speed beside the peers.

python benchmarks/plots.py [--frames 25] [--size 128] [--repeats 5] [--plots FOLDER]

times the curves (frames x size x size samples each), prints them and, with a folder, draws them;
`compare.py --plots FOLDER` draws all.
"""

from __future__ import annotations

import warnings
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

import bottleneck as bn
import numpy as np
from chains import Array, of_frames, run, samples
from jobs import CLIP_MEAN, MEDIAN
from matplotlib.figure import Figure
from timing import Job, machine, parser

COUNTS: tuple[int, ...] = (5, 6, 8, 10, 12, 16, 17, 20, 25, 32, 33, 40, 50, 64, 65, 80, 100, 128, 129)
COUNTS += (160, 200, 256, 257, 320, 400, 512, 513, 640, 800, 1000)
MOST_OF_PEER = 100
PEER = "bottleneck nanmedian, float32"
CHAINS = {
    "clip + mean, float32": (CLIP_MEAN, "float32"),
    "median, float32": (MEDIAN, "float32"),
    "median, uint16": (MEDIAN, "uint16"),
}
COLORS = ("#0b6e4f", "#1f5fa8", "#d9822b", "#8a8a8a")
MARKS = ("s", "o", "^", "x")


Curves = dict[str, dict[int, list[float]]]


def curves(x: Array, repeats: int, threads: int = 1) -> Curves:
    """Nanoseconds per sample (median, min, max) for each count of frames; all with nearly the same count of samples."""
    found: Curves = {name: {} for name in (*CHAINS, PEER)}
    arrays = {dtype: x.astype(dtype) for dtype in ("float32", "uint16")}
    for n in COUNTS:
        for name, (chain, dtype) in CHAINS.items():
            few = of_frames(n, arrays[dtype])
            beside = n <= MOST_OF_PEER and name == "median, float32"
            theirs = partial(bn.nanmedian, few, axis=0) if beside else None
            times = Job(name, few.size, run(chain, few, threads=threads), theirs=theirs).time(repeats)
            for label, seconds in zip((name, PEER), times, strict=True):
                if seconds:
                    found[label][n] = [1e9 * f(seconds) / few.size for f in (median, min, max)]
    return found


def draw_curves(found: Curves, title: str, path: Path) -> None:
    """Draw lines through the medians, and bands from the least to the greatest."""
    figure = Figure(figsize=(8, 5), layout="constrained")
    axes = figure.add_subplot()
    for (name, values), color, mark in zip(found.items(), COLORS, MARKS, strict=True):
        middle, low, high = zip(*values.values(), strict=True)
        axes.plot(list(values), middle, color=color, marker=mark, ms=4, lw=1.5, label=name)
        axes.fill_between(list(values), low, high, color=color, alpha=0.15, lw=0)
    axes.set(xscale="log", yscale="log", xlabel="frames", ylabel="time per sample [ns]")
    _plain_ticks(axes.xaxis, (5, 10, 20, 50, 100, 200, 500, 1000))
    _plain_ticks(axes.yaxis, (0.2, 0.5, 1, 2, 5, 10, 20, 50, 100))
    axes.set_title(title, fontsize=10)
    axes.grid(color="0.9")
    figure.legend(frameon=False, fontsize=9, loc="outside lower center", ncols=2)
    figure.savefig(path)


def draw_ratios(rows: list[dict[str, Any]], title: str, path: Path) -> None:
    """Draw a bar for how many times faster than each peer, with a mark at the goal."""
    shown = [row for row in rows if row.get("goal", {}).get("kind") == "faster" and "xccd" not in row["peer"]]
    shown.sort(key=lambda row: row["value"])
    places, values, goals = range(len(shown)), [row["value"] for row in shown], [row["goal"]["number"] for row in shown]
    figure = Figure(figsize=(8, 1.2 + 0.4 * len(shown)), layout="constrained")
    axes = figure.add_subplot()
    axes.barh(places, np.subtract(values, 1), height=0.6, left=1, color=COLORS[1], alpha=0.85)
    axes.plot(goals, places, "|", color="black", ms=14, mew=2, label="goal")
    for place, value in zip(places, values, strict=True):
        at, color = (1, "white") if value > 1.5 else (max(1, value), "black")  # inside the bar if there is room
        axes.annotate(f"{value:.1f}", (at, place), (7, 0), textcoords="offset points", va="center", color=color)
    axes.set_yticks(places, [f"{row['name']}\n{row['peer']}" for row in shown], fontsize=8)
    axes.set(xscale="log", xlabel="times faster than the peer")
    axes.set_xlim(min(1.0, *values) * 0.8, max(1.0, *values, *goals) * 1.5)
    _plain_ticks(axes.xaxis, (0.5, 1, 2, 5, 10, 20, 50, 100, 200))
    axes.axvline(1, color="0.5", lw=1)
    axes.set_title(title, fontsize=10)
    axes.grid(axis="x", color="0.9")
    axes.set_axisbelow(True)
    axes.legend(frameon=False, fontsize=9, loc="lower right")
    figure.savefig(path)


def _plain_ticks(axis: Any, numbers: tuple[float, ...]) -> None:
    """The numbers within the limits, as text."""
    low, high = axis.get_view_interval()
    some = [v for v in numbers if low <= v <= high]
    axis.set_ticks(some, [f"{v:g}" for v in some])
    axis.set_ticks([], minor=True)


def main() -> None:
    options = parser(__doc__, size=128)
    options.add_argument("--plots", type=Path, metavar="FOLDER")
    args = options.parse_args()
    warnings.simplefilter("ignore")
    found = curves(samples(args.frames, args.size), args.repeats)
    print(f"{'ns a sample of':<32}" + "".join(f"{n:>7}" for n in COUNTS))
    for name, values in found.items():
        print(f"{name:<32}" + "".join(f"{values[n][0]:7.2f}" if n in values else f"{'-':>7}" for n in COUNTS))
    if args.plots:
        args.plots.mkdir(parents=True, exist_ok=True)
        draw_curves(found, machine()["processor"], args.plots / "frames.svg")


if __name__ == "__main__":
    main()
