"""Files that could not be opened: the label of their frames, and the text that says which were left out."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import PurePath

import xarray as xr

PROBLEM = "problem"  # coordinate on the frames: why a frame is NaN, "" for the others
SKIPPED = "skipped"  # attribute: the files that were left out, a line each
NAMED = 12  # files in a line of HISTORY


def problems(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """Why each frame could not be opened, "" for the others; [] for a stack of which nothing is known."""
    label = stack.coords.get(PROBLEM)
    if label is None or label.dims != (dim,):
        return []
    return ["" if text is None or text != text else str(text) for text in label.values.tolist()]


def in_use(stack: xr.DataArray, dim: Hashable) -> list[int] | None:
    """The numbers of the frames that could be opened; None if these are all, or none."""
    found = [i for i, text in enumerate(problems(stack, dim)) if not text]
    return found if 0 < len(found) < stack.sizes[dim] else None


def line(file: str, why: str) -> str:
    """A line of the attribute `SKIPPED`."""
    name = file.replace(": ", ":\\x20")
    return f"{name}: {why}".replace("\n", "\\n")


def skipped(obj: xr.DataArray) -> list[tuple[str, str]]:
    """The name, without folders, and the reason of each file that was left out of an object."""
    text = obj.attrs.get(SKIPPED)
    lines = text.split("\n") if isinstance(text, str) and text else []
    return [(PurePath(file).name, why) for file, _, why in (one.partition(": ") for one in lines)]


def step(verb: str, how: str, some: list[str], count: int) -> str:
    """The line of history that says which of ``count`` files were left out, or are NaN."""
    names = ", ".join(PurePath(name).name for name in some[:NAMED])
    more = f" and {len(some) - NAMED} more" if some[NAMED:] else ""
    return f"xccd.{verb}: {how} {len(some)} of {count} files that cannot be opened: {names}{more}"
