"""The statistics of all frames of a table of `scan`: frames that go together are measured and judged together."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.messages import shown
from xccd.read.files.unpack import BROKEN
from xccd.read.images.chips import MAP_WORDS
from xccd.read.stack import open_stack
from xccd.verbs.stats import stats
from xccd.verbs.stats_table import ENDING, short_names

if TYPE_CHECKING:
    from pandas import DataFrame

ALIKE = ("kind", "filter", "exposure", "shape", "binning", "unit")  # columns that frames of one group share
STARLESS = ("bias", "dark", "flat", "arc")  # kinds of frames whose stars would be hot pixels and noise
Rows = list[dict[str, Any]]


def measured(table: DataFrame, *, stars: bool = False) -> Rows:
    """For each row of a table of `scan` its statistics: numbers, `name`, `odd` and `problem`.

    Stars are not looked for in kinds that have none. A file that cannot be opened or read has a problem and no numbers.
    """
    names = names_of(table)
    found: Rows = [
        {"name": name, "file": row.file, "hdu": int(row.hdu), "problem": row.problem}
        for name, row in zip(names, table.itertuples(), strict=True)
    ]
    for numbers in groups_of(table):
        has_stars = not any(kind in table.kind.iloc[numbers[0]] for kind in STARLESS)
        for i, values in zip(numbers, _of_group(table, numbers, stars and has_stars), strict=True):
            found[i] |= values
    return found


def names_of(table: DataFrame) -> list[str]:
    """Short names of the rows, with the HDU where a file has several."""
    several = table.duplicated("file", keep=False)
    return short_names([f"{f}[{h}]" if s else f for f, h, s in zip(table.file, table.hdu, several, strict=True)])


def groups_of(table: DataFrame) -> list[list[int]]:
    """The numbers of the rows that go together, without those that have a problem."""
    groups: dict[tuple[str, ...], list[int]] = {}
    for i, (problem, file, *key) in enumerate(
        zip(table.problem, table.file, *(table[name] for name in ALIKE), strict=True)
    ):
        if not problem:
            groups.setdefault((*map(str, key), str(is_map_file(file))), []).append(i)
    return list(groups.values())


def is_map_file(file: str) -> bool:
    """Whether a file is a map of another one by the last word of its name, as "m51.wht.fits" and "m51_mask.fits"."""
    return re.split(r"[\W_]", ENDING.sub("", Path(file).name))[-1].upper() in MAP_WORDS


def _of_group(table: DataFrame, numbers: Sequence[int], stars: bool) -> Rows:
    """The statistics of some rows; one by one if they cannot be read together."""
    rows = table.iloc[list(numbers)]
    try:
        made = stats(_frames(rows), stars=stars)
    except (OSError, ValueError, *BROKEN) as error:
        if len(numbers) > 1:
            return [one for i in numbers for one in _of_group(table, [i], stars)]
        text = str(error) or type(error).__name__
        return [{"problem": text.removeprefix(shown(rows.file.iloc[0])).lstrip(" ,:")}]
    columns = {str(name): made[name].values for name in made if name != "name"}
    return [{name: _plain(values[i]) for name, values in columns.items()} for i in range(len(numbers))]


def _frames(rows: DataFrame) -> Any:
    """The stack of some rows, in memory as they are needed."""
    return open_stack(rows, chunks=None)


def _plain(value: Any) -> Any:
    """A value for JSON; None for NaN."""
    plain = value.item() if isinstance(value, np.generic) else value
    return None if isinstance(plain, float) and plain != plain else plain
