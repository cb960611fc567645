"""How a product was made, as text: command, recipe, frames and masters with their hashes."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.night.recipe.toml_text import toml_text

if TYPE_CHECKING:
    from xccd.night.reduce.work import MasterFile, Work

PIECE = 1 << 20
COLUMNS = ("hdu", "kind", "filter", "exposure", "object", "gain", "date")  # of the table; a user may mend them


def made_by(work: Work, product: Path) -> str:
    """The text for a product: TOML. Files are named as seen from the product's folder."""
    folder = product.parent
    rows = work.rows.to_dict("records")
    masters = {one.name: one for piece in work.pieces for one in piece.masters.values()}
    parts = [
        {
            "scale_dark": piece.scale_dark,
            "masters": {kind: one.name for kind, one in piece.masters.items()},
            "inputs": [_frame(rows[i], folder) for i in piece.numbers],
        }
        for piece in work.pieces
    ]
    head: dict[str, Any] = {"command": "xccd reduce", "xccd": version("xccd"), "name": work.name, "kind": work.kind}
    own = {name: _master(one, folder) for name, one in masters.items()}
    head |= {"notes": work.notes, "open_with": dict(work.open_with)}
    return toml_text({**head, "recipe": asdict(work.recipe), "parts": parts, "masters": own})


def made_by_command(command: str, options: Sequence[str], files: Sequence[str], product: Path) -> str:
    """The text for a product of another command, as "combine": its options as typed, and its files."""
    folder = product.parent
    inputs = [described(Path(file), folder) for file in files]
    head = {"command": f"xccd {command}", "xccd": version("xccd"), "options": list(options)}
    return toml_text({**head, "parts": [{"inputs": inputs}]})


def _frame(row: dict[Any, Any], folder: Path) -> dict[str, Any]:
    return described(Path(row["file"]), folder) | {k: plain(row.get(k)) for k in COLUMNS}


def _master(master: MasterFile, folder: Path) -> dict[str, Any]:
    found = described(master.path, folder) | {"kind": master.kind, "hdu": master.hdu, "ready": master.ready}
    return found | ({"made_by": tomllib.loads(master.text)} if master.text else {})


def plain(value: Any) -> Any:
    """A cell of a table as JSON and TOML hold it; None for NaN and NaT."""
    if value is None or value != value:
        return None
    if hasattr(value, "isoformat"):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


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
