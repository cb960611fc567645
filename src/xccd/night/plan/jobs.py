"""`Plan`: which products a night gives, and of which frames and masters each is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Part:
    """Frames of a product that go with the same masters."""

    frames: DataFrame
    masters: dict[str, Job]
    scale_dark: bool = True


@dataclass(frozen=True, eq=False, repr=False)
class Job:
    """One product, or a master that is there already.

    The frames get the masters in the order bias, dark, flat. A bias is never scaled. The dark is scaled by EXPTIME if
    ``scale_dark``; otherwise it is subtracted as it is, and holds the bias if there is no "bias" among the masters.
    """

    name: str  # "bias", "dark-120s", "flat-r", "M_51-r-120s": also the file's name, without folder and suffix
    kind: str  # "bias", "dark", "flat", "light"
    frames: DataFrame  # its rows of the table, in the order of their dates
    masters: dict[str, Job]  # "bias", "dark", "flat": what all its frames get; those not there are missing
    notes: tuple[str, ...] = ()  # what is missing or was chosen, a sentence each
    scale_dark: bool = True
    parts: tuple[Part, ...] = ()  # only if frames go with different masters: each part has its own, these count then
    ready: str = ""  # the file of a master that is there already, as in the table: nothing is to be made

    def __repr__(self) -> str:
        return f"<Job {self.name}: {self.kind}, {len(self.frames)} frame(s)>"

    @property
    def path(self) -> str:
        """Where its file lies below the folder of products, if it is to be made."""
        return f"{self.name}.fits" if self.kind == "light" else f"masters/{self.name}.fits"

    @property
    def pieces(self) -> tuple[Part, ...]:
        """The parts; without parts all frames are one."""
        return self.parts or (Part(self.frames, self.masters, self.scale_dark),)

    @property
    def needs(self) -> tuple[Job, ...]:
        """All masters of its frames, each once."""
        return tuple(dict.fromkeys(job for part in self.pieces for job in part.masters.values()))


@dataclass(frozen=True, eq=False, repr=False)
class Plan:
    """The products of a night in the order in which they are made: masters before the frames that need them."""

    jobs: tuple[Job, ...]
    left_out: DataFrame  # rows of the table that belong to no product, with a column ``why``

    def __str__(self) -> str:
        from xccd.night.plan.plan_text import tree

        return tree(self)

    __repr__ = __str__  # what a notebook shows

    def to_dict(self) -> dict[str, Any]:
        """The plan in the types of JSON."""
        from xccd.night.plan.plan_text import as_dict

        return as_dict(self)
