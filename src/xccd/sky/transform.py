"""From the pixels of one grid to those of another, through both WCS."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import cards

if TYPE_CHECKING:
    from xccd.sky.grid import Grid

Array = np.ndarray[Any, Any]
SAME = 1e-4  # pixels: a shift this near to whole numbers counts as whole, as one WCS may be written in two ways
ASTRAY = 1e-3  # pixels of the focal plane: astropy's inverse ends at 1e-7, or does not converge
EDGE = 17  # points along each side of a grid at which it is sampled


@lru_cache(maxsize=1 << 14)
@np.errstate(all="ignore")
def whole_shift(source: Grid, target: Grid) -> tuple[int, int] | None:
    """The shift (rows, columns) between two grids; None if they differ by anything else than whole pixels."""
    ours, theirs = ({c.keyword: c.value for c in cards.split(g.text)} for g in (source, target))
    if not (source.tables or target.tables) and all(
        ours.get(k) == theirs.get(k) for k in (ours.keys() | theirs.keys()) - {"CRPIX1", "CRPIX2"}
    ):
        # The same WCS but for CRPIX, which is usual: no position need be computed.
        by = [cards.as_number(ours.get(k, 0.0)) - cards.as_number(theirs.get(k, 0.0)) for k in ("CRPIX2", "CRPIX1")]
        off = np.array(by)[:, None]
    else:
        x, y = edge_points(source.shape)
        off = (np.stack([x, y]) - positions(target, source, x, y)).reshape(2, -1)[::-1]
    whole = np.round(off[:, :1])
    if not (np.abs(off - whole) < SAME).all():  # also if one is NaN
        return None
    return int(whole[0, 0]), int(whole[1, 0])


def positions(source: Grid, target: Grid, x: Array, y: Array, *, area: bool = False) -> Array:
    """Planes x and y: the positions in the source of pixels of the target, by both WCS.

    With ``area`` a third plane: the area of each target pixel, in pixels of the source.
    """
    if not area:
        same = source.frame.is_equivalent_frame(target.frame)
        return np.stack(to_pixels(source, *_to_sky(target, x, y), same, target))
    moves = np.array([(0, 0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)]).T.reshape(2, 5, *(1,) * x.ndim)
    at = positions(source, target, x + moves[0], y + moves[1])
    # differences across the pixel, from the middles of its sides
    (dx, dy), (ex, ey) = at[:, 1] - at[:, 2], at[:, 3] - at[:, 4]
    return np.stack([*at[:, 0], np.abs(dx * ey - dy * ex)])


def _to_sky(grid: Grid, x: Array, y: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        world = grid.wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    return world[grid.wcs.wcs.lng].reshape(x.shape), world[grid.wcs.wcs.lat].reshape(x.shape)


def to_pixels(source: Grid, longitude: Array, latitude: Array, same: bool, other: Grid) -> tuple[Array, Array]:
    """Pixels of the source at positions in the celestial system of another grid; ``same``: it is the source's too."""
    if not same:
        flat = _changed(other, source, longitude.ravel(), latitude.ravel())
        longitude, latitude = (v.reshape(longitude.shape) for v in flat)
    return pixels_at(source, longitude, latitude)


def pixels_at(grid: Grid, longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """Pixels of a grid at positions in its own celestial system, in degrees; NaN where the WCS has no pixel."""
    wcs, shape = grid.wcs, longitude.shape
    longitude, latitude = longitude.ravel(), latitude.ravel()
    world = [longitude, latitude] if wcs.wcs.lng == 0 else [latitude, longitude]
    with np.errstate(all="ignore"):
        if not wcs.has_distortion:
            x, y = _by_halves(lambda *some: wcs.wcs_world2pix(*some, 0), *world)
        else:
            # quiet: where the inverse does not converge is found out below, and is no error
            x, y = wcs.all_world2pix(*world, 0, tolerance=1e-7, maxiter=50, adaptive=True, quiet=True)
            off = _astray(wcs, x, y, *_by_halves(lambda *some: wcs.wcs_world2pix(*some, 0), *world))
            x, y = np.where(off, np.nan, x), np.where(off, np.nan, y)
    return np.asarray(x).reshape(shape), np.asarray(y).reshape(shape)


def _astray(wcs: Any, x: Array, y: Array, focal_x: Array, focal_y: Array) -> Array:
    """Where an inverse of the distortion is none: it leads to another place, or lies where the polynomials fold back.

    Far outside of an image they fold back into it. There, the area of a pixel in the focal plane is negative.
    """
    at = np.stack(wcs.pix2foc(x, y, 0))
    (dx, dy), (ex, ey) = (
        np.stack(wcs.pix2foc(x + a, y + b, 0)) - np.stack(wcs.pix2foc(x - a, y - b, 0)) for a, b in ((0.5, 0), (0, 0.5))
    )
    good: Array = (np.hypot(*(at - [focal_x, focal_y])) < ASTRAY) & (dx * ey - dy * ex > 0)
    return ~good  # also if one is NaN


def _by_halves(call: Callable[..., Any], one: Array, other: Array) -> Any:
    """A call of wcslib, NaN for positions it refuses. With some distortions it refuses all because of one."""
    try:
        return np.array(call(one, other))
    except Exception:  # its type differs between versions of astropy
        if one.size <= 1:
            return np.full((2, one.size), np.nan)
        half = one.size // 2
        parts = (slice(None, half), slice(half, None))
        return np.concatenate([_by_halves(call, one[part], other[part]) for part in parts], axis=1)


def _changed(old: Grid, new: Grid, longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """Positions converted from one celestial system to another (galactic, FK5, ...)."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord, UnitSphericalRepresentation

    ok = np.isfinite(longitude) & np.isfinite(latitude)
    sky = SkyCoord(np.where(ok, longitude, 0) * u.deg, np.where(ok, latitude, 0) * u.deg, frame=old.frame)
    found = sky.transform_to(new.frame).represent_as(UnitSphericalRepresentation)
    return np.where(ok, found.lon.deg, np.nan), np.where(ok, found.lat.deg, np.nan)


def far_apart(source: Grid, target: Grid) -> bool:
    """Whether the circles around two grids on the sky have no point in common. False for grids of half the sky or more.

    Seen from one projection, the far side of the sky may lie near.
    """
    (there, radius), (here, other) = (_circle(grid, target) for grid in (source, target))
    away = np.degrees(np.arccos(np.clip(there @ here, -1, 1)))
    return bool(max(radius, other) < 90 and away > 1.01 * (radius + other))  # also False if one is NaN


def _circle(grid: Grid, system: Grid) -> tuple[Array, float]:
    """A grid's centre as a vector in the celestial system of another, and the angle to the farthest point of it."""
    rows, columns = grid.shape
    x, y = (np.append(v, n / 2) for v, n in zip(edge_points(grid.shape), (columns, rows), strict=True))
    sky = _to_sky(grid, x, y)
    longitude, latitude = np.radians(
        sky if grid.frame.is_equivalent_frame(system.frame) else _changed(grid, system, *sky)
    )
    vectors = np.stack([np.cos(latitude) * np.cos(longitude), np.cos(latitude) * np.sin(longitude), np.sin(latitude)])
    return vectors[:, -1], float(np.degrees(np.arccos(np.clip(vectors[:, -1] @ vectors, -1, 1).min())))


def edge_points(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Points all over a grid, up to one pixel outside of its first and last."""
    x, y = np.meshgrid(np.linspace(-1, shape[1], EDGE), np.linspace(-1, shape[0], EDGE))
    return x, y
