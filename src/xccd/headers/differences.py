"""In which keywords the headers of several frames differ."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from xccd.headers import cards

# They differ in any two files, and say nothing of the frames.
CHANGING = ("CHECKSUM", "DATASUM", "DATE", "FILENAME", "EXTNAME", "HISTORY", "COMMENT", "")


def differing(texts: Sequence[str]) -> dict[str, dict[str, int]]:
    """Keywords in which header texts differ, with their values and how many frames have each of them."""
    every = [cards.values(text) for text in texts]
    names = dict.fromkeys(name for one in every for name in one)
    found = {}
    for name in names:
        if name in CHANGING or cards.STRUCTURAL.fullmatch(name) or cards.WCS.fullmatch(name):
            continue
        values = Counter(str(one.get(name, "(none)")).strip() for one in every)
        if len(values) > 1:
            found[name] = dict(values.most_common())
    return found
