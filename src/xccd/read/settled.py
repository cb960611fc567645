"""The argument ``errors`` of the openers: frames that cannot be opened are left out, or are NaN, with a word."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal, NamedTuple

from xccd.headers import cards
from xccd.labels.problems import line, step
from xccd.messages import shown
from xccd.read.images.chips import Frame
from xccd.read.images.missing import Missing, forget, guarded

Errors = Literal["raise", "skip", "nan"]
HOW = {"skip": "skipped", "nan": "NaN for"}
LOGGED = 5  # files in a line of the log
log = logging.getLogger("xccd")


class Told(NamedTuple):
    """What a stack says of files that could not be opened: the attribute `SKIPPED`, and a step of its history."""

    skipped: str = ""
    history: str = ""
    problems: bool = False  # whether its frames have the label `PROBLEM`; with "nan" all have it, so stacks are alike


NOTHING = Told()


def settled(found: list[Frame], errors: str, verb: str, *, one_shape: bool = True) -> tuple[list[Frame], Told]:
    """The frames of a stack, and what it says of the others; the log names them. Raises if none is left.

    ``one_shape``: frames of another shape than more than half of them cannot be opened either.
    """
    if errors == "raise":
        return found, NOTHING
    found = [_odd_maps(frame) for frame in found]
    if one_shape:
        found = _odd_shapes(found)
    check_left(found)
    bad = [frame for frame in found if frame.problem]
    tell(bad, found, errors)
    told = told_of(bad, found, errors, verb)
    if errors == "skip":
        return [frame for frame in found if not frame.problem], told
    return made_nan(found, one_shape=one_shape), told


def check_left(found: Sequence[Frame]) -> None:
    """Raise if no frame can be opened."""
    if found and all(frame.problem for frame in found):
        first = f"{shown(found[0].name)}: {found[0].problem}"
        raise OSError(first if len(found) == 1 else f"none of {len(found)} frames can be opened: {first}")


def tell(bad: Sequence[Frame], found: Sequence[Frame], errors: str, why_skipped: str = "") -> None:
    """Log the files that are left out, or NaN."""
    if not bad:
        return
    why = _reasons(bad)
    some = "; ".join(shown(f"{name}: {text}") for name, text in [*why.items()][:LOGGED])
    more = f"; and {len(why) - LOGGED} more" if len(why) > LOGGED else ""
    count = len({frame.file for frame in found})
    log.warning(
        "%s %d of %d files that cannot be opened%s: %s%s", HOW[errors], len(why), count, why_skipped, some, more
    )


def told_of(bad: Sequence[Frame], found: Sequence[Frame], errors: str, verb: str) -> Told:
    """What a stack of ``found`` says of files that are left out, or NaN."""
    if not bad:
        return Told(problems=errors == "nan")
    why = _reasons(bad)
    history = step(f"{verb}(errors={errors!r})", HOW[errors], [*why], len({frame.file for frame in found}))
    if errors == "nan":
        return Told(history=history, problems=True)
    return Told("\n".join(line(name, text) for name, text in why.items()), history)


def _reasons(bad: Sequence[Frame]) -> dict[str, str]:
    """The reason of each file, the first of its frames."""
    found: dict[str, str] = {}
    for frame in bad:
        found.setdefault(frame.file, frame.problem)
    return found


def _odd_maps(frame: Frame) -> Frame:
    """A frame with a problem if one of its maps has another shape than the image."""
    for kind in ("mask", "uncertainty", "common"):
        image = getattr(frame, kind)
        if not frame.problem and image is not None and image.shape != frame.pixels.shape:
            chip = f"in {frame.chip}, " if frame.chip else ""
            return replace(frame, problem=f"{chip}its {kind} has shape {image.shape}, the image {frame.pixels.shape}")
    return frame


def _odd_shapes(found: list[Frame]) -> list[Frame]:
    """The same where frames of another shape than most have a problem; no shape is the usual one of chips."""
    shapes = Counter(frame.pixels.shape for frame in found if not frame.problem)
    if len(shapes) < 2 or any(frame.chip for frame in found):
        return found
    usual, count = shapes.most_common(1)[0]
    if 2 * count <= shapes.total():
        return found
    others = " x ".join(map(str, usual))
    why = "its shape is {}, that of most frames " + others
    return [
        frame
        if frame.problem or frame.pixels.shape == usual
        else replace(frame, problem=why.format(" x ".join(map(str, frame.pixels.shape))))
        for frame in found
    ]


def made_nan(found: Sequence[Frame], *, one_shape: bool = True) -> list[Frame]:
    """The frames where those with a problem are NaN, and what cannot be read of the others will be.

    A frame of NaN has the shape of the others; or, if these may differ, its own, else that of the frame before it.
    """
    good = next(frame for frame in found if not frame.problem)
    before, made = good.pixels, []
    for frame in found:
        if frame.problem:
            own = () if one_shape else frame.pixels.shape
            made.append(_bare(_in_order_of(good, frame), Missing(own or before.shape, before.native)))
        else:
            before = frame.pixels
            made.append(_guarded(frame))
    return made


def _in_order_of(good: Frame, bad: Frame) -> Frame:
    """A frame of NaN without the cards by which verbs would refuse it: of rows that run the other way, of a pattern."""
    values = {keyword: cards.card_value(good.header, keyword) for keyword in ("ROWORDER", "BAYERPAT")}
    kept = [c for c in cards.split(bad.header) if c.keyword not in values or c.value == values[c.keyword]]
    return replace(bad, header=cards.join(kept))


def _bare(frame: Frame, pixels: Missing) -> Frame:
    """A frame of NaN, without maps."""
    return replace(frame, pixels=pixels, mask=None, uncertainty=None, common=None, flags=None, weight=None)


def _guarded(frame: Frame) -> Frame:
    """A frame whose pixels are NaN where they cannot be read; so are those whose mask cannot be read."""
    name = shown(frame.name)
    forget(name)
    maps: dict[str, Any] = {
        kind: guarded(reader, name, fill)
        for kind, fill in (("uncertainty", float("nan")), ("common", float("nan")), ("mask", 1.0), ("weight", 0.0))
        if (reader := getattr(frame, kind)) is not None
    }
    return replace(frame, pixels=guarded(frame.pixels, name), **maps)
