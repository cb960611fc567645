"""Warnings that point at the user's line, given once for a whole tree."""

from __future__ import annotations

import sys
import warnings
from contextvars import ContextVar
from typing import Any

from xccd.labels.nodes import NODE

# For each line of code that warned: its first message, and the nodes that it warned of.
_WARNED: ContextVar[dict[Any, tuple[str, list[str]]] | None] = ContextVar("warnings of the current call", default=None)


class _WarningsOnce:
    """Gives one warning for each reason at the end of the block, however many variables and nodes have it."""

    def __enter__(self) -> None:
        self.token = _WARNED.set({})

    def __exit__(self, kind: Any, *_: object) -> None:
        warned = _WARNED.get() or {}
        _WARNED.reset(self.token)
        # after an error there are no warnings: it says more
        for message, nodes in warned.values() if kind is None else ():
            first, *more = dict.fromkeys(nodes)
            others = f" (and the like at {len(more)} more)" if more else ""
            warn(f"{message}; at the node {first!r}{others}" if first else message)


def warn(message: str) -> None:
    """Warn at the caller's line outside of this package, once for each call with any count of variables."""
    level, frame = 1, sys._getframe()
    warned = _WARNED.get()
    if warned is not None and frame.f_back:
        warned.setdefault((frame.f_back.f_code, frame.f_back.f_lineno), (message, []))[1].append(NODE.get())
        return
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "xccd":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
