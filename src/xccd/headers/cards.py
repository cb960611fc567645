"""Header cards as text: a header is the lines of its cards, joined by newlines, without blanks at the end.

A stack carries this text for each frame. It keeps every card as written (HIERARCH, CONTINUE, COMMENT, duplicates). A
card is parsed when its value is needed, and gives the value that astropy would read.
"""

from __future__ import annotations

import re
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from astropy.io.fits import Header

BLOCK = 2880  # bytes: headers and data fill whole blocks of a file
COMMENTARY = frozenset({"COMMENT", "HISTORY", "CONTINUE", ""})  # a CONTINUE by itself has no value
STRUCTURAL = re.compile(
    r"SIMPLE|XTENSION|BITPIX|NAXIS\d*|EXTEND|PCOUNT|GCOUNT|GROUPS|END|NEXTEND|"
    r"BSCALE|BZERO|BLANK|CHECKSUM|DATASUM|INHERIT|EXTNAME|EXTVER|EXTLEVEL|"
    r"Z(IMAGE|TENSION|BITPIX|NAXIS\d*|TILE\d+|NAME\d+|VAL\d+|CMPTYPE|SIMPLE|EXTEND|QUANTIZ|DITHER0|"
    r"BLANK|SCALE|ZERO|PCOUNT|GCOUNT|HECKSUM|DATASUM|MASKCMP)"
)
WCS = re.compile(
    r"(WCSAXES|WCSNAME|CNAME\d+|CTYPE\d+|CRVAL\d+|CRPIX\d+|CDELT\d+|CUNIT\d+|CROTA\d+|CRDER\d+|CSYER\d+|"
    r"(PC|CD|PV|PS)\d+_\d+|(PC|CD)\d{6}|LONPOLE|LATPOLE|RADESYS|EQUINOX|SPECSYS|VELREF|RESTFRQ|RESTWAV)[A-Z]?|"
    r"RADECSYS|EPOCH|PROJP\d|RESTFREQ|WCSDIM|WAT\d_\d+|[AB]P?_(ORDER|\d+_\d+|DMAX)|"
    r"(CPDIS|CQDIS|D[PQ]|CPERR|CQERR|DVERR|D2IM(?:DIS|ERR)?)\d.*|AXISCORR|LTV\d|LTM\d_\d|"
    r"AMD[XY]\d+|PLTRA[HMS]|PLTDEC(SN|[DMS])|CNPIX\d|PPO\d|[XY]PIXELSZ"  # a plate of the Digitized Sky Survey
)
TABLES = re.compile(r"(CPDIS|CQDIS|D[PQ]|CPERR|CQERR|DVERR|D2IM(?:DIS|ERR)?)\d.*|AXISCORR")  # distortion in other HDUs


class Card(NamedTuple):
    """A keyword and its lines (several with CONTINUE)."""

    keyword: str
    lines: tuple[str, ...]

    @property
    def value(self) -> str | int | float | None:
        return value_of(self.lines)


def from_bytes(block: bytes) -> str:
    """Header text from 80-byte cards without END; bytes that FITS forbids become blanks."""
    text = block.decode("latin-1").translate(_PRINTABLE)
    return "\n".join([_upper(text[i : i + 80]) for i in range(0, len(text), 80)])


_PRINTABLE = dict.fromkeys((*range(32), *range(127, 256)), " ")


@lru_cache(maxsize=1 << 16)  # cached here and below, as frames of one night share most cards
def _upper(line: str) -> str:
    """A card without blanks at its end, its keyword in upper case as the standard requires."""
    line = line.rstrip()
    first = line[:8].upper()
    return first + line[8:] if line[8:9] == "=" or first.rstrip() in _NO_VALUE else line


_NO_VALUE = frozenset({"COMMENT", "HISTORY", "CONTINUE", "HIERARCH"})
_GOES_ON = re.compile(r".*&'\s*(/.*)?")


def ascii_only(text: str) -> str:
    """A text as a card can hold it: printable ASCII, other characters as Python's escapes."""
    return text.translate(_SPELLED).encode("ascii", "backslashreplace").decode()


_SPELLED = dict.fromkeys((*range(32), 127), " ") | {0xB5: "u", 0x3BC: "u"}  # both micro signs, as FITS units spell it


def split(text: str) -> Iterator[Card]:
    """The cards of a header text in order; CONTINUE lines belong to the card they continue."""
    return _split_long(text) if "\nCONTINUE" in text else map(_card, text.split("\n"))


@lru_cache(maxsize=1 << 16)
def _card(line: str) -> Card:
    return Card(_keyword(line), (line,))


def _split_long(text: str) -> Iterator[Card]:
    """`split` for a text with CONTINUE lines."""
    lines: list[str] = []
    for line in text.split("\n"):
        if lines and line.startswith("CONTINUE  '") and _GOES_ON.fullmatch(lines[-1]):
            lines.append(line)
            continue
        if lines:
            yield Card(_keyword(lines[0]), tuple(lines))
        lines = [line]
    if lines:
        yield Card(_keyword(lines[0]), tuple(lines))


def _keyword(line: str) -> str:
    if line.startswith("HIERARCH ") and "=" in line:
        return " ".join(line[9:].split("=", 1)[0].upper().split())
    return line[:8].strip().upper()


def join(cards: Iterable[Card]) -> str:
    """The header text of some cards."""
    return "\n".join(line for card in cards for line in card.lines)


# The form of most cards. astropy takes 90 us to parse one, and each frame of a night has about ten of its own.
_PLAIN = re.compile(
    r"(?!COMMENT|HISTORY|CONTINUE|END *=)[A-Z0-9_-]{1,8} *= +"
    r"(?:'(?P<text>[^'&]*)'|(?P<truth>[TF])|(?P<whole>[+-]?\d{1,18})|"
    r"(?P<real>[+-]?\d+\.\d*(?:[ED][+-]?\d{1,3})?)) *(?:/[^']*)?"
)
_READ: dict[str, Callable[[str], str | int | float]] = {
    "text": str.rstrip,
    "truth": "FT".index,
    "whole": int,
    "real": lambda digits: float(digits.replace("D", "E")),
}


@lru_cache(maxsize=1 << 16)
def value_of(lines: tuple[str, ...]) -> str | int | float | None:
    """A card's value: text, int (booleans as 0 or 1), float, or None if it has none."""
    plain = _PLAIN.fullmatch(lines[0]) if len(lines) == 1 and lines[0][8:10] == "= " else None
    if plain and plain.lastgroup:
        return _READ[plain.lastgroup](plain[plain.lastgroup])
    return _odd_value(lines)


# Forms that astropy reads against the standard: numbers with blanks in them, a quote that is not doubled.
_NUMBER = r"[+-]? *(?:\.\d+|\d+(?:\.\d*)?) *(?:[DEde] *[+-]? *\d+)?"
_REST = r" *(?:/.*)?"
_NUMBER_FIELD = re.compile(rf" *({_NUMBER}){_REST}")
_PAIR_FIELD = re.compile(rf" *\( *({_NUMBER}) *, *({_NUMBER}) *\){_REST}")
_TRUTH_FIELD = re.compile(rf" *([FT]){_REST}")
_TEXT_FIELD = re.compile(rf" *'(?:(.+?)')?(?(1)|'){_REST}")
MOST_LINES = 1000  # lines of a card with CONTINUE: astropy takes 20 s to read 100 000
_REMARK = re.compile(r"(COMMENT|HISTORY) [ -~]{0,72}")


def _is_plain(line: str) -> bool:
    """Whether a card has the standard's form, so that astropy leaves it unchanged."""
    return line[8:10] == "= " and bool(_PLAIN.fullmatch(line)) and len(line) <= 80 and line.isascii()


def _odd_value(lines: tuple[str, ...]) -> str | int | float | None:
    """`value_of` for cards of any form."""
    field = _field(lines[0])
    if field is None:  # no "= ": a remark, whatever its keyword
        return lines[0][8:].rstrip()
    if len(lines) > 1:
        field = _continued([field, *(line[8:] for line in lines[1:])])
    if match := _TEXT_FIELD.fullmatch(field):
        return (match[1] or "").replace("''", "'").rstrip()
    if match := _TRUTH_FIELD.fullmatch(field):
        return "FT".index(match[1])
    if match := _NUMBER_FIELD.fullmatch(field):
        number = _number_of_digits(match[1])
        return number if isinstance(number, float) or abs(number) < 1 << 63 else str(number)  # no dtype holds it
    if match := _PAIR_FIELD.fullmatch(field):
        return str(_number_of_digits(match[1]) + _number_of_digits(match[2]) * 1j)
    return None


_REMARKS = COMMENTARY | {"END"}


def _field(line: str) -> str | None:
    """The text after the keyword and "="; None for a remark, or a card without "="."""
    if line[:8].strip().upper() in _REMARKS:
        return None
    if line[:9].upper() == "HIERARCH " and "=" in line:
        return line.split("=", 1)[1]
    place = _equals(line)
    return line[place + 2 :] if place >= 0 and not _is_remark(line) else None


def _equals(line: str) -> int:
    """The column of "= ", at most 8; -1 if it is not there. The standard demands 8, astropy accepts less."""
    place = f"{line} ".find("= ")
    return place if place <= 8 else -1


def _is_remark(line: str) -> bool:
    """Whether a card is COMMENT, HISTORY or another that has text instead of a value."""
    place = _equals(line)
    return line[:8].strip().upper() in _REMARKS or (place >= 0 and line[:place].strip().upper() in _REMARKS)


def _continued(fields: list[str]) -> str:
    """The fields of a text and its CONTINUE cards, joined into one field."""
    parts = []
    for field in fields:
        match = _TEXT_FIELD.fullmatch(field)
        if match is None:
            return "?"
        parts.append((match[1] or "").rstrip().removesuffix("&"))
    return f"'{''.join(parts)}'"


def _number_of_digits(digits: str) -> int | float:
    digits = digits.replace(" ", "").upper().replace("D", "E")
    return int(digits) if digits.lstrip("+-").isdigit() else float(digits)


def quiet() -> AbstractContextManager[object]:
    """A context that ignores astropy's warnings in the main thread, and does nothing in others.

    Warning filters belong to the process: two threads that change and restore them can leave them changed. So only the
    main thread changes them, and code that runs in other threads must not warn.
    """
    if threading.current_thread() is not threading.main_thread():
        return nullcontext()
    return warnings.catch_warnings(action="ignore")


def parsed(lines: Iterable[str]) -> Header:
    """An astropy Header of some lines, padded to 80 columns: with unpadded lines astropy misreads CONTINUE cards."""
    from astropy.io import fits

    return fits.Header.fromstring(_padded(lines))


def _padded(lines: Iterable[str]) -> str:
    return "".join(line.ljust(80) for line in lines)


@lru_cache(maxsize=1 << 16)
def mended(lines: tuple[str, ...]) -> tuple[str, ...]:
    """The lines of a card that astropy can read and write: unchanged, mended, or else as COMMENT."""
    if len(lines) == 1 and (_is_plain(lines[0]) or _REMARK.fullmatch(lines[0])):
        return lines
    from astropy.io import fits

    if len(lines) > MOST_LINES:
        return _as_comment(lines)
    if _is_sound(lines):
        return lines
    if _field(lines[0]) is None:
        return _as_comment(lines)
    try:
        card = fits.Card.fromstring(_padded(lines))
        card.verify("silentfix")
        with quiet():  # warns if the comment is cut because the value takes more room
            again = _lines_of_card(card.image)
    except (fits.VerifyError, ValueError):
        return _as_comment(lines)
    return again if _is_sound(again) else _as_comment(lines)


def _is_sound(lines: tuple[str, ...]) -> bool:
    """Whether astropy reads a card and writes it unchanged, without a warning."""
    from astropy.io import fits

    if re.match(r" *END *(=|$)", lines[0][:8]) or (_field(lines[0]) is None and not _is_remark(lines[0])):
        return False
    try:
        header = parsed(lines)
        for card in header.cards:
            card.verify("exception")
        read = [(card.keyword, card.value, card.comment) for card in header.cards]
        again = header.tostring(endcard=False, padding=False)
        return read[0][0] != "CONTINUE" and bool(again == _padded(lines))
    except (fits.VerifyError, ValueError, IndexError):
        return False


def _as_comment(lines: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(f"COMMENT {part}" for line in lines for part in (line[:72], line[72:]) if part)


def _lines_of_card(image: str) -> tuple[str, ...]:
    return tuple(image[i : i + 80].rstrip() for i in range(0, len(image), 80))


def values(text: str) -> dict[str, str | int | float]:
    """The value of each keyword that has one; the first of duplicates, as in astropy."""
    return dict(_values(text))


@lru_cache(maxsize=4)  # an opener asks for those of each file twice, one file after the other
def _values(text: str) -> dict[str, str | int | float]:
    found: dict[str, str | int | float] = {}
    for keyword, lines in split(text):
        if keyword not in COMMENTARY and keyword not in found:
            value = value_of(lines)
            if value is not None:
                found[keyword] = value
    return found


def card_value(text: str, keyword: str) -> str | int | float | None:
    """The value of one keyword in a header text; None if it is missing or undefined."""
    keyword = keyword.upper()
    if keyword not in text and "HIERARCH" not in text:  # HIERARCH keywords may differ in blanks and case
        return None
    return next((card.value for card in split(text) if card.keyword == keyword), None)


_NAME = re.compile(r"(?!(COMMENT|HISTORY|CONTINUE|END)$)[A-Z0-9_-]{1,8}")
_TEXT = re.compile(r"([ -~]*[!-~])?")


def _plain_value(value: Any) -> str:
    """A simple value as text for a card, at least 20 columns wide; "" for any other value."""
    if isinstance(value, str):
        return f"'{value:8}'" if value and "'" not in value and _TEXT.fullmatch(value) else ""
    if isinstance(value, bool):
        return f"{'FT'[value]:>20}"
    if type(value) in (int, float) and abs(value) < 1e300:
        text = str(value).replace("e", "E")
        return f"{text:>20}" if len(text) <= 20 else ""
    return ""


def as_number(value: Any) -> float:
    """A card's value as a float, also from a text; NaN if it is not a number."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return float("nan")


def describes_data(keyword: str) -> bool:
    """Whether a keyword describes the file or its pixel grid, not the exposure."""
    return bool(STRUCTURAL.fullmatch(keyword) or WCS.fullmatch(keyword))


def inherit(extension: str, primary: str) -> str:
    """The extension's cards, then those cards of the primary header that it lacks (unless INHERIT = F)."""
    own = list(split(extension))
    keywords = {c.keyword for c in own} - COMMENTARY
    inherits = next((c.value for c in own if c.keyword == "INHERIT"), 1)
    if inherits in (0, "F", "f", "False"):
        return extension
    lines = {c.lines for c in own}
    more = (
        c
        for c in split(primary)
        if c.keyword not in keywords and not describes_data(c.keyword) and c.lines not in lines
    )
    return join([*own, *more])


def history_cards(step: str) -> str:
    """HISTORY cards for a step, wrapped at 72 columns."""
    import textwrap

    return "\n".join(f"HISTORY {line}" for line in textwrap.wrap(ascii_only(step), 72))


def make(keyword: str, value: Any, comment: str = "") -> str:
    """The line(s) of a new card, as astropy writes it. A simple card needs no astropy, whose import takes 0.3 s."""
    plain = _plain_value(value)
    line = f"{keyword:8}= {plain:20}{' / ' if comment else ''}{comment}"
    if plain and _NAME.fullmatch(keyword) and len(line) <= 80 and comment.isascii():
        return line.rstrip()
    from astropy.io import fits

    card = fits.Card(keyword, ascii_only(value) if isinstance(value, str) else value, comment)
    return "\n".join(_lines_of_card(card.image))
