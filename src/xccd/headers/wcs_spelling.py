"""The cards of a WCS in the standard's spelling, with one distortion."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

from xccd.headers import cards

if TYPE_CHECKING:
    from astropy.io.fits import Header

SIP = re.compile(r"[AB]P?_(ORDER|\d+_\d+|DMAX)")
PLATE = re.compile(r"AMD[XY]\d+")  # the polynomials of a Digitized Sky Survey plate; wcslib takes them before CTYPE
_MATRIX = re.compile(r"(PC|CD)(?:0*(\d+)_0*(\d+)|(\d{3})(\d{3}))([A-Z]?)")
_MOST_OF_TAN = 4  # the highest PVi_m of a plain TAN; more are a polynomial of SCAMP


def standard_names(keywords: Iterable[str], latitude: int = 2) -> dict[str, str]:
    """The standard's keyword for each keyword in an old spelling that wcslib reads; "" for one that it ignores.

    PC001001 and PC01_01 are PC1_1. EPOCH is EQUINOX, and ignored beside it. PROJPn is PVi_n of the axis of latitude.
    """
    given = set(keywords)
    found = {k: new for k, new in (("RADECSYS", "RADESYS"), ("EPOCH", "EQUINOX")) if k in given}
    for keyword in given:
        if match := _MATRIX.fullmatch(keyword):
            found[keyword] = f"{match[1]}{int(match[2] or match[4])}_{int(match[3] or match[5])}{match[6]}"
        elif re.fullmatch(r"PROJP\d", keyword):
            found[keyword] = f"PV{latitude}_{keyword[-1]}"
    return {old: "" if new in given else new for old, new in found.items() if old != new}


def respell(header: Header) -> None:
    """Rename the WCS keywords of a header to the standard's, in place."""
    keywords = list(header)
    if {"RADESYS", "RADECSYS"} <= set(keywords):  # the later one counts, as for wcslib
        del header[min(("RADESYS", "RADECSYS"), key=keywords.index)]
    latitude = 1 if re.match(r"DEC|.LAT", str(header.get("CTYPE1", ""))) else 2
    for old, new in standard_names(header, latitude).items():
        damaged = old == "EPOCH" and isinstance(header[old], str)  # wcslib reads numbers only
        if new and not damaged:
            header.rename_keyword(old, new)
        else:
            del header[old]


def settled(header: Header) -> Header:
    """A copy of a header in the standard's spelling, mended as astropy mends it, without its warnings.

    A TAN with a polynomial of SCAMP is a TPV. TPV with SIP has no SIP, TAN-SIP with such a polynomial has only SIP. SIP
    of a TAN makes it TAN-SIP.
    """
    made = header.copy()
    respell(made)
    kinds = {f"CTYPE{i}": str(made.get(f"CTYPE{i}", "")).strip() for i in (1, 2)}
    ends = {kind[4:] for kind in kinds.values()}
    polynomial = _polynomial(made)
    sip = [k for k in made if SIP.fullmatch(k)]
    if ends == {"-TAN"} and polynomial:
        made.update({keyword: f"{kind[:-3]}TPV" for keyword, kind in kinds.items()})
        ends = {"-TPV"}
    if ends == {"-TPV"}:
        _remove(made, sip)
    elif ends == {"-TAN-SIP"} and polynomial:
        _remove(made, polynomial)
    name_sip(made)
    return made


def name_sip(header: Header) -> None:
    """Make a TAN with SIP a TAN-SIP, in place. astropy applies SIP either way, and logs 15 lines without the name."""
    kinds = {f"CTYPE{i}": str(header.get(f"CTYPE{i}", "")).strip() for i in (1, 2)}
    orders = [cards.as_number(header.get(keyword)) for keyword in ("A_ORDER", "B_ORDER")]
    if min(orders) > 1 and not _polynomial(header) and all(kind.endswith("-TAN") for kind in kinds.values()):
        header.update({keyword: f"{kind}-SIP" for keyword, kind in kinds.items()})


def _polynomial(header: Header) -> list[str]:
    """The PVi_m of a header if they are a polynomial of SCAMP, which takes the place of SIP."""
    found = [k for k in header if re.fullmatch(r"PV[12]_\d+", k)]
    return found if any(int(k[4:]) > _MOST_OF_TAN for k in found) else []


def _remove(header: Header, keywords: list[str]) -> None:
    for keyword in keywords:
        del header[keyword]
