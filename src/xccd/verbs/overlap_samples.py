"""What aligned frames have in common: samples of all frames on lattices, and the statistics of pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from math import prod
from typing import Any, NamedTuple

import numpy as np

from xccd.compute.patches import Patch

Array = np.ndarray[Any, Any]
SAMPLES = 1 << 22  # of all frames: more samples change a median by less than its noise
FEWEST = 500  # a pair with fewer common pixels is ignored
PARTNERS = 12  # of a frame in a patch, from which on not all are compared for its gain
NOWHERE = 1 << 62  # beyond all pixels


class Lattice(NamedTuple):
    """Every n-th pixel of the frames that have pixels in a patch."""

    frames: Array  # indices of frames
    values: Array  # (frames, pixels), NaN where missing
    at: Array  # (2, pixels): y and x of the pixels
    each: int  # how many pixels a sample stands for


def sampled(values: Array, good: Array, patch: Patch, size: int) -> Lattice:
    """The lattice of the core of a patch, as its share of `SAMPLES` in an image of ``size`` pixels. ``good``: finite.

    A mosaic is mostly empty: each frame has pixels in few patches.
    """
    values, good = values[(slice(None), *patch.core)], good[(slice(None), *patch.core)]
    counts = good.reshape(len(good), -1).sum(1)
    (frames,) = np.nonzero(counts)
    axes = min(2, values.ndim - 1)
    most = max(1.0, SAMPLES * prod(values.shape[1:]) / max(1, size))
    step = max(1, int(np.ceil((counts.sum() / most) ** (1 / max(1, axes)))))
    cut = (*(slice(None) for _ in values.shape[1 : values.ndim - axes]), *(slice(None, None, step),) * axes)
    some = values[frames][(slice(None), *cut)].astype(np.float64)
    some[~good[frames][(slice(None), *cut)]] = np.nan
    numbers = [
        np.arange(b.start + c.start, b.start + c.stop)[k] for b, c, k in zip(patch.box, patch.core, cut, strict=True)
    ]
    grids = np.meshgrid(*([np.zeros(1, int)] * (2 - len(numbers)) + numbers), indexing="ij")
    at = np.stack([grid.ravel() for grid in grids[-2:]])
    return Lattice(frames, some.reshape(len(frames), at.shape[1]), at, step**axes)


class Common:
    """The common samples of any two frames.

    Only pairs whose boxes overlap are looked at, so the work grows with the frames of a mosaic, not with their square.
    """

    def __init__(self, lattices: Sequence[Lattice], frames: int) -> None:
        self.lattices, self.frames = lattices, frames
        self.places: dict[tuple[int, int], list[tuple[int, int, int]]] = defaultdict(list)
        for k, lattice in enumerate(lattices):
            for a, b in overlapping(_boxes(lattice)):
                self.places[int(lattice.frames[a]), int(lattice.frames[b])].append((k, a, b))

    def samples(self, i: int, j: int) -> tuple[int, Array, Array, Array]:
        """The count of common pixels of frames i < j, the samples of both, and their places (2, samples)."""
        count, one, other, where = 0, [], [], []
        for k, a, b in self.places[i, j]:
            lattice = self.lattices[k]
            both = np.isfinite(lattice.values[a]) & np.isfinite(lattice.values[b])
            count += int(np.count_nonzero(both)) * lattice.each
            one.append(lattice.values[a][both])
            other.append(lattice.values[b][both])
            where.append(lattice.at[:, both])
        return count, np.concatenate(one), np.concatenate(other), np.concatenate(where, axis=1)

    def __iter__(self) -> Iterator[tuple[int, int, int, Array, Array, Array]]:
        """Each pair with `FEWEST` common pixels or more: i < j and `samples`."""
        for i, j in sorted(self.places):
            count, one, other, at = self.samples(i, j)
            if count >= FEWEST:
                yield i, j, count, one, other, at

    def enough(self) -> Array:
        """Whether each two frames have `FEWEST` common pixels or more (frames, frames)."""
        found = np.zeros((self.frames, self.frames), bool)
        for i, j in self.places:
            count, *_ = self.samples(i, j)
            found[i, j] = found[j, i] = count >= FEWEST
        return found

    def boxes(self) -> tuple[Array, Array]:
        """The first and the last y and x of each frame's samples (frames, 2)."""
        found = np.array([[NOWHERE, -NOWHERE] * 2] * self.frames)
        for lattice in self.lattices:
            new, old = _boxes(lattice), found[lattice.frames]
            found[lattice.frames] = np.where([True, False] * 2, np.minimum(new, old), np.maximum(new, old))
        found[found[:, 0] == NOWHERE] = 0
        return found[:, ::2], found[:, 1::2]


def _boxes(lattice: Lattice) -> Array:
    """The first and last y and x of each frame's samples (frames, 4); of a frame without samples an empty box."""
    good = np.isfinite(lattice.values)
    low = [np.where(good, axis, NOWHERE).min(1, initial=NOWHERE) for axis in lattice.at]
    high = [np.where(good, axis, -NOWHERE).max(1, initial=-NOWHERE) for axis in lattice.at]
    return np.stack([low[0], high[0], low[1], high[1]], axis=1)


def overlapping(boxes: Array) -> list[tuple[int, int]]:
    """The pairs a < b of boxes (first y, last y, first x, last x) that overlap.

    The boxes are swept in the order of their first y: only those that begin before the end of one are compared with it.
    """
    order = np.argsort(boxes[:, 0], kind="stable")
    swept = boxes[order]
    ends = np.searchsorted(swept[:, 0], swept[:, 1], side="right")
    found = []
    for a, end in enumerate(ends.tolist()):
        later = swept[a + 1 : end]
        hits = np.flatnonzero((later[:, 2] <= swept[a, 3]) & (later[:, 3] >= swept[a, 2]))
        mine = int(order[a])
        found += [(min(mine, b), max(mine, b)) for b in order[a + 1 + hits].tolist()]
    return found


def some_of(pairs: Sequence[tuple[int, int]], most: int = PARTNERS) -> list[tuple[int, int]]:
    """The pairs a < b without those that add little: each frame keeps ``most`` partners, or more that chose it.

    The frames of one field all overlap: pairs grow with their square, and a gain is well known from some of them.
    Numbers with many factors of 2 are chosen first, so that all frames choose alike and stay in one group.
    """
    partners: dict[int, list[int]] = defaultdict(list)
    for a, b in pairs:
        partners[a].append(b)
        partners[b].append(a)
    chosen = {a: set(sorted(own, key=_rank)[:most]) for a, own in partners.items()}
    return [(a, b) for a, b in pairs if b in chosen[a] or a in chosen[b]]


def _rank(number: int) -> tuple[int, int]:
    """A key by which 0 comes first, then multiples of the largest power of 2."""
    return (-(number & -number) if number else -NOWHERE, number)


def groups(linked: Array) -> list[list[int]]:
    """The frames that chains of links join, from a symmetric boolean matrix; the group of the first frame first."""
    left, found = list(range(len(linked))), []
    while left:
        reached = np.zeros(len(linked), bool)
        reached[left[0]] = True
        while (more := reached | linked[reached].any(0)).sum() > reached.sum():
            reached = more
        found.append(np.flatnonzero(reached).tolist())
        left = [i for i in left if not reached[i]]
    return found
