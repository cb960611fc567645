"""Start and length of an exposure, in the many spellings of headers: the same instant, or unknown; never midnight."""

from typing import Any

import numpy as np
import pytest
from astropy.time import Time
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from xccd.headers import times

DAY = "2024-03-09"
SPELLINGS = {
    "one keyword": lambda t: {"DATE-OBS": f"{DAY}T{t}"},
    "a blank": lambda t: {"DATE-OBS": f"{DAY} {t}"},
    "Z": lambda t: {"DATE-OBS": f"{DAY}T{t}Z"},
    "UTC": lambda t: {"DATE-OBS": f"{DAY}T{t} UTC"},
    "a zone of 0": lambda t: {"DATE-OBS": f"{DAY}T{t}+00:00"},
    "compact": lambda t: {"DATE-OBS": f"{DAY}T{t.replace(':', '')}"},
    "slashes": lambda t: {"DATE-OBS": f"{DAY.replace('-', '/')} {t}"},
    "a year of five digits": lambda t: {"DATE-OBS": f"+0{DAY}T{t}"},
    "UT": lambda t: {"DATE-OBS": DAY, "UT": t},
    "letters": lambda t: {"DATE-OBS": DAY, "UT": "{}h{}m{}s".format(*t.split(":"))},
    "letters and blanks": lambda t: {"DATE_OBS": DAY, "UTC-OBS": "{}H {}M {}S".format(*t.split(":"))},
    "digits": lambda t: {"DATE-OBS": DAY, "TIME-OBS": t.replace(":", "")},
    "blanks": lambda t: {"DATE-OBS": DAY, "UTSTART": t.replace(":", " ")},
    "a word after it": lambda t: {"DATE-OBS": DAY, "UT": f"{t} UT"},
    "a comma": lambda t: {"DATE-OBS": DAY, "UT": t.replace(".", ",")},
    "both in UTC-OBS": lambda t: {"UTC-OBS": f"{DAY}T{t}"},
    "hours": lambda t: {"DATE-OBS": DAY, "UT": _hours(t)},
    "hours as text": lambda t: {"DATE-OBS": DAY, "UT": f"{_hours(t):.12f}"},
    "minutes": lambda t: {"DATE-OBS": DAY, "UT": f"{t[:2]}:{float(t[3:5]) + float(t[6:]) / 60:.10f}"},
    "MJD beside a day": lambda t: {"DATE-OBS": DAY, "MJD-OBS": 60378 + _hours(t) / 24},
    "MJD": lambda t: {"MJD-OBS": 60378 + _hours(t) / 24},
}  # fmt: skip


def _hours(clock: str) -> float:
    h, m, s = map(float, clock.split(":"))
    return h + m / 60 + s / 3600


CLOCKS = st.builds(
    "{:02d}:{:02d}:{:02d}.{:03d}".format,
    st.integers(0, 23),
    st.integers(0, 59),
    st.integers(0, 59),
    st.integers(1, 999),
)


@settings(max_examples=40, deadline=None)
@given(CLOCKS)
def test_every_spelling_is_the_same_instant(clock: str) -> None:
    expected = np.datetime64(f"{DAY}T{clock}")
    assert times.mjd(np.datetime64(expected, "ns")) == pytest.approx(Time(f"{DAY}T{clock}").mjd, abs=1e-10)
    for name, spell in SPELLINGS.items():
        found = times.start(spell(clock))
        assert abs(found - expected) <= np.timedelta64(5, "us"), name


@settings(max_examples=40, deadline=None)
@given(
    CLOCKS, st.integers(-14, 14), st.sampled_from([0, 30, 45]), st.sampled_from(["{}{:02d}:{:02d}", "{}{:02d}{:02d}"])
)
def test_zones_are_taken_off(clock: str, hours: int, minutes: int, form: str) -> None:
    zone = form.format("-" if hours < 0 else "+", abs(hours), minutes)
    ahead = np.timedelta64((abs(hours) * 60 + minutes) * (-1 if hours < 0 else 1), "m")
    expected = np.datetime64(f"{DAY}T{clock}") - ahead
    assert times.start({"DATE-OBS": f"{DAY}T{clock}{zone}"}) == expected
    assert times.start({"DATE-OBS": DAY, "UT": f"{clock} {zone}"}) == expected


ODD = {
    "the hour alone": ({"DATE-OBS": "2018-10-02T11"}, "2018-10-02T11:00"),
    "hours": ({"DATE-OBS": DAY, "UT": 5.25}, f"{DAY}T05:15"),
    "whole hours": ({"DATE-OBS": DAY, "UT": 5}, f"{DAY}T05:00"),
    "hour and minute": ({"DATE-OBS": DAY, "UT": "0503"}, f"{DAY}T05:03"),
    "a leap second": ({"DATE-OBS": "2016-12-31T23:59:60"}, "2017-01-01T00:00"),
    "24:00": ({"DATE-OBS": f"{DAY}T24:00:00"}, "2024-03-10T00:00"),
    "the time of a later keyword": ({"DATE-OBS": DAY, "DATE-BEG": f"{DAY}T01:00:00"}, f"{DAY}T01:00"),
    "midnight that is said": ({"DATE-OBS": f"{DAY}T00:00:00"}, f"{DAY}T00:00"),
    "a real header": ({"DATE-OBS": "1992-10-26", "MJD-OBS": 48921.62787}, "1992-10-26T15:04:07.968"),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_spellings(name: str) -> None:
    values, expected = ODD[name]
    assert times.start(values) == np.datetime64(expected)


UNKNOWN = [
    "5 PM", "noon", "05:03:04 EST", "25:00:00", "05:61:00", "24:30:00", "11-08", "05:03:04+99:00", "50304", 50304, -1.5,
    "", "0.5.1", "12:", "05:03:04 +", "T05:03:04", "1e1", float("nan"),
]  # fmt: skip


@pytest.mark.parametrize("time", UNKNOWN, ids=str)
def test_a_time_that_is_not_understood_is_unknown(time: Any) -> None:
    values = [{"DATE-OBS": DAY, "UT": time}, *([{"DATE-OBS": f"{DAY}T{time}"}] if isinstance(time, str) else [])]
    for value in values:
        assert np.isnat(times.start(value))
        assert times.day(value) == np.datetime64(DAY)


@settings(max_examples=100, deadline=None)
@given(st.text(st.characters(max_codepoint=255, exclude_characters="0123456789"), max_size=12))
def test_a_text_without_digits_is_no_time(text: str) -> None:
    for values in ({"DATE-OBS": DAY, "UT": text}, {"DATE-OBS": f"{DAY}T{text}"}, {"DATE-OBS": f"{DAY}{text}"}):
        assert np.isnat(times.start(values))


@settings(max_examples=50, deadline=None)
@given(st.integers(25) | st.floats(25) | st.integers(max_value=-1) | st.floats(max_value=-1e-9))
def test_a_number_that_is_no_hour_is_no_time(number: float) -> None:
    assert np.isnat(times.start({"DATE-OBS": DAY, "UT": number}))


WHICH_DAY = {
    "a whole MJD": ({"MJD-OBS": 60378}, DAY),
    "a whole MJD beside a day": ({"DATE-OBS": DAY, "MJD-OBS": 60378.0}, DAY),
    "MJD of another day": ({"DATE-OBS": DAY, "MJD-OBS": 50378.5}, DAY),
    "old style": ({"DATE-OBS": "09/03/98"}, "1998-03-09"),
    "no day": ({"UT": "05:03:04"}, "NaT"),
    "no such day": ({"DATE-OBS": "2023-02-29T01:00:00"}, "NaT"),
    "something after it": ({"DATE-OBS": "2024-03-0912:00"}, "NaT"),
}


@pytest.mark.parametrize("name", WHICH_DAY)
def test_a_day_without_a_time(name: str) -> None:
    values, expected = WHICH_DAY[name]
    assert np.isnat(times.start(values))
    np.testing.assert_array_equal(times.day(values), np.datetime64(expected, "ns"))


LENGTHS = {
    "30 s": 30, "30s": 30, " 30.5 sec. ": 30.5, "2 seconds": 2, "500 ms": 0.5, "0.5 min": 30, "1.5 h": 5400, "30": 30,
    "3E1": 30, "1/30": None, "5 m": None, "long": None, "": None, "30 s 5": None, "s": None, 30: 30, 0.0: 0, None: None,
}  # fmt: skip


@pytest.mark.parametrize("value", LENGTHS, ids=str)
def test_lengths_of_exposures(value: Any) -> None:
    expected = LENGTHS[value]
    np.testing.assert_equal(times.seconds(value), np.nan if expected is None else expected)


def frames(*exposures: Any, **more: Any) -> list[Any]:
    return [(np.full((2, 3), 10.0 + i), {"EXPTIME": e} | more) for i, e in enumerate(exposures)]


def test_a_length_with_its_unit_is_one_number_everywhere() -> None:
    stack = xccd.open_stack(frames("30 s", "60s"))
    assert stack.EXPTIME.values.tolist() == [30, 60]
    header = stack.ccd.combine(weights="EXPTIME").ccd.header()
    assert (header["EXPTIME"], header["EXPTOTAL"]) == (50, 90)
    bare = stack.drop_vars("EXPTIME")
    for one in (stack, bare):
        assert one.ccd.combine(weights="EXPTIME").values[0, 0] == pytest.approx((10 * 30 + 11 * 60) / 90)
        assert one.ccd.normalize(scale="EXPTIME").scale.values.tolist() == [1, 0.5]
    assert [node.path for node in xccd.open_tree(frames("30 s", "60s"), by="EXPTIME").leaves] == ["/30", "/60"]


def test_another_spelling_is_found_without_its_label() -> None:
    stack = xccd.open_stack([(np.ones((2, 3)), {"EXPOSURE": t}) for t in (1.0, 3.0)]).drop_vars("EXPTIME")
    assert stack.ccd.combine(weights="EXPTIME").ccd.header()["EXPTIME"] == 2.5


def test_a_length_that_is_not_known_is_left_out() -> None:
    stack = xccd.open_stack(frames("1/30", "1/30", **{"DATE-OBS": f"{DAY}T01:00:00", "EXPOSURE": "short"}))
    header = stack.ccd.combine().ccd.header()
    assert not {"EXPTIME", "EXPOSURE", "EXPTOTAL", "DATE-END", "MJD-AVG"} & set(header)
    assert header["DATE-OBS"] == f"{DAY}T01:00:00.000"
    with pytest.raises(ValueError, match="EXPTIME = '1/30', not a number"):
        stack.ccd.combine(weights="EXPTIME")
