"""What a product was made of, kept beside the products: whether it must be made again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.write.place import new_file, replacing

if TYPE_CHECKING:
    from xccd.night.plan import Job
    from xccd.night.recipe import Recipe

FOLDER = ".xccd"  # below the folder of products
COLUMNS = ("kind", "filter", "exposure", "object", "gain")  # what a user may mend in the table


def stamp(path: Path) -> list[int]:
    """Size and time of a file; [] if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def state_of(job: Job, masters: Mapping[str, Path], recipe: Recipe) -> dict[str, Any]:
    """All that the pixels of a product depend on, as JSON holds it."""
    frames = [
        [str(row["file"]), int(row.get("hdu", 0)), *stamp(Path(row["file"])), *(_plain(row.get(k)) for k in COLUMNS)]
        for row in job.frames.to_dict("records")
    ]
    made_of = {kind: [str(path), *stamp(path)] for kind, path in masters.items()}
    state = {
        "xccd": version("xccd"), "kind": job.kind, "notes": list(job.notes), "frames": frames, "masters": made_of,
        "recipe": part_of_recipe(recipe, job.kind, masters),
    }  # fmt: skip
    return dict(json.loads(json.dumps(state)))


def _plain(value: Any) -> Any:
    return None if value is None or value != value else value.item() if hasattr(value, "item") else value


def part_of_recipe(recipe: Recipe, kind: str, masters: Mapping[str, Path]) -> dict[str, Any]:
    """The choices that matter for a product of a kind."""
    every = asdict(recipe)
    found = {"detector": every["detector"], kind: every[kind], "maps": recipe.output.maps}
    if "dark" in masters:
        found["scale of dark"] = recipe.dark.scale
    if "flat" in masters:
        found["norm of flat"] = [recipe.flat.norm, recipe.flat.min_value]
    return found


def kept(output: Path, job: Job) -> Path:
    """The file that keeps the state of a product."""
    return output / FOLDER / f"{job.path}.json"


def recorded(output: Path, job: Job) -> dict[str, Any]:
    """What is kept of a product; {} if nothing can be read."""
    try:
        found = json.loads(kept(output, job).read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def why_again(output: Path, job: Job, state: dict[str, Any]) -> str:
    """Why the product must be made: "" if it is up to date."""
    known, product = recorded(output, job), stamp(output / job.path)
    if not product:
        return "it is not there"
    if not known:
        return "nothing is kept of how it was made"
    if known.get("product") != product:
        return "the file was changed"
    before = known.get("state")
    if not isinstance(before, dict):
        return "nothing is kept of how it was made"
    changed = [name for name in state if before.get(name) != state[name]]
    return f"changed: {', '.join(changed)}" if changed else ""


def keep(output: Path, job: Job, state: dict[str, Any], made_by: str) -> None:
    """Keep the state of a product that was written just now; the file is whole or not there."""
    place = kept(output, job)
    place.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"product": stamp(output / job.path), "state": state, "made_by": made_by}, indent=1)
    write_text(place, text)


def write_text(place: Path, text: str) -> None:
    """Write a text file whole or not at all."""
    data = text.encode()
    with replacing(place, lambda folder: new_file(folder, overwrite=True), lambda: len(data)) as file:
        file.write(data)
