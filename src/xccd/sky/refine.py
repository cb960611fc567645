"""Corrections of a WCS from stars: a vote for the shift, then shift, turn and scale by least squares."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.sky.carried import carried
from xccd.sky.fixed import moving, still
from xccd.sky.grid import Grid
from xccd.sky.patterns import CHANCE, FIXED, LEAST, chance_of
from xccd.sky.similarity import Fit, fitted, settled
from xccd.sky.stars import Stars, places, typical, variances
from xccd.sky.transform import positions

Array = np.ndarray[Any, Any]
BRIGHTEST = 150  # stars of each list that vote
RADIUS = 0.04, 30.0  # of the longer side, and least pixels: how far a WCS may be off
CELL = 0.004, 2.5  # the same: differences that count as one
ROUNDS = 3  # of the fit, as SIP bends with the pixels


class Correction(NamedTuple):
    """The corrected grid, and the fit to the stars, in pixels of the frame."""

    grid: Grid
    fit: Fit


def corrected(grid: Grid, stars: Stars, base: Grid, first: Stars) -> Correction | str:
    """The grid of a frame, corrected so that its stars are where the WCS ``base`` has those of the reference.

    Parameters
    ----------
    grid, base : Grid
        Of the frame and of the reference.
    stars, first : Stars
        All that is like a star in both frames.

    Returns
    -------
    Correction or str
        What the frame has, with {} for the reference, if the match is not sure: too few stars, or no more than by
        chance.
    """
    there = _predicted(grid, base, places(first))
    seen = np.isfinite(there)
    far = float(np.median(np.abs(there - places(first))[seen])) if seen.any() else 0.0
    moved = far > 3 * FIXED
    i, _ = still(first, stars, FIXED if moved else 0.0)
    one, two = moving(first, stars, FIXED) if moved else (typical(first), typical(stars))
    there, at = _predicted(grid, base, places(one)), places(two)
    one, there = one[np.isfinite(there)], there[np.isfinite(there)]
    side = max(grid.shape)
    radius, cell = (max(least, by * side) for by, least in (RADIUS, CELL))
    shift = _vote(there[:BRIGHTEST], at[:BRIGHTEST], radius, cell)
    if shift is not None:
        start = np.array([[1, 0, shift.real], [0, 1, shift.imag]])
        fit = settled(there, at, start, 2 * cell, weights=(variances(one), variances(two)))
        tried = int((radius / cell) ** 2) + 1
        if fit is not None and len(fit) >= LEAST and chance_of(there, at, fit, grid.shape, tried) < CHANCE:
            return Correction(_settled_grid(grid, base, fit, at, places(one)), fit)
    if len(i) >= LEAST:
        return (
            f"{len(i)} stars at the same pixels as {{}}, though it moved by {far:.2g} by the WCS: are they hot pixels? "
            "If not, align(transforms='similarity') goes by them."
        )
    return f"fewer than {LEAST} stars in common with {{}} near where its WCS says."


def _settled_grid(grid: Grid, base: Grid, fit: Fit, stars: Array, first: Array) -> Grid:
    """The grid with the fit taken up; the same pairs are fitted again, as SIP takes up a matrix only nearly."""
    new = carried(grid, fit.matrix, grid.shape)
    for _ in range(ROUNDS):
        there, w = _predicted(new, base, first[fit.first]), np.ones(len(fit)) if fit.weights is None else fit.weights
        more = fitted(there, stars[fit.other], w, affine=False, mirrored=False)
        if not grid.wcs.has_distortion or np.abs(more - np.eye(2, 3)).max() < 1e-5:
            break
        new = carried(new, more, grid.shape)
    return new


def _predicted(grid: Grid, base: Grid, places: Array) -> Array:
    """Where pixels of the reference lie in a frame, by both WCS."""
    x, y = positions(grid, base, places.real, places.imag)
    return np.asarray(x + 1j * y)


def _vote(there: Array, stars: Array, radius: float, cell: float) -> complex | None:
    """The shift from the stars to where they should be that most pairs share; None if there are no pairs."""
    apart = (there[:, None] - stars).ravel()
    apart = apart[np.abs(apart) < radius]
    if not apart.size:
        return None
    near = np.abs(apart[:, None] - apart) < cell
    best = near[near.sum(axis=1).argmax()]
    return complex(np.median(apart[best].real), np.median(apart[best].imag))
