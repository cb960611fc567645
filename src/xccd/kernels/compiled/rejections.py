"""The rejections of the numba engine: columns are sorted once, in pieces that fit the cache, and a rule judges them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds, Marks, PixelRange, Scratch
from xccd.kernels.compiled import (
    by_errors,
    columns,
    lines,
    marks,
    one_by_one,
    rank_marks,
    unit_scatter,
    windows,
    winsorized,
)
from xccd.kernels.compiled.block import LONG, block, pads
from xccd.kernels.compiled.groups import program
from xccd.kernels.extremes import HUGE, SQUARING, TINY, extreme, in_unit
from xccd.kernels.limits import limits
from xccd.kernels.table import REJECTIONS, table_of

_MODULES = (by_errors, lines, marks, one_by_one, windows, winsorized)
# The rules, by the names of their kernels in the table.
_FOUND = {name: rule for module in _MODULES for name, rule in vars(module).items()}
WINDOWS: dict[str, Any] = {
    row.kernel: _FOUND[row.kernel] for row in REJECTIONS.values() if row.kernel and row.verb == "reject"
}
MARKS: dict[str, Any] = {row.marks: _FOUND[row.marks] for row in REJECTIONS.values() if row.marks}
RANKS = {"linear_fit": lines.linear_fit}  # rules that mark ranks of sorted columns, without a first look
LOOKS: dict[str, Any] = {name: _FOUND[f"look_{name}"] for name in MARKS.keys() - RANKS.keys()}
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
        number = hi.copy() if table.size else hi
        rule(blocks, lo, hi, numbers, table)
        for exponent, p, b in apart:
            a, width = np.zeros_like(b), blocks.shape[2]
            part = np.ldexp(blocks[p // width, :, p % width].T.copy(), -exponent)
            rule(part[None], a, b, in_unit(name, numbers, exponent), table)
            lo[p], hi[p] = a, b
        if table.size:  # such a rule takes out one sample at a time
            columns.with_equals(blocks, number, lo, hi)
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
) -> tuple[Any, Marks]:  # fmt: skip
    """Narrow the bounds by the rule of ``name`` where they can say what is left, and mark samples of other pixels.

    Returns the per-pixel count of survivors, int32, and the marks. A marked sample may be outside the new bounds, too.
    """
    kernel, numbers = REJECTIONS[name].marks or "", np.array(options)
    count = np.empty(stop - start, np.int32)
    found = [np.empty((3, 0), np.int64)]
    for first, last, own in _pieces(x, start, stop, bounds):
        number = count[first:last]
        blocks = _sorted_blocks(x, start + first, start + last, own, number)
        piece = PixelRange(x, start + first, start + last, *own)
        if kernel in RANKS:
            marks = _by_ranks(RANKS[kernel], piece, blocks, number, numbers)
        else:
            part = of_samples[:, first:last] if of_samples.shape[1] > 1 else of_samples
            marks = _by_samples(kernel, piece, blocks, number, (numbers, of_frames, part))
        marks[0] += first
        found.append(marks)
    return count, Marks(*np.concatenate(found, axis=1))


def unit_squares(x: Any, start: int, stop: int, bounds: Bounds, by_mean: bool, medians: Any, out: Any) -> Any:
    """The kernel of `unit_scatter` on some pixels, whose medians are known; returns the count of samples, int32."""
    number = np.empty(out.size, np.int32)
    unit_scatter.unit_squares(PixelRange(x, start, stop, *bounds), by_mean, medians, out, number)
    return number


def _by_ranks(rule: Any, piece: PixelRange, blocks: Any, count: Any, numbers: Any) -> Any:
    """The marks of a piece by a rule that marks ranks: rows for pixels, frames and flags. ``count`` gets what stays."""
    number, lo, hi = count.copy(), np.zeros_like(count), count.copy()
    odd, ranks = np.zeros(count.size, np.bool_), np.zeros((count.size, len(piece.x)), np.uint8)
    rule(blocks, number, lo, hi, numbers, odd, ranks)
    least, most = piece.least.astype(np.float64), piece.most.astype(np.float64)
    marks = np.empty((3, rank_marks.outermost(blocks, number, lo, hi, odd, ranks, count, least, most)), np.int64)
    marks = marks[:, : rank_marks.marks_of_ranks(piece, blocks, np.flatnonzero(odd), ranks, lo, hi, marks)]
    piece.least[:], piece.most[:] = least, most
    return marks


def _by_samples(kernel: str, piece: PixelRange, blocks: Any, count: Any, given: tuple[Any, Any, Any]) -> Any:
    """As `_by_ranks`, by a rule that marks the samples of pixels that a first look finds."""
    (numbers, of_frames, part), frames = given, len(piece.x)
    flag = np.zeros(count.size, np.bool_)
    LOOKS[kernel](blocks, count, numbers, of_frames, part.min(0).astype(np.float64), flag)
    some = np.flatnonzero(flag)
    if kernel == "errors" and len(part) == 1 and (of_frames[:, 0] == of_frames.T).all() and not numbers[4:].any():
        some = _narrowed(piece, blocks, count, some, (numbers, of_frames[:, 0].copy(), part[0].astype(np.float64)))
    if not some.size:
        return np.empty((3, 0), np.int64)
    values, columns_ = np.empty((2, some.size, frames))
    columns.picked(piece, blocks, some, values, columns_)
    errors = np.ascontiguousarray((part.take(some, axis=1) if part.shape[1] > 1 else part).T, np.float64)
    flags, gone = np.zeros(values.shape, np.uint8), np.empty(some.size, np.int32)
    MARKS[kernel](values, columns_, count[some], numbers, of_frames, errors, flags)
    least, most = np.empty((2, some.size))
    marks.within_bounds(values, flags, least, most, gone)
    count[some] -= gone
    own = (gone > 0) & (least <= most)
    piece.least[some[own]], piece.most[some[own]] = least[own], most[own]
    pixel, frame = np.nonzero(flags)
    return np.stack((some[pixel], frame, flags[pixel, frame].astype(np.int64)))


def _narrowed(piece: PixelRange, blocks: Any, count: Any, some: Any, given: tuple[Any, Any, Any]) -> Any:
    """Narrow the bounds of some pixels, whose samples have one error each; returns those that lose all samples.

    The samples that are left are a window then, and no sample is copied: this takes a third of the time.
    """
    lo, hi, (least, most) = np.zeros_like(count), count.copy(), np.empty((2, count.size))
    by_errors.errors_alike(blocks, some, lo, hi, *given)
    columns.ends(blocks, lo, hi, least, most)
    left = hi > lo
    np.copyto(piece.least, least, where=left, casting="unsafe")
    np.copyto(piece.most, most, where=left, casting="unsafe")
    np.copyto(count, hi - lo, where=left)
    return some[~left[some]]


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
        values += 0.0
        columns.fill_block(values, number)
        width = min(size, columns.WIDTH)
        blocks = np.empty((-(-size // width), frames, width))
        for k, to in enumerate(blocks):
            some = values[:, k * width : (k + 1) * width]
            to[:, : some.shape[1]] = some
        return blocks
    buffer = block(frames, x.dtype, size)
    blocks = np.empty((-(-size // buffer.shape[1]), frames, buffer.shape[1]))
    scratch = Scratch(program(frames), pads(x.dtype), buffer, _NO_SUMS)
    columns.sorted_columns(PixelRange(x, start, stop, *bounds), number, scratch, blocks)
    return blocks
