"""What a lazy stack or image will read, hold and do when it is computed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from html import escape
from itertools import pairwise
from math import prod
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, bands, options
from xccd.compute.dask_joint import tasks_of
from xccd.compute.deferred import SCRATCH, Box, Deferred, MultiOutput, Need, _band_edges, box_of
from xccd.labels.flags import not_taken
from xccd.labels.lazy import array_of, selection_of
from xccd.read.read_bytes import files_of, of_part
from xccd.read.reader import StackReader
from xccd.sky.gather import parts_read

KINDS = {
    "memory": "in memory: nothing is left to compute",
    "deferred": "computed by the threads of xccd when it is used (chunks=None)",
    "dask": "computed by dask",
}


@dataclass(frozen=True)
class StackPlan:
    """What the computation of a stack, or of what was made of it, takes. See `xccd.plan`."""

    kind: str  # "memory", "deferred" or "dask"
    sizes: dict[str, int]
    dtype: str
    result: int  # bytes of the values
    read: int  # bytes to read from files
    exact: bool  # whether ``read`` is exact
    files: int
    chunks: int  # pieces of the result
    rows: int  # of the longest piece; of an image its height
    tasks: int
    threads: int
    memory: int  # bytes at the peak, as estimated, beside what is there now
    limit: int | None  # that was set by set_options(memory=...)

    def __str__(self) -> str:
        shape = ", ".join(f"{d} {n}" for d, n in self.sizes.items()) or "one number"
        lines = [f"{shape}, {self.dtype}: {KINDS[self.kind]}"]
        if self.kind != "memory":
            about, some = ("" if self.exact else "about "), f" of {self.files} file{'s' * (self.files != 1)}"
            lines += [f"  reads   {about}{size(self.read)}{some if self.files else ''}"]
            lines += [f"  work    tasks {self.tasks}, chunks {self.chunks}, rows {self.rows}, threads {self.threads}"]
            limit = "no limit is set" if self.limit is None else f"the limit for bands is {size(self.limit)}"
            lines += [f"  memory  about {size(self.memory)} at the peak, {limit}"]
        return "\n".join([*lines, f"  result  {size(self.result)}"])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"


def size(count: float) -> str:
    """Bytes in decimal units."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            return (
                f"{count:.0f} bytes"
                if unit == "bytes"
                else f"{count:.3g} {unit}"
                if count < 1000
                else f"{count:.0f} {unit}"
            )
        count /= 1000
    raise AssertionError


def plan_of_stack(obj: xr.DataArray | xr.Dataset | xr.DataTree) -> StackPlan:
    """The plan of all variables of an object, computed together."""
    if isinstance(obj, xr.DataTree):
        raise not_taken("plan()", obj, "plan takes a DataArray, a Dataset or the table of a night, not")
    every = [_array(v) for v in (obj.data_vars.values() if isinstance(obj, xr.Dataset) else [obj])]
    if not every:
        raise ValueError("plan: this Dataset has no variable to compute")
    first = next((v for v in obj.data_vars.values()), None) if isinstance(obj, xr.Dataset) else obj
    assert first is not None
    result = sum(prod(a.shape) * a.dtype.itemsize for a in every)
    common: dict[str, Any] = {
        "sizes": {str(d): n for d, n in first.sizes.items()}, "dtype": str(first.dtype), "result": result,
        "limit": options.memory(),
    }  # fmt: skip
    by_dask = [a for a in every if arrays.is_dask(a)]
    deferred = [a for a in every if arrays.is_deferred(a)]
    if by_dask:
        own = _of_dask(by_dask)
    elif deferred:
        own = _of_deferred(deferred)
    else:
        own = {"kind": "memory", "read": 0, "exact": True, "files": 0, "chunks": 1, "rows": 0, "tasks": 0, "memory": 0}
        own |= {"threads": options.threads()}
    return StackPlan(**common, **own)


def _array(array: xr.DataArray) -> Any:
    """The array of a variable; of a selection that is no view of a deferred array, the part that is computed for it."""
    found = selection_of(array.variable)
    return array_of(array) if found is None else _Selection(*found)


class _Selection(Deferred):
    """A strided selection: the box around it is computed."""

    def __init__(self, base: Deferred, key: tuple[Any, ...], shape: tuple[int, ...]) -> None:
        super().__init__(base.function, [base], shape, base.dtype, frames=False)
        lead = base.ndim - len(base.pixels)
        self.inner = tuple(box_of(k, n)[0] for k, n in zip(key[lead:], base.pixels, strict=True))
        self.some = np.arange(base.shape[0])[key[0]] if lead else None

    def needs(self, box: Box) -> list[Need]:
        (base,) = self.inputs
        part = None if self.some is None else base.of_frames(np.atleast_1d(self.some), {})
        return [Need(base if part is None else part, box)]


# --- without dask


class _Tally:
    """What bands need: bytes to read, files, and bytes that are held at a time."""

    def __init__(self) -> None:
        self.read, self.exact, self.held = 0, True, 0
        self.files: set[str] = set()
        self.done: set[int] = set()  # what is computed for all bands together

    def add(self, reader: StackReader, key: Sequence[Any]) -> None:
        found = of_part(reader, key)
        self.read, self.exact = self.read + found.size, self.exact and found.exact
        self.files |= files_of(reader)


def _of_deferred(every: list[Any]) -> dict[str, Any]:
    tally, bands_of, held, longest = _Tally(), 0, 0, 0
    for group in _together(every):
        one = group[0]
        whole = isinstance(one, _Selection)
        box = one.inner if whole else tuple(slice(0, n) for n in one.pixels)
        empty = any(part.start == part.stop for part in box)
        edges = [0, 0] if empty else _band_edges(one.inputs if whole else group, box)
        for first, last in pairwise(edges):
            tally.held = 0
            seen: set[int] = set()
            for array in group:
                _walk(array, (slice(first, last), *box[1:]), seen, tally)
            held, longest = max(held, tally.held), max(longest, last - first)
        bands_of += len(edges) - 1
    threads = options.threads()
    at_once = min(threads, bands_of)
    result = sum(_whole_result(group[0]) for group in _together(every))
    return {
        "kind": "deferred", "read": tally.read, "exact": tally.exact, "files": len(tally.files), "chunks": bands_of,
        "rows": longest, "tasks": bands_of, "threads": threads, "memory": result + at_once * (held + SCRATCH),
    }  # fmt: skip


def _together(every: Iterable[Any]) -> list[list[Any]]:
    """Arrays that are computed together: the outputs of one chain. xarray loads the others one after the other."""
    groups: dict[int, list[Any]] = {}
    for array in every:
        groups.setdefault(id(getattr(array, "several", array)), []).append(array)
    return list(groups.values())


def _whole_result(array: Any) -> int:
    """Bytes of what is kept: other outputs of the same chain are computed and kept, too."""
    several = getattr(array, "several", None)
    results = [(array.shape, array.dtype)] if several is None else several.results
    return sum(prod(shape) * np.dtype(dtype).itemsize for shape, dtype in results)


def _walk(array: Deferred, box: Box, seen: set[int], tally: _Tally, frames: slice | None = None) -> None:
    """Add what a band needs; ``seen`` is what was computed for these pixels already."""
    if id(array) in seen:
        return
    seen.add(id(array))
    pixels = prod(part.stop - part.start for part in box)
    lead = array.shape[: array.ndim - len(box)]
    count = len(range(*frames.indices(lead[0]))) if frames is not None else prod(lead)
    reader = getattr(array, "reader", None)
    if isinstance(reader, StackReader):
        tally.held += count * pixels * array.dtype.itemsize
        tally.add(reader, (slice(None) if frames is None else frames, *box))
        return
    if isinstance(array, MultiOutput):
        tally.held += sum(pixels * prod(s[: len(s) - len(box)]) * np.dtype(d).itemsize for s, d in array.results)
    elif getattr(array, "several", None) is None:
        tally.held += count * pixels * array.dtype.itemsize
    for need in array.needs(box):
        if need.once and id(need.array) in tally.done:
            continue
        tally.done |= {id(need.array)} if need.once else set()
        _walk(need.array, need.box, set() if need.fresh else seen, tally, need.frames)


# --- with dask


def _of_dask(every: list[Any]) -> dict[str, Any]:
    tasks, tally = tasks_of(every), _Tally()
    blocks = [0]
    for calls in tasks or ():
        reads = [_reads(function, args) for function, args in calls]
        for reader, key in (one for some in reads for one in some):
            tally.add(reader, key)
        own = sum(_block_bytes(reader, key) for some in reads for reader, key in some)
        # A chain works on tiles. Other functions make a block of the size of their input.
        blocks.append(own * min(2, max(1, sum(not some for some in reads))))
    chunks = max(prod(a.numblocks) for a in every)
    client = arrays.cluster(every[0])
    threads = bands.bands_at_a_time() if client is None else sum(client.nthreads().values())
    result = sum(prod(a.shape) * a.dtype.itemsize for a in every)
    held = max(max(blocks), sum(blocks) // max(1, chunks))
    out = sum(prod(max(c) for c in a.chunks if c) * a.dtype.itemsize for a in every)
    at_work = min(threads, max(1, chunks)) * (held + out + SCRATCH) + _partial_sums(tasks or [])
    first = max(every, key=lambda a: prod(a.numblocks))
    rows = max(first.chunks[-2 if first.ndim > 1 else 0], default=0) if first.ndim else 0
    return {
        "kind": "dask", "read": tally.read, "exact": tally.exact and tasks is not None, "files": len(tally.files),
        "chunks": chunks, "rows": int(rows), "tasks": len(tasks or ()), "threads": threads,
        # At the end dask copies all chunks into one array.
        "memory": max(result + at_work, 2 * result + SCRATCH if chunks > 1 else 0),
    }  # fmt: skip


def _partial_sums(tasks: Sequence[Any]) -> int:
    """Bytes of the partial sums of chunks along the frames, which are held until they are merged, with copies."""
    found = []
    for calls in tasks:
        ends = [
            len(f.keywords["chain"].ends) for f, _ in calls if isinstance(f, partial) and f.func.__name__ == "_part"
        ]
        keys = [key for f, args in calls for _, key in _reads(f, args)]
        readers = [reader for f, args in calls for reader, _ in _reads(f, args)]
        if ends and keys:
            pixels = _block_bytes(readers[0], (slice(0, 1), *keys[0][1:])) // readers[0].dtype.itemsize
            found.append(8 * pixels * ends[0])
    return 3 * sum(sorted(found)[-8:])  # dask merges four at a time, so that not all are there


def _reads(function: Any, args: Sequence[Any]) -> list[tuple[StackReader, tuple[Any, ...]]]:
    """The readers that a task asks, with what it asks of them."""
    if not any(isinstance(arg, StackReader) for arg in args):
        return []
    inner = function.func if isinstance(function, partial) else function
    if getattr(inner, "__name__", "") == "_together":  # bands of aligned frames
        return [(reader, key) for reader, key in parts_read(args) if isinstance(reader, StackReader)]
    keys = [arg for arg in args if isinstance(arg, tuple)] or [()]
    return [(arg, keys[0]) for arg in args if isinstance(arg, StackReader)]


def _block_bytes(reader: StackReader, key: Sequence[Any]) -> int:
    whole = (*key, *(slice(None),) * (reader.ndim - len(key)))
    return (
        prod(np.size(np.arange(n)[part]) for part, n in zip(whole, reader.shape, strict=True)) * reader.dtype.itemsize
    )
