"""Frames of a table that make one product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.night.plan.exposures import clusters

if TYPE_CHECKING:
    from xccd.night.recipe.recipe import Recipe


@dataclass(frozen=True)
class Group:
    """Rows of one product, and what they have in common."""

    kind: str
    rows: Any  # positions in the table, in its order
    times: Any  # of each row: the exposure that its cluster is called by
    exposure: float  # that of all frames; NaN if they are of several clusters
    detector: int
    night: int  # of a light: of its first frame
    filter: str  # "" for biases and darks
    temperature: float  # the median; NaN if no frame tells it
    by: tuple[str, ...] = ()  # of a light: the values that part images

    @classmethod
    def of(cls, kind: str, rows: Any, times: Any, columns: dict[str, Any], by: tuple[str, ...] = ()) -> Group:
        """The group of these rows; ``columns`` are the facts of the whole table."""
        first = int(rows[0])
        return cls(
            kind=kind,
            rows=rows,
            times=times,
            exposure=float(times[0]) if (times == times[0]).all() else float("nan"),
            detector=int(columns["detector"][first]),
            night=int(columns["night"][first]),
            filter="" if kind in ("bias", "dark") else str(columns["filter"][first]),
            temperature=median(columns["temperature"][rows]),
            by=by,
        )


# What parts the frames of a kind, in the order of the products. "time" are exposures within the tolerance; "degree" are
# temperatures without a gap above the tolerance.
PARTED = {
    "bias": ("night", "detector", "degree"),
    "dark": ("time", "night", "detector", "degree"),
    "flat": ("filter", "night", "detector"),
    "light": ("image", "time", "detector"),
}
# Exposures are compared among frames that are alike in these.
ALIKE = {"bias": ("detector",), "dark": ("detector",), "flat": ("detector", "filter"), "light": ("detector", "image")}


def groups_of(
    kind: str, columns: dict[str, Any], counted: Any, recipe: Recipe, images: list[tuple[str, ...]]
) -> list[Group]:  # fmt: skip
    """The groups of a kind among the rows that are ``counted``; their order is one of their values, not of rows."""
    rows = np.flatnonzero((columns["kind"] == kind) & counted)
    if not rows.size:
        return []
    keys = {name: columns[name][rows] for name in ("detector", "night", "image")}
    keys["filter"] = numbered(columns["filter"][rows])
    times = within([keys[name] for name in ALIKE[kind]], columns["exposure"][rows], recipe.exposure_tolerance)
    keys["time"] = np.nan_to_num(times, nan=-1.0)
    keys["degree"] = without_gap(columns["temperature"][rows], keys["detector"], recipe.temperature_tolerance)
    names = PARTED[kind]
    order = np.lexsort([np.arange(rows.size), *(keys[name] for name in reversed(names))])
    new = np.logical_or.reduce([np.diff(keys[name][order]) != 0 for name in names])
    return [
        Group.of(
            kind, rows[at], times[at], columns, images[int(columns["image"][rows[at[0]]])] if kind == "light" else ()
        )
        for at in np.split(order, np.flatnonzero(new) + 1)
    ]


def numbered(texts: Any) -> Any:
    """A number for each text, in the order of texts."""
    numbers = {text: i for i, text in enumerate(sorted(set(texts.tolist())))}
    return np.fromiter((numbers[text] for text in texts.tolist()), np.int64, len(texts))


def median(values: Any) -> float:
    """The median of the values that are known; NaN without any."""
    known = sorted(v for v in values.tolist() if v == v)  # faster than NumPy's for the frames of a product
    n = len(known)
    return (known[n // 2] + known[(n - 1) // 2]) / 2 if n else float("nan")


def within(alike: list[Any], times: Any, tolerance: float) -> Any:
    """The name of each frame's cluster of exposures, formed among frames with the same numbers in ``alike``."""
    found = times.copy()
    order = np.lexsort((times, *alike))
    new = np.logical_or.reduce([np.diff(numbers[order]) != 0 for numbers in alike])
    for some in np.split(order, np.flatnonzero(new) + 1):
        own = times[some]
        if own[0] != own[-1]:  # they are sorted, NaN last
            found[some] = clusters(own, tolerance)
    return found


def without_gap(temperatures: Any, detectors: Any, tolerance: float) -> Any:
    """A number for each frame: those of a detector whose temperatures follow each other without a gap share it.

    So an uncooled camera, which drifts through the night, has one; a camera that was set to -10 and to -20 degrees two.
    """
    order = np.lexsort((temperatures, detectors))
    steps = np.diff(temperatures[order])
    new = ~(steps <= tolerance) & ~(np.isnan(temperatures[order][1:]) & np.isnan(temperatures[order][:-1]))
    new |= np.diff(detectors[order]) != 0
    found = np.empty(len(order), np.int64)
    found[order] = np.concatenate([[0], np.cumsum(new)])
    return found
