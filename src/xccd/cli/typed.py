"""The options of a command as they were typed, for a product that says how it was made."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from xccd.cli.shell import BAD_INPUT, stage, voice

# Options that say where a product goes, or how it is made, but not what it is.
ASIDE = (
    "output",
    "overwrite",
    "progress",
    "threads",
    "memory",
    "by",
    "dry_run",
    "json",
    "quiet",
    "verbose",
    "log_file",
)


def how_made(files: Sequence[str], product: Path, beside: Mapping[str, Sequence[str]] | None = None) -> dict[str, str]:
    """The label of a product that tells how the command that runs made it, for its extension RECIPE.

    ``beside`` are files by the option that takes them, as "--bias".
    """
    from xccd.night.reduce.made_by import made_by_command
    from xccd.write.made_by import MADE_BY

    if not voice().arguments:  # nothing was typed: the command was called by a program
        return {}
    beside = {option: some for option, some in (beside or {}).items() if some}
    name = str(click.get_current_context().command.name)
    with stage(BAD_INPUT, OSError):
        return {MADE_BY: made_by_command(name, typed_options(without=beside), files, product, beside)}


def as_typed(name: str, files: Sequence[str], options: Sequence[str], hdu: Any = None) -> str:
    """The line of the shell that runs a command again, for its page."""
    if hdu is not None:
        options = [*options, "--hdu", ",".join(map(str, hdu)) if isinstance(hdu, tuple) else str(hdu)]
    if any(file.startswith("-") for file in files):  # such a name would be taken for an option
        return shlex.join(["xccd", name, *options, "--", *files])
    return shlex.join(["xccd", name, *files, *options])


def typed_options(
    context: click.Context | None = None, arguments: list[str] | None = None, without: Collection[str] = ()
) -> list[str]:
    """The words of the options that were given to the command that runs, without files and `ASIDE`."""
    context = click.get_current_context() if context is None else context
    words = voice().arguments if arguments is None else arguments
    name = context.command.name
    words = words[words.index(name) + 1 :] if name in words else words
    _, _, order = context.command.make_parser(context).parse_args(list(words))
    values, _, _ = context.command.make_parser(context).parse_args(list(words))
    found: list[str] = []
    for option in dict.fromkeys(p for p in order if isinstance(p, click.Option)):
        if option.name in ASIDE or option.name not in values or {*option.opts} & {*without}:
            continue
        given = values[option.name]
        for value in given if option.multiple else [given]:
            found += _words(option, value)
    return found


def _words(option: click.Option, value: object) -> list[str]:
    name = max(option.opts, key=len)
    if option.is_flag:
        return [name if value else max(option.secondary_opts, key=len)] if value or option.secondary_opts else []
    return [name, *map(str, value)] if isinstance(value, list | tuple) else [name, str(value)]
