"""Presets of a sigma clip: the arguments with which it clips as another program does by default."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar, cast

from xccd.messages import did_you_mean

F = TypeVar("F", bound=Callable[..., Any])

# Compared with the programs by tests/test_peers_reference.py; docs/coming_from.md says where they differ.
PRESETS: dict[str, dict[str, Any]] = {
    "astropy": {"center": "median", "maxiters": 5},
    "ccdproc": {"center": "mean", "maxiters": 1},
    "iraf": {"center": "median", "about": "center", "ddof": 1, "maxiters": None, "minimum": 3, "nkeep": 1},
    "siril": {"center": "median", "ddof": 1, "maxiters": None, "minimum": 5},
    "gnuastro": {"center": "median", "maxiters": None},
}


def arguments_of(preset: Any) -> dict[str, Any]:
    """The arguments that a preset stands for; raises for an unknown name."""
    if not isinstance(preset, str) or preset not in PRESETS:
        hint = did_you_mean(preset, PRESETS)
        raise ValueError(f"preset={preset!r} is unknown: use one of {', '.join(PRESETS)}{hint}")
    return PRESETS[preset]


def takes_preset(verb: F) -> F:
    """Fill in the arguments of ``preset=``; those of the call win."""

    @wraps(verb)
    def filled(*args: Any, **kwargs: Any) -> Any:
        if kwargs.get("preset") is not None:
            kwargs = arguments_of(kwargs["preset"]) | kwargs
        return verb(*args, **kwargs)

    return cast("F", filled)
