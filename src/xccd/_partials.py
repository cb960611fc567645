"""Combinations of a stack that is cut along its frames: what each chunk comes to, put together in a tree.

Ranks need all frames of a pixel at once; sums do not. Their parts are float64, and so is all that is made of them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xccd._chain import Array, Chain, Combine, End, Tile, Unsigned

Run = Callable[..., Any]


@dataclass(frozen=True)
class Weight:
    """An end of a chain: the weight of the samples in use."""

    method: str = "sum"
    sums = False

    def __call__(self, engine: Any, tile: Tile, weights: Array, out: Array) -> None:
        least, most, _ = tile.bounds
        x = tile.x[:, tile.start : tile.stop]
        np.sum(np.where((x >= least) & (x <= most), weights, 0.0), axis=0, out=out)


class Row(NamedTuple):
    """What chunks are asked for, how two answers become one, and what the image is of them."""

    ends: tuple[End, ...]
    merge: Any  # a ufunc that skips NaN where one side is
    finish: Callable[..., Any]


def _ratio(total: Array, size: Array) -> Array:
    with np.errstate(invalid="ignore"):
        return _total(total / np.where(size > 0, size, 1.0), size)


def _total(total: Array, size: Array) -> Array:
    return np.where(size > 0, total, np.nan)


def _as_it_is(value: Array) -> Array:
    return value


COUNT, SUM, WEIGHTED = Combine("count"), Combine("sum"), Combine("sum", weighted=True)
ROWS: dict[tuple[str, bool], Row] = {
    ("sum", False): Row((SUM, COUNT), np.add, _total),
    ("mean", False): Row((SUM, COUNT), np.add, _ratio),
    ("sum", True): Row((WEIGHTED, Weight()), np.add, _total),
    ("mean", True): Row((WEIGHTED, Weight()), np.add, _ratio),
    ("count", False): Row((COUNT,), np.add, _as_it_is),
    ("min", False): Row((Combine("min"),), np.fmin, _as_it_is),
    ("max", False): Row((Combine("max"),), np.fmax, _as_it_is),
}


def row_of(chain: Any, x: Any) -> Row | None:
    """How a chain on ``x`` is put together from its chunks along frames; None if it has to see all frames at once."""
    if not isinstance(chain, Chain) or len(chain.ends) != 1 or x.numblocks[0] == 1:
        return None
    (end,) = chain.ends
    if not isinstance(end, Combine) or not all(isinstance(step, Unsigned) for step in chain.steps):
        return None
    return ROWS.get((end.method, end.weighted))


def reduced(row: Row, steps: Any, run: Run, x: Any, extras: list[Any], dtype: np.dtype[Any]) -> Any:
    """The image, as a dask array; ``run`` is `xccd._stack`'s, of a chain on a block.

    What the ends of a chain say lies side by side on a last axis.
    """
    import dask.array as da

    number = len(row.ends)
    meta = np.empty((0,) * (x.ndim + 1))
    parts = da.map_blocks(
        partial(_part, run=run, chain=Chain(steps, row.ends)),
        x,
        *(_cut(x, e) for e in extras),
        chunks=((1,) * x.numblocks[0], *x.chunks[1:], (number,)),
        new_axis=x.ndim,
        dtype=np.float64,
        meta=meta,
    )
    merge = partial(_merged, row=row)
    whole = da.reduction(parts, chunk=merge, combine=merge, aggregate=merge, axis=0, dtype=np.float64, meta=meta[0:0])
    finish = partial(_finished, row=row, dtype=dtype)
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


def _merged(parts: Array, axis: Any, keepdims: bool, row: Row) -> Array:
    """Some parts along axis 0 as one."""
    values = np.where(np.isnan(parts), 0.0, parts) if row.merge is np.add else parts
    merged: Array = row.merge.reduce(values, axis=0, keepdims=keepdims)
    return merged


def _finished(whole: Array, row: Row, dtype: np.dtype[Any]) -> Array:
    with np.errstate(over="ignore"):  # a float64 that float32 does not hold is infinite there
        image: Array = row.finish(*np.moveaxis(whole, -1, 0)).astype(dtype)
    return image
