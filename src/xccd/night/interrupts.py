"""Work that an interrupt does not stop half way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def to_its_end(take: Callable[[], T]) -> T:
    """Run ``take`` to its end, in a thread of its own: an interrupt of this one is raised when it is done."""
    found: list[T | BaseException] = []

    def run() -> None:
        try:
            found.append(take())
        except BaseException as error:
            found.append(error)

    thread = threading.Thread(target=run, name="xccd-live")
    thread.start()
    interrupt: BaseException | None = None
    while thread.is_alive():
        try:
            thread.join()
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
    (result,) = found
    if isinstance(result, BaseException):
        raise result
    return result
