"""Which frames are of one detector, set in one way: what must be equal in a stack, and in a master and its frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from xccd.headers.settings import units_of
from xccd.night.plan.table_rows import texts_of

if TYPE_CHECKING:
    from pandas import DataFrame

# Columns that a user asks `scan` for; where they are in the table they part frames, too.
MORE = (
    "INSTRUME", "DETECTOR", "CAMERA", "DETSERNO", "CCDNAME", "CCDNUM", "CHIPID", "CHIP", "AMPNAME", "READOUTM",
    "READMODE",
)  # fmt: skip
DIGITS = 3  # of a gain: some cameras write a measured one, which differs a little from frame to frame


class Detector(NamedTuple):
    """What a detector and its settings are; "" for what is not known."""

    shape: str
    binning: str
    gain: str
    unit: str
    chip: str
    more: tuple[str, ...]

    def unknown_beside(self, other: Detector) -> int | None:
        """How many settings only one of both tells; None if both tell one that differs."""
        if self.shape != other.shape:
            return None
        pairs = [*zip(self[1:5], other[1:5], strict=True), *zip(self.more, other.more, strict=True)]
        if any(a and b and a != b for a, b in pairs):
            return None
        return sum(a != b for a, b in pairs)

    def untold_beside(self, other: Detector) -> str:
        """The names of settings that only one of both tells."""
        names = [n for n in ("binning", "gain", "unit", "chip") if bool(getattr(self, n)) != bool(getattr(other, n))]
        return " and ".join(names) or "a setting"

    def differs_from(self, other: Detector) -> str:
        """What the other one has in its place, as "shape 100x100, not 50x50"."""
        for name in ("shape", "binning", "gain", "unit", "chip"):
            a, b = getattr(self, name), getattr(other, name)
            if a != b and (name == "shape" or (a and b)):
                return f"{name} {b}, not {a}"
        return "other settings"


def detectors_of(facts: DataFrame, table: DataFrame) -> tuple[Any, list[Detector]]:
    """The number of each row's detector, and the detectors in an order that their settings tell."""
    gain = facts["gain"].map({g: "" if g != g else f"{g:.{DIGITS}g}" for g in facts["gain"].unique()})
    words = facts["unit"].unique().tolist()
    unit = facts["unit"].map(dict(zip(words, (u or "" for u in units_of(words)), strict=True)))
    # Chips are told apart by their HDU, also where but one of a file is left in the table.
    chips = facts[["file", "hdu"]].drop_duplicates()["file"].duplicated().any()
    chip = facts["hdu"].map({h: str(int(h)) if chips and h == h else "" for h in facts["hdu"].unique()}).fillna("")
    columns = [facts["shape"], facts["binning"], gain.fillna(""), unit, chip]
    more = [texts_of(table[name]) for name in MORE if name in table.columns]
    keys = list(zip(*(c.to_numpy(object) for c in (*columns, *more)), strict=True))
    known = sorted(set(keys))
    numbers = {key: i for i, key in enumerate(known)}
    made = [Detector(key[0], key[1], key[2], key[3], key[4], tuple(key[5:])) for key in known]
    return np.fromiter((numbers[key] for key in keys), np.int64, len(keys)), made
