"""What a product was made of, kept beside the products: whether it must be made again."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.night.reduce.made_by import COLUMNS, plain
from xccd.write.place import new_file, replacing

if TYPE_CHECKING:
    from xccd.night.reduce.work import Work

FOLDER = ".xccd"  # below the folder of products


def stamp(path: Path) -> list[int]:
    """Size and time of a file; [] if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def state_of(work: Work) -> dict[str, Any]:
    """All that the pixels of a product depend on, as JSON holds it."""
    rows = work.rows.to_dict("records")
    frames = [[str(row["file"]), *stamp(Path(row["file"])), *(plain(row.get(k)) for k in COLUMNS)] for row in rows]
    masters = [
        [piece.scale_dark, list(piece.numbers)]
        + [[kind, str(one.path), one.hdu, *stamp(one.path)] for kind, one in sorted(piece.masters.items())]
        for piece in work.pieces
    ]
    state = {
        "xccd": version("xccd"), "kind": work.kind, "notes": work.notes, "frames": frames, "masters": masters,
        "recipe": part_of_recipe(work),
    }  # fmt: skip
    return dict(json.loads(json.dumps(state)))


def part_of_recipe(work: Work) -> dict[str, Any]:
    """The choices that matter for a product of a kind."""
    recipe = work.recipe
    every = asdict(recipe)
    found = {"detector": every["detector"], work.kind: every[work.kind], "maps": recipe.output.maps}
    if any("flat" in piece.masters for piece in work.pieces):
        found["norm of flat"] = [recipe.flat.norm, recipe.flat.min_value]
    return found


def kept(product: Path, output: Path) -> Path:
    """The file that keeps the state of a product."""
    return output / FOLDER / f"{product.relative_to(output)}.json"


def recorded(product: Path, output: Path) -> dict[str, Any]:
    """What is kept of a product; {} if nothing can be read."""
    try:
        found = json.loads(kept(product, output).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def why_again(product: Path, output: Path, state: dict[str, Any]) -> str:
    """Why the product must be made: "" if it is up to date."""
    known, now = recorded(product, output), stamp(product)
    before = known.get("state")
    if not now:
        return "it is not there"
    if not isinstance(before, dict) or not isinstance(known.get("made_by"), str):
        return "nothing is kept of how it was made"
    if known.get("product") != now:
        return "the file was changed"
    changed = [name for name in state if before.get(name) != state[name]]
    return f"changed: {', '.join(changed)}" if changed else ""


def keep(product: Path, output: Path, state: dict[str, Any], made_by: str, notes: list[str]) -> None:
    """Keep the state of a product that was written just now; the file is whole or not there."""
    place = kept(product, output)
    place.parent.mkdir(parents=True, exist_ok=True)
    known = {"product": stamp(product), "state": state, "notes": notes, "made_by": made_by}
    data = json.dumps(known, indent=1).encode()
    with replacing(place, lambda folder: new_file(folder, overwrite=True), lambda: len(data)) as file:
        file.write(data)
