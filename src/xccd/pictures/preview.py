"""`preview`: the frames of a stack, or an image, as pictures side by side."""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.labels.problems import problems
from xccd.messages import called, did_you_mean, is_whole
from xccd.pictures.captions import captions, check_keys, names_of
from xccd.pictures.compared import original_of
from xccd.pictures.figure import check_axes, check_matplotlib, greys, new_figure
from xccd.pictures.limits import check_limits, limits_of
from xccd.pictures.panels import LINE, Panel, draw, layout, montage, words_around
from xccd.pictures.picked import nth, picked
from xccd.pictures.subject import Subject, step_for, subject
from xccd.sky.frame_wcs import wcs as wcs_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Array = np.ndarray[Any, Any]
STRETCHES = ("same", "each")
SIDE, SIDES = (192, 1024), 2048  # pixels of a panel along its longer side, and of all panels of a row


def preview(
    obj: xr.DataArray | xr.Dataset,
    original: xr.DataArray | xr.Dataset | None = None,
    *,
    n: int = 12,
    stretch: str = "same",
    vmin: float | None = None,
    vmax: float | None = None,
    keys: str | Iterable[str] | None = None,
    wcs: bool = False,
    cmap: Any = None,
    col_wrap: int | None = None,
    add_colorbar: bool = True,
    ax: Axes | None = None,
    dim: Hashable = "frame",
) -> Figure | AxesImage:
    """Show the frames of a stack side by side, or one image, in the grey levels of zscale.

    Pixels without a sample (missing, masked or rejected) are blue, which is darker than any grey. Large frames are
    shown by every n-th row and column, and the picture says so.

    Parameters
    ----------
    obj : DataArray or Dataset
        A stack (frame, y, x), a stack of colours (frame, channel, y, x), or one image. A Dataset must have one
        variable that is not a map; samples with a flag count as missing.
    original : DataArray or Dataset, optional
        The same frames before a clip or a calibration, or one frame: each is shown at the left of its result, in
        the same stretch, which is that of the original.
    n : int, default: 12
        The most frames that are shown. Of more frames every second, third, ... is shown.
    stretch : {"same", "each"}, default: "same"
        One pair of limits for all frames, or one for each.
    vmin, vmax : float, optional
        Limits of grey in place of those of zscale.
    keys : str or list of str, optional
        Keywords or labels in the titles. Default: IMAGETYP, OBJECT, FILTER, EXPTIME and DATE-OBS where there are such.
        What all frames share is in the title of the figure.
    wcs : bool, default: False
        Label the axes by the WCS of each frame.
    cmap : str or Colormap, optional
        Colours in place of greys.
    col_wrap : int, optional
        Frames in a row. Default: as many as give a figure of usual shape.
    add_colorbar : bool, default: True
        Whether a bar shows the levels, with the unit. Colours have none.
    ax : matplotlib.axes.Axes, optional
        Draw one frame into these axes.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    matplotlib.figure.Figure or matplotlib.image.AxesImage
        The figure; with ``ax`` the image in it.

    Raises
    ------
    ValueError
        An argument is out of range, a keyword is unknown, ``original`` does not fit, there are several frames for
        ``ax``, or no WCS for ``wcs``.
    TypeError
        ``obj`` or an argument has a wrong type, or samples are no real numbers.
    ImportError
        matplotlib is not installed.

    See Also
    --------
    blink : the frames one after the other
    plot_rejection : which samples were rejected

    Notes
    -----
    Of files only the rows that are shown are read; of clips and calibrations only these are computed. Other dask arrays
    are computed chunk by chunk. A colour has its own limits, so that the sky is grey.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> rng = np.random.default_rng(0)
    >>> cards = {"FILTER": "r", "EXPTIME": 120.0, "BUNIT": "adu"}
    >>> stack = xccd.open_stack([(rng.normal(500, 5, (64, 64)), cards) for _ in range(3)])
    >>> figure = stack.ccd.preview()
    >>> [axes.get_title() for axes in figure.axes[:3]]
    ['frame-1', 'frame-2', 'frame-3']
    >>> figure.get_suptitle()
    '3 frames 64 x 64: r, 120 s'
    >>> figure.savefig("preview.png")  # doctest: +SKIP
    """
    what = subject("preview", obj, dim)
    before = None if original is None else original_of("preview", original, what)
    _check(n, stretch, wcs, col_wrap)
    check_limits(vmin, vmax)
    names = check_keys(what, keys)
    check_axes(ax)
    some = picked(what.count, n)
    numbers = some.numbers
    if ax is not None and (len(numbers) > 1 or before is not None):
        many = f"{what.count} frames" if before is None else "two pictures"
        raise ValueError(f"ax= takes one picture, there are {many}: leave ax out, or pick one, as stack.isel({dim}=0)")
    if ax is not None and wcs and not hasattr(ax, "wcs"):
        raise ValueError("wcs=True: ax has no WCS, make it by plt.subplot(projection=image.ccd.wcs())")
    systems = [_wcs(what, i) for i in numbers] if wcs else [None] * len(numbers)
    check_matplotlib()
    greys(cmap)
    sets = (what,) if before is None else (before, what)
    side = min(max(SIDES // max(1, round((len(sets) * len(numbers)) ** 0.5)), SIDE[0]), SIDE[1])
    panels, head = _panels(sets, numbers, side, names, systems, stretch == "same", vmin, vmax)
    if ax is not None:
        image = draw(ax, panels[0], cmap)
        if add_colorbar and not what.has_colours:
            ax.figure.colorbar(image, ax=ax, extend="both").set_label(_unit(what), parse_math=False)
        return image
    rows, columns, width, height = layout(len(panels), what.size, col_wrap, before is not None)
    figure = new_figure(columns * width + 0.9, rows * (height + 2 * LINE) + 0.8, "compressed")
    images = montage(figure, (rows, columns), panels, cmap)
    words_around(figure, [head, some.text], panels)
    if add_colorbar and not what.has_colours:
        _bars(figure, images, _unit(what), stretch == "same" or len(panels) == 1)
    return figure


def _check(n: Any, stretch: Any, wcs: Any, col_wrap: Any) -> None:
    for name, value in (("n", n), ("col_wrap", 1 if col_wrap is None else col_wrap)):
        if not is_whole(value):
            raise TypeError(f"{name}={value!r} is no whole number")
        if value < 1:
            raise ValueError(
                f"{name}={value!r} is below 1: give how many frames {'to show' if name == 'n' else 'a row has'}"
            )
    if stretch not in STRETCHES:
        near = did_you_mean(stretch, STRETCHES)
        raise ValueError(f"stretch={called(stretch)} is unknown: use one of {', '.join(STRETCHES)}{near}")
    if not isinstance(wcs, bool | np.bool_):
        raise TypeError(f"wcs={wcs!r} is not True or False: the WCS is that of each frame")


def _wcs(what: Subject, i: int) -> Any:
    stack = what.stack.isel(channel=0) if what.has_colours else what.stack
    return wcs_of(stack, i if what.has_frames else None)


def _panels(
    sets: tuple[Subject, ...], numbers: list[int], side: int, keys: tuple[str, ...], systems: list[Any], same: bool,
    vmin: Any, vmax: Any,
) -> tuple[list[Panel], str]:  # fmt: skip
    """The panels in their order, and the title of all."""
    what = sets[-1]
    step = step_for(what.size, side)
    values = [one.look(step, numbers if one.count > 1 else [0]) for one in sets]
    shared, rest = captions(what, keys, numbers)
    why = problems(what.stack, what.dim) if what.has_frames else []
    together = limits_of(values[0], vmin, vmax, what.has_colours) if same else None
    panels = []
    for k, i in enumerate(numbers):
        limits = together or limits_of(values[0][min(k, len(values[0]) - 1)][None], vmin, vmax, what.has_colours)
        for one, some in zip(sets, values, strict=True):
            at = min(k, len(some) - 1)
            name, of = names_of(one)[i if one.count > 1 else 0], "original" if one is not what else ""
            label = ", ".join(filter(None, (name, of)))
            panels.append(Panel(some[at], limits, one.edges(step), label, rest[k], systems[k], why[i] if why else "",
                                step))  # fmt: skip
    return panels, _head(what, step, shared)


def _head(what: Subject, step: int, shared: list[str]) -> str:
    height, width = what.size
    count = "" if not what.has_frames else f"{what.count} frame{'s' * (what.count > 1)} "
    text = f"{count}{height} x {width}{'' if step == 1 else f', every {nth(step)} row and column'}"
    return f"{text}: {', '.join(shared)}" if shared else text


def _unit(what: Subject) -> str:
    return str(what.stack.attrs.get("units") or "no unit")


def _bars(figure: Figure, images: list[AxesImage], unit: str, same: bool) -> None:
    """A colour bar for all images, or for each."""
    for some in [images] if same else [[image] for image in images]:
        axes = [image.axes for image in some]
        options: dict[str, Any] = {"shrink": 0.8, "aspect": 30} if same else {"shrink": 0.8, "aspect": 20, "pad": 0.02}
        bar = figure.colorbar(some[0], ax=axes, extend="both", **options)
        bar.set_label(unit, fontsize=8, parse_math=False)
        bar.ax.tick_params(labelsize=8 if same else 6)
