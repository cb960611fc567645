"""The sorted block of the NumPy engine: a sorting network on whole rows, each some thousand pixels long."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels.limits import limits
from xccd.kernels.network import network

LINE = 64  # bytes of a cache line
# Above these counts of frames NumPy's own sort is faster. With 100 frames of float32 it takes 360 ns a pixel, a network
# 860 ns. For 16 bits, where NumPy has no vector code, it is 2400 ns and 440 ns.
MOST_FRAMES, MOST_SMALL = 64, 512

Rows = tuple[int, ...]


class Block(NamedTuple):
    """Pixels as sorted columns: row k begins at ``starts[k]`` of ``flat``. Samples are in the first ``count`` rows."""

    flat: Any
    starts: Any
    columns: int
    count: Any  # int64 for each column, or one int if no sample is missing

    def raw(self, k: Any, columns: Any = None) -> Any:
        """Row ``k`` of all columns or some. If ``k`` is an array, row ``k[c]`` of column c. The stack's dtype."""
        if np.ndim(k) == 0:
            start = self.starts[k]
            row = self.flat[start : start + self.columns]
            return row if columns is None else row.take(columns)
        return self.flat.take(self.starts.take(k) + (np.arange(self.columns) if columns is None else columns))

    def row(self, k: Any) -> Any:
        """As `raw`, in float64, with 0.0 for -0.0."""
        return np.add(self.raw(k), 0.0, dtype=np.float64)


def missing(x: Any, least: Any, most: Any, bounded: bool) -> Any:
    """Mask of the samples not in use: not finite, or outside the bounds. None if all are in use."""
    if bounded:
        valid = x >= least
        valid &= x <= most
    elif x.dtype.kind == "f":
        valid = np.isfinite(x)
    else:
        return None
    return None if valid.all() else ~valid


def tally(holes: Any, frames: int) -> Any:
    """The per-pixel count of samples in use, int64; one int if nothing is missing."""
    if holes is None:
        return frames
    width = np.uint8 if frames < 256 else np.int64  # sums in uint8 are 10 times faster
    return frames - np.add.reduce(holes.view(np.uint8), axis=0, dtype=width).astype(np.int64)


@lru_cache(maxsize=256)
def program(n: int, rows: Rows | None, own: bool) -> tuple[list[Any], list[int], int]:
    """A network as steps (function, p, q, to) between slots, the final slot of each row, and the count of slots.

    The samples are in slots 0 to n - 1. These are written to only if ``own``. An output that is never read is not
    computed: a median of 25 takes 184 steps instead of 208.
    """
    wanted = set(range(n) if rows is None else rows)
    pairs: list[tuple[int, int, bool, bool]] = []
    for i, j in reversed(network(n, rows).tolist()):
        pairs.append((i, j, i in wanted, j in wanted))
        wanted |= {i, j}
    at, size, steps = list(range(n)), n, []
    free: list[int] = []
    for i, j, low, high in reversed(pairs):
        p, q = at[i], at[j]
        after = [slot for slot in (p, q) if own or slot >= n]  # free once both are read
        for row, keep, function in ((i, low, np.minimum), (j, high, np.maximum)):
            if not keep:
                continue
            last = row == j or not high
            if last and after:
                to = after.pop()
            elif free:
                to = free.pop()
            else:
                to, size = size, size + 1
            steps.append((function, p, q, to))
            at[row] = to
        free += after
    return steps, at, size


def roomy(rows: int, columns: int, dtype: Any) -> Any:
    """An uninitialised array of rows, each a little longer than asked.

    Rows begin on cache lines, and not at multiples of 4096 bytes from each other. Otherwise they cross lines or share
    places in the cache, and take up to a third more time.
    """
    stride = -(-columns * dtype.itemsize // LINE) * LINE + LINE
    stride += LINE if stride % 4096 == 0 else 0
    room = np.empty(rows * stride + LINE, np.uint8)
    return room[-room.ctypes.data % LINE :][: rows * stride].view(dtype).reshape(rows, -1)


def sort(x: Any, holes: Any, rows: Rows | None = None) -> Block:
    """The sorted columns of ``x``, missing samples last. If ``rows`` are given, only these are right."""
    frames, columns = x.shape
    direct = frames > (MOST_SMALL if x.dtype.itemsize <= 2 else MOST_FRAMES)
    own = direct or holes is not None or frames == 1
    steps, at, size = ([], range(frames), frames) if direct else program(frames, rows, own)
    first = 0 if own else frames
    room = roomy(size - first, columns, x.dtype)
    used = room[:, :columns]
    if holes is not None:
        fill_block(used[:frames], x, holes)
    elif own:
        used[:frames] = x
    if direct:
        used.sort(axis=0)
    slots = [*used] if own else [*x, *used]
    for function, p, q, to in steps:
        function(slots[p], slots[q], out=slots[to])
    starts = np.maximum(np.array(at) - first, 0) * room.shape[1]  # rows that are not wanted may still be in ``x``
    return Block(room.ravel(), starts, columns, tally(holes, frames))


def fill_block(room: Any, x: Any, holes: Any) -> None:
    """Copy samples to ``room``, with a value that sorts last for missing ones."""
    behind = limits(x.dtype).behind
    if x.dtype.kind == "f":  # one pass in half the time, enough if only NaN and +inf are missing
        np.fmin(x, behind, out=room)
        if np.count_nonzero(room == behind) == np.count_nonzero(holes):
            return
    np.copyto(room, x)
    np.copyto(room, behind, where=holes)


def middle(a: Any, b: Any) -> Any:
    """The mean of two values. It does not overflow, and is exact if their sum is."""
    total = a + b
    half = 0.5 * total
    return half if np.isfinite(total).all() else np.where(np.abs(total) < np.inf, half, 0.5 * a + 0.5 * b)
