"""One set of functions for NumPy, dask and deferred arrays: a block function over all pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from xccd.compute import dask_bars, notes, options, progress
from xccd.compute.dask_joint import block_slices as block_slices
from xccd.compute.dask_joint import cluster as cluster
from xccd.compute.dask_joint import is_dask as is_dask
from xccd.compute.dask_joint import optimized
from xccd.compute.dask_joint import shares_memory as shares_memory
from xccd.compute.deferred import BySample, Deferred
from xccd.errors import in_tree

# A NumPy, dask or deferred array. xarray types them as Any, too.
Array = Any
Kernel = Callable[..., Any]
GROUP_BYTES = 1 << 30  # whole frames that `per_frame` holds at a time on dask input


def is_deferred(x: Any) -> bool:
    """Whether ``x`` is lazy without dask."""
    return isinstance(x, Deferred)


def is_lazy(x: Any) -> bool:
    """Whether ``x`` is not computed yet."""
    return is_dask(x) or is_deferred(x)


def as_dask_input(x: Array) -> Array:
    """``x`` as an input of dask: dask arrays as they are, deferred arrays loaded, NumPy arrays as they are now."""
    return x.load() if isinstance(x, Deferred) else x if is_dask(x) else notes.kept(x)


def store_dask(arrays: list[Array], targets: list[Any]) -> None:
    """Compute all dask arrays together; each thread assigns the blocks it computed to their places in the targets."""
    import dask.array as da

    da.store(arrays, targets, lock=False)  # targets have their own lock, if they need one


def map_over_frames(function: Kernel, x: Array, *extras: Array, reduce: bool, dtype: np.dtype[Any]) -> Array:
    """``function(x, *extras)`` over blocks that hold all frames; lazy if any input is lazy.

    ``extras`` broadcast against ``x``. With ``reduce`` the function removes axis 0.
    """
    if not any(map(is_dask, (x, *extras))):
        if not any(map(is_deferred, (x, *extras))):
            return function(x, *extras)
        inputs = list(map(notes.kept, (x, *extras)))  # as they are now: the caller may write into them later
        return Deferred(function, inputs, x.shape[1:] if reduce else x.shape, dtype, frames=not reduce)
    import dask.array as da

    x, extras = as_dask_input(x), tuple(map(as_dask_input, extras))
    x = _frames_together(x, extras)
    dask_bars.changed()
    return da.map_blocks(
        function,
        x,
        *(_in_chunks_of(x, e) for e in extras),
        drop_axis=0 if reduce else None,
        dtype=dtype,
        meta=np.empty((0,) * (x.ndim - reduce), dtype),  # else dask calls the function to find it out
    )


def map_elementwise(function: Kernel, x: Array, *extras: Array, dtype: np.dtype[Any]) -> Array:
    """``function(x, *extras)``, sample by sample; lazy if any input is, with its chunks. ``extras`` broadcast."""
    if not any(map(is_dask, (x, *extras))):
        if not any(map(is_deferred, (x, *extras))):
            return function(x, *extras)
        frames = next(a.frames for a in (x, *extras) if isinstance(a, Deferred) and a.ndim == x.ndim)
        return BySample(function, list(map(notes.kept, (x, *extras))), x.shape, dtype, frames=frames)
    import dask.array as da

    dask_bars.changed()
    x, extras = as_dask_input(x), tuple(map(as_dask_input, extras))
    if not is_dask(x):
        whole = next(e for e in extras if is_dask(e))
        x = da.from_array(x, chunks=tuple(c if sum(c) == n else -1 for c, n in zip(whole.chunks, x.shape, strict=True)))

    def cut(extra: Array) -> Array:
        chunks = tuple(c if n > 1 else 1 for c, n in zip(x.chunks, extra.shape, strict=True))
        return extra.rechunk(chunks) if is_dask(extra) else da.from_array(extra, chunks=chunks)

    return da.map_blocks(function, x, *map(cut, extras), dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))


def _frames_together(x: Array, extras: Sequence[Array]) -> Array:
    """``x`` as a dask array with all frames in each chunk; a NumPy array gets the chunks of a lazy extra."""
    import dask.array as da

    if not is_dask(x):
        whole = next(e for e in extras if is_dask(e))
        x = da.from_array(x, chunks=_chunks_like(whole, x.shape))
    if x.numblocks[0] > 1:
        # "auto" along the pixels, as chunks of all frames would not fit into memory otherwise
        x = x.rechunk({0: -1, **dict.fromkeys(range(1, x.ndim), "auto")})
    return x


def _chunks_like(lazy: Array, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Chunks for an array of ``shape`` that match those of ``lazy``, all frames together."""
    same = zip(lazy.chunks[1:], shape[1:], strict=True)
    return (-1, *(c if sum(c) == n else -1 for c, n in same))


def _in_chunks_of(x: Array, extra: Array) -> Array:
    """``extra`` in the chunks of ``x``. A NumPy array with one number a frame goes whole to every task."""
    if not is_dask(extra) and extra.size == extra.shape[0]:
        return extra
    import dask.array as da

    chunks = (-1, *(c if n > 1 else -1 for c, n in zip(x.chunks[1:], extra.shape[1:], strict=True)))
    return extra.rechunk(chunks) if is_dask(extra) else da.from_array(extra, chunks=chunks)


def dtype_of(dtypes: Sequence[Any]) -> np.dtype[Any]:
    """The dtype of several arrays packed into one, with a field for each; for one array its own dtype."""
    return np.dtype(dtypes[0] if len(dtypes) == 1 else [(f"f{i}", dtype) for i, dtype in enumerate(dtypes)])


def pack_fields(arrays: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """Several arrays as one array of `dtype_of`, so that one dask task makes them together."""
    if dtype.names is None:
        return arrays[0]
    one = np.empty(arrays[0].shape, dtype)
    for name, array in zip(dtype.names, arrays, strict=True):
        one[name] = array
    return one


def unpack_fields(one: Array) -> list[Array]:
    """The dask arrays that `pack_fields` packed into ``one``."""
    return [one] if one.dtype.names is None else [one[name] for name in one.dtype.names]


def per_frame(function: Callable[[int, Any], float], x: Array) -> Array:
    """``function(i, frame)`` of each whole frame, as float64 (frames,).

    On dask input nothing is computed now. Later at most ``GROUP_BYTES`` of frames are held at a time, or half of the
    limit that was set. Each group of frames is optimised by itself: it reads its bands and drops them, and the next
    group reads them again.
    """
    if isinstance(x, Deferred):  # computed now: as a lazy input, each band would read all files for it
        return _values(function, 0, progress.over(x.one_by_one(), "levels", x.shape[0], "frames"))
    if not is_dask(x):
        return _values(function, 0, progress.over(x, "levels", x.shape[0], "frames"))
    import dask.array as da
    from dask.delayed import delayed

    limit = options.memory()
    # half of the limit, because the bands that make a group need the other half
    most = GROUP_BYTES if limit is None else min(GROUP_BYTES, limit // 2)
    size = max(1, most // max(1, x.nbytes // x.shape[0]))
    groups = []
    for first in range(0, x.shape[0], size):
        group = optimized(x[first : first + size])
        # pure: equal calls have one name, and are computed once
        values = delayed(_values, pure=True)(function, first, group)
        groups.append(da.from_delayed(values, (group.shape[0],), np.float64))
    return da.concatenate(groups)


@in_tree
def _values(function: Callable[[int, Any], float], first: int, frames: Iterable[Any]) -> np.ndarray[Any, Any]:
    return np.array([function(first + i, frame) for i, frame in enumerate(frames)], np.float64)
