"""`bayer_planes`: raw frames of a colour camera as three stacks, one for each colour."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common, rows
from xccd.headers.pixel_grid import IN_FILE, first_pixel
from xccd.labels.apply import per_variable
from xccd.labels.flags import not_taken, science_variables
from xccd.labels.frames import add_history, check_stack, frame_names, step_text
from xccd.labels.mixed import check_rows
from xccd.messages import called, did_you_mean
from xccd.verbs.mask import mask_where

COLOURS = {"red": "R", "green": "G", "blue": "B"}
PATTERNS = ("RGGB", "BGGR", "GRBG", "GBRG")
GIVE = "give pattern='RGGB', the colours of the first 2 x 2 pixels as they are stored, row by row"


def bayer_planes(stack: xr.DataArray | xr.Dataset, pattern: str | None = None) -> xr.DataTree:
    """Split raw frames of a colour camera into three stacks, each with the pixels of one colour and all others masked.

    ``align(method="drizzle")`` then makes three images of full resolution, without values between the pixels of a
    colour that no pixel has seen.

    Parameters
    ----------
    stack : DataArray or Dataset
        Raw frames (frame, y, x), not aligned. Of a Dataset, every variable that has ``frame``.
    pattern : {"RGGB", "BGGR", "GRBG", "GBRG"}, optional
        The colours of the first 2 x 2 pixels of a file as they are stored, row by row. Default: BAYERPAT of the
        headers, moved by XBAYROFF and YBAYROFF. A crop of the stack keeps the colours of its pixels.

    Returns
    -------
    DataTree
        Nodes ``red``, ``green`` and ``blue``, each a Dataset with the stack as ``data``, or as the variables of the
        Dataset. Masked pixels are NaN, in a flagged Dataset they have the flag 1. Lazy if the stack is.

    Raises
    ------
    ValueError
        A frame has no BAYERPAT, or an unknown one; BAYERPAT or ROWORDER differ between frames; the frames are aligned
        already; ``pattern`` is unknown. Also ROWORDER = 'BOTTOM-UP' with an even count of rows: programs disagree
        whether BAYERPAT then begins with the first stored row or with the last.
    TypeError
        ``stack`` is not a DataArray or a Dataset.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> stack = xccd.open_stack([(np.arange(8.0).reshape(2, 4), {"BAYERPAT": "RGGB"})])
    >>> planes = stack.ccd.bayer_planes()
    >>> list(planes.children)
    ['red', 'green', 'blue']
    >>> planes["green"]["data"].values.tolist()
    [[[nan, 1.0, nan, 3.0], [4.0, nan, 6.0, nan]]]
    """
    if not isinstance(stack, xr.DataArray | xr.Dataset):
        raise not_taken("bayer_planes()", stack, "bayer_planes takes a DataArray or a Dataset, not")
    ds = stack.to_dataset(name=stack.name or "data") if isinstance(stack, xr.DataArray) else stack
    first = ds[science_variables(ds, "frame")[0]]
    check_stack(first, "frame")
    if set(first.dims) != {"frame", "y", "x"}:
        raise ValueError(f"bayer_planes takes frames (frame, y, x), this stack has {dict(first.sizes)}")
    colours = colours_of(first, pattern)
    return xr.DataTree.from_dict({name: _of_colour(ds, colours != letter, name) for name, letter in COLOURS.items()})


def colours_of(stack: xr.DataArray, pattern: Any = None) -> xr.DataArray:
    """The colour (y, x) of each pixel of raw frames, as a letter."""
    return _colours(stack, _pattern(stack, pattern))


@per_variable
def _of_colour(stack: xr.DataArray, others: xr.DataArray, name: str) -> xr.DataArray:
    masked = mask_where(stack, others)
    masked.attrs = dict(stack.attrs)  # without the step of `mask_where`, which does not say the colour
    return add_history(masked, step_text("bayer_planes", colour=name))


def _pattern(stack: xr.DataArray, given: Any) -> str:
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
    height = cards.as_number(cards.card_value(text, "NAXIS2"))
    if rows.order_of(text) == "BOTTOM-UP" and height % 2 != 1:  # an odd count begins and ends with the same row
        raise ValueError(
            f"{name} has ROWORDER = 'BOTTOM-UP' and BAYERPAT = {found!r}: programs disagree whether that begins with "
            f"the first stored row or with the last; {GIVE} (here {found} or {found[2:] + found[:2]})"
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
    origin = 0
    if numbers.attrs.get("numbered") != IN_FILE:
        origin = next((first_pixel(text, axis) for text in common.texts(stack, "frame")), 0)
    return (numbers.values.astype(int) - origin) % 2
