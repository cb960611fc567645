"""Runs a chain on a NumPy, dask or deferred array with frames on axis 0."""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import dask_bars, memory, notes, options, partials, progress
from xccd.compute.arrays import (
    Array,
    _frames_together,
    _in_chunks_of,
    as_dask_input,
    dtype_of,
    is_dask,
    is_lazy,
    map_elementwise,
    map_over_frames,
    unpack_fields,
)
from xccd.compute.calibrated import Input
from xccd.compute.chain import Chain
from xccd.compute.deferred import MultiOutput
from xccd.compute.flagged import Reasons
from xccd.compute.maps import ByFrame
from xccd.compute.plans import Plan, plan_of, plan_of_flags, remember_flags, remember_steps
from xccd.compute.pool import run_all
from xccd.compute.steps import First, Step, inputs_of, is_by_sample
from xccd.errors import in_tree

BY_FRAME = "_xccd_by_frame"  # a note: see `rejected_by_frame`
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
            remember_steps(masked, *launched.plan)
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


def before_clips(x: Array) -> tuple[Array, tuple[Step, ...]]:
    """The samples of a lazy array before the rejections that it notes, lazy as it is, and these rejections."""
    plan = plan_of(x)
    first = tuple(step for step in plan.steps[:1] if isinstance(step, First))
    steps = plan.steps[len(first) :]
    if not steps or not first:
        return (plan.source, steps) if steps else (x, ())
    extras = [_nothing(x, np.uint8), *(_nothing(x, np.float64) + 1,) * 2]
    launched = _launch(Chain(()), x, extras, [x.dtype], plan=Plan(plan.source, first, plan.inputs))
    (samples,) = launched.results
    remember_steps(samples, *launched.plan)
    return samples, steps


def _nothing(x: Array, dtype: Any) -> np.ndarray[Any, Any]:
    """0 for all samples, as an array that broadcasts against ``x``."""
    return np.zeros((1,) * x.ndim, dtype)


class _Launched(NamedTuple):
    """The results of a chain, and the plan of its masked stack: the array that it began at, and all steps since."""

    results: list[Array]
    plan: Plan


def _launch(
    chain: Chain | Reasons, x: Array, extras: list[Array], dtypes: Sequence[Any], keep_flags: bool = False,
    plan: Plan | None = None,
) -> _Launched:  # fmt: skip
    """Run a chain now, or make it lazy if any input is; it then begins at the source of ``plan``, or of ``x``."""
    if not any(map(is_lazy, (x, *extras))):
        results = _run(x, *extras, chain=chain, dtypes=dtypes, threads=options.threads(), what=_work(chain))
        return _Launched(results, Plan(x, chain.steps))
    dask_bars.changed()
    source, steps, inputs = plan_of(x) if plan is None else plan
    if len(steps) == 1 and inputs and any(is_lazy(extra) and extra.shape == x.shape for extra in extras[1:]):
        # Errors of samples are mostly made of the calibrated samples, which are then made once for both.
        source, steps, inputs = Plan(x, ())
    if is_lazy(extras[0]) or extras[0].size > 1:
        # Samples rejected before the flags were made are flagged as non-finite. So the chain begins at ``x`` then.
        if any(not isinstance(step, First) for step in steps):
            source, steps, inputs = Plan(x, ())
        first, before = plan_of_flags(x, extras[0])
        if keep_flags and isinstance(chain, Chain):
            # Partial sums of chunks are made of flags that are there.
            if _is_cut_along_frames(source) and all(map(is_by_sample, before)):
                first, before = extras[0], ()
            else:
                chain = replace(chain, reasons=True)
        extras[0], steps = _nothing(x, np.uint8) if first is None else first, steps + before
    chain, extras = replace(chain, steps=steps + chain.steps), [*extras, *inputs]
    plan = Plan(source, chain.steps, inputs)
    if not any(map(is_dask, (source, *extras))):
        return _Launched(_deferred_results(chain, source, extras, dtypes), plan)
    dtype = dtype_of(dtypes)
    run = partial(_run_alone, chain=chain, dtypes=dtypes)
    # Sums can be made chunk by chunk. All else needs all frames of a pixel in one chunk.
    frames_in_chunks = _is_cut_along_frames(source)
    if frames_in_chunks and partials.are_sums(chain):
        result = partials.reduced(chain, _run, source, list(map(as_dask_input, extras)), dtype)
    elif frames_in_chunks and not chain.ends and all(map(is_by_sample, chain.steps)):
        result = map_elementwise(run, source, *extras, dtype=dtype)
    else:
        source = _frames_together(as_dask_input(source), extras)
        plan = plan._replace(source=source)
        if isinstance(chain, Chain) and len(dtypes) > 1:
            return _Launched(_images_together(chain, source, extras, dtypes), plan)
        if chain.ends:
            result = _over_frames(run, source, extras, dtype)
        else:
            result = map_over_frames(run, source, *extras, reduce=False, dtype=dtype)
    return _Launched(unpack_fields(result), plan)


def _is_cut_along_frames(x: Array) -> bool:
    return is_dask(x) and x.numblocks[0] > 1


def _images_together(chain: Chain, x: Array, extras: list[Array], dtypes: Sequence[Any]) -> list[Array]:
    """Several images of a chain as dask arrays. One task makes all of them for a band; others pick one of its results.

    With ``reasons`` it also counts the rejected samples of each frame: `rejected_by_frame` finds them.
    """
    import dask.array as da

    if chain.reasons:
        chain = replace(chain, ends=(*chain.ends, ByFrame()))
    run = partial(_run, chain=chain, dtypes=[*dtypes, np.int64][: len(chain.ends)], threads=1)
    # Its blocks are lists. An array with a field for each image would be two copies more of all of them.
    together = _over_frames(run, x, extras, dtype_of(dtypes))
    results = [
        da.map_blocks(operator.itemgetter(i), together, dtype=dtype, meta=np.empty((0,) * together.ndim, dtype))
        for i, dtype in enumerate(dtypes)
    ]
    if chain.reasons:
        counts = da.map_blocks(
            _last, together, new_axis=(0, 1), chunks=((2,), (x.shape[0],), *((1,) * n for n in together.numblocks)),
            dtype=np.int64, meta=np.empty((0,) * (together.ndim + 2), np.int64),
        )  # fmt: skip
        for result in results:
            notes.note(result, BY_FRAME, counts)
    return results


def _over_frames(run: Callable[..., Any], x: Array, extras: Sequence[Array], dtype: np.dtype[Any]) -> Array:
    """As `map_over_frames` with ``reduce``, for a dask array with all frames in each chunk.

    ``map_blocks`` would copy each chunk, to put the one chunk along the frames together: a third of a clip and mean.
    """
    import dask.array as da

    axes = tuple(range(x.ndim))
    cut = [_in_chunks_of(x, extra) for extra in map(as_dask_input, extras)]
    pairs = [part for extra in cut for part in (extra, axes if is_dask(extra) else None)]
    return da.blockwise(
        partial(_run_on_lists, run=run), axes[1:], x, axes, *pairs,
        token="_run", concatenate=False, align_arrays=False, dtype=dtype, meta=np.empty((0,) * (x.ndim - 1), dtype),
    )  # fmt: skip


def _run_on_lists(*blocks: Any, run: Callable[..., Any]) -> Any:
    """``run`` of blocks; each comes as the list of the blocks along the frames, which is one."""
    return run(*(block[0] if isinstance(block, list) else block for block in blocks))


def _last(results: list[Array]) -> Array:
    """The counts of a band, with an axis for each of its axes."""
    counts = results[-1]
    return counts.reshape(*counts.shape, *(1,) * results[0].ndim)


def rejected_by_frame(image: Array) -> Array | None:
    """How many samples of each frame clips rejected as low and as high, (2, frames), lazy, if the image knows it."""
    counts = notes.noted(image, BY_FRAME) if is_dask(image) else None
    return None if counts is None else counts.sum(tuple(range(2, counts.ndim)))


def _deferred_results(chain: Chain | Reasons, x: Array, extras: list[Array], dtypes: Sequence[Any]) -> list[Array]:
    """The results of a chain as deferred arrays. The chain runs once for all of them, when one is loaded."""
    shape = x.shape[1:] if chain.ends else x.shape
    run = partial(_run_some, chain=chain, dtypes=dtypes)
    made = MultiOutput(run, list(map(notes.kept, (x, *extras))), [(shape, dtype) for dtype in dtypes])
    made.what = _work(chain)
    return made.fields


def _work(chain: Chain | Reasons) -> str:
    """What a chain does, in a word for a bar."""
    return "combine" if chain.ends else "clip"


def _run_some(
    *arrays: np.ndarray[Any, Any], chain: Chain | Reasons, dtypes: Sequence[Any], wanted: list[int]
) -> list[Array]:  # fmt: skip
    """`_run` in one thread, for the ends of a chain that are ``wanted``."""
    if isinstance(chain, Chain):
        chain = replace(chain, ends=tuple(chain.ends[i] for i in wanted if chain.ends))
    return _run(*arrays, chain=chain, dtypes=[dtypes[i] for i in wanted], threads=1)


def _run_alone(*arrays: np.ndarray[Any, Any], chain: Chain | Reasons, dtypes: Sequence[Any]) -> Any:
    """`_run` in one thread, for a chain with one result."""
    (result,) = _run(*arrays, chain=chain, dtypes=dtypes, threads=1)
    return result


@in_tree
def _run(
    x: np.ndarray[Any, Any],
    *given: np.ndarray[Any, Any],
    chain: Chain | Reasons,
    dtypes: Sequence[Any],
    threads: int,
    what: str = "",
) -> list[Array]:
    """A chain on one block; ``given`` are flags, scale, weights, what else the ends are given, and `Input` values."""
    shape = x.shape
    flat = x.reshape(shape[0], -1)
    sides = len(given) - inputs_of(chain.steps)
    extras: list[Any] = [_flat(extra, shape[1:]) for extra in given[:sides]]
    extras += [Input(values, shape[1:]) for values in given[sides:]]
    pixels = flat.shape[1]
    out = [memory.empty((pixels,) if chain.ends else flat.shape, dtype) for dtype in dtypes]
    counts = [np.zeros((2, shape[0]), np.int64)] if ByFrame() in chain.ends else []
    out = [*out[: len(out) - len(counts)], *counts]
    # Bands of pixels, not of rows as elsewhere: the samples are in memory, so no file and no chunk asks for whole rows,
    # and `tiles` cuts each band for the cache.
    shown = bool(what) and progress.wanted()
    count = min(pixels, threads * BANDS_PER_THREAD) if threads > 1 or shown else 1
    edges = np.linspace(0, pixels, count + 1).astype(int).tolist()

    def band(i: int) -> None:
        chain(flat, edges[i], edges[i + 1], *extras, *out)

    if count > 1:
        run_all(band, count, threads, what)
    elif pixels:
        band(0)
    images = [result.reshape(shape[1:] if chain.ends else shape) for result in out[: len(out) - len(counts)]]
    return images + counts


def _flat(extra: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    """``extra`` as an array (1 or frames, 1 or pixels)."""
    if extra.size != extra.shape[0] and extra.shape[1:] != shape:  # what is broadcast cannot be read in place
        extra = np.broadcast_to(extra, (extra.shape[0], *shape))
    return extra.reshape(extra.shape[0], -1)
