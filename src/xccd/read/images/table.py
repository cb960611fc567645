"""Files from a table of frames, as `xccd.scan` makes it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

from xccd.messages import a_type, shown
from xccd.read.files.remote import Remote
from xccd.read.images.chips import Options

NO_HDU = -1  # of a file that cannot be opened, as `scan` writes it


@dataclass(frozen=True)
class TableRows:
    """Consecutive rows of one file: the file and the numbers of its HDUs, () for a table without them."""

    place: Path | Remote
    hdus: tuple[int, ...]

    def __str__(self) -> str:
        return str(self.place)

    def options(self, given: Options) -> Options:
        """The openers' arguments for this file."""
        if not self.hdus:
            return given
        if given.hdu is not None:
            raise ValueError(f"hdu={given.hdu!r}: the table has the HDU of each row: leave hdu= out")
        return replace(given, hdu=self.hdus[0] if len(self.hdus) == 1 else list(self.hdus))


def is_remote(item: Any) -> bool:
    """Whether a file is behind a URL."""
    return isinstance(item.place if isinstance(item, TableRows) else item, Remote)


def is_table(files: Any) -> bool:
    """Whether it is a table of pandas, or one that is like it."""
    return hasattr(files, "columns") and hasattr(files, "itertuples")


def rows_of(table: Any, *, tried: bool = False) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Each file with the numbers of its HDUs, in the order of the rows; raises for a table that cannot be opened.

    ``tried``: rows that have a problem are tried, too; those without an HDU have ().
    """
    if "file" not in table.columns:
        raise ValueError(f"files= is a table without the column 'file': it has {', '.join(map(str, table.columns))}")
    names = list(table["file"])
    if not names:
        raise ValueError("files= is a table without rows: no frame is left to open")
    if odd := [name for name in names if not isinstance(name, str) or not name]:
        raise TypeError(f"files= is a table with {odd[0]!r} in its column 'file', {a_type(odd[0])}: give paths")
    if "problem" in table.columns and not tried:
        bad = [(n, p) for n, p in zip(names, table["problem"], strict=True) if isinstance(p, str) and p]
        if bad:
            more = f" (and {len(bad) - 1} more)" if bad[1:] else ""
            raise ValueError(
                f"files= is a table with a row that has a problem: {shown(bad[0][0])}: {bad[0][1]}{more}; open the "
                "others, table[table.problem == ''], or give errors='skip'"
            )
    if "hdu" not in table.columns:
        yield from ((name, ()) for name in names)
        return
    for name, same in groupby(zip(names, table["hdu"], strict=True), key=lambda row: row[0]):
        hdus = [hdu for _, hdu in same]
        yield name, () if tried and hdus == [NO_HDU] else tuple(_number(name, hdu) for hdu in hdus)


# What a column stands for among the keywords by which frames are grouped.
COLUMNS = {"IMAGETYP": "kind", "FILTER": "filter", "EXPTIME": "exposure", "OBJECT": "object", "DATE-OBS": "date"}


def told(table: Any, count: int, hdu: Any) -> dict[str, list[Any]]:
    """The columns of a table, also under the keywords they stand for; {} for other files than a table."""
    if not is_table(table):
        return {}
    if count != len(table):
        raise ValueError(
            f"hdu={hdu!r} opens {count} images where the table has {len(table)} rows: scan(..., hdu={hdu!r}) makes a "
            "row for each"
        )
    found = {str(name): table[name].tolist() for name in table.columns}
    return found | {keyword: found[name] for keyword, name in COLUMNS.items() if name in found}


def _number(name: str, hdu: Any) -> int:
    try:
        if int(hdu) == hdu and hdu >= 0:
            return int(hdu)
    except (TypeError, ValueError):  # NaN among them
        pass
    raise ValueError(f"files= is a table with hdu={hdu!r} for {shown(name)}: HDUs are numbered from 0")
