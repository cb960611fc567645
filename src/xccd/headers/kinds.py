"""The kind of a frame (flat, bias, ...) and its filter, from the words that programs write.

Kinds are compared, not words: "Flat Field", "skyflat" and "LAMP-FLAT" are all flats. The table lists every known word.
A text with any other word is a kind of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from xccd.headers import cards


class KindWords(NamedTuple):
    """The words that name a kind, and the words that may accompany them but name none alone."""

    words: tuple[str, ...]
    beside: tuple[str, ...] = ()


KINDS = {  # tried in this order: a dark flat is a dark
    "bias": KindWords(("bias", "zero", "offset")),
    "dark": KindWords(("dark",), ("flat",)),
    "flat": KindWords(
        ("flat", "dome", "sky", "twilight"),
        ("lamp", "screen", "led", "pixel", "internal", "morning", "evening", "dawn", "dusk"),
    ),
    "light": KindWords(
        ("light", "object", "science", "target", "standard", "std", "expose", "tricolor"), ("star", "color", "colour")
    ),
    "arc": KindWords(("arc", "comp", "comparison"), ("lamp",)),
}
MASTERS = ("master", "super", "combined")  # a master has another kind than its frames
NOTHING = ("frame", "field", "image", "img", "exposure", "raw", "none", "unknown", "undefined")  # these name no kind
NO_FILTER_COUNTS = frozenset({"bias", "dark", "master-bias", "master-dark"})  # FILTER is what was in the wheel

IMAGETYP = ("IMAGETYP", "IMAGETYPE", "IMGTYPE", "FRAMETYP")
OBSTYPE = ("OBSTYPE", "OBS-TYPE", "OBS_TYPE")
# Keywords that also hold other things (a date, a field number, an equinox): only a known kind is taken.
PERHAPS = {"IMAGETYP": ("FRAME",), "OBSTYPE": ("DATATYPE",)}

FILTER = ("FILTER", "FILTERS", "FILTNAM", "FILTNAME", "INSFILTE")
WHEELS = (  # one row for each instrument: its wheels together make one filter
    ("FILTER1", "FILTER2", "FILTER3", "FILTER4"),
    ("FILTNAM1", "FILTNAM2", "FILTNAM3"),
    ("FWNAME1", "FWNAME2", "FWNAME3"),
    ("ALFLTNM", "FAFLTNM", "FBFLTNM"),
)
CLEAR = ("clear", "open", "empty", "none", "air", "blank", "hole", "free", "null", "nofilter", "nofilt", "n/a")

LONGEST = 80  # letters; longer texts are not searched: a card's value has no more

_EVERY = sorted({w for kind in KINDS.values() for w in kind.words + kind.beside} | {*MASTERS, *NOTHING})
_SHORT = re.compile(r"[\s_-]+(frame|field|image)s?$")
_CLEAR = re.compile(rf"(?:{'|'.join(CLEAR)})(?:slot|position|pos)?(?:\d+[a-z]?)?")


def _words(text: str) -> frozenset[str] | None:
    """The known words that make up a text, with or without blanks between them; None if other words are in it."""
    letters = re.sub(r"[\W_]+", "", text.casefold())
    return _split(letters) if len(letters) <= LONGEST else None


def _split(letters: str) -> frozenset[str] | None:
    """The known words, also in plural, that make up ``letters``; None if there are others."""
    if not letters:
        return frozenset()
    for word in _EVERY:
        for written in (word, f"{word}s", f"{word}es"):
            if letters.startswith(written) and (rest := _split(letters[len(written) :])) is not None:
                return rest | {word}
    return None


@lru_cache(maxsize=1 << 12)
def known(text: str) -> str | None:
    """The kind that a text names, as "flat", or "master-flat" for a combined frame; None if it names none."""
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
    """The kind named by the first text that names one; unknown words are a kind. None if all are empty.

    A text that names no kind ("image") is used only if no other text does better.
    """
    given = [text.strip() for text in texts if text.strip()]
    for text in given:
        if name := known(text):
            return name
        if (words := _words(text)) is None or not words <= set(NOTHING):
            return short(text)
    return short(given[0]) if given else None


def made_of(kind: str | None, number: Any) -> str | None:
    """The kind, as "master-flat" if ``number`` (NCOMBINE) is above 1 and the kind is that of single frames."""
    return f"master-{kind}" if kind in KINDS and cards.as_number(number) > 1 else kind


def short(text: str) -> str:
    """The text in lower case without "frame", "field" or "image" at its end: "Focus Frame" gives "focus"."""
    return _SHORT.sub("", text.lower())


def filter_counts(kind: str | None) -> bool:
    """Whether FILTER means something for frames of this kind: not for bias frames and darks."""
    return kind not in NO_FILTER_COUNTS


def filter_of(values: Mapping[str, Any]) -> str:
    """The filter of a header: FILTER or a like keyword, else the contents of the wheels joined by "+"; else ""."""
    names = _texts_of(values, FILTER)
    if name := next((name for name in names if not is_clear(name)), ""):
        return name
    rows = [_texts_of(values, row) for row in WHEELS]
    for row in rows:
        if held := dict.fromkeys(name for name in row if not is_clear(name)):
            return "+".join(held)
    return names[0] if names else "CLEAR" if any(rows) else ""


def _texts_of(values: Mapping[str, Any], keywords: Iterable[str]) -> list[str]:
    every = (str(values.get(keyword, "")).strip() for keyword in keywords)
    return [text for text in every if text]


@lru_cache(maxsize=1 << 12)
def is_clear(name: str) -> bool:
    """Whether this name stands for no filter in the wheel."""
    letters = re.sub(r"[^\w/]+|_", "", name.casefold())
    return not letters or bool(_CLEAR.fullmatch(letters))
