"""What one look at the samples tells of each frame: sums, extremes, counts of flags, and some rows for its ranks.

The array is looked at block by block. Row sums are added exactly, and the rows that are kept depend on the shape alone,
so that results do not depend on blocks, threads or the kind of array.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import options, progress
from xccd.compute.arrays import GROUP_BYTES, as_dask_input, is_dask, is_deferred
from xccd.compute.dask_joint import optimized
from xccd.compute.deferred import Deferred, evaluate
from xccd.compute.pool import run_all
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype

Array = np.ndarray[Any, Any]
SAMPLES = 1 << 18  # of a frame whose ranks are exact; of a larger one this many or fewer are sorted, in whole rows
STRIP_BYTES = 64 << 20  # of all frames, read at a time without dask
PIECE = 1 << 20  # samples of a frame that are looked at together
BITS = tuple(int(flag) for flag in Flag)


@dataclass(frozen=True)
class Look:
    """What is asked of each frame."""

    ranks: Callable[[Array], tuple[float, ...]]  # of the kept rows (rows, columns), NaN where not in use
    whole: Callable[[Array, Array], tuple[float, ...]] | None  # of a whole frame as `ranks`, and where it is saturated
    names: tuple[str, ...]  # of the results of both
    words: Callable[[dict[str, Array]], list[str]]  # from all columns a text for each frame, the column "odd"
    limits: Array | None  # a saturated sample of each frame is at or above its number; NaN: unknown


class Part(NamedTuple):
    """What a block tells of its frames."""

    first: int  # the block's first frame
    used: Array  # counts of samples in use, (frames,)
    sums: Array  # of each row, (frames, rows)
    extremes: Array  # the least and the greatest sample, (frames, 2)
    bits: Array  # counts of each flag, and last of samples at the limit, (frames, 9)
    numbers: Array  # of the kept rows
    rows: list[Array]  # for each frame the kept rows; [] if `known` has their ranks
    known: list[tuple[float, ...]]  # the results of `Look`, for blocks of whole frames


def stride(pixels: Sequence[int]) -> int:
    """Every how many rows one is kept: an odd number, so that rows of both colours of a Bayer pattern are."""
    return -(-math.prod(pixels) // SAMPLES) | 1


def of_frames(x: Any, flags: Any, look: Look, fields: Sequence[tuple[str, Any]]) -> Any:
    """For each frame of ``x`` (frames first) a record of ``fields``, and of the words of ``look`` as "odd".

    On dask input the records are a dask array; else they are there at once.
    """
    dtype = np.dtype([*fields, ("odd", object)])
    if is_dask(x) or is_dask(flags):
        return _of_dask(as_dask_input(x), None if flags is None else as_dask_input(flags), look, dtype)
    parts = _of_deferred(x, flags, look) if is_deferred(x) or is_deferred(flags) else _of_numpy(x, flags, look)
    return _records(parts, x.shape, look, dtype, options.threads())


# --- one block


def _part(x: Array, flags: Array | None, look: Look, first: int, numbers: Array, whole: bool, shape: Any) -> Part:
    """What a block of frames from number ``first`` tells, whose flattened rows have these numbers."""
    rows = x.reshape(len(x), len(numbers), -1 if x.size else 0)
    marks = None if flags is None else flags.reshape(rows.shape)
    kept = numbers % stride(shape[1:]) == 0
    found = []
    for i in range(len(x)):
        some = None if marks is None else marks[i]
        one = _frame(rows[i], some, look, first + i, kept)
        if whole:
            one.known = look.ranks(one.kept)
            if look.whole is not None:
                one.known += _of_whole(x[i], None if flags is None else flags[i], look, first + i)
            one.kept = None
        found.append(one)
    known = [one.known for one in found if one.known is not None]
    kept_rows = [one.kept for one in found if one.kept is not None]
    used, sums, extremes, bits = (
        np.array([getattr(one, k) for one in found]) for k in ("used", "sums", "extremes", "bits")
    )
    return Part(first, used, sums, extremes, bits, numbers[kept], kept_rows, known)


class _Frame:
    """What is found of one frame of a block, piece by piece, so that memory holds one piece as floats."""

    def __init__(self) -> None:
        self.used = 0
        self.sums: Any = []
        self.extremes = (np.inf, -np.inf)
        self.bits = np.zeros(len(BITS) + 1, np.int64)
        self.kept: Any = []
        self.known: tuple[float, ...] | None = None


def _frame(x: Array, flags: Array | None, look: Look, number: int, kept: Array) -> _Frame:
    """One frame as rows (rows, columns); ``kept`` says which rows are kept for ranks."""
    one, step = _Frame(), max(1, PIECE // max(1, x.shape[-1]))
    for start in range(0, len(x), step):
        rows = slice(start, start + step)
        marks = None if flags is None else flags[rows]
        values, full = _used(x[rows], marks, look, number)
        good = np.isfinite(values)
        used = int(np.count_nonzero(good))
        exact = values.astype(np.float64)
        one.used += used
        with np.errstate(over="ignore", invalid="ignore"):  # beyond float64
            one.sums.append((exact if used == good.size else np.where(good, exact, 0)).sum(axis=-1))
        some = exact if used == good.size else exact[good]
        if used:
            one.extremes = (min(one.extremes[0], float(some.min())), max(one.extremes[1], float(some.max())))
        if marks is not None and marks.any():
            one.bits[:-1] += [np.count_nonzero(marks & np.uint8(bit)) for bit in BITS]
        one.bits[-1] += np.count_nonzero(full)
        one.kept.append(values[kept[rows]])
    one.sums = np.concatenate([np.zeros(0), *one.sums])
    one.kept = np.concatenate([np.zeros((0, x.shape[-1]), float_dtype(x.dtype)), *one.kept])
    return one


def _used(x: Array, flags: Array | None, look: Look, number: int) -> tuple[Array, Array]:
    """Samples as floats, NaN for those not in use; and where they are saturated."""
    full = np.zeros(x.shape, bool) if look.limits is None else x >= look.limits[number]  # False for NaN
    values = x.astype(float_dtype(x.dtype))
    if values.dtype.kind == "f" and x.dtype.kind == "f":
        values[~np.isfinite(values)] = np.nan
    if flags is not None and flags.any():
        values[flags != 0] = np.nan
        full = full | ((flags & np.uint8(Flag.ABOVE_MAXIMUM)) != 0)
    return values, full


def _of_whole(x: Array, flags: Array | None, look: Look, number: int) -> tuple[float, ...]:
    assert look.whole is not None
    return look.whole(*_used(x, flags, look, number))


# --- kinds of arrays


def _of_numpy(x: Array, flags: Array | None, look: Look) -> list[Part]:
    return _each(x, flags, look, 0, np.arange(math.prod(x.shape[1:-1])), True, x.shape)


def _of_deferred(x: Any, flags: Any, look: Look) -> list[Part]:
    """Strips of rows of all frames, or whole frames if they are asked for."""
    limit = options.memory()
    most = STRIP_BYTES if limit is None else max(1, min(STRIP_BYTES, limit // 4))
    by_file = flags is None and _is_of_files(x) and _bytes(x) // x.shape[0] <= most
    if look.whole is not None or x.ndim < 3 or by_file:  # of whole frames no rows are kept for later
        return _whole_frames(x, flags, look, most)
    unit = max(a.unit for a in (x, flags) if is_deferred(a))
    height = max(1, most // max(1, _bytes(x) // max(1, x.shape[1])))
    height = max(unit, height // unit * unit)
    edges = range(0, x.shape[1], height)
    rows = (slice(first, min(first + height, x.shape[1])) for first in edges)
    return [part for some in progress.over(rows, "stats", len(edges), "bands") for part in _strip(x, flags, look, some)]


def _whole_frames(x: Any, flags: Any, look: Look, most: int) -> list[Part]:
    """The parts of whole frames, some at a time. Those of files are read once; what was computed from all frames of a
    pixel is computed again for each group, unless all fit into memory.
    """
    numbers, n = np.arange(math.prod(x.shape[1:-1])), x.shape[0]
    size = max(1, most // max(1, _bytes(x) // n))
    if flags is None and _is_of_files(x):
        parts, frames = [], x.one_by_one()
        for first in progress.over(range(0, n, size), "stats", -(-n // size), "groups"):
            some = np.stack([next(frames) for _ in range(first, min(first + size, n))])
            parts += _each(some, None, look, first, numbers, True, x.shape)
        return parts
    limit = options.memory()
    size = max(1, (GROUP_BYTES if limit is None else limit // 4) // max(1, _bytes(x) // n))
    groups = [slice(a, min(a + size, n)) for a in range(0, n, size)]
    over = progress.over(groups, "stats", len(groups), "groups")
    return [part for group in over for part in _group(x, flags, look, group, numbers)]


def _is_of_files(x: Any) -> bool:
    """Whether a deferred array can give one frame without the others."""
    return type(x).one_by_one is not Deferred.one_by_one


def _bytes(x: Any) -> int:
    return int(math.prod(x.shape)) * int(x.dtype.itemsize)


def _group(x: Any, flags: Any, look: Look, frames: slice, numbers: Array) -> list[Part]:
    """The parts of some whole frames."""
    key = (frames, *(slice(None),) * (x.ndim - 1))
    values, marks = (None if a is None else a.select(key) if is_deferred(a) else a[key] for a in (x, flags))
    return _each(values, marks, look, frames.start, numbers, True, x.shape)


def _strip(x: Any, flags: Any, look: Look, rows: slice) -> list[Part]:
    """The parts of some rows of all frames; what samples and flags have in common is computed once."""
    box = (rows, *(slice(0, n) for n in x.shape[2:]))
    lazy = [a for a in (x, flags) if is_deferred(a)]
    found = dict(zip(map(id, lazy), evaluate(lazy, box), strict=True))
    values, marks = (None if a is None else found[id(a)] if id(a) in found else a[:, rows] for a in (x, flags))
    per = math.prod(x.shape[2:-1])
    numbers = np.arange(rows.start * per, rows.stop * per)
    return _each(values, marks, look, 0, numbers, rows == slice(0, x.shape[1]), x.shape)


def _each(x: Any, flags: Any, look: Look, first: int, numbers: Array, whole: bool, shape: Any) -> list[Part]:
    """The part of each frame of a block, in the pool of threads."""
    parts: list[Any] = [None] * len(x)

    def one(i: int) -> None:
        some = None if flags is None else flags[i : i + 1]
        parts[i] = _part(x[i : i + 1], some, look, first + i, numbers, whole, shape)

    run_all(one, len(x), options.threads(), "stats", "frames")
    return parts


def _of_dask(x: Any, flags: Any, look: Look, dtype: np.dtype[Any]) -> Any:
    import dask.array as da
    from dask.delayed import delayed

    if not is_dask(x):
        x = da.from_array(x, chunks=flags.chunks)
    flags = flags if flags is None or is_dask(flags) else da.from_array(flags, chunks=x.chunks)
    blocks = []
    for group in _groups(x, look):
        a, b = x[group], None if flags is None else flags[group]
        chunks = dict.fromkeys(range(a.ndim), -1) if look.whole is not None else {a.ndim - 1: -1}
        a = a.rechunk(chunks)
        made = partial(_block, look=look, first=group.start or 0, shape=x.shape)
        more = [] if b is None else [b.rechunk(a.chunks)]
        parts = da.map_blocks(
            made,
            a,
            *more,
            chunks=tuple((1,) * n for n in a.numblocks),
            dtype=object,
            meta=np.empty((0,) * a.ndim, object),
        )
        # A graph of its own, so that bands are read for a group of frames alone, and dropped behind it.
        parts = optimized(parts) if look.whole is not None else parts
        blocks += parts.to_delayed(optimize_graph=False).ravel().tolist()
    records = delayed(_of_blocks, pure=True)(blocks, x.shape, look, dtype)
    return da.from_delayed(records, (x.shape[0],), dtype)


def _groups(x: Any, look: Look) -> list[slice]:
    """Frames that are held at a time; all, if no whole frame is needed."""
    if look.whole is None:
        return [slice(None)]
    limit = options.memory()
    most = GROUP_BYTES if limit is None else min(GROUP_BYTES, limit // 2)
    size = max(1, most // max(1, x.nbytes // max(1, x.shape[0])))
    return [slice(a, a + size) for a in range(0, x.shape[0], size)]


def _block(
    x: Array, flags: Array | None = None, *, look: Look, first: int, shape: Any, block_info: Any = None
) -> Array:
    """A block of a dask array as an array with one object, its `Part`."""
    place = block_info[0]["array-location"]
    inner = [np.arange(*pair) for pair in place[1:-1]]
    numbers = np.ravel(np.ravel_multi_index(np.ix_(*inner), shape[1:-1])) if inner else np.arange(1)
    whole = all(tuple(pair) == (0, n) for pair, n in zip(place[1:], shape[1:], strict=True))
    made = np.empty((1,) * x.ndim, object)
    made[(0,) * x.ndim] = _part(x, flags, look, first + place[0][0], numbers, whole, shape)
    return made


def _of_blocks(blocks: list[Array], shape: tuple[int, ...], look: Look, dtype: np.dtype[Any]) -> Array:
    return _records([block.ravel()[0] for block in blocks], shape, look, dtype, 1)  # dask's threads do the work


# --- all blocks


def _records(parts: list[Part], shape: tuple[int, ...], look: Look, dtype: np.dtype[Any], threads: int) -> Array:
    """The record of each frame, from the parts of its blocks."""
    every: list[list[tuple[Part, int]]] = [[] for _ in range(shape[0])]
    for part in parts:
        for k in range(len(part.used)):
            every[part.first + k].append((part, k))
    out = np.zeros(shape[0], dtype)
    pixels = max(1, math.prod(shape[1:]))

    def one(i: int) -> None:
        own = every[i]
        used = sum(int(p.used[k]) for p, k in own)
        bits = np.sum([p.bits[k] for p, k in own], axis=0) if own else np.zeros(len(BITS) + 1, np.int64)
        least, most = (min(p.extremes[k][0] for p, k in own), max(p.extremes[k][1] for p, k in own)) if used else _NONE
        mean = _mean([p.sums[k] for p, k in own], used)
        values = {"mean": mean, "min": least, "max": most, "missing": 1 - used / pixels}
        limit = None if look.limits is None else look.limits[i]
        values["saturated"] = np.nan if limit is not None and np.isnan(limit) and not bits[3] else bits[-1] / pixels
        low, high = (int(bits[BITS.index(int(f))]) for f in (Flag.REJECTED_LOW, Flag.REJECTED_HIGH))
        values |= {"rejected_low": low, "rejected_high": high, "rejected": (low + high) / pixels}
        values |= {f"flag_{flag.name}".lower(): int(n) for flag, n in zip(Flag, bits, strict=False)}
        values |= dict(zip(look.names, _ranks(own, look), strict=True))
        for name in dtype.names or ():
            if name != "odd":
                out[name][i] = values[name]

    run_all(one, shape[0], threads)
    # Here, and not from the columns: each of them would be computed from the samples again.
    out["odd"] = look.words({name: out[name] for name in dtype.names or () if name != "odd"})
    return out


_NONE = (np.nan, np.nan)


def _mean(sums: list[Array], used: int) -> float:
    """The mean from the sums of rows, which are added without rounding."""
    if not used:
        return np.nan
    try:
        return math.fsum(value for some in sums for value in some.tolist()) / used
    except (OverflowError, ValueError):  # beyond float64
        return np.nan


def _ranks(own: list[tuple[Part, int]], look: Look) -> tuple[float, ...]:
    part, k = own[0]
    if part.known:
        return part.known[k]
    order = np.argsort(np.concatenate([p.numbers for p, _ in own]), kind="stable")
    return look.ranks(np.concatenate([p.rows[k] for p, k in own])[order])
