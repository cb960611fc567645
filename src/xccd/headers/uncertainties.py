"""Extensions of uncertainties: whether they hold standard deviations or variances, and their unit."""

from __future__ import annotations

import re
from typing import Any, NamedTuple


class UncertaintyType(NamedTuple):
    """A type of uncertainty: its class in `astropy.nddata` (also its UTYPE), and its unit as a power of the data's."""

    astropy: str
    power: int


KINDS = {
    "std": UncertaintyType("StdDevUncertainty", 1),
    "var": UncertaintyType("VarianceUncertainty", 2),
    "ivar": UncertaintyType("InverseVariance", -2),
}
TYPES = tuple(KINDS)
BY_UTYPE = {kind.astropy.upper(): name for name, kind in KINDS.items()} | {name.upper(): name for name in TYPES}
BY_UTYPE["UNKNOWNUNCERTAINTY"] = ""
# EXTNAME to type, without the marks between words. Weight maps are absent: they need not hold inverse variances.
BY_NAME = {
    "UNCERT": "std", "ERR": "std", "VAR": "var", "VARIANCE": "var", "ERROR": "std", "IVAR": "ivar", "SIGMA": "std",
    "STD": "std", "STDDEV": "std", "STDEV": "std", "UNCERTAINTY": "std", "ERRORS": "std", "INVVAR": "ivar",
    "INVERSEVARIANCE": "ivar", "INVVARIANCE": "ivar",
}  # fmt: skip
NAMES = [*BY_NAME, "STD_DEV", "INVERSE_VARIANCE", "INV_VAR"]  # looked for by default, in this order
WAY_OUT = "uncertainty_type= says which of std, var, ivar it is, uncertainty_hdu=None leaves it"


def bare_name(name: str) -> str:
    """A name in upper case, without the marks between its words and the number at its end."""
    return re.sub(r"[\s_-]+|[\s_-]*\d+$", "", name.strip().upper())


def check_type(given: Any, wanted: Any) -> None:
    """Raise if the argument ``uncertainty_type`` is unknown, or no extension is read (``wanted`` is None)."""
    if given is None:
        return
    if given not in TYPES:
        raise ValueError(f"uncertainty_type={given!r} is unknown: use one of {', '.join(TYPES)}")
    if wanted is None:
        raise ValueError(f"uncertainty_type={given!r} goes with an extension: uncertainty_hdu=None reads none")


def type_of(where: str, name: str, utype: Any, given: str | None) -> str:
    """The type of an extension: by its UTYPE, else the user's argument, else its name. Raises if none of them tells."""
    written = BY_UTYPE.get(str(utype).strip().upper().rpartition(".")[2])
    if written and given not in (None, written):
        raise ValueError(
            f"{where}: its UTYPE = {str(utype).strip()!r} says {written!r}, not uncertainty_type={given!r}: "
            "leave that argument out, or mend the file"
        )
    found = written or given or ("" if written == "" else BY_NAME.get(bare_name(name), ""))
    if not found:
        says = f"UTYPE = {str(utype).strip()!r}" if written == "" else f"name {name!r}" if name else "header"
        raise ValueError(f"{where}: its {says} does not say what it holds: {WAY_OUT}")
    return found


def unit_of(where: str, own: str, data: str, kind: str, given: str | None) -> str:
    """The unit of an extension: its own; without one the data's for standard deviations, else "".

    Raises if its own unit does not match the data's: the same for "std", its square for "var", its power -2 for "ivar".
    """
    if not own:
        return data if kind == "std" else ""
    if not data or (kind == "std" and own == data):
        return own
    is_right, is_scaled = _compared(own, data, KINDS[kind].power)
    if is_right:
        return own
    expected = data if kind == "std" else f"({data})**{KINDS[kind].power}"
    if is_scaled:
        raise ValueError(
            f"{where}: it is in {own!r}, the image in {data!r}, and {kind!r} would be in {expected!r}: "
            "bring both to one scale, or uncertainty_hdu=None leaves it"
        )
    if given is None:
        raise ValueError(
            f"{where}: BUNIT = {own!r} contradicts that it holds {kind!r} of an image in {data!r}, "
            f"which would be in {expected!r}: {WAY_OUT}"
        )
    return ""


def _compared(own: str, data: str, power: int) -> tuple[bool, bool]:
    """Whether ``own`` equals ``data**power``, and whether it does up to a scale; (True, False) if that is unknown."""
    if written := re.fullmatch(rf"\(?{re.escape(data)}\)?\s*(?:\*\*|\^)?\s*\(?([+-]?\d+)?\)?", own, re.IGNORECASE):
        return int(written[1] or 1) == power, False  # also for units that astropy does not know
    units = [_unit_in_any_case(text) for text in (own, data)]
    if None in units:
        return True, False
    mine, expected = units[0], units[1] ** power
    return bool(mine == expected), bool(mine.is_equivalent(expected))


def _unit_in_any_case(text: str) -> Any:
    """A text as an astropy unit, in any case; None if astropy does not know it."""
    from astropy import units as u

    for spelling in (text, text.lower()):
        try:
            return u.Unit(spelling)
        except (ValueError, TypeError):
            continue
    return None
