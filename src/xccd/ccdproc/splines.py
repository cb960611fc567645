"""Interpolation by B-splines of degree 0 to 3, with SciPy's rules at the edges, as in ccdproc."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import combinations
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Taps = tuple[list[Array], list[Array]]  # pixels along an axis, and their weights
POLES = {2: 8**0.5 - 3, 3: 3**0.5 - 2}  # of the filter from samples to coefficients
HALF = 0.5 + 1e-6  # half a pixel, with room for rounding of positions
FAR = 4  # more pixels than a basis function has, for a variance: exact to 1e-6, to 1e-3 at an edge


def coefficients(image: Array, degree: int) -> Array:
    """The coefficients of basis functions whose sum goes through the pixels of an image."""
    made = np.array(image, np.float64)
    if degree in POLES:
        for _ in range(2):
            made = np.ascontiguousarray(made.T)
            _filter(made, POLES[degree])
    return made


def _filter(c: Array, pole: float) -> None:
    """Apply the recursive filter along axis 0, in place. Samples are mirrored about the first and the last one."""
    n = len(c)
    if n == 1:
        return
    c *= (1 - pole) * (1 - 1 / pole)
    shares = pole ** np.arange(n)
    shares[1:-1] += pole ** (2 * n - 2 - np.arange(1, n - 1))
    c[0] = shares @ c / (1 - pole ** (2 * n - 2))
    for i in range(1, n):
        c[i] += pole * c[i - 1]
    c[-1] = (pole * c[-2] + c[-1]) * pole / (pole * pole - 1)
    for i in range(n - 2, -1, -1):
        c[i] = pole * (c[i + 1] - c[i])


def spline_values(coefficient: Array, y: Array, x: Array, degree: int) -> Array:
    """The spline at some positions; NaN outside of the image."""
    return _sum(coefficient, y, x, partial(_basis, degree=degree))


def spline_variances(variance: Array, y: Array, x: Array, degree: int) -> Array:
    """The variance of `spline_values`, from the variances of independent pixels."""
    return _sum(variance, y, x, partial(_squared_weights, degree=degree))


def _sum(image: Array, y: Array, x: Array, taps: Any) -> Array:
    rows, columns = image.shape
    inside = (y >= -HALF) & (y <= rows - 1 + HALF) & (x >= -HALF) & (x <= columns - 1 + HALF)
    found = np.full(y.shape, np.nan)
    (j, v), (i, w) = (taps(np.clip(p[inside], 0, n - 1), n) for p, n in ((y, rows), (x, columns)))
    flat, total = image.reshape(-1), np.zeros(np.count_nonzero(inside))
    for row, down in zip(j, v, strict=True):
        line = np.zeros_like(total)
        for column, across in zip(i, w, strict=True):
            line += across * flat[row * columns + column]
        total += down * line
    found[inside] = total
    return found


def _basis(x: Array, n: int, degree: int) -> Taps:
    """Pixels near positions, folded back at the edges of ``n``, and the basis functions of each."""
    first = _first_pixel(x, degree)
    weights = FUNCTIONS[degree](x - first - degree // 2)
    return [_folded(first + k, n) for k in range(len(weights))], weights


def _first_pixel(x: Array, degree: int) -> Array:
    """The first pixel whose basis function reaches a position."""
    return np.asarray(np.floor(x + 0.5 * (1 - degree % 2)) - degree // 2, np.intp)


FUNCTIONS: tuple[Callable[[Array], list[Array]], ...] = (  # of the distance from the pixel below, or the nearest
    lambda t: [np.ones_like(t)],
    lambda t: [1 - t, t],
    lambda t: [(0.5 - t) ** 2 / 2, 0.75 - t * t, (0.5 + t) ** 2 / 2],
    lambda t: [(1 - t) ** 3 / 6, (4 - t * t * (6 - 3 * t)) / 6, (1 + 3 * t * (1 + t * (1 - t))) / 6, t**3 / 6],
)


def _folded(index: Array, n: int) -> Array:
    if n == 1:
        return np.zeros_like(index)
    around = np.abs(index) % (2 * n - 2)
    return np.asarray(np.minimum(around, 2 * n - 2 - around))


def _squared_weights(x: Array, n: int, degree: int) -> Taps:
    """Pixels near positions, and the squares of their weights in the value there."""
    pixels, weights = _basis(x, n, degree)
    if degree in POLES:
        first = _first_pixel(x, degree) - FAR
        each = range(len(weights) + 2 * FAR)
        pixels = [_folded(first + k, n) for k in each]
        weights = [np.sum([_response(a + FAR - k, degree) * b for a, b in enumerate(weights)], axis=0) for k in each]
    for a, b in combinations(range(len(pixels)), 2):  # add up the weights of a pixel that appears twice
        twice = pixels[a] == pixels[b]
        if twice.any():
            weights[a] = weights[a] + np.where(twice, weights[b], 0)
            weights[b] = np.where(twice, 0, weights[b])
    return pixels, [w * w for w in weights]


def _response(distance: int, degree: int) -> float:
    """The coefficient at a distance in pixels from a pixel of 1 among zeros."""
    pole = POLES[degree]
    return float((1 - pole) * (1 - 1 / pole) * pole ** abs(distance) * pole / (pole * pole - 1))
