"""What is known of each frame that goes into a product: exposure, time, gain, noise; of products that it is one."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.headers import cards, common, coords, times
from xccd.labels import lazy
from xccd.labels.frames import frames_first
from xccd.labels.lazy import array_of

Numbers = np.ndarray[Any, Any]  # one for each frame, NaN where it is unknown
SCALED = "scaled_exposure"  # label: the exposure time whose light a frame shows after `normalize`, NaN where unknown
NAMES = frozenset((
    "NCOMBINE", "EXPTOTAL", "EFFGAIN", "EFFRDN", "MJD-AVG", "DATE-AVG", "DATE-END", "TIMESYS",
    *(k for name in ("EXPTIME", "GAIN", "RDNOISE") for k in coords.CORE_NUMBERS[name]),
    *times.DATES, *times.TIMES, *times.DAYS,
))  # fmt: skip
LARGEST_GAIN = 20  # electrons per count; above it GAIN is a camera's setting, unless EGAIN says so too


@dataclass(frozen=True)
class Inputs:
    """The frames of a stack, by their labels or else by their header texts.

    Without texts by attributes, while the samples are known to be those that were opened: arithmetic brings others.
    """

    stack: xr.DataArray
    dim: Hashable
    texts: list[str]
    origin: str  # what the samples are since they were opened, as `notes.origin` says

    @classmethod
    def of(cls, stack: xr.DataArray, dim: Hashable) -> Inputs:
        texts = common.texts(stack, dim)
        one = stack.coords.get(common.COMBINED)
        if not texts and one is not None and one.ndim == 0 and "file" not in stack.coords:
            own = str(one.values.item())  # images of equal headers that were concatenated
            texts = [own] * stack.sizes[dim] if notes.may_be_images(frames_first(stack, dim), own) else []
        return cls(stack, dim, texts, notes.origin(array_of(stack)))

    @property
    def size(self) -> int:
        return int(self.stack.sizes[self.dim])

    def label(self, name: str) -> xr.DataArray | None:
        """A coordinate of the frames; one that waits for samples is none, as these are not computed for a header."""
        found = self.stack.coords.get(name)
        return None if found is None or found.dims != (self.dim,) or lazy.made_from(found, self.stack) else found

    def numbers(self, name: str) -> Numbers:
        """A keyword of each frame as a number."""
        label = self.label(name)
        if label is None:
            return self._told(lambda header: coords.number(name, header), np.float64)
        if label.dtype.kind in "iuf" and name not in coords.READ:  # there may be very many
            return np.asarray(label.values, np.float64)
        return np.array([coords.number(name, {name: v}) for v in label.values.tolist()], np.float64)

    @cached_property
    def headers(self) -> list[dict[str, Any]]:
        """What header texts say of `NAMES`, read once; without them what attributes say, one for all frames."""
        found: list[dict[str, Any]] = []
        for text in self.texts:
            own = [card for card in cards.split(text) if card.keyword in NAMES]
            found.append({card.keyword: card.value for card in reversed(own)})  # of duplicates the first
        return found or [{str(k): v for k, v in self.stack.attrs.items() if k in NAMES and self.origin}]

    def _told(self, read: Callable[[dict[str, Any]], Any], dtype: Any) -> np.ndarray[Any, Any]:
        """What ``read`` makes of each frame's header."""
        found = np.array([read(header) for header in self.headers], dtype)
        return found if found.size == self.size else np.full(self.size, found[0], dtype)

    @cached_property
    def count(self) -> Numbers:
        """How many frames each is made of."""
        found = self.numbers("NCOMBINE")
        return np.where((found >= 1) & (found == np.round(found)), found, 1)

    def _of_product(self, keyword: str, raw: Numbers) -> Numbers:
        """A keyword of products; of one frame alone what it says itself."""
        found = self.numbers(keyword)
        return np.where(np.isfinite(found), found, np.where(self.count == 1, raw, np.nan))

    @cached_property
    def exposure(self) -> Numbers:
        found = self.numbers("EXPTIME")
        return np.where((found >= 0) & np.isfinite(found), found, np.nan)

    @cached_property
    def total(self) -> Numbers:
        return self._of_product("EXPTOTAL", self.exposure)

    @cached_property
    def noise(self) -> Numbers:
        return self._of_product("EFFRDN", self.numbers("RDNOISE"))

    @cached_property
    def gain(self) -> Numbers:
        """In electrons per unit; unknown for all where they come from cameras that differ in it."""
        raw = self.numbers("GAIN")
        if (raw > LARGEST_GAIN).any():
            raw = np.where((raw > LARGEST_GAIN) & (raw != self.numbers("EGAIN")), np.nan, raw)
        if np.unique(raw[np.isfinite(raw)]).size > 1:
            return np.full(self.size, np.nan)
        return self._of_product("EFFGAIN", raw)

    # When

    @cached_property
    def start(self) -> np.ndarray[Any, Any]:
        label = self.label("DATE-OBS")
        scales = {str(header.get("TIMESYS") or "UTC").strip().upper() for header in self.headers}
        if len(scales) > 1:  # 09:00 here is another instant than 09:00 there
            return np.full(self.size, times.NAT)
        if label is not None and label.dtype.kind == "M":
            return label.values.astype("datetime64[ns]")
        return self._dated(times.start)

    @cached_property
    def day(self) -> np.ndarray[Any, Any]:
        found = self._dated(times.day)
        return np.where(np.isnat(self.start), found, self.start).astype("datetime64[D]")

    def written_day(self) -> str:
        """The first day, as it is written where all frames write the same."""
        told = {next((str(v) for k in times.DATES if (v := values.get(k))), "") for values in self._dates}
        return told.pop() if len(told) == 1 and told != {""} else str(self.day.min())

    def _dated(self, read: Callable[[times.Values], np.datetime64]) -> np.ndarray[Any, Any]:
        found = np.array([read(values) for values in self._dates], "datetime64[ns]")
        return found if found.size == self.size else np.full(self.size, found[0])

    @cached_property
    def _dates(self) -> list[times.Values]:
        """What says when, as `headers`."""
        label = self.label("DATE-OBS")
        if self.texts or label is None or label.dtype.kind not in "OUT":
            return self.headers
        return [{"DATE-OBS": str(v)} for v in label.values.tolist()]

    @cached_property
    def end(self) -> np.ndarray[Any, Any]:
        """DATE-END where it has a time; of one frame alone its start and the time it took."""
        told = self._instants("DATE-END")
        told[told < self.start] = times.NAT
        lasting = np.where(self.count == 1, self.exposure, np.nan)
        return np.where(np.isnat(told), self.start + _span(lasting), told)

    @cached_property
    def middle(self) -> Numbers:
        """MJD of the middle of each exposure; of a product that of its light."""
        told = self.numbers("MJD-AVG")
        told = np.where((told > 0) & (told < 1e5), told, times.mjd(self._instants("DATE-AVG")))
        halfway = times.mjd(self.start + (self.end - self.start) / 2)
        return np.where(np.isfinite(told), told, np.where(self.count == 1, halfway, np.nan))

    def _instants(self, name: str) -> np.ndarray[Any, Any]:
        """A date with its time that each frame has as a keyword, NaT without."""
        label = self.label(name)
        if label is None:
            return self._told(lambda header: times.instant(header.get(name)), "datetime64[ns]")
        return np.array([times.instant(value) for value in label.values.tolist()], "datetime64[ns]")

    # What was done to them

    @cached_property
    def scale(self) -> Numbers | None:
        """The factors that were applied; None where they are not computed yet."""
        if self.origin == "read":
            return np.ones(self.size)
        label = self.label("scale")
        if label is not None:
            return np.asarray(label.values, np.float64)
        return None if self.dim in getattr(self.stack.coords.get("scale"), "dims", ()) else np.ones(self.size)

    @property
    def levelled(self) -> bool:
        """Whether a level was brought to be the same in all frames, and so their light."""
        return self.label(SCALED) is not None and self.origin != "read"

    @property
    def as_read(self) -> bool:
        """Whether samples are in the camera's unit still, so that its gain holds for them."""
        return bool(self.origin) and self.scale is not None and bool((self.scale == 1).all())

    @cached_property
    def light(self) -> Numbers:
        """The exposure time whose light each shows now."""
        label = self.label(SCALED)
        if label is not None and self.levelled:
            return np.asarray(label.values, np.float64)
        return np.full(self.size, np.nan) if self.scale is None else self.scale * self.exposure


def scaled_exposure(stack: xr.DataArray, dim: Hashable, to: str | float) -> Numbers | None:
    """What `SCALED` is after `normalize` to a level; None where no exposure time is known."""
    before = Inputs.of(stack, dim)
    if not np.isfinite(before.exposure).any():
        return None
    reference = (
        {"first": before.light[0], "mean": before.light.mean()}.get(to, np.nan) if isinstance(to, str) else np.nan
    )
    return np.full(before.size, reference)


def _span(seconds: Numbers) -> np.ndarray[Any, Any]:
    known = np.abs(seconds) < 1e9  # what nanoseconds in 64 bits can add up to
    span = (np.where(known, seconds, 0) * 1e9).astype("timedelta64[ns]")
    span[~known] = np.timedelta64("NaT", "ns")
    return span
