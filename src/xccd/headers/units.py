"""Units as headers write them: astropy's spelling, squares, and whether data are counts or counts per time."""

from __future__ import annotations

import re

# Words of cameras and programs, in lower case, and astropy's word.
SPELLED = {
    "adu": "adu", "adus": "adu", "counts": "adu", "count": "count", "dn": "DN",
    "electron": "electron", "electrons": "electron", "photon": "photon", "photons": "photon",
    "sec": "s", "secs": "s", "second": "s", "seconds": "s",
}  # fmt: skip
CAMERA = ("", "adu", "DN", "count", "ct")  # the data's units in which a gain in electrons per unit applies
_WORD = re.compile(rf"(?<![A-Za-z])(?:{'|'.join(sorted(SPELLED, key=len, reverse=True))})(?![A-Za-z])", re.IGNORECASE)
_ELECTRONS = re.compile(r"(?<![\w.])e-(?!\d)", re.IGNORECASE)  # not the exponent of a number
_SECONDS = re.compile(r"(?<![A-Za-z])S(?![A-Za-z])")  # siemens; but seconds in a unit in capitals, as ADU/S
_SQUARE = re.compile(r"\((?P<unit>.+)\)\s*(?:\*\*|\^)\s*2")
_TIME = r"(?<![A-Za-z])(?:s|ms|min|h|hr)(?![A-Za-z])"
_PER_TIME = re.compile(
    rf"/.*?{_TIME}|{_TIME}\s*(?:\*\*|\^)?\s*\(?\s*-\s*\d|(?<![A-Za-z])(?:Hz|W|[munkM]?Jy|n?mgy|n?maggy|nanomaggy|mag)\b"
)


def spelled(text: str) -> str:
    """A unit with its words for counts and electrons in astropy's spelling: "adu" for ADU, "electron" for e-.

    A unit without such a word is returned unchanged.
    """
    unit = " ".join(text.split())
    if not (_WORD.search(unit) or _ELECTRONS.search(unit)):
        return text
    if unit == unit.upper():
        unit = _SECONDS.sub("s", unit)
    unit = _ELECTRONS.sub("electron", re.sub(r"\s+per\s+", " / ", unit, flags=re.IGNORECASE))
    return _WORD.sub(lambda word: SPELLED[word[0].lower()], unit)


def squared(text: str) -> str:
    """The unit of a variance."""
    return f"{text}**2" if text.isalpha() else f"({text})**2"


def root(text: str) -> str:
    """The unit whose square, as `squared` writes it, is ``text``; "" if ``text`` is not such a square."""
    match = _SQUARE.fullmatch(text.strip())
    return match["unit"] if match else ""


def per_time(text: str) -> bool:
    """Whether data in this unit do not grow with exposure time: counts per second, flux densities."""
    return bool(_PER_TIME.search(spelled(text)))
