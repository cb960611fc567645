"""What stays at its pixels in two frames: the stars of a sky that did not move, or faults of a camera."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.sky.similarity import pairs
from xccd.sky.stars import Stars, places, typical

Array = np.ndarray[Any, Any]
FIXED = 0.7  # pixels: what has moved by less has stayed on its pixel
EXPECTED = 0.5  # of the light as bright as what matches: with less in common, what matches may be no stars
NARROW = 2.4  # pixels: clusters of hot pixels are as narrow as that (1.9, if neighbours have a third of the light)
EXACT = 0.03  # pixels: the sky hardly ever stays as still as faults of a detector do
FEW = 100  # faults of a detector that are like stars
WIDER = 1.25  # times: stars are wider than clusters of hot pixels
FAULTS = "are they hot pixels?"


def moving(first: Stars, other: Stars, within: float = FIXED) -> tuple[Stars, Stars]:
    """The stars of both lists, without what stays at its pixels."""
    i, j = still(first, other, within)
    one, two = (np.delete(np.arange(len(s)), some) for s, some in ((first, i), (other, j)))
    return typical(first[one]), typical(other[two])


def still(first: Stars, other: Stars, within: float = FIXED) -> tuple[Array, Array]:
    """Indices in both lists of what is at the same pixels."""
    return pairs(places(first), places(other), within)


def wide(stars: Stars) -> Stars:
    """The stars, if most that is like one is as narrow as a cluster of hot pixels."""
    most = typical(stars)
    return typical(stars[stars.fwhm > WIDER * np.median(most.fwhm)]) if len(most) else most


def doubt_of(first: Stars, other: Stars, i: Array, j: Array) -> str:
    """Why stars that match at the same pixels, given by their indices, may be faults of the camera; "" if nothing."""
    bright = [int(np.count_nonzero(stars.flux >= np.median(stars.flux[k]))) for stars, k in ((first, i), (other, j))]
    if (len(i) + 1) / 2 < EXPECTED * max(bright):
        return f"{len(i)} sources stay at their pixels, and stars as bright do not match: {FAULTS}"
    width = max(float(np.median(stars.fwhm[k])) for stars, k in ((first, i), (other, j)))
    apart = np.median(first.x[i] - other.x[j]), np.median(first.y[i] - other.y[j])
    if len(i) <= FEW and width < NARROW and np.hypot(*apart) < EXACT:
        return f"its {len(i)} stars are narrow and stay exactly at their pixels: {FAULTS}"
    return ""
