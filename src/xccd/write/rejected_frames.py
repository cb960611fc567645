"""The shares of frames that clips rejected, computed with the image that is written; a warning for a large one."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.compute import arrays
from xccd.labels.flags import map_name
from xccd.labels.frames import frame_names
from xccd.labels.lazy import array_of
from xccd.labels.rejected_shares import PIXELS, remarks
from xccd.labels.warn import warn
from xccd.write.planes import Plane

SIDES = ("low", "high")


class Shares(NamedTuple):
    """The lazy shares of the frames of an image, the arrays that they are written to, and names for messages."""

    lazy: tuple[Any, ...]
    values: tuple[np.ndarray[Any, Any], ...]
    names: list[str]
    steps: str

    @property
    def pairs(self) -> list[tuple[Any, Any]]:
        """Each lazy share with its array."""
        return list(zip(self.lazy, self.values, strict=True))

    def tell(self) -> None:
        """Warn of frames with a large share; they are computed by now."""
        for text in remarks("to_fits", np.sum(self.values, axis=0), self.names, self.steps):
            warn(text)


def shares_of(plane: Plane) -> Shares | None:
    """The lazy shares that `combine_with_maps` gave an image; None without them.

    None also where they could not be computed together with the image: a scheduler of processes returns no block before
    all are done, so that the image is computed in parts.
    """
    found = [plane.ds.coords.get(map_name(plane.image.name, f"share_rejected_{side}")) for side in SIDES]
    if any(one is None or one.ndim != 1 for one in found) or plane.image.size < PIXELS:
        return None
    lazy = tuple(array_of(one) for one in found if one is not None)
    if not all(map(arrays.is_dask, (*lazy, array_of(plane.image)))):
        return None
    if arrays.cluster(lazy[0]) is None and not arrays.shares_memory(lazy[0]):
        return None
    text = str(plane.image.coords["image_header"].values) if "image_header" in plane.image.coords else ""
    dim = found[0].dims[0] if found[0] is not None else "frame"
    names = frame_names(plane.ds.coords[map_name(plane.image.name, "share_rejected_low")], dim)
    return Shares(lazy, tuple(np.zeros(one.shape) for one in lazy), names, text)
