"""`xccd preview`: what a montage of the frames will show, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from xccd.cli.options import command, files_argument, hdu_option, json_option
from xccd.cli.shell import BAD_INPUT, Stop, answer
from xccd.cli.stats import number, scanned

HEADINGS = ("frame", "size", "black", "white", "median", "min", "max", "read%")


@command("xccd preview night/light-*.fits")
@files_argument()
@hdu_option(text="The image of each file; all gives a line to each chip. Default: the first image.")
@json_option
def preview(files: tuple[str, ...], hdu: Any) -> None:
    """Print for each frame of FILES its size, the limits of grey (zscale), and a median.

    FILES are files, folders, globs and @lists.
    Of each image 64 rows are read, so the numbers are rough: `xccd stats` has exact ones. A file that cannot be
    read has a line with its problem; then the exit code is 3.
    """
    from xccd.night.look.quick_look import quick_looks

    rows = quick_looks(scanned(files, hdu))
    answer(rows, "\n".join(_lines(rows)))
    if bad := sum(bool(row["problem"]) for row in rows):
        raise Stop(BAD_INPUT, f"{bad} of {len(rows)} files cannot be read, see their problem")


def _lines(rows: list[dict[str, Any]]) -> list[str]:
    cells = [[*HEADINGS], *map(_cells, rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    ends = ["", *(f"  ! {row['problem']}" if row["problem"] else "" for row in rows)]
    lines = []
    for (first, *rest), end in zip(cells, ends, strict=True):
        texts = [first.ljust(widths[0]), *(cell.rjust(n) for cell, n in zip(rest, widths[1:], strict=True))]
        lines.append(("  ".join(texts) + end).rstrip())
    return lines


def _cells(row: Mapping[str, Any]) -> list[str]:
    size = "x".join(map(str, row.get("shape", ())))
    share = f"{100 * row['read']:.0f}" if "read" in row else ""
    return [row["name"], size, *(number(row.get(k)) for k in ("low", "high", "median", "min", "max")), share]
