"""Draw the pictures of docs/choosing.md: python docs/make_choosing.py (curves from the tables of make_curves.py)."""

from __future__ import annotations

import csv
import tempfile
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

import xccd

FOLDER = Path(__file__).resolve().parent / "_static"
INK, BLUE, ORANGE, GRID = "#222222", "#1f5fa8", "#d9822b", "#dddddd"
LEAST = 0.1  # percent: smaller shares are drawn here
PANELS = (
    "noise", "noise, low=None", "noise, spare_cores=1.2", "swarp",
    "sigma, median, mad_std", "sigma, median, std", "sigma (mean, std, 1 pass)", "winsorized",
    "esd", "chauvenet", "chauvenet, robust", "linear_fit",
    "percentile", "percentile_rank", "extrema, 0 and 1", "lacosmic",
)  # fmt: skip


def main() -> None:
    """Write all pictures."""
    mpl.rcParams.update({"font.family": "DejaVu Sans", "font.size": 10})
    with open(FOLDER / "rejections.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if float(row["level"]) == 200]
    by_frames = [row for row in rows if row["share"] == "0.01"]
    by_share = [row for row in rows if row["frames"] == "10"]
    figure = curves(by_frames, "frames", "frames", (1, 2, 3, 5, 10, 25, 100), "")
    headed(figure, "1 % of the samples are hit by a cosmic ray. Lower is better.")
    figure.savefig(FOLDER / "rejections_frames.png", dpi=90)
    figure = curves(by_share, "share", "samples that are hit", (0.1, 1, 5, 20), " %")
    headed(figure, "10 frames. Lower is better.")
    figure.savefig(FOLDER / "rejections_share.png", dpi=90)
    stack, clipped = night()
    means = {name: image.ccd.combine("mean").values for name, image in clipped.items()}
    pictures("mean", {"no rejection": stack.mean("frame").values} | means, -30, 150, "gray")
    counts = {name: image.ccd.mask.sum("frame").values for name, image in clipped.items()}
    pictures("rejected", {"truth": truth_of(stack)} | counts, 0, 3, "gray_r")


def curves(rows: list[dict[str, str]], x: str, label: str, ticks: Iterable[float], unit: str) -> Figure:
    """A panel for each rule: shares of cosmic rays missed and of clean samples lost."""
    figure = Figure(figsize=(9.5, 9.6), facecolor="white", layout="constrained")
    grid = figure.subplots(4, 4, sharex=True, sharey=True)
    for axes, rule in zip(grid.flat, PANELS, strict=True):
        own = sorted((row for row in rows if row["rule"] == rule), key=lambda row: float(row[x]))
        at = [float(row[x]) * (100 if x == "share" else 1) for row in own]
        missed = [max(100 * (1 - float(row["found"])), LEAST) for row in own]
        lost = [max(100 * float(row["lost"]), LEAST) for row in own]
        axes.plot(at, missed, "-o", color=BLUE, ms=5, lw=2, clip_on=False, zorder=3)
        axes.plot(at, lost, "--s", color=ORANGE, mfc="white", ms=5, lw=1.5, clip_on=False, zorder=4)
        frame(axes, rule, tuple(ticks), unit)
    for axes in grid[-1]:
        axes.set_xlabel(label)
    return figure


def headed(figure: Figure, title: str) -> None:
    """The title, with the meaning of both lines under it."""
    lines = [
        mpl.lines.Line2D([], [], color=BLUE, marker="o", lw=2, label="cosmic rays that are missed"),
        mpl.lines.Line2D([], [], color=ORANGE, marker="s", mfc="white", ls="--", label="clean samples that are lost"),
    ]
    figure.legend(handles=lines, loc="outside upper center", ncols=2, frameon=False, title=title, title_fontsize=12)


def frame(axes: Axes, title: str, ticks: tuple[float, ...], unit: str) -> None:
    """Logarithmic axes with plain numbers."""
    axes.set(xscale="log", yscale="log", ylim=(LEAST, 100))
    axes.set_title(title, fontsize=10, color=INK)
    axes.set_xticks(ticks, [f"{tick:g}{unit}" for tick in ticks])
    axes.set_yticks([LEAST, 1, 10, 100], [f"\u2264{LEAST:g} %", "1 %", "10 %", "100 %"])
    axes.minorticks_off()
    axes.grid(color=GRID, lw=0.8)
    axes.spines[["top", "right"]].set_visible(False)


def night() -> tuple[Any, dict[str, Any]]:
    """Five lights of a simulated night, one with a satellite, and the stack after each rule."""
    folder = Path(tempfile.mkdtemp(prefix="xccd-docs-"))
    raw = xccd.simulate_night(folder, shape=(256, 256), nflat=0, nbias=0, seed=1)
    dark = xccd.open_stack(raw / "dark-120s-*.fits").ccd.combine("median")
    lights = xccd.open_stack(raw / "light-r-*.fits")[4:9].load()
    stack = (lights - dark.values).assign_attrs(lights.attrs)
    stack.attrs["truth"] = str(raw / "truth/cosmic-rays.fits")
    done = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few frames: the pictures show it
        for name, (algorithm, options) in calls().items():
            done[name] = stack.ccd.reject(algorithm, **options)
    return stack, done


def calls() -> dict[str, tuple[str, dict[str, Any]]]:
    """The rules of the gallery, by the names of their pictures."""
    import make_curves

    camera = ("noise", "lacosmic", "swarp")  # GAIN and RDNOISE are in the files
    found: dict[str, tuple[str, dict[str, Any]]] = {}
    for rule in make_curves.RULES:
        own = dict(rule.options)
        if rule.algorithm in camera:
            own = {k: v for k, v in own.items() if k not in ("readnoise", "gain", "noise")}
        if rule.algorithm == "swarp":
            own |= {"noise": make_curves.READ, "gain": "GAIN"}
        if rule.label in PANELS:
            found[rule.label] = (rule.algorithm, own)
    return {name: found[name] for name in PANELS} | {'"auto"': ("auto", {})}


def truth_of(stack: Any) -> Any:
    """How many samples of each pixel a cosmic ray or the satellite struck."""
    from astropy.io import fits

    return fits.getdata(stack.attrs["truth"])[4:9].sum(0)


def pictures(name: str, images: dict[str, Any], low: float, high: float, colors: str) -> None:
    """Cuts of all images, one stretch."""
    cut = np.s_[60:190, 60:190]
    figure = Figure(figsize=(9.5, 5.6), facecolor="white", layout="constrained")
    grid = figure.subplots(3, 6)
    base = np.nanmedian(next(iter(images.values()))) if name == "mean" else 0
    for axes, (title, image) in zip(grid.flat, images.items(), strict=True):
        axes.imshow(image[cut], origin="lower", cmap=colors, vmin=base + low, vmax=base + high, interpolation="nearest")
        axes.set_title(title, fontsize=8)
        axes.set(xticks=[], yticks=[])
    figure.savefig(FOLDER / f"rejections_{name}.png", dpi=90)


if __name__ == "__main__":
    main()
