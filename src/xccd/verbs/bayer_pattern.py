"""Which colour a pixel of a colour camera has, from the cards of its frames or a pattern that is given."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common, detector, rows
from xccd.headers.pixel_grid import IN_FILE, first_pixel
from xccd.labels.frames import frame_names
from xccd.labels.mixed import check_rows
from xccd.messages import called, did_you_mean

PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
GIVE = "give pattern='RGGB', the colours of the first 2 x 2 pixels as they are stored, row by row"


def colours_of(stack: xr.DataArray, pattern: Any = None) -> xr.DataArray:
    """The colour (y, x) of each pixel of raw frames, as a letter."""
    if "DEBAYER" in stack.coords or "DEBAYER" in stack.attrs:
        raise ValueError("these frames have colours already, DEBAYER says how: their pixels are of no pattern")
    return _colours(stack, pattern_of(stack, pattern))


def pattern_of(stack: xr.DataArray, given: Any) -> str:
    """The colours of the first 2 x 2 pixels of a file."""
    if given is not None:
        if not isinstance(given, str) or given not in PATTERNS:
            near = did_you_mean(given, PATTERNS)
            raise ValueError(f"pattern={called(given)} is unknown: use one of {', '.join(PATTERNS)}{near}")
        return given
    check_rows(stack, "frame")
    names, texts = frame_names(stack, "frame"), common.texts(stack, "frame")
    if not texts:
        raise ValueError(f"these frames have no headers, and so no BAYERPAT: {GIVE}")
    found = [_of_header(name, text) for name, text in zip(names, texts, strict=True)]
    return found[0]  # they are equal


def _of_header(name: str, text: str) -> str:
    found = rows.pattern_of(text)
    if not found:
        raise ValueError(f"{name} has no BAYERPAT: {GIVE}")
    if found not in PATTERNS:
        raise ValueError(f"{name} has BAYERPAT = {found!r}, which is none of {', '.join(PATTERNS)}: {GIVE}")
    binned = detector.binning(cards.values(text))
    if binned not in ("", "1x1"):
        raise ValueError(
            f"{name} is binned {binned} and has BAYERPAT = {found!r}: pixels of several colours may be in one sample. "
            f"If the camera binned each colour alone, {GIVE}"
        )
    height = cards.as_number(cards.card_value(text, "NAXIS2"))
    order = rows.order_of(text)
    if order not in ("", "TOP-DOWN") and height % 2 != 1:  # an odd count begins and ends with the same row
        why = "programs disagree whether that begins with the first stored row or with the last"
        if order != "BOTTOM-UP":
            why = "that is neither 'TOP-DOWN' nor 'BOTTOM-UP', so the first row is unknown"
        raise ValueError(
            f"{name} has ROWORDER = {order!r} and BAYERPAT = {found!r}: {why}; {GIVE} (here {found} or "
            f"{found[2:] + found[:2]})"
        )
    return found


def _colours(stack: xr.DataArray, pattern: str) -> xr.DataArray:
    """The colour (y, x) of each pixel as a letter, by its number on the detector."""
    odd = [_odd(stack, name, axis) for axis, name in enumerate(("x", "y"), 1)]
    square = np.array(list(pattern)).reshape(2, 2)
    coords = {d: stack.coords[d].variable for d in ("y", "x") if d in stack.coords}
    return xr.DataArray(square[np.ix_(odd[1], odd[0])], dims=("y", "x"), coords=coords)


def _odd(stack: xr.DataArray, name: str, axis: int) -> Any:
    """0 or 1 for each row or column: its place in the pattern."""
    if name not in stack.coords:
        return np.arange(stack.sizes[name]) % 2
    numbers = stack.coords[name]
    if numbers.attrs.get("numbered") == common.ON_GRID:
        raise ValueError("these frames are aligned, so their pixels have no colour of their own: split them before")
    if numbers.dtype.kind not in "iuf" or (numbers.values % 1 != 0).any():
        raise ValueError(
            f"the coordinate {name!r} runs {numbers.values[:3].tolist()}...: the pattern needs the numbers of pixels, "
            f"which are whole. drop_vars({name!r}) counts from the first pixel"
        )
    origin = 0
    if numbers.attrs.get("numbered") != IN_FILE:
        origin = next((first_pixel(text, axis) for text in common.texts(stack, "frame")), 0)
    return (numbers.values.astype(int) - origin) % 2
