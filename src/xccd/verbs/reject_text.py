"""A rejection as a text, "winsorized 4 3 floor=0.5": the arguments of `reject`. The command and recipes take it."""

from __future__ import annotations

from typing import Any

from xccd.verbs.auto import NO_OPTION
from xccd.verbs.clip import check_sigma, check_thresholds
from xccd.verbs.cores import check_spare_cores
from xccd.verbs.presets import arguments_of
from xccd.verbs.reject import given_of

WORDS = {"off": None, "none": None, "stable": None, "true": True, "false": False}


def parsed(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The name with its thresholds, if there are any, and the options; ValueError for a text of another form."""
    words = text.split()
    options: dict[str, Any] = {}
    for name, value in (word.split("=", 1) for word in words if "=" in word):
        if name in options:
            raise ValueError(f"{text!r} has {name}= twice: give it once")
        options[name] = value_of(value)
    plain = [word for word in words if "=" not in word]
    if len(plain) not in (1, 3):
        raise ValueError(f"{text!r} is no name, or name and two thresholds: as 'winsorized 4 3'")
    return (plain[0], *map(value_of, plain[1:])), options


def value_of(word: str) -> Any:
    """A number, True, False or None; any other word is a text."""
    if word.lower() in WORDS:
        return WORDS[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word


def check(text: str) -> None:
    """Raise for a text that `reject` would not take, whatever the frames are."""
    (name, *thresholds), options = parsed(text)
    if (cores := options.pop("spare_cores", None)) is not None:
        check_spare_cores(cores)
    low, high = thresholds or (..., ...)
    if name == "auto":
        for option, value in options.items():
            raise ValueError(NO_OPTION.format(f"{option}={value!r}"))
        check_thresholds(*(None if side is ... else side for side in (low, high)))
        return
    preset = options.pop("preset", None) if name == "sigma" else None
    given = given_of(name, low, high, options if preset is None else arguments_of(preset) | options, 1, "frame")
    if name == "sigma":
        check_sigma(given.low, given.high, given.options)
