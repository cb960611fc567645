"""`keep`: the frames that a rule such as ``"fwhm<80%"`` leaves in."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

OPERATORS = ("<", "<=", ">", ">=")
_CONDITION = re.compile(
    r"\s*(?P<name>[A-Za-z_][\w .-]*?)\s*(?P<operator><=|>=|<|>)\s*(?P<value>[^<>=%]+?)\s*(?P<share>%?)\s*"
)
EXAMPLES = "as 'fwhm<80%', 'stars>20%' or 'noise<=12.5', several joined by commas"


class Condition(NamedTuple):
    """One part of a rule: what a frame must meet to stay."""

    name: str
    operator: str  # one of `OPERATORS`
    value: float  # a number, or percent
    share: bool  # whether the value is a share of the frames in percent

    def __str__(self) -> str:
        return f"{self.name}{self.operator}{self.value:.15g}{'%' if self.share else ''}"


def parsed(text: str) -> tuple[Condition, ...]:
    """The conditions of a rule; ValueError or TypeError says which part is wrong, and how to write it.

    Only the text is judged: whether frames have such a label is not known here.
    """
    if not isinstance(text, str):
        raise TypeError(f"rule={text!r} is not a text: write it {EXAMPLES}")
    return tuple(_condition(text, part) for part in text.split(","))


def _condition(text: str, part: str) -> Condition:
    found = _CONDITION.fullmatch(part)
    if found is None:
        where = f": {part.strip()!r}" if part.strip() != text.strip() else ""
        raise ValueError(f"rule={text!r}{where} is not a name, one of {' '.join(OPERATORS)}, and a number: {EXAMPLES}")
    name, operator, number, share = found.groups()
    try:
        value = float(number)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"rule={text!r}: {number!r} is not a finite number: {EXAMPLES}")
    kept = value if operator in ("<", "<=") else 100 - value
    if share and not 0 < kept <= 100:
        bounds = "above 0 and up to 100" if operator in ("<", "<=") else "from 0 to less than 100"
        raise ValueError(f"rule={text!r}: {name}{operator}{number}% leaves no frame or is no share: give {bounds} %")
    return Condition(name, operator, value, bool(share))
