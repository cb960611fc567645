"""The Dataset of `stats`, which prints as a narrow table."""

from __future__ import annotations

from html import escape
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute.arrays import is_dask
from xccd.messages import shown

SHARES = ("missing", "saturated", "rejected")  # printed in percent
MOST = 40  # frames that are printed


class StatsTable(xr.Dataset):
    """A Dataset on ``frame`` that prints as a table, a line for each frame. In all else it is a Dataset."""

    __slots__ = ()

    def __repr__(self) -> str:
        rows = _rows(self)
        if not rows:
            return super().__repr__()
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        texts = [k for k, name in enumerate(rows[0]) if name in ("name", "odd", "")]
        lines = (
            "  ".join(row[k].ljust(width) if k in texts else row[k].rjust(width) for k, width in enumerate(widths))
            for row in rows
        )
        return "\n".join([*(line.rstrip() for line in lines), *_more(self)])

    def _repr_html_(self) -> str:
        rows = _rows(self)
        if not rows:
            return super()._repr_html_()
        head = "".join(f"<th>{escape(text)}</th>" for text in rows[0])
        body = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in rows[1:])
        more = "".join(f"<p>{escape(text)}</p>" for text in _more(self))
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{more}"


def _cell(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def _rows(table: xr.Dataset) -> list[list[str]]:
    """The head and a row for each frame that is printed, as texts; [] for a table that is lazy, or none of frames."""
    columns = list(table.data_vars.values())
    if not columns or any(column.ndim != 1 or is_dask(column.data) for column in columns):
        return []
    if len({column.dims for column in columns}) > 1:
        return []
    head = [str(columns[0].dims[0]), *(f"{c.name} %" if c.name in SHARES else str(c.name) for c in columns)]
    printed = _printed(table)
    texts = [_texts(str(column.name), column.values[printed]) for column in columns]
    return [head, *([str(i), *cells] for i, cells in zip(printed, zip(*texts, strict=True), strict=True))]


def _printed(table: xr.Dataset) -> list[int]:
    """The numbers of the frames that are printed: if they are many, the odd ones first."""
    count = next(iter(table.data_vars.values())).size
    odd = np.flatnonzero(table["odd"].values != "").tolist() if "odd" in table else []
    return sorted([*odd, *(i for i in range(count) if i not in set(odd))][:MOST])


def _texts(name: str, values: np.ndarray[Any, Any]) -> list[str]:
    if values.dtype.kind in "iu":
        return [str(v) for v in values.tolist()]
    if values.dtype.kind != "f":
        return [shown(v) for v in values.tolist()]
    if name in SHARES:
        return ["-" if v != v else f"{100 * v:.2f}" for v in values.tolist()]
    good = np.abs(values[np.isfinite(values)])
    digits = 0 if not good.size or good.max() >= 1e4 else 1 if good.max() >= 100 else 2
    wide = good.size and not 1e-2 <= good.max() < 1e9
    return ["-" if v != v else f"{v:.4g}" if wide else f"{v:.{digits}f}" for v in values.tolist()]


def _more(table: xr.Dataset) -> list[str]:
    count = next(iter(table.data_vars.values())).size
    return [f"and {count - MOST} more frames"] if count > MOST else []
