"""The sorted block: neighbouring pixels are columns of a buffer in cache, and all columns are sorted at once."""

from functools import lru_cache

import numpy as np

from xccd.kernels.compiled.compile import inner_function
from xccd.kernels.compiled.vectors import (
    LANES,
    LINE,
    across6,
    fetch,
    load_counted,
    load_sorted,
    merge4,
    merge8,
    pair,
    sort8,
    within8,
)
from xccd.kernels.limits import limits

# Half of an L2 cache. A buffer that fits L1 is not better: with 300 frames, 32 columns take a third longer than 128.
BUFFER_BYTES = 256 << 10
LONG = 8192  # from this count of frames NumPy sorts: a network is not worth its table


@lru_cache(maxsize=64)
def pads(dtype):
    """Four samples: a value that sorts behind all (for missing samples), one that sorts before all, 0 and 1."""
    found = limits(dtype)
    return np.array([found.behind, found.before, 0, 1], dtype)


def block(frames, dtype, pixels):
    """An uninitialised buffer (frames + 2, columns): a row for each frame, the spare row of the network, a scratch row.

    It has 128 to 256 columns. Each row begins on a cache line: rows that cross lines are 1.5 times slower. The spare
    row has a value that sorts behind all samples, for networks with more rows than frames.
    """
    columns = max(128, min(256, BUFFER_BYTES // (frames * dtype.itemsize) // 32 * 32))
    columns = min(columns, -(-pixels // LANES) * LANES)
    size = (frames + 2) * columns * dtype.itemsize
    room = np.empty(size + LINE, np.uint8)
    skip = -room.ctypes.data % LINE
    rows = room[skip : skip + size].view(dtype).reshape(frames + 2, columns)
    rows[frames] = limits(dtype).behind
    return rows


@inner_function
def run_network(buffer, groups, first, x, ahead):
    """Run the network of `groups.program` on all columns, beginning with its group ``first``.

    Meanwhile the pixels of ``x`` from ``ahead`` on are fetched into the cache for the next block. A median that would
    wait for memory takes 10 to 15 % less time.
    """
    size = np.intp(buffer.shape[1] * buffer.itemsize)
    # One loop for all networks. A network unrolled for each count of frames takes seconds to compile and is no faster.
    for k in range(max(x.shape[0], groups.shape[0] - first)):
        if k < x.shape[0]:
            fetch(x, np.intp(k), np.intp(ahead), size)
        if k >= groups.shape[0] - first:
            continue
        s = first + k
        kind = groups[s, 0]  # index in `groups.KINDS`
        if kind == 0:
            pair(buffer, groups, s)
        elif kind == 1:
            merge4(buffer, groups, s)
        elif kind == 2:
            merge8(buffer, groups, s)
        elif kind == 3:
            within8(buffer, groups, s)
        elif kind == 4:
            across6(buffer, groups, s)
        else:
            sort8(buffer, groups, s)


@inner_function
def sort_clean(x, first, columns, buffer, groups, zero):
    """Copy pixels from ``first`` on to the columns and sort them; False, with no sorted block, if one is not finite."""
    frames, width = x.shape[0], buffer.shape[1]
    # Eight rows at a time are tested and sorted before they are written. This reads the whole width of the block.
    done = np.intp(frames // 8 if first + width <= x.shape[1] else 0)
    for k in range(done):
        if load_sorted(x, np.intp(first), buffer, 8 * k):
            return False
    missing = False
    for k in range(8 * done, frames):
        row, to = x[k, first : first + columns], buffer[k]
        for c in range(columns):
            value = row[c]
            to[c] = value + zero
            missing |= value - value != zero  # NaN for NaN and infinities
    if not missing:
        run_network(buffer, groups, done, x, first + width)
    return not missing


@inner_function
def sort_block(x, first, least, most, bounded, buffer, groups, pads, count):
    """Copy pixels from ``first`` on to the columns and sort them; returns whether a sample is missing.

    Missing samples become ``pads[0]``, which sorts behind all. ``count`` gets the per-pixel count of the others. If
    ``bounded`` is False only non-finite samples can be missing. ``pads[2]`` is 0: adding it turns -0.0 into 0.0.
    """
    frames, columns, width = x.shape[0], least.size, buffer.shape[1]
    pad, zero = pads[0], pads[2]  # read once: LLVM must assume that a store to the buffer changes them
    # First as if nothing were missing, which is usual and needs no comparison with bounds.
    if not bounded and sort_clean(x, first, columns, buffer, groups, zero):
        count[:] = frames
        return False
    done = np.intp(frames // 8 if columns == width and first + width <= x.shape[1] else 0)
    count[:] = 0
    for k in range(done):
        load_counted(x, np.intp(first), least, most, buffer, 8 * k, pad, pad, count)
    for k in range(8 * done, frames):
        row, to = x[k, first : first + columns], buffer[k]
        for c in range(columns):
            value = row[c]
            valid = (value >= least[c]) & (value <= most[c])
            to[c] = (value if valid else pad) + zero
            count[c] += np.int32(1) if valid else np.int32(0)
    run_network(buffer, groups, done, x, first + width)
    missing = False
    for c in range(columns):
        missing |= count[c] < frames
    return missing
