"""The sorted block: neighbouring pixels as columns of a buffer that stays in cache, sorted all at once."""

import hashlib
from pathlib import Path

import numba
import numpy as np

# numba asks of code on disk whether the file of the kernel is the same; this asks it of all that a kernel may call
SOURCES = hashlib.sha256(b"".join(p.read_bytes() for p in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()


def kernel(function):
    """Compile for one thread, without the GIL; keep the code on disk where a folder for it can be written."""
    plain = numba.njit(nogil=True, error_model="numpy")
    if numba.config.DISABLE_JIT:
        return plain(function)
    try:
        kept = numba.njit(nogil=True, error_model="numpy", cache=True)(function)
        index = kept._cache._cache_file
        index._source_stamp = (index._source_stamp, SOURCES)
    except (RuntimeError, AttributeError):  # no folder for the cache can be written, or numba keeps it otherwise
        return plain(function)
    return kept


# Part of a kernel, called from compiled code alone: without the means to be called from Python it compiles in half
# the time. Parts call no other parts where that can be had, as LLVM works once more on all that is called.
part = numba.njit(  # type: ignore[call-overload]  # options that numba has and its types leave out
    nogil=True, error_model="numpy", no_cpython_wrapper=True, no_cfunc_wrapper=True
)

BUFFER_BYTES = 256 << 10  # half of an L2 cache: with what fits L1, 160 frames and more take up to twice the time
LINE = 64  # of the cache: rows that begin on one are 1.5 times faster


def block(frames, dtype, pixels):
    """An uninitialised buffer for a block and a spare row: the columns that fit, by whole cache lines, 64 to 256."""
    columns = max(64, min(256, BUFFER_BYTES // (frames * dtype.itemsize) // 32 * 32))
    columns = max(1, min(columns, pixels))
    size = (frames + 1) * columns * dtype.itemsize
    room = np.empty(size + LINE, np.uint8)
    skip = -room.ctypes.data % LINE
    return room[skip : skip + size].view(dtype).reshape(frames + 1, columns)


@part
def exchange(buffer, pairs, zero):
    """Run a network: each pair of rows becomes their minimum and their maximum, column by column.

    ``+ zero`` changes nothing, but without it LLVM sees that one of two values is in place already and makes
    the store conditional, which is 2.5 times slower.
    """
    for s in range(pairs.shape[0]):
        p = buffer[pairs[s, 0]]
        q = buffer[pairs[s, 1]]
        for c in range(p.size):
            a = p[c]
            b = q[c]
            p[c] = (b if b < a else a) + zero
            q[c] = a if b < a else b


@part
def copy(x, first, columns, buffer, zero):
    """Pixels ``first ...`` of ``x`` to the columns, and nothing else: what waits for memory should not compute."""
    for k in range(x.shape[0]):
        row = x[k, first : first + columns]
        to = buffer[k]
        for c in range(columns):
            to[c] = row[c] + zero


@part
def load(x, first, least, most, bounded, buffer, pads, count):
    """Copy pixels ``first ...`` of ``x`` to the columns; returns whether a sample of them may be missing.

    ``bounded`` says that samples outside ``least`` to ``most`` are missing, else only what is not finite. Missing ones
    become ``pads[0]``, and ``count`` gets how many are not. ``pads[2]`` is 0: adding it makes -0.0 to 0.0.
    """
    frames, columns = x.shape[0], least.size
    pad, zero = pads[0], pads[2]  # read once: a store to the buffer might change them
    copy(x, first, columns, buffer, zero)
    count[:] = frames
    if not bounded and not holes(buffer, frames, columns, zero):
        return False
    count[:] = 0
    for k in range(frames):
        to = buffer[k]
        for c in range(columns):
            value = to[c]
            valid = (value >= least[c]) & (value <= most[c])
            to[c] = (value if valid else pad) + zero
            count[c] += np.int32(1) if valid else np.int32(0)
    return True


@part
def holes(buffer, frames, columns, zero):
    """Whether a sample is not finite: of no other v is v - v not 0."""
    found = False
    for k in range(frames):
        row = buffer[k]
        for c in range(columns):
            found |= row[c] - row[c] != zero
    return found
