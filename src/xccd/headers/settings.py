"""What the frames of one stack must share, as their unit; and log lines for settings that differ."""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from xccd.headers import cards

NAMED = 3  # files for each value in an error
SHOWN = 4  # values in a line of the log

# Spellings of one unit. Other words are compared as written, without regard to case.
UNITS = {
    "adu": ("adu", "adus", "dn", "dns", "count", "counts", "ct", "cts"),
    "electron": ("electron", "electrons", "photoelectron", "photoelectrons", "e", "e-"),
    "photon": ("photon", "photons", "ph"),
    "s": ("s", "sec", "secs", "second", "seconds"),
    "pixel": ("pixel", "pixels", "pix"),
    "Angstrom": ("angstrom", "angstroms", "ang", "a"),
    "mag": ("mag", "mags", "magnitude"),
}
NO_UNIT = frozenset({"", "none", "unknown", "undefined", "n/a", "null", "-"})  # a BUNIT with one of these is ignored
TWO_PREFIXES = "mpyz"  # milli and mega, pico and peta, ...: only the case differs
_SPELLED = {word: unit for unit, words in UNITS.items() for word in words}
_WORD = re.compile(r"(?<![\d.])(?<![^\W\d_])(?:[eE]-|[^\W\d_]+)")  # not the e of a number

# Camera settings. Frames that differ in one seldom belong together, so the log reports it.
SETTINGS = (
    "GAIN", "READOUTM", "READMODE", "SET-TEMP", "SET_TEMP", "SETTEMP", "XBINNING", "YBINNING", "CCDXBIN", "CCDYBIN",
    "BINX", "BINY", "CCDBIN1", "CCDBIN2", "CCDSUM", "BINNING",
)  # fmt: skip

log = logging.getLogger("xccd")


def listed(names: Iterable[str], values: Iterable[str]) -> str:
    """Text for an error: each value with its frames, as "adu: a.fits, b.fits; electron: c.fits"."""
    by_value: dict[str, list[str]] = defaultdict(list)
    for name, value in zip(names, values, strict=True):
        if value:
            by_value[value].append(name)
    return "; ".join(
        f"{value}: {', '.join(some[:NAMED])}" + (f" and {len(some) - NAMED} more" if some[NAMED:] else "")
        for value, some in by_value.items()
    )


def given_unit(units: Any) -> str | None:
    """The argument ``units`` as a text; None if it was not given."""
    if units is None:
        return None
    text = units.to_string() if hasattr(units, "to_string") else units
    if not isinstance(text, str):
        raise TypeError(f"units={units!r} is no unit: give a text or an astropy unit, as 'adu'")
    if not text.strip():
        raise ValueError(f"units={units!r} is empty: give a unit, as 'adu', or leave it to the files")
    return text.strip()


def one_unit(names: Sequence[str], bunits: Iterable[Any], units: Any = None) -> str:
    """The unit of frames with these BUNITs, in the spelling of the first; "" without any. Raises if they differ."""
    if (given := given_unit(units)) is not None:
        return given
    written = [_unit_as_written(value) for value in bunits]
    if len(set(units_of(written)) - {None}) > 1:
        raise ValueError(
            f"the frames have differing units ({listed(names, written)}): convert them, open each unit apart "
            "(xccd.open_tree does), or give all frames one, as units='adu'"
        )
    return next(filter(None, written), "")


def units_of(bunits: Iterable[Any]) -> list[str | None]:
    """The unit of each frame from its BUNIT, equal units in one spelling; None for a frame without one."""
    written = [_unit_as_written(value) for value in bunits]
    same: dict[str, str] = {}
    for text in filter(None, dict.fromkeys(written)):
        same[text] = next((other for other in same.values() if same_unit(text, other)), one_spelling(text))
    return [same.get(text) for text in written]


def _unit_as_written(value: Any) -> str:
    unit = "" if value is None else str(value).strip()
    return "" if unit.lower() in NO_UNIT else unit


@lru_cache(maxsize=1 << 10)
def one_spelling(unit: str) -> str:
    """A unit with one spelling for each of its words."""
    return _WORD.sub(lambda match: _spelled(match[0]), re.sub(r"\s+", " ", unit.strip()))


def _spelled(word: str) -> str:
    small = word.lower()
    kept = word[0] if len(word) > 1 and small[0] in TWO_PREFIXES else small[0]
    return _SPELLED.get(small, kept + small[1:])


def same_unit(a: str, b: str) -> bool:
    """Whether two texts mean one unit: the same words, or equal for astropy ("adu/s", "adu s-1")."""
    if one_spelling(a) == one_spelling(b):
        return True
    read = [_astropy_unit(text) for text in (a, b)]
    return read[0] is not None and read[0] == read[1]


def factor_between(a: str, b: str) -> float | None:
    """What a value in the unit ``a`` is multiplied by to be in ``b``; None if they measure different things."""
    if same_unit(a, b):
        return 1.0
    one, other = (_astropy_unit(text) for text in (a, b))
    if one is None or other is None or not one.is_equivalent(other):
        return None
    return float(one.to(other))


@lru_cache(maxsize=1 << 10)
def _astropy_unit(text: str) -> Any:
    """The astropy unit; None if astropy does not know it."""
    from astropy import units as u

    spelled = _WORD.sub(lambda match: _SPELLED.get(match[0].lower(), match[0]), text)
    with cards.quiet():  # astropy warns of spellings that the standard discourages
        try:
            return u.Unit(spelled)
        except ValueError:
            return None


def tell_settings(labels: Mapping[str, Iterable[Any]], node: str = "") -> None:
    """Log the camera settings in which frames differ; ``labels`` maps keywords to the values of all frames."""
    found = (values_of(name, labels[name]) for name in SETTINGS if name in labels)
    if differ := ", ".join(filter(None, found)):
        log.warning("the frames%s differ in %s", f" of the node {node!r}" if node else "", differ)


def values_of(name: str, values: Iterable[Any]) -> str:
    """A keyword with its values, as "GAIN (1, 2)"; "" if the frames that have it agree."""
    texts = {_value_in_log(value) for value in values if value is not None} - {"nan", ""}
    found = sorted(texts, key=_order_of_texts)
    if len(found) < 2:
        return ""
    more = f" and {len(found) - SHOWN} more" if found[SHOWN:] else ""
    return f"{name} ({', '.join(found[:SHOWN])}{more})"


def _value_in_log(value: Any) -> str:
    number = cards.as_number(value)
    return str(value).strip() if np.isnan(number) else f"{number:.12g}"


def _order_of_texts(text: str) -> tuple[bool, float, str]:
    number = cards.as_number(text)
    return (bool(np.isnan(number)), 0.0 if np.isnan(number) else number, text)
