"""Colours in headers: the axis of three colours, cards of the Bayer pattern, and what blocks of 2 x 2 pixels change."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.headers.detector import BINNINGS

CHANNEL = "channel"  # the dimension
RGB = ("R", "G", "B")
AXIS = cards.make("CTYPE3", "RGB", "red, green, blue")  # as Aladin, Siril, GIMP and FFmpeg write and read it
PATTERN = frozenset(("BAYERPAT", "XBAYROFF", "YBAYROFF", "BAYOFFX", "BAYOFFY", "COLORTYP", "CFAIMAGE", "CFAPAT"))
# Sizes of a pixel, and samples in it.
OF_PIXEL = frozenset((
    *(keyword for some in BINNINGS for keyword in some),
    "XPIXSZ", "YPIXSZ", "PIXSIZE1", "PIXSIZE2", "PIXSCALE", "SECPIX", "SECPIX1", "SECPIX2",
))  # fmt: skip
NUMBER = re.compile(r"\d+")


def named(names: tuple[str, ...], texts: list[str], shape: tuple[int, ...]) -> tuple[str, ...]:
    """The dimensions of images of a shape, of which the first is that of colours if all headers say so by CTYPE3."""
    words = {str(cards.card_value(text, "CTYPE3") or "").strip().upper() for text in texts}
    return (CHANNEL, *names[1:]) if len(shape) == 3 and shape[0] == 3 and words == {"RGB"} else names


def coordinate() -> np.ndarray[Any, Any]:
    """The names of the three channels."""
    return np.array(RGB, object)


def with_axis(kept: list[cards.Card], is_colour: bool, is_cube: bool) -> list[cards.Card]:
    """Cards of an image with that of its axis of colours; without it if the image has no such axis and is no cube."""
    if is_colour:
        return [*cards.split(AXIS), *(c for c in kept if c.keyword != "CTYPE3")]
    return [c for c in kept if is_cube or c.keyword != "CTYPE3" or c.value != "RGB"]


def doubled(value: Any) -> Any:
    """A binning, or the size of a pixel, for blocks of 2 x 2 pixels; what is no number stays."""
    if isinstance(value, bool) or not isinstance(value, str):
        number = cards.as_number(value)
        return value if isinstance(value, bool) or number != number else 2 * value
    return NUMBER.sub(lambda found: str(2 * int(found[0])), value) if "." not in value else value


def with_larger_pixels(kept: list[cards.Card]) -> list[cards.Card]:
    """Cards for blocks of 2 x 2 pixels."""
    return [
        next(cards.split(cards.make(card.keyword, doubled(card.value), "of blocks of 2 x 2 pixels")))
        if card.keyword in OF_PIXEL and card.value is not None
        else card
        for card in kept
    ]
