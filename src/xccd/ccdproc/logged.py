"""The header cards in which ccdproc's functions log their call."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., Any])
SHORT = "Shortened name for ccdproc command"  # the comment of its card


def logs_its_call(short: str) -> Callable[[Function], Function]:
    """Let a function log its call in the header of its CCDData, unless ``add_keyword`` says otherwise.

    A function's name is too long for a keyword. Its card holds the ``short`` name, whose card holds the arguments.
    """

    def decorate(function: Function) -> Function:
        names = list(inspect.signature(function).parameters)

        @wraps(function)
        def run(*args: Any, **options: Any) -> Any:
            made = function(*args, **options)
            given = dict(zip(names, args, strict=False)) | options
            asked = given.pop("add_keyword", True)
            if asked is True:
                if _is_on():
                    _add_call(made.meta, function.__name__, short, given)
            elif asked:
                made.meta.update(_as_dict(asked))
            return made

        return run  # type: ignore[return-value]

    return decorate


def check_keyword(asked: Any) -> None:
    """Raise if ``asked`` is not a valid ``add_keyword``."""
    _as_dict(asked if asked and asked is not True else {})


def _as_dict(asked: Any) -> dict[str, Any]:
    """A name, a ccdproc Keyword or a mapping, as a dict."""
    if isinstance(asked, str):
        return {asked: None}
    if hasattr(asked, "name") and hasattr(asked, "value"):
        return {asked.name: asked.value}
    if not hasattr(asked, "items"):
        raise TypeError(f"add_keyword={asked!r} is neither True, False, a name, a Keyword nor a dict")
    return dict(asked.items())


def _is_on() -> bool:
    """The value of ``ccdproc.conf.auto_logging``; True if ccdproc is not loaded."""
    conf = getattr(sys.modules.get("ccdproc"), "conf", None)
    return bool(getattr(conf, "auto_logging", True))


def _add_call(meta: Any, name: str, short: str, given: dict[str, Any]) -> None:
    long = f"HIERARCH {name.upper()}" if hasattr(meta, "cards") else name
    meta[long] = (short, SHORT)
    meta[short] = ", ".join(f"{k}={_value_or_class(v)}" for k, v in given.items()).replace("\n", "")


def _value_or_class(value: Any) -> Any:
    """The value; for an array the name of its class."""
    array = value if isinstance(value, np.ndarray) else getattr(value, "data", None)
    return f"<{type(value).__name__}>" if isinstance(array, np.ndarray) and array.size > 1 else value
