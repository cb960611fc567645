"""Combinations of a stack that is cut along its frames: what each chunk comes to, put together in a tree.

Ranks need all frames of a pixel at once; sums, also of squares, do not. Their parts are float64, and so is all that is
made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

import numpy as np

from xccd.compute.chain import Chain
from xccd.compute.ends import COUNT, Combine, End, Scatter, Squares, Weight
from xccd.compute.flagged import Reasons
from xccd.compute.steps import BY_SAMPLE
from xccd.compute.tile import Array

Run = Callable[..., Any]


SUM, WEIGHTED = Combine("sum"), Combine("sum", weighted=True)
LEAST, MOST, WEIGHT, SQUARES = Combine("min"), Combine("max"), Weight(), Squares()
Parts = dict[End, Array]  # what chunks came to


def _added(end: End, parts: Parts) -> Array:
    total: Array = np.nansum(parts[end], axis=0, keepdims=True)
    return total


def _squares(end: End, parts: Parts) -> Array:
    """Those within each chunk, and those of the chunks' means from the mean of all (Chan, Golub and LeVeque 1979)."""
    size = parts[COUNT]
    with np.errstate(all="ignore"):
        means, mean = parts[SUM] / size, _added(SUM, parts) / _added(COUNT, parts)
        between = size * np.square(means - mean)
    total: Array = np.nansum(parts[end], axis=0, keepdims=True) + np.nansum(between, axis=0, keepdims=True)
    return total


def _extreme(ufunc: np.ufunc) -> Callable[[End, Parts], Array]:
    return lambda end, parts: ufunc.reduce(parts[end], axis=0, keepdims=True)


MERGE: dict[End, Callable[[End, Parts], Array]] = {
    COUNT: _added,
    SUM: _added,
    WEIGHTED: _added,
    WEIGHT: _added,
    LEAST: _extreme(np.fmin),
    MOST: _extreme(np.fmax),
    SQUARES: _squares,
}


def _ratio(total: Array, size: Array) -> Array:
    return _total(total / np.where(size > 0, size, 1.0), size)


def _total(total: Array, size: Array) -> Array:
    return np.where(size > 0, total, np.nan)


def _as_it_is(value: Array) -> Array:
    return value


def _error_of_mean(squares: Array, size: Array, _: Array) -> Any:
    return np.sqrt(_total(squares, size - 1) / (size - 1) / size)


def _error_of_sum(squares: Array, size: Array, _: Array) -> Any:
    return np.sqrt(_total(squares, size - 1) / (size - 1) * size)


# What an end asks the chunks for, and what it is of all these together. The error of a weighted mean is none of them:
# its terms are known when the whole weight is.
ROWS: dict[End, tuple[tuple[End, ...], Callable[..., Array]]] = {
    SUM: ((SUM, COUNT), _total),
    Combine("mean"): ((SUM, COUNT), _ratio),
    WEIGHTED: ((WEIGHTED, WEIGHT), _total),
    Combine("mean", weighted=True): ((WEIGHTED, WEIGHT), _ratio),
    COUNT: ((COUNT,), _as_it_is),
    LEAST: ((LEAST,), _as_it_is),
    MOST: ((MOST,), _as_it_is),
    Scatter("mean"): ((SQUARES, COUNT, SUM), _error_of_mean),
    Scatter("sum"): ((SQUARES, COUNT, SUM), _error_of_sum),
}


def is_by_sample(chain: Chain | Reasons) -> bool:
    """Whether the steps of a chain judge each sample by itself, whatever the others of its pixel are."""
    return all(isinstance(step, BY_SAMPLE) for step in chain.steps)


def are_sums(chain: Chain | Reasons) -> TypeGuard[Chain]:
    """Whether all that a chain ends in can be put together from chunks along frames."""
    return bool(chain.ends) and is_by_sample(chain) and all(end in ROWS for end in chain.ends)


def reduced(chain: Chain, run: Run, x: Any, extras: list[Any], dtype: np.dtype[Any]) -> Any:
    """The image, a field for each of several, as a dask array; ``run`` is `xccd.compute.run`'s, of a chain on a block.

    What the chunks come to lies side by side on a last axis.
    """
    import dask.array as da

    asked = tuple(dict.fromkeys(part for end in chain.ends for part in ROWS[end][0]))
    meta = np.empty((0,) * (x.ndim + 1))
    parts = da.map_blocks(
        partial(_part, run=run, chain=Chain(chain.steps, asked)),
        x,
        *(_cut(x, e) for e in extras),
        chunks=((1,) * x.numblocks[0], *x.chunks[1:], (len(asked),)),
        new_axis=x.ndim,
        dtype=np.float64,
        meta=meta,
    )
    merge = partial(_merged, asked=asked)
    whole = da.reduction(parts, chunk=merge, combine=merge, aggregate=merge, axis=0, dtype=np.float64, meta=meta[0:0])
    finish = partial(_finished, ends=chain.ends, asked=asked, dtype=dtype)
    return da.map_blocks(finish, whole, drop_axis=x.ndim - 1, dtype=dtype, meta=np.empty((0,) * (x.ndim - 1), dtype))


def _cut(x: Any, extra: Any) -> Any:
    """Weights or factors cut as ``x`` is."""
    import dask.array as da

    chunks = tuple(c if n > 1 else 1 for c, n in zip(x.chunks, extra.shape, strict=True))
    return extra.rechunk(chunks) if hasattr(extra, "rechunk") else da.from_array(extra, chunks=chunks)


def _part(*arrays: Array, run: Run, chain: Chain) -> Array:
    """What one chunk comes to, NaN where it has no sample."""
    results = run(*arrays, chain=chain, dtypes=[np.float64] * len(chain.ends), threads=1)
    return np.stack(results, axis=-1)[None]


def _merged(parts: Array, axis: Any, keepdims: bool, asked: tuple[End, ...]) -> Array:
    """Some parts along axis 0 as one."""
    columns = dict(zip(asked, np.moveaxis(parts, -1, 0), strict=True))
    merged = np.stack([MERGE[end](end, columns) for end in asked], axis=-1)
    return merged if keepdims else merged[0]


def _finished(whole: Array, ends: tuple[End, ...], asked: tuple[End, ...], dtype: np.dtype[Any]) -> Any:
    columns = dict(zip(asked, np.moveaxis(whole, -1, 0), strict=True))
    image: Any = np.empty(whole.shape[:-1], dtype)
    with np.errstate(all="ignore"):  # a float64 that float32 does not hold is infinite there; pixels without samples
        for end, name in zip(ends, dtype.names or (...,), strict=True):
            parts, finish = ROWS[end]
            image[name] = finish(*(columns[part] for part in parts))
    return image
