"""The rejections of the numba engine: columns are sorted once, in pieces that fit the cache, and a rule judges them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds, PixelRange, Scratch
from xccd.kernels.compiled import by_errors, columns, marks, one_by_one, windows, winsorized
from xccd.kernels.compiled.block import LONG, block, pads
from xccd.kernels.compiled.groups import program
from xccd.kernels.extremes import HUGE, SQUARING, TINY, extreme, in_unit
from xccd.kernels.limits import limits
from xccd.kernels.table import REJECTIONS, table_of

_MODULES = (by_errors, marks, one_by_one, windows, winsorized)
# The rules, by the names of their kernels in the table.
_FOUND = {name: rule for module in _MODULES for name, rule in vars(module).items()}
WINDOWS: dict[str, Any] = {
    row.kernel: _FOUND[row.kernel] for row in REJECTIONS.values() if row.kernel and row.verb == "reject"
}
MARKS: dict[str, Any] = {row.marks: _FOUND[row.marks] for row in REJECTIONS.values() if row.marks}
LOOKS: dict[str, Any] = {name: _FOUND[f"look_{name}"] for name in MARKS}
PIECE = 1 << 19  # bytes of sorted samples: fits an L2 cache with their marks; the calls for a piece cost 3 % of a sort
_NO_SUMS = np.empty(0)


def window(name: str, x: Any, start: int, stop: int, bounds: Bounds, options: tuple[float, ...]) -> Any:
    """Narrow the bounds by the rule of the rejection ``name``; returns the per-pixel count of survivors, int32."""
    rule, numbers, table = WINDOWS[REJECTIONS[name].kernel or ""], np.array(options), table_of(name, len(x), options)
    count = np.empty(stop - start, np.int32)
    found = limits(x.dtype)
    for first, last, own in _pieces(x, start, stop, bounds):
        hi = count[first:last]
        blocks = _sorted_blocks(x, start + first, start + last, own, hi)
        lo, least, most = np.zeros_like(hi), np.empty(hi.size), np.empty(hi.size)
        apart = []
        if name in SQUARING and x.dtype == np.float64 and not _plain(blocks, hi):
            columns.ends(blocks, lo, hi, least, most)
            apart = [(e, p, hi[p]) for e, p in extreme(name, x.dtype, least, most)]
        rule(blocks, lo, hi, numbers, table)
        for exponent, p, b in apart:
            a, width = np.zeros_like(b), blocks.shape[2]
            part = np.ldexp(blocks[p // width, :, p % width].T.copy(), -exponent)
            rule(part[None], a, b, in_unit(name, numbers, exponent), table)
            lo[p], hi[p] = a, b
        columns.ends(blocks, lo, hi, least, most)
        with np.errstate(over="ignore", invalid="ignore"):  # what an empty window has in place of samples
            own.least[:], own.most[:] = least, most
        none = hi <= lo
        own.least[none], own.most[none] = found.behind, found.before
        hi -= lo
    return count


@np.errstate(all="ignore")  # of what is behind the last pixel
def _plain(blocks: Any, hi: Any) -> bool:
    """Whether no column can be extreme. To gather the ends of each would take a tenth of the time of a rule."""
    spread = (blocks[:, -1] - blocks[:, 0]).ravel()[: hi.size]
    return bool(((spread > TINY) & (spread < HUGE) & (hi == blocks.shape[1])).all())


def mark(
    name: str, x: Any, start: int, stop: int, bounds: Bounds, options: tuple[float, ...], of_frames: Any,
    of_samples: Any,
) -> tuple[Any, Any]:  # fmt: skip
    """The pixels that lose samples by the rule of ``name``, counted from ``start``, and the marks of their samples.

    Marks are uint8 (frames, some pixels): 0, or the flag of the side.
    """
    kernel, numbers = REJECTIONS[name].marks or "", np.array(options)
    found: list[Any] = [np.empty(0, np.int64)]
    marks: list[Any] = [np.empty((0, len(x)), np.uint8)]
    for first, last, own in _pieces(x, start, stop, bounds):
        number, flag = np.empty(last - first, np.int32), np.zeros(last - first, np.bool_)
        blocks = _sorted_blocks(x, start + first, start + last, own, number)
        part = of_samples[:, first:last] if of_samples.shape[1] > 1 else of_samples
        LOOKS[kernel](blocks, number, numbers, of_frames, part.min(0), flag)
        some = np.flatnonzero(flag)
        if not some.size:
            continue
        values, columns_ = np.empty((2, some.size, len(x)))
        columns.picked(PixelRange(x, start + first, start + last, *own), blocks, some, values, columns_)
        errors = np.ascontiguousarray((part[:, some] if part.shape[1] > 1 else part).T)
        own_marks = np.zeros(values.shape, np.uint8)
        MARKS[kernel](values, columns_, number[some], numbers, of_frames, errors, own_marks)
        hit = own_marks.any(1)
        found.append(first + some[hit])
        marks.append(own_marks[hit])
    return np.concatenate(found), np.concatenate(marks).T


def _pieces(x: Any, start: int, stop: int, bounds: Bounds) -> Iterator[tuple[int, int, Bounds]]:
    """First and last pixel of each piece, counted from ``start``, and its bounds as views."""
    size = max(256, PIECE // (8 * max(1, len(x))) // 256 * 256)
    for first in range(0, stop - start, size):
        last = min(first + size, stop - start)
        yield first, last, Bounds(bounds.least[first:last], bounds.most[first:last], bounds.bounded)


def _sorted_blocks(x: Any, start: int, stop: int, bounds: Bounds, number: Any) -> Any:
    """Pixels as sorted float64 (blocks, frames, columns); ``number`` gets the counts of samples in use."""
    frames, size = len(x), stop - start
    if frames >= LONG:
        piece = x[:, start:stop]
        values = np.where((piece >= bounds.least) & (piece <= bounds.most), piece, np.nan).astype(np.float64)
        np.sum(~np.isnan(values), axis=0, out=number)
        values.sort(axis=0)
        blocks = (values + 0.0)[None]
        columns.fill_block(blocks[0], number)
        return blocks
    buffer = block(frames, x.dtype, size)
    blocks = np.empty((-(-size // buffer.shape[1]), frames, buffer.shape[1]))
    scratch = Scratch(program(frames), pads(x.dtype), buffer, _NO_SUMS)
    columns.sorted_columns(PixelRange(x, start, stop, *bounds), number, scratch, blocks)
    return blocks
