"""Weights by name for aligned frames: the share of a pixel inside its frame, and its distance from the edge."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.deferred import Box, Deferred
from xccd.headers import cards, common
from xccd.labels.lazy import array_of
from xccd.sky import affine
from xccd.sky.grid import Grid, grids_of
from xccd.sky.pixel_map import PixelMap, moved, pixel_map, shifted

Array = np.ndarray[Any, Any]


def _share(x: Array, y: Array, shape: tuple[int, int]) -> Array:
    """The share of a pixel's bilinear weights that lies inside the frame."""
    along = (np.clip(np.minimum(p + 1, n - p), 0, 1) for p, n in ((x, shape[1]), (y, shape[0])))
    one, other = along
    return np.asarray(one * other)


def _feather(x: Array, y: Array, shape: tuple[int, int]) -> Array:
    """0 at the edge of the frame, 1 at half of its shorter side."""
    # From one pixel outside, where the bilinear weights end, so no good pixel has the weight 0.
    nearest = np.minimum(np.minimum(x + 1, shape[1] - x), np.minimum(y + 1, shape[0] - y))
    return np.asarray(np.clip(nearest / ((min(shape) + 1) / 2), 0, 1))


KINDS: dict[str, Callable[[Array, Array, tuple[int, int]], Array]] = {"footprint": _share, "feather": _feather}


@dataclass(frozen=True)
class Weights:
    """Weights of one kind, for frames with these maps."""

    kind: str
    maps: tuple[PixelMap, ...]
    columns: int

    def __call__(self, start: int, stop: int) -> Array:
        """The weights (frames, rows, columns) of rows ``start`` to ``stop`` of the grid."""
        out = np.zeros((len(self.maps), stop - start, self.columns), np.float32)
        for one, target in zip(self.maps, out, strict=True):
            top, bottom = one.part(start, stop)
            left, right = one.box[2:]
            if top == bottom:
                continue
            if one.shift is None:
                x, y = one.positions(top, bottom)
            else:
                x, y = (a.astype(float) for a in np.meshgrid(np.arange(left, right), np.arange(top, bottom)))
                x, y = x + one.shift[1], y + one.shift[0]  # the target's pixel (0, 0) is there in the source
            values = KINDS[self.kind](x, y, one.shape)
            # positions that are not on the sky are NaN
            target[top - start : bottom - start, left:right] = np.where(np.isfinite(values), values, 0)
        return out


def weights(kind: str, stack: xr.DataArray) -> Any:
    """Weights of one kind for all samples of aligned frames (frame, y, x); lazy if the frames are."""
    if set(stack.dims) != {"frame", "y", "x"}:
        raise ValueError(f"weights={kind!r} takes frames (frame, y, x), this stack has {dict(stack.sizes)}")
    shape = (stack.sizes["y"], stack.sizes["x"])
    plan = Weights(kind, tuple(_maps_to_sources(stack, shape)), shape[1])
    data = array_of(stack)
    if arrays.is_dask(data):
        rows = stack.chunksizes["y"]
        return _weights_by_dask(plan, rows)
    if arrays.is_deferred(data):
        return DeferredWeights(plan, (stack.sizes["frame"], *shape))
    return plan(0, shape[0])


def _maps_to_sources(stack: xr.DataArray, shape: tuple[int, int]) -> list[PixelMap]:
    """The map of each frame; for frames that `align` did not touch, a shift of 0."""
    label = stack.coords.get("aligned_from")
    if label is None or label.dims != ("frame",):
        return [shifted(shape, shape, (0, 0))] * stack.sizes["frame"]
    texts = label.values.tolist()
    by_sky = any(cards.card_value(t, "CTYPE1") is not None for t in texts)
    grid = grids_of(stack.isel(frame=slice(0, 1)))[0] if by_sky and common.texts(stack, "frame") else None
    if by_sky and grid is None:
        raise ValueError("weights by footprint need the headers of the aligned frames: keep the coordinate 'header'")
    known: dict[str, PixelMap] = {}
    for text in texts:
        if text not in known:
            # once for each grid: a map takes many positions by the WCS
            known[text] = pixel_map(Grid.from_text(text), grid) if grid else _moved(stack, text, shape)
    return [known[text] for text in texts]


def _moved(stack: xr.DataArray, text: str, shape: tuple[int, int]) -> PixelMap:
    """The map of a frame that was aligned by offsets, for the pixels that are left after crops."""
    first = [float(stack.coords[d].values[0]) if d in stack.coords else 0.0 for d in ("y", "x")]
    if (found := affine.map_of(text, shape, (first[0], first[1]))) is not None:
        return found
    rows, columns, dy, dx = (
        cards.as_number(cards.card_value(text, k)) for k in ("NAXIS2", "NAXIS1", "OFFSET2", "OFFSET1")
    )
    return moved((int(rows), int(columns)), shape, (dy + first[0], dx + first[1]))


def _weights_by_dask(plan: Weights, rows: tuple[int, ...]) -> Any:
    import dask.array as da
    from dask.delayed import delayed

    edges = np.cumsum([0, *rows]).tolist()
    # one node of the graph for the maps of all bands, and dask need not look into it
    planned = delayed(plan, pure=True, traverse=False)
    blocks = [
        da.from_delayed(planned(a, b), (len(plan.maps), b - a, plan.columns), np.float32)
        for a, b in itertools.pairwise(edges)
    ]
    return da.concatenate(blocks, axis=1)


class DeferredWeights(Deferred):
    """Weights without dask, made band by band."""

    def __init__(self, plan: Weights, shape: tuple[int, ...]) -> None:
        super().__init__(plan, (), shape, np.float32)
        self.plan = plan

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) not in made:
            made[id(self)] = self.plan(box[0].start, box[0].stop)[:, :, box[1]]
        return made[id(self)]
