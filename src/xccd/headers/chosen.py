"""Which keywords become labels of the frames, and in which order: too many hide those that matter."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from xccd.headers.detector import BINNINGS, TEMPERATURES
from xccd.headers.settings import SETTINGS

# xarray's page folds coordinates away from 25 on. With the file, the header, y and x there is room for three more, as
# the names of the masters that frames were calibrated by.
MOST = 17
FIRST = ("EXPTIME", "FILTER", "DATE-OBS", "IMAGETYP", "OBSTYPE", "OBJECT", "AIRMASS", "GAIN", "RDNOISE")  # the core
# Keywords that stay if they differ: those that verbs look for among labels, and those that say how a detector was set.
STAY = frozenset(
    ("NCOMBINE", "ROWORDER", "BAYERPAT", "OSCANSEC", "TRIM", "BIASCOR", "DARKCOR", "FLATCOR", "GAINCOR", "DEBAYER")
    + TEMPERATURES
    + SETTINGS
    + tuple(name for names in BINNINGS for name in names)
)
DATES = re.compile(r"(DATE|MJD|JD|HJD|BJD|TIME|UT|LST|ST)([-_].*|\d*|C.*|START|END)|.*[-_](OBS|BEG|END|AVG)")

Column = np.ndarray[Any, Any]


def in_order(core: Mapping[str, Column]) -> dict[str, Column]:
    """The labels of the core, those first that tell frames apart."""
    return {name: core[name] for name in sorted(core, key=lambda name: (*FIRST, name).index(name))}


def chosen(differing: Mapping[str, Column], core: int, asked: frozenset[str]) -> list[str]:
    """The keywords that become labels beside ``core`` others, in their order.

    If there are too many: those that stay and those that were asked for, then dates, then numbers, then texts.
    """
    if len(differing) + core <= MOST:
        return list(differing)
    kept = {name for name in differing if name in STAY or name in asked}
    rest = sorted((name for name in differing if name not in kept), key=lambda name: _rank(name, differing[name]))
    kept |= set(rest[: max(MOST - core - len(kept), 0)])
    return [name for name in differing if name in kept]


def _rank(name: str, values: Column) -> int:
    """Dates, then numbers, then texts; the sort is stable, so each in the order of the header."""
    if DATES.fullmatch(name):
        return 0
    return 1 if values.dtype.kind in "iuf" else 2
