"""Memory of large results, used again when a result is gone.

The system clears each page that it gives out. For a masked stack of 100 MB this takes 8 ms, a third of writing it.
So what a result had is kept for the next one of its size. While it waits, the system may take it back if it needs it.
"""

from __future__ import annotations

import math
import mmap
from collections import deque
from contextlib import suppress
from typing import Any

import numpy as np

LEAST = 32 << 20  # bytes of a result for which it is worth it
MOST = 256 << 20  # bytes that are kept
PAGE = 2 << 20  # the size of large pages, of which there are fewer to ask for
# Private memory can be offered to the system while it waits (MADV_FREE). Where that is unknown, none is kept.
OFFERED = getattr(mmap, "MADV_FREE", None) if hasattr(mmap, "MAP_PRIVATE") and hasattr(mmap, "MAP_ANONYMOUS") else None

# A deque because its appends and pops are atomic: an array may go at any time, in any thread.
_kept: deque[mmap.mmap] = deque()


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray[Any, Any]:
    """A new array, as by `numpy.empty`; the memory of a large one may have been another one's that is gone."""
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    if OFFERED is None or not LEAST <= size <= MOST:
        return np.empty(shape, dtype)
    try:
        memory = _taken(-(-size // PAGE) * PAGE)
    except OSError:  # there is none: NumPy says so
        return np.empty(shape, dtype)
    # one array, as its own views refer to it (`notes.mark`)
    return np.asarray(_Loan(memory, shape, dtype))


def _taken(size: int) -> mmap.mmap:
    """Memory of this size: kept, or new."""
    for _ in range(len(_kept)):
        try:
            memory = _kept.popleft()
        except IndexError:  # another thread was faster
            break
        if len(memory) == size:
            return memory
        _kept.append(memory)
    memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with suppress(AttributeError, OSError):  # a system without large pages
        memory.madvise(mmap.MADV_HUGEPAGE)
    return memory


class _Loan:
    """Memory for one array: it goes back when the array and all its views are gone."""

    def __init__(self, memory: mmap.mmap, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
        self.memory = memory
        whole = np.frombuffer(memory, np.uint8).__array_interface__
        self.__array_interface__ = {**whole, "shape": shape, "typestr": dtype.str, "descr": dtype.descr}

    def __del__(self, offered: Any = OFFERED, kept: deque[mmap.mmap] = _kept, most: int = MOST) -> None:
        # defaults: at the end of the process the names of this file may be gone
        with suppress(OSError, IndexError, RuntimeError):  # the last: another array went meanwhile
            self.memory.madvise(offered)
            kept.append(self.memory)
            while sum(map(len, tuple(kept))) > most:
                kept.popleft()
