"""The options of a command as they were typed, for a product that says how it was made."""

from __future__ import annotations

import click

from xccd.cli.shell import voice

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


def typed_options(context: click.Context | None = None, arguments: list[str] | None = None) -> list[str]:
    """The words of the options that were given to the command that runs, without files and `ASIDE`."""
    context = click.get_current_context() if context is None else context
    words = voice().arguments if arguments is None else arguments
    name = context.command.name
    words = words[words.index(name) + 1 :] if name in words else words
    _, _, order = context.command.make_parser(context).parse_args(list(words))
    values, _, _ = context.command.make_parser(context).parse_args(list(words))
    found: list[str] = []
    for option in dict.fromkeys(p for p in order if isinstance(p, click.Option)):
        if option.name in ASIDE or option.name not in values:
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
