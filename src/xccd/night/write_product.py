"""A product of a night as a file: its cards, how it was made, and its picture."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xccd.labels.frames import add_history
from xccd.messages import shown
from xccd.night.calibrate_frames import Work
from xccd.night.made_by import made_by
from xccd.night.make_light import make_light
from xccd.night.make_master import make_master
from xccd.pictures.zscale import write_png
from xccd.read.stack import open_stack
from xccd.write.fits import to_fits
from xccd.write.made_by import MADE_BY

log = logging.getLogger("xccd")
KINDS = {"bias": "Master Bias", "dark": "Master Dark", "flat": "Master Flat", "light": "Master Light"}  # IMAGETYP
MENDED = ("FILTER", "OBJECT")  # cards that a label of the frames replaces

Progress = Callable[[int, int], object] | None


def write_product(
    work: Work, name: str, path: Path, masters: Mapping[str, str], progress: Progress = None
) -> str:  # fmt: skip
    """Make a product and write it, whole or not at all; returns the text that says how it was made.

    ``masters`` are the texts of its masters.
    """
    image = make_light(work) if work.kind == "light" else make_master(work)
    text = made_by(work, name, path, masters)
    data = image["data"]
    for note in work.notes:
        data = add_history(data, f"xccd.reduce: {note}")
    image = image.assign(data=data).assign_coords({MADE_BY: text})
    to_fits(image, path, overwrite=True, header=_cards(work), progress=progress)
    return text


def _cards(work: Work) -> dict[str, Any]:
    """Cards that the headers of the frames do not have, or have wrong."""
    found: dict[str, Any] = {"IMAGETYP": (KINDS[work.kind], "type of frame"), "OBSTYPE": None}
    for keyword, column in (("FILTER", "filter"), ("OBJECT", "object")):
        values = {str(v) for v in work.rows[column]} if column in work.rows else set()
        if work.kind == "light" or (work.kind == "flat" and keyword == "FILTER"):
            if len(values) == 1 and (value := values.pop()):
                found[keyword] = value
    return found


def picture_of(path: Path) -> Path | None:
    """Draw the picture of a product beside it; None, and a word in the log, without matplotlib."""
    place = path.with_suffix(".png")
    try:
        image = open_stack(path, chunks=None).isel(frame=0)
        planes = [d for d in image.dims if d not in ("y", "x")]
        values = np.asarray(image.transpose("y", "x", *planes).values)
        return write_png(values, place, path.name)
    except ImportError:
        log.warning("no picture %s: matplotlib is missing, pip install 'xccd[plot]' brings it", shown(str(place)))
        return None
