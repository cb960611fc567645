"""Combinations of a stack that is cut along its frames: partial sums of each chunk, merged in a tree.

Ranks need all frames of a pixel at once. Sums, also of squares, do not. Partial sums and all that is computed from them
are float64.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeGuard

import numpy as np

from xccd.compute.chain import Chain
from xccd.compute.ends import Combine, End, Scatter, Squares, Weight
from xccd.compute.flagged import Reasons
from xccd.compute.steps import is_by_sample
from xccd.compute.tile import Array
from xccd.kernels.table import METHODS, Partials

Run = Callable[..., Any]


# The partial sums of a chunk, by the names in `kernels.table.Partials`.
SUM, COUNT = Combine("sum"), Combine("count")
PARTS: dict[str, End] = {
    "sum": SUM,
    "count": COUNT,
    "weighted_sum": Combine("sum", weighted=True),
    "weight": Weight(),
    "least": Combine("min"),
    "most": Combine("max"),
    "squares": Squares(),
}
Parts = dict[End, Array]  # partial sums of several chunks, (chunks, pixels) each


def _added(end: End, parts: Parts) -> Array:
    # NaN is a chunk without a sample of this pixel
    total: Array = np.nansum(parts[end], axis=0, keepdims=True)
    return total


def _sum_of_squares(end: End, parts: Parts) -> Array:
    """Sums of squares: within the chunks, and of the chunks' means about the mean of all.

    This is the formula of Chan, Golub and LeVeque (1979).
    """
    size = parts[COUNT]
    with np.errstate(all="ignore"):
        means, mean = parts[SUM] / size, _added(SUM, parts) / _added(COUNT, parts)
        between = size * np.square(means - mean)
    total: Array = np.nansum(parts[end], axis=0, keepdims=True) + np.nansum(between, axis=0, keepdims=True)
    return total


def _extreme(ufunc: np.ufunc) -> Callable[[End, Parts], Array]:
    return lambda end, parts: ufunc.reduce(parts[end], axis=0, keepdims=True)


# How the same partial sum of several chunks is merged.
MERGE: dict[End, Callable[[End, Parts], Array]] = {
    PARTS["sum"]: _added,
    PARTS["count"]: _added,
    PARTS["weighted_sum"]: _added,
    PARTS["weight"]: _added,
    PARTS["least"]: _extreme(np.fmin),
    PARTS["most"]: _extreme(np.fmax),
    PARTS["squares"]: _sum_of_squares,
}

# For each end: the partial sums it needs and how to finish them. The error of a weighted mean has no such row: its
# terms need the total weight, which no chunk knows.
ROWS: dict[End, Partials] = {
    **{Combine(name): row.partials for name, row in METHODS.items() if row.partials},
    **{Combine(name, weighted=True): row.weighted_partials for name, row in METHODS.items() if row.weighted_partials},
    **{Scatter(name): row.error.partials for name, row in METHODS.items() if row.error and row.error.partials},
}


def are_sums(chain: Chain | Reasons) -> TypeGuard[Chain]:
    """Whether all ends of a chain can be computed from partial sums of chunks along frames."""
    return bool(chain.ends) and all(map(is_by_sample, chain.steps)) and all(end in ROWS for end in chain.ends)


def reduced(chain: Chain, run: Run, x: Any, extras: list[Any], dtype: np.dtype[Any]) -> Any:
    """The image as a dask array, with a field for each end if there are several.

    ``run`` runs a chain on a block, as in `xccd.compute.run`. The partial sums of a chunk are on a last axis.
    """
    import dask.array as da

    asked = tuple(dict.fromkeys(PARTS[part] for end in chain.ends for part in ROWS[end].parts))
    meta = np.empty((0,) * (x.ndim + 1))
    # one array for all partial sums, so that a chunk is read by one task
    of_chunks = da.map_blocks(
        partial(_part, run=run, chain=Chain(chain.steps, asked)),
        x,
        *(_rechunked_like(x, e) for e in extras),
        chunks=((1,) * x.numblocks[0], *x.chunks[1:], (len(asked),)),
        new_axis=x.ndim,
        dtype=np.float64,
        meta=meta,
    )
    merge = partial(_merged, asked=asked)
    whole = da.reduction(
        of_chunks, chunk=merge, combine=merge, aggregate=merge, axis=0, dtype=np.float64, meta=meta[0:0]
    )
    finish = partial(_finished, ends=chain.ends, asked=asked, dtype=dtype)
    return da.map_blocks(finish, whole, drop_axis=x.ndim - 1, dtype=dtype, meta=np.empty((0,) * (x.ndim - 1), dtype))


def _rechunked_like(x: Any, extra: Any) -> Any:
    """Weights or factors in the chunks of ``x``."""
    import dask.array as da

    chunks = tuple(c if n > 1 else 1 for c, n in zip(x.chunks, extra.shape, strict=True))
    return extra.rechunk(chunks) if hasattr(extra, "rechunk") else da.from_array(extra, chunks=chunks)


def _part(*arrays: Array, run: Run, chain: Chain) -> Array:
    """The partial sums of one chunk (1, ..., parts), NaN for pixels without a sample."""
    results = run(*arrays, chain=chain, dtypes=[np.float64] * len(chain.ends), threads=1)
    return np.stack(results, axis=-1)[None]


def _merged(parts: Array, axis: Any, keepdims: bool, asked: tuple[End, ...]) -> Array:
    """The partial sums along axis 0 merged into one."""
    columns = dict(zip(asked, np.moveaxis(parts, -1, 0), strict=True))
    merged = np.stack([MERGE[end](end, columns) for end in asked], axis=-1)
    return merged if keepdims else merged[0]


def _finished(whole: Array, ends: tuple[End, ...], asked: tuple[End, ...], dtype: np.dtype[Any]) -> Any:
    """The images from the partial sums of all frames."""
    columns = dict(zip(asked, np.moveaxis(whole, -1, 0), strict=True))
    image: Any = np.empty(whole.shape[:-1], dtype)
    with np.errstate(all="ignore"):  # a float64 beyond float32 becomes infinite; pixels without samples
        for end, name in zip(ends, dtype.names or (...,), strict=True):
            row = ROWS[end]
            image[name] = row.finish(*(columns[PARTS[part]] for part in row.parts))
    return image
