"""Aligned frames in bands of rows. A band needs only some rows of the frames. At once, by dask, or deferred."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import bands, dask_bars, notes, options
from xccd.compute.arrays import as_dask_input, dtype_of, is_dask, is_deferred, pack_fields, unpack_fields
from xccd.compute.deferred import WANTED, Box, Deferred, MultiOutput, Need
from xccd.compute.pool import run_all
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import check_uncertainty
from xccd.sky.adaptive import UNIT, reprojected
from xccd.sky.drizzle import Drops, dropping, without_torn
from xccd.sky.pixel_map import PixelMap, call_kernel

Array = Any
ORDERS = {"nearest": 1, "bilinear": 2, "bicubic": 4, "lanczos3": 6}  # pixels along an axis that one pixel is made from
LEAST = 4 << 20  # smallest size of a band in bytes, however small the chunks of a stack are
PIXELS = 1 << 15  # pixels whose positions are held at a time: they fit into an L2 cache with their values
ALIKE = 1.5  # frames are read together if their joint rows are at most this many times those of one frame
ROUNDING = 1e-6  # pixels: a position on the edge itself may come out on either side of it
REACH = 3.0  # of the kernel of "adaptive", in target pixels; it needs `MARGIN` times as many rows more
VARIANCE: dict[str, Callable[[Array], Array]] = {"std": np.square, "var": np.asarray, "ivar": lambda x: 1 / x}
FROM_STD: dict[str, Callable[[Array], Array]] = {"std": np.asarray, "var": np.square, "ivar": lambda x: 1 / x**2}


class Resampling(NamedTuple):
    """How values are resampled: the arguments of `align` of these names."""

    method: str
    order: str
    flux: str
    pixfrac: float = 1.0
    kernel: str = "square"


@dataclass(frozen=True)
class Source:
    """The frames (frame, y, x) of one stack: samples, and for a flagged Dataset flags and uncertainties."""

    x: Array
    flags: Array = None
    uncertainty: Array = None

    @property
    def all(self) -> tuple[Array, Array, Array]:
        return self.x, self.flags, self.uncertainty

    @property
    def arrays(self) -> list[Array]:
        return [a for a in self.all if a is not None]


@dataclass(frozen=True)
class AlignmentPlan:
    """How the frames become rows of the target, with a map for each frame in the order of the result."""

    maps: tuple[tuple[PixelMap, ...], ...]  # for each source
    shape: tuple[int, int]
    taps: int
    total: bool  # whether pixels hold a total flux, not a flux per area
    dtypes: tuple[np.dtype[Any], ...]  # of samples, flags, uncertainties; the first one, two or three; then of weights
    kind: str = "std"  # type of the uncertainties
    method: str = "interp"
    drops: Drops | None = None  # for "drizzle", which also makes weights

    @property
    def frames(self) -> int:
        return sum(map(len, self.maps))

    @property
    def given(self) -> int:
        """The count of arrays of a source."""
        return len(self.dtypes) - (self.drops is not None)

    @property
    def unit(self) -> int:
        """The count of target rows that are made together, so that pixels do not depend on bands."""
        return UNIT if self.method == "adaptive" else 1

    def rows(self, one: PixelMap, start: int, stop: int) -> tuple[int, int]:
        """The rows of a frame that rows ``start`` to ``stop`` of the target need."""
        return one.rows(start, stop, 1.0 if self.method == "interp" else REACH)

    def groups(self, source: int, start: int, stop: int) -> Iterator[tuple[slice, slice]]:
        """The (frames, rows) of a source that rows ``start`` to ``stop`` of the target need."""
        group: list[int] = []
        low = high = least = 0
        for i, one in enumerate(self.maps[source]):
            first, last = self.rows(one, start, stop)
            if first == last:
                continue
            joined = (min(low, first), max(high, last), max(least, last - first))
            if group and (i != group[-1] + 1 or joined[1] - joined[0] > ALIKE * joined[2]):
                yield slice(group[0], group[-1] + 1), slice(low, high)
                group = []
            if not group:
                joined = (first, last, last - first)
            low, high, least = joined
            group.append(i)
        if group:
            yield slice(group[0], group[-1] + 1), slice(low, high)

    def empty(self, rows: int) -> list[Array]:
        """Arrays for rows of the target, filled as where no frame reaches."""
        values = (*(np.nan, int(Flag.OUTSIDE_FOOTPRINT), np.nan)[: self.given], 0)
        return [np.full((self.frames, rows, self.shape[1]), v, d) for v, d in zip(values, self.dtypes, strict=False)]

    def fill(self, one: PixelMap, arrays: Sequence[Array], first: int, start: int, stop: int, out: list[Array]) -> None:
        """Fill rows ``start`` to ``stop`` of the target from one frame. ``arrays`` begin at its row ``first``."""
        top, bottom = one.part(start, stop)
        left, right = one.box[2:]
        if one.shift is not None:  # samples are copied: no value changes, and NaN stays where it is
            rows, columns = slice(top + one.shift[0] - first, bottom + one.shift[0] - first), one.shift[1]
            copied = [array[rows, left + columns : right + columns] for array in arrays]
            for array, target in zip(copied + ([dropping(*copied)] if self.drops else []), out, strict=True):
                target[top - start : bottom - start, left:right] = array
            return
        if self.method == "adaptive":
            low, high = self.rows(one, start, stop)
            arrays, first = [a[low - first : high - first] for a in arrays], low
        frame, *more = self._good(arrays)
        if self.method == "adaptive":
            self._reproject(one, frame, more, first, (start, top, bottom), out)
            return
        step = max(1, PIXELS // (right - left))
        for a in range(top, bottom, step):
            b = min(a + step, bottom)
            made = self._made(frame, more, first, one, (a, b))
            for values, target in zip(made, out, strict=True):
                target[a - start : b - start, left:right] = values

    def _good(self, arrays: Sequence[Array]) -> list[Array]:
        """Samples as floats, NaN where flagged; the flags, set for each masked sample; the variances."""
        x = np.asarray(arrays[0])
        dtype = float_dtype(x.dtype)
        if len(arrays) == 1:
            return [np.require(x, dtype, ["C", "A", "W"])]  # one memory layout, so each kernel compiles once
        flags = np.ascontiguousarray(arrays[1])
        bare = x.dtype.kind == "f"
        flags = np.where(~np.isfinite(x) & (flags == 0), np.uint8(Flag.NOT_FINITE), flags) if bare else flags
        frame = np.where(flags == 0, x, np.nan).astype(dtype)
        if len(arrays) == 2:
            return [frame, flags, np.broadcast_to(np.zeros(1, dtype), frame.shape).copy()]
        with np.errstate(divide="ignore"):
            error = np.asarray(arrays[2], dtype, order="C")
            check_uncertainty(error, flags == 0)
            return [frame, flags, VARIANCE[self.kind](error)]

    def _reproject(
        self, one: PixelMap, frame: Array, more: list[Array], first: int, rows: tuple[int, int, int], out: list[Array]
    ) -> None:  # fmt: skip
        """Fill rows of the target by reproject, from rows of one frame."""
        (start, top, bottom), (left, right) = rows, one.box[2:]
        assert one.grids is not None
        source, target = one.grids
        source = source.moved(first, 0, frame.shape)
        target = target.moved(top, left, (bottom - top, right - left))
        value = reprojected(frame, source, target, total=self.total)
        at_x, at_y = one.positions(top, bottom)
        for along, size in ((at_x, one.shape[1]), (at_y, one.shape[0])):  # its kernel reaches beyond the frame
            value[(along < -0.5 - ROUNDING) | (along >= size - 0.5 - ROUNDING)] = np.nan
        at = slice(top - start, bottom - start), slice(left, right)
        out[0][at] = value
        if more:
            # reproject knows no flags: those of the four nearest pixels say why a value is missing
            near, error = np.empty((2, *value.shape), frame.dtype)
            reasons = np.empty(value.shape, np.uint8)
            arguments = (frame, more[1], more[0], first, one.shape[0], np.stack([at_x, at_y]), 2)
            call_kernel("resample", "resampled", *arguments, near, error, reasons)
            reasons[np.isfinite(value)] = 0
            # masked samples farther away than two pixels
            reasons[~np.isfinite(value) & (reasons == 0)] = Flag.NOT_FINITE
            out[1][at] = reasons

    def _made(
        self, frame: Array, more: list[Array], first: int, one: PixelMap, rows: tuple[int, int]
    ) -> list[Array]:  # fmt: skip
        """Rows of the target by a kernel, in the columns that the frame reaches."""
        if self.method not in ("exact", "drizzle"):
            return self._interpolated(frame, more, first, one, rows)
        edges = one.edges(*rows)
        if self.drops:
            shares = np.empty((edges.shape[1] - 1, edges.shape[2] - 1), self.dtypes[-1])
            rest = (first, one.shape[0], edges, self.total, *self.drops.numbers, shares)
            made = [*self._by(("drizzle", "dropped"), frame, more, rest), shares]
            return without_torn(made, one.torn(edges))
        made = self._by(("overlap", "overlapped"), frame, more, (first, one.shape[0], edges, self.total))
        torn = one.torn(edges)
        if torn is not None:
            for values, others in zip(made, self._interpolated(frame, more, first, one, rows), strict=True):
                values[torn] = others[torn]
        return made

    def _interpolated(
        self, frame: Array, more: list[Array], first: int, one: PixelMap, rows: tuple[int, int]
    ) -> list[Array]:  # fmt: skip
        """Rows of the target by interpolation."""
        at = one.positions(*rows, area=self.total)
        rest = (first, one.shape[0], at[:2], self.taps)
        return self._by(("resample", "resampled"), frame, more, rest, at[2] if self.total else None)

    def _by(
        self, name: tuple[str, str], frame: Array, more: list[Array], rest: tuple[Any, ...], factor: Array | None = None
    ) -> list[Array]:  # fmt: skip
        """Values, flags and uncertainties by a kernel, as far as there are any; the factor is for values."""
        columns, rows = (rest[2].shape[k] - (name[0] != "resample") for k in (2, 1))
        value, reasons, error = (np.empty((rows, columns), d) for d in (frame.dtype, np.uint8, frame.dtype))
        flags, variance = more or (np.empty((0, 0), np.uint8), np.empty((0, 0), frame.dtype))
        beyond = call_kernel(*name, frame, variance, flags, *rest, value, error, reasons)
        if beyond:
            raise RuntimeError(f"align read too few rows of a frame ({beyond} pixels are beyond): please report it")
        made = [value, reasons, error][: self.given]  # the others are not filled
        for array in made[::2] if factor is not None else ():
            array *= factor
        if len(made) == 3:
            with np.errstate(divide="ignore"):
                made[2] = FROM_STD[self.kind](error)
        return made


def aligned(sources: Sequence[Source], plan: AlignmentPlan) -> list[Array]:
    """Samples, flags and uncertainties of all frames on the target, as far as the sources have them."""
    every = [array for source in sources for array in source.arrays]
    if any(map(is_dask, every)):
        return _aligned_by_dask(
            [Source(*(None if a is None else as_dask_input(a) for a in source.all)) for source in sources], plan
        )
    if any(map(is_deferred, every)):
        return list(_Aligned(sources, plan).fields)
    return _now(sources, plan)


def _now(sources: Sequence[Source], plan: AlignmentPlan) -> list[Array]:
    """Compute at once in the pool of threads, a band of one frame at a time."""
    out = plan.empty(plan.shape[0])
    threads = options.threads()
    work = [(s, i) for s, maps in enumerate(plan.maps) for i in range(len(maps))]
    # four pieces or more for each thread, so that none waits long for a slow one
    pieces = 1 if len(work) >= 4 * threads else -(-4 * threads // len(work))
    cuts = np.linspace(0, plan.shape[0], min(pieces, plan.shape[0]) + 1).astype(int)
    edges = _sorted_edges(cuts // plan.unit * plan.unit, plan.shape[0])

    def piece(n: int) -> None:
        number, band = divmod(n, len(edges) - 1)
        source, i = work[number]
        start, stop = edges[band], edges[band + 1]
        one = plan.maps[source][i]
        low, high = plan.rows(one, start, stop)
        if low < high:
            arrays = [array[i, low:high] for array in sources[source].arrays]
            plan.fill(one, arrays, low, start, stop, [o[number, start:stop] for o in out])

    run_all(piece, len(work) * (len(edges) - 1), threads, "align", "bands")
    return out


def _rows_of_target(plan: AlignmentPlan, start: int, stop: int, groups: Sequence[Any], *pieces: Any) -> list[Array]:
    """Rows of the target. A group is (source, frames, rows); ``pieces`` has its arrays, or readers of them."""
    parts, number = iter(pieces), plan.given
    out = plan.empty(stop - start)
    first = np.concatenate([[0], np.cumsum([len(maps) for maps in plan.maps])])
    for source, frames, rows in groups:
        given = [next(parts) for _ in range(number)]
        here = [a if isinstance(a, np.ndarray) else a[frames, rows, slice(None)] for a in given]
        for k, i in enumerate(range(frames.start, frames.stop)):
            one = plan.maps[source][i]
            if plan.rows(one, start, stop) != (0, 0):
                plan.fill(one, [a[k] for a in here], rows.start, start, stop, [o[first[source] + i] for o in out])
    return out


def _together(plan: AlignmentPlan, start: int, stop: int, groups: Any, *pieces: Any, dtype: Any) -> Array:
    return pack_fields(_rows_of_target(plan, start, stop, groups, *pieces), dtype)


def parts_read(args: Sequence[Any]) -> list[tuple[Any, tuple[slice, ...]]]:
    """What `_together` reads with these arguments: each piece that is not there yet, and its frames and rows."""
    groups, pieces = args[3], iter(args[4:])
    each = (len(args) - 4) // max(1, len(groups))
    return [(next(pieces), (frames, rows, slice(None))) for _, frames, rows in groups for _ in range(each)]


def _aligned_by_dask(sources: Sequence[Source], plan: AlignmentPlan) -> list[Array]:
    import dask.array as da
    from dask.delayed import delayed

    dask_bars.changed()
    dtype = dtype_of(plan.dtypes)
    # one node of the graph: else each band would carry the maps of all frames
    shared, readers = delayed(plan, pure=True, traverse=False), _readers(sources)
    blocks = []
    for start, stop in _bands_of_target(sources, plan):
        groups = [(s, *group) for s in range(len(sources)) for group in plan.groups(s, start, stop)]
        pieces = [
            readers[id(a)] if id(a) in readers else a[frames, rows]
            for s, frames, rows in groups
            for a in sources[s].arrays
        ]
        block = delayed(partial(_together, dtype=dtype), pure=True)(shared, start, stop, groups, *pieces)
        shape = (plan.frames, stop - start, plan.shape[1])
        blocks.append(da.from_delayed(block, shape, dtype, meta=np.empty((0, 0, 0), dtype)))
    whole = da.concatenate(blocks, axis=1)
    return unpack_fields(whole)


def _readers(sources: Sequence[Source]) -> dict[int, Any]:
    """The readers of arrays that come straight from files, by id: they read single rows of frames, not whole chunks."""
    from dask.delayed import delayed

    found = {}
    for array in (a for source in sources for a in source.arrays):
        reader = notes.noted(array, notes.READER)
        if reader is not None:
            # the array's name identifies it
            found[id(array)] = delayed(reader, name=f"reader-of-{array.name}", traverse=False)
    return found


def _bands_of_target(sources: Sequence[Source], plan: AlignmentPlan) -> list[tuple[int, int]]:
    """Bands of target rows, as large in bytes as the bands of an opened stack, or as the chunks of the input."""
    size = sum(d.itemsize for d in plan.dtypes)
    (_, rows, _) = bands.plan((plan.frames, *plan.shape), size, "auto", None)
    held = [np.prod([max(c) for c in s.x.chunks]) * size for s in sources if is_dask(s.x)]
    if held and len(sources) == 1:
        most = max(int(max(held)), LEAST)
        rows = max(1, min(rows, most // (plan.frames * plan.shape[1] * size)))
    edges = _sorted_edges(range(0, plan.shape[0], max(plan.unit, rows // plan.unit * plan.unit)), plan.shape[0])
    return list(itertools.pairwise(edges))


def _sorted_edges(starts: Iterable[int], end: int) -> list[int]:
    return sorted({0, end, *(int(s) for s in starts)})


class _Aligned(MultiOutput):
    """Aligned frames without dask. A band needs other rows of the inputs than its own."""

    def __init__(self, sources: Sequence[Source], plan: AlignmentPlan) -> None:
        shape = (plan.frames, *plan.shape)
        super().__init__(_rows_of_target, [a for s in sources for a in s.arrays], [(shape, d) for d in plan.dtypes])
        self.sources, self.plan, self.what = sources, plan, "align"
        self.unit = max(self.unit, plan.unit)

    def block(self, box: Box, made: dict[Any, Any]) -> Any:
        if id(self) not in made:
            start, stop, groups = self._groups(box)
            pieces = [self._rows(a, f, r, made) for s, f, r in groups for a in self.sources[s].arrays]
            values = _rows_of_target(self.plan, start, stop, groups, *pieces)
            rows = slice(box[0].start - start, box[0].stop - start)
            made[id(self)] = dict(enumerate(v[:, rows, box[1]] for v in values))
        return made[id(self)]

    def _groups(self, box: Box) -> tuple[int, int, list[tuple[int, slice, slice]]]:
        """The rows of the target that are made for a box, and the (source, frames, rows) that they need."""
        unit = self.plan.unit
        # whole units, so that pixels do not depend on where a band begins
        start = box[0].start // unit * unit
        stop = min(-(-box[0].stop // unit) * unit, self.plan.shape[0])
        return start, stop, [(s, *g) for s in range(len(self.sources)) for g in self.plan.groups(s, start, stop)]

    def needs(self, box: Box) -> list[Need]:
        return [
            Need(a, (rows, slice(0, a.shape[2])), fresh=True, frames=frames if hasattr(a, "reader") else None)
            for source, frames, rows in self._groups(box)[2]
            for a in self.sources[source].arrays
            if isinstance(a, Deferred)
        ]

    def _rows(self, array: Any, frames: slice, rows: slice, made: dict[Any, Any]) -> Any:
        """Some rows of some frames of an input."""
        key = (frames, rows, slice(None))
        reader = getattr(array, "reader", None)
        if reader is not None:
            return reader[key]  # from the files, only these rows of these frames
        if isinstance(array, Deferred):
            whole = (rows, slice(0, array.shape[2]))
            return array.block(whole, {WANTED: made[WANTED]})[frames]
        return array[key]
