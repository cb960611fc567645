"""Exposure, time, gain and noise of each frame of a product; a frame may itself be a product."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.headers import cards, common, coords, times
from xccd.labels.frames import frames_first
from xccd.labels.keywords import label_of
from xccd.labels.lazy import array_of

Numbers = np.ndarray[Any, Any]  # one for each frame, NaN if unknown
SCALED = "scaled_exposure"  # label: the exposure time whose light a frame shows after `normalize`, NaN if unknown
NAMES = frozenset((
    "NCOMBINE", "EXPTOTAL", "EFFGAIN", "EFFRDN", "MJD-AVG", "DATE-AVG", "DATE-END", "TIMESYS",
    *(k for name in ("EXPTIME", "GAIN", "RDNOISE") for k in coords.CORE_NUMBERS[name]),
    *times.DATES, *times.TIMES, *times.DAYS,
))  # fmt: skip
LARGEST_GAIN = 20  # electrons per count; a larger GAIN is a camera setting, unless EGAIN is equal


@dataclass(frozen=True)
class Inputs:
    """What is known of the frames of a stack, from their labels, else from their header texts.

    Without header texts attributes are used, but only while samples are known to be as read: arithmetic may bring
    attributes of another image.
    """

    stack: xr.DataArray
    dim: Hashable
    texts: list[str]
    origin: str  # from `notes.origin_of_samples`: what happened to the samples since they were read

    @classmethod
    def of(cls, stack: xr.DataArray, dim: Hashable, used: list[int] | None = None) -> Inputs:
        """From a stack; ``used`` are the frames that could be opened, if not all could."""
        if used is not None:
            # the samples of a part may have lost the note on their origin
            return replace(cls.of(stack.isel({dim: used}), dim), origin=notes.origin_of_samples(array_of(stack)))
        texts = common.texts(stack, dim)
        one = stack.coords.get(common.COMBINED)
        if not texts and one is not None and one.ndim == 0 and "file" not in stack.coords:
            own = str(one.values.item())  # images with equal headers that were concatenated
            texts = [own] * stack.sizes[dim] if notes.may_be_images(frames_first(stack, dim), own) else []
        return cls(stack, dim, texts, notes.origin_of_samples(array_of(stack)))

    @property
    def size(self) -> int:
        return int(self.stack.sizes[self.dim])

    def label(self, name: str) -> xr.DataArray | None:
        """A coordinate of the frames, else None; also None if it is lazy, as nothing is computed for a header."""
        return label_of(self.stack, name, self.dim)

    def numbers(self, name: str) -> Numbers:
        """A keyword of each frame as a float."""
        label = self.label(name)
        if label is None:
            return self._by_header(lambda header: coords.number(name, header), np.float64)
        if label.dtype.kind in "iuf" and name not in coords.READ:  # fast for very many frames
            return np.asarray(label.values, np.float64)
        return np.array([coords.number(name, {name: v}) for v in label.values.tolist()], np.float64)

    @cached_property
    def headers(self) -> list[dict[str, Any]]:
        """The keywords in `NAMES` of each header text; without texts one dict of attributes for all frames."""
        found: list[dict[str, Any]] = []
        for text in self.texts:
            own = [card for card in cards.split(text) if card.keyword in NAMES]
            found.append({card.keyword: card.value for card in reversed(own)})  # reversed: the first of duplicates wins
        return found or [{str(k): v for k, v in self.stack.attrs.items() if k in NAMES and self.origin}]

    def _by_header(self, read: Callable[[dict[str, Any]], Any], dtype: Any) -> np.ndarray[Any, Any]:
        """``read(header)`` of each frame."""
        found = np.array([read(header) for header in self.headers], dtype)
        return found if found.size == self.size else np.full(self.size, found[0], dtype)

    @cached_property
    def count(self) -> Numbers:
        """The count of raw frames in each frame."""
        found = self.numbers("NCOMBINE")
        return np.where((found >= 1) & (found == np.round(found)), found, 1)

    def _of_product(self, keyword: str, raw: Numbers) -> Numbers:
        """A keyword of products; for a single frame ``raw``."""
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
        """Electrons per unit; NaN for all if the frames have different gains."""
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
        if len(scales) > 1:  # 09:00 in one scale is another instant than in the other
            return np.full(self.size, times.NAT)
        if label is not None and label.dtype.kind == "M":
            return label.values.astype("datetime64[ns]")
        return self._dated(times.start)

    @cached_property
    def day(self) -> np.ndarray[Any, Any]:
        found = self._dated(times.day)
        return np.where(np.isnat(self.start), found, self.start).astype("datetime64[D]")

    def written_day(self) -> str:
        """The first day; as written in the headers, if all write the same."""
        written = {next((str(v) for k in times.DATES if (v := values.get(k))), "") for values in self._dates}
        return written.pop() if len(written) == 1 and written != {""} else str(self.day.min())

    def _dated(self, read: Callable[[times.Values], np.datetime64]) -> np.ndarray[Any, Any]:
        found = np.array([read(values) for values in self._dates], "datetime64[ns]")
        return found if found.size == self.size else np.full(self.size, found[0])

    @cached_property
    def _dates(self) -> list[times.Values]:
        """Like `headers`, but from the label DATE-OBS if there are no texts."""
        label = self.label("DATE-OBS")
        if self.texts or label is None or label.dtype.kind not in "OUT":
            return self.headers
        return [{"DATE-OBS": str(v)} for v in label.values.tolist()]

    @cached_property
    def end(self) -> np.ndarray[Any, Any]:
        """DATE-END if it has a time; else, for a single frame, start + exposure time."""
        ends = self._instants("DATE-END")
        ends[ends < self.start] = times.NAT
        lasting = np.where(self.count == 1, self.exposure, np.nan)
        return np.where(np.isnat(ends), self.start + _span(lasting), ends)

    @cached_property
    def middle(self) -> Numbers:
        """MJD of the middle of each exposure; for a product the mean time of its light."""
        average = self.numbers("MJD-AVG")
        average = np.where((average > 0) & (average < 1e5), average, times.mjd(self._instants("DATE-AVG")))
        halfway = times.mjd(self.start + (self.end - self.start) / 2)
        return np.where(np.isfinite(average), average, np.where(self.count == 1, halfway, np.nan))

    def _instants(self, name: str) -> np.ndarray[Any, Any]:
        """A keyword of each frame as an instant; NaT if it has no date with a time."""
        label = self.label(name)
        if label is None:
            return self._by_header(lambda header: times.instant(header.get(name)), "datetime64[ns]")
        return np.array([times.instant(value) for value in label.values.tolist()], "datetime64[ns]")

    # What was done to them

    @cached_property
    def scale(self) -> Numbers | None:
        """The factors applied to the frames; None if they are lazy."""
        if self.origin == "read":
            return np.ones(self.size)
        label = self.label("scale")
        if label is not None:
            return np.asarray(label.values, np.float64)
        return None if self.dim in getattr(self.stack.coords.get("scale"), "dims", ()) else np.ones(self.size)

    @property
    def levelled(self) -> bool:
        """Whether `normalize` made the level, and so the light, equal in all frames."""
        return self.label(SCALED) is not None and self.origin != "read"

    @property
    def as_read(self) -> bool:
        """Whether samples are still in the camera's unit, so that its gain applies."""
        return bool(self.origin) and self.scale is not None and bool((self.scale == 1).all())

    @cached_property
    def light(self) -> Numbers:
        """The exposure time whose light each frame shows now."""
        label = self.label(SCALED)
        if label is not None and self.levelled:
            return np.asarray(label.values, np.float64)
        return np.full(self.size, np.nan) if self.scale is None else self.scale * self.exposure


def scaled_exposure(stack: xr.DataArray, dim: Hashable, to: str | float) -> Numbers | None:
    """The label `SCALED` after `normalize` to the level ``to``; None if no exposure time is known."""
    before = Inputs.of(stack, dim)
    if not np.isfinite(before.exposure).any():
        return None
    reference = (
        {"first": before.light[0], "mean": before.light.mean()}.get(to, np.nan) if isinstance(to, str) else np.nan
    )
    return np.full(before.size, reference)


def _span(seconds: Numbers) -> np.ndarray[Any, Any]:
    known = np.abs(seconds) < 1e9  # within the range of nanoseconds in 64 bits
    span = (np.where(known, seconds, 0) * 1e9).astype("timedelta64[ns]")
    span[~known] = np.timedelta64("NaT", "ns")
    return span
