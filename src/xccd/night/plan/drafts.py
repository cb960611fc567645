"""Products while a plan is made, before they have names; and what frames ask of a master."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

from xccd.night.plan.groups import Group
from xccd.night.plan.ready_masters import bias_is_off


class Asked(NamedTuple):
    """What some frames of a product need of their masters."""

    kind: str
    detector: int
    night: int
    filter: str
    exposure: float
    temperature: float


@dataclass(frozen=True)
class Piece:
    """Frames with the same masters."""

    rows: Any
    masters: dict[str, Draft]
    scale_dark: bool = True


@dataclass(eq=False)
class Draft:
    """A product to be, or a master that is there already."""

    group: Group
    ready: str = ""  # the file of a master that is there
    hdu: int | None = None  # of that file
    pieces: list[Piece] = field(default_factory=list)
    notes: dict[str, None] = field(default_factory=dict)  # in order, each once

    @property
    def kind(self) -> str:
        """The kind of its frames."""
        return self.group.kind

    @cached_property
    def holds_bias(self) -> bool:
        """Of a dark: whether its bias is in it. Of a ready one its header tells it."""
        if self.ready:
            return not bias_is_off(self.ready, self.hdu)
        return not all("bias" in piece.masters for piece in self.pieces)

    def note(self, *texts: str) -> None:
        """Add sentences."""
        self.notes |= dict.fromkeys(texts)

    def needs(self) -> list[Draft]:
        """The masters of its frames."""
        return list(dict.fromkeys(m for piece in self.pieces for m in piece.masters.values()))
