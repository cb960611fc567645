"""The values that keys of a recipe may have. A check returns the value in its one form, or raises with the reason."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from xccd.kernels.table import ARGUMENTS, METHODS
from xccd.messages import a_type, did_you_mean, is_number
from xccd.verbs import reject_text
from xccd.verbs.calibrate.sections import ranges
from xccd.verbs.keep import parsed
from xccd.verbs.levels import LEVELS
from xccd.verbs.stats import MEASURED
from xccd.verbs.weights import NAMED, QUALITY

Check = Callable[[Any], Any]

DRIZZLE = "drizzle"  # weights of frames that are drizzled, which a recipe cannot ask for
KEYWORD = re.compile(r"[A-Z][A-Z0-9_-]*")
KEYWORDS = re.compile(r"[A-Z][A-Z0-9_ .-]*")  # also of several words, as HIERARCH has them
# A recipe has no place for q, and a count is no image.
IMAGES = tuple(
    k for k, row in METHODS.items() if k != "count" and all(ARGUMENTS[a].default is not None for a in row.takes)
)


def text(value: Any, example: str) -> str:
    """A text of printable characters."""
    if not isinstance(value, str):
        raise TypeError(f"is {a_type(value)}, not a text: write it as {example}")
    if not value.isprintable():
        raise ValueError(f"holds characters that cannot be printed: write it as {example}")
    return value


def truth(value: Any) -> bool:
    """True or False."""
    if not isinstance(value, bool):
        raise TypeError(f"is {a_type(value)}: it is true or false")
    return value


def number(rule: str, is_right: Callable[[float], bool]) -> Check:
    """A finite number that fits the rule, as a float."""

    def check(value: Any) -> float:
        if not is_number(value):
            raise TypeError(f"is {a_type(value)}, not a number: give {rule}")
        if not (math.isfinite(value) and is_right(value)):
            raise ValueError(f"is not {rule}")
        return float(value)

    return check


def one_of(*known: str) -> Check:
    """One of these words."""

    def check(value: Any) -> str:
        if text(value, f'"{known[0]}"') not in known:
            raise ValueError(f"is unknown: use one of {_listed(known)}{did_you_mean(value, known)}")
        return str(value)

    return check


def number_or(example: float, *words: str, zero: bool = False) -> Check:
    """A number above 0, or also 0, one of the words, or a keyword in capitals."""
    rule = f"one of {_listed(words)}, a number such as {example:g}, or a keyword in capitals"

    def check(value: Any) -> str | float:
        if is_number(value):
            if not (math.isfinite(value) and (value > 0 or (zero and value == 0))):
                raise ValueError(f"is no finite number {'of 0 or more' if zero else 'above 0'}: use {rule}")
            return float(value)
        if not isinstance(value, str):
            raise TypeError(f"is {a_type(value)}: use {rule}")
        if value not in words and not KEYWORD.fullmatch(value):
            raise ValueError(f"is unknown: use {rule}{did_you_mean(value, words)}")
        return str(value)

    return check


def region(value: Any) -> str:
    """One of "auto", "off", a section, or a keyword that holds one."""
    words = ("auto", "off")
    given = text(value, '"auto", "off", or a section "[1:2048,1:2048]"').strip()
    if given.startswith("["):
        try:
            ranges("", given)
        except ValueError as error:
            raise ValueError(f"cannot be used: {str(error).partition(': ')[2]}") from None
    elif given not in words and not KEYWORD.fullmatch(given):
        near = did_you_mean(given, words)
        raise ValueError(f'is unknown: use "auto", "off", a keyword, or a section "[x1:x2,y1:y2]"{near}')
    return given


def method(value: Any) -> str:
    """A way to combine that gives an image, and takes nothing but the frames."""
    if isinstance(value, str) and value in METHODS and value not in IMAGES:
        raise ValueError(f"takes more than a recipe has: use one of {_listed(IMAGES)}")
    return str(one_of(*IMAGES)(value))


def rejection(value: Any) -> str:
    """The text "", or one that `reject_text` reads."""
    given = text(value, '"sigma 3 3" or ""').strip()
    if given:
        try:
            reject_text.check(given)
        except (ValueError, TypeError) as error:
            raise ValueError(f"cannot be used: {error}") from None
    return given


def level(*words: str) -> Check:
    """The name of a level, or one of these words."""
    return one_of(*words, *LEVELS)


def weights(value: Any) -> str:
    """The text "", or names of weights or keywords, joined by "*"."""
    given = text(value, '"noise", "EXPTIME*feather" or ""').strip()
    known = tuple(name for name in (*QUALITY, *NAMED) if name != DRIZZLE)
    for name in (part.strip() for part in given.split("*")) if given else ():
        if name not in known and not KEYWORD.fullmatch(name):
            near = did_you_mean(name, known)
            raise ValueError(f"has {name!r}: use {_listed(known)}, or a keyword in capitals, joined by *{near}")
    return given


def keep(value: Any) -> str:
    """The text "", or conditions such as "fwhm<80%", joined by commas."""
    given = text(value, '"fwhm<80%", several joined by commas, or empty').strip()
    if not given:
        return given
    try:
        names = [condition.name for condition in parsed(given)]
    except (ValueError, TypeError) as error:
        raise ValueError(f"cannot be used: {error}") from None
    for name in names:
        if name.startswith("rejected"):
            raise ValueError(f"has {name!r}: frames are chosen before samples are rejected, so it is 0 in all")
        if name not in MEASURED and not KEYWORDS.fullmatch(name):
            near = did_you_mean(name, MEASURED)
            raise ValueError(f"has {name!r}: use {_listed(MEASURED)}, or a keyword in capitals{near}")
    return given


def texts(example: str) -> Check:
    """Several texts, none of them empty or there twice, as a tuple."""

    def check(value: Any) -> tuple[str, ...]:
        if isinstance(value, str) or not isinstance(value, Iterable):
            raise TypeError(f"is {a_type(value)}, not a list of texts: write it as {example}")
        found = tuple(text(one, example).strip() for one in value)
        if "" in found:
            raise ValueError(f"has an empty text: write it as {example}, or [] for none")
        if len(set(found)) < len(found):
            raise ValueError(f"has {next(t for t in found if found.count(t) > 1)!r} twice: give it once")
        return found

    return check


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)
