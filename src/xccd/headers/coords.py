"""Header texts to labels: coordinates on ``frame`` for keywords that differ, attributes for equal ones."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from xccd.headers import cards, kinds, times
from xccd.headers.chosen import chosen, in_order
from xccd.messages import did_you_mean

# Keywords of the core, each with its spellings in order of preference.
CORE_NUMBERS = {
    "EXPTIME": ("EXPTIME", "EXPOSURE", "EXP_TIME", "ITIME", "TEXPTIME", "EXPOS"),
    "GAIN": ("EGAIN", "GAIN", "CCDGAIN", "E_GAIN"),  # EGAIN is in electrons per count; GAIN beside it is a setting
    "RDNOISE": ("RDNOISE", "READNOIS", "READNOISE", "RON", "ENOISE", "RDNOIS"),
    "AIRMASS": ("AIRMASS", "SECZ", "AMSTART"),
}
CORE_TEXTS = {
    "IMAGETYP": kinds.IMAGETYP,
    "OBSTYPE": kinds.OBSTYPE,
    "OBJECT": ("OBJECT", "OBJNAME", "TARGNAME", "TARGET"),
}
EVERY = "all"  # keywords=: all that differ
HDF5_OWN = frozenset({"CLASS", "NAME", "DIMENSION_LIST", "REFERENCE_LIST"})  # netCDF refuses these names

Values = times.Values


def coordinate_name(keyword: str) -> str:
    """A keyword as a name that netCDF and Zarr accept: no blank or slash, a letter or digit first, none of HDF5's."""
    name = re.sub(r"^[^A-Z0-9]+|[\s/]+", "_", keyword)
    return f"{name}_" if name in HDF5_OWN else name


def core(headers: Sequence[Values]) -> dict[str, np.ndarray[Any, Any]]:
    """The keywords of the core that any frame has: an array (frames,) for each."""
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name in CORE_NUMBERS:
        values = [number(name, h) for h in headers]
        if not np.all(np.isnan(values)):
            found[name] = np.array(values, np.float64)
    words = {"FILTER": [kinds.filter_of(h) for h in headers]}
    words |= {name: [text_of(name, h) for h in headers] for name in CORE_TEXTS}
    found |= {name: np.array(texts, object) for name, texts in words.items() if any(texts)}
    dates = np.array([times.start(h) for h in headers], "datetime64[ns]")
    if not np.all(np.isnat(dates)) or not np.all(np.isnat([times.day(h) for h in headers])):
        found["DATE-OBS"] = dates
    return found


def number(name: str, values: Mapping[str, Any]) -> float:
    """A keyword as a float, NaN without a number; a keyword of the core by its first spelling with a number."""
    read = READ.get(name, cards.as_number)
    found = (READ.get(k, read)(values[k]) for k in CORE_NUMBERS.get(name, (name,)) if k in values)
    return next((value for value in found if value == value), float("nan"))


def keyword_value(text: str, name: str) -> str | int | float | None:
    """The value of a keyword in a header text; a keyword of the core by its first spelling with a number."""
    found = {k: cards.card_value(text, k) for k in CORE_NUMBERS.get(name, (name,))}
    return next((v for k, v in found.items() if number(name, {k: v}) == number(name, {k: v})), found.get(name))


def _positive(value: Any) -> float:
    number = cards.as_number(value)
    return number if number > 0 else float("nan")


READ: dict[str, Callable[[Any], float]] = {"EXPTIME": times.seconds, "EGAIN": _positive}  # EGAIN = 0 means unknown


def text_of(name: str, values: Values) -> str:
    """A text keyword of the core; from keywords that also hold other things only a known kind of frame."""
    if text := _stripped(_first_value(values, CORE_TEXTS[name])):
        return text
    perhaps = (_stripped(values.get(keyword)) for keyword in kinds.PERHAPS.get(name, ()))
    return next((text for text in perhaps if kinds.known(text)), "")


def _first_value(values: Values, spellings: Iterable[str]) -> str | int | float | None:
    return next((values[s] for s in spellings if values.get(s, "") != ""), None)


def _stripped(value: Any) -> str:
    return "" if value is None else str(value).strip()


def shared(texts: Sequence[str]) -> tuple[Values, list[str]]:
    """The values of keywords whose cards are equal in all headers; and the keywords that differ, in order."""
    # reversed: the first of duplicates wins, as in astropy
    first = {c.keyword: c.lines for c in reversed(list(cards.split(texts[0])))}
    lines = dict(first)
    seen = dict.fromkeys(reversed(first))
    # equal headers are split once
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
    """One keyword of all frames as an array: int64, float64 (missing NaN), or object for texts (missing "")."""
    values = [h.get(keyword) for h in headers]
    if any(isinstance(v, str) for v in values):
        return np.array([_stripped(v) for v in values], object)
    if all(isinstance(v, int) for v in values):
        return np.array(values, np.int64)
    return np.array([cards.as_number(v) for v in values], np.float64)


class Labels(NamedTuple):
    """What the keywords of frames become."""

    coords: dict[str, np.ndarray[Any, Any]]  # along ``frame``
    attrs: dict[str, str | int | float]  # of keywords that are equal in all frames
    left: list[str]  # keywords that differ, and are neither, as there are many


def frame_coords(texts: Sequence[str], keywords: Any, *, every: bool = False) -> Labels:
    """The labels of frames. ``every``: all keywords that differ become coordinates, however many."""
    headers = [cards.values(t) for t in texts]
    equal, differing = shared(texts)
    for keyword in list(differing):  # cards that differ only in their comments
        if len(found := {h.get(keyword) for h in headers}) == 1 and None not in found:
            differing.remove(keyword)
            equal[keyword] = headers[0][keyword]
    coords, wanted = in_order(core(headers)), asked(keywords, headers)
    columns = {k: column(headers, k) for k in dict.fromkeys((*differing, *wanted)) if coordinate_name(k) not in coords}
    columns = {k: values for k, values in columns.items() if not _is_empty(values)}
    stay = list(columns) if every or keywords == EVERY else chosen(columns, len(coords), frozenset(wanted))
    for keyword in stay:
        coords.setdefault(coordinate_name(keyword), columns[keyword])
    return Labels(coords, {coordinate_name(k): v for k, v in equal.items()}, [k for k in columns if k not in stay])


def asked(keywords: Any, headers: Sequence[Values]) -> list[str]:
    """The argument ``keywords``, checked, in upper case; raises if no header has one of them."""
    names: list[Any] = (
        []
        if keywords is None or keywords == EVERY
        else list(keywords)
        if isinstance(keywords, Iterable)
        else [keywords]
    )
    if (isinstance(keywords, str) and keywords != EVERY) or not all(isinstance(k, str) for k in names):
        raise TypeError(
            f"keywords={keywords!r} is not a list of header keywords, as ['AIRMASS', 'SEEING'], or {EVERY!r}"
        )
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
