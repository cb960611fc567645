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
from xccd.compute.ends import Combine, End, Squares, Total
from xccd.compute.errors import SHARED, Corrected, ErrorSum, Larger, Propagated, Rescaled, Scatter, Shared
from xccd.compute.flagged import Reasons
from xccd.compute.maps import AllFlags, Flagged
from xccd.compute.steps import is_by_sample
from xccd.compute.tile import Array
from xccd.kernels.flags import Flag
from xccd.kernels.formulas import as_it_is, ratio
from xccd.kernels.table import METHODS, Partials

Run = Callable[..., Any]


# The partial sums of a chunk, by the names in `kernels.table.Partials`.
SUM, COUNT = Combine("sum"), Combine("count")
PARTS: dict[str, End] = {
    "sum": SUM,
    "count": COUNT,
    "weighted_sum": Combine("sum", weighted=True),
    "weight": Total("weights"),
    "least": Combine("min"),
    "most": Combine("max"),
    "squares": Squares(),
    "first": Combine("first"),
    "last": Combine("last"),
    "own_errors": ErrorSum(1),
    "shared_errors": ErrorSum(2),
    "exposure": Total("exposure"),
    "low": Flagged(int(Flag.REJECTED_LOW)),
    "high": Flagged(int(Flag.REJECTED_HIGH)),
    "flags": AllFlags(whatever=True),
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


def _summed(end: End, parts: Parts) -> Array:
    """A sum that is 0 for a chunk without a sample, so that NaN is an unknown error of a sample."""
    total: Array = np.sum(parts[end], axis=0, keepdims=True)
    return total


def _joined(end: End, parts: Parts) -> Array:
    """The flags of all chunks."""
    return np.bitwise_or.reduce(parts[end].astype(np.uint8), axis=0, keepdims=True).astype(np.float64)


def _extreme(ufunc: np.ufunc) -> Callable[[End, Parts], Array]:
    return lambda end, parts: ufunc.reduce(parts[end], axis=0, keepdims=True)


def _outermost(end: End, parts: Parts) -> Array:
    """The value of the first chunk, or the last, that has a sample."""
    found = parts[end] if end.method == "first" else parts[end][::-1]
    return np.take_along_axis(found, np.argmax(~np.isnan(found), axis=0)[None], 0)


# How the same partial sum of several chunks is merged.
MERGE: dict[End, Callable[[End, Parts], Array]] = {
    PARTS["sum"]: _added,
    PARTS["count"]: _added,
    PARTS["weighted_sum"]: _added,
    PARTS["weight"]: _added,
    PARTS["least"]: _extreme(np.fmin),
    PARTS["most"]: _extreme(np.fmax),
    PARTS["squares"]: _sum_of_squares,
    PARTS["first"]: _outermost,
    PARTS["last"]: _outermost,
    PARTS["own_errors"]: _summed,
    PARTS["shared_errors"]: _summed,
    PARTS["exposure"]: _summed,
    PARTS["low"]: _summed,
    PARTS["high"]: _summed,
    PARTS["flags"]: _joined,
}

_ERRORS = ("own_errors", "shared_errors")

# For each end: the partial sums it needs and how to finish them. The error of a weighted mean has no such row: its
# terms need the total weight, which no chunk knows.
ROWS: dict[End, Partials] = {
    **{Combine(name): row.partials for name, row in METHODS.items() if row.partials},
    **{Combine(name, weighted=True): row.weighted_partials for name, row in METHODS.items() if row.weighted_partials},
    **{Scatter(name): row.error.partials for name, row in METHODS.items() if row.error and row.error.partials},
    **{
        Propagated(name, weighted): Partials((size, *_ERRORS), row.propagated)
        for name, row in METHODS.items()
        for weighted, size in ((False, "count"), (True, "weight"))
        if row.propagated and row.partials
    },
    **{
        Shared(name, weighted): Partials(("shared_errors", size), SHARED[name])
        for name in SHARED
        for weighted, size in ((False, "count"), (True, "weight"))
        if METHODS[name].partials
    },
    **{PARTS[name]: Partials((name,), as_it_is) for name in ("weight", "exposure", "low", "high")},
    AllFlags(): Partials(("flags", "count"), lambda flags, count: np.where(count > 0, 0.0, flags)),
}


def row_of(end: End) -> Partials | None:
    """The row of an end, if it can be computed from partial sums."""
    if isinstance(end, Larger):
        one, other = row_of(end.scatter), row_of(end.propagated)
        return one and other and _both(one, other)
    if isinstance(end, Corrected):
        row = row_of(end.end)
        parts = ("shared_errors", "count", "low", "high")
        return row and Partials((*row.parts, *parts), partial(_corrected, end=end, row=row))
    if not isinstance(end, Rescaled):
        return ROWS.get(end)
    row, frames = row_of(end.end), end.frames
    return row and Partials((*row.parts, "count"), lambda *sums: row.finish(*sums[:-1]) * (frames / sums[-1]))


def _corrected(*sums: Array, end: Corrected, row: Partials) -> Array:
    """An error times the factor of its clip, from the sums of its row and the counts of samples used and clipped."""
    *own, shared, count, low, high = sums
    shared = ratio(shared, count) if isinstance(end.end, Propagated) else np.zeros_like(shared)
    return end.times_factor(row.finish(*own), shared, count + low + high)


def _both(one: Partials, other: Partials) -> Partials:
    """The larger one of two results."""
    n = len(one.parts)
    return Partials((*one.parts, *other.parts), lambda *p: np.fmax(one.finish(*p[:n]), other.finish(*p[n:])))


def are_sums(chain: Chain | Reasons) -> TypeGuard[Chain]:
    """Whether all ends of a chain can be computed from partial sums of chunks along frames."""
    return bool(chain.ends) and all(map(is_by_sample, chain.steps)) and all(map(row_of, chain.ends))


def reduced(chain: Chain, run: Run, x: Any, extras: list[Any], dtype: np.dtype[Any]) -> Any:
    """The image as a dask array, with a field for each end if there are several.

    ``run`` runs a chain on a block, as in `xccd.compute.run`. The partial sums of a chunk are on a last axis.
    """
    import dask.array as da

    asked = tuple(dict.fromkeys(PARTS[part] for row in map(row_of, chain.ends) if row for part in row.parts))
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
            row = row_of(end)
            assert row is not None  # `are_sums` was asked
            image[name] = row.finish(*(columns[PARTS[part]] for part in row.parts))
    return image
