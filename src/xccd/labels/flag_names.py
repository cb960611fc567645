"""Flags by their names, as in the attribute ``flag_meanings``."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.kernels.flags import Flag
from xccd.messages import did_you_mean

NAMES = {str(flag.name).lower(): flag for flag in Flag}
NO_VALUE = Flag.NOT_FINITE | Flag.OUTSIDE_FOOTPRINT
USABLE = [name for name, flag in NAMES.items() if not flag & NO_VALUE]


def flag_of(argument: str, given: Any) -> int:
    """A name of a flag, or a number of one or several, as a number."""
    if isinstance(given, str):
        if given.lower() not in NAMES:
            raise ValueError(f"{argument}: {given!r} is no flag: use {', '.join(NAMES)}{did_you_mean(given, NAMES)}")
        return int(NAMES[given.lower()])
    if isinstance(given, (bool, np.bool_)) or not isinstance(given, (int, np.integer)) or not 0 < given < 256:
        raise ValueError(f"{argument}: {given!r} is no flag: use a name, as {USABLE[0]!r}, or a number from 1 to 255")
    return int(given)
