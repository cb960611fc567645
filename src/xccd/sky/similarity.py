"""Plane transforms between the pixels of two frames: similarity and affine, fitted to stars in common."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
MODELS = ("similarity", "affine")
PASSES = 16
SIGMAS = 4.0  # stars farther off than that many standard deviations are left out
TAIL, FAINTEST = 2.4, 0.02  # standard deviations, and least pixels, at which a star counts half
FINEST = 0.3  # pixels: a star this near is never left out
STILL = 1e-7  # relative change of a matrix that ends the passes


@dataclass(frozen=True, eq=False)
class Fit:
    """A matrix (2, 3) from the pixels (x, y, 1) of one frame to another's, and the stars that it is fitted to."""

    matrix: Array
    first: Array  # indices of the matched stars in both lists
    other: Array
    residual: float  # root mean square of the distances, in pixels of the first frame
    reach: float  # the distance within which stars were taken
    places: Array  # of the matched stars in the other frame, x + iy
    off: Array | None = None  # their distances, in pixels of the first frame
    weights: Array | None = None  # 1 / variance of the distances along an axis, less for stars that are far off
    affine: bool = False

    def __len__(self) -> int:
        """Count the stars."""
        return len(self.first)

    @property
    def scale(self) -> float:
        """How much longer a distance is in the first frame."""
        return scale_of(self.matrix)

    def apply(self, places: Array) -> Array:
        """Places of the other frame in the first one."""
        return apply(self.matrix, places)


def scale_of(matrix: Array) -> float:
    """The root of the ratio of areas."""
    return float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))


def turn_of(matrix: Array) -> float:
    """Degrees from the x axis of the first frame to that of the other, towards its y axis."""
    return float(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])))


def is_mirrored(matrix: Array) -> bool:
    """Whether one frame is a mirror image of the other."""
    return bool(np.linalg.det(matrix[:, :2]) < 0)


def apply(matrix: Array, places: Array) -> Array:
    """Complex places x + iy through a matrix (2, 3)."""
    (a, b, c), (d, e, f) = matrix
    x, y = places.real, places.imag
    return np.asarray(a * x + b * y + c + 1j * (d * x + e * y + f))


def inverse(matrix: Array) -> Array:
    """The matrix (2, 3) of the way back."""
    back = np.linalg.inv(matrix[:, :2])
    return np.column_stack([back, -back @ matrix[:, 2]])


def product(one: Array, two: Array) -> Array:
    """The matrix (2, 3) of ``two`` first and then ``one``."""
    return np.column_stack([one[:, :2] @ two[:, :2], one[:, :2] @ two[:, 2] + one[:, 2]])


def of_complex(a: complex, t: complex, mirrored: bool) -> Array:
    """The matrix of z -> a z + t, or of a conj(z) + t."""
    sign = -1 if mirrored else 1
    return np.array([[a.real, -sign * a.imag, t.real], [a.imag, sign * a.real, t.imag]])


def settled(
    first: Array, other: Array, start: Array, reach: float, *, model: str = "similarity",
    weights: tuple[Array, Array] | None = None,
) -> Fit | None:  # fmt: skip
    """A fit from a first guess: stars are paired and the matrix fitted again, until nothing changes.

    Parameters
    ----------
    first, other : ndarray of complex
        Places x + iy of stars.
    start : ndarray (2, 3)
        The guess, from ``other`` to ``first``.
    reach : float
        Pixels of the first frame: stars farther apart are no pair. It shrinks to four standard deviations.
    model : {"similarity", "affine"}
        What is fitted.
    weights : pair of ndarray, optional
        Variances of the places in both lists. Default: all alike.

    Returns
    -------
    Fit or None
        None if too few stars are paired for the model.
    """
    matrix, sigma, affine = start, 0.0, False
    i, j, off, w = np.zeros(0, int), np.zeros(0, int), np.zeros(0), np.zeros(0)
    for k in range(PASSES):
        i, j = pairs(first, apply(matrix, other), reach)
        affine = model == "affine" and k > 2
        if len(i) < (3 if affine else 2):
            return None
        w = np.ones(len(i)) if weights is None else 1 / (weights[0][i] + weights[1][j])
        if k > 1:
            w = w / (1 + (np.abs(first[i] - apply(matrix, other[j])) / (TAIL * max(sigma, FAINTEST))) ** 2)
        last, matrix = matrix, fitted(first[i], other[j], w, affine=affine, mirrored=is_mirrored(start))
        off = np.abs(first[i] - apply(matrix, other[j]))
        if not np.isfinite(matrix).all():
            return None
        sigma = float(np.median(off)) / 1.1774
        if k > 1:
            reach = min(reach, max(FINEST, SIGMAS * sigma))
        if k > 3 and np.abs(matrix - last).max() <= STILL * np.abs(matrix).max():
            break
    keep = off <= reach
    i, j, off, w = i[keep], j[keep], off[keep], w[keep]
    if len(i) < 2:
        return None
    return Fit(matrix, i, j, float(np.sqrt(np.mean(off**2))), reach, other[j], off, w, affine)


def spread(fit: Fit, shape: tuple[int, int]) -> float:
    """The standard error of the fit at the corner of the other frame where it is largest, in pixels of the first.

    It is what the variances of the places say, or what the distances show if that is more.
    """
    n, taken = len(fit), 3 if fit.affine else 2
    if n <= taken or fit.weights is None or fit.off is None:
        return float("inf")
    w, (rows, columns) = fit.weights, shape
    scale = max(2.0, float((w * fit.off**2).sum()) / (n - taken))  # of both axes
    middle = (w * fit.places).sum() / w.sum()
    far = np.array([0, columns - 1, 1j * (rows - 1), columns - 1 + 1j * (rows - 1)]) - middle
    v = fit.places - middle
    plane = np.stack([v.real, v.imag]) * w @ np.stack([v.real, v.imag]).T
    back = np.linalg.pinv(plane) if fit.affine else np.eye(2) / np.trace(plane)
    lever = max(float(np.array([c.real, c.imag]) @ back @ [c.real, c.imag]) for c in far)
    return float(np.sqrt(scale * (1 / w.sum() + lever)))


def pairs(first: Array, other: Array, reach: float) -> tuple[Array, Array]:
    """Indices of places in both lists that are each other's nearest and not farther apart than ``reach``."""
    if not (len(first) and len(other)):
        return np.zeros(0, int), np.zeros(0, int)
    apart = np.abs(first[:, None] - other)
    nearest, back = apart.argmin(axis=1), apart.argmin(axis=0)
    i = np.flatnonzero((back[nearest] == np.arange(len(first))) & (apart.min(axis=1) <= reach))
    return i, nearest[i]


def fitted(first: Array, other: Array, weights: Array, *, affine: bool, mirrored: bool) -> Array:
    """The matrix (2, 3) from ``other`` to ``first`` by weighted least squares."""
    total = weights.sum()
    one, two = (weights * first).sum() / total, (weights * other).sum() / total
    u, v = first - one, other - two
    if not affine:
        v = v.conj() if mirrored else v
        norm = (weights * np.abs(v) ** 2).sum()
        a = (weights * u * v.conj()).sum() / norm if norm > 0 else complex(np.nan)
        return of_complex(a, one - a * (two.conj() if mirrored else two), mirrored)
    root = np.sqrt(weights)[:, None]
    plane = np.stack([v.real, v.imag], axis=1) * root
    found, *_ = np.linalg.lstsq(plane, np.stack([u.real, u.imag], axis=1) * root, rcond=None)
    linear = found.T
    return np.column_stack([linear, [one.real, one.imag] - linear @ [two.real, two.imag]])
