"""The picture of the demo: a light before and after each step, the mean of all, and what was rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.pictures.figure import INK, MISSING_NAME, check_matplotlib, new_figure
from xccd.pictures.limits import limits_of
from xccd.pictures.panels import Panel, draw
from xccd.pictures.plot_rejection import plot_rejection
from xccd.pictures.subject import step_for, subject
from xccd.verbs.stats_table import short_names

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = np.ndarray[Any, Any]
SIDE = 512


def demo_picture(raw: xr.DataArray, lights: xr.DataArray, clipped: xr.DataArray, image: xr.DataArray) -> Figure:
    """Six panels: the worst light raw, calibrated and clipped; the mean of all; the map and the bars of rejections."""
    check_matplotlib()
    rejected = np.isnan(clipped.values) & ~np.isnan(lights.values)
    worst = int(rejected.sum((1, 2)).argmax())
    name = short_names([str(v) for v in raw.coords["file"].values.tolist()])[worst]
    shown = {
        f"{name}, raw": raw[worst],
        f"{name}, calibrated": lights[worst],
        f"{name}, clipped": clipped[worst],
        f"mean of {lights.sizes['frame']} clipped lights": image,
    }
    step = step_for((lights.sizes["y"], lights.sizes["x"]), SIDE)
    values = {title: subject("preview", one).look(step)[0] for title, one in shown.items()}
    plane = sky_plane(values[f"mean of {lights.sizes['frame']} clipped lights"])
    flattened = {title: one if title.endswith("raw") else one - plane for title, one in values.items()}
    own = limits_of(flattened[f"{name}, raw"], None, None, False)
    same = limits_of(flattened[f"{name}, calibrated"], None, None, False)
    figure = new_figure(13.5, 9.2)
    axes = figure.subplots(2, 3)
    words = ("the raw frame in its own grey levels", *["less a plane fitted to the sky"] * 3)
    for one, (title, pixels), more in zip(axes.flat, flattened.items(), words, strict=False):
        edges = subject("preview", shown[title]).edges(step)
        image_of = draw(one, Panel(pixels, own if title.endswith("raw") else same, edges, title, more), None)
    unit = str(lights.attrs.get("units") or "adu")
    figure.colorbar(image_of, ax=axes[1, 0], extend="both", label=f"{unit}, for the three panels of one stretch")
    plot_rejection(clipped, lights, what="map", ax=axes[1, 1])
    plot_rejection(clipped, lights, what="frames", ax=axes[1, 2])
    figure.suptitle(
        f"A satellite and cosmic rays are rejected before the mean. {MISSING_NAME.capitalize()} pixels have no sample: "
        "rejected, or dead as the column at the left.\nThe sky is brighter at one side, as near a moon: the images "
        "in one stretch are shown without that gradient.",
        fontsize=11, color=INK,
    )  # fmt: skip
    return figure


def sky_plane(values: Array) -> Array:
    """A plane through the sky of an image, without stars: fitted three times to what is near the last one."""
    y, x = np.indices(values.shape)
    terms = np.stack([np.ones(values.size), x.ravel(), y.ravel()], axis=1)
    flat = values.ravel()
    use = np.isfinite(flat)
    plane = np.full(values.size, np.median(flat[use]) if use.any() else 0.0)
    for _ in range(3):
        off = flat - plane
        spread = 1.5 * float(np.median(np.abs(off[use]))) if use.any() else 0.0
        near = use & (np.abs(np.where(use, off, 0)) <= 3 * spread)
        if np.count_nonzero(near) < 3:
            break
        plane = terms @ np.linalg.lstsq(terms[near], flat[near], rcond=None)[0]
    return plane.reshape(values.shape)
