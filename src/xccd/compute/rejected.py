"""What the steps of a chain rejected, for the maps of a product: from the bounds, else from the flags of a tile."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.compute.ends import counted, totalled
from xccd.compute.steps import Range, Rejecting, Sigma, Window
from xccd.compute.tile import Array, Rejected, Tile, in_use
from xccd.kernels.flags import Flag

SIDES = (int(Flag.REJECTED_LOW), int(Flag.REJECTED_HIGH))


def hits(bits: Array, flag: int) -> Array:
    """The per-pixel count of samples with a flag."""
    hit = (bits & np.uint8(flag)) != 0
    width = np.uint8 if len(hit) < 256 else np.int64  # sums in uint8 are 10 times faster
    return np.asarray(np.add.reduce(hit.view(np.uint8), axis=0, dtype=width))


def joined(bits: Array) -> Array:
    """All flags of the samples of pixels without a sample in use. If none has a flag, none is finite."""
    found = np.bitwise_or.reduce(bits, axis=0)
    return np.where(found == 0, np.uint8(Flag.NOT_FINITE), found)


def follow(engine: Any, tile: Tile, steps: tuple[Rejecting, ...], bits: Array, spread: bool) -> Tile:
    """Do the steps, and find out what they rejected; ``bits`` are the flags before. With ``spread`` also the scatter.

    After a cut by `Range`, clips that narrow bounds need no flag of a sample: those that they rejected are between the
    bounds before the clips and those after them. Only pixels without a sample in use are flagged, sample by sample.
    """
    if not _by_bounds(steps):
        return _by_flags(engine, tile, steps, bits)
    first, flagged = tile, bool(bits.any())
    tile = in_use(Tile(tile.x, tile.start, tile.stop), bits)
    bits = np.broadcast_to(bits, (tile.x.shape[0], tile.stop - tile.start))
    before = tile.bounds
    for step in steps:
        tile = step(engine, tile)
        before = tile.bounds if isinstance(step, Range) else before
    count, total = counted(engine, tile), totalled(engine, tile) if spread else None
    found, low, high, by_frame = engine.survey(
        tile.x, tile.start, tile.stop, tile.bounds, before, count, total, 1
    )  # fmt: skip
    tile.spread = found if spread else None
    empty = np.flatnonzero(count == 0)
    tile.rejected = Rejected(low, high, np.zeros(count.size, np.uint8), by_frame)
    if flagged:
        _add(tile.rejected, np.where(count > 0, bits, np.uint8(0)), slice(None))
    if empty.size:
        few = Tile(np.ascontiguousarray(first.x[:, first.start + empty]), 0, empty.size)
        some = flag_all(engine, few, steps, bits[:, empty])[1]
        _add(tile.rejected, some, empty)
        tile.rejected.flags[empty] = joined(some)
    return tile


def _by_bounds(steps: tuple[Rejecting, ...]) -> bool:
    """Whether the steps are cuts by `Range`, and then clips that do nothing but narrow bounds."""
    kinds = [type(step) for step in steps]
    clips = len(kinds) - kinds[::-1].index(Range) if Range in kinds else 0
    return all(kind is Range for kind in kinds[:clips]) and all(kind in (Sigma, Window) for kind in kinds[clips:])


def _by_flags(engine: Any, tile: Tile, steps: tuple[Rejecting, ...], bits: Array) -> Tile:
    tile, bits = flag_all(engine, tile, steps, bits)
    size, frames = tile.stop - tile.start, tile.x.shape[0]
    none = np.zeros(size, np.int32)
    tile.rejected = Rejected(none, none.copy(), np.zeros(size, np.uint8), np.zeros((2, frames), np.int64))
    _add(tile.rejected, bits, slice(None))
    empty = np.flatnonzero(counted(engine, tile) == 0)
    tile.rejected.flags[empty] = joined(bits[:, empty])
    return tile


def flag_all(engine: Any, tile: Tile, steps: tuple[Rejecting, ...], flags: Array) -> tuple[Tile, Array]:
    """Do the steps; also returns the flags of all samples, (frames, pixels). A sample keeps the flags it has."""
    x = tile.x[:, tile.start : tile.stop]
    bits = np.empty(x.shape, np.uint8)  # one memory layout, so the kernel compiles once
    bits[:] = flags
    tile = in_use(tile, bits)
    if x.dtype.kind == "f":
        bits[(bits == 0) & ~np.isfinite(x)] = Flag.NOT_FINITE
    for step in steps:
        tile = step.flag(engine, tile, bits)
    return tile, bits


def _add(rejected: Rejected, bits: Array, pixels: Any) -> None:
    """Add the samples with a flag of a clip."""
    for counts, by_frame, flag in zip(rejected[:2], rejected.by_frame, SIDES, strict=True):
        counts[pixels] += hits(bits, flag)
        by_frame += np.count_nonzero(bits & np.uint8(flag), axis=1)
