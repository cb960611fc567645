"""The image of the frames so far, in the form of other products: maps, header, attributes."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.headers.common import ALIGNED_TO
from xccd.kernels.table import OUTPUTS
from xccd.labels.flags import map_name
from xccd.labels.frames import without_frames
from xccd.labels.lazy import array_of
from xccd.night.live.fit import labelled
from xccd.night.live.frame import Record
from xccd.night.live.running import Running
from xccd.verbs.product_maps import NOT_CORRECTED
from xccd.write.product import describe
from xccd.write.product_cards import How

NAME = "data"
REJECTED = {
    side: {"long_name": f"number of samples rejected {where} the mean"}
    for side, where in (("low", "below"), ("high", "above"))
}


def product(
    records: list[Record], running: Running, sizes: dict[Any, int], axes: dict[Any, xr.Variable], dtype: Any, step: str
) -> xr.Dataset:  # fmt: skip
    """The image with its maps, all copies; ``step`` is its line of HISTORY."""
    stack = labelled(records, sizes, dtype).assign_coords(axes)
    if ALIGNED_TO in stack.coords:  # the first frame defines the grid, and was not resampled itself
        grids = stack.coords[ALIGNED_TO].values
        grid = next(str(g) for g in grids if isinstance(g, str) and g)
        stack = stack.assign_coords({ALIGNED_TO: ("frame", np.array([grid] * grids.size, object))})
    origins = {record.origin for record in records}
    notes.mark(array_of(stack), origins.pop() if len(origins) == 1 else "")
    shape, ones = tuple(sizes.values()), np.ones(len(records))
    mean = np.where(running.count > 0, running.mean, np.nan).astype(dtype).reshape(shape)
    image = describe(without_frames(stack, "frame", mean), stack, "frame", how=How("mean", ones, ones), step=step)
    unit = {"units": image.attrs["units"]} if "units" in image.attrs else {}
    uncertainty, count = (dict(OUTPUTS[kind].attrs) for kind in ("uncertainty", "count"))
    clip = {"clip": NOT_CORRECTED} if running.low.any() or running.high.any() else {}
    maps = {
        "uncertainty": (running.uncertainty().astype(dtype), uncertainty | clip | unit),
        "count": (running.count.astype(np.int64), count),
        "rejected_low": (running.low.copy(), REJECTED["low"]),
        "rejected_high": (running.high.copy(), REJECTED["high"]),
    }
    named = {map_name(NAME, kind): (image.dims, v.reshape(shape), attrs) for kind, (v, attrs) in maps.items()}
    image.attrs["ancillary_variables"] = " ".join(named)
    return xr.Dataset({NAME: image, **named})
