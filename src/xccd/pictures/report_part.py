"""A part of a report: a row of a table, with a function that tells it, or why it cannot be told."""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.messages import shown
from xccd.pictures.page import Html, Section, anchor, untold
from xccd.pictures.report_look import Look

NO_DIAGRAMS = "No diagram: matplotlib is not installed, pip install 'xccd[plot]' or conda install matplotlib-base."

MUCH, TIMES = 0.002, 3  # the share of a frame that stands out: of all samples, and of that of the median frame


class UntoldError(Exception):
    """A part that cannot be told; the message says why."""


@dataclass(frozen=True)
class Asked:
    """What the caller of a report asked for."""

    n: int
    pairs: int = 3  # frames that are shown before and after
    lenient: bool = False  # whether a file that cannot be read costs its part alone
    transforms: xr.Dataset | None = None
    path: str = ""
    keywords: dict[str, Any] = field(default_factory=dict)  # arguments of the call, for the lines that make it again


class Part(NamedTuple):
    """A part of a report on a stack or an image."""

    anchor: str
    title: str
    tell: Callable[[Look, Asked], Html]


class Cost(NamedTuple):
    """The seconds that a part took."""

    part: str
    seconds: float


def told(
    parts: Sequence[Part], look: Look, asked: Asked, *, level: int = 2, within: str = ""
) -> tuple[list[Section], list[Cost]]:
    """All parts as sections; one that fails says so and costs no other its place."""
    sections, costs = [], []
    for part in parts:
        began = time.perf_counter()
        try:
            body = part.tell(look, asked)
        except UntoldError as why:
            body = untold(str(why))
        except (OSError, ValueError, TypeError, ArithmeticError, LookupError, ImportError) as error:
            if isinstance(error, OSError) and not asked.lenient:
                raise
            body = untold(f"This part cannot be told: {shown(str(error) or type(error).__name__)}")
        sections.append(Section(anchor(within, part.anchor), part.title, body, level))
        costs.append(Cost(part.title, time.perf_counter() - began))
    return sections, costs


def diagram(draw: Callable[[Any], object], width: float = 6.0, height: float = 4.2) -> bytes:
    """The PNG of a figure with one diagram, without a background: the page gives it one."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise UntoldError(NO_DIAGRAMS) from None
    figure = Figure(figsize=(width, height), layout="constrained")
    figure.patch.set_alpha(0.0)
    draw(figure.subplots())
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=130, metadata={"Software": None})
    return buffer.getvalue()


def number(value: Any) -> str:
    """A number with some five digits; "" if there is none."""
    if value is None or not np.isfinite(value):
        return ""
    return f"{value:.5g}" if abs(value) < 1e5 else f"{value:.0f}" if abs(value) < 1e9 else f"{value:.4e}"


def percent(share: Any) -> str:
    """A share in percent; "" if it is unknown."""
    if share is None or not np.isfinite(share):
        return ""
    return "0" if share == 0 else f"{100 * share:.2f}" if share > 2e-4 else f"{100 * share:.2g}"


def stands_out(shares: Any) -> list[bool]:
    """The frames of which much more was rejected than of most: three times as much as of the median frame."""
    values = np.asarray(shares, np.float64)
    good = values[np.isfinite(values)]
    usual = float(np.median(good)) if good.size else np.nan
    return [bool(good.size > 2 and value > MUCH and value > TIMES * usual) for value in values]


def counted(n: int, word: str) -> str:
    """A number with its noun."""
    return f"{n} {word}{'' if n == 1 else 's'}"
