"""`xccd scan`: a table of the frames in folders and files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xccd.cli.options import command, files_argument, hdu_option, json_option
from xccd.cli.shell import BAD_INPUT, USAGE, Stop, answer, stage, visible

if TYPE_CHECKING:
    from pandas import DataFrame

FORMATS = {"exposure": "{:g}", "gain": "{:g}", "temperature": "{:g}", "date": "{:%Y-%m-%dT%H:%M:%S}"}


@command("xccd scan night/ --recursive --keyword AIRMASS", "xccd scan 'night/*.fits' --json")
@files_argument("where")
@click.option("-r", "--recursive", is_flag=True, help="Look into the folders of a folder, too.")
@hdu_option(text="The image of each file; all gives a line to each chip. Default: the first image.")
@click.option("--keyword", "keywords", multiple=True, metavar="KEYWORD", help="A further column; may be repeated.")
@click.option(
    "--cache",
    metavar="FILE",
    type=click.Path(),
    help="Parquet file that keeps the table; only new files are read again.",
)
@json_option
def scan(where: tuple[str, ...], **options: Any) -> None:
    """List frames with their kind, filter and exposure.

    WHERE are folders, files, globs and @lists. Only headers are read. A file that cannot be opened has a line with its
    problem; then the exit code is 3.
    """
    import xccd

    if not all(keyword.strip() for keyword in options["keywords"]):
        raise Stop(USAGE, "--keyword is empty: name a header keyword, as AIRMASS")
    with stage(BAD_INPUT, OSError), stage(USAGE, ValueError, TypeError, ImportError):
        table = xccd.scan(list(where) if len(where) > 1 else where[0], **options)
    answer([dict(zip(table, row, strict=True)) for row in _plain(table)], text_of(table))
    bad = int((table.problem != "").sum())
    if bad:
        raise Stop(BAD_INPUT, f"{bad} of {len(table)} files cannot be opened, see their problem")


def _plain(table: DataFrame) -> list[list[Any]]:
    """The cells for JSON: None for NaN and NaT, dates as texts."""
    cells = table.astype({"date": "datetime64[us]"}).astype(object)
    return [[None if c != c else c.isoformat() if hasattr(c, "isoformat") else c for c in row] for row in cells.values]


def text_of(table: DataFrame) -> str:
    """The table as lines; columns in which nothing is known are left out, and the file comes last."""
    shown = {name: [_cell(name, value) for value in table[name]] for name in table.columns}
    first = [name for name in shown if name not in ("file", "problem", "words", "size") and any(shown[name])]
    lines = []
    for i, row in enumerate(zip(*([name, *shown[name]] for name in first), strict=True)):
        width = [max(map(len, [name, *shown[name]])) for name in first]
        file = "file" if not i else visible(table.file.iloc[i - 1])
        file += f": {visible(p)}" if i and (p := table.problem.iloc[i - 1]) else ""
        lines.append("  ".join([*(cell.ljust(n) for cell, n in zip(row, width, strict=True)), file]))
    return "\n".join(lines)


def _cell(name: str, value: Any) -> str:
    return "" if value != value or (name == "hdu" and value < 0) else visible(FORMATS.get(name, "{}").format(value))
