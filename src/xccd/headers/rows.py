"""The order of a frame's rows (ROWORDER) and its Bayer pattern, from the header."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.headers.settings import listed

ORDERS = {"TOPDOWN": "TOP-DOWN", "BOTTOMUP": "BOTTOM-UP"}
WAY_OUT = "flip=True turns them to the order of the first"
SECTION = re.compile(r"\s*\[.*:.*,.*:.*\]\s*")
PATTERN = re.compile(r"[RGB]{4}")


def order_of(text: str) -> str:
    """ROWORDER of a header text: "TOP-DOWN", "BOTTOM-UP", or another word as written; "" if it is missing."""
    return as_order(cards.card_value(text, "ROWORDER")) if "ROWORDER" in text else ""


def as_order(word: Any) -> str:
    """A ROWORDER in one spelling: "TOP-DOWN" for "Top down"; unknown words in upper case."""
    text = str(word or "").strip().upper()
    return ORDERS.get(re.sub(r"[\W_]+", "", text), text)


def says_rows(text: str) -> bool:
    """Whether ROWORDER or BAYERPAT occurs in a header text."""
    return "ROWORDER" in text or "BAYERPAT" in text


def pattern_of(text: str) -> str:
    """The colours of the first 2 x 2 pixels, row by row, from BAYERPAT and its offsets; "" if it is missing."""
    if "BAYERPAT" not in text:
        return ""
    word = str(cards.card_value(text, "BAYERPAT") or "").strip().upper()
    if not PATTERN.fullmatch(word):
        return word
    dx, dy = (cards.as_number(cards.card_value(text, f"{axis}BAYROFF") or 0) for axis in "XY")
    if not (dx.is_integer() and dy.is_integer()):
        return f"{word} at ({dx:g}, {dy:g})"
    rows = np.roll(np.array(list(word)).reshape(2, 2), (-int(dy), -int(dx)), (0, 1))
    return "".join(rows.ravel().tolist())


def check_orders(names: Sequence[str], texts: Sequence[str]) -> None:
    """Raise if frames differ in ROWORDER; frames without it are not compared."""
    orders = [order_of(text) for text in texts]
    if len(set(orders) - {""}) > 1:
        raise ValueError(
            f"the frames have differing ROWORDER ({listed(names, orders)}), so some are upside down: {WAY_OUT}"
        )


def check_patterns(names: Sequence[str], texts: Sequence[str]) -> None:
    """Raise if frames differ in the colour of a pixel; frames without BAYERPAT are not compared."""
    patterns = [pattern_of(text) for text in texts]
    if len(set(patterns) - {""}) > 1:
        raise ValueError(
            f"the frames have differing BAYERPAT ({listed(names, patterns)}): their pixels have other colours. Open "
            "each pattern apart; where ROWORDER says that some are upside down, flip=True turns these"
        )
