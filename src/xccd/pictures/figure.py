"""Figures: the colours of all pictures, new figures, and what is said without matplotlib."""

from __future__ import annotations

import io
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

# Greys begin here, and missing pixels are darker than any grey: they are seen in colour, in a print in grey, and by
# the colour-blind.
DARKEST = 0.25
MISSING = "#0000c0"
MISSING_NAME = "blue"
SLIM = (0.15, 4.0)  # height over width of the slimmest panels
SLIMMEST = 20  # an image that is longer than so many times its width is drawn as a panel of these
INK, PALE = "#222222", "#dddddd"


def check_matplotlib() -> None:
    """Raise ImportError with the way out if matplotlib is missing."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError(
            "pictures need matplotlib: pip install 'xccd[plot]' or conda install matplotlib-base"
        ) from error


def check_axes(ax: Any) -> None:
    """Raise unless ``ax`` is None or axes of matplotlib."""
    if ax is not None and not (hasattr(ax, "imshow") and hasattr(ax, "figure")):
        kind = type(ax).__name__
        way = ": give one of them, as axes.flat[0]" if kind in ("ndarray", "list", "tuple") else ""
        raise TypeError(f"ax= is of type {kind}, not matplotlib's Axes{way or ', as plt.subplots() makes them'}")


def greys(cmap: Any = None) -> Colormap:
    """The greys of images, or another colormap, with the colour of missing pixels."""
    import matplotlib as mpl
    from matplotlib.colors import LinearSegmentedColormap

    made: Colormap
    if cmap is None:
        made = LinearSegmentedColormap.from_list("xccd_grey", [(DARKEST,) * 3, (1.0, 1.0, 1.0)])
    else:
        try:
            made = mpl.colormaps.get_cmap(cmap)
        except (TypeError, ValueError) as error:
            raise type(error)(f"cmap={cmap!r} is no colormap of matplotlib: {error}") from error
    return made.with_extremes(bad=MISSING)


def new_figure(width: float, height: float, layout: str = "constrained") -> Figure:
    """A figure of this size in inches; "compressed" for images, whose shape is fixed.

    Where pyplot opens windows it is one of pyplot's, so that ``plt.show()`` shows it. Elsewhere (in a notebook, or
    without a screen) it stands alone: a notebook shows it once, and nothing is left behind.
    """
    size: dict[str, Any] = {"figsize": (width, height), "layout": layout}
    if _has_windows():
        import matplotlib.pyplot as plt

        found: Figure = plt.figure(**size)
        return found
    alone: Figure = _alone()(**size)
    return alone


def _has_windows() -> bool:
    import matplotlib.pyplot as plt
    from matplotlib.backends.registry import BackendFilter, backend_registry

    backend = str(plt.get_backend()).lower()
    known: Any = backend_registry
    return backend not in known.list_builtin(BackendFilter.NON_INTERACTIVE) and "inline" not in backend


@cache
def _alone() -> Any:
    from matplotlib.figure import Figure

    class Picture(Figure):
        """A figure that a notebook shows without pyplot."""

        def _repr_png_(self) -> bytes:
            buffer = io.BytesIO()
            self.savefig(buffer, format="png")
            return buffer.getvalue()

    return Picture


def aspect_of(height: float, width: float) -> float:
    """How many times as high as wide pixels are drawn: 1, but of an image that would be a line, as 1 x 1000 pixels."""
    ratio = height / width
    return 1.0 if 1 / SLIMMEST <= ratio <= SLIMMEST else min(max(ratio, SLIM[0]), SLIM[1]) / ratio


def bare(axes: Axes, along: Any = "y") -> None:
    """Axes of a diagram without the lines above and at the right, with a grid for the values along an axis."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=along, color=PALE, lw=0.8)
    axes.set_axisbelow(True)
