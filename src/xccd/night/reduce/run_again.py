"""A product made again from its own extension RECIPE."""

from __future__ import annotations

import logging
import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from xccd.messages import shown
from xccd.night.recipe.recipe import Recipe
from xccd.night.recipe.toml_text import toml_text
from xccd.night.reduce.made_by import COLUMNS, described, is_as_told, relative, sha256
from xccd.night.reduce.work import MasterFile, Piece, Work, with_hdus
from xccd.night.reduce.write_product import write_product
from xccd.read.files import temporary
from xccd.read.files.remote import is_url
from xccd.read.made_by import recipe_text

log = logging.getLogger("xccd")
COMMAND = "xccd reduce"
COMMANDS = (COMMAND, "xccd combine", "xccd calibrate")  # whose products can be made again
SHOWN = 3  # files in a message


def recorded_in(product: Path) -> dict[str, Any]:
    """What the extension RECIPE of a product says; raises OSError or ValueError if there is none."""
    text = recipe_text(product)
    if not text:
        raise ValueError(
            f"{shown(str(product))} does not say how it was made: it has no extension RECIPE, as products of "
            f"{', '.join(COMMANDS)} have"
        )
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"{shown(str(product))}: its extension RECIPE cannot be read: {error}") from error


def run_again(product: Path, output: Path, *, changed: bool = False, overwrite: bool = False) -> list[str]:
    """Make a product of `reduce` again, pixel for pixel, and write it to ``output``.

    Masters that are not there any more, or are others by now, are made again, too, in a folder for temporary files. The
    names of these are returned. Raises OSError for frames that are not there; for those that have changed, unless
    ``changed``.
    """
    told = recorded_in(product)
    again = _Again(product.parent, changed)
    work = again.work(told, product.parent)
    again.check()
    if output.resolve() in {path.resolve() for path in _inputs(told, product.parent)}:
        raise OSError(f"path={str(output)!r} is a frame or a master that the product was made of: name another file")
    folder, handle = temporary.scratch_folder()
    try:
        made = _with_masters(work, again.missing, folder)
        write_product(made, output, overwrite=overwrite, text=_moved(told, product.parent, output.parent))
    finally:
        temporary.remove_folder(folder, handle)
    return [one.name for one in again.missing.values()]


def command_again(told: Mapping[str, Any], folder: Path, *, changed: bool = False) -> tuple[str, list[str], list[str]]:
    """The name, the options and the files of the command that made a product; raises as `run_again`."""
    if told.get("command") not in COMMANDS[1:]:
        raise ValueError(f"it was made by {told.get('command')!r}: products of {', '.join(COMMANDS)} can be made again")
    again = _Again(folder, changed)
    files = [again.file(one, folder) for part in told["parts"] for one in part["inputs"]]
    words = list(told["options"])
    for option, some in told.get("beside", {}).items():
        words += [word for one in some for word in (option, again.file(one, folder))]
    again.check()
    return str(told["command"]).removeprefix("xccd "), words, files


def _inputs(told: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """All files that a product was made of, also those of its masters."""
    for part in told["parts"]:
        yield from (_path(folder, one["file"]) for one in part["inputs"])
    for one in told.get("masters", {}).values():
        path = _path(folder, one["file"])
        yield path
        yield from _inputs(one["made_by"], path.parent) if "made_by" in one else ()


class _Again:
    """The work of a product as its text tells it, and what is missing for it."""

    def __init__(self, folder: Path, changed: bool) -> None:
        self.folder, self.changed = folder, changed
        self.gone: list[str] = []
        self.other: list[str] = []
        self.missing: dict[Path, Work] = {}  # masters to be made again, by the file that they were
        self.seen: dict[Path, str] = {}  # hashes

    def work(self, told: Mapping[str, Any], folder: Path) -> Work:
        """The work of a product in ``folder``."""
        if told.get("command") != COMMAND:
            raise ValueError(f"the product was made by {told.get('command')!r}: only {COMMAND!r} can be run again here")
        rows: list[dict[str, Any]] = []
        pieces = []
        masters = {name: self._master(name, one, folder) for name, one in told.get("masters", {}).items()}
        for part in told["parts"]:
            numbers = range(len(rows), len(rows) + len(part["inputs"]))
            rows += [self.row(one, folder) for one in part["inputs"]]
            own = {kind: masters[name] for kind, name in part.get("masters", {}).items()}
            pieces.append(Piece(tuple(numbers), own, part["scale_dark"]))
        notes, how = [*told["notes"]], told.get("open_with", {})
        recipe = recipe_of(told["recipe"])
        return _ordered(Work(told["name"], told["kind"], _table(rows), tuple(pieces), recipe, notes, how))

    def row(self, one: Mapping[str, Any], folder: Path) -> dict[str, Any]:
        """The row of a frame in the table."""
        return {"file": self.file(one, folder)} | {k: one.get(k) for k in COLUMNS}

    def file(self, one: Mapping[str, Any], folder: Path) -> str:
        """The place of an input, which is noted if it is gone or has changed."""
        if is_url(one["file"]):
            log.warning("%s: whether it is as it was is not known", shown(one["file"]))
            return str(one["file"])
        path = _path(folder, one["file"])
        if not path.exists():
            self.gone.append(str(path))
        elif not is_as_told(path, one, self._hash):
            self.other.append(str(path))
        return str(path)

    def _master(self, name: str, one: Mapping[str, Any], folder: Path) -> MasterFile:
        path = _path(folder, one["file"])
        found = MasterFile(name, one["kind"], path, one["hdu"], one["ready"])
        if path.exists() and self._hash(path) == one["sha256"]:
            return found
        if "made_by" in one:
            if path not in self.missing:
                self.missing[path] = self.work(one["made_by"], path.parent)
        elif path.exists():
            self.other.append(str(path))
        else:
            self.gone.append(str(path))
        return found

    def _hash(self, path: Path) -> str:
        if path not in self.seen:
            self.seen[path] = sha256(path)
        return self.seen[path]

    def check(self) -> None:
        """Raise if files are missing or have changed."""
        if self.gone:
            raise FileNotFoundError(f"{_some(self.gone)} not there any more: put back what the product was made of")
        if self.other and not self.changed:
            raise OSError(
                f"{_some(self.other)} not as when the product was made: changed=True takes what is there now, and "
                "other pixels"
            )
        for name in self.other:
            log.warning("%s is not as it was when the product was made", shown(name))


def _some(names: list[str]) -> str:
    unique = list(dict.fromkeys(names))
    more = f" and {len(unique) - SHOWN} more" if unique[SHOWN:] else ""
    return f"{', '.join(map(shown, unique[:SHOWN]))}{more} {'are' if unique[1:] else 'is'}"


def _path(folder: Path, name: str) -> Path:
    return Path(os.path.normpath(folder.resolve() / name))


def _table(rows: list[dict[str, Any]]) -> Any:
    import pandas as pd

    table = pd.DataFrame(rows)
    for name in ("exposure", "gain"):
        table[name] = table[name].astype(float)
    for name in ("filter", "object", "kind"):
        table[name] = table[name].fillna("")
    return with_hdus(table)


def _ordered(work: Work) -> Work:
    """The work with its rows in the order of the frames, which parts share among them."""
    if len(work.pieces) < 2:
        return work
    keys = [k for k in ("date", "file", "hdu") if k in work.rows]
    order = work.rows.assign(_at=range(len(work.rows))).sort_values(keys, kind="stable")["_at"]
    new = {old: i for i, old in enumerate(order)}
    pieces = tuple(replace(p, numbers=tuple(sorted(new[i] for i in p.numbers))) for p in work.pieces)
    return replace(work, rows=work.rows.iloc[list(order)].reset_index(drop=True), pieces=pieces)


def _with_masters(work: Work, missing: Mapping[Path, Work], folder: Path) -> Work:
    """The work with the masters that are missing, made in ``folder`` under their own names."""
    pieces = []
    for piece in work.pieces:
        own = {}
        for kind, master in piece.masters.items():
            own[kind] = master
            if master.path in missing:
                place = folder / f"{len(os.listdir(folder))}-{kind}" / master.path.name
                place.parent.mkdir()
                log.info("the master %s is made again", master.name)
                text = write_product(_with_masters(missing[master.path], missing, folder), place)
                own[kind] = replace(master, path=place, text=text)
        pieces.append(replace(piece, masters=own))
    return replace(work, pieces=tuple(pieces))


def _moved(told: dict[str, Any], old: Path, new: Path) -> str:
    """The text of a product for another folder."""

    def moved(one: dict[str, Any]) -> dict[str, Any]:
        return one | {"file": relative(_path(old, one["file"]), new)}

    parts = []
    for part in told["parts"]:
        inputs = [one | described(_path(old, one["file"]), new) for one in part["inputs"]]
        parts.append(part | {"inputs": inputs})
    masters = {name: moved(one) for name, one in told.get("masters", {}).items()}
    return toml_text(told | {"parts": parts, "masters": masters})


def recipe_of(values: Mapping[str, Any]) -> Recipe:
    """The recipe of a product; raises for one of a version of xccd with other keys."""
    try:
        return Recipe(**values)
    except TypeError as error:
        raise ValueError(f"its recipe is of another version of xccd: {error}") from error
