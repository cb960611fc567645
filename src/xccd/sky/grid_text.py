"""The header cards that define a grid, and its distortion tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import cards, common

if TYPE_CHECKING:
    from astropy.wcs import WCS


# The cards that a grid keeps: the primary WCS. Alternate ones (a letter at the end) do not move pixels.
KEPT = re.compile(
    r"CTYPE[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CUNIT[12]|CROTA[12]|(PC|CD)[12]_[12]|PV[12]_\d{1,2}|"
    r"LONPOLE|LATPOLE|RADESYS|RADECSYS|EQUINOX|[AB]P?_(ORDER|\d_\d)|WAT[12]_\d{1,3}"
)
TABLES = re.compile(r"(CPDIS|CQDIS|D2IMDIS|CPERR|CQERR|D2IMERR|DP|DQ|AXISCORR)\d?")
TEXTS = re.compile(r"CTYPE|CUNIT|RADE|WAT")  # text values; all others are numbers
DISTORTED = re.compile(r"(CPDIS|CQDIS|D2IMDIS)\d")  # the WCS is distorted by a table


def wcs_with_tables(content: bytes) -> WCS:
    """The WCS of a FITS file given as bytes: its header, and the tables of distortion in its extensions."""
    from astropy.io import fits

    with fits.open(BytesIO(content)) as hdus:
        return common.read_wcs(hdus[0].header, 2, hdus)


def grid_header_text(header: Any) -> str:
    """The cards of an astropy header, or of a dict of keywords, as lines of text."""
    if isinstance(header, Mapping) and not hasattr(header, "cards"):
        return "\n".join(cards.make(k.upper(), v) for k, v in header.items())
    return "\n".join(str(card) for card in header.cards)


def written(card: cards.Card) -> str:
    """A card in a fixed spelling, so that equal cards are equal texts."""
    value = card.value
    if value is None:
        return "\n".join(card.lines)
    number = cards.as_number(value)
    if isinstance(value, str) and np.isfinite(number) and not TEXTS.match(card.keyword):
        value = number
    if isinstance(value, int | float) and re.fullmatch(r"[AB]P?_ORDER", card.keyword) is None:
        value = float(value)
    line = cards.make(card.keyword, value)
    return line if cards.value_of((line,)) == value else "\n".join(card.lines)  # 20 columns are too few for some values
