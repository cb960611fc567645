"""Warnings that point at the user's line, once for a tree."""

from __future__ import annotations

import sys
import warnings
from contextvars import ContextVar
from typing import Any

from xccd.labels.nodes import NODE

# Each place of the code that warned, with what it said first and the nodes that it said it of.
_SAID: ContextVar[dict[Any, tuple[str, list[str]]] | None] = ContextVar("what this call warns of", default=None)


class _WarningsOnce:
    """One warning for each reason when the block is done, however many variables and nodes have it."""

    def __enter__(self) -> None:
        self.token = _SAID.set({})

    def __exit__(self, kind: Any, *_: object) -> None:
        said = _SAID.get() or {}
        _SAID.reset(self.token)
        for message, nodes in said.values() if kind is None else ():
            first, *more = dict.fromkeys(nodes)
            others = f" (and the like at {len(more)} more)" if more else ""
            warn(f"{message}; at the node {first!r}{others}" if first else message)


def warn(message: str) -> None:
    """Warn at the line of the caller outside this package, once a call however many variables it works on."""
    level, frame = 1, sys._getframe()
    said = _SAID.get()
    if said is not None and frame.f_back:
        said.setdefault((frame.f_back.f_code, frame.f_back.f_lineno), (message, []))[1].append(NODE.get())
        return
    while frame.f_back and frame.f_globals.get("__name__", "").partition(".")[0] == "xccd":
        frame, level = frame.f_back, level + 1
    warnings.warn(message, UserWarning, stacklevel=level)
