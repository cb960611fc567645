"""How large a pixel is on the sky, by the keywords of cameras and telescopes."""

from __future__ import annotations

from collections.abc import Callable

from xccd.headers import cards

Values = tuple[float, ...]
# Keywords, and what they say of the size of a pixel: arcseconds, or something that is in proportion to it.
RULES: tuple[tuple[tuple[str, ...], Callable[[Values], float]], ...] = (
    (("PIXSCALE",), lambda v: v[0]),
    (("SECPIX",), lambda v: v[0]),
    (("SECPIX1",), lambda v: v[0]),
    (("XPIXSZ", "FOCALLEN"), lambda v: v[0] / v[1]),
    (("XPIXSZ",), lambda v: v[0]),
    (("XPIXSZ", "XBINNING"), lambda v: v[0] * v[1]),  # programs that give the size without binning
    (("XPIXSZ", "XBINNING", "FOCALLEN"), lambda v: v[0] * v[1] / v[2]),
    (("FOCALLEN",), lambda v: 1 / v[0]),
    (("XBINNING",), lambda v: v[0]),
    (("CCDXBIN",), lambda v: v[0]),
)


def ratios(text: str, other: str) -> list[float]:
    """How many times larger a pixel of the frame with the header ``text`` is than of ``other``, by each rule.

    One at most has both: a ratio is left out where a keyword is missing or not above 0.
    """
    found = []
    for keywords, size in RULES:
        values = [tuple(cards.as_number(cards.card_value(t, k)) for k in keywords) for t in (text, other)]
        if all(0 < v < float("inf") for some in values for v in some):
            found.append(size(values[0]) / size(values[1]))
    return list(dict.fromkeys(round(ratio, 6) for ratio in found))
