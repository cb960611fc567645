"""What a picture is compared with: the frames before a clip or a calibration."""

from __future__ import annotations

from typing import Any

from xccd.messages import is_number
from xccd.pictures.subject import Subject, subject


def original_of(verb: str, original: Any, what: Subject, *, one_for_all: bool = True) -> Subject:
    """The frames before, which must be the same pixels, and as many; or one image for all frames."""
    if is_number(original):
        way = f": did you mean n={original!r}?" if verb == "preview" else ""
        raise TypeError(f"original={original!r} is a number, not the frames before{way}")
    before = subject(verb, original, what.dim, argument="original=", colours=what.has_colours)
    if before.size != what.size or before.has_colours != what.has_colours:
        raise ValueError(
            f"original= has the sizes {dict(before.stack.sizes)}, the frames {dict(what.stack.sizes)}: give the same "
            "pixels of both"
        )
    if before.count != what.count and not (one_for_all and before.count == 1):
        way = f"original=stack.isel({what.dim}=0)" if what.count == 1 else "the same frames of both"
        raise ValueError(f"original= has {before.count} frames, there are {what.count} to compare: give {way}")
    return before
