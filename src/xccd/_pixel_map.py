"""Where pixels of a grid lie in a frame: a shift, cubics through few nodes that were checked, or the WCS itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from xccd import _options
from xccd.fits import cards
from xccd.grid import Grid

Array = np.ndarray[Any, Any]
STEPS = (256, 128, 64, 32, 16, 8)  # pixels from node to node: the widest that is exact enough
LIMIT = 1e-3  # pixels of the frame that a map may be off
CHECKS = 400  # pixels at which a map is compared with the WCS
SAME = 1e-4  # pixels by which a shift may miss whole numbers, as one WCS that is written in two ways does
MARGIN = 4  # rows that taps need more
EDGE = 17  # points along each side of a frame that tell where it lies
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class PixelMap:
    """For each pixel of a target grid the position in a frame of ``shape``: planes x, y and the ratio of areas.

    ``box`` is the part of the target (rows from and to, columns from and to) that the frame reaches. There is a
    ``shift`` (the target's first pixel in the frame), or there are ``nodes``, or positions come from the ``grids``
    (frame and target) themselves. ``error`` is how far the map was off where it was checked, in pixels of the frame.
    """

    shape: tuple[int, int]
    box: Box
    error: float = 0.0
    shift: tuple[int, int] | None = None
    nodes: Array | None = None
    step: int = 1
    grids: tuple[Grid, Grid] | None = None
    corners: Array | None = None  # nodes of the first corner of each pixel, half a pixel before its centre

    def part(self, start: int, stop: int) -> tuple[int, int]:
        """Which of the rows ``start`` to ``stop`` of the target the frame reaches."""
        top, bottom = max(start, self.box[0]), min(stop, self.box[1])
        return (top, bottom) if top < bottom and self.box[2] < self.box[3] else (start, start)

    def rows(self, start: int, stop: int, reach: float = 1.0) -> tuple[int, int]:
        """The rows of the frame that rows ``start`` to ``stop`` of the target are made of.

        ``reach`` is how much farther than interpolation does others look, in pixels of the target.
        """
        top, bottom = self.part(start, stop)
        if top == bottom:
            return 0, 0
        if self.shift is not None:
            return top + self.shift[0], bottom + self.shift[0]
        height = self.shape[0]
        if self.nodes is None:
            return 0, height
        lows, highs = (edge[top - self.box[0] : bottom - self.box[0]] for edge in self._heights)
        low, high = lows.min(), highs.max()
        if not np.isfinite(high - low):
            return 0, height
        stretched = np.sqrt(np.nanmax(self.nodes[2])) if reach > 1 else 1.0
        margin = int(np.ceil(MARGIN * max(1.0, reach * stretched)))
        first, last = max(0, int(low) - margin), min(height, int(high) + margin + 1)
        return (first, last) if first < last else (0, 0)

    @cached_property
    def _heights(self) -> tuple[Array, Array]:
        """Of each row of the box the least and the greatest y, from the columns of nodes."""
        assert self.nodes is not None
        j, t = np.divmod(np.arange(self.box[1] - self.box[0]), self.step)
        weights = table(self.step)[:, t, None]
        y = sum(weights[k] * self.nodes[1, j + k, 1:-1] for k in range(4))
        bend = np.abs(np.diff(self.nodes[1], n=2, axis=1)).max(initial=0) / 8  # of y between two columns, at most
        return np.min(y, axis=1) - bend, np.max(y, axis=1) + bend

    def __getstate__(self) -> dict[str, Any]:
        return {k: v for k, v in self.__dict__.items() if k != "_heights"}

    def places(self, start: int, stop: int, *, area: bool = False) -> Array:
        """Planes x and y, and area, at rows ``start`` to ``stop`` of the target, in the columns of the box."""
        if self.nodes is None:
            assert self.grids is not None
            return positions(*self.grids, *_mesh(start, stop, *self.box[2:]), area=area)
        at = np.empty((2 + area, stop - start, self.box[3] - self.box[2]))
        kernel("resample", "places", self.nodes[: 2 + area], table(self.step), start - self.box[0], at)
        return at

    def edges(self, start: int, stop: int) -> Array:
        """Planes x and y at the corners of the pixels of these rows: one row and column more."""
        left, right = self.box[2:]
        if self.corners is None:
            assert self.grids is not None
            x, y = _mesh(start, stop + 1, left, right + 1)
            return positions(*self.grids, x - 0.5, y - 0.5)
        at = np.empty((2, stop - start + 1, right - left + 1))
        kernel("resample", "places", self.corners, table(self.step), start - self.box[0], at)
        return at


def kernel(module: str, name: str, *arguments: Any) -> Any:
    """A kernel of "resample" or "overlap", by the engine."""

    def call(engine: ModuleType) -> Any:
        found = import_module(f"xccd.kernels.{'' if engine.NAME == 'numba' else 'plain_'}{module}")
        return getattr(found, name)(*arguments)

    return _options.with_engine(call)


@lru_cache(maxsize=32)
def table(step: int) -> Array:
    """Weights of the cubic through nodes at -1, 0, 1 and 2 (Lagrange), at 0, 1/step, ... between the middle two."""
    t = np.arange(step) / step
    return np.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ]
    )


@np.errstate(all="ignore")  # of what is not on the sky
def pixel_map(frame: Grid, target: Grid, *, corners: bool = False) -> PixelMap:
    """The map from a target to a frame, the cheapest that is right; with what `PixelMap.edges` takes."""
    shift = whole_shift(frame, target)
    if shift is not None:
        return shifted(frame.shape, target.shape, shift)
    grids = (frame, target)
    box = _reach(frame, target)
    if box[0] == box[1]:
        return PixelMap(frame.shape, box, grids=grids)
    rng = np.random.default_rng(0)
    x = rng.integers(box[2], box[3], CHECKS).astype(float)
    y = rng.integers(box[0], box[1], CHECKS).astype(float)
    true = positions(frame, target, x, y)
    for step in STEPS:
        if step > STEPS[-1] and step > max(box[1] - box[0], box[3] - box[2]):
            continue
        nodes = _nodes(frame, target, box, step)
        error = _error(frame.shape, _at(nodes, step, box, x, y), true)
        if error <= LIMIT:
            first = _nodes(frame, target, box, step, corners=True) if corners else None
            return PixelMap(frame.shape, box, error, nodes=nodes, step=step, grids=grids, corners=first)
    return PixelMap(frame.shape, box, grids=grids)


def shifted(shape: tuple[int, int], target: tuple[int, int], shift: tuple[int, int]) -> PixelMap:
    """The map of a frame that lies on the pixels of a target: its pixel (0, 0) is the frame's ``shift``."""
    box = [
        edge
        for n, size, by in zip(shape, target, shift, strict=True)
        for edge in (min(max(0, -by), size), max(min(size, n - by), 0))
    ]
    if box[0] >= box[1] or box[2] >= box[3]:
        box = [0, 0, 0, 0]
    return PixelMap(shape, (box[0], box[1], box[2], box[3]), shift=shift)


def moved(shape: tuple[int, int], target: tuple[int, int], by: tuple[float, float]) -> PixelMap:
    """As `shifted`, by any fraction of a pixel."""
    rows, columns = (round(b) for b in by)
    if (rows, columns) == by:
        return shifted(shape, target, (rows, columns))
    box = []
    for n, size, b in zip(shape, target, by, strict=True):
        first, last = min(max(0, int(np.floor(-b - 1))), size), max(min(size, int(np.ceil(n - b + 1))), 0)
        box += [first, max(first, last)]
    step = STEPS[0]
    y, x = (first + step * (np.arange(-(-(last - first) // step) + 3) - 1.0) for first, last in (box[:2], box[2:]))
    nodes = np.stack([*np.broadcast_arrays(x + by[1], (y + by[0])[:, None]), np.ones((y.size, x.size))])
    return PixelMap(shape, (box[0], box[1], box[2], box[3]), nodes=nodes, step=step)


@lru_cache(maxsize=1 << 14)
@np.errstate(all="ignore")
def whole_shift(frame: Grid, target: Grid) -> tuple[int, int] | None:
    """Rows and columns by which two grids differ, if that is all, and whole."""
    ours, theirs = ({c.keyword: c.value for c in cards.split(g.text)} for g in (frame, target))
    if not (frame.tables or target.tables) and all(
        ours.get(k) == theirs.get(k) for k in (ours.keys() | theirs.keys()) - {"CRPIX1", "CRPIX2"}
    ):
        by = [cards.as_number(ours.get(k, 0.0)) - cards.as_number(theirs.get(k, 0.0)) for k in ("CRPIX2", "CRPIX1")]
        off = np.array(by)[:, None]
    else:
        x, y = _points(frame.shape)
        off = (np.stack([x, y]) - positions(target, frame, x, y)).reshape(2, -1)[::-1]
    whole = np.round(off[:, :1])
    if not (np.abs(off - whole) < SAME).all():  # nor where one is NaN
        return None
    return int(whole[0, 0]), int(whole[1, 0])


def positions(frame: Grid, target: Grid, x: Array, y: Array, *, area: bool = False) -> Array:
    """Planes x and y of the frame at pixels of the target, by both WCS; and the area of these pixels in the frame's."""
    if not area:
        return np.stack(_to_frame(frame, *_to_sky(target, x, y), frame.frame.is_equivalent_frame(target.frame), target))
    moves = np.array([(0, 0), (0.5, 0), (-0.5, 0), (0, 0.5), (0, -0.5)]).T.reshape(2, 5, *(1,) * x.ndim)
    at = positions(frame, target, x + moves[0], y + moves[1])
    (dx, dy), (ex, ey) = at[:, 1] - at[:, 2], at[:, 3] - at[:, 4]
    return np.stack([*at[:, 0], np.abs(dx * ey - dy * ex)])


def _to_sky(grid: Grid, x: Array, y: Array) -> tuple[Array, Array]:
    with np.errstate(all="ignore"):
        world = grid.wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    return world[grid.wcs.wcs.lng].reshape(x.shape), world[grid.wcs.wcs.lat].reshape(x.shape)


def _to_frame(frame: Grid, longitude: Array, latitude: Array, same: bool, other: Grid) -> tuple[Array, Array]:
    """Pixels of a frame at positions on the sky of another."""
    if not same:
        flat = _changed(other, frame, longitude.ravel(), latitude.ravel())
        longitude, latitude = (v.reshape(longitude.shape) for v in flat)
    return pixels_at(frame, longitude, latitude)


def pixels_at(frame: Grid, longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """Pixels of a frame at positions in its own celestial system, in degrees; NaN where it does not see them."""
    wcs, shape = frame.wcs, longitude.shape
    longitude, latitude = longitude.ravel(), latitude.ravel()
    world = [longitude, latitude] if wcs.wcs.lng == 0 else [latitude, longitude]
    with np.errstate(all="ignore"):
        if not wcs.has_distortion:
            x, y = _each(lambda *some: wcs.wcs_world2pix(*some, 0), *world)
        else:
            x, y = wcs.all_world2pix(*world, 0, tolerance=1e-7, maxiter=50, adaptive=True, quiet=True)
            core = _each(lambda *some: wcs.wcs_world2pix(*some, 0), *world)
            # Far outside the frame the polynomials fold back into it.
            ghost = np.hypot(x - core[0], y - core[1]) > max(frame.shape) / 4
            x, y = np.where(ghost, np.nan, x), np.where(ghost, np.nan, y)
    return np.asarray(x).reshape(shape), np.asarray(y).reshape(shape)


def _each(call: Callable[..., Any], one: Array, other: Array) -> Any:
    """A call of wcslib, NaN for what it refuses: of some distortions it refuses all for one of them."""
    try:
        return np.array(call(one, other))
    except Exception:  # astropy's own kinds differ between versions
        if one.size <= 1:
            return np.full((2, one.size), np.nan)
        half = one.size // 2
        return np.concatenate([_each(call, one[:half], other[:half]), _each(call, one[half:], other[half:])], axis=1)


def _changed(old: Grid, new: Grid, longitude: Array, latitude: Array) -> tuple[Array, Array]:
    """Positions of one celestial system in another (galactic, FK5, ...)."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord, UnitSphericalRepresentation

    ok = np.isfinite(longitude) & np.isfinite(latitude)
    sky = SkyCoord(np.where(ok, longitude, 0) * u.deg, np.where(ok, latitude, 0) * u.deg, frame=old.frame)
    found = sky.transform_to(new.frame).represent_as(UnitSphericalRepresentation)
    return np.where(ok, found.lon.deg, np.nan), np.where(ok, found.lat.deg, np.nan)


def _mesh(top: int, bottom: int, left: int, right: int) -> tuple[Array, Array]:
    x, y = np.meshgrid(np.arange(left, right, dtype=float), np.arange(top, bottom, dtype=float))
    return x, y


def _reach(frame: Grid, target: Grid) -> Box:
    """The part of the target that a frame may reach, from points in and on it; all where one of them is not seen."""
    rows, columns = frame.shape
    x, y = _points(frame.shape)
    there = positions(target, frame, x, y)
    same = frame.frame.is_equivalent_frame(target.frame)
    poles = np.stack(_to_frame(frame, np.zeros(2), np.array([-90.0, 90.0]), same, target))
    with np.errstate(invalid="ignore"):
        holds_pole = ((poles > -1) & (poles < [[columns], [rows]])).all(0).any()  # lines of the target meet there
    if holds_pole or not np.isfinite(there).all():
        return 0, target.shape[0], 0, target.shape[1]
    box = []
    for values, size in zip(there[::-1], target.shape, strict=True):
        margin = 2 + (values.max() - values.min()) / 100
        box += [int(np.clip(values.min() - margin, 0, size)), int(np.clip(np.ceil(values.max() + margin), 0, size))]
    return (box[0], box[1], box[2], box[3]) if box[0] < box[1] and box[2] < box[3] else (0, 0, 0, 0)


def _points(shape: tuple[int, int]) -> tuple[Array, Array]:
    """Points of a frame, and on its edges."""
    x, y = np.meshgrid(np.linspace(-1, shape[1], EDGE), np.linspace(-1, shape[0], EDGE))
    return x, y


def _nodes(frame: Grid, target: Grid, box: Box, step: int, *, corners: bool = False) -> Array:
    more, back = (1, 0.5) if corners else (0, 0.0)  # of corners there is one more
    y, x = (
        first - back + step * (np.arange(-(-(last + more - first) // step) + 3) - 1.0)
        for first, last in (box[:2], box[2:])
    )
    return positions(frame, target, *np.meshgrid(x, y), area=not corners)


def _at(nodes: Array, step: int, box: Box, x: Array, y: Array) -> Array:
    """What cubics through nodes give at pixels of the target."""
    (j, t), (i, s) = (np.divmod((v - first).astype(int), step) for v, first in ((y, box[0]), (x, box[2])))
    w, u = table(step)[:, t], table(step)[:, s]
    found: Array = sum(w[k] * u[m] * nodes[:2, j + k, i + m] for k in range(4) for m in range(4))
    return found


def _error(shape: tuple[int, int], found: Array, true: Array) -> float:
    """The greatest distance of positions that lie in a frame; infinite where just one of both does."""
    with np.errstate(invalid="ignore"):
        inside = [(p[0] > -1) & (p[0] < shape[1]) & (p[1] > -1) & (p[1] < shape[0]) for p in (found, true)]
        off = np.hypot(*(found - true))
    off = off[inside[0] | inside[1]]
    return float(off.max(initial=0.0)) if np.isfinite(off).all() else np.inf
