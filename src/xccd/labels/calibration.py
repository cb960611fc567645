"""What calibration was done to frames: labels named as the cards that products get, and cards that no longer hold.

The header text of a frame is what its file says, so steps are labels on the frames. An image has its own header.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, colour_axis, common
from xccd.headers.coords import CORE_NUMBERS
from xccd.headers.texts import as_texts

# Labels, and the comments of their cards.
CARDS = {
    "OSCANSEC": "overscan that was subtracted",
    "TRIM": "part that was kept",
    "BIASCOR": "bias that was subtracted",
    "DARKCOR": "dark that was subtracted",
    "FLATCOR": "flat that was divided by",
    "GAINCOR": "gain that was multiplied by",
    "DEBAYER": "how colours were made of a Bayer pattern",
}
# Cards that are no longer true after a step.
GONE = {
    "TRIM": frozenset(("TRIMSEC", "DATASEC", "BIASSEC")),
    "GAINCOR": frozenset(CORE_NUMBERS["GAIN"]),
    "DEBAYER": colour_axis.PATTERN,
}
SUPERPIXEL = "superpixel"  # the DEBAYER whose pixels are blocks of 2 x 2


def noted(obj: xr.DataArray, dim: Hashable, name: str, values: Any) -> xr.DataArray:
    """``obj`` with a calibration noted: a label on the frames, or a card in the header of an image."""
    if dim in obj.dims:
        column = np.empty(obj.sizes[dim], object)
        column[:] = values
        return obj.assign_coords({name: (dim, column)})
    text = obj.coords.get(common.COMBINED)
    if text is not None and text.ndim == 0:
        new = "\n".join(with_cards(str(text.values.item()).split("\n"), {name: values}))
        obj = obj.assign_coords({common.COMBINED: as_texts(new)})
    elif "header" in obj.coords:  # one frame of a stack
        return obj.assign_coords({name: common.scalar(values)})
    gone = GONE.get(name, frozenset())
    made = obj.copy(deep=False)
    made.attrs = {k: v for k, v in obj.attrs.items() if k not in gone} | {name: values}
    return made


def done(obj: xr.DataArray, dim: Hashable) -> dict[str, Any]:
    """The calibrations of an image, or those that all frames share, with the names of the masters."""
    found: dict[str, Any] = {}
    for name in CARDS:
        label = obj.coords.get(name)
        if label is not None and label.dims in ((), (dim,)):
            values = list(dict.fromkeys(label.values.reshape(-1).tolist()))
            if len(values) == 1 and values[0] not in ("", None) and values[0] == values[0]:
                found[name] = values[0]
        elif label is None and dim not in obj.dims and name in obj.attrs:
            found[name] = obj.attrs[name]
    return found


def with_cards(lines: list[str], steps: Mapping[str, Any], *, product: bool = False) -> list[str]:
    """Lines of a header with the cards of calibrations, and without those that no longer hold.

    A product has no GAIN: its EFFGAIN is that of the mean.
    """
    if not steps:
        return lines
    gone = frozenset(steps).union(*(GONE.get(name, frozenset()) for name in steps))
    every = list(cards.split("\n".join(lines)))
    if steps.get("DEBAYER") == SUPERPIXEL and not any(card.keyword == "DEBAYER" for card in every):
        every = colour_axis.with_larger_pixels(every)
    kept = [line for card in every if card.keyword not in gone for line in card.lines]
    new = [cards.make(name, steps[name], CARDS[name]) for name in CARDS if name in steps]
    if "GAINCOR" in steps and not product:
        new.append(cards.make("GAIN", 1.0, "electrons in electrons"))
    # before HISTORY, so that keywords stay together
    first = next((i for i, line in enumerate(kept) if line.startswith("HISTORY xccd.")), len(kept))
    return [*filter(None, kept[:first]), *new, *kept[first:]]
