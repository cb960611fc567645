"""Bars for long work: asked for once, one at a time, on a terminal or in a notebook, and never in the way of the work.

Tiles of NumPy and deferred arrays, files, frames and products are counted here, in `bar` and `over`. `dask_bars` counts
the tasks of dask's schedulers. A bar that fails is dropped, and the work goes on without it.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from xccd.compute import options

T = TypeVar("T")
DELAY = 0.5  # seconds: what takes less shows no bar
log = logging.getLogger("xccd")

# Held while a bar is open: work within this work, or beside it in another thread, shows none.
_slot = threading.Lock()
_shown: _Bar | None = None


def _after_fork() -> None:
    """Show nothing in a forked child: the terminal is the parent's, and nobody would give its slot back."""
    global _slot, _shown
    _slot, _shown = threading.Lock(), None
    _slot.acquire()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def wanted() -> bool:
    """Whether bars were asked for and somebody sees them: stderr is a terminal, or this is a notebook."""
    return options.progress() and (_is_terminal() or _in_notebook())


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except Exception:  # a closed file, or one of the user's that is none
        return False


def _in_notebook() -> bool:
    """Whether this process is the kernel of a notebook."""
    if "ipykernel" not in sys.modules:
        return False
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return "IPKernelApp" in getattr(shell, "config", ())


class _Bar:
    """A bar of tqdm; once it raises it is dropped."""

    def __init__(self, what: str, total: int, unit: str, delay: float = DELAY) -> None:
        self.drawn: Any = None
        self.lock = threading.Lock()
        count = "{n_fmt}B of {total_fmt}B" if unit == "B" else f"{{n_fmt}} of {{total_fmt}} {unit}"
        text = f"{{desc}}: {{percentage:3.0f}}%|{{bar}}| {count}, {{remaining}} left"
        how = {"bar_format": text, "leave": False, "delay": delay, "unit_scale": unit == "B"}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # that a notebook has no widgets: the bar is text then
                from tqdm.auto import tqdm
            self.drawn = tqdm(total=total, desc=what, unit=unit, **how)
        except Exception as error:
            self._drop(error)

    def _drop(self, error: Exception) -> None:
        self.drawn = None
        log.debug("the progress bar is dropped: %s: %s", type(error).__name__, error)

    def _do(self, act: Callable[[Any], object]) -> None:
        with self.lock:  # one thread at a time: tqdm adds without a lock
            if self.drawn is not None:
                try:
                    act(self.drawn)
                except Exception as error:
                    self._drop(error)

    def add(self, count: int = 1) -> None:
        """So much more is done."""
        self._do(lambda drawn: drawn.update(count))

    def say(self, what: str, done: int | None = None, total: int | None = None) -> None:
        """What is being done now; how much of it is done, and how much there is, if that is known only now."""

        def act(drawn: Any) -> None:
            drawn.total = drawn.total if total is None else total
            drawn.set_description_str(what, refresh=False)
            drawn.update(0 if done is None else max(0, done - drawn.n))

        self._do(act)

    def clear(self) -> None:
        """Take it from the line, so that a text can stand there."""
        self._do(lambda drawn: drawn.clear())

    def refresh(self) -> None:
        """Draw it again, below that text."""
        self._do(lambda drawn: drawn.last_print_t > drawn.start_t + drawn.delay and drawn.refresh())

    def close(self) -> None:
        """Take it away."""
        self._do(lambda drawn: drawn.close())
        self.drawn = None


class _NoBar:
    """In place of a bar that nobody sees."""

    def add(self, count: int = 1) -> None:
        pass

    def say(self, what: str, done: int | None = None, total: int | None = None) -> None:
        pass


NO_BAR = _NoBar()
Bar = _Bar | _NoBar


def begun(what: str, total: int, unit: str, *, asked: bool | None = None) -> Bar:
    """A bar, to be given to `ended`; `NO_BAR` if none is wanted, or another one is open.

    ``asked`` by an argument of a verb takes the place of the setting.
    """
    global _shown
    if not (wanted() if asked is None else asked) or not _slot.acquire(blocking=False):
        return NO_BAR
    _shown = _Bar(what, total, unit, DELAY if asked is None else 0.0)
    return _shown


def ended(bar: Bar) -> None:
    """Take a bar away."""
    global _shown
    if isinstance(bar, _Bar) and bar is _shown:
        _shown = None
        bar.close()
        _slot.release()


@contextmanager
def bar(what: str, total: int, unit: str, *, asked: bool | None = None) -> Iterator[Bar]:
    """A block in which a bar is open, as `begun`; it is taken away however the block ends."""
    opened = begun(what, total, unit, asked=asked)
    try:
        yield opened
    finally:
        ended(opened)


def over(items: Iterable[T], what: str, total: int, unit: str) -> Iterator[T]:
    """The items one by one, with a bar that counts those that were taken and done with.

    A single item has none: it would stand at 0, and the bar of what is done with the item tells more.
    """
    if total == 1:
        yield from items
        return
    with bar(what, total, unit) as shown:
        for item in items:
            yield item
            shown.add()


@contextmanager
def without() -> Iterator[None]:
    """A block that shows no bar: somebody else is told of its progress."""
    mine = _slot.acquire(blocking=False)
    try:
        yield
    finally:
        if mine:
            _slot.release()


@contextmanager
def aside() -> Iterator[None]:
    """A block in which lines are printed on the terminal: a bar makes room for them."""
    shown = _shown
    if shown is not None:
        shown.clear()
    try:
        yield
    finally:
        if shown is not None:
            shown.refresh()
