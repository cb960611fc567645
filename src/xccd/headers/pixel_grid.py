"""Pixel coordinates, and the WCS cards that must change after crops, strides and dropped axes."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xccd.headers import cards, colour_axis
from xccd.headers.wcs_spelling import PLATE, respell

if TYPE_CHECKING:
    from astropy.io.fits import Header

AXES = ("x", "y", "z")  # FITS axes 1, 2 and 3
IN_FILE = "in each file, as their origins differ"  # attribute "numbered": pixels count from 0, without LTV
DISTORTED = re.compile(r"[AB]_ORDER|(CPDIS|CQDIS|D2IMDIS)\d.*")


def first_pixel(text: str, axis: int) -> int:
    """The detector pixel number of a file's first pixel, from IRAF's LTV; 0 if LTV is not a whole shift."""
    shift = cards.as_number(cards.card_value(text, f"LTV{axis}") or 0)
    step = cards.as_number(cards.card_value(text, f"LTM{axis}_{axis}") or 1)
    plain = step == 1 and abs(shift) < 1e9 and shift.is_integer()
    return int(-shift) if plain else 0


def coordinates(texts: list[str], names: tuple[str, ...], shape: tuple[int, ...]) -> dict[str, xr.Variable]:
    """Detector pixel numbers for x, y and z; for a file that is a crop they start at its LTV."""
    coords = {}
    for name, size in zip(names, shape, strict=True):
        if name in AXES:
            attrs = {"long_name": f"detector pixel along {name}, 0-based"}
            origins = {first_pixel(text, AXES.index(name) + 1) for text in texts}
            first = origins.pop()
            if origins:
                first, attrs["numbered"] = 0, IN_FILE
            coords[name] = xr.Variable(name, np.arange(size) + first, attrs)
        elif name == colour_axis.CHANNEL:
            coords[name] = xr.Variable(name, colour_axis.coordinate())
    return coords


def moves(frame: xr.DataArray, text: str) -> dict[int, tuple[float, float]]:
    """First remaining pixel and step of each FITS axis; {} if nothing moved. Raises for a flip or a lost axis."""
    found = {}
    for axis, name in enumerate(AXES, 1):
        if name not in frame.coords or (name == "z" and not is_ours(frame.coords[name])):
            continue  # a scalar z may be a redshift
        if name not in frame.dims and name != "z":
            if cards.card_value(text, "CTYPE1") is not None:
                raise ValueError(f"the image has no dimension {name!r} left: its WCS needs both x and y")
            continue
        found[axis] = _start_and_step(frame.coords[name], name, first_pixel(text, axis))
    return {} if all(move == (0, 1) for move in found.values()) else found


def move(made: Header, moved: dict[int, tuple[float, float]]) -> None:
    """Adjust the WCS cards of a header in place, by the result of `moves`."""
    respell(made)
    steps = {axis: step for axis, (_, step) in moved.items()}
    if any(step != 1 for step in steps.values()):
        _check_stride(made, steps)
    for axis, (start, step) in moved.items():
        for keyword in [k for k in made if re.fullmatch(rf"CRPIX{axis}[A-Z]?", k)]:
            made[keyword] = (_number_or(made, keyword, 0) - 1 - start) / step + 1  # CRPIX counts from 1
        made[f"LTV{axis}"] = (_number_or(made, f"LTV{axis}", 0) - 1 - start) / step + 1
        if step != 1:
            made[f"LTM{axis}_{axis}"] = _number_or(made, f"LTM{axis}_{axis}", 1) / step
            _stretch(made, axis, step)


def is_ours(coord: xr.DataArray) -> bool:
    """Whether a coordinate holds detector pixel numbers, as the openers write them."""
    return str(coord.attrs.get("long_name", "")).startswith("detector pixel")


def _number_or(made: Header, keyword: str, default: float) -> float:
    """A card as a number; the standard's default if it is missing or not a number."""
    value = cards.as_number(made.get(keyword, default))
    return value if np.isfinite(value) else default


def _start_and_step(coord: xr.DataArray, name: str, first: int) -> tuple[float, float]:
    """Offset of a coordinate's first value from the file's first pixel, and its step; raises if it is not regular."""
    values = np.atleast_1d(coord.values)
    if values.dtype.kind not in "iuf" or not np.isfinite(values).all():
        raise ValueError(f"the coordinate {name!r} holds no pixel numbers ({values.dtype}): drop_vars({name!r})")
    values = values.astype(float)
    steps = np.diff(values)
    if steps.size and not (steps[0] > 0 and np.allclose(steps, steps[0], rtol=1e-9)):
        raise ValueError(
            f"the coordinate {name!r} runs {values[:3].tolist()}...: no WCS describes a flip or an "
            f"irregular pick. Slice with a positive step, or drop_vars({name!r}) to number the pixels anew"
        )
    start = values[0] - (0 if coord.attrs.get("numbered") == IN_FILE else first) if values.size else 0.0
    return float(start), float(steps[0]) if steps.size else 1.0


def _check_stride(made: Header, steps: dict[int, float]) -> None:
    distorted = [k for k in made if DISTORTED.fullmatch(k) or PLATE.fullmatch(k)]
    if distorted:
        # its polynomials and tables are in pixels of the file
        raise ValueError(f"the WCS is distorted ({distorted[0]}): it cannot be kept with a stride {steps}")
    rotated = [k for k in made if re.fullmatch(r"CROTA\d", k) and _number_or(made, k, 0)]
    if rotated and len({steps.get(1), steps.get(2)}) > 1:
        # one angle cannot describe rotated axes that are stretched differently
        raise ValueError(f"the WCS is rotated by {rotated[0]}: x and y must have the same stride")


def _stretch(made: Header, axis: int, step: float) -> None:
    """Multiply the pixel size along ``axis`` by ``step``, in each version of the WCS."""
    versions = {m[1] for k in made if (m := re.fullmatch(r"(?:CTYPE|CRPIX|CDELT|CD|PC)[\d_]+([A-Z]?)", k))}
    for version in versions:
        pattern = re.compile(rf"(CD|PC)\d+_\d+{version}")
        kind = next((m[1] for k in made if (m := pattern.fullmatch(k))), None)
        if kind == "PC":  # a missing diagonal element is 1
            diagonal = f"PC{axis}_{axis}{version}"
            made.setdefault(diagonal, 1.0)
        column = [k for k in made if re.fullmatch(rf"{kind}\d+_{axis}{version}", k)] if kind else []
        for keyword in column or [k for k in made if k == f"CDELT{axis}{version}"]:
            made[keyword] = _number_or(made, keyword, 0) * step
