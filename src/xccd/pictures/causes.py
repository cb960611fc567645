"""Why samples are out: the causes that pictures show, and the cause of each sample."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from xccd.kernels.flags import Flag
from xccd.pictures.subject import Subject

Array = np.ndarray[Any, Any]


class Cause(NamedTuple):
    """Samples that are out for one reason, and how a picture shows them: apart in grey, and for the colour-blind."""

    name: str
    flags: int
    colour: str
    hatch: str
    marker: str  # of a sample
    rejected: bool = True  # by a verb; else it was missing before


# In the order in which they count: a sample with several flags has the first of these causes.
CAUSES = (
    Cause("missing or masked before", int(Flag.MASKED_ON_INPUT | Flag.NOT_FINITE | Flag.OUTSIDE_FOOTPRINT), "#bbbbbb",
          "", "|", rejected=False),
    Cause("below the minimum", int(Flag.BELOW_MINIMUM), "#56b4e9", "\\\\\\", "v"),
    Cause("above the maximum", int(Flag.ABOVE_MAXIMUM), "#f0e442", "xxx", "^"),
    Cause("rejected as low", int(Flag.REJECTED_LOW), "#0072b2", "///", "v"),
    Cause("rejected as high", int(Flag.REJECTED_HIGH), "#d55e00", "", "^"),
    Cause("grown from neighbours", int(Flag.GROWN), "#009e73", "...", "s"),
)  # fmt: skip
UNKNOWN = Cause("missing, cause unknown: original= tells it", 0, "#777777", "", "x")


def causes_of(what: Subject, before: Subject | None, step: int) -> tuple[Array, tuple[Cause, ...]]:
    """For each strided sample (frame, y, x) the number of its cause from 1 on, 0 in use; and these causes.

    From the samples ``before``, the flags, or the clips of a lazy stack. If none of these tells, the cause is unknown.
    """
    flags = what.flags(step) if before is None else None
    if flags is not None:
        return numbered(flags), CAUSES
    values = what.look(step)
    bad = np.isnan(values)
    if before is None:
        return bad.astype(np.uint8), (UNKNOWN,)
    return numbered(compared(before.look(step), bad)), CAUSES


def numbered(flags: Array) -> Array:
    """The number of the cause of each sample by its flags, 0 in use."""
    table = np.zeros(256, np.uint8)
    for number, cause in reversed(list(enumerate(CAUSES, 1))):
        table[(np.arange(256) & cause.flags) != 0] = number
    found: Array = table[flags]
    return found


def compared(before: Array, bad: Array) -> Array:
    """Flags of samples that are out, by those before: high from the median of what is left of the pixel on."""
    missing = np.isnan(before)
    kept = np.where(bad, np.nan, before)
    with np.errstate(all="ignore"):
        middle = _median(np.where(np.isnan(kept).all(0), before, kept))
        high = before >= middle
    flags = np.where(bad, np.where(high, Flag.REJECTED_HIGH, Flag.REJECTED_LOW), 0).astype(np.uint8)
    flags[missing] = Flag.NOT_FINITE
    return flags


def _median(values: Array) -> Array:
    """The median along the frames of what is not NaN, without a warning where there is nothing."""
    ordered = np.sort(values, axis=0)  # NaN at the end
    count = np.count_nonzero(~np.isnan(ordered), axis=0)
    low, high = np.maximum(count - 1, 0) // 2, count // 2
    pick = [np.take_along_axis(ordered, np.minimum(k, len(values) - 1)[None], 0)[0] for k in (low, high)]
    found: Array = (pick[0] + pick[1]) / 2
    return found
