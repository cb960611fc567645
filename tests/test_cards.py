"""Values of cards: what is read without astropy is what astropy reads."""

import math
import sys
import warnings
from typing import Any

import pytest
from astropy.io import fits
from hypothesis import example, given, settings
from hypothesis import strategies as st

from xccd.headers import cards


def by_astropy(*lines: str) -> object:
    """What astropy reads of a card, as `cards.value_of` has it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            value = fits.Card.fromstring(cards._padded(lines)).value
        except (fits.VerifyError, ValueError):
            return None
    if isinstance(value, bool | int):
        return int(value) if abs(int(value)) < 1 << 63 else str(value)
    if isinstance(value, float | complex):
        return value if isinstance(value, float) else str(value)
    return value.rstrip() if isinstance(value, str) else None


PLAIN = {
    "EXPTIME =                 30.0 / [s]": 30.0,
    "NAXIS   =                    2": 2,
    "SIMPLE  =                    T / standard": 1,
    "FLAG    =                    F": 0,
    "OBJECT  = 'M 51    '           / target": "M 51",
    "EMPTY   = ''": "",
    "SMALL   =           -1.25D-003": -0.00125,
    "BIG     =              1.0E400": math.inf,
    "ZEROS   =                 0012": 12,
    "SLASH   = 'a / b'              / c / d": "a / b",
}
ODD = (
    "NOTHING =", "NAME    = 'O''Neil'", "MORE    = 'goes on&'", "WHERE   = (1.0, 2.0)", "WRONG   = 12 13",
    "OPEN    = 'no end", "HIERARCH ESO DET GAIN = 1.5", "KEY = 5", "COMMENT = 5", "X       =  .5", "TRUE    = TRUE",
    "LONG    = 123456789012345678901234567890", "NAN     = NaN", "SPACED  =  1 234", "EXPO    = 1.5E",
    "PLUS    = +-1", "", "END", "QUOTED  = ''/'",
)  # fmt: skip


def same(a: object, b: object) -> bool:
    return type(a) is type(b) and (a == b or a != a)


@pytest.mark.parametrize("line", PLAIN)
def test_plain_cards(line: str) -> None:
    assert cards._is_plain(line)
    assert same(cards.value_of((line,)), PLAIN[line])
    assert same(by_astropy(line), PLAIN[line])


@pytest.mark.versions
@pytest.mark.parametrize("line", ODD)
def test_odd_cards_have_the_value_that_astropy_reads(line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = by_astropy(line)
    monkeypatch.setitem(sys.modules, "astropy.io.fits", None)
    cards.value_of.cache_clear()
    assert same(cards.value_of((line,)), expected)


FIELDS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.floats().map(repr),
    st.floats().map("{:.8E}".format),
    st.text("'&/ aB1.", max_size=20).map("'{}'".format),
    st.text("0123456789+-.EDTFed'&/ (,)", max_size=20),
)
STARTS = [
    "KEY     = ", "A-B_1   =    ", "KEY     =", "KEY=    ", "key     = ", "   KEY  = ", "HIERARCH A b = ",
    "HIERARCH a=", "LONGKEYWORD = ", "K@Y     = ", "HISTORY= ", "=", "= ", "KEY     ",
]  # fmt: skip


@pytest.mark.versions
@settings(max_examples=500, deadline=None)
@given(st.sampled_from(STARTS), FIELDS, st.sampled_from(["", " / c", "/ it's"]))
@example("KEY     = ", "'a'", "/")
def test_any_card_has_the_value_that_astropy_reads(start: str, field: str, comment: str) -> None:
    line = cards.from_bytes(f"{start}{field}{comment}"[:80].ljust(80).encode())
    assert same(cards.value_of((line,)), by_astropy(line))


MORE = ["CONTINUE  'b'", "CONTINUE  'b&' / c", "CONTINUE  ''", "CONTINUE  'c''d' / e", "CONTINUE  'b' x"]


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(STARTS[:8]), FIELDS, st.lists(st.sampled_from(MORE), min_size=1, max_size=3))
def test_any_text_that_goes_on_has_the_value_that_astropy_reads(start: str, field: str, more: list[str]) -> None:
    lines = (cards.from_bytes(f"{start}{field}&'"[:80].ljust(80).encode()), *more)
    if cards._field(lines[0]) is not None:
        assert same(cards.value_of(lines), by_astropy(*lines))


@settings(max_examples=300, deadline=None)
@given(st.sampled_from([*STARTS, "END     = ", "END     "]), FIELDS, st.sampled_from(["", " / c", "/ it's"]))
def test_any_card_is_mended_without_a_warning(start: str, field: str, comment: str) -> None:
    line = cards.from_bytes(f"{start}{field}{comment}"[:80].ljust(80).encode())
    again = fits.Header.fromstring("".join(text.ljust(80) for text in cards.mended((line,))))
    again.tostring()  # warnings are errors here
    assert "END" not in again


@pytest.mark.parametrize(
    ("text", "keyword", "value"),
    [
        ("A       = 1\nA       = 2", "a", 1),
        ("HIERARCH ESO   DET gain = 1.5", "ESO DET GAIN", 1.5),
        ("HIERARCH Gain = 1.5", "GAIN", 1.5),
        ("   GAIN = 2", "GAIN", 2),
        ("COMMENT GAIN    = 2", "GAIN", None),
        ("LONG    = 'a&'\nCONTINUE  'b'", "LONG", "ab"),
    ],
)
def test_one_value_of_a_text(text: str, keyword: str, value: object) -> None:
    assert same(cards.card_value(text, keyword), value)
    if value is not None:
        assert same(cards.values(text)[keyword.upper()], value)


KEYWORDS = st.sampled_from(["KEY", "A-B_1", "NCOMBINE", "COMMENT", "HISTORY", "CONTINUE", "END", "LONGKEYWORD", "key"])
VALUES = st.one_of(
    st.integers(-(10**22), 10**22),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.text("'&/ aB1.", max_size=80),
    st.text(st.characters(max_codepoint=126, min_codepoint=32), max_size=80),
    st.sampled_from(["", " ", 1e-5, 1e22, 0.1 + 0.2, -0.0]),
)


@pytest.mark.versions
@settings(max_examples=500, deadline=None)
@given(KEYWORDS, VALUES, st.sampled_from(["", "a comment", "c" * 60]))
def test_a_card_is_made_as_astropy_makes_it(keyword: str, value: object, comment: str) -> None:
    by_astropy = made_or_error(keyword, value, comment)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cards, "_plain_value", lambda value: "")
        assert made_or_error(keyword, value, comment) == by_astropy


def made_or_error(*card: Any) -> str:
    try:
        return cards.make(*card)
    except (ValueError, AttributeError, Warning) as error:
        return type(error).__name__


@pytest.mark.versions
@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(["KEY     = ", "A-B_1   = ", "COMMENT ", "HISTORY ", "HISTORY  ", "COMMENT= "]),
    FIELDS,
    st.sampled_from(["", " / c", "/ it's", " /c"]),
)
def test_what_is_plain_is_left_alone_by_astropy(start: str, field: str, comment: str) -> None:
    line = cards.from_bytes(f"{start}{field}{comment}"[:80].ljust(80).encode())
    if cards._is_plain(line) or cards._REMARK.fullmatch(line):
        assert cards._is_sound((line,))


def test_a_text_without_end_is_no_work_for_astropy(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ("LONG    = 'a&'", *["CONTINUE  'b&'"] * 2000)
    assert cards.value_of(lines) == "a" + "b" * 2000
    monkeypatch.setattr(fits.Header, "fromstring", None)
    assert cards.mended(lines)[:2] == ("COMMENT LONG    = 'a&'", "COMMENT CONTINUE  'b&'")
