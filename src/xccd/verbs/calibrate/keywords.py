"""Keywords of frames and of a master: from labels, from attributes, else from header texts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common, kinds
from xccd.headers.coords import CORE_NUMBERS, core, keyword_value, number
from xccd.headers.detector import BINNINGS
from xccd.labels.keywords import label_of

BINNING = tuple(keyword for keywords in BINNINGS for keyword in keywords)


def keyword_of(image: xr.DataArray, name: str, texts: list[str] | None = None) -> Any:
    """A keyword of one image; None without. A keyword of the core is looked up in all its spellings.

    ``texts`` are those of `_texts`, if they are known: they are looked for in a third of a millisecond.
    """
    if name in image.coords and image.coords[name].size == 1:
        value = image.coords[name].values.reshape(-1)[0]
        return value.item() if hasattr(value, "item") else value
    for spelling in CORE_NUMBERS.get(name, (name,)):
        if spelling in image.attrs:
            return image.attrs[spelling]
    texts = _texts(image) if texts is None else texts
    return keyword_value(texts[0], name) if texts else None


def number_of(image: xr.DataArray, name: str) -> float:
    """A keyword of one image as a number, NaN without."""
    value = keyword_of(image, name)
    return float("nan") if value is None else number(name, {name: value})


def keywords_of_frames(stack: xr.DataArray, dim: Hashable, name: str) -> list[Any]:
    """A keyword of each frame, None where it is missing; of an image, a list of one."""
    if dim not in stack.dims:
        return [keyword_of(stack, name)]
    label = label_of(stack, name, dim)
    if label is not None:
        return list(label.values.tolist())
    texts = common.texts(stack, dim)
    if texts:
        return [keyword_value(text, name) for text in texts]
    return [stack.attrs.get(name)] * stack.sizes[dim]


def kind_of(image: xr.DataArray) -> str | None:
    """The kind of an image, as "flat" or "master-flat"; None if nothing says it."""
    words = _words(image)
    kind = kinds.kind_of(*(str(words.get(k) or "") for k in ("IMAGETYP", "OBSTYPE")))
    return kinds.made_of(kind, words.get("NCOMBINE"))


def kind_of_stack(stack: xr.DataArray, dim: Hashable) -> str:
    """The kind of an image, or of the first frame of a stack, without "master-"; "" if nothing says it."""
    one = stack.isel({dim: slice(0, 1)}) if dim in stack.dims else stack
    return (kind_of(one) or "").removeprefix("master-")


def filters_of(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """The filters of the frames, where they count."""
    if dim not in stack.dims:
        names = [filter_of(stack)] if kinds.filter_counts(kind_of(stack)) else []
    else:
        names = [str(v).strip() for v in dict.fromkeys(keywords_of_frames(stack, dim, "FILTER")) if v is not None]
    return [name for name in names if name]


def filter_of(image: xr.DataArray) -> str:
    """The filter of an image, "" if nothing says it."""
    return str(_words(image).get("FILTER") or "").strip()


def _words(image: xr.DataArray) -> dict[str, Any]:
    """Kind and filter of an image. Labels and attributes come before the header, so that a user can mend it."""
    names = ("IMAGETYP", "OBSTYPE", "FILTER", "NCOMBINE")
    texts = _texts(image)
    found: dict[str, Any] = {}
    if texts:
        values = cards.values(texts[0])
        found = {k: v[0] for k, v in core([values]).items() if k in names} | {"NCOMBINE": values.get("NCOMBINE")}
    labels = {
        k: image.coords[k].values.reshape(-1)[0] for k in names if k in image.coords and image.coords[k].size == 1
    }
    return found | {k: image.attrs[k] for k in names if k in image.attrs} | labels


def _texts(image: xr.DataArray) -> list[str]:
    """The header text of an image, or of a stack of one frame."""
    for dim in image.dims:
        if found := common.texts(image, dim):
            return found if len(found) == 1 else []
    one = common.text_of(image)
    return [] if one is None else [one]


def differing(
    frames: xr.DataArray, dim: Hashable, master: xr.DataArray, names: tuple[str, ...], within: float = 0.0
) -> str:
    """The first keyword that a frame and a master both have, and that differs, as "GAIN = 2 and 1"; "" if none."""
    texts = _texts(master)
    for name in names:
        own = keyword_of(master, name, texts)
        if own is None or own == "":
            continue
        for value in dict.fromkeys(keywords_of_frames(frames, dim, name)):
            if value is not None and value == value and value != "" and not _equal(name, own, value, within):
                return f"{name} = {value} and {own}"
    return ""


def _equal(name: str, a: Any, b: Any, within: float) -> bool:
    one, other = (number(name, {name: v}) for v in (a, b))
    if np.isfinite(one) and np.isfinite(other):
        return bool(abs(one - other) <= within + 1e-9 * abs(one))
    return " ".join(str(a).split()).casefold() == " ".join(str(b).split()).casefold()
