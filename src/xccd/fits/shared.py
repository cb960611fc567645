"""What the header texts of many frames have in common, and what was done to any of them."""

from __future__ import annotations

import warnings
from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.fits import cards

COMBINED = "combined_header"  # coordinate of an image that was combined: its header text


def texts(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """The header text of each frame; none if the stack carries none."""
    for name in ("header", COMBINED):
        if name in stack.coords and stack.coords[name].dims == (dim,):
            return [str(t) for t in stack.coords[name].values.tolist()]
    return []


def lines(headers: list[str]) -> list[str]:
    """The cards that all have, letter by letter, in the first one's order; those of the WCS only together.

    Steps are left out, as `steps` collects them.
    """
    every = [list(cards.split(text)) for text in dict.fromkeys(headers)]
    common = set.intersection(*({card.lines for card in some} for some in every))
    one_grid = _same_grid(list(dict.fromkeys(headers)))
    steps_of_first = set(_steps(headers[0]))
    return [
        line
        for card in every[0]
        if (one_grid if cards.WCS.fullmatch(card.keyword) else card.lines in common)
        and not cards.STRUCTURAL.fullmatch(card.keyword)
        and card.lines[0] not in steps_of_first
        for line in card.lines
    ]


def _same_grid(headers: list[str]) -> bool:
    """Whether all have the same WCS: in the same cards, or to 1e-4 pixel in what they say at 25 points.

    Programs write one WCS in many ways (1E-3 or 0.001, defaults left out), so the cards alone do not tell.
    """
    written = {tuple(c for c in cards.split(text) if cards.WCS.fullmatch(c.keyword)): text for text in headers}
    if len({tuple(card.lines for card in some) for some in written}) == 1:
        return True
    positions = [_positions(text) for text in written.values()]
    if any(p is None for p in positions):
        return False
    first, *rest = [p for p in positions if p is not None]
    pixel = np.abs((first[1] - first[0] + 180) % 360 - 180).max()
    return all(np.abs((p - first + 180) % 360 - 180).max() < 1e-4 * pixel for p in rest)


def _positions(text: str) -> np.ndarray[Any, Any] | None:
    """World coordinates of a pixel, of its neighbour, and of 25 points over the image; None without a WCS."""
    from astropy.io import fits
    from astropy.wcs import WCS

    kept = (c for c in cards.split(text) if cards.WCS.fullmatch(c.keyword))
    nx, ny = (int(cards.as_number(cards.lookup(text, f"NAXIS{i}") or 1000)) for i in (1, 2))
    x, y = np.meshgrid(np.linspace(0, nx - 1, 5), np.linspace(0, ny - 1, 5))
    points = np.concatenate([[[0, 0], [1, 1]], np.stack([x.ravel(), y.ravel()], 1)])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what a header's WCS lacks is said when it is asked for
        try:
            wcs = WCS(fits.Header.fromstring(cards.join(kept), sep="\n"), naxis=2)
            return np.asarray(wcs.all_pix2world(points, 0)) if wcs.has_celestial else None
        except Exception:  # whatever a damaged WCS raises: it is not the same as another
            return None


def steps(headers: list[str]) -> list[str]:
    """The HISTORY cards of every step that any frame went through, once, in order."""
    found: dict[str, None] = {}
    for text in dict.fromkeys(headers):
        found.update(dict.fromkeys(_steps(text)))
    return list(found)


def _steps(text: str) -> list[str]:
    """HISTORY cards from the first step of ours on."""
    history = [c.lines[0] for c in cards.split(text) if c.keyword == "HISTORY"]
    first = next((i for i, h in enumerate(history) if h.startswith("HISTORY xccd.")), len(history))
    return history[first:]
