"""Masters that are there already: whether their bias is off, and whether they are in the counts of the frames."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.messages import shown
from xccd.read.files.remote import is_url
from xccd.read.files.unpack import BROKEN
from xccd.read.images.chips import Options
from xccd.read.images.sources import items, open_file

WITHOUT_BIAS = ("BIASCOR", "ZEROCOR", "SUBBIAS")  # cards of a dark whose bias was subtracted
FULL = 65535  # what Siril divides counts of 16 bits by


def header_text(file: str, hdu: int | None) -> str:
    """The header of an image as text; "" for a file that cannot be read."""
    try:
        place = next(items(file))[0] if is_url(file) else Path(file)
        return open_file(place, Options.of(hdu, None)).frames[0].header
    except (OSError, *BROKEN):
        return ""


def bias_is_off(file: str, hdu: int | None) -> bool:
    """Whether the header of a master says that its bias was subtracted. False for a file that cannot be read."""
    values = cards.values(header_text(file, hdu))
    return any(values.get(name) not in (None, "", False) for name in WITHOUT_BIAS)


def check_unit_range(master: xr.DataArray, frames: xr.DataArray, name: str = "the master") -> None:
    """Raise for a bias or dark within 0 to 1 beside raw frames in whole counts, as Siril writes its masters.

    ``frames`` are raw, as read: the first is looked at. A dark without its bias has samples below 0, so it is not taken
    for one of these. Flats need no check, as their level cancels.
    """
    values = np.asarray(master.values)
    values = values[np.isfinite(values)]
    if not values.size or values.min() < 0 or values.max() > 1 or (values == np.floor(values)).all():
        return
    first = np.asarray((frames.isel(frame=0) if "frame" in frames.dims else frames).values)
    first = first[np.isfinite(first)]
    if first.size and first.max() > 1 and (first == np.floor(first)).all():
        raise ValueError(
            f"{shown(name)} lies within {values.min():.3g} to {values.max():.3g}, the frames have whole counts up to "
            f"{first.max():g}: the master is in units of the full range, as Siril writes them. Multiply it by "
            f"scale={FULL}: [detector] master_scale = {FULL} in the recipe"
        )
