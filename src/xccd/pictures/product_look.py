"""What a page sees of a product: some rows of the image and of its maps, its header, its frames, how it was made."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.kernels.table import OUTPUTS
from xccd.labels.flags import map_name
from xccd.labels.frames import file_names
from xccd.pictures.subject import Subject, subject
from xccd.read.frames_table import extension_names, frames_table
from xccd.read.made_by import recipe_text
from xccd.read.stack import open_stack
from xccd.sky.stars import noise_of
from xccd.write.made_by import MADE_BY

Array = np.ndarray[Any, Any]
SAMPLES = 1 << 21  # of an image, in whole rows
MAPS = {  # kinds of maps that are shown, and how they are called
    "uncertainty": "uncertainty", "count": "samples in use", "rejected_low": "rejected as low",
    "rejected_high": "rejected as high", "weight": "weight", "exposure": "exposure", "common": "common error",
}  # fmt: skip


@dataclass
class ProductLook:
    """A product in memory or in a file."""

    name: str
    image: xr.DataArray
    maps: dict[str, xr.DataArray] = field(default_factory=dict)
    file: Path | None = None

    @classmethod
    def from_file(cls, path: Path) -> ProductLook:
        """The product in a file; nothing but headers is read yet."""
        image = open_stack(path, chunks=None).isel(frame=0)
        return cls(path.name, image, dict(_maps_of_file(path)), path)

    @classmethod
    def of(cls, name: str, ds: xr.Dataset | None, image: xr.DataArray) -> ProductLook:
        """An image, with its maps in a Dataset, or else in the file that it was opened from."""
        own = {} if ds is None else {k: ds[n] for k in MAPS if (n := map_name(image.name, k)) in ds}
        source = image.encoding.get("source") or _file_of(image)
        path = Path(str(source)) if source else None
        if path is not None and not path.is_file():
            path = None
        if path is not None:
            own |= {k: one for k, one in _maps_of_file(path) if k not in own and one.sizes == image.sizes}
        return cls(name, image, own, path)

    @cached_property
    def subject(self) -> Subject:
        return subject("report", self.image)

    @cached_property
    def header(self) -> str:
        """The text of the header; "" if it has none."""
        return common.text_of(self.image) or ""

    @cached_property
    def cards(self) -> dict[str, Any]:
        return cards.values(self.header)

    @property
    def count(self) -> int:
        """The number of frames, 0 if not known."""
        found = cards.as_number(self.cards.get("NCOMBINE"))
        return int(found) if np.isfinite(found) else 0

    @property
    def is_master(self) -> bool:
        """Whether it is a master, which is made for the pattern of its pixels."""
        kind = str(self.cards.get("IMAGETYP", "")).lower()
        return any(word in kind for word in ("bias", "zero", "dark", "flat"))

    @cached_property
    def step(self) -> int:
        """Every how many rows one is read."""
        height, width = self.subject.size
        return max(1, -(-height * width // SAMPLES))

    @cached_property
    def values(self) -> Array:
        """Rows of the image, (y, x) or (y, x, channel)."""
        found: Array = self.subject.look(self.step, columns=1)[0]
        return found

    def rows(self, kind: str) -> Array | None:
        """The same rows of a map, None if there is none."""
        if kind not in self.maps:
            return None
        found: Array = subject("report", self.maps[kind]).look(self.step, columns=1)[0]
        return found

    @cached_property
    def steps(self) -> list[str]:
        """The steps of xccd in the HISTORY."""
        found: list[str] = []
        for card in cards.split(self.header):
            text = card.lines[0][8:].strip()
            if card.keyword == "HISTORY" and text.startswith("xccd."):
                found.append(text)
            elif card.keyword == "HISTORY" and found:
                found[-1] += f" {text}"
        return [*found, *common.history_steps(self.image)]

    @cached_property
    def frames(self) -> list[dict[str, Any]]:
        """A dict for each frame, FILE and what else the table FRAMES has; else the names of the header."""
        found = [] if self.file is None else _or_none(frames_table, self.file, [])
        named = [str(v) for k, v in self.cards.items() if k.startswith("IMCMB")]
        return found or [{"FILE": name} for name in named]

    @cached_property
    def recipe(self) -> str:
        """The text of RECIPE; "" if there is none."""
        if MADE_BY in self.image.coords:
            return str(self.image.coords[MADE_BY].values.item())
        return "" if self.file is None else str(_or_none(recipe_text, self.file, ""))

    @cached_property
    def told(self) -> dict[str, Any]:
        """What RECIPE tells; {} if nothing can be read."""
        try:
            return tomllib.loads(self.recipe)
        except tomllib.TOMLDecodeError:
            return {}

    @cached_property
    def noise(self) -> dict[str, float]:
        """Noise of the image as measured, and of the image and of one frame as the maps tell; NaN if not known.

        The part of the error that all frames share is no noise of the frames: it is taken out.
        """
        flat = self.values if self.values.ndim == 2 else self.values[..., 1]
        found = {"measured": noise_of(flat) if flat.shape[1] >= 5 else np.nan, "told": np.nan, "frame": np.nan,
                 "count": np.nan}  # fmt: skip
        error, count, shared = (self.rows(kind) for kind in ("uncertainty", "count", "common"))
        if count is not None:
            found["count"] = _median(np.where(count > 0, count, np.nan))
        if error is not None:
            own = np.sqrt(np.clip(error**2 - (0 if shared is None else shared**2), 0, None))
            found["told"] = _median(own)
            if count is not None:
                found["frame"] = _median(np.where(count > 0, own * np.sqrt(count), np.nan))
        return found


def _median(values: Array) -> float:
    good = values[np.isfinite(values)]
    return float(np.median(good)) if good.size else np.nan


def _maps_of_file(path: Path) -> Iterator[tuple[str, xr.DataArray]]:
    names = _or_none(extension_names, path, [])
    for kind in MAPS:
        hdu = OUTPUTS[kind].extname
        if names.count(hdu) == 1:
            yield kind, open_stack(path, hdu=hdu, mask_hdu=None, chunks=None).isel(frame=0)


def _file_of(image: xr.DataArray) -> str:
    """The file of an image that was opened as a frame."""
    label = image.coords.get("file")
    if label is not None and label.ndim == 0:
        return str(label.values.item())
    names = file_names(image, "frame")
    return names[0] if len(names) == 1 else ""


def _or_none(read: Any, path: Path, other: Any) -> Any:
    """What is read of a file, or ``other`` of one that is no FITS file."""
    try:
        return read(path)
    except (OSError, ValueError):
        return other
