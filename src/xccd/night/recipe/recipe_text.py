"""A recipe as TOML: read, with errors that name the file and the key, and written, with what each key is."""

from __future__ import annotations

import json
import os
import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from xccd.messages import a_type, did_you_mean, shown
from xccd.night.recipe.recipe_section import SECTION, Section, default_of, keys_of, others

LARGEST = 1 << 20  # bytes: a file that is larger is something else
WIDTH = 118
HEAD = "# A recipe for xccd reduce. What is left out has its default."


class NotTOMLError(ValueError):
    """The text of a recipe is no TOML."""


def contents(path: str | os.PathLike[str]) -> tuple[str, str]:
    """The text of a file, and its name; raises OSError if it cannot be read as text."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(f"path={path!r} is {a_type(path)}, not a path, as 'night.toml'")
    place, name = Path(path).expanduser(), shown(os.fspath(path))
    if not name:
        raise FileNotFoundError("path='' names no recipe: give a TOML file, as 'night.toml'")
    if os.path.isdir(place):
        raise IsADirectoryError(f"{name} is a folder, not a recipe: name a file in it, as 'night.toml'")
    try:
        with open(place, "rb") as file:
            data = file.read(LARGEST + 1)
    except FileNotFoundError:
        raise FileNotFoundError(
            f"the recipe {name} does not exist: check the path, or write one by xccd reduce --print-recipe > {name}"
        ) from None
    except ValueError as error:  # a null byte in the name
        raise OSError(f"{name} is no path: {error}") from None
    except OSError as error:
        raise type(error)(f"the recipe {name} cannot be read: {error.strerror}; check the path") from None
    if len(data) > LARGEST:
        raise OSError(f"{name} has more than {LARGEST >> 20} MiB, so it is no recipe")
    try:
        return data.decode("utf-8-sig"), name
    except UnicodeDecodeError as error:
        raise OSError(
            f"{name} is no recipe: its byte {error.start} is no text in UTF-8; if it is one, save it in UTF-8"
        ) from None


def values(cls: type[Section], text: str, name: str) -> dict[str, Any]:
    """The values of a text, checked, as the arguments of the recipe."""
    if not isinstance(text, str):
        raise TypeError(f"text is {a_type(text)}, not a text")
    import tomllib

    try:
        found = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise NotTOMLError(f'{name} is no TOML: {error}; texts stand in quotes, as method = "median"') from None
    sections = {f.name: f.metadata[SECTION] for f in fields(cls) if SECTION in f.metadata}
    for one, value in found.items():
        if one not in {f.name for f in fields(cls)}:
            raise ValueError(f"{name}: {_unknown(one, value, cls, sections)}")
        if one in sections:
            if not isinstance(value, Mapping):
                raise TypeError(f"{name}: {one} is a section: write [{one}], and its keys in the lines below")
            _check(sections[one], value, name, f"[{one}] ")
    _check(cls, {k: v for k, v in found.items() if k not in sections}, name, "")
    return found


def _unknown(one: str, value: Any, cls: type[Section], sections: Mapping[str, type[Section]]) -> str:
    """What is wrong with a name that stands outside of all sections."""
    if isinstance(value, Mapping):
        return f"there is no section [{one}]{others(one, sections)}"
    owners = [f"[{name}]" for name, own in sections.items() if one in {f.name for f in fields(own)}]
    if owners:
        return f"{one} stands outside of all sections: write it below {' or '.join(owners)}"
    return f"there is no key {one!r}{others(one, [f.name for f in fields(cls)])}"


def _check(cls: type[Section], given: Mapping[str, Any], name: str, where: str) -> None:
    """Raise for keys of a section that are unknown, or have a value that they cannot have."""
    known = {f.name: f for f in fields(cls)}
    for one, value in given.items():
        if one not in known:
            near = did_you_mean(one, known)
            raise ValueError(
                f"{name}: {where}has no key {one!r}{near or ':'} {'It' if near else 'it'} has {', '.join(known)}"
            )
        try:
            known[one].metadata["check"](value)
        except (ValueError, TypeError) as error:
            raise type(error)(f"{name}: {where}{one} = {_plain(value)} {error}") from None


def dotted(given: Mapping[str, Any]) -> Iterator[str]:
    """The names of values as "light.method"."""
    for one, value in given.items():
        if isinstance(value, Mapping):
            yield from (f"{one}.{inner}" for inner in value)
        elif isinstance(value, Section):
            yield from (f"{one}.{f.name}" for f in fields(value))
        else:
            yield one


def assigned(cls: type[Section], assignment: str) -> dict[str, Any]:
    """The text "light.method=median" as the arguments of `Recipe.replace`."""
    if not isinstance(assignment, str):
        raise TypeError(f"{assignment!r} is {a_type(assignment)}, not a text as 'light.method=median'")
    name, equals, text = (part.strip() for part in assignment.partition("="))
    known = {".".join(filter(None, (where, f.name))): f for where, f in keys_of(cls)}
    if not equals:
        raise ValueError(f"{assignment!r} is no setting: write it as light.method=median")
    if name not in known:
        if inner := [one for one in known if one.startswith(f"{name}.")]:
            raise ValueError(f"{assignment!r}: {name} is a section: name one of its keys, {', '.join(inner)}")
        own = [one for one in known if one.partition(".")[2] == name]
        near = f"; did you mean {' or '.join(map(repr, own))}?" if own else did_you_mean(name, known)
        raise ValueError(f"{assignment!r}: there is no key {name!r}{near or ': xccd reduce --print-recipe lists all'}")
    value = _of_word(text, default_of(known[name]))
    try:
        known[name].metadata["check"](value)
    except (ValueError, TypeError) as error:
        raise type(error)(f"{assignment!r}: {name} {error}") from None
    where, _, one = name.rpartition(".")
    return {where: {one: value}} if where else {one: value}


def _of_word(text: str, default: Any) -> Any:
    """A word of the command line as a value of the type of the default; what is no such value stays a text."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1]
    if isinstance(default, bool):
        return {"true": True, "false": False}.get(text.lower(), text)
    if isinstance(default, tuple):
        if text.startswith("["):
            import tomllib

            try:
                return tomllib.loads(f"x = {text}")["x"]
            except tomllib.TOMLDecodeError:
                return text
        return tuple(part.strip() for part in text.split(",")) if text else ()
    try:
        return float(text)
    except ValueError:
        return text


def written(recipe: Section, sources: Mapping[str, str]) -> str:
    """The recipe as TOML, with a comment for each key."""
    lines, before = [HEAD], ""
    for where, f in keys_of(type(recipe)):
        owner = getattr(recipe, where) if where else recipe
        if where != before:
            lines += ["", f"[{where}]  # {' '.join((type(owner).__doc__ or '').split())}"]
            before = where
        else:
            lines.append("")
        value = getattr(owner, f.name)
        name = ".".join(filter(None, (where, f.name)))
        source = sources.get(name) or ("default" if value == default_of(f) else "given")
        text = f.metadata["text"]
        lines += textwrap.wrap(text, WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)
        lines.append(f"{f.name} = {_plain(value)}  # {shown(source)}")
    return "\n".join(lines) + "\n"


def table(cls: type[Section]) -> str:
    """All keys as a table of Markdown, for the docs."""
    lines = ["| key | default | what it is |", "|---|---|---|"]
    for where, f in keys_of(cls):
        name = ".".join(filter(None, (where, f.name)))
        lines.append(f"| `{name}` | `{_plain(default_of(f))}` | {f.metadata['text']} |".replace("*", "\\*"))
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> str:
    """A value as TOML writes it; any other one as Python does."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(_plain, value))}]"
    return repr(value)
