"""`header` of a frame or an image, for the pixels that are left after crops."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.headers.colour_axis import CHANNEL, RGB, with_axis
from xccd.headers.pixel_grid import AXES, move, moves
from xccd.headers.writing import MADE_BY, from_attrs, made_by, structure
from xccd.labels.calibration import done, with_cards
from xccd.labels.flags import not_taken
from xccd.messages import is_whole, shown

if TYPE_CHECKING:
    from astropy.io.fits import Header


def header(obj: xr.DataArray, i: int | None = None) -> Header:
    """Return the FITS header of a frame, or of an image.

    Parameters
    ----------
    obj : DataArray
        A stack from `open_stack`, one frame of it, or a combined image.
    i : int, optional
        The index of the frame, for a stack. Default: the cards that all frames share.

    Returns
    -------
    astropy.io.fits.Header
        All cards of the file, and a HISTORY card for each line of ``attrs["history"]``, where verbs add their steps.
        BITPIX and NAXISn describe the array as it is now; CRPIXn and LTVn follow crops and strides. `to_fits` writes
        the same header.

    Raises
    ------
    IndexError
        The stack has no frame ``i``.
    TypeError
        ``obj`` is not a DataArray, or ``i`` is not an integer.
    ValueError
        No WCS describes the pixels that are left (a flip, an irregular pick, a stride through a distorted WCS).

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> stack = xccd.open_stack([(np.zeros((4, 5)), {"OBJECT": "M 51", "CTYPE1": "RA---TAN", "CRPIX1": 3.0})])
    >>> head = stack[:, :, 1:].ccd.header(0)
    >>> head["OBJECT"], head["NAXIS1"], head["CRPIX1"]
    ('M 51', 4, 2.0)
    """
    frame = in_order(one_frame(obj, i))
    text = _own_text(frame)
    made = cards.parsed(_lines_of_image(frame, text))
    if not _has_its_unit(frame, text):
        made["BUNIT"] = cards.ascii_only(str(frame.attrs["units"]))
    if frame.ndim:
        move(made, moves(frame, text))
    return made


def _lines_of_image(frame: xr.DataArray, text: str) -> list[str]:
    """The cards that describe the array of an image, then those of the header text that still hold."""
    kept = [c for c in cards.split(text) if not cards.STRUCTURAL.fullmatch(c.keyword)]
    kept = with_axis(kept, has_colours(frame), "z" in frame.dims)
    by = [made_by()] if any(c.keyword == "NCOMBINE" for c in kept) else []  # a frame keeps the card of its camera
    lines = (line for c in kept if not (by and c.keyword == MADE_BY) for line in cards.mended(c.lines))
    return [*structure(frame.dtype, frame.shape).split("\n"), *lines, *by]


def has_colours(obj: xr.DataArray) -> bool:
    """Whether an image, or a stack, has red, green and blue along a dimension, of one product."""
    if CHANNEL not in obj.dims or any(
        CHANNEL in c.dims for k, c in obj.coords.items() if k in (common.COMBINED, "header")
    ):
        return False
    names = obj.coords.get(CHANNEL)
    return obj.sizes[CHANNEL] == len(RGB) and (names is None or tuple(names.values.tolist()) == RGB)


def _has_its_unit(frame: xr.DataArray, text: str) -> bool:
    """Whether the header text has the unit of the image."""
    units = frame.attrs.get("units")
    return units is None or str(units) == str(cards.card_value(text, "BUNIT") or "")


def as_written(image: xr.DataArray) -> list[str] | None:
    """The lines of `header` without astropy, if they follow from the text alone; else None."""
    text = _own_text(image)
    if not _has_its_unit(image, text) or moves(image, text):
        return None
    return _lines_of_image(image, text)


def in_order(image: xr.DataArray) -> xr.DataArray:
    """An image with x as the last axis, as in FITS: arithmetic of an image with a stack puts ``frame`` last."""
    return image.transpose("frame", ..., *AXES[::-1], missing_dims="ignore")


def one_frame(obj: xr.DataArray, i: int | None, verb: str = "header") -> xr.DataArray:
    """Frame ``i`` of a stack; the object itself for an image, or without ``i``."""
    if not isinstance(obj, xr.DataArray):
        raise not_taken(f"{verb}(i)", obj, "a header belongs to a DataArray, not to")
    if i is not None and not is_whole(i):
        number = "0" if "frame" in obj.dims else ""
        way = f": a keyword is read from a header, as header({number})[{i!r}]" if isinstance(i, str) else ""
        raise TypeError(f"{verb}(i) takes the number of a frame, not i={i!r}{way}")
    if "frame" not in obj.dims:
        if i not in (None, 0):
            raise IndexError(f"i={i}: this is one image, with one header: leave i out")
        return obj
    n = obj.sizes["frame"]
    if i is None:
        return obj.isel(frame=0) if n == 1 else obj
    if not -n <= i < n:
        raise IndexError(f"i={i}: the stack has frames 0 to {n - 1}")
    return obj.isel(frame=i)


def name_of(frame: xr.DataArray) -> str:
    """The name of an image, or of what all frames share, for messages."""
    if "frame" in frame.dims:
        return "this stack (the WCS that all frames share; say which frame)"
    return shown(frame.coords["file"].values.item()) if "file" in frame.coords else "this image"


def _own_text(frame: xr.DataArray) -> str:
    """The header text of an image, the lines that all frames of a stack share, or else cards made from attributes."""
    texts = common.texts(frame, "frame")
    if texts:
        own = [*common.lines(texts), *common.steps(texts)]
        return "\n".join([*with_cards(own, done(frame, "frame")), *common.remarks(frame)])
    if (text := common.text_of(frame)) is not None:
        own = with_cards([text], done(frame, "frame")) if "header" in frame.coords else [text]
        return "\n".join(filter(None, [*own, *common.remarks(frame)]))
    names = sorted(str(n) for n, c in frame.coords.items() if c.ndim == 0 and str(n).isupper())  # Zarr keeps no order
    ours = {name: _keyword_of(frame.coords[name]) for name in names}
    made = from_attrs(frame.attrs | {k: v for k, v in ours.items() if v not in ("", None) and v == v})
    return "\n".join(filter(None, [made, *common.remarks(frame)]))


def _keyword_of(coord: xr.DataArray) -> Any:
    """A keyword's value from its coordinate."""
    if coord.dtype.kind != "M":
        return coord.values.item()
    return "" if np.isnat(coord.values) else str(np.datetime_as_string(coord.values, "us"))
