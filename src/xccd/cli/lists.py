"""Names of files as they are typed: @lists of names, and the single files that names stand for."""

from __future__ import annotations

import os
import re
from glob import has_magic
from pathlib import Path
from typing import Any

import click

from xccd.cli.shell import BAD_INPUT, Stop, stage

COMMENT = re.compile(r"(^|\s)#.*")  # a # within a name is part of it


def named_files(context: Any, _: Any, values: tuple[str, ...]) -> tuple[str, ...]:
    """Names of files, with those of @lists. An empty one raises: an unset shell variable would mean this folder."""
    if "" in values:
        raise click.BadParameter("a name is empty: give a path, a folder or a glob")
    if context is not None and context.resilient_parsing:  # completion
        return values
    return tuple(name for value in values for name in (names_in(value[1:]) if value.startswith("@") else [value]))


def names_in(name: str) -> list[str]:
    """The names in a list, one a line, without comments and empty lines. They start from the current folder.

    IRAF and DRAGONS read lists like this, too. A name that is only beside the list raises.
    """
    path = Path(os.path.expanduser(name)) if name else Path()
    asked = f"@{name}"
    if not name:
        raise Stop(BAD_INPUT, "@ alone names no list: give the name of a text file after it, as @flats.txt")
    if not path.exists():
        raise Stop(BAD_INPUT, f"{asked}: there is no list {name!r} (a file with @ in its name is ./@NAME)")
    with stage(BAD_INPUT, OSError, of=asked):
        stored = path.read_bytes()
    try:
        text = stored.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        raise Stop(BAD_INPUT, f"{asked} is no list of names but a binary file: a list is text, one name a line")
    found = [line for line in (COMMENT.sub("", line).strip() for line in text.splitlines()) if line]
    if not found:
        raise Stop(BAD_INPUT, f"{asked} has no name in it: write one a line")
    for one in found:
        check_name(one, path, asked)
    return found


def check_name(name: str, path: Path, asked: str) -> None:
    """Raise for a list within a list, and for a name that is beside the list and not here."""
    if name.startswith("@"):
        raise Stop(BAD_INPUT, f"{asked} names another list, {name}: give both on the command line")
    if "://" in name or has_magic(name) or os.path.exists(os.path.expanduser(name)):
        return
    beside = path.parent / name
    if beside.exists():
        way = f"write {str(beside)!r}, or run the command in {str(path.parent)!r}"
        raise Stop(BAD_INPUT, f"{asked}: {name!r} is beside the list, but names start from the current folder: {way}")


def each_file(files: tuple[str, ...]) -> list[str]:
    """The single files that paths, folders and globs stand for, in order; raises where there are none."""
    from xccd.read.images.sources import items

    with stage(BAD_INPUT, OSError, ValueError, TypeError):
        return [str(getattr(item, "url", item)) for item, _ in items(list(files))]
