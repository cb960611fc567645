"""`xccd stats`: a line for each frame, with its statistics, and the odd ones marked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from xccd.cli.options import command, files_argument, hdu_option, json_option
from xccd.cli.shell import BAD_INPUT, USAGE, Stop, answer, stage, visible

COLUMNS = (  # name, heading; those with % are shares
    ("mean", "mean"), ("median", "median"), ("background", "backgr."), ("noise", "noise"), ("min", "min"),
    ("max", "max"), ("missing", "missing%"), ("saturated", "satur.%"), ("stars", "stars"), ("fwhm", "fwhm"),
    ("elongation", "elong."),
)  # fmt: skip
WITH_STARS = ("mean", "min")  # columns without room beside stars


@command("xccd stats night/light-*.fits --stars")
@files_argument()
@click.option("--stars", is_flag=True, help="Also count stars and measure their width; about a second a frame.")
@hdu_option(text="The image of each file; all gives a line to each chip. Default: the first image.")
@json_option
def stats(files: tuple[str, ...], hdu: Any, stars: bool) -> None:
    """Print the statistics of each frame of FILES, and what is odd about it.

    FILES are files, folders, globs and @lists.
    Frames of one kind, filter, exposure and shape are compared with one another, if they are five or more. A file
    that cannot be read has a line with its problem; then the exit code is 3.
    """
    from xccd.night.look.frame_table import measured

    table = scanned(files, hdu)
    with stage(USAGE, ImportError):
        rows = measured(table, stars=stars)
    answer(rows, "\n".join(lines_of(rows, stars=stars)))
    if bad := sum(bool(row["problem"]) for row in rows):
        raise Stop(BAD_INPUT, f"{bad} of {len(rows)} files cannot be read, see their problem")


def scanned(files: Sequence[str], hdu: Any = None) -> Any:
    """The table of `xccd.scan`; ends the command for a place without files."""
    from xccd.night.scan.scan import scan

    with stage(BAD_INPUT, OSError), stage(USAGE, ValueError, TypeError):
        return scan(list(files), hdu=hdu)


def lines_of(rows: Sequence[Mapping[str, Any]], *, stars: bool = False) -> list[str]:
    """The table as lines: shares of which all are 0 or unknown are left out, and what is odd comes last."""
    shown = [
        c for c in COLUMNS if any(row.get(c[0]) is not None for row in rows) and not (stars and c[0] in WITH_STARS)
    ]
    shown = [c for c in shown if not c[1].endswith("%") or any(row.get(c[0]) for row in rows)]
    cells = [["frame", *(heading for _, heading in shown)]]
    cells += [[visible(row["name"]), *(_cell(row.get(name), heading) for name, heading in shown)] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    ends = ["", *map(_end, rows)]
    return [_line(row, widths, end) for row, end in zip(cells, ends, strict=True)]


def _line(cells: Iterable[str], widths: Sequence[int], end: str) -> str:
    first, *rest = cells
    texts = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(rest, widths[1:], strict=True))]
    return f"{'  '.join(texts)}{'  ' if end else ''}{end}".rstrip()


def _end(row: Mapping[str, Any]) -> str:
    """What stands behind the numbers of a frame."""
    return f"! {visible(row['problem'])}" if row["problem"] else f"< {row['odd']}" if row.get("odd") else ""


def _cell(value: float | None, heading: str) -> str:
    if value is None:
        return ""
    return f"{100 * value:.2f}" if heading.endswith("%") else number(value)


def number(value: float | None) -> str:
    """A number in few letters: whole above 1000, else with four digits."""
    if value is None:
        return ""
    if 1000 <= abs(value) < 1e9:
        return f"{value:.0f}"
    return f"{value:.4g}"
