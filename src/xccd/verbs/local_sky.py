"""The sky of a frame as a smooth image, and the noise about it."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
CELL = 64  # pixels along the side of a cell
FILLED = 0.25  # of the pixels of a cell are good, or it says nothing
FEW = 4  # cells: with fewer the sky is one level
MAD_TO_STD = 1.482602218505602


def above_sky(frame: Array) -> tuple[Array, float]:
    """A frame (y, x) minus its sky, NaN where missing, and its noise, 1.4826 MAD; 0 without pixels.

    The sky is a plane through medians of cells, and what they differ from it, interpolated between the cells. Moonlight
    or a nebula would else count as flux of sources.
    """
    left = np.where(np.isfinite(frame), frame, np.nan).astype(np.float64)
    counts, at, middle = _cells(left)
    use = counts >= FILLED * CELL**2
    if use.sum() >= FEW:
        y, x = (np.arange(n) / CELL for n in frame.shape)
        terms = np.column_stack([np.ones(use.sum()), at[use]])
        plane = np.linalg.lstsq(terms, middle[use], rcond=1e-6)[0]
        grid = np.zeros(counts.shape)
        grid[use] = middle[use] - terms @ plane
        rows, columns = (_hats(axis, n) for axis, n in zip((y, x), grid.shape, strict=True))
        left -= plane[0] + plane[1] * y[:, None] + plane[2] * x + rows @ grid @ columns.T
    elif counts.any():
        left -= np.median(left[np.isfinite(left)])
    some = np.abs(left[::2, ::2])
    some = some[np.isfinite(some)]
    if not some.size:
        return left, 0.0
    noise = MAD_TO_STD * float(np.median(some))
    return left, noise or float(np.sqrt(np.pi / 2) * some.mean())  # 0: more than half are equal, as in whole counts


def _cells(image: Array) -> tuple[Array, Array, Array]:
    """For each cell: the count of its good pixels, their mean place (y, x) in cells, and their median."""
    shape = tuple(-(-n // CELL) for n in image.shape)
    counts, at, middle = np.zeros(shape), np.zeros((*shape, 2)), np.zeros(shape)
    for k in np.ndindex(*shape):
        cell = image[k[0] * CELL : (k[0] + 1) * CELL, k[1] * CELL : (k[1] + 1) * CELL]
        places = np.nonzero(np.isfinite(cell))
        if places[0].size:
            counts[k], middle[k] = places[0].size, np.median(cell[places])
            at[k] = [n + place.mean() / CELL for n, place in zip(k, places, strict=True)]
    return counts, at, middle


def _hats(axis: Array, cells: int) -> Array:
    """Weights (pixels, cells) of a linear interpolation between the centres of cells, and beyond the outer ones."""
    place = axis + 0.5 / CELL - 0.5
    weights = np.zeros((len(axis), cells))
    first = np.clip(np.floor(place).astype(int), 0, max(cells - 2, 0))
    after = place - first if cells > 1 else np.zeros(len(axis))
    pixels = np.arange(len(axis))
    weights[pixels, np.minimum(first + 1, cells - 1)] = after
    weights[pixels, first] = 1 - after
    return weights
