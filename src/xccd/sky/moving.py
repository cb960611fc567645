"""Grids on which a moving object stands still: the sky of each frame is turned by the way of the object."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.sky.grid import Grid
from xccd.sky.tables import changed_cards
from xccd.sky.transform import edge_points

Array = np.ndarray[Any, Any]
SAME = 1e-6  # pixels: the turned WCS is right to this


def following(grid: Grid, seen: Any, reference: Any) -> Grid:
    """The grid of a frame in which an object seen at one SkyCoord lies at another, ``reference``.

    The sky is turned along the great circle between both, which keeps angles and distances in the frame. Raises
    ValueError for projections that are not about their reference point.
    """
    turn = _rotation(_vector(seen, grid), _vector(reference, grid))
    wcs = grid.wcs
    at = np.array([wcs.wcs.crval[wcs.wcs.lng], wcs.wcs.crval[wcs.wcs.lat]])
    longitude, latitude = _degrees(turn @ _on_sphere(*at))
    names = [f"CRVAL{k + 1}" for k in (wcs.wcs.lng, wcs.wcs.lat)]
    trial = _with_cards(grid, dict(zip(names, (float(longitude), float(latitude)), strict=True)))
    pole = wcs.wcs.lonpole + _native_longitude(grid, np.eye(3)) - _native_longitude(trial, turn, of=grid)
    made = _with_cards(trial, {"LONPOLE": float((pole + 180) % 360 - 180)})
    _check(grid, made, turn)
    return made


def _with_cards(grid: Grid, values: dict[str, float]) -> Grid:
    """A grid with some other cards of its WCS."""
    lines = {c.keyword: "\n".join(c.lines) for c in cards.split(grid.text)}
    lines |= {k: cards.make(k, v) for k, v in values.items()}
    tables = changed_cards(grid.tables, values) if grid.tables else b""
    return Grid(grid.shape, "\n".join(lines[k] for k in sorted(lines)), tables)


def _rotation(start: Array, end: Array) -> Array:
    """The matrix that turns one unit vector to another, along the great circle between them (Rodrigues)."""
    axis, cosine = np.cross(start, end), float(start @ end)
    x, y, z = axis
    skew = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    turn: Array = np.eye(3) + skew + skew @ skew / (1 + cosine)
    return turn


def _vector(sky: Any, grid: Grid) -> Array:
    """The unit vector of a SkyCoord in the celestial system of a grid."""
    from astropy.coordinates import UnitSphericalRepresentation

    there = sky.transform_to(grid.frame).represent_as(UnitSphericalRepresentation)
    return _on_sphere(there.lon.deg, there.lat.deg)


def _on_sphere(longitude: Any, latitude: Any) -> Array:
    lon, lat = np.radians(longitude), np.radians(latitude)
    return np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)])


def _degrees(vectors: Array) -> tuple[Array, Array]:
    x, y, z = vectors
    return np.degrees(np.arctan2(y, x)) % 360, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _native_longitude(grid: Grid, turn: Array, of: Grid | None = None) -> float:
    """The native longitude of a position a pixel beside the reference point of ``of``, after a turn."""
    wcs, own = grid.wcs, (of or grid).wcs
    world = own.wcs.p2s([own.wcs.crpix + 1.0], 1)["world"][0]
    turned = np.array(_degrees(turn @ _on_sphere(world[own.wcs.lng], world[own.wcs.lat])))
    asked = np.empty((1, 2))
    asked[0, [wcs.wcs.lng, wcs.wcs.lat]] = turned
    return float(np.ravel(wcs.wcs.s2p(asked, 1)["phi"])[0])


def _check(grid: Grid, made: Grid, turn: Array) -> None:
    """Raise if a pixel of the made grid is not where the turn brings that of the grid."""
    x, y = (v.ravel() for v in edge_points(grid.shape))
    worlds = [g.wcs.all_pix2world(x, y, 0) for g in (grid, made)]
    lng, lat = grid.wcs.wcs.lng, grid.wcs.wcs.lat
    expected, found = turn @ _on_sphere(worlds[0][lng], worlds[0][lat]), _on_sphere(worlds[1][lng], worlds[1][lat])
    off = np.degrees(np.linalg.norm(found - expected, axis=0)) / grid.pixel_size
    if not (off < SAME).all():
        raise ValueError(
            f"its projection {grid.wcs.wcs.ctype[0][5:]} cannot follow a moving object, as it is not about its "
            "reference point: align to a TAN grid first"
        )
