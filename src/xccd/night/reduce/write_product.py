"""A product of a night as a file: its cards, how it was made, and its picture."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xccd.labels.frames import add_history
from xccd.messages import shown
from xccd.night.reduce.frame_shares import with_shares
from xccd.night.reduce.made_by import made_by
from xccd.night.reduce.make_light import make_light
from xccd.night.reduce.make_master import make_master
from xccd.night.reduce.work import Work
from xccd.pictures.zscale import write_png
from xccd.read.stack import open_stack
from xccd.write.fits import to_fits
from xccd.write.made_by import MADE_BY

log = logging.getLogger("xccd")
IMAGETYP = {"bias": "Master Bias", "dark": "Master Dark", "flat": "Master Flat", "light": "Master Light"}
PIXELS = 1 << 20  # that are looked at together
NAMED = {"flat": ("filter",), "light": ("filter", "object")}  # columns of the table that a product has as cards

Progress = Callable[[int, int], object] | None


def write_product(
    work: Work, path: Path, *, overwrite: bool = True, progress: Progress = None, text: str | None = None
) -> str:
    """Make a product and write it, whole or not at all; returns the text that says how it was made.

    ``text`` takes the place of that text.
    """
    given = list(work.notes)
    image = with_shares(make_light if work.kind == "light" else make_master, work)
    found, work.notes = work.notes, given  # what was found is found again
    text = made_by(work, path) if text is None else text
    data = image["data"]
    for note in found:
        data = add_history(data, f"xccd.reduce: {note}")
    image = image.assign(data=data).assign_coords({MADE_BY: text})
    to_fits(image, path, overwrite=overwrite, header=_cards(work), progress=progress)
    work.notes = found
    check_values(path, work)
    return text


def check_values(path: Path, work: Work) -> None:
    """Take a product away, and raise, if none of its pixels has a value: masters and lights would be lost by it."""
    image = open_stack(path, chunks=None).isel(frame=0)
    step = max(1, PIXELS * image.sizes["y"] // image.size)
    if any(np.isfinite(image.isel(y=slice(i, i + step)).values).any() for i in range(0, image.sizes["y"], step)):
        return  # most often the first rows have one
    path.unlink()
    rule = f"{work.kind}.reject={getattr(work.recipe, work.kind).reject!r}"
    raise ValueError(
        f"no pixel of it has a value, so it is not written: {rule} may leave none of {len(work.rows)} frames, or their "
        "samples are missing, as saturated ones"
    )


def _cards(work: Work) -> dict[str, Any]:
    """Cards that the headers of the frames do not have, or have wrong."""
    found: dict[str, Any] = {"IMAGETYP": (IMAGETYP[work.kind], "type of frame"), "OBSTYPE": None}
    for column in NAMED.get(work.kind, ()):
        values = {str(v) for v in work.rows[column]} if column in work.rows else set()
        if len(values) == 1 and values != {""}:
            found[column.upper()] = values.pop()
    return found


def draw(path: Path) -> Path | None:
    """Draw the picture of a product beside it; None, and a word in the log, without matplotlib."""
    place = path.with_suffix(".png")
    try:
        image = open_stack(path, chunks=None).isel(frame=0)
        planes = [d for d in image.dims if d not in ("y", "x")]
        return write_png(np.asarray(image.transpose("y", "x", *planes).values), place, path.name)
    except ImportError:
        lacking = "matplotlib is missing, pip install 'xccd[plot]' or conda install matplotlib-base brings it"
        log.warning("no picture %s: %s", shown(str(place)), lacking)
        return None
