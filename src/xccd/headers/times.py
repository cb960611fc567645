"""Start and length of an exposure, from the many forms in headers.

A time that is not fully understood is NaT, never midnight.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from xccd.headers import cards

DATES = ("DATE-OBS", "DATE_OBS", "DATEOBS", "DATE-BEG", "UTDATE")
TIMES = ("UT", "TIME-OBS", "UTC-OBS", "UT-OBS", "UTSTART", "UTC", "TIME-BEG")
DAYS = ("MJD-OBS", "MJD_OBS", "MJD-BEG")

NAT = np.datetime64("NaT", "ns")
MJD_0 = np.datetime64("1858-11-17", "ns")
YEARS = range(1678, 2262)  # the range of datetime64[ns], which wraps around beyond it

ISO_DATE = re.compile(r"(?:\+0)?(\d{4})[-/](\d{1,2})[-/](\d{1,2})(?!\d)")
OLD_DATE = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{2})(?!\d)")  # dd/mm/yy, before 1999
ZONE = re.compile(r"(?P<time>.*?)\s*(?:Z|(?:UTC?|UT1|GMT)?\s*(?:(?P<sign>[+-])(?P<zh>\d{2}):?(?P<zm>\d{2})?)?)", re.I)
_LAST = r"(\d{1,2}(?:[.,]\d*)?)"  # the last field: seconds, or minutes if there are no seconds
CLOCKS = tuple(
    re.compile(form, re.IGNORECASE | re.ASCII)
    for form in (
        rf"(\d{{1,2}}):(\d{{1,2}}):{_LAST}",
        rf"(\d{{1,2}}):{_LAST}",
        rf"(\d{{1,2}})\s+(\d{{1,2}})\s+{_LAST}",
        rf"(\d{{1,2}})\s*h\s*(\d{{1,2}})\s*m(?:in)?\s*{_LAST}\s*s(?:ec)?",
        rf"(\d{{1,2}})\s*h\s*{_LAST}\s*m(?:in)?",
        r"(\d{2})(\d{2})(\d{2}(?:[.,]\d*)?)",
        r"(\d{2})(\d{2})",
        r"(\d{1,2}(?:[.,]\d*)?)\s*(?:h(?:r|rs|ours?)?)?",
    )
)
LENGTH = re.compile(r"\s*(\d+\.?\d*|\.\d+)\s*([a-z]+)\.?\s*", re.IGNORECASE)
SECONDS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), 1.0),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), 1e-3),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hr", "hrs", "hour", "hours"), 3600.0),
}

Values = dict[str, str | int | float]


def seconds(value: Any) -> float:
    """An exposure time in seconds, from a number or a text with a unit as '30 s'; NaN for anything else."""
    number = cards.as_number(value)
    if number == number or not isinstance(value, str):
        return number
    match = LENGTH.fullmatch(value)
    factor = SECONDS.get(match[2].lower()) if match else None
    return float(match[1]) * factor if match and factor else float("nan")


def start(values: Values) -> np.datetime64:
    """When the exposure began; NaT if day or time is unknown.

    From a date with its time, else a date and UT or TIME-OBS, else MJD-OBS if it is of that day.
    """
    dates = [parts(text) for text in _present_texts(values, DATES)]
    for day, time in (*dates, *map(parts, _present_texts(values, TIMES))):
        if time is not None:
            return np.datetime64(day + time)
    day = next((day for day, _ in dates if not np.isnat(day)), NAT)
    time = next((t for t in map(clock, (values.get(k) for k in TIMES)) if t is not None), None)
    if time is not None and not np.isnat(day):
        return np.datetime64(day + time)
    return _of_mjd(values, day)


def day(values: Values) -> np.datetime64:
    """An instant on the day of the exposure, even if the time is unknown; NaT if the day is unknown."""
    found = start(values)
    if np.isnat(found):
        found = next((day for day, _ in map(parts, _present_texts(values, DATES)) if not np.isnat(day)), NAT)
    number = _mjd_of(values)
    if np.isnat(found) and number.is_integer():
        return MJD_0 + np.timedelta64(int(number), "D")
    return found


def instant(text: Any) -> np.datetime64:
    """The instant in a text of date and time, as DATE-END; NaT if one of them is unknown."""
    day, time = parts(_text_or_nothing(text))
    return NAT if time is None or np.isnat(day) else np.datetime64(day + time)


def _of_mjd(values: Values, day: np.datetime64) -> np.datetime64:
    """MJD-OBS as an instant; NaT for a whole number, which may mean the day only, and for one of another day."""
    mjd = _mjd_of(values)
    if mjd != mjd or mjd.is_integer():
        return NAT
    began = at_mjd(mjd)
    near = np.isnat(day) or abs(began - day) < np.timedelta64(2, "D")
    return began if near else NAT


def _mjd_of(values: Values) -> float:
    numbers = (cards.as_number(values.get(k)) for k in DAYS)
    return next((v for v in numbers if 0 < v < 1e5), float("nan"))  # to the year 2132; a Julian date is larger


def at_mjd(mjd: float) -> np.datetime64:
    """The instant of a modified Julian date, to the microsecond."""
    return MJD_0 + np.timedelta64(round(mjd * 86400e6), "us")  # float64 holds no more of it


def mjd(instants: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Modified Julian dates of instants; NaN for NaT."""
    days: np.ndarray[Any, Any] = (instants.astype("datetime64[ns]") - MJD_0) / np.timedelta64(1, "D")
    return days


def _present_texts(values: Values, keywords: tuple[str, ...]) -> Iterator[str]:
    return (text for k in keywords if (text := _text_or_nothing(values.get(k))))


def _text_or_nothing(value: Any) -> str:
    return value.strip() if isinstance(value, str) else ""


def parts(text: str) -> tuple[np.datetime64, np.timedelta64 | None]:
    """Day and time of day in a text; NaT for a day, None for a time that is missing or not understood."""
    match = ISO_DATE.match(text) or OLD_DATE.match(text)
    rest = text[match.end() :] if match else ""
    if match is None or (rest and not re.match(r"[Tt\s]", rest)):
        return NAT, None
    year, month, number = map(int, match.groups() if match.re is ISO_DATE else match.groups()[::-1])
    year += 0 if match.re is ISO_DATE else 1900
    if year not in YEARS:
        return NAT, None
    try:
        day = np.datetime64(f"{year:04d}-{month:02d}-{number:02d}", "ns")
    except ValueError:
        return NAT, None
    return day, clock(rest[1:]) if rest else None


def clock(value: Any) -> np.timedelta64 | None:
    """Time since midnight UTC, from a sexagesimal text or hours, with or without a zone; None if not understood."""
    if isinstance(value, (int, float)):
        return _since_midnight(value, 0.0, 0.0)
    match = ZONE.fullmatch(_text_or_nothing(value))
    form = next((m for c in CLOCKS if match and (m := c.fullmatch(match["time"]))), None)
    if match is None or form is None:
        return None
    if match["sign"] and (len(form.groups()) < 2 or int(match["zh"]) > 14 or int(match["zm"] or 0) > 59):
        return None  # as 11-08, which is no time with a zone
    hours, minutes, rest = [float(g.replace(",", ".")) for g in form.groups()] + [0.0] * (3 - len(form.groups()))
    time = _since_midnight(hours, minutes, rest)
    if time is None or not match["sign"]:
        return time
    ahead = np.timedelta64(int(match["zh"]) * 60 + int(match["zm"] or 0), "m")
    return time - ahead if match["sign"] == "+" else time + ahead


def _since_midnight(hours: float, minutes: float, seconds: float) -> np.timedelta64 | None:
    """The time of day; None if no clock shows it, but a leap second and 24:00 are allowed."""
    total = (hours * 60 + minutes) * 60 + seconds
    fits = 0 <= hours <= 24 and 0 <= minutes < 60 and 0 <= seconds < 61 and total < 86401
    return np.timedelta64(round(total * 1e9), "ns") if fits else None
