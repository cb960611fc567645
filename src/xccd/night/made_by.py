"""How a product was made, as text: command, recipe, frames and masters with their hashes."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.night.toml_text import toml_text
from xccd.night.up_to_date import _plain

if TYPE_CHECKING:
    from xccd.night.calibrate_frames import Work

PIECE = 1 << 20
COLUMNS = ("kind", "filter", "exposure", "object", "gain")


def made_by(work: Work, name: str, product: Path, masters: Mapping[str, str]) -> str:
    """The text for a product; ``masters`` are the texts of its masters, "" for those that came from elsewhere."""
    folder = product.parent
    inputs = []
    for row in work.rows.to_dict("records"):
        own = {k: _plain(row.get(k)) for k in COLUMNS}
        inputs.append({**described(Path(row["file"]), folder), "hdu": int(row.get("hdu", 0)), **own})
    nested = {}
    for kind, path in work.masters.items():
        nested[kind] = described(path, folder)
        if masters.get(kind):
            nested[kind]["made_by"] = tomllib.loads(masters[kind])
    head = {"command": "xccd reduce", "xccd": version("xccd"), "name": name, "kind": work.kind}
    return toml_text({**head, "recipe": asdict(work.recipe), "inputs": inputs, "masters": nested})


def described(path: Path, folder: Path) -> dict[str, Any]:
    """A file with its size and hash, its name as seen from ``folder``."""
    return {"file": relative(path, folder), "size": path.stat().st_size, "sha256": sha256(path)}


def relative(path: Path, folder: Path) -> str:
    """The path as seen from the folder; absolute on another drive."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()


def sha256(path: Path) -> str:
    """The hash of a file."""
    made = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(PIECE):
            made.update(piece)
    return made.hexdigest()
