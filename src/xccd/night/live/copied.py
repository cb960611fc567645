"""Copies of an object with a lock: by `copy`, and by pickle."""

from __future__ import annotations

import copy
import threading
from typing import Any, TypeVar

T = TypeVar("T", bound="Copied")


class Copied:
    """A base: a copy shares nothing with the object, and is made while no other thread holds its lock."""

    _lock: threading.Lock

    def __getstate__(self) -> dict[str, Any]:
        with self._lock:  # a copy at once: pickle reads the arrays later, when a frame may be half in them
            return copy.deepcopy({name: value for name, value in vars(self).items() if name != "_lock"})

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._lock = threading.Lock()

    def __copy__(self: T) -> T:
        new = type(self).__new__(type(self))
        new.__setstate__(self.__getstate__())
        return new

    def __deepcopy__(self: T, memo: dict[int, Any]) -> T:
        return self.__copy__()
