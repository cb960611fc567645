"""The one room that knows NumPy from dask: frames on axis 0, a block function over all the pixels."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd import _notes, _options, _partials
from xccd._chain import Chain, Step, Unsigned
from xccd._deferred import Deferred, Several, samples
from xccd._pool import run_all
from xccd._reasons import Reasons

# A NumPy or a dask array: xarray's own word for both is Any.
Array = Any
Kernel = Callable[..., Any]

BANDS_PER_THREAD = 8  # small enough that a slow thread is not waited for, large enough to cost nothing
GROUP_BYTES = 1 << 30  # whole frames that `per_frame` holds at a time on dask input


def is_lazy(x: Any) -> bool:
    """Whether ``x`` is a dask collection, asked by protocol so that dask is not imported."""
    graph = getattr(x, "__dask_graph__", None)
    return graph is not None and graph() is not None


def is_deferred(x: Any) -> bool:
    """Whether ``x`` is made when it is asked for, without dask."""
    return isinstance(x, Deferred)


def waits(x: Any) -> bool:
    """Whether ``x`` is not computed yet."""
    return is_lazy(x) or is_deferred(x)


def here(x: Array) -> Array:
    """A deferred array as NumPy's, among dask arrays; NumPy's as it is now."""
    return x.load() if isinstance(x, Deferred) else x if is_lazy(x) else _notes.kept(x)


def cluster(x: Array) -> Any:
    """The client of the dask.distributed cluster that would compute ``x``; None if something else would."""
    from dask.base import get_scheduler

    client = getattr(get_scheduler(collections=[x]), "__self__", None)
    return client if hasattr(client, "scheduler_info") else None


def shares_memory(x: Array) -> bool:
    """Whether the tasks of ``x`` would run in this process: in dask's threads, or one after the other."""
    import dask.threaded
    from dask.base import get_scheduler
    from dask.local import get_sync

    return get_scheduler(collections=[x]) in (dask.threaded.get, get_sync)


def store(arrays: list[Array], targets: list[Any]) -> None:
    """Compute all arrays at once and assign each block to its place in its target, from the thread that computed it."""
    import dask.array as da

    da.store(arrays, targets, lock=False)


def places(x: Array) -> list[tuple[slice, ...]]:
    """Where each block of ``x`` lies, in the order of its keys."""
    from dask.array.core import slices_from_chunks

    return list(slices_from_chunks(x.chunks))


def made_from(label: xr.DataArray, stack: xr.DataArray) -> bool:
    """Whether computing ``label`` would compute the stack's samples; one that is lazy by itself is cheap to read."""
    one, other = samples(label), samples(stack)
    return is_lazy(one) and is_lazy(other) and not one.dask.layers.keys().isdisjoint(other.dask.layers)


def blocks(function: Kernel, x: Array, *extras: Array, reduce: bool, dtype: np.dtype[Any]) -> Array:
    """``function(x, *extras)`` over blocks that hold all frames; lazy if anything given is.

    ``extras`` broadcast against ``x``. With ``reduce`` the function takes axis 0 away.
    """
    if not any(map(is_lazy, (x, *extras))):
        if not any(map(is_deferred, (x, *extras))):
            return function(x, *extras)
        inputs = list(map(_notes.kept, (x, *extras)))
        return Deferred(function, inputs, x.shape[1:] if reduce else x.shape, dtype, frames=not reduce)
    import dask.array as da

    x, extras = here(x), tuple(map(here, extras))
    x = _frames_together(x, extras)
    return da.map_blocks(
        function,
        x,
        *(_in_chunks_of(x, e) for e in extras),
        drop_axis=0 if reduce else None,
        dtype=dtype,
        meta=np.empty((0,) * (x.ndim - reduce), dtype),
    )


def alike(function: Kernel, x: Array, *extras: Array, dtype: np.dtype[Any]) -> Array:
    """``function(x, *extras)``, sample by sample, of arrays that broadcast against ``x``; cut as a lazy one is."""
    if not any(map(is_lazy, (x, *extras))):
        if not any(map(is_deferred, (x, *extras))):
            return function(x, *extras)
        frames = next(a.frames for a in (x, *extras) if isinstance(a, Deferred) and a.ndim == x.ndim)
        return Deferred(function, list(map(_notes.kept, (x, *extras))), x.shape, dtype, frames=frames)
    import dask.array as da

    x, extras = here(x), tuple(map(here, extras))
    if not is_lazy(x):
        whole = next(e for e in extras if is_lazy(e))
        x = da.from_array(x, chunks=tuple(c if sum(c) == n else -1 for c, n in zip(whole.chunks, x.shape, strict=True)))

    def cut(extra: Array) -> Array:
        chunks = tuple(c if n > 1 else 1 for c, n in zip(x.chunks, extra.shape, strict=True))
        return extra.rechunk(chunks) if is_lazy(extra) else da.from_array(extra, chunks=chunks)

    return da.map_blocks(function, x, *map(cut, extras), dtype=dtype, meta=np.empty((0,) * x.ndim, dtype))


def _frames_together(x: Array, extras: Sequence[Array]) -> Array:
    """``x`` as a dask array with all frames in each chunk, cut as a lazy extra is if it is not lazy itself."""
    import dask.array as da

    if not is_lazy(x):
        whole = next(e for e in extras if is_lazy(e))
        x = da.from_array(x, chunks=_chunks_like(whole, x.shape))
    if x.numblocks[0] > 1:
        x = x.rechunk({0: -1, **dict.fromkeys(range(1, x.ndim), "auto")})
    return x


def _chunks_like(lazy: Array, shape: tuple[int, ...]) -> tuple[Any, ...]:
    """Chunks for an array of ``shape`` that match those of ``lazy``, all frames together."""
    same = zip(lazy.chunks[1:], shape[1:], strict=True)
    return (-1, *(c if sum(c) == n else -1 for c, n in same))


def _in_chunks_of(x: Array, extra: Array) -> Array:
    """``extra`` cut as ``x`` is; a small NumPy one goes whole to every task."""
    if not is_lazy(extra) and extra.size == extra.shape[0]:
        return extra
    import dask.array as da

    chunks = (-1, *(c if n > 1 else -1 for c, n in zip(x.chunks[1:], extra.shape[1:], strict=True)))
    return extra.rechunk(chunks) if is_lazy(extra) else da.from_array(extra, chunks=chunks)


def chained(
    chain: Chain, x: Array, scale: Array | None = None, weights: Array | None = None, flags: Array | None = None,
    *, dtypes: Sequence[Any],
) -> list[Array]:  # fmt: skip
    """Run a chain on every pixel of ``x``, as `blocks` does: an image for each of its ends, or the masked stack.

    On NumPy input bands of pixels go to the pool of threads; within a dask task there is one thread. There a chain
    that goes on from another is run with it from where that began, tile by tile in cache: nothing between is made.
    A sample that has a flag is left out.
    """
    extras = [_nothing(x, np.uint8) if flags is None else flags]
    extras += [_nothing(x, np.float64) + 1 if e is None else e for e in (scale, weights)]
    result, source, steps = _launch(chain, x, extras, dtypes)
    if not chain.ends:
        _notes.mark(result[0], _notes.origin(x))
        if waits(x) and flags is None:
            remember(result[0], source, steps)
    return result


def flagged(steps: tuple[Step, ...], x: Array, flags: Array) -> Array:
    """The flags of all samples after some more steps, run as `chained`."""
    one = _nothing(x, np.float64) + 1
    ((result,), _, _) = _launch(Reasons(steps), x, [flags, one, one], [np.dtype(np.uint8)])
    if waits(x):
        first, before = _plan_of_flags(x, flags)
        if is_lazy(x) and result.chunks != x.chunks:
            result = result.rechunk(x.chunks)
        remember_flags(result, x, first, before + steps)
    return result


def _nothing(x: Array, dtype: Any) -> np.ndarray[Any, Any]:
    """Zero for all samples."""
    return np.zeros((1,) * x.ndim, dtype)


def _launch(
    chain: Chain | Reasons, x: Array, extras: list[Array], dtypes: Sequence[Any]
) -> tuple[list[Array], Array, tuple[Step, ...]]:  # fmt: skip
    """The results of a chain, and, if they are lazy, what they are made from and by which steps."""
    if not any(map(waits, (x, *extras))):
        return _run(x, *extras, chain=chain, dtypes=dtypes, threads=_options.threads()), x, chain.steps
    source, steps = _notes.noted(x, _notes.PLAN) or (x, ())
    if waits(extras[0]) or extras[0].size > 1:
        if any(not isinstance(step, Unsigned) for step in steps):  # what they took has the flag of what is not finite
            source, steps = x, ()
        first, before = _plan_of_flags(x, extras[0])
        extras[0], steps = _nothing(x, np.uint8) if first is None else first, steps + before
    chain = replace(chain, steps=steps + chain.steps)
    if not any(map(is_lazy, (source, *extras))):
        return _deferred_results(chain, source, extras, dtypes), source, chain.steps
    dtype = dtype_of(dtypes)
    run = partial(_run_together, chain=chain, dtypes=dtypes, dtype=dtype)
    cut = is_lazy(source) and source.numblocks[0] > 1
    if cut and _partials.are_sums(chain):
        result = _partials.reduced(chain, _run, source, list(map(here, extras)), dtype)
    elif cut and not chain.ends and _partials.is_by_sample(chain):
        result = alike(run, source, *extras, dtype=dtype)
    else:
        source = _frames_together(here(source), extras)
        result = blocks(run, source, *extras, reduce=bool(chain.ends), dtype=dtype)
    return taken_apart(result), source, chain.steps


def _deferred_results(chain: Chain | Reasons, x: Array, extras: list[Array], dtypes: Sequence[Any]) -> list[Array]:
    """The results of a chain that is run, once for all of them, when one is asked for."""
    shape = x.shape[1:] if chain.ends else x.shape
    run = partial(_run_some, chain=chain, dtypes=dtypes)
    return Several(run, list(map(_notes.kept, (x, *extras))), [(shape, dtype) for dtype in dtypes]).fields


def _run_some(
    *arrays: np.ndarray[Any, Any], chain: Chain | Reasons, dtypes: Sequence[Any], wanted: list[int]
) -> list[Array]:  # fmt: skip
    """`_run` in one thread, for some of the ends of a chain."""
    if isinstance(chain, Chain):
        chain = replace(chain, ends=tuple(chain.ends[i] for i in wanted if chain.ends))
    return _run(*arrays, chain=chain, dtypes=[dtypes[i] for i in wanted], threads=1)


def remember(result: Array, source: Array, steps: tuple[Step, ...]) -> None:
    """Note on a lazy array that it is ``steps`` after ``source``."""
    _notes.note(result, _notes.PLAN, (_notes.kept(source), steps))


def remember_flags(flags: Array, x: Array, first: Array | None, steps: tuple[Step, ...]) -> None:
    """Note on lazy flags of ``x`` that they are ``steps`` after ``first``; None: what is not finite had one."""
    if waits(flags):
        first = None if first is None else _notes.kept(first)
        _notes.note(flags, _notes.PLAN, (_notes.identity(x), first, steps))


def _plan_of_flags(x: Array, flags: Array) -> tuple[Array | None, tuple[Step, ...]]:
    """Flags from which those of ``x`` come, and the steps from there."""
    found = _notes.noted(flags, _notes.PLAN)
    if found is None or not waits(x) or _notes.identity(x) != found[0]:
        return flags, ()
    _, first, steps = found
    return first, steps


def _run_together(*arrays: np.ndarray[Any, Any], chain: Chain | Reasons, dtypes: Sequence[Any], dtype: Any) -> Any:
    """`_run` in one thread; several images as one array with a field for each."""
    return together(_run(*arrays, chain=chain, dtypes=dtypes, threads=1), dtype)


def dtype_of(dtypes: Sequence[Any]) -> np.dtype[Any]:
    """Of several arrays as one, with a field for each; of one alone its own."""
    return np.dtype(dtypes[0] if len(dtypes) == 1 else [(f"f{i}", dtype) for i, dtype in enumerate(dtypes)])


def together(arrays: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """Arrays as one of `dtype_of`."""
    if dtype.names is None:
        return arrays[0]
    one = np.empty(arrays[0].shape, dtype)
    for name, array in zip(dtype.names, arrays, strict=True):
        one[name] = array
    return one


def taken_apart(one: Array) -> list[Array]:
    """What `together` was given, of a dask array."""
    return [one] if one.dtype.names is None else [one[name] for name in one.dtype.names]


def _run(
    x: np.ndarray[Any, Any],
    flags: np.ndarray[Any, Any],
    scale: np.ndarray[Any, Any],
    weights: np.ndarray[Any, Any],
    *,
    chain: Chain | Reasons,
    dtypes: Sequence[Any],
    threads: int,
) -> list[Array]:
    shape = x.shape
    flat = x.reshape(shape[0], -1)
    extras = [_flat(extra, shape[1:]) for extra in (flags, scale, weights)]
    pixels = flat.shape[1]
    out = [np.empty((pixels,) if chain.ends else flat.shape, dtype) for dtype in dtypes]
    count = min(pixels, threads * BANDS_PER_THREAD) if threads > 1 else 1
    edges = np.linspace(0, pixels, count + 1).astype(int).tolist()

    def band(i: int) -> None:
        chain(flat, edges[i], edges[i + 1], *extras, *out)

    if count > 1:
        run_all(band, count, threads)
    elif pixels:
        band(0)
    return [result.reshape(shape[1:] if chain.ends else shape) for result in out]


def _flat(extra: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """``extra`` as (1 or frames, 1 or pixels)."""
    if extra.size != extra.shape[0]:
        extra = np.broadcast_to(extra, (extra.shape[0], *shape))
    return extra.reshape(extra.shape[0], -1)


def per_frame(function: Callable[[int, Any], float], x: Array) -> Array:
    """``function(i, frame)`` of each whole frame, as an array of N float64.

    On dask input nothing is computed now. Later at most ``GROUP_BYTES`` of frames, or half of a limit that was set, are
    held at a time: each group is optimised by itself, so that its bands are read for it alone, dropped, and read again
    by the next.
    """
    if isinstance(x, Deferred):  # now: a level that were made for each band would read the files as often
        return _values(function, 0, x.one_by_one())
    if not is_lazy(x):
        return _values(function, 0, x)
    import dask.array as da
    from dask.base import optimize
    from dask.delayed import delayed

    limit = _options.memory()
    most = GROUP_BYTES if limit is None else min(GROUP_BYTES, limit // 2)  # the other half is for their bands
    size = max(1, most // max(1, x.nbytes // x.shape[0]))
    groups = []
    for first in range(0, x.shape[0], size):
        (group,) = optimize(x[first : first + size])
        values = delayed(_values, pure=True)(function, first, group)
        groups.append(da.from_delayed(values, (group.shape[0],), np.float64))
    return da.concatenate(groups)


def _values(function: Callable[[int, Any], float], first: int, frames: Iterable[Any]) -> np.ndarray[Any, Any]:
    return np.array([function(first + i, frame) for i, frame in enumerate(frames)], np.float64)
