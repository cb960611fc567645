"""The header cards that define a grid, and whether they say all that the header says of the sky."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import cards, common
from xccd.headers.wcs_spelling import PLATE, respell, settled

if TYPE_CHECKING:
    from astropy.wcs import WCS


# The cards that a grid keeps: the primary WCS. Alternate ones (a letter at the end) do not move pixels.
KEPT = re.compile(
    r"CTYPE[12]|CRVAL[12]|CRPIX[12]|CDELT[12]|CUNIT[12]|CROTA[12]|(PC|CD)[12]_[12]|PV[12]_\d{1,2}|"
    r"LONPOLE|LATPOLE|RADESYS|EQUINOX|[AB]P?_(ORDER|\d_\d)|WAT[12]_\d{1,3}"
)
TABLES = re.compile(r"(CPDIS|CQDIS|D2IMDIS|CPERR|CQERR|D2IMERR|DP|DQ|AXISCORR)\d?")
TEXTS = re.compile(r"CTYPE|CUNIT|RADE|WAT")  # text values; all others are numbers
DISTORTED = re.compile(r"(CPDIS|CQDIS|D2IMDIS)\d")  # the WCS is distorted by a table
MIXED = re.compile(r"(?:PC|CD)(?:[12]_([3-9])|([3-9])_[12])")  # turns the sky into a third axis
LARGEST = 10**6  # pixels along one side: 4 TB a frame, surely a typing error
SAME = 1e-6  # pixels: two ways to the same position agree to 1e-9, a card that is left out moves it by far more


def is_distorted(text: str) -> bool:
    """Whether a header text has a WCS that is distorted by tables in other HDUs."""
    return any(DISTORTED.fullmatch(card.keyword) for card in cards.split(text))


def wcs_lines(text: str) -> list[str]:
    """The cards of a header text that a grid keeps, in the standard's spelling and in order of keywords.

    Raises ValueError if a card is damaged, or says something that these cards cannot.
    """
    found: dict[str, cards.Card] = {}
    for card in cards.split(text):
        if cards.WCS.fullmatch(card.keyword):
            found.setdefault(card.keyword, card)  # of duplicates the first counts, as in astropy
    if plate := min(filter(PLATE.fullmatch, found), default=None):
        raise ValueError(
            f"its WCS is the polynomial of a Digitized Sky Survey plate ({plate}): give it a TAN-SIP WCS, "
            "as fit_wcs_from_points of astropy.wcs.utils makes one"
        )
    if "CTYPE1" not in found:
        raise ValueError("there is no WCS: the header has no CTYPE1")
    if table := min(filter(DISTORTED.fullmatch, found), default=None):
        raise ValueError(f"the WCS is distorted by a table in another HDU ({table}): only its file has that")
    made = cards.parsed(line for c in found.values() for line in c.lines)
    respell(made)
    for keyword in list(made):
        if MIXED.fullmatch(keyword) and cards.as_number(made[keyword]) != 0:
            raise ValueError(f"the WCS mixes the sky with a third axis ({keyword} = {made[keyword]})")
        if not KEPT.fullmatch(keyword):
            del made[keyword]
    own = {c.keyword: c for c in cards.split("\n".join(str(card) for card in settled(made).cards))}
    for keyword, card in own.items():
        if not TEXTS.match(keyword) and not np.isfinite(cards.as_number(card.value)):
            raise ValueError(f"the WCS is damaged: {keyword} = {card.value!r} is not a number")
    return [written(own[k]) for k in sorted(own)]


def sizes(text: str, shape: tuple[int, int] | None) -> tuple[int, int]:
    """Rows and columns as given, else from the header."""
    if shape is not None:
        return int(shape[0]), int(shape[1])
    rows, columns = (cards.as_number(cards.card_value(text, k)) for k in ("NAXIS2", "NAXIS1"))
    if not all(1 <= n <= LARGEST and n.is_integer() for n in (rows, columns)):
        raise ValueError("the header does not say how large the image is (NAXIS1, NAXIS2): give shape=")
    return int(rows), int(columns)


def check_whole(text: str, wcs: WCS, shape: tuple[int, int]) -> None:
    """Raise if a WCS is not that of the whole header text, as astropy reads it, at points all over the image."""
    try:
        whole = common.astropys_wcs(cards.parsed(text.split("\n")))
    except Exception:  # another card stops astropy, such as a table of a third axis; the cards of the sky are read
        return
    x, y = (a.ravel() for a in np.meshgrid(*(np.linspace(0, n - 1, 5) for n in shape[::-1])))
    with np.errstate(all="ignore"):
        ours, theirs = (np.stack(w.all_pix2world(x, y, 0)) for w in (wcs, whole))
    off = np.abs((ours - theirs + 180) % 360 - 180)
    side = np.sqrt(abs(np.linalg.det(wcs.pixel_scale_matrix)))
    systems = [" ".join(map(str, common.system_of(w))) for w in (wcs, whole)]
    if systems[0] != systems[1]:
        raise ValueError(
            f"the header names two celestial systems, {systems[0]} and {systems[1]}: leave one in it (RADESYS, "
            "RADECSYS, EQUINOX, EPOCH)"
        )
    if (off[np.isfinite(off)] > SAME * side).any():
        named = [c.keyword for c in cards.split(text) if cards.WCS.fullmatch(c.keyword)]
        twice = next((k for k in named if named.count(k) > 1), None)
        raise ValueError(
            "the header has cards of a WCS that are not understood"
            + (f" ({twice} is there twice)" if twice else "")
            + f": positions would be off by up to {np.nanmax(off) / side:.3g} pixels. Write the WCS that astropy makes "
            "of it, WCS(header).to_header(), into the header"
        )


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
