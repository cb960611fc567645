"""Small pictures of the frames of a report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xccd.pictures.captions import captions, check_keys
from xccd.pictures.limits import limits_of
from xccd.pictures.page import Html, escaped, joined, picture, pictures, tag
from xccd.pictures.picked import picked
from xccd.pictures.report_look import Look
from xccd.pictures.thumbnail import thumbnail

Array = np.ndarray[Any, Any]
SMALL, LARGE = 160, 360  # pixels along the longer side


def smaller(image: Array, side: int) -> Array:
    """Every n-th row and column of what was looked at."""
    every = max(1, -(-max(image.shape[:2]) // side))
    return image[::every, ::every]


def every(look: Look) -> int:
    """Every how many rows and columns of the frames a small picture shows."""
    side: int = max(look.values.shape[1:3])
    return look.step * max(1, -(-side // SMALL))


def chosen(look: Look, n: int, odd: Sequence[str]) -> tuple[list[int], str]:
    """The frames that are shown: some from the first to the last, and those that are odd."""
    some = picked(look.what.count, n)
    strange = [i for i, why in enumerate(odd) if why][:n]
    numbers = sorted({*some.numbers, *strange})
    left = look.what.count - len(numbers)
    return numbers, f"{len(numbers)} of {look.what.count} frames are shown, odd frames among them." if left else ""


def thumbs(look: Look, numbers: Sequence[int], odd: Sequence[str]) -> Html:
    """A small picture of each of these frames, in one stretch, with its name and what it does not share."""
    keys = check_keys(look.what, None)
    _, rest = captions(look.what, keys, list(numbers))
    made = []
    for i, more in zip(numbers, rest, strict=True):
        image = smaller(look.values[i], SMALL)
        why = look.problems[i] if look.problems else ""
        notes = [more, odd[i] if odd else "", why or _missing(image)]
        lines = [tag("b", look.names[i]), *map(escaped, filter(None, notes))]
        made.append(image_of(image, look.limits, look.names[i], joined(lines, ", ")))
    return pictures(made)


def _missing(image: Array) -> str:
    seen = np.isfinite(image if image.ndim == 2 else image.sum(-1))
    return "" if seen.any() else "no samples"


def image_of(image: Array, limits: Any, name: str, caption: Any, css: str = "thumb") -> Html:
    """A picture of an image with its caption."""
    return picture(thumbnail(image, limits), f"picture of {name}", caption, css=css, size=image.shape[1::-1])


def lone(look: Look, image: Array, name: str, caption: Any, limits: Any = None) -> Html:
    """A larger picture of one image; its limits of grey are its own."""
    image = smaller(image, LARGE)
    own = limits or limits_of(image[None], None, None, image.ndim == 3)
    return image_of(image, own, name, caption)
