"""`plot_transforms`: where frames lie on their reference, and how well their stars match."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.messages import a_type, called, did_you_mean, shown
from xccd.pictures.captions import fitting
from xccd.pictures.figure import INK, bare, check_axes, check_matplotlib, new_figure
from xccd.verbs.stats_table import short_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure
    from matplotlib.patches import Polygon

Array = np.ndarray[Any, Any]
PARTS = ("both", "frames", "residuals")
NEEDED = ("matrix", "residual", "stars_matched", "shape")
NAMED = 40  # frames whose names have room
BLUE, ORANGE = "#0072b2", "#d55e00"


def plot_transforms(
    found: xr.Dataset, *, what: str = "both", ax: Axes | None = None
) -> Figure | list[Polygon] | BarContainer:
    """Show what `find_transforms` found: the outlines of the frames on the reference, and their residuals.

    Parameters
    ----------
    found : Dataset
        What `find_transforms` returned, or some frames of it.
    what : {"both", "frames", "residuals"}, default: "both"
        The outlines, the residuals, or both.
    ax : matplotlib.axes.Axes, optional
        Draw one of the two into these axes.

    Returns
    -------
    matplotlib.figure.Figure, list of matplotlib.patches.Polygon, or BarContainer
        The figure; with ``ax`` the outlines, or the bars of the residuals.

    Raises
    ------
    TypeError
        ``found`` is not a Dataset.
    ValueError
        ``found`` is not from `find_transforms`, ``what`` is unknown, or "both" with ``ax``.
    ImportError
        matplotlib is not installed.

    Notes
    -----
    A dot marks the first pixel of each frame, so turned and mirrored frames are seen. Mirrored frames are dashed. The
    number at the end of a bar is that of the stars that match.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> x, y, peak = rng.uniform(8, 112, (2, 20)).tolist() + [rng.uniform(200, 2000, 20)]
    >>> v, u = np.mgrid[:120, :120]
    >>> image = sum(p * np.exp(-((u - a) ** 2 + (v - b) ** 2) / 4) for a, b, p in zip(x, y, peak))
    >>> stack = xccd.open_stack([(frame + rng.normal(100, 3, image.shape), {}) for frame in (image, image[::-1, ::-1])])
    >>> found = stack.ccd.find_transforms()
    >>> figure = found.ccd.plot_transforms()
    >>> [f"{bar.get_width():.0f}" for bar in figure.axes[1].patches]
    ['0', '0']
    """
    if not isinstance(found, xr.Dataset):
        raise TypeError(f"plot_transforms takes what find_transforms returns, a Dataset, not {a_type(found)}")
    lacking = [name for name in NEEDED if name not in found]
    if lacking or "frame" not in found.matrix.dims:
        raise ValueError(
            f"this Dataset has no {', '.join(lacking) or 'frames'}: plot_transforms takes what find_transforms returns"
        )
    if what not in PARTS:
        raise ValueError(f"what={called(what)} is unknown: use one of {', '.join(PARTS)}{did_you_mean(what, PARTS)}")
    check_axes(ax)
    if ax is not None and what == "both":
        raise ValueError("ax= takes one picture, what='both' has two: give what='frames' or what='residuals'")
    check_matplotlib()
    count = found.sizes["frame"]
    files = [str(v) for v in found.coords["file"].values.tolist()] if "file" in found.coords else []
    names = [shown(name) for name in short_names(files)] if files else [f"frame {i}" for i in range(count)]
    if ax is not None:
        return _outlines(ax, found) if what == "frames" else _residuals(ax, found, names)
    wide, high = 2 if what == "both" else 1, max(4.2, 1.4 + 0.17 * min(count, NAMED))
    figure = new_figure(5.6 * wide, high)
    axes = figure.subplots(1, wide, squeeze=False)[0]
    if what != "residuals":
        _outlines(axes[0], found)
    if what != "frames":
        _residuals(axes[-1], found, names)
    return figure


def _outlines(axes: Axes, found: xr.Dataset) -> list[Polygon]:
    """The edges of each frame, in pixels of the reference."""
    from matplotlib.patches import Polygon

    matrices, shapes = found.matrix.transpose("frame", "axis", "term").values, found["shape"].values
    base, made = found.attrs.get("reference"), []
    is_base = [bool(np.allclose(m, np.eye(2, 3))) and base is not None for m in matrices]
    for matrix, (height, width), same in zip(matrices, shapes, is_base, strict=True):
        right, top = width - 0.5, height - 0.5
        corners = np.array([[-0.5, -0.5, 1], [right, -0.5, 1], [right, top, 1], [-0.5, top, 1]]) @ matrix.T
        mirrored = np.linalg.det(matrix[:, :2]) < 0
        colour = INK if same else ORANGE if mirrored else BLUE
        patch = Polygon(corners, fill=False, ec=colour, lw=2.2 if same else 1.1, ls="--" if mirrored else "-")
        axes.add_patch(patch)
        made.append(patch)
        axes.plot(*corners[0], "o", color=colour, ms=5 if same else 4)
    every = np.concatenate([patch.get_xy() for patch in made])
    room = 0.05 * np.ptp(every, axis=0).max()
    (left, bottom), (right, top) = every.min(0) - room, every.max(0) + room
    axes.set(xlim=(left, right), ylim=(bottom, top), aspect="equal", xlabel="x of the reference [pixel]")
    axes.set_ylabel("y of the reference [pixel]")
    words = ["reference: thick", "dot: first pixel", "mirrored: dashed" if any(np.linalg.det(m[:, :2]) < 0 for m in
             matrices) else ""]  # fmt: skip
    axes.set_title(f"outlines of {len(made)} frames\n{', '.join(filter(None, words))}", fontsize=10, color=INK)
    return made


def _residuals(axes: Axes, found: xr.Dataset, names: list[str]) -> BarContainer:
    """Bars of the residuals, with the number of stars at their ends."""
    residual, stars = found.residual.values, found.stars_matched.values
    here = np.arange(residual.size)
    bars = axes.barh(here, residual, height=0.8, color=BLUE)
    if residual.size <= NAMED:
        axes.set_yticks(here, [fitting(name, 28) for name in names], fontsize=8, parse_math=False)
        axes.bar_label(bars, [f"{n} star{'s' * (n != 1)}" for n in stars.tolist()], padding=3, fontsize=8)
    else:
        axes.set_ylabel("frame")
    axes.set_ylim(residual.size - 0.5, -0.5)
    axes.set_xlim(0, max(0.01, 1.35 * float(np.nanmax(residual, initial=0.0))))
    bare(axes, "x")
    axes.set_xlabel("residual of matched stars [pixel]")
    axes.set_title(f"residuals, {found.attrs.get('model', 'model unknown')}", fontsize=10, color=INK)
    return bars
