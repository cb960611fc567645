"""Drizzled frames: the drops that their pixels become, and the weights that these leave on a grid."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.kernels.drops import DROPS, GAUSSIAN, LEAST, POINT, SIGMAS, SMALLEST, SQUARE
from xccd.kernels.limits import OUTSIDE
from xccd.labels.lazy import array_of
from xccd.sky.pixel_map import PixelMap, moved

Array = Any
WEIGHT = "drizzle_weight"  # the coordinate (frame, y, x) with the weights
WEIGHT_DTYPE = np.dtype(np.float32)
ATTRIBUTES = {"long_name": "drops that fell on a pixel, as the sum of their shares"}


class Drops(NamedTuple):
    """What the pixels of a frame become: the arguments of `align` of these names."""

    kernel: str
    pixfrac: float

    @property
    def numbers(self) -> tuple[int, float]:
        """The arguments of `kernels.compiled.drizzle.dropped` of these names."""
        kind = DROPS[self.kernel]
        return (POINT if kind == SQUARE and self.pixfrac < SMALLEST else kind), float(self.pixfrac)

    @property
    def spread(self) -> float:
        """How far a drop reaches beyond its pixel, in pixels of the frame."""
        return max(SIGMAS / 2 * self.pixfrac, LEAST) + 1 if DROPS[self.kernel] == GAUSSIAN else 0.0


def spread_out(one: PixelMap, target: tuple[int, int], drops: Drops) -> PixelMap:
    """A map along which no pixels are copied, if drops reach beyond their own."""
    if one.shift is None or not drops.spread:
        return one
    return moved(one.shape, target, one.shift, spread=drops.spread)


def dropping(samples: Array, flags: Array = None, *_: Array) -> Array:
    """1 for samples that drop, 0 for masked ones."""
    finite = np.isfinite(samples)
    return finite if flags is None else finite & (flags == 0)


def without_torn(made: list[Array], torn: Array | None) -> list[Array]:
    """Values, flags and errors as far as there are any, and weights, with nothing on pixels that lie on a seam."""
    if torn is not None:
        *some, weight = made
        for values, nothing in zip(some, (np.nan, OUTSIDE, np.nan), strict=False):
            values[torn] = nothing
        weight[torn] = 0
    return made


def merged(variables: dict[Any, xr.DataArray]) -> xr.Dataset:
    """A Dataset of these variables. They share their weights, which xarray would compute to compare them."""
    found = [v.coords[WEIGHT].variable for v in variables.values() if WEIGHT in v.coords]
    bare = xr.Dataset({k: v.drop_vars(WEIGHT, errors="ignore") for k, v in variables.items()})
    return bare.assign_coords({WEIGHT: found[0]}) if found else bare


def weights(stack: xr.DataArray) -> Array:
    """The weights of all samples of drizzled frames (frame, y, x), from their coordinate."""
    label = stack.coords.get(WEIGHT)
    if label is None or set(label.dims) != {"frame", "y", "x"}:
        raise ValueError(
            f"weights='drizzle' needs the coordinate {WEIGHT!r}, which align(method='drizzle') gives its frames"
        )
    return array_of(label.transpose("frame", "y", "x"))
