"""Header texts into labels: coordinates on ``frame`` for what differs, attributes for what is equal."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from xccd._suggest import did_you_mean
from xccd.fits import cards

# Other spellings that feed a keyword of the core, in order of preference.
CORE_NUMBERS = {
    "EXPTIME": ("EXPTIME", "EXPOSURE", "EXP_TIME", "ITIME", "TEXPTIME", "EXPOS"),
    "GAIN": ("GAIN", "EGAIN", "CCDGAIN", "E_GAIN"),
    "RDNOISE": ("RDNOISE", "READNOIS", "READNOISE", "RON", "ENOISE", "RDNOIS"),
    "AIRMASS": ("AIRMASS", "SECZ", "AMSTART"),
}
CORE_TEXTS = {
    "FILTER": ("FILTER", "FILTERS", "FILTER1", "FILTNAM", "FILTNAME", "INSFILTE"),
    "IMAGETYP": ("IMAGETYP", "IMAGETYPE", "IMGTYPE", "FRAMETYP", "FRAME"),
    "OBSTYPE": ("OBSTYPE", "OBS-TYPE", "OBS_TYPE", "DATATYPE"),
    "OBJECT": ("OBJECT", "OBJNAME", "TARGNAME", "TARGET"),
}
DATES = ("DATE-OBS", "DATE_OBS", "DATEOBS", "DATE-BEG", "UTDATE")
TIMES = ("UT", "TIME-OBS", "UTC-OBS", "UT-OBS", "UTSTART", "UTC", "TIME-BEG")
OLD_DATE = re.compile(r"(\d{1,2})[/-](\d{1,2})[/-](\d{2})(?!\d)")  # dd/mm/yy, before 1999
ISO_DATE = re.compile(r"(\d{4})[-/](\d{1,2})[-/](\d{1,2})")
TIME = re.compile(r"(\d{1,2}):(\d{1,2})(?::(\d{1,2}(?:\.\d*)?))?")

HDF5_OWN = frozenset({"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"})  # netCDF refuses attributes so named
YEARS = range(1678, 2262)  # of datetime64[ns]; beyond them it wraps around

Values = dict[str, str | int | float]


def coordinate_name(keyword: str) -> str:
    """A name that netCDF and Zarr take: no blank or slash, a letter or digit first, none of HDF5's own."""
    name = re.sub(r"^[^A-Z0-9]+|[\s/]+", "_", keyword)
    return f"{name}_" if name in HDF5_OWN else name


def core(headers: Sequence[Values]) -> dict[str, np.ndarray[Any, Any]]:
    """The fixed core, where any frame has it."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name, spellings in CORE_NUMBERS.items():
        values = [cards.as_number(_first(h, spellings)) for h in headers]
        if not np.all(np.isnan(values)):
            found[name] = np.array(values, np.float64)
    for name, spellings in CORE_TEXTS.items():
        texts = [_as_text(_first(h, spellings)) for h in headers]
        if any(texts):
            found[name] = np.array(texts, object)
    dates = np.array([date(h) for h in headers], "datetime64[ns]")
    if not np.all(np.isnat(dates)):
        found["DATE-OBS"] = dates
    return found


def _first(values: Values, spellings: Iterable[str]) -> str | int | float | None:
    return next((values[s] for s in spellings if values.get(s, "") != ""), None)


def _as_text(value: Any) -> str:
    return "" if value is None else str(value).strip()


def date(values: Values) -> np.datetime64:
    """When the exposure began: DATE-OBS, joined with UT or TIME-OBS where it has no time; NaT if unreadable."""
    text = _as_text(_first(values, DATES))
    day = _day(text)
    if day is None:
        mjd = cards.as_number(_first(values, ("MJD-OBS", "MJD_OBS", "MJD-BEG")))
        if not 0 < mjd < 1e5:
            return np.datetime64("NaT", "ns")
        return np.datetime64("1858-11-17", "ns") + np.timedelta64(round(mjd * 86400e6), "us")
    after = text.split("T", 1)[1] if "T" in text else text[10:]
    others = (_as_text(values.get(t)) for t in TIMES)
    times = (_time(m) for m in (TIME.search(after), *map(TIME.fullmatch, others)) if m)
    time = next((t for t in times if t is not None), None)
    return day if time is None else day + time


def _time(match: re.Match[str]) -> np.timedelta64 | None:
    hours, minutes, seconds = int(match[1]), int(match[2]), float(match[3] or 0)
    if hours > 24 or minutes > 59 or seconds >= 61:
        return None
    return np.timedelta64((hours * 60 + minutes) * 60 * 10**9 + round(seconds * 1e9), "ns")


def _day(text: str) -> np.datetime64 | None:
    if match := ISO_DATE.match(text):
        year, month, day = map(int, match.groups())
    elif match := OLD_DATE.match(text):
        day, month, year = int(match[1]), int(match[2]), 1900 + int(match[3])
    else:
        return None
    if year not in YEARS:
        return None
    try:
        return np.datetime64(f"{year:04d}-{month:02d}-{day:02d}", "ns")
    except ValueError:
        return None


def shared(texts: Sequence[str]) -> tuple[Values, list[str]]:
    """Keywords with equal cards in all headers, with their values; and those that differ, in order."""
    first = {c.keyword: c.lines for c in reversed(list(cards.split(texts[0])))}
    lines = dict(first)
    seen = dict.fromkeys(reversed(first))
    for text in dict.fromkeys(texts[1:]):
        own = {c.keyword: c.lines for c in reversed(list(cards.split(text)))}
        seen.update(dict.fromkeys(reversed(own)))
        lines = {k: v for k, v in lines.items() if own.get(k) == v}
    exposure = [k for k in seen if k not in cards.COMMENTARY and not cards.describes_data(k)]
    equal: Values = {}
    for keyword in exposure:
        value = cards.value_of(lines[keyword]) if keyword in lines else None
        if value is not None:
            equal[keyword] = value
    return equal, [k for k in exposure if k not in lines]


def column(headers: Sequence[Values], keyword: str) -> np.ndarray[Any, Any]:
    """One keyword of all frames: whole numbers, floats with NaN, or texts with "" where it is missing."""
    values = [h.get(keyword) for h in headers]
    if any(isinstance(v, str) for v in values):
        return np.array([_as_text(v) for v in values], object)
    if all(isinstance(v, int) for v in values):
        return np.array(values, np.int64)
    return np.array([cards.as_number(v) for v in values], np.float64)


def frame_coords(
    texts: Sequence[str], keywords: Iterable[str] | None
) -> tuple[dict[str, np.ndarray[Any, Any]], dict[str, str | int | float]]:
    """Coordinates along ``frame`` and attributes for all of them."""
    headers = [cards.values(t) for t in texts]
    equal, differing = shared(texts)
    for keyword in list(differing):  # cards that differ in their comments alone
        if len(found := {h.get(keyword) for h in headers}) == 1 and None not in found:
            differing.remove(keyword)
            equal[keyword] = headers[0][keyword]
    coords = core(headers)
    for keyword in (*differing, *asked(keywords, headers)):
        values = column(headers, keyword)
        if not _is_empty(values):
            coords.setdefault(coordinate_name(keyword), values)
    attrs = {coordinate_name(k): v for k, v in equal.items()}
    return coords, attrs


def asked(keywords: Any, headers: Sequence[Values]) -> list[str]:
    """What the user gave as ``keywords``, checked; each is in some header."""
    names = [] if keywords is None else list(keywords) if isinstance(keywords, Iterable) else [keywords]
    if isinstance(keywords, str) or not all(isinstance(k, str) for k in names):
        raise TypeError(f"keywords={keywords!r} is not a list of header keywords, as ['AIRMASS', 'SEEING']")
    names = [k.upper() for k in names]
    absent = [k for k in names if not any(k in h for h in headers)]
    if absent:
        near = did_you_mean(absent[0], dict.fromkeys(k for h in headers for k in h))
        raise ValueError(f"keywords={absent}: no frame has them in its header{near}")
    return names


def _is_empty(values: np.ndarray[Any, Any]) -> bool:
    if values.dtype == object:
        return not any(values)
    return bool(values.dtype.kind == "f" and np.isnan(values).all())
