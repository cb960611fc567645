"""What a frame is, from the words that programs write for it: its kind, and its filter.

Kinds are compared, not words: "Flat Field", "skyflat" and "LAMP-FLAT" are all flats. The table lists every word that is
understood; a text that holds another one is a kind by itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from xccd.headers import cards


class Kind(NamedTuple):
    """The words that make a kind, and those that may stand beside them and make none."""

    words: tuple[str, ...]
    beside: tuple[str, ...] = ()


KINDS = {  # in the order in which they are tried: a dark flat is a dark
    "bias": Kind(("bias", "zero", "offset")),
    "dark": Kind(("dark",), ("flat",)),
    "flat": Kind(
        ("flat", "dome", "sky", "twilight"),
        ("lamp", "screen", "led", "pixel", "internal", "morning", "evening", "dawn", "dusk"),
    ),
    "light": Kind(
        ("light", "object", "science", "target", "standard", "std", "expose", "tricolor"), ("star", "color", "colour")
    ),
    "arc": Kind(("arc", "comp", "comparison"), ("lamp",)),
}
MASTERS = ("master", "super", "combined")  # a master is of another kind than the frames it was made from
NOTHING = ("frame", "field", "image", "img", "exposure", "raw", "none", "unknown", "undefined")  # they tell no kind
NO_FILTER_COUNTS = frozenset({"bias", "dark", "master-bias", "master-dark"})  # they carry what was in the wheel

IMAGETYP = ("IMAGETYP", "IMAGETYPE", "IMGTYPE", "FRAMETYP")
OBSTYPE = ("OBSTYPE", "OBS-TYPE", "OBS_TYPE")
# Keywords that say other things too (a date, the number of a field, an equinox): a known kind is taken, nothing else.
PERHAPS = {"IMAGETYP": ("FRAME",), "OBSTYPE": ("DATATYPE",)}

FILTER = ("FILTER", "FILTERS", "FILTNAM", "FILTNAME", "INSFILTE")
WHEELS = (  # of one instrument a row: what its wheels hold is one filter
    ("FILTER1", "FILTER2", "FILTER3", "FILTER4"),
    ("FILTNAM1", "FILTNAM2", "FILTNAM3"),
    ("FWNAME1", "FWNAME2", "FWNAME3"),
    ("ALFLTNM", "FAFLTNM", "FBFLTNM"),
)
CLEAR = ("clear", "open", "empty", "none", "air", "blank", "hole", "free", "null", "nofilter", "nofilt", "n/a")

LONGEST = 80  # letters of a text that may name a kind: a card's value has no more

_EVERY = sorted({w for kind in KINDS.values() for w in kind.words + kind.beside} | {*MASTERS, *NOTHING})
_SHORT = re.compile(r"[\s_-]+(frame|field|image)s?$")
_CLEAR = re.compile(rf"(?:{'|'.join(CLEAR)})(?:slot|position|pos)?(?:\d+[a-z]?)?")


def _words(text: str) -> frozenset[str] | None:
    """The words of the table that a text is made of, with or without blanks between; None if there are others."""
    letters = re.sub(r"[\W_]+", "", text.casefold())
    return _split(letters) if len(letters) <= LONGEST else None


def _split(letters: str) -> frozenset[str] | None:
    if not letters:
        return frozenset()
    for word in _EVERY:
        for written in (word, f"{word}s", f"{word}es"):
            if letters.startswith(written) and (rest := _split(letters[len(written) :])) is not None:
                return rest | {word}
    return None


@lru_cache(maxsize=1 << 12)
def known(text: str) -> str | None:
    """The kind that a text names: "flat", or "master-flat" of one that was combined; None where it names none."""
    words = _words(text)
    if words is None:
        return None
    master = "master-" if words & set(MASTERS) else ""
    words -= {*MASTERS, *NOTHING}
    for name, kind in KINDS.items():
        if words & set(kind.words) and words <= {*kind.words, *kind.beside}:
            return master + name
    return None


def kind_of(*texts: str) -> str | None:
    """The kind of a frame by the first of some texts that says one, an unknown word by itself; None without any.

    What says nothing ("image") gives way to the next, and counts where there is no other.
    """
    said = [text.strip() for text in texts if text.strip()]
    for text in said:
        if name := known(text):
            return name
        if (words := _words(text)) is None or not words <= set(NOTHING):
            return short(text)
    return short(said[0]) if said else None


def made_of(kind: str | None, number: Any) -> str | None:
    """The kind of a frame that says of how many it is (NCOMBINE): a master, where the word is that of its frames."""
    return f"master-{kind}" if kind in KINDS and cards.as_number(number) > 1 else kind


def short(text: str) -> str:
    """A word for a kind as it is written, in lower case: a "Focus Frame" is a focus."""
    return _SHORT.sub("", text.lower())


def filter_counts(kind: str | None) -> bool:
    """Whether frames of this kind have a filter of their own."""
    return kind not in NO_FILTER_COUNTS


def filter_of(values: Mapping[str, Any]) -> str:
    """The filter of a header: by its name, or as the wheels give it together; "" where nothing is said."""
    names = _texts(values, FILTER)
    if name := next((name for name in names if not is_clear(name)), ""):
        return name
    rows = [_texts(values, row) for row in WHEELS]
    for row in rows:
        if held := dict.fromkeys(name for name in row if not is_clear(name)):
            return "+".join(held)
    return names[0] if names else "CLEAR" if any(rows) else ""


def _texts(values: Mapping[str, Any], keywords: Iterable[str]) -> list[str]:
    every = (str(values.get(keyword, "")).strip() for keyword in keywords)
    return [text for text in every if text]


@lru_cache(maxsize=1 << 12)
def is_clear(name: str) -> bool:
    """Whether a place in a wheel holds no filter."""
    letters = re.sub(r"[^\w/]+|_", "", name.casefold())
    return not letters or bool(_CLEAR.fullmatch(letters))
