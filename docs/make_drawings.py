"""Draw the pictures of docs/how_it_is_fast.md into docs/_static: python docs/make_drawings.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from xccd.kernels.compiled.groups import Group, grouped_network, needed_groups
from xccd.kernels.network import middle_rows

FOLDER = Path(__file__).resolve().parent / "_static"
WIDTH = 7  # inches: about 700 pixels
INK, PALE, BLUE, ORANGE, LIGHT = "#222222", "#c4c4c4", "#1f5fa8", "#eda65c", "#dbe7f5"


def main() -> None:
    """Write all pictures; the same text each time."""
    mpl.rcParams.update({"svg.hashsalt": "xccd", "font.family": "DejaVu Sans", "font.size": 10})
    for draw in (block, network, window):
        figure = draw()
        figure.savefig(FOLDER / f"{draw.__name__}.svg", facecolor="white", metadata={"Date": None})


def canvas(height: float, across: tuple[float, float], down: tuple[float, float]) -> tuple[Figure, Axes]:
    """A white figure with one empty pair of axes, downwards positive."""
    figure = Figure(figsize=(WIDTH, height), facecolor="white")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=across, ylim=down[::-1])
    axes.axis("off")
    return figure, axes


def cell(axes: Axes, x: float, y: float, color: str, **options: Any) -> None:
    """One sample."""
    axes.add_patch(Rectangle((x, y), 1, 1, facecolor=color, edgecolor="#8a9bb0", lw=0.6, **options))


def arrow(axes: Axes, start: tuple[float, float], end: tuple[float, float], style: str = "->") -> None:
    """An arrow from one place to another."""
    axes.annotate("", end, start, arrowprops={"arrowstyle": style, "color": INK, "lw": 1.2, "shrinkA": 0, "shrinkB": 0})


def block() -> Figure:
    """A stack, a tile of it, and a block of the tile as columns."""
    figure, axes = canvas(3.3, (0, 35), (0.3, 16.8))
    frames = 7
    axes.text(5.5, 1.4, "stack: one image a frame", ha="center")
    for k in reversed(range(frames)):
        x, y = 1 + 0.45 * k, 5.6 - 0.45 * k
        axes.add_patch(Rectangle((x, y), 6, 6, facecolor="white", edgecolor="#8a9bb0", lw=0.8))
        axes.add_patch(Rectangle((x, y + 2), 6, 1, facecolor=LIGHT, edgecolor="#8a9bb0", lw=0.4))
    axes.add_patch(Rectangle((1 + 1.5, 5.6 + 2), 2.5, 1, facecolor=BLUE, lw=0))
    axes.text(1, 12.4, "light: a tile, the same pixels\nof all frames, 4 MB", va="top", fontsize=9)
    axes.text(1, 14.5, "dark: a block of it", va="top", fontsize=9, color=BLUE)
    arrow(axes, (10.3, 8.1), (14.3, 8.1))
    axes.text(12.3, 7.6, "load", ha="center", fontsize=9)

    left, top, columns = 16, 4.5, 12
    axes.text(left + columns / 2, 1.4, "block: a buffer in cache, frames x columns", ha="center")
    for k in range(frames):
        for c in range(columns):
            cell(axes, left + c, top + k, ORANGE if c == 4 else LIGHT)
        axes.text(left - 0.4, top + k + 0.5, f"{k}", ha="right", va="center", fontsize=9)
    for k in (2, 5):
        axes.add_patch(Rectangle((left, top + k), columns, 1, fill=False, edgecolor=BLUE, lw=2.2))
    right = left + columns
    axes.plot([right + 0.2, right + 0.9, right + 0.9, right + 0.2], [top + 2.5, top + 2.5, top + 5.5, top + 5.5],
              color=BLUE, lw=1.6)  # fmt: skip
    axes.text(right + 1.3, top + 2.5, "becomes the\nlesser of both", va="center", fontsize=9, color=BLUE)
    axes.text(right + 1.3, top + 5.5, "becomes the\ngreater of both", va="center", fontsize=9, color=BLUE)
    axes.text(left + 4.5, top - 0.4, "one pixel", ha="center", color="#a85c12", fontsize=9)
    arrow(axes, (left, top + frames + 0.8), (right, top + frames + 0.8), "<->")
    axes.text(left + columns / 2, top + frames + 1.3, "a row: contiguous, 128 to 256 neighbouring pixels,\n"
              "begins on a cache line of 64 bytes", ha="center", va="top", fontsize=9)  # fmt: skip
    return figure


def layers(pairs: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    """The pairs in as few columns as can be drawn without an overlap, in their order."""
    drawn: list[list[tuple[int, int]]] = []
    free: dict[int, int] = {}  # from which column on a row has room
    for i, j in pairs:
        at = max(free.get(row, 0) for row in range(i, j + 1))
        drawn += [[]] if at == len(drawn) else []
        drawn[at].append((i, j))
        free.update(dict.fromkeys(range(i, j + 1), at + 1))
    return drawn


def network() -> Figure:
    """The groups of comparators that give the median of sixteen samples, one colour each."""
    n = 16
    rows = middle_rows(n)
    groups = needed_groups(grouped_network(n), n, rows)
    stages: list[list[Group]] = []  # of groups side by side: those that share no stretch of rows
    for group in groups:
        beside = stages and all(g.rows[-1] < group.rows[0] for g in stages[-1])
        stages = stages if beside else [*stages, []]
        stages[-1].append(group)
    drawn = [[(group, layers(group.pairs)) for group in stage] for stage in stages]
    widths = [max(len(columns) for _, columns in stage) for stage in drawn]
    end = sum(widths) + 0.8 * (len(widths) - 1)
    figure, axes = canvas(4.6, (-4.2, end + 7), (-2.2, n + 0.2))
    for k in range(n):
        middle = k in rows
        axes.plot([-0.8, end], [k, k], color=INK if middle else "#8a8a8a", lw=1.4 if middle else 0.7, zorder=1)
        axes.text(-1, k, f"row {k}", ha="right", va="center", fontsize=8)
    at, shades = 0.0, [LIGHT, "#f8e3cb"]
    for stage, width in zip(drawn, widths, strict=True):
        for place, (group, columns) in enumerate(stage):
            top, bottom = group.rows[0], group.rows[-1]
            axes.add_patch(Rectangle((at - 0.4, top - 0.45), width - 0.2, bottom - top + 0.9, zorder=0, lw=0,
                                     facecolor=shades[(place + len(columns)) % 2]))  # fmt: skip
            for column, pairs in enumerate(columns):
                for i, j in pairs:
                    axes.plot([at + column] * 2, [i, j], color=BLUE, lw=1.4, marker="o", ms=3.5, zorder=3)
        at += width + 0.8
    axes.plot([end, end + 0.3, end + 0.3, end], [rows[0]] * 2 + [rows[1]] * 2, color=INK, lw=1.2)
    axes.text(end + 0.6, sum(rows) / 2, "their mean is\nthe median", va="center", fontsize=9)
    said = (
        "Each line is a comparator: the lesser value goes to the upper row, the greater to the lower.\n"
        "Each shaded stretch is a group: its rows are read once and written once."
    )
    axes.text(-0.8, -1.4, said, va="center", fontsize=9)
    return figure


# a column with three outliers, of which each hides the next
COLUMN = (88.0, 97.2, 98.1, 98.7, 99.2, 99.6, 99.9, 100.1, 100.3, 100.6, 101.0, 101.5, 102.1, 102.8, 121.0, 190.0)


def passes(column: np.ndarray[Any, Any]) -> list[tuple[int, int, float, float]]:
    """Of each pass of a clip at 3 standard deviations from the median: window, median, deviation."""
    found = []
    lo, hi = 0, len(column)
    while True:
        some = column[lo:hi]
        center, deviation = np.median(some).item(), some.std().item()
        found.append((lo, hi, center, deviation))
        inside = np.flatnonzero(np.abs(some - center) <= 3 * deviation)
        if inside.size == some.size:
            return found
        lo, hi = lo + int(inside[0]), lo + int(inside[-1]) + 1


def window() -> Figure:
    """A sorted column and the window of its survivors, pass after pass."""
    column = np.array(COLUMN)
    found = passes(column)
    n = len(column)
    figure, axes = canvas(0.55 + 0.85 * len(found), (-2.6, 24), (0.1, 1.6 + 2.6 * len(found)))
    axes.text(
        0, 0.9, "one sorted column, lying on its side: the least sample on the left (orange: the middle)", va="center"
    )
    for number, (lo, hi, center, deviation) in enumerate(found):
        y = 1.9 + 2.6 * number
        for k, value in enumerate(column):
            inside = lo <= k < hi
            middle = lo + (hi - lo - 1) // 2 <= k <= lo + (hi - lo) // 2
            cell(axes, k, y, ORANGE if middle else LIGHT if inside else "white")
            axes.text(k + 0.5, y + 0.5, f"{value:.0f}", ha="center", va="center", fontsize=8,
                      color=INK if inside else "#8a8a8a")  # fmt: skip
        axes.add_patch(Rectangle((lo, y), hi - lo, 1, fill=False, edgecolor=BLUE, lw=2.2))
        axes.text(lo, y + 1.5, f"lo = {lo}", ha="left", va="center", fontsize=9, color=BLUE)
        axes.text(hi, y + 1.5, f"hi = {hi}", ha="right", va="center", fontsize=9, color=BLUE)
        axes.text(-0.4, y + 0.5, f"pass {number + 1}", ha="right", va="center", fontsize=9)
        last = number == len(found) - 1
        axes.text(n + 0.5, y + 0.5, f"median {center:.1f}, deviation {deviation:.1f}\n"
                  + ("nothing is outside: done" if last else f"keeps {center - 3 * deviation:.0f} to "
                     f"{center + 3 * deviation:.0f}"), va="center", fontsize=9)  # fmt: skip
    return figure


if __name__ == "__main__":
    main()
