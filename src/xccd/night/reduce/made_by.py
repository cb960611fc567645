"""How a product was made, as text: command, recipe, frames and masters with their hashes."""

from __future__ import annotations

import hashlib
import os
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.night.recipe.toml_text import toml_text
from xccd.read.files.remote import is_url

if TYPE_CHECKING:
    from xccd.night.reduce.work import MasterFile, Work

PIECE = 1 << 20
SECOND = 10**9  # ns
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


def made_by_command(
    command: str, options: Sequence[str], files: Sequence[str], product: Path,
    beside: Mapping[str, Sequence[str]] | None = None,
) -> str:  # fmt: skip
    """The text for a product of another command, as "combine": its options as typed, and its files.

    ``beside`` are files by the option that takes them, as "--bias". Files are told by size and time: hashes would take
    a third of the time of `xccd combine`.
    """
    folder = product.parent
    head = {"command": f"xccd {command}", "xccd": version("xccd"), "options": list(options)}
    own = {option: [stamped(file, folder) for file in some] for option, some in (beside or {}).items()}
    return toml_text({**head, "parts": [{"inputs": [stamped(file, folder) for file in files]}], "beside": own})


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


def stamped(file: str, folder: Path) -> dict[str, Any]:
    """A file with its size and time; of a URL neither is known."""
    if is_url(file):
        return {"file": file}
    status = Path(file).stat()
    return {"file": relative(Path(file), folder), "size": status.st_size, "modified": status.st_mtime_ns}


def is_as_told(path: Path, one: Mapping[str, Any], hash_of: Callable[[Path], str] | None = None) -> bool:
    """Whether a file is as it was when it was described or stamped.

    Archives keep times in whole seconds, so a time that is whole now may have been any within that second.
    """
    status = path.stat()
    if status.st_size != one["size"]:
        return False
    if "sha256" in one:
        return bool((hash_of or sha256)(path) == one["sha256"])
    now, then = status.st_mtime_ns, int(one["modified"])
    return now == then or (now % SECOND == 0 and now // SECOND == then // SECOND)


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
