"""Maps from a target grid to a source grid: a whole shift, cubics through checked nodes, or the WCS itself."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property, lru_cache
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.compute import options
from xccd.sky.transform import Array, edge_points, far_apart, positions, to_pixels, whole_shift

if TYPE_CHECKING:
    from xccd.sky.grid import Grid

STEPS = (256, 128, 64, 32, 16, 8)  # pixels between nodes; the first that is exact enough is taken
LIMIT = 1e-3  # largest error of a map, in pixels of the source
CHECKS = 400  # random pixels at which a map is compared with the WCS, beside the centre of each cell of nodes
TORN = 4  # times the median side: longer pixels may lie on a seam
MARGIN = 4  # more rows, for the taps of interpolation
Box = tuple[int, int, int, int]


@dataclass(frozen=True, eq=False)
class PixelMap:
    """The position of each target pixel in a source of ``shape``: planes x, y and the ratio of areas.

    ``box`` is the part of the target that the source reaches: first and end row, first and end column. Positions come
    from ``shift`` (the target's first pixel in the source), else from ``nodes``, else from the WCS of ``grids`` (source
    and target). ``error`` is the largest error at the checked pixels, in pixels of the source.
    """

    shape: tuple[int, int]
    box: Box
    error: float = 0.0
    shift: tuple[int, int] | None = None
    nodes: Array | None = None
    step: int = 1
    grids: tuple[Grid, Grid] | None = None
    corners: Array | None = None  # nodes for the first corner of each pixel, half a pixel before its centre
    side: float = np.inf  # the median side of a target pixel, in pixels of the source; known without nodes

    def part(self, start: int, stop: int) -> tuple[int, int]:
        """The rows among ``start`` to ``stop`` of the target that the source reaches."""
        top, bottom = max(start, self.box[0]), min(stop, self.box[1])
        return (top, bottom) if top < bottom and self.box[2] < self.box[3] else (start, start)

    def rows(self, start: int, stop: int, reach: float = 1.0) -> tuple[int, int]:
        """The rows of the source that rows ``start`` to ``stop`` of the target need.

        ``reach`` says how many times farther than interpolation the method looks, in pixels of the target.
        """
        top, bottom = self.part(start, stop)
        if top == bottom:
            return 0, 0
        if self.shift is not None:
            return top + self.shift[0], bottom + self.shift[0]  # pixels are copied: no margin for taps
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
        """The least and the greatest y in each row of the box, from the columns of nodes."""
        assert self.nodes is not None
        j, t = np.divmod(np.arange(self.box[1] - self.box[0]), self.step)
        weights = table(self.step)[:, t, None]
        y = sum(weights[k] * self.nodes[1, j + k, 1:-1] for k in range(4))
        bend = np.abs(np.diff(self.nodes[1], n=2, axis=1)).max(initial=0) / 8  # largest bend of y between two columns
        return np.min(y, axis=1) - bend, np.max(y, axis=1) + bend

    def __getstate__(self) -> dict[str, Any]:
        # they are as long as the target is high, and are made again where they are needed
        return {k: v for k, v in self.__dict__.items() if k != "_heights"}

    def positions(self, start: int, stop: int, *, area: bool = False) -> Array:
        """Planes x and y, with ``area`` a third, for rows ``start`` to ``stop`` of the target and the box's columns."""
        if self.nodes is None:
            assert self.grids is not None
            return positions(*self.grids, *_mesh(start, stop, *self.box[2:]), area=area)
        at = np.empty((2 + area, stop - start, self.box[3] - self.box[2]))
        call_kernel("resample", "interpolated_nodes", self.nodes[: 2 + area], table(self.step), start - self.box[0], at)
        return at

    def edges(self, start: int, stop: int) -> Array:
        """Planes x and y at the corners of the pixels of these rows: one more row and column than pixels."""
        left, right = self.box[2:]
        if self.corners is None:
            assert self.grids is not None
            x, y = _mesh(start, stop + 1, left, right + 1)
            return positions(*self.grids, x - 0.5, y - 0.5)
        at = np.empty((2, stop - start + 1, right - left + 1))
        call_kernel("resample", "interpolated_nodes", self.corners, table(self.step), start - self.box[0], at)
        return at

    def torn(self, edges: Array) -> Array | None:
        """Where pixels with these corners (`edges`) lie on a seam of the source, or on its pole; None if nowhere.

        There, a quadrilateral spans half of the source or more, and is no pixel.
        """
        if self.nodes is not None:  # maps through nodes are smooth
            return None
        some = np.stack([edges[:, :-1, :-1], edges[:, :-1, 1:], edges[:, 1:, 1:], edges[:, 1:, :-1]])
        with np.errstate(invalid="ignore"):
            span = some.max(0) - some.min(0)
            wide = (span > TORN * self.side) & (span > np.array(self.shape[::-1])[:, None, None] / 2)
        found: Array = wide.any(0)
        return found if found.any() else None


def call_kernel(module: str, name: str, *arguments: Any) -> Any:
    """Call a kernel of the module "resample", "overlap" or "drizzle", in the engine that is in use."""
    return options.with_engine(lambda engine: getattr(_modules(engine.NAME == "numba")[module], name)(*arguments))


@cache
def _modules(compiled: bool) -> dict[str, ModuleType]:
    """The modules of an engine, imported when they are first used."""
    if compiled:
        from xccd.kernels.compiled import drizzle, overlap, resample

        return {"overlap": overlap, "resample": resample, "drizzle": drizzle}
    from xccd.kernels.plain import drizzle as plain_drizzle
    from xccd.kernels.plain import overlap as plain_overlap
    from xccd.kernels.plain import resample as plain_resample

    return {"overlap": plain_overlap, "resample": plain_resample, "drizzle": plain_drizzle}


@lru_cache(maxsize=32)
def table(step: int) -> Array:
    """Weights (4, step) of Lagrange's cubic through nodes at -1, 0, 1 and 2, for the points 0, 1/step, 2/step, ..."""
    t = np.arange(step) / step
    return np.stack(
        [
            -t * (t - 1) * (t - 2) / 6,
            (t + 1) * (t - 1) * (t - 2) / 2,
            -(t + 1) * t * (t - 2) / 2,
            (t + 1) * t * (t - 1) / 6,
        ]
    )


@lru_cache(maxsize=32)  # the planes of a cube, and weights of aligned frames, ask for the same maps
@np.errstate(all="ignore")  # positions that are not on the sky
def pixel_map(source: Grid, target: Grid, *, corners: bool = False, spread: float = 0.0) -> PixelMap:
    """The cheapest map from a target to a source that is exact enough; with ``corners`` also for `PixelMap.edges`.

    ``spread`` is how far a pixel of the source reaches beyond itself, in pixels.
    """
    shift = whole_shift(source, target)
    if shift is not None:
        return shifted(source.shape, target.shape, shift)
    grids = (source, target)
    box = _reach(source, target, spread)
    if box[0] == box[1]:
        return PixelMap(source.shape, box, grids=grids)
    rng = np.random.default_rng(0)  # always the same pixels, so that equal grids give equal maps
    x = rng.integers(box[2], box[3], CHECKS).astype(float)
    y = rng.integers(box[0], box[1], CHECKS).astype(float)
    true = positions(source, target, x, y, area=True)
    for step in STEPS:
        # nodes farther apart than the box is long would all lie outside of it
        if step > STEPS[-1] and step > max(box[1] - box[0], box[3] - box[2]):
            continue
        nodes = _nodes(source, target, box, step)
        error = _error(source.shape, _at(nodes, step, box, x, y), true[:2])
        if error <= LIMIT:
            error = max(error, _error_at_centres(source, target, nodes, step, box))
        if error <= LIMIT:
            first = _nodes(source, target, box, step, corners=True) if corners else None
            return PixelMap(source.shape, box, error, nodes=nodes, step=step, grids=grids, corners=first)
    return PixelMap(source.shape, box, grids=grids, side=float(np.sqrt(np.nanmedian(true[2]))))


def shifted(shape: tuple[int, int], target: tuple[int, int], shift: tuple[int, int]) -> PixelMap:
    """The map for a whole shift: the target's pixel (0, 0) is the source's pixel ``shift``."""
    box = [
        edge
        for n, size, by in zip(shape, target, shift, strict=True)
        for edge in (min(max(0, -by), size), max(min(size, n - by), 0))
    ]
    if box[0] >= box[1] or box[2] >= box[3]:
        box = [0, 0, 0, 0]
    return PixelMap(shape, (box[0], box[1], box[2], box[3]), shift=shift)


def moved(
    shape: tuple[int, int], target: tuple[int, int], by: tuple[float, float], *, spread: float = 0.0
) -> PixelMap:  # fmt: skip
    """Like `shifted`, also for fractions of a pixel, and with ``spread`` (see `pixel_map`), which no shift has."""
    rows, columns = (round(b) for b in by)
    if (rows, columns) == by and not spread:
        return shifted(shape, target, (rows, columns))
    box, margin = [], 1 + spread
    for n, size, b in zip(shape, target, by, strict=True):
        first, last = min(max(0, int(np.floor(-b - margin))), size), max(min(size, int(np.ceil(n - b + margin))), 0)
        box += [first, max(first, last)]
    # a shift is linear, so the cubics are exact with any step; one more corner than pixels
    step = STEPS[0]
    y, x = (first + step * (np.arange(-(-(last + 1 - first) // step) + 3) - 1.0) for first, last in (box[:2], box[2:]))
    nodes = np.stack([*np.broadcast_arrays(x + by[1], (y + by[0])[:, None]), np.ones((y.size, x.size))])
    whole = (box[0], box[1], box[2], box[3])
    return PixelMap(shape, whole, nodes=nodes, step=step, corners=nodes[:2] - 0.5)


def _mesh(top: int, bottom: int, left: int, right: int) -> tuple[Array, Array]:
    x, y = np.meshgrid(np.arange(left, right, dtype=float), np.arange(top, bottom, dtype=float))
    return x, y


def _reach(source: Grid, target: Grid, spread: float = 0.0) -> Box:
    """The part of the target that the source may reach, from points all over the source.

    It is the whole target if one of the points has no position in it.
    """
    if far_apart(source, target):
        return 0, 0, 0, 0
    rows, columns = source.shape
    x, y = edge_points(source.shape)
    there = positions(target, source, x, y)
    same = source.frame.is_equivalent_frame(target.frame)
    poles = np.stack(to_pixels(source, np.zeros(2), np.array([-90.0, 90.0]), same, target))
    with np.errstate(invalid="ignore"):
        holds_pole = ((poles > -1) & (poles < [[columns], [rows]])).all(0).any()  # the target's meridians meet there
    if holds_pole or not np.isfinite(there).all():
        return 0, target.shape[0], 0, target.shape[1]
    box, wider = [], 2 * spread * source.pixel_size / target.pixel_size if spread else 0.0
    for values, size in zip(there[::-1], target.shape, strict=True):
        # the border may bulge between the points
        margin = 2 + (values.max() - values.min()) / 100 + wider
        box += [int(np.clip(values.min() - margin, 0, size)), int(np.clip(np.ceil(values.max() + margin), 0, size))]
    return (box[0], box[1], box[2], box[3]) if box[0] < box[1] and box[2] < box[3] else (0, 0, 0, 0)


def _nodes(source: Grid, target: Grid, box: Box, step: int, *, corners: bool = False) -> Array:
    more, back = (1, 0.5) if corners else (0, 0.0)  # one more corner than pixels
    y, x = (
        first - back + step * (np.arange(-(-(last + more - first) // step) + 3) - 1.0)
        for first, last in (box[:2], box[2:])
    )
    return positions(source, target, *np.meshgrid(x, y), area=not corners)


def _at(nodes: Array, step: int, box: Box, x: Array, y: Array) -> Array:
    """Positions of target pixels from the cubics through nodes."""
    (j, t), (i, s) = (np.divmod((v - first).astype(int), step) for v, first in ((y, box[0]), (x, box[2])))
    w, u = table(step)[:, t], table(step)[:, s]
    found: Array = sum(w[k] * u[m] * nodes[:2, j + k, i + m] for k in range(4) for m in range(4))
    return found


def _error_at_centres(source: Grid, target: Grid, nodes: Array, step: int, box: Box) -> float:
    """The error at the centre of each cell of nodes, where that of a cubic is largest, and that of a seam too."""
    x, y = _mesh(0, nodes.shape[1] - 3, 0, nodes.shape[2] - 3)
    x, y = (np.minimum(first + step * (v + 0.5) // 1, last - 1) for v, first, last in ((x, *box[2:]), (y, *box[:2])))
    x, y = x.ravel(), y.ravel()
    return _error(source.shape, _at(nodes, step, box, x, y), positions(source, target, x, y))


def _error(shape: tuple[int, int], found: Array, true: Array) -> float:
    """The largest distance between two sets of positions that lie in the source; infinite if one is not finite."""
    with np.errstate(invalid="ignore"):
        inside = [(p[0] > -1) & (p[0] < shape[1]) & (p[1] > -1) & (p[1] < shape[0]) for p in (found, true)]
        off = np.hypot(*(found - true))
    off = off[inside[0] | inside[1]]  # elsewhere the error does no harm
    return float(off.max(initial=0.0)) if np.isfinite(off).all() else np.inf
