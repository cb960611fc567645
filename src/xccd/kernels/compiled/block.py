"""The sorted block: neighbouring pixels as columns of a buffer that stays in cache, sorted all at once."""

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

BUFFER_BYTES = 256 << 10  # half of an L2 cache: of 300 frames 32 columns, which fit L1, take a third longer than 128


def block(frames, dtype, pixels):
    """A buffer for a block: a row for each frame, the spare row of its network, and one for whoever sorts.

    As many columns as fit, 128 to 256, by whole cache lines: rows that begin on one are 1.5 times faster. All but the
    spare row is uninitialised.
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
def exchange(buffer, groups, first, x, ahead):
    """Run the network of `groups.program`, from its group ``first``, on all columns.

    Meanwhile the pixels of ``x`` from ``ahead``, for the next block, are brought into the cache.
    """
    size = np.intp(buffer.shape[1] * buffer.itemsize)
    for k in range(max(x.shape[0], groups.shape[0] - first)):
        if k < x.shape[0]:
            fetch(x, np.intp(k), np.intp(ahead), size)
        if k >= groups.shape[0] - first:
            continue
        s = first + k
        kind = groups[s, 0]  # as `groups.KINDS`
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
    """Copy pixels ``first ...`` of ``x`` to the columns and sort them; False if a sample is not finite: start anew."""
    frames, width = x.shape[0], buffer.shape[1]
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
            missing |= value - value != zero
    if not missing:
        exchange(buffer, groups, done, x, first + width)
    return not missing


@inner_function
def sort_block(x, first, least, most, bounded, buffer, groups, pads, count):
    """Copy pixels ``first ...`` of ``x`` to the columns and sort them; returns whether a sample is missing.

    ``bounded`` says that samples outside ``least`` to ``most`` are missing, else only what is not finite. Missing ones
    become ``pads[0]``, and ``count`` gets how many are not. ``pads[2]`` is 0: adding it makes -0.0 to 0.0.
    """
    frames, columns, width = x.shape[0], least.size, buffer.shape[1]
    pad, zero = pads[0], pads[2]  # read once: a store to the buffer might change them
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
    exchange(buffer, groups, done, x, first + width)
    missing = False
    for c in range(columns):
        missing |= count[c] < frames
    return missing
