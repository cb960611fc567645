"""`xccd report`: what there is, what differs, what is odd, and what may be done next, as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from xccd.cli.options import command, files_argument, hdu_option, json_option
from xccd.cli.shell import BAD_INPUT, USAGE, Stop, answer, stage
from xccd.cli.stats import lines_of, scanned


@command("xccd report night/ --stars")
@files_argument()
@click.option("--stars", is_flag=True, help="Also count stars and measure their width; about a second a frame.")
@hdu_option(text="The image of each file; all gives a line to each chip. Default: the first image.")
@json_option
def report(files: tuple[str, ...], hdu: Any, stars: bool) -> None:
    """Print a report on FILES: inputs, headers that differ, statistics, registration, and what may be done next.

    FILES are files, folders, globs and @lists.
    A file that cannot be read is listed with its problem; then the exit code is 3.
    """
    from xccd.night.look.report import report_of

    table = scanned(files, hdu)
    with stage(USAGE, ImportError):
        found = report_of(table, stars=stars)
    context = click.get_current_context().find_root()
    if isinstance(context.command, click.Group) and "reduce" in context.command.list_commands(context):
        found["suggestions"].append("xccd reduce FILES makes the masters, and calibrates and combines the lights.")
    answer(found, "\n".join(_lines(found, stars)))
    if bad := len(found["problems"]):
        raise Stop(BAD_INPUT, f"{bad} of {len(table)} files cannot be read, see their problem")


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
            lines += ["", name, *(f"  {text}" for text in texts)]
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
