"""Masters of one kind that fit a detector, in the order in which frames would take them."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.night.plan.drafts import Asked, Draft
from xccd.night.plan.exposures import ROUNDING
from xccd.night.plan.nights import UNKNOWN

FAR = 1 << 50  # nights between two of which one is not known


class Shelf:
    """Numbers of some masters as arrays: hundreds are ranked at once, for each of thousands of products."""

    def __init__(self, pairs: list[tuple[int, Draft]]) -> None:
        self.drafts = [draft for _, draft in pairs]
        self.filters = sorted({draft.group.filter for draft in self.drafts})
        self.several = len({draft.group.detector for draft in self.drafts}) > 1
        groups = [draft.group for draft in self.drafts]
        self.unknown = np.array([unknown for unknown, _ in pairs], np.int64)  # settings that only one of both tells
        self.ready = np.array([bool(draft.ready) for draft in self.drafts], np.int64)
        self.night = np.array([group.night for group in groups], np.int64)
        self.exposure = np.array([group.exposure for group in groups])
        self.temperature = np.array([group.temperature for group in groups])

    def ranked(self, asked: Asked, degrees: float) -> list[Draft]:
        """The best first: known settings, temperature, raw frames rather than a ready master, the nearest night.

        ``degrees`` are those up to which temperatures are the same.
        """
        return [self.drafts[i] for i in self._order((*self._near(asked), self.ready), self._off(asked, degrees))]

    def ranked_darks(self, asked: Asked, degrees: float, tolerance: float) -> list[tuple[Draft, bool]]:
        """As `ranked`, each with whether it is of the exposure; such darks come first, then the nearest in exposure."""
        low, high = np.minimum(self.exposure, asked.exposure), np.maximum(self.exposure, asked.exposure)
        same = (self.exposure == asked.exposure) | ((low * (1 + tolerance) * (1 + ROUNDING) >= high) & (low >= 0))
        with np.errstate(divide="ignore", invalid="ignore"):
            far = np.where(same, 0.0, np.nan_to_num(np.log(high / low), nan=np.inf))
        keys = (*self._near(asked), self.ready, far, np.where(same, self.ready, 0), ~same)
        order = self._order(keys, self._off(asked, degrees))
        return [(self.drafts[i], bool(same[i])) for i in order]

    def _near(self, asked: Asked) -> tuple[Any, ...]:
        apart = np.abs(self.night - asked.night)
        known = (self.night != UNKNOWN) & (asked.night != UNKNOWN)
        return self.night, np.where(known, apart, FAR)

    def _off(self, asked: Asked, degrees: float) -> Any:
        gap = np.abs(self.temperature - asked.temperature)
        return np.where(gap > degrees, gap, 0.0)

    def _order(self, keys: tuple[Any, ...], off: Any) -> list[int]:
        """By the last key first; of equals, the one that was added first."""
        order: list[int] = np.lexsort((*keys, off, self.unknown)).tolist()
        return order
