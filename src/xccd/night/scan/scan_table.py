"""The rows that `scan` reads as a table of pandas, with those of an older table for files that are as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xccd.compute import progress
from xccd.headers.coords import column
from xccd.headers.summary import Summary
from xccd.read.files.remote import Remote

if TYPE_CHECKING:
    from pandas import DataFrame

Place = Path | Remote
KEY = ["file", "size", "changed"]  # a file in one state: its name, bytes, and the time of its last change in ns
NUMBERS = {"hdu": np.int64, "exposure": np.float64, "gain": np.float64, "temperature": np.float64}


class Row(NamedTuple):
    """One image, or a file without one."""

    hdu: int
    summary: Summary
    shape: str  # as "1024x2048" (y, x)
    problem: str
    extra: tuple[Any, ...]  # the values of the keywords that were asked for
    left: bool = False  # whether the file has images that were not asked for


def updated(
    old: DataFrame | None, places: list[Place], read: Callable[[list[Place]], Iterable[list[Row]]],
    names: tuple[str, ...],
) -> tuple[DataFrame, int]:  # fmt: skip
    """The table of these files, and how many of them were read because the old table has not their state."""
    import pandas as pd

    here = pd.DataFrame(map(_stamp, places), columns=KEY)
    labels = ["file", "hdu", *Summary._fields, "shape", *names, "size", "changed", "problem"]
    before = None if old is None else here.reset_index(names="order").merge(old, on=KEY)
    new = here.index if before is None else here.index.difference(before["order"])
    if before is not None and not len(new):
        return before[labels], 0
    found = progress.over(read([places[i] for i in new]), "scan", len(new), "files")
    rows = [(i, row) for i, some in zip(new, found, strict=True) for row in some]
    order = np.array([i for i, _ in rows], np.int64)
    made = here.iloc[order].assign(order=order, **_columns([row for _, row in rows], names))
    if before is not None:
        if any(before[k].dtype.kind != made[k].dtype.kind for k in names):
            return updated(None, places, read, names)  # a keyword that was a number is a text in a new file
        made = pd.concat([before, made]).sort_values("order", kind="stable")
    return made[labels].reset_index(drop=True), len(new)


def _stamp(place: Place) -> tuple[str, int, int]:
    """A row of the columns `KEY`; -1 for what is not known."""
    try:
        status = place.stat() if isinstance(place, Path) else None
    except OSError:  # the file cannot be opened either, and its row tells why
        status = None
    return (str(place), -1, -1) if status is None else (str(place), status.st_size, status.st_mtime_ns)


def _columns(rows: list[Row], names: tuple[str, ...]) -> dict[str, Any]:
    """The columns of these rows, each with its type whatever is in it."""
    found: dict[str, list[Any]] = {
        label: [getattr(row, label) for row in rows] for label in ("hdu", "shape", "problem")
    }
    found |= {label: [getattr(row.summary, label) for row in rows] for label in Summary._fields}
    columns = {label: np.array(values, NUMBERS.get(label, object)) for label, values in found.items()}
    columns["date"] = np.array(found["date"], "datetime64[ns]")
    extra = {name: column([{name: row.extra[i]} for row in rows], name) for i, name in enumerate(names)}
    return columns | extra
