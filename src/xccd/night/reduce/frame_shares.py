"""What clips rejected of each frame, counted while a product is written, for the table FRAMES of its file."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute.frame_counts import FrameCounts, counting
from xccd.headers import cards
from xccd.headers.common import COMBINED
from xccd.headers.writing import FILES
from xccd.labels.flags import map_name
from xccd.night.reduce.work import Work
from xccd.night.scan.scan import _client as cluster_is_here

SIDES = tuple(map_name("data", f"share_rejected_{side}") for side in ("low", "high"))
NEEDED = tuple(map_name("data", f"rejected_{side}") for side in ("low", "high"))


class _Counts(FrameCounts):
    """The counts of the frames of an image, whose number is known when the image is planned."""

    def of(self, frames: int) -> None:
        """Begin with so many frames; what is not counted is not known."""
        super().__init__(frames)
        self.shares[:] = np.nan

    def add(self, counts: list[int], pixels: int = 0, sides: Any = None) -> None:
        if len(counts) == len(self.counts):  # else an image on the way, of other frames
            super().add(counts, pixels, sides)


def with_shares(make: Callable[[Work], xr.Dataset], work: Work) -> xr.Dataset:
    """The product with the share of each frame as a label: numbers that are known when it is computed.

    A product of dask has them already, and counts in its own way, also on other machines. One without maps has none.
    """
    if cluster_is_here() or len(work.pieces) > 1:
        image = make(work)
        return _with_names(image) if all(side in image.coords for side in SIDES) else image
    total = _Counts(0)
    with counting(total):
        image = make(work)
    names = _inputs(image)
    if not names or any(side in image.coords for side in SIDES) or not set(NEEDED) <= set(image.data_vars):
        return image
    total.of(len(names))
    labels = {side: ("frame", row) for side, row in zip(SIDES, total.shares, strict=True)}
    return _with_names(image.assign_coords(labels))


def _with_names(image: xr.Dataset) -> xr.Dataset:
    """The image with the names of its frames, which asks for a table of them."""
    names = _inputs(image)
    if FILES in image.coords or len(names) != image.sizes["frame"]:
        return image
    return image.assign_coords({FILES: ("frame", names)})


def _inputs(image: xr.Dataset) -> list[str]:
    """The names of the frames: those in the header of an image, or, if they are too many, in a label of it."""
    if FILES in image.coords:
        return str(image.coords[FILES].values.item()).split("\n") if image.coords[FILES].ndim == 0 else []
    text = str(image.coords[COMBINED].values.item()) if COMBINED in image.coords else ""
    return [str(value) for name, value in cards.values(text).items() if name.startswith("IMCMB")]
