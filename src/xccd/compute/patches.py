"""Patches of the pixels of all frames: a function of each patch, of which only the result is kept.

Patches depend on the shape alone, so that results do not depend on chunks, threads or the kind of array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import prod
from typing import Any, NamedTuple

from xccd.compute import options, progress
from xccd.compute.arrays import Array, is_dask, is_deferred
from xccd.compute.dask_joint import optimized
from xccd.compute.pool import run_all

EDGE = 512  # columns of a patch, and its rows at most
STRIP_BYTES = 32 << 20  # of all frames in the rows of a strip, which a task holds
LEAST = 128  # rows of a strip, even if they are more bytes

Box = tuple[slice, ...]


class Patch(NamedTuple):
    """Some pixels of all frames: a box, and within it the core, which no other patch has."""

    box: Box
    core: Box


def strips(shape: Sequence[int], itemsize: int, halo: int = 0) -> list[list[Patch]]:
    """The patches of a stack (frames, ..., y, x), those of the same rows together.

    Cores cover the image; boxes reach ``halo`` pixels farther in y and x. An image of one axis is one strip.
    """
    whole = [(slice(0, n), slice(0, n)) for n in shape[1:-2]]
    row = shape[0] * prod(shape[1:-2]) * shape[-1] * itemsize
    height = min(EDGE, max(LEAST, STRIP_BYTES // max(1, row)))
    rows = [[y] for y in _cut(shape[-2], height, halo)] if len(shape) > 2 else [[]]
    columns = [[x] for x in _cut(shape[-1], EDGE, halo)] if len(shape) > 1 else [[]]
    return [[_patch([*whole, *y, *x]) for x in columns] for y in rows]


def _patch(axes: Sequence[tuple[slice, slice]]) -> Patch:
    return Patch(tuple(box for box, _ in axes), tuple(core for _, core in axes))


def _cut(size: int, edge: int, halo: int) -> list[tuple[slice, slice]]:
    """The boxes and cores along one axis; a core counts from the start of its box."""
    found = []
    for first in range(0, max(size, 1), edge):
        start, last = max(0, first - halo), min(first + edge, size)
        found.append((slice(start, min(last + halo, size)), slice(first - start, last - start)))
    return found


def of_patches(function: Callable[..., Any], x: Array, cut: Sequence[Sequence[Patch]], *more: Any) -> list[Any]:
    """For each strip a list of ``function(values, patch, *more)`` for its patches, ``values`` with the frames first.

    On dask input nothing is computed: a list is a Delayed, and ``more`` may be so, too. Each strip reads its rows for
    itself and drops them, so that the samples need not wait for the result.
    """
    boxes = [(slice(None), *_around(strip)) for strip in cut]
    if is_dask(x):
        from dask.delayed import delayed

        task = delayed(partial(_of_strip, function, threads=1), pure=True)  # dask's threads do the work
        return [task(optimized(x[box]), box, strip, *more) for box, strip in zip(boxes, cut, strict=True)]
    do = partial(_of_strip, function, threads=options.threads())
    some = x.select if is_deferred(x) else x.__getitem__
    pairs = progress.over(zip(boxes, cut, strict=True), "overlaps", len(cut), "strips")
    return [do(some(box), box, strip, *more) for box, strip in pairs]


def _around(strip: Sequence[Patch]) -> Box:
    """The box around the patches of a strip."""
    return tuple(
        slice(min(s.start for s in along), max(s.stop for s in along))
        for along in zip(*(patch.box for patch in strip), strict=True)
    )


def _of_strip(
    function: Callable[..., Any], values: Array, box: Box, strip: Sequence[Patch], *more: Any, threads: int
) -> list[Any]:
    found: list[Any] = [None] * len(strip)

    def one(k: int) -> None:
        patch = strip[k]
        inside = (slice(b.start - a.start, b.stop - a.start) for a, b in zip(box[1:], patch.box, strict=True))
        found[k] = function(values[(slice(None), *inside)], patch, *more)

    run_all(one, len(strip), threads)
    return found
