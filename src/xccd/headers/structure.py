"""Cards that say where pixels are and how they are stored: each is understood in full, or the file is refused."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple

from xccd.headers import cards

WHERE = r"XTENSION|SIMPLE|EXTEND|BITPIX|NAXIS\d*|PCOUNT|GCOUNT|GROUPS|ZIMAGE|EXTNAME|EXTVER|PIXVALUE|NPIX\d+"
HOW = (
    r"BSCALE|BZERO|BLANK|TFIELDS|THEAP|T(TYPE|FORM)\d+|"
    r"Z(CMPTYPE|QUANTIZ|MASKCMP|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|SCALE|ZERO|BLANK|DITHER0|PCOUNT|GCOUNT|TENSION)"
)
OF_ANY = re.compile(WHERE)  # of every HDU that is looked at: where it ends, and what it is called
OF_PIXELS = re.compile(f"{WHERE}|{HOW}")  # of the one whose pixels are read
OF_REALS = re.compile(rf"(?!BLANK$)({WHERE}|{HOW})")  # the same where these are floats: there NaN is what BLANK is
NUMBERS = re.compile(
    r"Z?(BITPIX|NAXIS\d*|[PG]COUNT|BLANK|SCALE|ZERO|TILE\d+|DITHER0)|B(SCALE|ZERO)|T(FIELDS|HEAP)|NPIX\d+|PIXVALUE"
)
PRINTABLE = bytes(range(32, 127))
OF_LABELS = ("EXTNAME", "EXTVER")  # of which tiles may have two: their own, and the image's
_NAMED = re.compile(r" *(?:HIERARCH +)?([A-Z]+\d*) *=", re.IGNORECASE)
_VALUE = re.compile(
    r"= +(?:'(?:[^']|'')*'|(?P<truth>[TF])|[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?) *(?:/.*)?"
)  # as the standard has it
_UNDEFINED = re.compile(r"=? *(?:/.*)?")


class Told(NamedTuple):
    """What a line says of the structure: its keyword, its value, and whether that is a value it may have."""

    keyword: str
    value: str | int | float | None
    sound: bool


@lru_cache(maxsize=1 << 16)
def told(line: str) -> Told | None:
    """What a line says, if its keyword is one of the structure, however it is written."""
    keyword = line[:8].strip().upper()
    if not OF_PIXELS.fullmatch(keyword):
        match = _NAMED.match(line)
        keyword = match[1].upper() if match else ""
        if not OF_PIXELS.fullmatch(keyword):
            return None
    if keyword in OF_LABELS and _UNDEFINED.fullmatch(line[8:]):
        return None
    written = _VALUE.fullmatch(line[8:]) if line[:8] == keyword.ljust(8) else None
    if written is None or (written["truth"] and NUMBERS.fullmatch(keyword)):
        return Told(keyword, None, False)
    return Told(keyword, cards.value_of((line,)), True)


def check_bytes(raw: bytes, where: str) -> None:
    """Raise for a card of the structure with bytes that FITS forbids: elsewhere they become blanks, as in comments."""
    if not raw.translate(None, PRINTABLE):
        return
    for i in range(0, len(raw), 80):
        value = raw[i : i + 80].partition(b"/")[0]
        if value.translate(None, PRINTABLE) and told(cards.from_bytes(value)) is not None:
            raise OSError(f"{where}: the card {value.rstrip()!r} has bytes that are no text: the file is damaged")


def check(text: str, concerned: re.Pattern[str], where: str) -> None:
    """Raise for a card of the structure that cannot be read, or that is there twice with different values."""
    found: dict[str, Told] = {}
    for line in text.split("\n"):
        said = told(line)
        if said is None or not concerned.fullmatch(said.keyword):
            continue
        if not said.sound:
            raise OSError(
                f"{where}: the card {line!r} cannot be read, so its pixels are not known: the file is damaged"
            )
        first = found.setdefault(said.keyword, said)
        if first.value != said.value and said.keyword not in OF_LABELS:
            raise OSError(
                f"{where}: it has {said.keyword} = {first.value!r} and {said.keyword} = {said.value!r}: "
                "which of them holds is not known, the file is damaged"
            )
