"""Headers with one thing wrong: what astropy reads as well is read, and the same; all else is refused by name."""

import gzip
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xccd
from fits_files import head, line, padded, raw, structure
from xccd.read.images.hdus import MAX_HEADER_BLOCKS, Walk

PIXELS = np.arange(20, dtype="i2").reshape(4, 5)
EXTENSION = "XTENSION= 'IMAGE   '"


def card(text: str) -> bytes:
    return text.encode("latin-1").ljust(80)


def mef(*first: str) -> bytes:
    """Two images: the second one is what must not be taken for the first."""
    sci = head([*structure(16, 5, 4, first=EXTENSION), line("PCOUNT", 0), line("GCOUNT", 1), *first])
    other = head([*structure(16, 5, 4, first=EXTENSION), line("PCOUNT", 0), line("GCOUNT", 1), line("EXTNAME", "'B'")])
    data = padded(PIXELS.astype(">i2").tobytes())
    return head(structure(8)) + sci + data + other + padded((PIXELS + 100).astype(">i2").tobytes())


def one(path: Path, *cards: str, dtype: str = "i2") -> Path:
    return raw(path / "a.fits", PIXELS.astype(dtype), *cards)


def is_refused(path: Path, match: str, **options: Any) -> None:
    with pytest.raises(OSError, match=match) as raised:
        xccd.open_stack(path, **options).load()
    assert path.name in str(raised.value)


ENDS = {
    "END     = 15": r"HDU 1: its END card is b'END     = 15', the file is damaged",
    "END" + " " * 20 + "\xee": r"HDU 1: its END card is b'END.*\\xee'",
    "END x": "HDU 1: its END card is b'END x'",
    "ENC": "HDU 1: its header has no END before bytes that are no cards",
    "\x00ND": "HDU 1: its header has no END before bytes",
}


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_end_does_not_lead_into_the_next_image(tmp_path: Path, end: str, packed: bool) -> None:
    content = bytearray(mef())
    place = content.index(card("END"), 2880)
    content[place : place + 80] = card(end)
    path = tmp_path / ("a.fits.gz" if packed else "a.fits")
    path.write_bytes(gzip.compress(content) if packed else content)
    is_refused(path, ENDS[end])


def test_no_end_before_the_next_header(tmp_path: Path) -> None:
    content = head([*structure(8), *[line("A", i) for i in range(32)]])  # END is the last card of the block
    (tmp_path / "a.fits").write_bytes(content.replace(card("END"), card("ENE")) + mef()[2880:])
    is_refused(tmp_path / "a.fits", "HDU 0: its header has no END card before the next HDU")


def test_pixels_that_look_like_cards_are_not_searched_for_end(tmp_path: Path) -> None:
    content = head(structure(8, 2880, 2)).replace(card("END"), card("ENE")) + b"A" * 2 * 2880 + mef()[2880:]
    (tmp_path / "a.fits").write_bytes(content)
    is_refused(tmp_path / "a.fits", "HDU 0: its header has no END card before the next HDU")


def test_an_end_before_other_cards(tmp_path: Path) -> None:
    content = head([*structure(16, 5, 4), "END", line("BZERO", 5)]) + padded(PIXELS.astype(">i2").tobytes())
    (tmp_path / "a.fits").write_bytes(content)
    is_refused(tmp_path / "a.fits", "HDU 0: cards follow its END card")


def test_a_header_without_end_is_given_up(tmp_path: Path) -> None:
    assert 5000 < MAX_HEADER_BLOCKS < 7000  # 16 MB
    block = b"".join(card(line(f"K{i}", i)) for i in range(36))
    (tmp_path / "a.fits").write_bytes(head(structure(8)).replace(card("END"), card("A")) + block * 6000)
    is_refused(tmp_path / "a.fits", "the header of HDU 0 has no END card within 16781760 bytes")


def test_an_extension_that_does_not_say_so_is_not_lost(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(mef().replace(b"XTENSION= 'IMAGE   '", b"XTENSIOM= 'IMAGE   '"))
    is_refused(tmp_path / "a.fits", r"a\.fits: HDU 1 does not begin with XTENSION")
    (tmp_path / "a.fits").write_bytes(mef() + bytes(2880) + b"rest" * 99)  # special records
    assert xccd.open_stack(tmp_path / "a.fits").shape == (1, 4, 5)


# Cards of the structure

UNREADABLE = ("NaN", "1,5", "32768x", "1.0.0", "T", "'", "", "0x10", "(1, 2)", "1 5")


@pytest.mark.parametrize("value", UNREADABLE)
@pytest.mark.parametrize("keyword", ["BSCALE", "BZERO", "BLANK", "NAXIS1", "BITPIX", "PCOUNT", "GCOUNT", "NAXIS"])
def test_a_card_that_cannot_be_read_is_not_left_out(tmp_path: Path, keyword: str, value: str) -> None:
    path = one(tmp_path)
    lines = [text for text in structure(16, 5, 4) if not text.startswith(keyword.ljust(8))]
    content = head([*lines, line(keyword, value)]) + padded(PIXELS.astype(">i2").tobytes())
    path.write_bytes(content)
    is_refused(path, rf"HDU 0: the card [\"']{keyword} *=.* cannot be read, so its pixels are not known")


@pytest.mark.parametrize(
    "written",
    [
        "BSCALE= 2.0",
        "BSCALE =2.0",
        "BSCALE  =2.0",
        " BSCALE = 2.0",
        "HIERARCH BSCALE = 2.0",
        "BSCALE    2.0",
        "bscale= 2",
    ],
)
def test_a_card_that_is_written_beside_its_columns(tmp_path: Path, written: str) -> None:
    is_refused(one(tmp_path, written), "HDU 0: the card '.*(BSCALE|bscale).*' cannot be read")


@pytest.mark.parametrize("byte", [b"\xff", b"\0", b"\t", b"\xb5"])
@pytest.mark.parametrize(
    "card", [b"NAXIS1  =                   15", b"BZERO   =                32768", b"BSCALE  =  2"]
)
def test_a_byte_that_is_no_text_is_no_blank_in_a_number(tmp_path: Path, card: bytes, byte: bytes) -> None:
    content = raw(tmp_path / "a.fits", np.zeros((4, 15), "i2"), card.decode()).read_bytes()
    damaged = card[:-1] + byte if card[-2:-1] == b" " else card[:-2] + byte + card[-1:]
    (tmp_path / "a.fits").write_bytes(content.replace(card, damaged))
    is_refused(tmp_path / "a.fits", rf"HDU 0: the card b'{card[:6].decode()} .* has bytes that are no text")
    (tmp_path / "a.fits").write_bytes(content.replace(card.ljust(80), (card + b" / " + byte).ljust(80)))
    assert xccd.open_stack(tmp_path / "a.fits").shape == (1, 4, 15)  # in a comment it is


@pytest.mark.parametrize("text", ["BLANK pixels are 0", "BSCALE2 =  2.0", "COMMENT BSCALE  =  2.0", "NAXIS1_X= 7"])
def test_other_cards_are_not_the_structure(tmp_path: Path, text: str) -> None:
    np.testing.assert_array_equal(xccd.open_stack(one(tmp_path, text)).values[0], PIXELS)


@pytest.mark.parametrize("value", ["3E4", "30000.", "3.0D4", "+30000 / c", "  30000", "3e4/c"])
def test_any_number_of_the_standard_is_read(tmp_path: Path, value: str) -> None:
    stack = xccd.open_stack(one(tmp_path, f"BZERO   = {value}"))
    np.testing.assert_array_equal(stack.values[0], PIXELS + 30000)


TWICE = {
    "NAXIS1": (5, 4), "NAXIS": (2, 1), "BITPIX": (16, 8), "BZERO": (1, 2), "BSCALE": (2, 3.5), "BLANK": (5, 6),
    "GCOUNT": (1, 2),
}  # fmt: skip


@pytest.mark.parametrize("keyword", TWICE)
def test_cards_that_contradict_each_other(tmp_path: Path, keyword: str) -> None:
    first, second = TWICE[keyword]
    own = [] if keyword in ("NAXIS1", "NAXIS", "BITPIX") else [line(keyword, first)]
    is_refused(
        one(tmp_path, *own, line(keyword, second)),
        f"HDU 0: it has {keyword} = {first} and {keyword} = {second}: it is not known which one is true",
    )
    same = one(tmp_path, *own, line(keyword, first), line(keyword, f"{first}"))
    assert xccd.open_stack(same).shape == (1, 4, 5)


def test_what_is_no_business_of_floats(tmp_path: Path) -> None:
    path = one(tmp_path, line("BLANK", "NaN"), dtype="f4")  # of floats NaN is missing, whatever BLANK says
    np.testing.assert_array_equal(xccd.open_stack(path).values[0], PIXELS)


ABSURD = [
    (line("BLANK", "9" * 60), "HDU 0: BLANK = '999.*' is not a whole number of 64 bits"),
    (line("BLANK", "1E30"), "HDU 0: BLANK = 1e\\+30 is not a whole number of 64 bits"),
    (line("BLANK", "0.5"), "HDU 0: BLANK = 0.5 is not a whole number"),
    (line("BSCALE", "1E400"), "HDU 0: BSCALE = inf is not a number"),
    (line("BSCALE", "0"), "HDU 0: BSCALE = 0 makes all pixels equal"),
    (line("BSCALE", "1E-400"), "HDU 0: BSCALE = 0.0 makes all pixels equal"),
    (line("GCOUNT", "0"), "HDU 0: GCOUNT = 0, its data are not an image"),
]


@pytest.mark.parametrize(("text", "match"), ABSURD, ids=lambda case: case[:40])
@pytest.mark.parametrize("opener", [xccd.open_stack, xccd.open_dataset])
def test_absurd_numbers(tmp_path: Path, text: str, match: str, opener: Any) -> None:
    with pytest.raises(OSError, match=match):
        opener(one(tmp_path, text))


def test_many_axes(tmp_path: Path) -> None:
    for axes in (64, 65, 999):
        path = tmp_path / f"{axes}.fits"
        path.write_bytes(head(structure(8, *[1] * axes)) + bytes(2880))
        is_refused(path, f"NAXIS = {axes}, images of up to 63 axes are read")
    path = tmp_path / "63.fits"
    path.write_bytes(head(structure(8, 2, 3, *[1] * 60, 2)) + bytes(2880))
    assert xccd.open_stack(path).ndim == 64
    path.write_bytes(head(structure(8, 2, 3, *[1] * 61)) + bytes(2880))
    assert xccd.open_stack(path).values.shape == (1, 3, 2)


@pytest.mark.parametrize("lost", ["NPIX1", "PIXVALUE"])
def test_a_constant_image_is_not_left_out(tmp_path: Path, lost: str) -> None:
    cards = {"NPIX1": 5, "NPIX2": 4, "PIXVALUE": 7} | {lost: "7,0"}
    first = head([*structure(16), *(line(k, v) for k, v in cards.items())])
    (tmp_path / "a.fits").write_bytes(first + mef()[2880:])
    is_refused(tmp_path / "a.fits", f"HDU 0: the card .{lost} *= *7,0. cannot be read")


def test_a_mask_whose_name_cannot_be_read_is_not_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(mef().replace(b"'B'", b"MAS"))
    is_refused(tmp_path / "a.fits", "HDU 2: the card 'EXTNAME = *MAS' cannot be read")
    assert xccd.open_stack(tmp_path / "a.fits", mask_hdu=None).shape == (1, 4, 5)


def test_a_list_of_many_hdus_is_cut(tmp_path: Path) -> None:
    empty = head([*structure(8, first=EXTENSION), line("PCOUNT", 0), line("GCOUNT", 1)])
    (tmp_path / "a.fits").write_bytes(head(structure(8)) + empty * 500)
    with pytest.raises(OSError, match=r"a\.fits has no image: .*; 19 \(no name\): no data; and 481 more$") as raised:
        xccd.open_stack(tmp_path / "a.fits")
    assert len(str(raised.value)) < 1000


# One card changed, beside astropy

BASE = [
    *structure(16, 5, 4), line("BSCALE", 1.0), line("BZERO", 32768), line("BLANK", -5), line("EXTEND", "T"),
    line("OBJECT", "'M 51'"),
]  # fmt: skip


def by_astropy(path: Path) -> Any:
    """Pixels that astropy reads without a word; None if there are none."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            with fits.open(io.BytesIO(path.read_bytes()), uint=False) as hdus:
                return np.array(hdus[0].data, float)
        except Exception:
            return None


@st.composite
def one_card_changed(draw: Any) -> list[str]:
    lines = [text.ljust(80) for text in [*BASE, "END"]]
    number = draw(st.integers(0, len(lines) - 1))
    if draw(st.booleans()):
        place = draw(st.integers(0, 31))
        byte = draw(st.characters(min_codepoint=32, max_codepoint=126))
        lines[number] = lines[number][:place] + byte + lines[number][place + 1 :]
    else:
        lines.insert(number, draw(st.sampled_from(lines)))
    return lines


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(one_card_changed())
def test_one_card_changed_is_read_as_astropy_reads_it_or_refused(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(padded("".join(lines).encode(), b" ") + padded(PIXELS.astype(">i2").tobytes()))
    try:
        ours = xccd.open_stack(path, chunks=None, dtype="float64").values[0]
    except OSError as error:
        ours = str(error)
    theirs = by_astropy(path)
    assert not isinstance(ours, str) or "a.fits" in ours
    if theirs is not None and not isinstance(ours, str):
        np.testing.assert_allclose(ours, theirs.reshape(ours.shape), rtol=1e-6)  # astropy scales in float32


def test_a_header_is_walked_once_more_after_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.fits").write_bytes(mef())
    with Walk(tmp_path / "a.fits") as walk:
        assert [unit.name for unit in walk] == [unit.name for unit in walk] == ["PRIMARY", "", "B"]
