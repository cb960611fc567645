"""Levels of aligned frames: gains, sky levels and planes that fit all overlaps best."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import chain, pairwise, product
from math import prod
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import arrays
from xccd.compute.patches import Patch, of_patches, strips
from xccd.errors import in_tree
from xccd.labels.warn import warn
from xccd.verbs.local_sky import MAD_TO_STD
from xccd.verbs.overlap_gains import HALO, Sources, gains, sources
from xccd.verbs.overlap_samples import FEWEST, Common, Lattice, groups, sampled

Array = np.ndarray[Any, Any]
CELLS = 8  # of the grid of medians along each side of what two frames have in common, at most
PER_CELL = 25  # samples of a cell, at least
PASSES = 5  # of frames against their median
DOUBTFUL = 0.5  # of the noise of a pixel: a plane with a larger error at a corner of its frame is told of


class Wanted(NamedTuple):
    """What is solved for, and the names of the frames in messages."""

    names: tuple[str, ...]
    gains: bool = False
    zero: str | None = None  # "overlap", "plane" or None
    degree: int = 0
    to: str | float = "first"


def solved(x: Any, wanted: Wanted, scale: Any, rows: Array, columns: Array) -> Any:
    """Levels (4, frames): scale, and zero at pixel 0, by row and by column; lazy on dask input.

    ``x`` may have axes of size 1 before y and x, as one plane of cubes. ``scale`` has the levels that frames are scaled
    by, None for 1. ``rows`` and ``columns`` are the pixel numbers of the last two axes. The levels Z are of the frames
    before scaling: frames agree in ``(x - Z) / scale``.
    """
    look = partial(_look, size=prod(x.shape[1:]), gains=wanted.gains)
    found = of_patches(look, x, strips(x.shape, x.dtype.itemsize, HALO if wanted.gains else 0))
    solve = partial(_levels, wanted=wanted, rows=rows, columns=columns)
    if not arrays.is_dask(x):
        return solve(found, scale)
    import dask.array as da
    from dask.delayed import delayed

    return da.from_delayed(delayed(solve, pure=True)(found, scale), (4, len(wanted.names)), np.float64)


def _look(values: Array, patch: Patch, size: int, gains: bool) -> tuple[Lattice, Sources | None]:
    """What is kept of a patch."""
    if values.ndim > 3 and all(n == 1 for n in values.shape[1:-2]):
        values = values.reshape(len(values), *values.shape[-2:])
        patch = Patch(patch.box[-2:], patch.core[-2:])
    good = np.isfinite(values)
    return sampled(values, good, patch, size), sources(values, good, patch) if gains else None


@in_tree
def _levels(
    found: Sequence[Sequence[tuple[Lattice, Sources | None]]], scale: Any, *, wanted: Wanted, rows: Array,
    columns: Array,
) -> Array:  # fmt: skip
    """The levels, from what was kept of the patches."""
    common = Common([lattice for lattice, _ in chain(*found)], len(wanted.names))
    if wanted.gains:
        every = Sources.of_all([some for _, some in chain(*found) if some is not None])
        scale = gains(every, common.enough(), wanted.names)
    levels = np.zeros((4, len(wanted.names)))
    levels[0] = 1.0 if scale is None else scale
    if wanted.zero is None or not (np.isfinite(levels[0]) & (levels[0] > 0)).all():  # the verb names the frame
        return levels
    factors = levels[0, 0] / levels[0]
    field = _Field(rows, columns)
    solve = _against_reference if wanted.zero == "plane" else _by_pairs
    levels[1:] = field.in_pixels(solve(common, factors, field, wanted).T) / factors
    return levels


class _Field:
    """Positions in an image as numbers from about -1 to 1, in which planes are well conditioned."""

    def __init__(self, rows: Array, columns: Array) -> None:
        self.axes = [np.asarray(rows, np.float64), np.asarray(columns, np.float64)]
        self.middle = np.array([a.mean() if a.size else 0.0 for a in self.axes])
        self.half = max([1.0, *(float(np.ptp(a)) / 2 for a in self.axes if a.size)])

    def terms(self, at: Array) -> Array:
        """The terms of a plane at places (2, n), as (n, 3)."""
        y, x = ((a[i] - m) / self.half for a, i, m in zip(self.axes, at, self.middle, strict=True))
        return np.stack([np.ones_like(y), y, x], axis=1)

    def in_pixels(self, planes: Array) -> Array:
        """Planes (3, frames) as level at pixel 0, and slopes by row and by column."""
        level, y, x = planes
        slopes = np.stack([y, x]) / self.half
        return np.stack([level - self.middle @ slopes, *slopes])

    def medians(self, off: Array, at: Array, degree: int) -> tuple[Array, Array, Array]:
        """Medians of cells: values, the mean terms of their samples (cells, 1 or 3), counts. One cell for degree 0."""
        if degree == 0:
            return np.array([np.median(off)]), np.ones((1, 1)), np.array([float(off.size)])
        cell, count = _cells(at)
        order = np.argsort(cell, kind="stable")
        off, terms = off[order], self.terms(at)[order]
        edges = np.searchsorted(cell[order], np.arange(count + 1))
        parts = [slice(a, b) for a, b in pairwise(edges.tolist()) if b - a >= PER_CELL]
        values = np.array([np.median(off[p]) for p in parts])
        means = np.array([terms[p].mean(0) for p in parts]).reshape(-1, 3)
        return values, means, np.array([float(p.stop - p.start) for p in parts])


def _cells(at: Array) -> tuple[Array, int]:
    """The cell of a grid for each of the places (2, n), and the count of cells: `CELLS` along each side or fewer."""
    if not at.shape[1]:
        return np.zeros(0, int), 0
    low, size = at.min(1), np.ptp(at, axis=1) + 1
    least = np.sqrt(PER_CELL * size.prod() / at.shape[1])  # the edge of a cell with that many samples, if they are even
    number = np.clip(size // least, 1, CELLS).astype(int)
    y, x = ((a - first) * n // length for a, first, n, length in zip(at, low, number, size, strict=True))
    return y * number[1] + x, int(number.prod())


class _Fit:
    """Normal equations of levels or planes of all frames, to which pairs are added."""

    def __init__(self, frames: int, terms: int) -> None:
        self.frames, self.terms = frames, terms
        self.matrix, self.right = np.zeros((frames, terms, frames, terms)), np.zeros((frames, terms))
        self.linked = np.zeros((frames, frames), bool)
        self.squares, self.number = 0.0, 0  # of all values, with their weights; how many
        self.noise: list[float] = []  # of a pixel, in each pair

    def add(self, i: int, j: int, values: Array, terms: Array, weights: Array) -> None:
        """The values of ``frame i - frame j`` at places where a plane has ``terms``."""
        square, along = np.einsum("c,ca,cb->ab", weights, terms, terms), (weights * values) @ terms
        for k, other, sign in ((i, j, 1), (j, i, -1)):
            self.matrix[k, :, k] += square
            self.matrix[k, :, other] -= square
            self.right[k] += sign * along
        self.linked[i, j] = self.linked[j, i] = True
        self.squares += float((weights * values**2).sum())
        self.number += len(values)

    def solved(self, names: Sequence[str]) -> tuple[Array, Array]:
        """The planes (frames, 3), that of the first frame 0, and their covariances (frames, terms, terms)."""
        n, k = self.frames, self.terms
        found, errors = np.zeros((n, 3)), np.zeros((n, k, k))
        if n > 1:
            a, b = self.matrix[1:, :, 1:].reshape(k * (n - 1), -1), self.right[1:].ravel()
            if k > 1:
                _check_planes(a, names)
            solution = np.linalg.solve(a, b)
            found[1:, :k] = solution.reshape(-1, k)
            if k > 1:
                unit = max(0.0, self.squares - float(b @ solution)) / max(1, self.number - a.shape[0])
                inverse = np.linalg.inv(a).reshape(n - 1, k, n - 1, k)
                errors[1:] = unit * np.stack([inverse[i, :, i] for i in range(n - 1)])
        return found, errors


def _by_pairs(common: Common, factors: Array, field: _Field, wanted: Wanted) -> Array:
    """Planes (frames, 3) of the scaled frames that fit the differences of all pairs best, that of the first 0."""
    fit = _Fit(common.frames, 1 + 2 * wanted.degree)
    for i, j, count, one, other, at in common:
        off = factors[i] * one - factors[j] * other
        values, terms, counts = field.medians(off, at, wanted.degree)
        fit.add(i, j, values, terms, counts * (count / one.size))
        if wanted.degree:
            fit.noise.append(MAD_TO_STD * float(np.median(np.abs(off - np.median(off)))) / np.sqrt(2))
    _check_joined(fit.linked, wanted.names)
    planes, errors = fit.solved(wanted.names)
    if wanted.degree and fit.noise:
        _doubt(common, field, errors, float(np.median(fit.noise)), wanted.names)
    return planes


def _doubt(common: Common, field: _Field, errors: Array, noise: float, names: Sequence[str]) -> None:
    """Warn of planes that the overlaps tell badly at a corner of their frame."""
    low, high = common.boxes()
    worst = np.zeros(common.frames)
    for corner in product((0, 1), repeat=2):
        at = np.stack([(low, high)[side][:, axis] for axis, side in enumerate(corner)])
        terms = field.terms(at)
        worst = np.maximum(worst, np.sqrt(np.maximum(0, np.einsum("ia,iab,ib->i", terms, errors, terms))))
    bad = np.flatnonzero(worst > DOUBTFUL * noise)
    if bad.size:
        more = f" (and {bad.size - 1} more)" if bad[1:].size else ""
        i = int(np.argmax(worst))
        warn(
            f"degree=1: the plane of {names[i]}{more} is uncertain by {worst[i]:.3g} at a corner, where the noise of a "
            f"pixel is {noise:.3g}: its overlaps are narrow, use degree=0"
        )


def _check_joined(linked: Array, names: Sequence[str]) -> None:
    """Raise if no chain of overlaps joins a frame to the first one."""
    for group in groups(linked)[1:]:
        raise ValueError(
            f"zero='overlap': {names[group[0]]} has fewer than {FEWEST} good pixels in common with {names[0]} and the "
            "frames that overlap it: align() the frames first, or normalise groups of them"
        )


def _check_planes(matrix: Array, names: Sequence[str]) -> None:
    """Raise if the overlaps leave a plane open: all in one line, as of frames in a row with narrow overlaps."""
    size = np.sqrt(np.maximum(np.diag(matrix), np.finfo(float).tiny))
    values, vectors = np.linalg.eigh(matrix / np.outer(size, size))
    if values[0] < 1e-9:
        worst = 1 + int(np.argmax(np.abs(vectors[:, 0]))) // 3
        raise ValueError(
            f"degree=1: the overlaps of {names[worst]} are too few or too narrow to tell a plane: use degree=0, or a "
            "larger region="
        )


def _against_reference(common: Common, factors: Array, field: _Field, wanted: Wanted) -> Array:
    """Planes (frames, 3) of the scaled frames against the first one, or against the median of all."""
    n = common.frames
    planes = np.zeros((n, 3))
    for _ in range(1 if wanted.to == "first" else PASSES):
        parts: list[list[tuple[Array, Array]]] = [[] for _ in range(n)]
        for lattice in common.lattices:
            scaled = lattice.values * factors[lattice.frames, None]
            reference = _reference(scaled, lattice, planes, field, wanted)
            for k, i in enumerate(lattice.frames.tolist()):
                good = np.isfinite(scaled[k]) & np.isfinite(reference)
                parts[i].append(((scaled[k] - reference)[good], lattice.at[:, good]))
        for i in range(n):
            planes[i] = _plane(parts[i], field, wanted.names[i])
    if wanted.to == "first":
        planes[0] = 0
    return planes


def _reference(scaled: Array, lattice: Lattice, planes: Array, field: _Field, wanted: Wanted) -> Array:
    """What the frames of a lattice are compared with, NaN where it is unknown."""
    if wanted.to == "first":
        first = np.flatnonzero(lattice.frames == 0)
        return scaled[first[0]] if first.size else np.full(scaled.shape[1], np.nan)
    flat = scaled - planes[lattice.frames] @ field.terms(lattice.at).T
    known = 2 * np.isfinite(flat).sum(0) > len(wanted.names)  # where more than half of the frames have a sample
    middle = np.full(scaled.shape[1], np.nan)
    if known.any():
        middle[known] = np.nanmedian(flat[:, known], axis=0)
    return middle


def _plane(parts: Sequence[tuple[Array, Array]], field: _Field, name: str) -> Array:
    off = np.concatenate([part for part, _ in parts]) if parts else np.zeros(0)
    at = np.concatenate([where for _, where in parts], axis=1) if parts else np.zeros((2, 0), int)
    values, terms, counts = field.medians(off, at, 1)
    root = np.sqrt(counts)
    found, _, rank, _ = np.linalg.lstsq(terms * root[:, None], values * root, rcond=1e-6)
    if rank < 3:
        raise ValueError(
            f"zero='plane': {name} has too few good pixels in common with the others to tell a plane: it is for frames "
            "of one field, zero='overlap' for mosaics"
        )
    return np.asarray(found)
