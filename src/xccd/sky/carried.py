"""The WCS of a frame, carried through a matrix to the pixels of another."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.sky.grid import Grid
from xccd.sky.transform import SAME, edge_points

Array = np.ndarray[Any, Any]
LINEAR = re.compile(r"(PC|CD)[12]_[12]|CDELT[12]|CROTA[12]|CRPIX[12]")


def carried(grid: Grid, matrix: Array, shape: tuple[int, int]) -> Grid:
    """The grid of ``shape`` whose pixel p is the place of the pixel ``matrix`` p of ``grid``.

    CRPIX and the CD matrix take the matrix up, which is exact without SIP: there the polynomials turn with the pixels.
    """
    linear = matrix[:, :2]
    crpix = np.array([cards.as_number(cards.card_value(grid.text, f"CRPIX{k}") or 0.0) for k in (1, 2)])
    at = np.linalg.solve(linear, crpix - 1 - matrix[:, 2]) + 1
    cd = grid.wcs.pixel_scale_matrix @ linear
    values = {f"CRPIX{k + 1}": float(at[k]) for k in (0, 1)}
    values |= {f"CD{i + 1}_{j + 1}": float(cd[i, j]) for i in (0, 1) for j in (0, 1)}
    kept = [c.lines for c in cards.split(grid.text) if not LINEAR.fullmatch(c.keyword)]
    lines = [*("\n".join(some) for some in kept), *(cards.make(k, v) for k, v in values.items())]
    return Grid(shape, "\n".join(sorted(lines)), grid.tables)


def exactly_carried(grid: Grid, matrix: Array, shape: tuple[int, int]) -> Grid | None:
    """`carried`, or None where distortions make it differ from the WCS by a thousandth of a pixel or more."""
    found = grid if grid.tables else carried(grid, matrix, shape)
    x, y = edge_points(shape)
    there = matrix @ np.stack([x.ravel(), y.ravel(), np.ones(x.size)])
    with np.errstate(all="ignore"):
        new, old = found.wcs.all_pix2world(x.ravel(), y.ravel(), 0), grid.wcs.all_pix2world(*there, 0)
    turn = np.cos(np.deg2rad(old[grid.wcs.wcs.lat]))
    off = [(new[k] - old[k] + 180) % 360 - 180 for k in (0, 1)]
    off[grid.wcs.wcs.lng] = off[grid.wcs.wcs.lng] * turn
    return found if np.hypot(*off).max() < 10 * SAME * grid.pixel_size else None
