"""A rejection as text, as "sigma 4 4 center=median": the arguments of `reject`."""

from __future__ import annotations

from typing import Any

NAMED = {"off": None, "none": None, "stable": None, "true": True, "false": False}


def parsed(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of `reject` (name, low, high), and its options."""
    words = text.split()
    options = dict(word.split("=", 1) for word in words if "=" in word)
    plain = [word for word in words if "=" not in word]
    if len(plain) not in (1, 3):
        raise ValueError(f"reject={text!r} is no name, or name and two thresholds: as 'winsorized 4 3'")
    return (plain[0], *map(_value, plain[1:])), {name: _value(word) for name, word in options.items()}


def _value(word: str) -> Any:
    if word.lower() in NAMED:
        return NAMED[word.lower()]
    for kind in (int, float):
        try:
            return kind(word)
        except ValueError:
            continue
    return word
