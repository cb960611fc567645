"""`Plan`: which products a night gives, and of which frames and masters each is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pandas import DataFrame


@dataclass(frozen=True, eq=False)
class Job:
    """One product."""

    name: str  # "bias", "dark-120s", "flat-r", "M_51-r-120s": also the file's name, without folder and suffix
    kind: str  # "bias", "dark", "flat", "light"
    frames: DataFrame  # its rows of the table
    masters: dict[str, Job]  # "bias", "dark", "flat": the masters that its frames need; those not there are missing
    notes: tuple[str, ...] = ()  # what is missing or was chosen, a sentence each

    @property
    def path(self) -> str:
        """Where its file lies below the folder of products."""
        return f"{self.name}.fits" if self.kind == "light" else f"masters/{self.name}.fits"


@dataclass(frozen=True, eq=False)
class Plan:
    """The products of a night in the order in which they are made: masters before the frames that need them."""

    jobs: tuple[Job, ...]
    left_out: DataFrame  # rows of the table that belong to no product, with a column ``why``
