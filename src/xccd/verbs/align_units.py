"""The units of stacks that are aligned together, and units per area."""

from __future__ import annotations

from typing import Any

import xarray as xr

from xccd.headers.settings import same_unit


def check_alike_units(stacks: list[xr.DataArray]) -> None:
    """Raise if the stacks have different units."""
    units = {str(s.attrs["units"]) for s in stacks if s.attrs.get("units")}
    first, *others = [*units, ""]
    if odd := [unit for unit in others if unit and not same_unit(unit, first)]:
        raise ValueError(
            f"the stacks have differing units ({first}; {odd[0]}): convert them, or say what they are in attrs['units']"
        )


def check_per_pixel(stacks: list[xr.DataArray]) -> None:
    """Raise if the data of a stack are per area, which a total flux is not."""
    from astropy import units as u

    for stack in stacks:
        text = str(stack.attrs.get("units", ""))
        try:
            unit = u.Unit(text) if text else u.dimensionless_unscaled
        except ValueError:
            continue
        if is_per_area(unit):
            raise ValueError(f"flux='total' of data in {text!r}, which is per area: use flux='surface brightness'")


def is_per_area(unit: Any) -> bool:
    """Whether an astropy unit is per solid angle."""
    from astropy import units as u

    plain = unit.decompose()
    return bool(dict(zip(plain.bases, plain.powers, strict=True)).get(u.rad, 0) <= -2)
