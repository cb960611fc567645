"""A quick look at images: limits of grey and a median from some rows, without reading all samples."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.messages import shown
from xccd.night.look.frame_table import names_of
from xccd.pictures.zscale import limits
from xccd.read.files.unpack import BROKEN
from xccd.read.images.chips import Options
from xccd.read.images.sources import items, open_file

if TYPE_CHECKING:
    from pandas import DataFrame

ROWS = 64  # rows of an image that are read; of fewer all
COLUMNS = 1024  # samples of a row that count
UNFORESEEN = (ValueError, ArithmeticError, MemoryError, IndexError, KeyError, TypeError)


def quick_looks(table: DataFrame) -> list[dict[str, Any]]:
    """For each row of a table of `scan` the name, the size, limits of grey and a median of some rows."""
    found = []
    for name, row in zip(names_of(table), table.itertuples(), strict=True):
        one: dict[str, Any] = {"name": name, "file": row.file, "hdu": int(row.hdu), "problem": row.problem}
        if not row.problem:
            try:
                one |= _look(row.file, int(row.hdu))
            except (OSError, *BROKEN, *UNFORESEEN) as error:
                text = str(error) or type(error).__name__
                one["problem"] = text.removeprefix(shown(row.file)).lstrip(" ,:")
        found.append(one)
    return found


def _look(file: str, hdu: int) -> dict[str, Any]:
    place = Path(file) if Path(file).exists() else next(items(file))[0]
    (frame, *_) = open_file(place, Options.of(hdu, None)).frames
    rows = some_rows(frame.pixels)
    values = rows[np.isfinite(rows)]
    found: dict[str, Any] = {
        "shape": [*frame.pixels.shape],
        "dtype": str(frame.pixels.native),
        "read": rows.shape[0] / max(1, math.prod(frame.pixels.shape[:-1])),  # the share of the rows
        "missing": 1 - values.size / max(1, rows.size),
    }
    if not values.size:
        return found | dict.fromkeys(("low", "high", "median", "min", "max"))
    low, high = limits(values)
    return found | {
        "low": low, "high": high, "median": float(np.median(values)), "min": float(values.min()),
        "max": float(values.max()),
    }  # fmt: skip


def some_rows(pixels: Any) -> Any:
    """Rows all over an image, as float64 (rows, columns). Neighbours of a mosaic of colours are both among them."""
    shape = pixels.shape
    count = math.prod(shape[:-1])
    numbers = np.unique(np.linspace(0, count - 1, min(count, ROWS)).round().astype(int)) if count else np.zeros(0, int)
    step = max(1, shape[-1] // COLUMNS) | 1
    rows = np.empty((len(numbers), len(range(0, shape[-1], step))))
    for out, number in zip(rows, numbers, strict=True):
        at = np.unravel_index(number, shape[:-1]) if len(shape) > 1 else ()
        one = np.empty((*(1 for _ in at), shape[-1]))
        pixels.read((*(slice(int(i), int(i) + 1) for i in at), slice(0, shape[-1])), one)
        out[:] = one.reshape(-1)[::step]
    return rows
