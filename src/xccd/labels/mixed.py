"""Checks for frames that seldom belong in one image: several kinds, several filters, or flipped rows."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from itertools import chain

import numpy as np
import xarray as xr

from xccd.headers import cards, common, kinds, rows
from xccd.headers.coords import core
from xccd.labels.frames import frame_names
from xccd.labels.keywords import label_of

SHOWN = 5  # values in a message


def mixed(stack: xr.DataArray, dim: Hashable = "frame") -> str:
    """The keywords that differ between frames and should not, with their values; "" if the frames belong together.

    Frames without a kind match any kind. FILTER counts only for kinds of frames that have a filter.
    """
    found: dict[str, str] = {}
    filters: dict[str, None] = {}
    keyword = "OBSTYPE"
    # each combination once: thousands of frames have a few
    for imagetyp, obstype, name, number in dict.fromkeys(zip(*kind_labels(stack, dim), strict=True)):
        word = kinds.kind_of(imagetyp, obstype)
        kind = kinds.made_of(word, number)
        if kind is not None:
            keyword = "IMAGETYP" if imagetyp else keyword
            written = next(text for text in (imagetyp, obstype) if kinds.kind_of(text) == word)
            found.setdefault(kind, written if kind == word else f"{written} with NCOMBINE")
        if name and kinds.filter_counts(kind):
            filters[name] = None
    differing = {keyword: [*found.values()], "FILTER": [*filters]}
    return " and in ".join(f"{k} ({_first_few(v)})" for k, v in differing.items() if len(v) > 1)


def _first_few(values: Sequence[str]) -> str:
    more = f" and {len(values) - SHOWN} more" if values[SHOWN:] else ""
    return ", ".join(values[:SHOWN]) + more


def kind_labels(stack: xr.DataArray, dim: Hashable) -> list[list[str]]:
    """IMAGETYP, OBSTYPE, FILTER, NCOMBINE of the frames: from labels, or for combined images from their headers."""
    names = ("IMAGETYP", "OBSTYPE", "FILTER", "NCOMBINE")
    labels = {name: label_of(stack, name, dim) for name in names}
    found = {name: label.values for name, label in labels.items() if label is not None}
    if not found and label_of(stack, common.COMBINED, dim) is not None:
        found = core([cards.values(text) for text in common.texts(stack, dim)])
    none = [""] * stack.sizes[dim]
    return [["" if text is None or text != text else str(text).strip() for text in found.get(k, none)] for k in names]


def check_rows(stack: xr.DataArray, dim: Hashable) -> None:
    """Raise if some frames are upside down relative to others, as after concat of stacks."""
    texts = common.texts(stack, dim)
    if any(rows.says_rows(text) for text in texts):
        names = frame_names(stack, dim)
        rows.check_orders(names, texts)
        rows.check_patterns(names, texts)


def without_order(stack: xr.DataArray) -> xr.DataArray:
    """A stack without ROWORDER in labels and attributes; its new grid replaces the headers' one."""
    if "ROWORDER" in stack.attrs:
        stack = stack.copy(deep=False)  # attributes are one dict for all views of an array
        stack.attrs = {k: v for k, v in stack.attrs.items() if k != "ROWORDER"}
    return stack.drop_vars("ROWORDER", errors="ignore")


def row_order(obj: xr.DataArray) -> str:
    """The ROWORDER of a stack or an image, "" if unknown."""
    words = [obj.attrs.get("ROWORDER")]
    if "ROWORDER" in obj.coords:
        words = np.ravel(obj.coords["ROWORDER"].values).tolist()
    one = common.text_of(obj)
    texts = common.texts(obj, "frame") if one is None else [one]
    every = chain(map(rows.as_order, words), map(rows.order_of, texts))
    return next(filter(None, every), "")


def check_alike(argument: str, value: xr.DataArray, stack: xr.DataArray) -> None:
    """Raise if the rows of ``value`` run the other way than those of the stack."""
    mine, other = row_order(stack), row_order(value)
    if mine and other and mine != other:
        raise ValueError(
            f"{argument} has ROWORDER = {other!r}, the stack {mine!r}, so one is upside down: open both with "
            f"flip={mine!r}"
        )
