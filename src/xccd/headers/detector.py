"""How a detector was set, from the many keywords for it: binning and temperature."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from xccd.headers import cards

BINNINGS = (  # keywords for x and y; or one for both
    ("XBINNING", "YBINNING"), ("CCDXBIN", "CCDYBIN"), ("BINX", "BINY"), ("CCDBIN1", "CCDBIN2"), ("CCDSUM",),
    ("BINNING",),
)  # fmt: skip
TEMPERATURES = ("CCD-TEMP", "CCDTEMP", "DET-TEMP", "DETTEMP", "SET-TEMP", "SET_TEMP", "SETTEMP")  # what it was, first


def binning(values: Mapping[str, Any]) -> str:
    """The binning as "2x2" (y, x), "" for a header that does not tell it."""
    for keywords in BINNINGS:
        text = " ".join(str(values[k]) for k in keywords if k in values)
        if numbers := re.findall(r"\d+(?:\.\d+)?", text):
            x, y = (f"{float(n):g}" for n in (numbers[0], numbers[-1]))
            return f"{y}x{x}"
    return ""


def temperature(values: Mapping[str, Any]) -> float:
    """The temperature in the unit of the header, NaN without one."""
    found = (cards.as_number(values[k]) for k in TEMPERATURES if k in values)
    return next((number for number in found if number == number), float("nan"))
