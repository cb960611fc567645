"""The header of a combined image: written for what it is, not inherited from one of its frames."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr

from xccd.fits import cards, inputs, shared
from xccd.fits.coords import date
from xccd.fits.header import FILES, from_attrs
from xccd.fits.shared import COMBINED

MAX_IMCMB = 999
WRITTEN = (
    "NCOMBINE", "EXPTIME", "EXPOSURE", "EXPTOTAL", "DATE-OBS", "DATE-END", "DATE-AVG", "MJD-AVG",
    "EFFGAIN", "EFFRDN", "BUNIT", "DATE", "DATE-BEG", "MJD-OBS", "MJD-BEG", "MJD-END", "TELAPSE", "XPOSURE",
)  # fmt: skip


def describe(
    image: xr.DataArray,
    stack: xr.DataArray,
    dim: Hashable,
    *,
    method: str,
    weights: np.ndarray[Any, Any] | None,
    alike: bool,
    step: str,
) -> xr.DataArray:
    """``image`` with the header text of the product, and its keywords as attributes.

    ``weights`` are those per frame; ``alike`` says that the frames went in as they are, with equal weight.
    """
    texts = shared.texts(stack, dim)
    lines = _inherited(texts) if texts else from_attrs(_own_attrs(stack)).split("\n")
    made = _made(stack, dim, texts, method, weights)
    if method == "mean" and alike:
        made |= _effective_noise(stack, dim)
    unit = _unit(stack.attrs.get("units"), method)
    if unit:
        made["BUNIT"] = unit
    new = [cards.make(k, v, _COMMENTS.get(k, "")) for k, v in made.items()]
    names = _names(stack, dim, texts)
    if "file" in stack.coords and stack.coords["file"].dims == (dim,):
        inputs.remember(stack.coords["file"].values.tolist())
    new += [cards.make(f"IMCMB{i:03d}", name) for i, name in enumerate(names[:MAX_IMCMB], 1)]
    new += [*shared.steps(texts), cards.history(step)]
    text = "\n".join(filter(None, [*lines, *new]))
    image = image.assign_coords({COMBINED: shared.scalar(text)}).drop_vars(FILES, errors="ignore")
    if len(names) > MAX_IMCMB:
        image = image.assign_coords({FILES: shared.scalar("\n".join(names))})
    image.attrs = {k: v for k, v in _own_attrs(stack).items() if k != "units"} | made
    if image.attrs.pop("BUNIT", None):
        image.attrs["units"] = unit
    return image


def _unit(unit: Any, method: str) -> str:
    """The unit of the product: counts have none, a variance has the square."""
    text = "" if unit is None else str(unit)
    if method != "var" or not text:
        return "" if method == "count" else text
    return f"{text}**2" if text.isalpha() else f"({text})**2"


_COMMENTS = {
    "NCOMBINE": "number of frames combined",
    "EXPTOTAL": "[s] exposure time of all frames together",
    "DATE-OBS": "start of the earliest frame",
    "DATE-END": "end of the latest frame",
    "MJD-AVG": "[d] weighted mean of the mid-times",
    "EFFGAIN": "gain of the mean, in electrons per unit",
    "EFFRDN": "[electron] readout noise of the mean",
}


def _own_attrs(stack: xr.DataArray) -> dict[Any, Any]:
    """Attributes without those that arithmetic may have brought from another product."""
    return {k: v for k, v in stack.attrs.items() if k not in WRITTEN}


def _inherited(texts: list[str]) -> list[str]:
    """Cards that all frames share, but for those that the product has anew."""
    common = cards.split("\n".join(shared.lines(texts)))
    return [
        line
        for card in common
        if not (card.keyword in WRITTEN or card.keyword.startswith("IMCMB"))
        for line in card.lines
    ]


def _names(stack: xr.DataArray, dim: Hashable, texts: list[str]) -> list[str]:
    if "file" not in stack.coords or stack.coords["file"].dims != (dim,):  # combined images that were concatenated
        every = [card for text in texts for card in cards.split(text) if card.keyword.startswith("IMCMB")]
        return [str(card.value) for card in every]
    return [PurePath(str(f)).name for f in stack.coords["file"].values.tolist()]


def _numbers(stack: xr.DataArray, dim: Hashable, texts: list[str], name: str) -> np.ndarray[Any, Any] | None:
    """A keyword of each frame as numbers, if all frames have it."""
    if name in stack.coords and stack.coords[name].dims == (dim,):
        values = np.array([cards.as_number(v) for v in stack.coords[name].values.tolist()])
    elif texts:
        values = np.array([cards.as_number(cards.lookup(t, name)) for t in texts])
    else:
        return None
    return values if np.isfinite(values).all() else None


def _made(
    stack: xr.DataArray,
    dim: Hashable,
    texts: list[str],
    method: str,
    weights: np.ndarray[Any, Any] | None,
) -> dict[str, Any]:
    """The keywords that the product gets from those of its frames."""
    made: dict[str, Any] = {"NCOMBINE": stack.sizes[dim]}
    exposures = _numbers(stack, dim, texts, "EXPTIME")
    if exposures is not None:
        total = float(exposures.sum())
        mean = float(np.average(exposures, weights=weights))
        made["EXPTIME"] = total if method == "sum" else mean
        made["EXPTOTAL"] = total
    starts = _starts(stack, dim, texts)
    if starts is None:
        return made
    lengths = np.zeros(starts.size) if exposures is None else exposures
    ends = starts + (lengths * 1e9).astype("timedelta64[ns]")
    if texts:
        said = np.array([_end(t) for t in texts], "datetime64[ns]")
        ends = np.where(np.isnat(said), ends, said)
    made["DATE-OBS"] = np.datetime_as_string(starts.min(), "ms")
    made["DATE-END"] = np.datetime_as_string(ends.max(), "ms")
    middles = starts + (ends - starts) / 2
    days = (middles - np.datetime64("1858-11-17", "ns")) / np.timedelta64(1, "D")
    made["MJD-AVG"] = round(float(np.average(days, weights=weights)), 8)
    return made


def _starts(stack: xr.DataArray, dim: Hashable, texts: list[str]) -> np.ndarray[Any, Any] | None:
    coord = stack.coords.get("DATE-OBS")
    if coord is not None and coord.dims == (dim,) and coord.dtype.kind == "M":
        starts = coord.values.astype("datetime64[ns]")
    elif texts:
        starts = np.array([date(cards.values(t)) for t in texts], "datetime64[ns]")
    else:
        return None
    return None if np.isnat(starts).any() else starts


def _end(text: str) -> np.datetime64:
    value = cards.lookup(text, "DATE-END")
    return date({"DATE-OBS": value}) if isinstance(value, str) and "T" in value else np.datetime64("NaT", "ns")


def _effective_noise(stack: xr.DataArray, dim: Hashable) -> dict[str, float]:
    """What makes the CCD noise equation hold for a plain mean of frames from one camera."""
    n = stack.sizes[dim]
    found: dict[str, float] = {}
    for name, keyword, factor in (("GAIN", "EFFGAIN", n), ("RDNOISE", "EFFRDN", n**0.5)):
        values = _numbers(stack, dim, [], name)
        if values is not None and (values == values[0]).all():
            found[keyword] = float(values[0]) * factor
    return found
