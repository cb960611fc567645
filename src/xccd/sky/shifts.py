"""The shift of a frame: from its stars, else from the correlation of its pixels; and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from xccd.sky import fixed, phase, star_match
from xccd.sky.stars import Stars, find_stars, typical

Array = np.ndarray[Any, Any]
MANY, CLEAR = 8, 10.0  # a frame with so many stars of such a S/N is expected to match by them
SHARE = 0.5  # of the stars that lie in both frames match, unless one is turned
RIVAL = 0.7  # the second peak of a correlation over the first: more is doubtful
ERROR = 0.3  # pixels, or a step of what is asked for: a larger error, or three standard errors, is doubtful
AGREE = 0.1  # pixels, or a step: a correlation that differs by more from the stars is doubtful
MOVED, TURNED = 0.5, 1.5  # pixels, at the corners, by a turn or a stretch: doubtful, and no shift at all
SHIFT = "no shift is clearly the best"


class Frame(NamedTuple):
    """What is compared of a frame."""

    image: Array  # float, NaN where masked
    stars: Stars | None  # all that is like one, of any width; None if stars were not asked for

    @property
    def number(self) -> int:
        """How many stars it has."""
        return 0 if self.stars is None else len(self.stars)

    def without_pixels(self) -> Frame:
        """Its stars alone."""
        return self._replace(image=self.image[:0])


class Found(NamedTuple):
    """The shift of a frame, and how sure it is."""

    offset: Array  # y, x
    matched: int  # stars; 0 if the pixels were correlated
    error: float  # pixels
    doubt: str  # why the offset may be wrong; "" if nothing says so
    turn: float = 0.0  # rad
    stretch: float = 0.0

    @property
    def is_turned(self) -> bool:
        """Whether no shift describes it."""
        return self.doubt == "turned"

    @property
    def is_pattern(self) -> bool:
        """Whether it may be of the detector."""
        return self.doubt.endswith(fixed.FAULTS)


def measured(image: Array, method: str) -> Frame:
    """What ``method`` compares of an image. Stars only check what the correlation says, if sep is installed."""
    try:
        return Frame(image, find_stars(image, every=True))
    except ImportError:
        if method != "phase":
            raise
        return Frame(image, None)


def by_stars(reference: Frame, frame: Frame, precision: int) -> Found | None:
    """The shift by stars; None if too few match."""
    one, other, shape = reference.stars, frame.stars, reference.image.shape
    assert one is not None
    assert other is not None
    found = star_match.match(one, other, shape)
    stays = None if found is None else star_match.is_still(one, other, found)
    doubt = "" if stays is None else fixed.doubt_of(one, other, *stays)
    if found is None or doubt or star_match.share(found, shape) < SHARE:
        turned = star_match.match_turned(*fixed.moving(one, other), shape)
        if turned is not None and (found is None or doubt or turned.matched > found.matched):
            found, doubt = turned, ""
    if found is None:
        return None
    judged = _judged(found, shape, precision)
    return judged._replace(doubt=doubt) if doubt else judged


def _judged(found: star_match.Match, shape: tuple[int, ...], precision: int) -> Found:
    """A match, and what makes it doubtful."""
    moved = max(abs(found.turn), abs(found.stretch)) * math.hypot(*shape) / 2
    doubt = ""
    if moved > TURNED:
        doubt = "turned"
    elif moved > MOVED:
        doubt = f"it is turned by {math.degrees(found.turn):.3f} degrees and stretched by {1 + found.stretch:.5f}"
    elif 3 * found.error > max(ERROR, 1 / precision):
        doubt = f"its {found.matched} stars give the offset to {found.error:.2f} pixels"
    return Found(found.offset, found.matched, found.error, doubt, found.turn, found.stretch)


def by_phase(reference: Frame, frame: Frame, precision: int) -> Found:
    """The shift by the correlation of pixels."""
    phase.check_installed()
    peak = phase.shift_between(phase.cleaned(reference.image), phase.cleaned(frame.image), precision)
    doubt = ""
    if peak.rival > RIVAL:
        doubt = SHIFT
    elif peak.error > max(ERROR, 1 / precision):
        doubt = f"its pixels give the offset to {peak.error:.2f} pixels"
    elif reference.stars is not None and frame.stars is not None:
        one, other = (stars[stars.snr > CLEAR] for stars in map(typical, (reference.stars, frame.stars)))
        few = star_match.agreeing(one, other, peak.offset) < star_match.FEWEST
        if few and min(len(one), len(other)) >= MANY:
            doubt = "its stars do not match at this shift"
    return Found(peak.offset, 0, peak.error, doubt)


def by_stars_or_phase(reference: Frame, frame: Frame, precision: int) -> Found:
    """The shift by stars if enough match, else by the correlation of pixels, and by the stars that agree with it."""
    found = by_stars(reference, frame, precision)
    if found is not None:
        return found
    found, one, other = by_phase(reference, frame, precision), reference.stars, frame.stars
    if found.doubt == SHIFT or one is None or other is None:
        return found
    near = star_match.match_near(typical(one), typical(other), found.offset, frame.image.shape)
    return found if near is None else _judged(near, frame.image.shape, precision)


def by_phase_alone(reference: Frame, frame: Frame, precision: int) -> Found:
    """The shift by the correlation of pixels, doubtful if stars say another one: a pattern of the detector stays."""
    found = by_phase(reference, frame, precision)
    if found.doubt or reference.stars is None or frame.stars is None:
        return found
    seen = by_stars(reference, frame, precision)
    if seen is None or (seen.doubt and not seen.is_turned):
        return found._replace(doubt=seen.doubt) if seen is not None and seen.is_pattern else found
    if seen.is_turned:
        return found._replace(doubt="its stars are turned")
    if np.hypot(*(found.offset - seen.offset)) > max(AGREE, 3 * seen.error, 1 / precision):
        return found._replace(doubt=f"its {seen.matched} stars say {seen.offset[0]:.2f}, {seen.offset[1]:.2f}")
    return found


METHODS: dict[str, Callable[[Frame, Frame, int], Found | None]] = {
    "auto": by_stars_or_phase,
    "phase": by_phase_alone,
    "stars": by_stars,
}


def extended(reference: Frame, frame: Frame, found: Found, base: Stars | None) -> Frame:
    """The reference with the stars of a frame whose shift is known, without what stays at the pixels of ``base``."""
    if reference.stars is None or frame.stars is None or base is None or found.doubt or not found.matched:
        return reference
    stars = frame.stars
    if np.hypot(*found.offset) > star_match.LEAST_MOVED:
        stars = stars[np.delete(np.arange(len(stars)), fixed.still(base, stars)[1])]
    moved = typical(stars).moved(*found.offset)
    return reference._replace(stars=reference.stars.joined(moved[~star_match.near(moved, reference.stars)]))


def by_others(
    reference: Frame, placed: list[tuple[Frame, Found]], missed: dict[int, Frame], precision: int
) -> tuple[dict[int, Found], Frame]:
    """The shifts of frames that do not reach the reference, by stars of frames that are placed already.

    Each frame that is placed may reach others. The second value is the reference with the stars of all placed frames.
    """
    base = reference.stars
    for frame, one in placed:
        reference = extended(reference, frame, one, base)
    found: dict[int, Found] = {}
    while True:
        before = len(found)
        for k, frame in missed.items():
            if k not in found and (new := by_stars(reference, frame, precision)) is not None and not new.is_pattern:
                found[k], reference = new, extended(reference, frame, new, base)
        if len(found) == before:
            return found, reference
