"""Frames placed by matrices: their maps, the canvas that holds them, and the cards that keep a matrix."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.headers import cards
from xccd.messages import did_you_mean, is_whole
from xccd.sky.grid import Grid
from xccd.sky.pixel_map import STEPS, Box, PixelMap, shifted
from xccd.sky.similarity import inverse, product
from xccd.sky.transform import SAME

Array = np.ndarray[Any, Any]
KEYWORDS = tuple(f"MATRIX{row}{column}" for row in (1, 2) for column in (1, 2, 3))
SCALE = 1e-5  # degrees: a pixel of the plane that is made up for reproject
ROWS = 129  # of a search for the largest rectangle, at a time


class Window(NamedTuple):
    """The canvas: its first pixel (row, column) in the reference frame, and its shape."""

    first: tuple[int, int]
    shape: tuple[int, int]


def affine_map(shape: tuple[int, int], target: tuple[int, int], matrix: Array, *, spread: float = 0.0) -> PixelMap:
    """The map to a frame of ``shape`` by a matrix (2, 3) from the target's pixels (x, y, 1) to the frame's.

    ``spread`` as for `pixel_map`.
    """
    shift = _whole(matrix, target)
    if shift is not None and not spread:
        return shifted(shape, target, shift)
    box = _reach(shape, target, matrix, spread)
    step = STEPS[0]
    nodes, edges = (_nodes(matrix, box, step, back) for back in (0.0, 0.5))
    area = np.full((1, *nodes.shape[1:]), abs(np.linalg.det(matrix[:, :2])))
    return PixelMap(
        shape, box, nodes=np.concatenate([nodes, area]), step=step, grids=_plane(shape, target, matrix), corners=edges
    )


def _whole(matrix: Array, target: tuple[int, int]) -> tuple[int, int] | None:
    """The shift (row, column) if the matrix is one by whole pixels."""
    x, y = np.array([[0, target[1], 0, target[1]], [0, 0, target[0], target[0]]], float)
    off = matrix @ np.stack([x, y, np.ones(4)]) - np.stack([x, y])
    whole = np.round(off[:, :1])
    return (int(whole[1, 0]), int(whole[0, 0])) if (np.abs(off - whole) < SAME).all() else None


def _nodes(matrix: Array, box: Box, step: int, back: float) -> Array:
    more = 1 if back else 0  # one more corner than pixels
    y, x = (
        first - back + step * (np.arange(-(-(last + more - first) // step) + 3) - 1.0)
        for first, last in (box[:2], box[2:])
    )
    u, v = np.meshgrid(x, y)
    return np.stack([m[0] * u + m[1] * v + m[2] for m in matrix])


def _reach(shape: tuple[int, int], target: tuple[int, int], matrix: Array, spread: float) -> Box:
    """The part of the target that the frame may reach."""
    at = corners_of(shape, inverse(matrix), by=1.0 + spread)
    box = []
    for values, size in zip(at[::-1], target, strict=True):
        first, last = (int(np.clip(v, 0, size)) for v in (np.floor(values.min()) - 1, np.ceil(values.max()) + 2))
        box += [first, last]
    return (box[0], box[1], box[2], box[3]) if box[0] < box[1] and box[2] < box[3] else (0, 0, 0, 0)


def _plane(shape: tuple[int, int], target: tuple[int, int], matrix: Array) -> tuple[Grid, Grid]:
    """Both grids on a made-up sky. They share a tangent point, so the map between them is the matrix exactly."""
    back = inverse(matrix)
    centre = np.array([(target[1] + 1) / 2, (target[0] + 1) / 2])
    there = matrix[:, :2] @ (centre - 1) + matrix[:, 2] + 1
    found = []
    for size, crpix, linear in ((shape, there, back[:, :2]), (target, centre, np.eye(2))):
        cd = SCALE * linear
        values = {"CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 0.0, "CRVAL2": 0.0}
        values |= {f"CRPIX{i + 1}": float(crpix[i]) for i in (0, 1)}
        values |= {f"CD{i + 1}_{j + 1}": float(cd[i, j]) for i in (0, 1) for j in (0, 1)}
        found.append(Grid(size, "\n".join(cards.make(k, v) for k, v in sorted(values.items()))))
    return found[0], found[1]


def corners_of(shape: tuple[int, int], matrix: Array, *, by: float = 0.5) -> Array:
    """The corners (x, y) of a frame through a matrix, ``by`` pixels outside of the centres of its corner pixels."""
    x, y = (np.array([-by, n - 1 + by]) for n in shape[::-1])
    at = np.stack([x[[0, 1, 1, 0]], y[[0, 0, 1, 1]], np.ones(4)])
    return np.asarray(matrix @ at)


def window_of(shapes: list[tuple[int, int]], matrices: Array, to: Any) -> Window:
    """The canvas for frames with these matrices to the reference: "union", "intersection", or the place of a frame."""
    n = len(shapes)
    if to is None or (isinstance(to, str) and to == "union"):
        at = np.concatenate([corners_of(s, m) for s, m in zip(shapes, matrices, strict=True)], axis=1)[::-1]
        low, high = np.floor(at.min(1) + 0.5 + SAME), np.ceil(at.max(1) + 0.5 - SAME)
    elif isinstance(to, str) and to == "intersection":
        low, high = _intersection([corners_of(s, m, by=SAME) for s, m in zip(shapes, matrices, strict=True)])
    elif is_whole(to) and -n <= to < n:
        low, high = np.zeros(2), np.array(shapes[to], float)
    else:
        near = did_you_mean(to, ("union", "intersection"))
        raise ValueError(
            f"to={to!r} with transforms=: use 'union', 'intersection', or the number of a frame, 0 to {n - 1}{near}"
        )
    rows, columns = (int(v) for v in high - low)
    return Window((int(low[0]), int(low[1])), (rows, columns))


def _intersection(quads: list[Array]) -> tuple[Array, Array]:
    """The largest rectangle of pixels whose centres lie within all quadrilaterals: its low and high row and column.

    Quadrilaterals are convex. So a rectangle from one row to another has the columns that both rows have.
    """
    first = int(np.ceil(max(q[1].min() for q in quads)))
    last = int(np.floor(min(q[1].max() for q in quads)))
    rows = np.arange(first, last + 1, dtype=float)
    if rows.size:
        left, right = _sides(quads, rows)
        top, bottom = _largest(left, right)
        low, high = max(left[top], left[bottom]), min(right[top], right[bottom])
        if low <= high:
            return np.array([first + top, low]), np.array([first + bottom + 1, high + 1])
    raise ValueError("to='intersection': the frames have no pixel in common after these transforms: use 'union'")


def _sides(quads: list[Array], rows: Array) -> tuple[Array, Array]:
    """The first and the last column in each row whose centre lies within all quadrilaterals."""
    left, right = np.full(rows.size, -np.inf), np.full(rows.size, np.inf)
    for quad in quads:
        low, high = np.full(rows.size, np.inf), np.full(rows.size, -np.inf)
        for k in range(4):
            (x, y), (u, v) = quad[:, k], quad[:, (k + 1) % 4]
            if y == v:
                continue
            t = (rows - y) / (v - y)
            at = np.where((t >= 0) & (t <= 1), x + t * (u - x), np.nan)
            low, high = np.fmin(low, at), np.fmax(high, at)
        left, right = np.maximum(left, low), np.minimum(right, high)
    return np.ceil(left), np.floor(right)


def _largest(left: Array, right: Array) -> tuple[int, int]:
    """The rows of the largest rectangle: all pairs of rows that are far apart, then of those near the best."""
    n = len(left)
    step = max(1, n // ROWS)
    tops = bottoms = np.unique(np.append(np.arange(0, n, step), n - 1))
    while True:
        width = np.minimum(right[tops][:, None], right[bottoms]) - np.maximum(left[tops][:, None], left[bottoms]) + 1
        height = bottoms - tops[:, None] + 1
        best = np.argmax(np.where((width > 0) & (height > 0), width * height, -1))
        top, bottom = (int(v[k]) for v, k in zip((tops, bottoms), np.unravel_index(best, width.shape), strict=True))
        if step == 1:
            return top, bottom
        reach, step = 2 * step, max(1, step // 16)
        tops, bottoms = (np.arange(max(0, k - reach), min(n, k + reach + 1), step) for k in (top, bottom))


def lines_of(shape: tuple[int, int], matrix: Array) -> str:
    """A frame of ``shape``, and the matrix from the canvas to it, as cards."""
    sizes = [cards.make(f"NAXIS{k}", n) for k, n in enumerate(shape[::-1], 1)]
    return "\n".join([*sizes, *(cards.make(k, float(v)) for k, v in zip(KEYWORDS, matrix.ravel(), strict=True))])


def map_of(text: str, target: tuple[int, int], first: tuple[float, float]) -> PixelMap | None:
    """The map of `lines_of`, for a canvas that begins at its pixel ``first`` (row, column) now; None without them."""
    values = [cards.as_number(cards.card_value(text, k)) for k in ("NAXIS2", "NAXIS1", *KEYWORDS)]
    if not np.isfinite(values).all():
        return None
    moved = np.array([[1, 0, first[1]], [0, 1, first[0]]], float)
    return affine_map((int(values[0]), int(values[1])), target, product(np.reshape(values[2:], (2, 3)), moved))
