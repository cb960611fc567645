"""Frames of a table that make one product."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.night.exposures import clusters

if TYPE_CHECKING:
    from pandas import DataFrame

    from xccd.night.recipe import Recipe


@dataclass(frozen=True)
class Group:
    """Rows of one product, and what they have in common."""

    kind: str
    rows: Any  # positions in the table, in its order
    times: Any  # of each row: the exposure that its cluster is called by
    detector: int
    night: int  # of a light: of its first frame
    filter: str  # "" for biases and darks
    temperature: float  # the median; NaN if no frame tells it
    by: tuple[str, ...] = ()  # of a light: the values that part images

    @property
    def exposure(self) -> float:
        """The exposure that all frames share within the tolerance; NaN if they do not."""
        return float(self.times[0]) if (self.times == self.times[0]).all() else float("nan")


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


def groups_of(kind: str, facts: DataFrame, counted: Any, recipe: Recipe, images: list[tuple[str, ...]]) -> list[Group]:
    """The groups of a kind among the rows that are ``counted``; their order is one of their values, not of rows."""
    rows = np.flatnonzero((facts["kind"].to_numpy(object) == kind) & counted)
    if not rows.size:
        return []
    own = facts.iloc[rows]
    times = within(own, ALIKE[kind], recipe.exposure_tolerance)
    degree = without_gap(own["temperature"].to_numpy(), own["detector"].to_numpy(), recipe.temperature_tolerance)
    keys = own[["detector", "night", "filter", "image"]].assign(time=np.nan_to_num(times, nan=-1.0), degree=degree)
    at_key = keys.groupby(list(PARTED[kind]), sort=True).indices
    columns = {name: own[name].to_numpy() for name in ("detector", "night", "filter", "image", "temperature")}
    found = []
    for key in sorted(at_key):
        at = np.sort(at_key[key])
        first = {name: values[at[0]] for name, values in columns.items()}
        found.append(
            Group(
                kind=kind,
                rows=rows[at],
                times=times[at],
                detector=int(first["detector"]),
                night=int(first["night"]),
                filter="" if kind in ("bias", "dark") else str(first["filter"]),
                temperature=median(columns["temperature"][at]),
                by=images[int(first["image"])] if kind == "light" else (),
            )
        )
    return found


def median(values: Any) -> float:
    """The median of the values that are known; NaN without any."""
    known = values[~np.isnan(values)]
    return float(np.median(known)) if known.size else float("nan")


def within(own: DataFrame, alike: tuple[str, ...], tolerance: float) -> Any:
    """The name of each frame's cluster of exposures, formed among frames that are alike."""
    numbers = own.groupby(list(alike), sort=False).ngroup().to_numpy()
    times = own["exposure"].to_numpy()
    found = np.empty(len(own))
    order = np.argsort(numbers, kind="stable")
    for some in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        own_times = times[some]
        found[some] = own_times if (own_times == own_times[0]).all() else clusters(own_times, tolerance)
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
