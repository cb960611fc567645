"""Cards that locate the pixels and describe their storage: a file in which one of them is unclear is refused."""

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
OF_ANY = re.compile(WHERE)  # checked in every HDU: its size and its name
OF_PIXELS = re.compile(f"{WHERE}|{HOW}")  # checked in the HDU whose pixels are read
OF_REALS = re.compile(rf"(?!BLANK$)({WHERE}|{HOW})")  # the same for float pixels, which have NaN instead of BLANK
NUMBERS = re.compile(
    r"Z?(BITPIX|NAXIS\d*|[PG]COUNT|BLANK|SCALE|ZERO|TILE\d+|DITHER0)|B(SCALE|ZERO)|T(FIELDS|HEAP)|NPIX\d+|PIXVALUE"
)
PRINTABLE = bytes(range(32, 127))
OF_LABELS = ("EXTNAME", "EXTVER")  # a tile-compressed HDU may have two: the table's and the image's
_NAMED = re.compile(r" *(?:HIERARCH +)?([A-Z]+\d*) *=", re.IGNORECASE)
_VALUE = re.compile(
    r"= +(?:'(?:[^']|'')*'|(?P<truth>[TF])|[+-]?(?:\d+\.?\d*|\.\d+)(?:[EDed][+-]?\d+)?) *(?:/.*)?"
)  # the standard's form
_UNDEFINED = re.compile(r"=? *(?:/.*)?")


class Structural(NamedTuple):
    """A structural card: its keyword, its value, and whether the value has the standard's form."""

    keyword: str
    value: str | int | float | None
    sound: bool


@lru_cache(maxsize=1 << 16)
def parse(line: str) -> Structural | None:
    """The structural card on a line, however its keyword is written; None for any other card."""
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
        return Structural(keyword, None, False)
    return Structural(keyword, cards.value_of((line,)), True)


def check_bytes(raw: bytes, where: str) -> None:
    """Raise if a structural card has bytes that FITS forbids. In other cards, as comments, they become blanks."""
    if not raw.translate(None, PRINTABLE):
        return
    for i in range(0, len(raw), 80):
        value = raw[i : i + 80].partition(b"/")[0]
        if value.translate(None, PRINTABLE) and parse(cards.from_bytes(value)) is not None:
            raise OSError(f"{where}: the card {value.rstrip()!r} has bytes that are no text: the file is damaged")


def check(text: str, concerned: re.Pattern[str], where: str) -> None:
    """Raise if a structural card cannot be read, or occurs twice with different values."""
    found: dict[str, Structural] = {}
    for line in text.split("\n"):
        card = parse(line)
        if card is None or not concerned.fullmatch(card.keyword):
            continue
        if not card.sound:
            raise OSError(
                f"{where}: the card {line!r} cannot be read, so its pixels are not known: the file is damaged"
            )
        first = found.setdefault(card.keyword, card)
        if first.value != card.value and card.keyword not in OF_LABELS:
            raise OSError(
                f"{where}: it has {card.keyword} = {first.value!r} and {card.keyword} = {card.value!r}: "
                "it is not known which one is true, the file is damaged"
            )
