"""The page of `xccd report -o`: a part for each group of files that go together, and for each product among them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.headers import cards, common
from xccd.night.look.frame_table import groups_of, names_of
from xccd.pictures.page import Cell, Section, code, items, joined, paragraph, table
from xccd.pictures.product_look import ProductLook
from xccd.pictures.report import Subpart, asked_of, write_report
from xccd.pictures.report_look import Look
from xccd.pictures.report_part import counted
from xccd.pictures.report_steps import peak
from xccd.pictures.subject import subject
from xccd.read.stack import open_stack

if TYPE_CHECKING:
    from pandas import DataFrame

PICTURES = 24  # of each group


def report_page(
    files: DataFrame, target: Path, *, stars: bool = False, overwrite: bool = False, command: str = "",
    suggestions: tuple[str, ...] = (),
) -> Path:  # fmt: skip
    """Write the page on a table of `scan`. Files that cannot be opened, and groups that are no images, are named."""
    began, before = time.perf_counter(), peak()
    problems = [(row.file, row.problem) for row in files.itertuples() if row.problem]
    every: list[Subpart] = []
    for numbers in groups_of(files):
        some = files.iloc[numbers].reset_index(drop=True)
        try:
            every += list(_subparts(some, stars))
        except (OSError, ValueError, TypeError) as error:
            problems += [(file, f"its group cannot be opened: {error}") for file in some["file"]]
    words = {"overview": _overview(files, problems, command, suggestions)}
    first = [Section(name, "Files", body) for name, body in words.items()]
    asked = asked_of(len(every), PICTURES, path=str(target), lenient=True)
    title = f"Report on {counted(len(files), 'image')}"
    return write_report(every, asked, target, began=began, before=before, title=title, overwrite=overwrite, first=first)


def _subparts(rows: DataFrame, stars: bool) -> Iterator[Subpart]:
    """The stack of some files, or a product for each that is one."""
    stack = open_stack(rows, chunks=None)
    texts = common.texts(stack, "frame")
    if texts and all(cards.card_value(text, "NCOMBINE") is not None for text in texts):
        for i, name in enumerate(names_of(rows)):
            yield Subpart(name, ProductLook.of(name, None, stack.isel(frame=i)))
        return
    what = subject("report", stack)
    has_stars = not any(kind in str(rows.kind.iloc[0]) for kind in ("bias", "dark", "flat", "arc"))
    yield Subpart(_called(rows), Look(what, stars=stars and has_stars))


def _called(rows: DataFrame) -> str:
    """What the files of a group are."""
    first = rows.iloc[0]
    exposure = "" if first.exposure != first.exposure else f"{first.exposure:g} s"
    words = [first.kind or "unknown kind", first["filter"], exposure, first["shape"]]
    return ", ".join(str(word) for word in words if word)


def _overview(files: DataFrame, problems: list[tuple[Any, Any]], command: str, suggestions: tuple[str, ...]) -> Any:
    more = f", of which {len(problems)} cannot be shown" if problems else ""
    parts = [paragraph(f"{counted(len(files), 'image')}{more}.")]
    parts.append(table(["file", "problem"], [(Cell(file, "long"), Cell(why, "long")) for file, why in problems]))
    parts.append(items(suggestions))
    return joined([*parts, code([command])] if command else parts)
