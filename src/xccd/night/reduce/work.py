"""The frames of a product and their masters, as files: what the steps of a reduction begin with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame

    from xccd.night.plan.jobs import Job
    from xccd.night.recipe.recipe import Recipe

OFF = frozenset(("off", "", None))


@dataclass(frozen=True)
class MasterFile:
    """A master: the name of its product, its file, and how it was made ("" for one that was there already)."""

    name: str
    kind: str
    path: Path
    hdu: int = 0
    ready: bool = False
    text: str = ""


@dataclass(frozen=True)
class Piece:
    """Frames that go with the same masters, by their numbers in the rows of the product."""

    numbers: tuple[int, ...]
    masters: Mapping[str, MasterFile]
    scale_dark: bool


@dataclass
class Work:
    """A product to be made, and what is to be said of it."""

    name: str
    kind: str
    rows: DataFrame
    pieces: tuple[Piece, ...]
    recipe: Recipe
    notes: list[str] = field(default_factory=list)
    open_with: Mapping[str, Any] = field(default_factory=dict)  # further arguments of `open_dataset`

    @classmethod
    def of(
        cls, job: Job, recipe: Recipe, masters: Mapping[str, MasterFile], open_with: Mapping[str, Any]
    ) -> Work:  # fmt: skip
        """The work of a job; ``masters`` are those of the whole night, by name."""
        rows = in_order(job.frames)
        number = {key: i for i, key in enumerate(_keys(rows))}
        pieces = []
        for part in job.pieces:
            numbers = tuple(sorted(number[key] for key in _keys(part.frames)))
            own = {kind: masters[one.name] for kind, one in part.masters.items()}
            pieces.append(Piece(numbers, own, part.scale_dark))
        return cls(job.name, job.kind, with_hdus(rows), tuple(pieces), recipe, list(job.notes), open_with)

    def say(self, note: str) -> None:
        """Add a note, once."""
        if note not in self.notes:
            self.notes.append(note)


def in_order(frames: DataFrame) -> DataFrame:
    """The frames by time and name: sums of floats depend on their order."""
    keys = [k for k in ("date", "file", "hdu") if k in frames]
    return frames.sort_values(keys, kind="stable").reset_index(drop=True)


def with_hdus(rows: DataFrame) -> DataFrame:
    """The rows without a column of HDUs that tells none: then the first image of each file is meant."""
    return rows.drop(columns="hdu") if "hdu" in rows and rows["hdu"].isna().all() else rows


def _keys(frames: DataFrame) -> list[tuple[Any, ...]]:
    names = [k for k in ("file", "hdu") if k in frames]
    known = frames[names].astype(object).where(frames[names].notna(), None)  # NaN is no key, as it differs from itself
    return list(known.itertuples(index=False, name=None))
