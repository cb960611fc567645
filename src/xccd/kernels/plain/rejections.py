"""The rejections of the NumPy engine: as `compiled.rejections`, on all pixels of a tile at once."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.arguments import Bounds, Marks
from xccd.kernels.extremes import extreme, in_unit
from xccd.kernels.limits import limits
from xccd.kernels.plain import by_errors, marks, one_by_one, unit_scatter, windows, winsorized
from xccd.kernels.plain.block import missing, sort
from xccd.kernels.table import REJECTIONS, table_of

_MODULES = (by_errors, marks, one_by_one, windows, winsorized)
# The rules, by the names of their kernels in the table.
_FOUND = {name: rule for module in _MODULES for name, rule in vars(module).items()}
WINDOWS: dict[str, Any] = {
    row.kernel: _FOUND[row.kernel] for row in REJECTIONS.values() if row.kernel and row.verb == "reject"
}
MARKS: dict[str, Any] = {row.marks: _FOUND[row.marks] for row in REJECTIONS.values() if row.marks}


@np.errstate(all="ignore")
def window(name: str, x: Any, start: int, stop: int, bounds: Bounds, options: tuple[float, ...]) -> Any:
    """Narrow the bounds by the rule of the rejection ``name``; returns the per-pixel count of survivors, int32."""
    least, most, bounded = bounds
    _, _, before, behind = limits(x.dtype)
    piece = x[:, start:stop]
    rows, hi = _sorted_rows(piece, missing(piece, least, most, bounded))
    lo, number, numbers = np.zeros_like(hi), hi.copy(), np.array(options)
    rule, table = WINDOWS[REJECTIONS[name].kernel or ""], table_of(name, len(x), options)
    first, last = (np.where(hi > 0, windows.at(rows, k), 0.0) for k in (lo, hi - 1))
    apart = [(e, p, hi[p]) for e, p in extreme(name, x.dtype, first, last)]
    rule(rows, lo, hi, numbers, table)
    for exponent, p, b in apart:
        a = np.zeros_like(b)
        rule(np.ldexp(rows[:, p], -exponent), a, b, in_unit(name, numbers, exponent), table)
        lo[p], hi[p] = a, b
    if table.size:
        windows.with_equals(rows, number, lo, hi)
    none = hi <= lo
    least[:] = np.where(none, behind, windows.at(rows, lo)).astype(x.dtype)
    most[:] = np.where(none, before, windows.at(rows, hi - 1)).astype(x.dtype)
    return (hi - lo).astype(np.int32)


@np.errstate(all="ignore")
def mark(
    name: str, x: Any, start: int, stop: int, bounds: Bounds, options: tuple[float, ...], of_frames: Any,
    of_samples: Any,
) -> tuple[Any, Marks]:  # fmt: skip
    """As `compiled.rejections.mark`; all samples that are left out have a mark, and no bound is narrowed."""
    piece = x[:, start:stop]
    holes = missing(piece, *bounds)
    rows, number = _sorted_rows(piece, holes)
    values = piece.astype(np.float64)
    if holes is not None:
        values[holes] = np.nan
    out = np.zeros(piece.shape, np.uint8)
    MARKS[REJECTIONS[name].marks or ""](
        values, rows, number, np.array(options), of_frames, of_samples.astype(np.float64), out
    )
    frame, pixel = np.nonzero(out)
    return (number - (out != 0).sum(0)).astype(np.int32), Marks(pixel, frame, out[frame, pixel])


@np.errstate(all="ignore")
def unit_squares(x: Any, start: int, stop: int, bounds: Bounds, by_mean: bool, medians: Any, out: Any) -> Any:
    """As `compiled.rejections.unit_squares`."""
    number = np.empty(out.size, np.int32)
    piece = x[:, start:stop]
    unit_scatter.unit_squares(piece.astype(np.float64), missing(piece, *bounds), by_mean, medians, out, number)
    return number


def _sorted_rows(piece: Any, holes: Any) -> tuple[Any, Any]:
    """The sorted columns as float64 (frames, pixels), missing samples last, and the count of samples of each."""
    block = sort(piece, holes)
    rows = np.empty(piece.shape)
    for k, row in enumerate(rows):
        np.add(block.raw(k), 0.0, out=row)
    return rows, np.full(piece.shape[1], block.count, np.int64)
