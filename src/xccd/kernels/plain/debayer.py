"""The kernels of `compiled.debayer` in NumPy: all pixels of a tile at a time, with the same results."""

from __future__ import annotations

from typing import Any

import numpy as np

RED, GREEN, BLUE = 0, 1, 2


def bilinear(tile: Any, values: Any, edge: int, row: int, column: int, squared: bool, out: Any) -> None:
    """Write to ``out`` (3, rows, columns) the means of ``values`` at the nearest samples of each colour."""
    rows, columns = out.shape[1:]
    is_here = np.isfinite(tile)
    with np.errstate(all="ignore"):
        total = np.where(is_here, values, 0.0).astype(np.float64, copy=False)
        count = is_here.astype(np.float64)

        def part(of: Any, by: tuple[int, int], at: tuple[int, int]) -> Any:
            y, x = (edge + first + move for first, move in zip(at, by, strict=True))
            return of[y : edge + rows + by[0] : 2, x : edge + columns + by[1] : 2]

        def mean(one: Any, other: Any, *more: Any, at: tuple[int, int]) -> Any:
            sums = []
            for of in (total, count):
                found = part(of, one, at) + part(of, other, at)
                sums.append(found + (part(of, more[0], at) + part(of, more[1], at)) if more else found)
            return sums[0] / (sums[1] * sums[1]) if squared else sums[0] / sums[1]

        for chroma, i, j in ((RED, row, column), (BLUE, 1 - row, 1 - column)):
            to = out[:, i::2, j::2]
            to[GREEN] = mean((-1, 0), (1, 0), (0, -1), (0, 1), at=(i, j))
            to[BLUE - chroma] = mean((-1, -1), (1, 1), (-1, 1), (1, -1), at=(i, j))
            to[chroma] = np.where(part(is_here, (0, 0), (i, j)), part(values, (0, 0), (i, j)), np.nan)
            j = 1 - j
            to = out[:, i::2, j::2]
            to[chroma] = mean((0, -1), (0, 1), at=(i, j))
            to[BLUE - chroma] = mean((-1, 0), (1, 0), at=(i, j))
            to[GREEN] = np.where(part(is_here, (0, 0), (i, j)), part(values, (0, 0), (i, j)), np.nan)


def superpixel(tile: Any, values: Any, row: int, column: int, squared: bool, out: Any) -> None:
    """Write to ``out`` (3, rows, columns) the colours of blocks of 2 x 2 samples; green is the mean of two."""
    rows, columns = 2 * out.shape[1], 2 * out.shape[2]
    is_here = np.isfinite(tile)

    def part(of: Any, y: int, x: int) -> Any:
        return of[y:rows:2, x:columns:2]

    with np.errstate(all="ignore"):
        for colour, y, x in ((RED, row, column), (BLUE, 1 - row, 1 - column)):
            out[colour] = np.where(part(is_here, y, x), part(values, y, x), np.nan)
        upper, lower = (1 - column, column) if row == 0 else (column, 1 - column)
        total = np.where(is_here, values, 0.0).astype(np.float64, copy=False)
        found = part(total, 0, upper) + part(total, 1, lower)
        count = part(is_here, 0, upper).astype(np.float64) + part(is_here, 1, lower)
        out[GREEN] = found / (count * count) if squared else found / count
