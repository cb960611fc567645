"""Images as panels of a figure: their layout, what is drawn into each, and the words around them."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.pictures.captions import fitting
from xccd.pictures.figure import DARKEST, INK, MISSING, MISSING_NAME, SLIM, aspect_of, greys
from xccd.pictures.limits import rgba

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

Array = np.ndarray[Any, Any]
AREA = 6.2  # square inches of a panel
LONE = 26.0  # of a single one
LETTER, LINE = 0.073, 0.2  # inches: of a letter of a title, and a line of it
TICKED = 4  # panels with numbers of pixels on their axes; more would be too small for them
AXIS_NAMES = {
    "pos.eq.ra": "RA", "pos.eq.dec": "Dec", "pos.galactic.lon": "galactic l", "pos.galactic.lat": "galactic b",
    "pos.ecliptic.lon": "ecliptic longitude", "pos.ecliptic.lat": "ecliptic latitude",
}  # fmt: skip


@dataclass(frozen=True)
class Panel:
    """An image to draw, and what is written around it."""

    values: Array  # (y, x), or (y, x, channel)
    limits: list[tuple[float, float]]  # of grey, or of each colour
    edges: tuple[float, float, float, float]
    name: str
    more: str = ""  # the second line of the title
    wcs: Any = None
    why: str = ""  # why there is no sample
    step: int = 1  # between the pixels that are shown

    @property
    def missing(self) -> float:
        """The share of pixels without a sample."""
        good: Array = np.isfinite(self.values)
        good = np.asarray(good.all(axis=-1)) if self.values.ndim == 3 else good
        return 1 - float(np.count_nonzero(good)) / max(1, good.size)

    def title(self, letters: int) -> str:
        """At most two lines."""
        share = self.missing
        percent = f"{100 * share:.2g}" if share < 0.995 else f"{100 * share:.4g}"
        words = [self.more, f"{percent} % missing" if 0 < share < 1 else "no samples" if share else ""]
        return "\n".join(filter(None, (fitting(line, letters) for line in (self.name, ", ".join(filter(None, words))))))


def layout(count: int, size: tuple[int, int], col_wrap: int | None, pairs: bool) -> tuple[int, int, float, float]:
    """Rows and columns of panels, and the width and height of one in inches. ``pairs`` stay side by side."""
    ratio = min(max(size[0] / size[1], SLIM[0]), SLIM[1])
    area = LONE if count == 1 else 2.2 * AREA if count <= TICKED else AREA
    width, height = math.sqrt(area / ratio), math.sqrt(area * ratio)
    if width > 11:
        width, height = 11.0, 11.0 * ratio
    columns = col_wrap or max(1, round(math.sqrt(1.4 * count * height / width)))
    if pairs:
        columns = max(2, 2 * round(columns / 2))
    columns = min(columns, count)
    rows = -(-count // columns)
    if not col_wrap and not pairs:
        columns = -(-count // rows)  # no emptier last row than needed
    return rows, columns, max(width, 1.4), height


def montage(figure: Figure, grid: tuple[int, int], panels: Sequence[Panel], cmap: Any) -> list[AxesImage]:
    """All panels in a grid of rows and columns, from the top left."""
    ticked = len(panels) <= TICKED
    made = []
    width = figure.get_size_inches()[0] / grid[1]
    for number, panel in enumerate(panels, 1):
        axes = figure.add_subplot(*grid, number, projection=panel.wcs)
        made.append(draw(axes, panel, cmap, letters=int(width / LETTER) - 2, ticked=ticked or panel.wcs is not None))
    return made


def draw(axes: Axes, panel: Panel, cmap: Any, *, letters: int = 60, ticked: bool = True) -> AxesImage:
    """One panel into axes: pixel numbers along the axes, or the sky if the axes have a WCS."""
    from matplotlib.colors import Normalize, to_rgb

    left, right, bottom, top = panel.edges
    on_sky = hasattr(axes, "wcs") and hasattr(axes, "coords")
    if on_sky:  # pixels of the array from 0
        height, width = panel.values.shape[:2]
        left, right, bottom, top = -0.5, width * panel.step - 0.5, -0.5, height * panel.step - 0.5
    aspect = aspect_of(abs(top - bottom), abs(right - left))
    where: dict[str, Any] = {"origin": "lower", "extent": (left, right, bottom, top), "aspect": aspect}
    if panel.values.ndim == 3:
        image = axes.imshow(rgba(panel.values, panel.limits, to_rgb(MISSING), DARKEST), **where)
    else:
        ((low, high),) = panel.limits
        image = axes.imshow(panel.values, cmap=greys(cmap), norm=Normalize(low, high), **where)
    axes.set_title(panel.title(letters), fontsize=8, color=INK, parse_math=False)
    if panel.missing == 1:
        text = textwrap.fill(panel.why or "no samples", 30)
        axes.text(0.5, 0.5, text, transform=axes.transAxes, ha="center", va="center", color="white", fontsize=9,
                  parse_math=False)  # fmt: skip
    if on_sky:
        _name_sky(axes)
    elif ticked:
        axes.set_xlabel("x [pixel]", fontsize=8)
        axes.set_ylabel("y [pixel]", fontsize=8)
        axes.tick_params(labelsize=8)
        if axes.get_subplotspec() is not None:
            axes.label_outer()
    else:
        axes.set(xticks=[], yticks=[])
    return image


def _name_sky(axes: Any) -> None:
    """The axes of the sky by the names of the field."""
    kinds = axes.wcs.world_axis_physical_types
    for coordinate, kind in zip(axes.coords, kinds, strict=False):
        coordinate.set_axislabel(AXIS_NAMES.get(kind or "", kind or "world"), fontsize=8, minpad=0.6)
        coordinate.set_ticklabel(size=7, exclude_overlapping=True)
        coordinate.set_ticks(number=4)


def words_around(figure: Figure, lines: Sequence[str], panels: Sequence[Panel]) -> None:
    """The title of a figure, and what the colour of missing pixels means."""
    from matplotlib.patches import Patch

    width = int(figure.get_size_inches()[0] / 0.09)
    text = "\n".join(textwrap.fill(line, width) for line in lines if line)
    if text:
        figure.suptitle(text, fontsize=10, color=INK, parse_math=False)
    if any(panel.missing for panel in panels):
        patch = Patch(
            facecolor=MISSING, edgecolor=INK, label=f"{MISSING_NAME}: no sample (missing, masked or rejected)"
        )
        figure.legend(handles=[patch], loc="outside lower left", frameon=False, fontsize=8)
