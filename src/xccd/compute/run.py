"""Runs a chain on a NumPy, dask or deferred array with frames on axis 0."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import memory, notes, options, partials
from xccd.compute.arrays import (
    Array,
    _frames_together,
    as_dask_input,
    dtype_of,
    is_dask,
    is_lazy,
    map_elementwise,
    map_over_frames,
    pack_fields,
    unpack_fields,
)
from xccd.compute.chain import Chain
from xccd.compute.deferred import MultiOutput
from xccd.compute.flagged import Reasons
from xccd.compute.plans import plan_of_flags, remember_flags, remember_steps
from xccd.compute.pool import run_all
from xccd.compute.steps import Step, Unsigned, is_by_sample

BANDS_PER_THREAD = 8  # bands so small that no thread waits long for a slow one, and so large that calls cost nothing


def chained(
    chain: Chain, x: Array, scale: Array | None = None, weights: Array | None = None, flags: Array | None = None,
    *, dtypes: Sequence[Any], sides: Sequence[Array] = (), keep_flags: bool = False,
) -> list[Array]:  # fmt: skip
    """The results of a chain on every pixel of ``x``: an image for each end, or the masked stack; lazy if ``x`` is.

    On NumPy input, bands of pixels go to the pool of threads. A dask task has one thread. On lazy input a chain that
    follows another one begins at the source of that one, and both run tile by tile in cache: the stack between them is
    not made. Samples with a flag are not used. ``sides`` are what else the ends are given, in the order of `ends.Given`
    after the weights. With ``keep_flags`` they are also given the flags themselves, so that the chain begins at these.
    """
    extras = [_nothing(x, np.uint8) if flags is None else flags]
    extras += [_nothing(x, np.float64) + 1 if e is None else e for e in (scale, weights)]
    launched = _launch(chain, x, [*extras, *sides], dtypes, keep_flags=keep_flags)
    if not chain.ends:
        (masked,) = launched.results
        notes.mark(masked, notes.origin_of_samples(x))
        if is_lazy(x) and flags is None and weights is None:
            # With flags the steps alone would not give this stack: the flags reject, too. Nor would they without the
            # numbers that a step takes in place of weights.
            remember_steps(masked, launched.source, launched.steps)
    return launched.results


def flags_after(steps: tuple[Step, ...], x: Array, flags: Array, numbers: Array | None = None) -> Array:
    """The flags of all samples after these steps, run as in `chained`. ``numbers`` are those that a step takes."""
    one = _nothing(x, np.float64) + 1
    given = one if numbers is None else numbers
    (result,) = _launch(Reasons(steps), x, [flags, one, given], [np.dtype(np.uint8)]).results
    if is_lazy(x) and numbers is None:
        first, before = plan_of_flags(x, flags)
        if is_dask(x) and result.chunks != x.chunks:
            # a Dataset needs the same chunks in all its variables
            result = result.rechunk(x.chunks)
        remember_flags(result, x, first, before + steps)
    return result


def _nothing(x: Array, dtype: Any) -> np.ndarray[Any, Any]:
    """0 for all samples, as an array that broadcasts against ``x``."""
    return np.zeros((1,) * x.ndim, dtype)


class _Launched(NamedTuple):
    """The results of a chain, the array that it began at, and all steps since."""

    results: list[Array]
    source: Array
    steps: tuple[Step, ...]


def _launch(
    chain: Chain | Reasons, x: Array, extras: list[Array], dtypes: Sequence[Any], keep_flags: bool = False
) -> _Launched:  # fmt: skip
    """Run a chain now, or make it lazy if any input is; it then begins at the source of ``x``."""
    if not any(map(is_lazy, (x, *extras))):
        results = _run(x, *extras, chain=chain, dtypes=dtypes, threads=options.threads())
        return _Launched(results, x, chain.steps)
    source, steps = notes.noted(x, notes.PLAN) or (x, ())
    if is_lazy(extras[0]) or extras[0].size > 1:
        # Samples rejected before the flags were made are flagged as non-finite. So the chain begins at ``x`` then.
        if any(not isinstance(step, Unsigned) for step in steps):
            source, steps = x, ()
        first, before = (extras[0], ()) if keep_flags else plan_of_flags(x, extras[0])
        extras[0], steps = _nothing(x, np.uint8) if first is None else first, steps + before
    chain = replace(chain, steps=steps + chain.steps)
    if not any(map(is_dask, (source, *extras))):
        return _Launched(_deferred_results(chain, source, extras, dtypes), source, chain.steps)
    dtype = dtype_of(dtypes)  # fields of one array, so that one task makes all images of a band
    run = partial(_run_together, chain=chain, dtypes=dtypes, dtype=dtype)
    frames_in_chunks = is_dask(source) and source.numblocks[0] > 1
    # Sums can be made chunk by chunk. All else needs all frames of a pixel in one chunk.
    if frames_in_chunks and partials.are_sums(chain):
        result = partials.reduced(chain, _run, source, list(map(as_dask_input, extras)), dtype)
    elif frames_in_chunks and not chain.ends and all(map(is_by_sample, chain.steps)):
        result = map_elementwise(run, source, *extras, dtype=dtype)
    else:
        source = _frames_together(as_dask_input(source), extras)
        result = map_over_frames(run, source, *extras, reduce=bool(chain.ends), dtype=dtype)
    return _Launched(unpack_fields(result), source, chain.steps)


def _deferred_results(chain: Chain | Reasons, x: Array, extras: list[Array], dtypes: Sequence[Any]) -> list[Array]:
    """The results of a chain as deferred arrays. The chain runs once for all of them, when one is loaded."""
    shape = x.shape[1:] if chain.ends else x.shape
    run = partial(_run_some, chain=chain, dtypes=dtypes)
    return MultiOutput(run, list(map(notes.kept, (x, *extras))), [(shape, dtype) for dtype in dtypes]).fields


def _run_some(
    *arrays: np.ndarray[Any, Any], chain: Chain | Reasons, dtypes: Sequence[Any], wanted: list[int]
) -> list[Array]:  # fmt: skip
    """`_run` in one thread, for the ends of a chain that are ``wanted``."""
    if isinstance(chain, Chain):
        chain = replace(chain, ends=tuple(chain.ends[i] for i in wanted if chain.ends))
    return _run(*arrays, chain=chain, dtypes=[dtypes[i] for i in wanted], threads=1)


def _run_together(*arrays: np.ndarray[Any, Any], chain: Chain | Reasons, dtypes: Sequence[Any], dtype: Any) -> Any:
    """`_run` in one thread; several images as one array with a field for each."""
    return pack_fields(_run(*arrays, chain=chain, dtypes=dtypes, threads=1), dtype)


def _run(
    x: np.ndarray[Any, Any],
    *given: np.ndarray[Any, Any],
    chain: Chain | Reasons,
    dtypes: Sequence[Any],
    threads: int,
) -> list[Array]:
    """A chain on one block; ``given`` are flags, scale, weights, and what else the ends are given."""
    shape = x.shape
    flat = x.reshape(shape[0], -1)
    extras = [_flat(extra, shape[1:]) for extra in given]
    pixels = flat.shape[1]
    out = [memory.empty((pixels,) if chain.ends else flat.shape, dtype) for dtype in dtypes]
    # Bands of pixels, not of rows as elsewhere: the samples are in memory, so no file and no chunk asks for whole rows,
    # and `tiles` cuts each band for the cache.
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
    """``extra`` as an array (1 or frames, 1 or pixels)."""
    if extra.size != extra.shape[0]:
        extra = np.broadcast_to(extra, (extra.shape[0], *shape))
    return extra.reshape(extra.shape[0], -1)
