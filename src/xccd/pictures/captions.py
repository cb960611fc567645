"""Titles: short names of frames, and the values of a few keywords."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from xccd.headers import common
from xccd.headers.coords import keyword_value
from xccd.labels.frames import file_names
from xccd.labels.keywords import keywords_of
from xccd.messages import called, did_you_mean, shown
from xccd.pictures.subject import Subject
from xccd.verbs.stats_table import short_names

KEYS = ("IMAGETYP", "OBJECT", "FILTER", "EXPTIME", "DATE-OBS")
UNITS = {"EXPTIME": " s"}
CLEAR = (*KEYS, "OBSTYPE", "DATE", "DATE-END", "IMAGETYP")  # keywords whose values need no name beside them


def names_of(what: Subject) -> list[str]:
    """A short name for each frame; its number if no file is known."""
    stack = what.stack
    if not what.has_frames:
        file = stack.coords.get("file")
        if file is not None and file.ndim == 0:
            return [shown(short_names([str(file.values.item())])[0])]
        count = keyword_value(common.text_of(stack) or "", "NCOMBINE")
        return [f"{count} frames combined" if count else "image"]
    files = file_names(stack, what.dim)
    return [shown(name) for name in short_names(files)] if files else [f"frame {i}" for i in range(what.count)]


def values_of(what: Subject, keyword: str) -> list[str]:
    """The value of a keyword for each frame as text, "" where there is none."""
    stack, n = what.stack, what.count
    label = stack.coords.get(keyword)
    values: list[Any]
    if label is not None and label.dims in ((what.dim,), ()):
        values = np.broadcast_to(label.values, n).tolist() if label.dtype.kind != "M" else _dates(label.values, n)
    elif what.has_frames:
        values = [keyword_value(text, keyword) for text in common.texts(stack, what.dim)]
    else:
        text = common.text_of(stack)
        values = [] if text is None else [keyword_value(text, keyword)]
    if all(v is None for v in values):
        values = [stack.attrs.get(keyword)] * n
    name = "" if keyword in CLEAR else f"{keyword} "
    return [text and name + text for text in (_plain(v, UNITS.get(keyword, "")) for v in values)]


def _dates(values: Any, n: int) -> list[str]:
    every = np.broadcast_to(values, n)
    return ["" if np.isnat(v) else str(np.datetime_as_string(v, "s")) for v in every]


def _plain(value: Any, unit: str) -> str:
    if value is None or value != value or value == "":
        return ""
    if isinstance(value, float):
        return f"{value:.6g}{unit}"
    return shown(str(value).strip()) + (unit if isinstance(value, int) else "")


def check_keys(what: Subject, keys: Any) -> tuple[str, ...]:
    """The keywords of titles; raise if one is not known of any frame."""
    if keys is None:
        return tuple(k for k in KEYS if any(values_of(what, k)))
    given = (keys,) if isinstance(keys, str) else tuple(keys) if isinstance(keys, Iterable) else (keys,)
    for name in given:
        if not isinstance(name, str):
            raise TypeError(f"keys={called(keys)}: {name!r} is no keyword: give texts, as keys=['FILTER']")
        if not any(values_of(what, name)):
            known = [*map(str, what.stack.coords), *keywords_of(what.stack, what.dim), *map(str, what.stack.attrs)]
            raise ValueError(f"keys={keys!r}: no frame has a keyword or label {name!r}{did_you_mean(name, known)}")
    return given


def captions(what: Subject, keys: tuple[str, ...], numbers: list[int]) -> tuple[list[str], list[str]]:
    """What all of these frames share, and the rest of each as one text."""
    columns: list[list[str]] = []
    for name in keys:
        every = values_of(what, name)
        some = [every[i] for i in numbers]
        if name.startswith("DATE") and all("T" in v for v in some):  # the day may be the same
            columns += [[v.partition("T")[k][:8] if k else v.partition("T")[0] for v in some] for k in (0, 2)]
        else:
            columns.append(some)
    same = [column[0] for column in columns if len(set(column)) == 1 and column[0]]
    differ = [column for column in columns if len(set(column)) > 1]
    return same, [", ".join(filter(None, (column[i] for column in differ))) for i in range(len(numbers))]


def fitting(text: str, letters: int) -> str:
    """A text with its middle left out if it is too long: names differ at the end."""
    if len(text) <= letters:
        return text
    head = max(1, letters // 3)
    return f"{text[:head]}...{text[-max(1, letters - head - 3) :]}"
