"""Frames turned upside down (``flip=``) to one ROWORDER: their pixels, maps and header cards."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import cards
from xccd.headers.rows import ORDERS, PATTERN, SECTION, check_orders, order_of

if TYPE_CHECKING:
    from xccd.read.images.chips import Frame
    from xccd.read.images.pixels import Index, PixelReader, Samples

VERSION = re.compile(r"(?:(?:CTYPE|CRVAL|CRPIX|CDELT)\d|(?:CD|PC)\d+_\d+)([A-Z]?)")  # a header may have several WCS
SIP = re.compile(r"(A|B|AP|BP)_(\d+)_(\d+)")
# Cards that depend on row numbers and are not converted: tables, IRAF's and old WCS, origins, sections.
STUCK = re.compile(
    r"(CPDIS|CQDIS|DP|DQ|D2IMDIS|D2IMARR|D2IM)\d.*|WAT\d_\d+|LTV2|LTM\d_2|LTM2_\d|(PC|CD)\d{6}|(AMD[XY]|PLTRA|CNPIX).*|"
    r".*SEC[A-Z]?\d*"
)


def in_one_order(found: list[Frame], flip: bool | str = False) -> list[Frame]:
    """The frames with one order of rows: unchanged, or turned if ``flip`` is set. Raises if they differ otherwise."""
    if not isinstance(flip, (bool, np.bool_)) and flip not in ORDERS.values():
        raise ValueError(f"flip={flip!r} is not True, False, 'TOP-DOWN' or 'BOTTOM-UP'")
    texts = [frame.header for frame in found]
    if not flip:
        check_orders([frame.file for frame in found], texts)
        return found
    orders = [order_of(text) for text in texts]
    wanted = flip if isinstance(flip, str) else next((order for order in orders if order), "")
    odd = [order for order in orders if order not in ("", wanted)]
    if unknown := [order for order in ([*odd, wanted] if odd else []) if order not in ORDERS.values()]:
        known = " nor ".join(map(repr, ORDERS.values()))
        raise ValueError(f"ROWORDER = {unknown[0]!r} is neither {known}: flip={flip!r} cannot turn it")
    return [_turned(f, wanted) if order in odd else f for f, order in zip(found, orders, strict=True)]


@dataclass(frozen=True)
class Turned:
    """A reader with the rows in reverse order."""

    base: PixelReader

    @property
    def shape(self) -> tuple[int, ...]:
        return self.base.shape

    @property
    def native(self) -> np.dtype[Any]:
        return self.base.native

    @property
    def masks(self) -> bool:
        return self.base.masks

    def read(self, index: Index, out: Samples) -> None:
        ny = self.shape[-2]
        first, last, _ = index[-2].indices(ny)
        rows = np.empty(out.shape, out.dtype)  # readers take slices of step 1
        self.base.read((*index[:-2], slice(ny - last, ny - first), index[-1]), rows)
        out[...] = rows[..., ::-1, :]


def _turned(frame: Frame, order: str) -> Frame:
    """A frame upside down, with its maps and the header cards that depend on rows."""
    if len(frame.pixels.shape) < 2:
        raise ValueError(f"{frame.file}: ROWORDER of an image of one axis, flip= cannot turn it")
    kinds = ("mask", "uncertainty", "common", "flags")
    maps: dict[str, Any] = {kind: p and Turned(p) for kind in kinds for p in [getattr(frame, kind)]}
    text = _turned_text(frame.header, frame.pixels.shape[-2], order, frame.file)
    return replace(frame, header=text, pixels=Turned(frame.pixels), **maps)


def _turned_text(text: str, ny: int, order: str, name: str) -> str:
    """The header text of a frame upside down."""
    values = cards.values(text)
    if stuck := [k for k, v in values.items() if STUCK.fullmatch(k) and not _is_harmless(k, v)]:
        raise ValueError(
            f"{name}: flip= cannot convert its card {stuck[0]}: turn the image and its header, or take the card away"
        )
    made = _turned_cards(values, ny, name) | {"ROWORDER": order}
    lines: list[str] = []
    for card in cards.split(text):
        new = made.pop(card.keyword, None)
        lines += card.lines if new is None else (cards.make(card.keyword, new),)
    return "\n".join([*lines, *(cards.make(k, v) for k, v in made.items())])


def _is_harmless(keyword: str, value: Any) -> bool:
    """Whether a card in `STUCK` depends on no row after all: no section of rows, a shift of 0, a step of 1."""
    if keyword.startswith("LT"):
        return bool(cards.as_number(value) == (keyword == "LTM2_2"))
    return "SEC" in keyword and not (isinstance(value, str) and SECTION.fullmatch(value))


def _turned_cards(values: dict[str, Any], ny: int, name: str) -> dict[str, Any]:
    """The new values of WCS cards and BAYERPAT in a frame of ``ny`` rows upside down."""
    made: dict[str, Any] = {}
    for version in {m[1] for k in values if (m := VERSION.fullmatch(k))}:
        made[f"CRPIX2{version}"] = ny + 1 - _number_to_turn(values, f"CRPIX2{version}", 0.0, name)
        matrix = [k for k in values if re.fullmatch(rf"(CD|PC)\d+_\d+{version}", k)]
        if any(k.startswith("PC") for k in matrix):
            made[f"PC2_2{version}"] = -1.0  # a missing diagonal element is 1
        column = [k for k in matrix if re.fullmatch(rf".*_2{version}", k)] if matrix else [f"CDELT2{version}"]
        made |= {k: -_number_to_turn(values, k, 1.0, name) for k in column}
    for match in filter(None, map(SIP.fullmatch, values)):
        # odd powers of y change sign; B corrects y, which changes sign itself
        if (int(match[3]) + match[1].startswith("B")) % 2:
            made[match[0]] = -_number_to_turn(values, match[0], 0.0, name)
    if word := str(values.get("BAYERPAT", "")).strip():
        if not PATTERN.fullmatch(word.upper()):
            raise ValueError(f"{name}: BAYERPAT = {word!r} is not four of R, G and B: flip= cannot turn it")
        # an odd count of rows begins and ends with the same row of the pattern
        made["BAYERPAT"] = word if ny % 2 else word[2:] + word[:2]
    return made


def _number_to_turn(values: dict[str, Any], keyword: str, default: float, name: str) -> float:
    number = cards.as_number(values.get(keyword, default))
    if not np.isfinite(number):
        raise ValueError(f"{name}: {keyword} = {values[keyword]!r} is not a number: flip= cannot turn its WCS")
    return number
