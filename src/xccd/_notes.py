"""What the samples of a stack are since they were opened."""

from __future__ import annotations

from typing import Any

from xccd import _stack

ORIGIN = "_xccd_origin"


def note(array: Any, origin: str) -> None:
    """Note on a lazy array what its samples are."""
    if _stack.waits(array):
        setattr(array, ORIGIN, (getattr(array, "name", None), origin))


def origin(array: Any) -> str:
    """Samples as they were opened are "read", at a measured level "levelled"; "" where that is not known."""
    noted = getattr(array, ORIGIN, None)
    if noted is not None:
        return str(noted[1]) if noted[0] == getattr(array, "name", None) else ""
    first = getattr(array, _stack.PLAN, (array, ()))[0]
    if first is not array:
        return origin(first)
    return "read" if hasattr(array, "reader") else ""
