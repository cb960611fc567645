"""Headers into labels and back: the core, what differs, what is equal, and every card as it was written."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import xccd
from fits_files import line, raw, write

PIXELS = np.zeros((2, 3), "i2")
NAN = float("nan")


def stack_of(*headers: dict[str, Any] | None, **options: Any) -> xr.DataArray:
    return xccd.open_stack([(PIXELS, h) for h in headers], **options)


# The core

CORE = {
    "EXPTIME": ([{"EXPTIME": 1.5}, {"EXPTIME": 2}], "EXPTIME", [1.5, 2]),
    "EXPOSURE": ([{"EXPOSURE": 1.5}, {"EXPTIME": 2}], "EXPTIME", [1.5, 2]),
    "EXPTIME wins": ([{"EXPOSURE": 1.5, "EXPTIME": 3}], "EXPTIME", [3]),
    "ITIME": ([{"ITIME": 5}], "EXPTIME", [5]),
    "a number as text": ([{"EXPTIME": " 12.5 "}], "EXPTIME", [12.5]),
    "no number": ([{"EXPTIME": "long"}, {"EXPTIME": 1}], "EXPTIME", [NAN, 1]),
    "a number with its unit": ([{"EXPTIME": "30 s"}, {"EXPTIME": "0.5min"}], "EXPTIME", [30, 30]),
    "a fraction": ([{"EXPTIME": "1/30"}, {"EXPTIME": 1}], "EXPTIME", [NAN, 1]),
    "an empty text": ([{"EXPTIME": "", "EXPOSURE": 4}], "EXPTIME", [4]),
    "undefined": ([{"EXPTIME": None}, {"EXPTIME": 1}], "EXPTIME", [NAN, 1]),
    "missing in one": ([{}, {"EXPTIME": 1}], "EXPTIME", [NAN, 1]),
    "EGAIN": ([{"EGAIN": 1.5}], "GAIN", [1.5]),
    "EGAIN beside a setting": ([{"GAIN": 100, "EGAIN": 0.25}], "GAIN", [0.25]),
    "EGAIN is not known": ([{"GAIN": 1.5, "EGAIN": 0.0}], "GAIN", [1.5]),
    "READNOIS": ([{"READNOIS": "4"}], "RDNOISE", [4]),
    "AIRMASS": ([{"AIRMASS": 1.2}, {"SECZ": 1.3}], "AIRMASS", [1.2, 1.3]),
    "FILTER": ([{"FILTER": "r "}, {}], "FILTER", ["r", ""]),
    "FILTER as number": ([{"FILTER": 3}], "FILTER", ["3"]),
    "FILTER2 is none": ([{"FILTERS": "B"}], "FILTER", ["B"]),
    "IMAGETYP": ([{"IMAGETYP": "flat"}, {"FRAMETYP": "bias"}], "IMAGETYP", ["flat", "bias"]),
    "OBSTYPE": ([{"OBS-TYPE": "dark"}], "OBSTYPE", ["dark"]),
    "OBJECT": ([{"OBJECT": "M 51"}], "OBJECT", ["M 51"]),
    "lower case": ([{"exptime": 7}], "EXPTIME", [7]),
}


@pytest.mark.versions
@pytest.mark.parametrize("name", CORE)
def test_the_core_lies_on_frame(name: str) -> None:
    headers, keyword, expected = CORE[name]
    coord = stack_of(*headers)[keyword]
    assert coord.dims == ("frame",)
    np.testing.assert_array_equal(coord.values, np.array(expected, coord.dtype))


def test_what_no_frame_has_is_not_there() -> None:
    assert set(stack_of({"GAIN": "?"}, None).coords) - {"GAIN"} == {"file", "header", "y", "x"}
    assert set(stack_of(None, None).coords) == {"file", "header", "y", "x"}


DATES = {
    "ISO": ({"DATE-OBS": "2024-02-29T01:02:03.5"}, "2024-02-29T01:02:03.5"),
    "a blank for the T": ({"DATE-OBS": "2024-02-29 01:02:03"}, "2024-02-29T01:02:03"),
    "slashes": ({"DATE-OBS": "2024/02/29 01:02"}, "2024-02-29T01:02"),
    "the day alone": ({"DATE-OBS": "2024-02-29"}, "NaT"),
    "with UT": ({"DATE-OBS": "2024-02-29", "UT": "23:59:59.25"}, "2024-02-29T23:59:59.25"),
    "with TIME-OBS": ({"DATE-OBS": "2024-02-29", "TIME-OBS": "1:02"}, "2024-02-29T01:02"),
    "UT is bad": ({"DATE-OBS": "2024-02-29", "UT": "99:00:00", "TIME-OBS": "01:02"}, "2024-02-29T01:02"),
    "its own time wins": ({"DATE-OBS": "2024-02-29T01:00:00", "UT": "05:00:00"}, "2024-02-29T01:00:00"),
    "old style": ({"DATE-OBS": "21/03/98", "UT": "10:00:00"}, "1998-03-21T10:00:00"),
    "another spelling": ({"DATE_OBS": "2024-02-29T01:00"}, "2024-02-29T01:00"),
    "MJD-OBS": ({"MJD-OBS": 51544.5}, "2000-01-01T12:00:00"),
    "no such day": ({"DATE-OBS": "2023-02-29"}, "NaT"),
    "an ambiguous order": ({"DATE-OBS": "01/02/1998"}, "NaT"),
    "no such time": ({"DATE-OBS": "2024-02-29", "UT": "25:61:00"}, "NaT"),
    "a year that overflows": ({"DATE-OBS": "9999-12-31"}, "NaT"),
    "the year 1": ({"DATE-OBS": "0001-01-01"}, "NaT"),
    "words": ({"DATE-OBS": "yesterday"}, "NaT"),
    "a number": ({"DATE-OBS": 20240229}, "NaT"),
    "nothing": ({}, "NaT"),
}  # fmt: skip


@pytest.mark.parametrize("name", DATES)
def test_dates(name: str) -> None:
    header, expected = DATES[name]
    dates = stack_of(header, {"DATE-OBS": "2020-01-01"})["DATE-OBS"]
    assert dates.dtype == "datetime64[ns]"
    np.testing.assert_array_equal(dates.values[0], np.datetime64(expected, "ns"))


# What differs, what is equal


def test_differing_keywords_are_coordinates_and_equal_ones_attributes() -> None:
    stack = stack_of({"A": 1, "B": 1, "C": "x", "D": 1.5}, {"A": 1, "B": 2, "C": "y"})
    assert stack.A == 1
    assert "A" not in stack.coords
    assert stack.B.values.tolist() == [1, 2]
    assert stack.B.dtype == "int64"
    assert stack.C.values.tolist() == ["x", "y"]
    np.testing.assert_array_equal(stack.D.values, [1.5, NAN])
    assert not {"B", "C", "D"} & set(stack.attrs)


def test_keywords_that_are_asked_for() -> None:
    stack = stack_of({"SEEING": 1.5, "MODE": "fast"}, {"SEEING": 1.5, "MODE": "fast"}, keywords=["seeing", "MODE"])
    assert stack.SEEING.values.tolist() == [1.5, 1.5]
    assert stack.MODE.values.tolist() == ["fast", "fast"]


def test_one_that_differs_in_its_comment_alone_is_equal() -> None:
    stack = stack_of(fits.Header([("A", 1, "one")]), fits.Header([("A", 1, "two")]))
    assert stack.A == 1


def test_booleans_are_0_or_1_and_undefined_ones_left_out() -> None:
    stack = stack_of({"SHUT": True, "LAMP": False, "NONE": None}, {"SHUT": False, "LAMP": False, "NONE": None})
    assert stack.SHUT.values.tolist() == [1, 0]
    assert stack.LAMP == 0
    assert "NONE" not in {*stack.coords, *stack.attrs}
    header = stack.ccd.header(0)
    assert header["SHUT"] is True
    assert header["NONE"] is None


DESCRIBES = {
    "BSCALE": 1.0, "BLANK": 7, "EXTNAME": "SCI", "EXTVER": 2, "CHECKSUM": "x", "DATASUM": "1", "INHERIT": True,
    "CTYPE1": "RA---TAN", "CRPIX1": 1.0, "CD1_1": 1.0, "CTYPE1A": "LINEAR", "A_ORDER": 2, "A_0_2": 1.0, "PV1_1": 1.0,
    "EQUINOX": 2000.0, "RADESYS": "ICRS", "LONPOLE": 180.0, "WCSAXES": 2, "LTV1": 0.0, "LTM1_1": 1.0,
    "ZCMPTYPE": "RICE_1", "ZBITPIX": 16, "WAT0_001": "x", "CROTA2": 0.0,
}  # fmt: skip


@pytest.mark.parametrize("keyword", DESCRIBES)
def test_what_describes_the_file_is_no_label(keyword: str) -> None:
    value = DESCRIBES[keyword]
    for other in (value, {"WCSAXES": 1}.get(keyword, f"{value}" if isinstance(value, float) else 5)):
        stack = stack_of({keyword: value}, {keyword: other})
        assert set(stack.coords) == {"file", "header", "y", "x"}
        assert stack.attrs == {}


@pytest.mark.versions
def test_names_are_safe_for_netcdf_and_zarr() -> None:
    stack = stack_of({"HIERARCH ESO DET/ID": 5, "CLASS": "a", "NAME": "b", "-X": 1, "__Y": 2})
    assert set(stack.attrs) == {"ESO_DET_ID", "CLASS_", "NAME_", "_X", "_Y"}
    assert stack.ccd.header(0)["ESO DET/ID"] == 5


@pytest.mark.versions
def test_units_are_bunit() -> None:
    assert stack_of({"BUNIT": "electron"}).units == "electron"
    assert stack_of({"BUNIT": "adu"}).assign_attrs(units="µJy").ccd.header(0)["BUNIT"] == "uJy"


def test_without_headers_the_labels_make_one() -> None:
    header = {"EXPTIME": 2.0, "OBJECT": "M 51", "DATE-OBS": "2024-02-29T01:02:03.5", "NAME": "n"}
    stack = stack_of(header, header | {"EXPTIME": 3.0, "SEQ": 7}, keep_headers=False)
    assert "header" not in stack.coords
    made = stack.ccd.header(1)
    assert {k: made[k] for k in ("EXPTIME", "OBJECT", "SEQ", "NAME")} == {
        "EXPTIME": 3,
        "OBJECT": "M 51",
        "SEQ": 7,
        "NAME": "n",
    }
    assert made["DATE-OBS"].startswith("2024-02-29T01:02:03.5")
    assert "SEQ" not in stack.ccd.header(0)


# Every card survives


def odd_cards() -> fits.Header:
    header = fits.Header()
    header["HIERARCH ESO DET CHIP1 ID"] = ("ccd-44", "with a comment")
    header["LONG"] = ("a long text " * 12, "that goes on")
    header["QUOTED"] = "it's 'so'"
    header["TRUE"], header["NONE"], header["BIG"] = True, None, 1 << 70
    header["COMPLEX"] = 1 + 2j
    header.add_comment("first comment")
    header.add_comment("first comment")
    header.add_history("older software was here")
    header.append(("TWICE", 1), end=True)
    header.append(("TWICE", 2), end=True)
    header.add_blank("a blank card with text")
    return header


@pytest.mark.versions
@pytest.mark.parametrize("cut", [np.s_[0], np.s_[0, 1:, 1:]], ids=["whole", "cropped"])
def test_every_card_survives(tmp_path: Path, cut: Any) -> None:
    path = write(tmp_path / "a.fits", PIXELS, odd_cards())
    frame = xccd.open_stack(path)[cut]
    written = fits.getheader(frame.ccd.to_fits(tmp_path / "b.fits"))
    for found in (frame.ccd.header(), written):
        for card in odd_cards().cards:
            if card.keyword in ("COMMENT", "HISTORY", ""):
                assert list(found[card.keyword or ""]) == list(odd_cards()[card.keyword or ""])
            else:
                index = 1 if card.value == 2 else 0
                expected = None if isinstance(card.value, fits.card.Undefined) else card.value
                assert found[card.keyword, index] == expected
                assert found.comments[card.keyword, index] == card.comment


@pytest.mark.versions
def test_cards_are_verbatim(tmp_path: Path) -> None:
    odd = ["EXPO    = 1.500000000E+01", "TEXT    = 'a'   / far", "EMPTY   = ''"]
    frame = xccd.open_stack(raw(tmp_path / "a.fits", PIXELS, *odd))[0]
    text = frame.ccd.header().tostring("\n", endcard=False, padding=False).split("\n")
    assert [t.rstrip() for t in text[-3:]] == odd


@pytest.mark.parametrize("inherit", [None, True, False])
def test_primary_cards_are_inherited(tmp_path: Path, inherit: bool | None) -> None:
    primary = fits.Header({"EXPTIME": 5.0, "OBJECT": "primary", "CTYPE1": "RA---TAN", "CHECKSUM": "x", "EXTNAME": "P"})
    primary["COMMENT"] = "of the primary"
    own = fits.Header({"OBJECT": "own"} | ({} if inherit is None else {"INHERIT": inherit}))
    hdus = fits.HDUList([fits.PrimaryHDU(None, primary), fits.ImageHDU(PIXELS, own, name="SCI")])
    hdus.writeto(tmp_path / "a.fits")
    for source in (tmp_path / "a.fits", hdus):
        stack = xccd.open_stack(source)
        header = stack.ccd.header(0)
        assert stack.OBJECT.values.tolist() == ["own"]
        assert ("EXPTIME" in stack.coords) == (inherit is not False)
        assert ("COMMENT" in header) == (inherit is not False)
        assert not {"CTYPE1", "CHECKSUM", "EXTNAME"} & set(header)


# Whatever else a header holds

BROKEN = [
    "EXPTIME = 'unterminated", "GAIN    = 1.5.6", "DATE-OBS= T", "FOO BAR = 5", "F{}[]   = 5", "NOVALUE", "X       =5",
    "CONTINUE  'of nothing'", "CONTINUE", "BUNIT   = (1,2)", "LTV1    = 'abc'", "LTV2    =   1E300", "CRPIX1  = 'abc'",
    "A_ORDER = 'x'", "INHERIT = 'maybe'", "hierarch eso  x = 1", "comment lower", "TAB\t    = 1", "HISTORY \x01\xff",
    "        = 5", "=", "'       = 'x", "EXPTIME =                  NaN", "AIRMASS =                  INF",
    "BUNIT   = 'e-/s/Å'",
]  # fmt: skip


@pytest.mark.versions
@pytest.mark.parametrize("card", BROKEN)
def test_a_broken_card_is_no_error_and_gives_no_warning(tmp_path: Path, card: str) -> None:
    check_any_header(tmp_path, [card, line("OBJECT", "'after'")])


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["EXPTIME", "DATE-OBS", "BUNIT", "HIERARCH", "CONTINUE", "CTYPE1", "LTV1", "A'B", "f", ""]),
            st.sampled_from(["= ", "  ", "="]),
            st.text(st.characters(max_codepoint=255), max_size=72),
        ),
        max_size=4,
    )
)
def test_any_header_can_be_opened_and_written(tmp_path: Path, cards: list[tuple[str, str, str]]) -> None:
    check_any_header(tmp_path, [f"{keyword:8}{equals}{value}" for keyword, equals, value in cards])


def check_any_header(tmp_path: Path, lines: list[str]) -> None:
    """Warnings are errors here: see pyproject.toml."""
    stack = xccd.open_stack(raw(tmp_path / "a.fits", PIXELS, *lines))
    product = stack.ccd.minmax(0, 5).ccd.combine()
    for image in (stack[0], stack[0, 1:, 1:], product):
        written = image.ccd.to_fits(tmp_path / "b.fits", overwrite=True)
        again = xccd.open_stack(written)[0]
        np.testing.assert_array_equal(again.values, image.values)
        assert again.ccd.header().tostring() == image.ccd.header().tostring()
