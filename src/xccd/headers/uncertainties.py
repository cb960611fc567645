"""What an extension of uncertainties holds, standard deviations or variances, and in which unit."""

from __future__ import annotations

import re
from typing import Any

TYPES = ("std", "var", "ivar")  # astropy's names of them
BY_UTYPE = {
    "STDDEVUNCERTAINTY": "std", "VARIANCEUNCERTAINTY": "var", "INVERSEVARIANCE": "ivar",
    "UNKNOWNUNCERTAINTY": "", "STD": "std", "VAR": "var", "IVAR": "ivar",
}  # fmt: skip
# Names that say it, without the marks between words. A weight map need not hold inverse variances: it says nothing.
BY_NAME = {
    "UNCERT": "std", "ERR": "std", "VAR": "var", "VARIANCE": "var", "ERROR": "std", "IVAR": "ivar", "SIGMA": "std",
    "STD": "std", "STDDEV": "std", "STDEV": "std", "UNCERTAINTY": "std", "ERRORS": "std", "INVVAR": "ivar",
    "INVERSEVARIANCE": "ivar", "INVVARIANCE": "ivar",
}  # fmt: skip
NAMES = [*BY_NAME, "STD_DEV", "INVERSE_VARIANCE", "INV_VAR"]  # what is found by itself, in this order
POWERS = {"std": 1, "var": 2, "ivar": -2}  # of the data's unit
WAY_OUT = "uncertainty_type= says which of std, var, ivar it is, uncertainty_hdu=None leaves it"


def plain(name: str) -> str:
    """A name in upper case without the marks between its words, and without a number at its end."""
    return re.sub(r"[\s_-]+|[\s_-]*\d+$", "", name.strip().upper())


def check_type(told: Any, wanted: Any) -> None:
    """Raise for an argument ``uncertainty_type`` that is none."""
    if told is None:
        return
    if told not in TYPES:
        raise ValueError(f"uncertainty_type={told!r} is unknown: use one of {', '.join(TYPES)}")
    if wanted is None:
        raise ValueError(f"uncertainty_type={told!r} goes with an extension: uncertainty_hdu=None reads none")


def type_of(where: str, name: str, utype: Any, told: str | None) -> str:
    """The type of an extension: by its UTYPE, by what the user said, or by its name; raises if these do not tell."""
    written = BY_UTYPE.get(str(utype).strip().upper().rpartition(".")[2])
    if written and told not in (None, written):
        raise ValueError(
            f"{where}: its UTYPE = {str(utype).strip()!r} says {written!r}, not uncertainty_type={told!r}: "
            "leave that argument out, or mend the file"
        )
    found = written or told or ("" if written == "" else BY_NAME.get(plain(name), ""))
    if not found:
        says = f"UTYPE = {str(utype).strip()!r}" if written == "" else f"name {name!r}" if name else "header"
        raise ValueError(f"{where}: its {says} does not say what it holds: {WAY_OUT}")
    return found


def unit_of(where: str, own: str, data: str, kind: str, told: str | None) -> str:
    """The unit of an extension: its own, that of the data for standard deviations, or "".

    Raises where its own is not that of the data (of variances the square, of inverse ones 1 over it).
    """
    if not own:
        return data if kind == "std" else ""
    if not data or (kind == "std" and own == data):
        return own
    is_right, is_scaled = _compared(own, data, POWERS[kind])
    if is_right:
        return own
    expected = data if kind == "std" else f"({data})**{POWERS[kind]}"
    if is_scaled:
        raise ValueError(
            f"{where}: it is in {own!r}, the image in {data!r}, where {kind!r} would be in {expected!r}: "
            "bring both to one scale, or uncertainty_hdu=None leaves it"
        )
    if told is None:
        raise ValueError(
            f"{where}: BUNIT = {own!r} contradicts that it holds {kind!r} of an image in {data!r}, "
            f"which would be in {expected!r}: {WAY_OUT}"
        )
    return ""


def _compared(own: str, data: str, power: int) -> tuple[bool, bool]:
    """Whether a unit is a power of another, and whether it is but for its scale; true where that cannot be judged."""
    if written := re.fullmatch(rf"\(?{re.escape(data)}\)?\s*(?:\*\*|\^)?\s*\(?([+-]?\d+)?\)?", own, re.IGNORECASE):
        return int(written[1] or 1) == power, False  # of units that astropy does not know, too
    units = [_unit(text) for text in (own, data)]
    if None in units:
        return True, False
    mine, expected = units[0], units[1] ** power
    return bool(mine == expected), bool(mine.is_equivalent(expected))


def _unit(text: str) -> Any:
    """A unit as astropy has it, capitals or not; None for one that it does not know."""
    from astropy import units as u

    for spelling in (text, text.lower()):
        try:
            return u.Unit(spelling)
        except (ValueError, TypeError):
            continue
    return None
