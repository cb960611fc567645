"""Which frames of many are shown, and the words for those that are left out."""

from __future__ import annotations

from typing import NamedTuple


class Picked(NamedTuple):
    """The numbers of the frames that are shown, and what is said of the others."""

    numbers: list[int]
    text: str


def picked(count: int, most: int) -> Picked:
    """At most so many frames: every first, second, third, ..., so that a night is seen from its begin to its end."""
    every = -(-count // most)
    numbers = list(range(0, count, every))
    if every == 1:
        return Picked(numbers, "")
    return Picked(numbers, f"every {nth(every)} frame, {count - len(numbers)} are left out: n={count} shows all")


def nth(number: int) -> str:
    """An ordinal number."""
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"
