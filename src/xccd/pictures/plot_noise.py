"""`plot_noise`: how the noise of a mean falls with the number of its frames."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.pictures.figure import INK, PALE, check_axes, check_matplotlib, new_figure
from xccd.pictures.subject import Subject, subject
from xccd.sky.stars import noise_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

Array = np.ndarray[Any, Any]
OF_FRAME, OF_STACK = 1 << 18, 1 << 26  # samples that are looked at, in whole rows
POINTS = 40  # of the curve; of fewer frames one for each
BLUE, ORANGE = "#1f5fa8", "#d9822b"


def plot_noise(
    obj: xr.DataArray | xr.Dataset, *, ax: Axes | None = None, dim: Hashable = "frame"
) -> list[Line2D]:  # fmt: skip
    """Show the noise of the mean of the first 1, 2, 3, ... frames, and the line of 1 / sqrt(N).

    Noise above the line does not average down: a pattern that all frames share, as that of a missing flat, or samples
    that a clip has not rejected.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack. Samples that are not in use count for no mean.
    ax : matplotlib.axes.Axes, optional
        Draw into these axes.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    list of matplotlib.lines.Line2D
        The noise that was measured, and the line of 1 / sqrt(N).

    Raises
    ------
    ValueError
        There is no dimension ``dim``, a row has fewer than 5 pixels, or no noise can be measured.
    TypeError
        ``obj`` is not a DataArray or a Dataset, or samples are no real numbers.
    ImportError
        matplotlib is not installed.

    Notes
    -----
    Noise is that of `stats`: from differences along rows, 1.4826 / sqrt(6) times the median of
    abs(2 x(i) - x(i - 2) - x(i + 2)). The line begins at the median noise of the single frames. Some 2^18 samples of a
    frame are looked at, in whole rows.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> stack = xccd.open_stack([(rng.normal(500, 6, (256, 256)), {}) for _ in range(9)])
    >>> measured, expected = stack.ccd.plot_noise()
    >>> measured.get_ydata()[-1].round(1).item(), expected.get_ydata()[-1].round(1).item()
    (2.0, 2.0)
    """
    shown = subject("plot_noise", obj, dim, colours=False)
    if not shown.has_frames:
        raise ValueError(f"plot_noise shows a stack, this is one image {dict(shown.stack.sizes)}")
    if shown.size[1] < 5:
        raise ValueError(f"noise is measured along rows of 5 pixels or more, these have {shown.size[1]}")
    check_axes(ax)
    check_matplotlib()
    counts, noise, single = noise_by_count(shown)
    if not np.isfinite(noise).any():
        raise ValueError("no noise can be measured: no row has samples with neighbours")
    axes = new_figure(6.0, 4.2).subplots() if ax is None else ax
    unit = str(shown.stack.attrs.get("units") or "no unit")
    expected = single / np.sqrt(counts)
    (line,) = axes.plot(counts, expected, "--", color=ORANGE, lw=1.5, label="1 / sqrt(N) of a single frame")
    (points,) = axes.plot(counts, noise, "-o", color=BLUE, ms=4, lw=1.5, label="measured in the mean of N frames")
    _dressed(axes, counts, np.concatenate([noise, expected]))
    axes.set_xlabel("frames in the mean, N")
    axes.set_ylabel(f"noise [{unit}]", parse_math=False)
    gain = f"{single / noise[-1]:.3g}" if noise[-1] > 0 else "no number of"
    axes.set_title(
        f"{shown.count} frames lower the noise {gain} times, sqrt(N) is {np.sqrt(shown.count):.3g}",
        fontsize=10, color=INK,
    )  # fmt: skip
    axes.legend(frameon=False, fontsize=8)
    return [points, line]


def noise_by_count(shown: Subject) -> tuple[Array, Array, float]:
    """Numbers of frames, the noise of the mean of so many, and the median noise of single frames."""
    height, width = shown.size
    rows = max(1, min(OF_FRAME, OF_STACK // shown.count) // width)
    values = shown.look(-(-height // rows), columns=1)
    n = shown.count
    counts = np.unique(np.geomspace(1, n, POINTS).round().astype(int)) if n > POINTS else np.arange(1, n + 1)
    total, used, noise = np.zeros(values.shape[1:]), np.zeros(values.shape[1:], int), []
    for number, frame in enumerate(values, 1):
        total += np.nan_to_num(frame)
        used += ~np.isnan(frame)
        if number in counts:
            with np.errstate(invalid="ignore"):
                noise.append(noise_of(total / used))
    singles = np.array([noise_of(frame) for frame in values])
    singles = singles[np.isfinite(singles)]
    return counts, np.array(noise), float(np.median(singles)) if singles.size else np.nan


def _dressed(axes: Axes, counts: Array, levels: Array) -> None:
    """Logarithmic axes with plain numbers, where there is a noise above 0."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    good = levels[np.isfinite(levels)]
    if good.size and good.min() > 0:
        axes.set_yscale("log")
        few = good.max() / good.min() < 20  # between two powers of ten there would be hardly a number
        axes.yaxis.set_major_locator(LogLocator(10, range(1, 10) if few else (1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())
    if counts[-1] > 1:
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(10, (1, 2, 5)))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(color=PALE, lw=0.8)
    axes.spines[["top", "right"]].set_visible(False)
