"""`plot_rejection`: where samples were rejected, and how many of each frame, by cause."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.kernels.flags import Flag
from xccd.messages import called, did_you_mean
from xccd.pictures.captions import fitting, names_of
from xccd.pictures.causes import UNKNOWN, Cause, causes_of
from xccd.pictures.compared import original_of
from xccd.pictures.figure import INK, MISSING, MISSING_NAME, aspect_of, bare, check_axes, check_matplotlib, new_figure
from xccd.pictures.picked import nth
from xccd.pictures.subject import Subject, step_for, subject

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Array = np.ndarray[Any, Any]
PARTS = ("both", "map", "frames")
SIDE = 1024  # pixels of the map
SAMPLES = 1 << 26  # of all frames, that are looked at
NAMED = 40  # frames whose names have room beside the bars
LIMITS = int(Flag.BELOW_MINIMUM | Flag.ABOVE_MAXIMUM)


def plot_rejection(
    obj: xr.DataArray | xr.Dataset,
    original: xr.DataArray | xr.Dataset | None = None,
    *,
    what: str = "both",
    ax: Axes | None = None,
    dim: Hashable = "frame",
) -> Figure | AxesImage | list[BarContainer]:
    """Show what clips rejected: a map of how many samples of each pixel, and bars of each frame by cause.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack after a clip. Causes are known of a flagged Dataset, of a lazy clip, and with ``original``. Of any other
        stack the bars show what is missing.
    original : DataArray or Dataset, optional
        The stack before the clip: what is missing there was not rejected. A rejected sample is high if it is not below
        the median of the samples that are left.
    what : {"both", "map", "frames"}, default: "both"
        The map, the bars, or both.
    ax : matplotlib.axes.Axes, optional
        Draw the map or the bars into these axes.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    matplotlib.figure.Figure, matplotlib.image.AxesImage or list of BarContainer
        The figure; with ``ax`` the map, or the bars of each cause.

    Raises
    ------
    ValueError
        There is no dimension ``dim``, ``original`` does not fit, or ``what`` is unknown, or "both" with ``ax``.
    TypeError
        ``obj`` is not a DataArray or a Dataset, or samples are no real numbers.
    ImportError
        matplotlib is not installed.

    See Also
    --------
    stats : the numbers as a table
    plot_pixel : the samples of one pixel

    Notes
    -----
    Frames of more than 1024 pixels along a side are looked at by every n-th row and column, and the figure says so; the
    bars are then an estimate. A sample with several flags counts once, by the first of: missing or masked before,
    minimum, maximum, low, high, grown. All but the first are rejected here. `stats` counts those beyond the limits of
    `minmax`, and grown ones, apart from what clips rejected.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> frames = rng.normal(500, 5, (8, 32, 32))
    >>> frames[5, 4] += 300
    >>> stack = xccd.open_stack([(frame, {}) for frame in frames])
    >>> clipped = stack.ccd.sigma_clip(4, 4, center="median", deviation="mad_std")
    >>> figure = clipped.ccd.plot_rejection(stack)
    >>> figure.axes[1].get_title()
    'most are rejected of frame-6: 4.3 %'
    """
    shown = subject("plot_rejection", obj, dim, colours=False)
    if not shown.has_frames:
        raise ValueError(
            f"plot_rejection shows a stack, this is one image {dict(shown.stack.sizes)}: give the clipped frames, "
            "before combine"
        )
    before = None if original is None else original_of("plot_rejection", original, shown, one_for_all=False)
    if what not in PARTS:
        raise ValueError(f"what={called(what)} is unknown: use one of {', '.join(PARTS)}{did_you_mean(what, PARTS)}")
    check_axes(ax)
    if ax is not None and what == "both":
        raise ValueError("ax= takes one picture, what='both' has two: give what='map' or what='frames'")
    check_matplotlib()
    step = max(step_for(shown.size, SIDE), math.ceil(math.sqrt(shown.stack.size / SAMPLES)))
    numbers, causes = causes_of(shown, before, step)
    if ax is not None:
        return _map(ax, shown, numbers, causes, step) if what == "map" else _bars(ax, shown, numbers, causes, step)
    wide, high = {"both": 2, "map": 1, "frames": 1}[what], max(4.2, 1.4 + 0.17 * min(shown.count, NAMED))
    figure = new_figure(5.6 * wide, high)
    axes = figure.subplots(1, wide, squeeze=False)[0]
    if what != "frames":
        _map(axes[0], shown, numbers, causes, step)
    if what != "map":
        _bars(axes[-1], shown, numbers, causes, step)
    return figure


def _map(axes: Axes, shown: Subject, numbers: Array, causes: tuple[Cause, ...], step: int) -> AxesImage:
    """How many samples of each pixel were rejected; white is none, and blue a pixel without a sample."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.ticker import MaxNLocator

    rejected = [number for number, cause in enumerate(causes, 1) if cause.rejected]
    counts = np.isin(numbers, rejected).sum(0).astype(np.float32)
    empty = (numbers != 0).all(0)
    most = max(2.0, float(counts.max()))
    dark = LinearSegmentedColormap.from_list("xccd_counts", ["0.6", "0.0"]).with_extremes(under="white", bad=MISSING)
    image = axes.imshow(
        np.where(empty, np.nan, counts), cmap=dark, norm=Normalize(1, most), origin="lower", extent=shown.edges(step),
        aspect=aspect_of(*shown.size),
    )  # fmt: skip
    axes.set_xlabel("x [pixel]")
    axes.set_ylabel("y [pixel]")
    verb = "missing" if causes[0] is UNKNOWN else "rejected"
    lines = [f"samples {verb} of each pixel{_nth(step)}"]
    if empty.any():
        lines.append(f"{MISSING_NAME}: no sample is left")
    axes.set_title("\n".join(lines), fontsize=10, color=INK)
    bar = axes.figure.colorbar(image, ax=axes, shrink=0.8, label=f"samples of {shown.count}")
    bar.locator = MaxNLocator(integer=True)
    bar.update_ticks()
    return image


def _nth(step: int) -> str:
    return "" if step == 1 else f", every {nth(step)} row and column"


def _bars(
    axes: Axes, shown: Subject, numbers: Array, causes: tuple[Cause, ...], step: int
) -> list[BarContainer]:  # fmt: skip
    """The percent of the samples of each frame that are out, by cause; the first frame on top."""
    shares = np.stack([(numbers == k).mean((1, 2)) * 100 for k in range(1, len(causes) + 1)])
    here, left, made = np.arange(shown.count), np.zeros(shown.count), []
    for cause, share in zip(causes, shares, strict=True):
        if share.any():
            style: dict[str, Any] = {"color": cause.colour, "hatch": cause.hatch, "edgecolor": INK, "linewidth": 0.5}
            made.append(axes.barh(here, share, left=left, height=0.8, label=cause.name, **style))
            left = left + share
    axes.set_ylim(shown.count - 0.5, -0.5)
    names = [fitting(name, 28) for name in names_of(shown)]
    if shown.count <= NAMED:
        axes.set_yticks(here, names, fontsize=8, parse_math=False)
    else:
        axes.set_ylabel("frame")
    bare(axes, "x")
    axes.set_xlabel(f"samples of the frame [%]{_nth(step)}")
    axes.set_xlim(0, max(1e-3, 1.05 * left.max()))
    axes.set_title(_worst(names, shares, causes), fontsize=10, color=INK, parse_math=False)
    if made:
        axes.figure.legend(handles=made, loc="outside lower right", ncols=2, frameon=False, fontsize=8)
    return made


def _worst(names: list[str], shares: Array, causes: tuple[Cause, ...]) -> str:
    """The frame of which most samples were rejected; those beyond limits are told apart, as in `stats`."""
    rejected = shares[[cause.rejected for cause in causes]].sum(0)
    verb = "missing" if causes[0] is UNKNOWN else "rejected"
    if not rejected.any():
        return f"nothing is {verb}"
    worst = int(rejected.argmax())
    beyond = float(shares[[bool(cause.flags & LIMITS) for cause in causes]].sum(0)[worst])
    limits = f", {beyond:.2g} % by limits" if beyond else ""
    return f"most are {verb} of {names[worst]}: {rejected[worst]:.2g} %{limits}"
