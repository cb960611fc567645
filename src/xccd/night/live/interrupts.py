"""Work that an interrupt does not stop half way."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def to_its_end(take: Callable[[], T], lock: threading.Lock) -> T:
    """Run ``take`` to its end, in a thread of its own: an interrupt of this one is raised when it is done.

    The lock is held meanwhile.
    """
    found: list[T | BaseException] = []
    # Events, not join(): in Python 3.11 an interrupted join() takes a thread that runs for one that ended.
    begun, done = threading.Event(), threading.Event()

    def run() -> None:
        begun.set()
        try:
            with lock:
                found.append(take())
        except BaseException as error:
            found.append(error)
        finally:
            done.set()

    interrupt: BaseException | None = None
    try:
        threading.Thread(target=run, name="xccd-live").start()
    except BaseException as error:
        if not begun.wait(1.0):  # the interrupt came before the thread
            raise
        interrupt = error
    while not done.is_set():
        try:
            done.wait()
        except BaseException as error:
            interrupt = error
    if interrupt is not None:
        raise interrupt
    (result,) = found
    if isinstance(result, BaseException):
        raise result
    return result
