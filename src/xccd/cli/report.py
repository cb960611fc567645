"""`xccd report`: what there is, what differs, what is odd, and what may be done next, as text or as a page."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from xccd.cli.options import (
    command,
    files_argument,
    hdu_option,
    json_option,
    limits,
    memory_option,
    overwrite_option,
)
from xccd.cli.shell import BAD_INPUT, NO_OUTPUT, USAGE, Stop, answer, stage, visible
from xccd.cli.stats import lines_of, scanned
from xccd.cli.typed import as_typed


@command("xccd report night/ --stars", "xccd report night/light-*.fits -o report.html")
@files_argument()
@click.option("--stars", is_flag=True, help="Also count stars and measure their width; about a second a frame.")
@hdu_option(text="The image of each file; all gives a line to each chip. Default: the first image.")
@click.option("-o", "--output", metavar="FILE", help="HTML page to write, with pictures of the frames.")
@memory_option
@overwrite_option
@json_option
def report(
    files: tuple[str, ...], hdu: Any, stars: bool, output: str | None, memory: Any, overwrite: bool
) -> None:  # fmt: skip
    """Print a report on FILES: inputs, headers that differ, statistics, registration, and what may be done next.

    FILES are files, folders, globs and @lists. With -o it is a page in one HTML file, also on products: pictures,
    statistics with the odd frames marked, noise, headers that differ.
    A file that cannot be read is listed with its problem; then the exit code is 3.
    """
    from xccd.night.look.report import report_of

    if output is not None:
        written(files, hdu, Path(output), stars, overwrite, memory)
        return
    if overwrite:
        raise Stop(USAGE, "--overwrite goes with --output FILE: without it nothing is written")
    table = scanned(files, hdu)
    with stage(USAGE, ImportError):
        found = report_of(table, stars=stars)
    context = click.get_current_context().find_root()
    if isinstance(context.command, click.Group) and "reduce" in context.command.list_commands(context):
        found["suggestions"].append("xccd reduce FILES makes the masters, and calibrates and combines the lights.")
    answer(found, "\n".join(_lines(found, stars)))
    if bad := len(found["problems"]):
        raise Stop(BAD_INPUT, f"{bad} of {len(table)} files cannot be read, see their problem")


def written(
    files: tuple[str, ...], hdu: Any, target: Path, stars: bool, overwrite: bool, memory: Any
) -> None:  # fmt: skip
    """Write the page; raises for files that cannot be read, once it is written."""
    from xccd.night.look.report_page import report_page
    from xccd.pictures.report import page_target

    with stage(NO_OUTPUT, OSError), stage(USAGE, ValueError):
        page_target(target, overwrite)
    table = scanned(files, hdu)
    bad = int((table["problem"] != "").sum())
    if bad == len(table):
        raise Stop(BAD_INPUT, f"no file can be read: {table['file'].iloc[0]}: {table['problem'].iloc[0]}")
    command = as_typed("report", files, [*["--stars"] * stars, "-o", str(target)], hdu)
    with limits(None, memory), stage(USAGE, ImportError), stage(NO_OUTPUT, OSError):
        report_page(table, target, stars=stars, overwrite=overwrite, command=command)
    count = f"{len(table)} image{'s' * (len(table) != 1)}"
    answer({"report": str(target), "images": len(table), "problems": bad}, f"{visible(target)}: {count}")
    if bad:
        raise Stop(BAD_INPUT, f"{bad} of {len(table)} files cannot be read, see the page")


def _lines(found: Mapping[str, Any], stars: bool) -> list[str]:
    groups = found["inputs"]
    sections = {
        "Inputs": [f"{one['count']:>5}  {_called(one)}" for one in groups],
        "Cannot be read": [f"{one['file']}: {one['problem']}" for one in found["problems"]],
        "Headers that differ": [line for one in groups for line in _differing(one)],
        "Statistics": lines_of([row for row in found["statistics"] if not row["problem"]], stars=stars),
        "Registration": [f"{_called(one)}: {_registered(one['registration'])}" for one in groups],
        "Suggestions": found["suggestions"],
    }
    lines: list[str] = []
    for name, texts in sections.items():
        if texts:
            lines += ["", name, *(f"  {visible(text)}" for text in texts)]
    return lines[1:]


def _called(group: Mapping[str, Any]) -> str:
    exposure = "" if group["exposure"] is None else f"{group['exposure']:g} s"
    kind = f"{group['kind'] or 'unknown kind'}{' (map)' if group['map'] else ''}"
    return ", ".join(filter(None, [kind, group["filter"], exposure, group["shape"]]))


def _differing(group: Mapping[str, Any]) -> list[str]:
    """Lines for the keywords in which frames of a group differ; those that differ in every frame share a line."""
    from xccd.night.look.report import MOST_KEYWORDS, MOST_VALUES

    several = {k: v for k, v in group["differ"].items() if len(v) <= MOST_VALUES and len(v) < group["count"]}
    rest = [k for k in group["differ"] if k not in several]
    texts = [f"{k}: {', '.join(f'{value} ({n})' for value, n in v.items())}" for k, v in several.items()]
    shown = [*texts[:MOST_KEYWORDS], *([f"and {len(texts) - MOST_KEYWORDS} more"] if texts[MOST_KEYWORDS:] else [])]
    if rest:
        more = f" and {len(rest) - MOST_KEYWORDS} more" if rest[MOST_KEYWORDS:] else ""
        shown.append(f"in most frames: {', '.join(rest[:MOST_KEYWORDS])}{more}")
    return [_called(group), *(f"  {text}" for text in shown)] if shown else []


def _registered(where: Mapping[str, Any]) -> str:
    if not where["wcs"]:
        return "no WCS"
    if where["wcs"] < where["of"]:
        return f"{where['wcs']} of {where['of']} have a WCS"
    return "one WCS for all" if where["one_grid"] else "a WCS each"
