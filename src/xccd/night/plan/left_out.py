"""Rows of a table that are no frames of a product, and why."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from fnmatch import translate
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

import numpy as np

from xccd.headers import kinds
from xccd.messages import did_you_mean, shown
from xccd.read.files.remote import is_url

if TYPE_CHECKING:
    from pandas import DataFrame

    from xccd.night.recipe.recipe import Recipe

RAW = ("bias", "dark", "flat", "light")
MASTERS = ("master-bias", "master-dark", "master-flat")
PATTERNS = (*RAW, "ignore")  # keys of the section [kinds] of a recipe
# "master-flat-r.fits", "MasterBias.fits", "superbias_2.fits", and Siril's "dark_stacked.fit"
NAMED_MASTER = re.compile(
    r"(?:^|[^a-z])(?:master(?:[_. -]?(?:bias|zero|offset|dark|flat))?s?|super[_. -]?(?:bias|zero|dark|flat)s?)(?![a-z])"
    r"|_stacked(?![a-z])"
)
# A map beside an image: "m51.wht.fits" beside "m51.fits". Its header is often a copy of the image's.
BESIDE = re.compile(r"[._-](?:wht|weight|weights|wt|ivar|invvar|mask|dq|flags|err|error|rms|sigma)(?=\.fi?ts?\b)", re.I)
COMMON = 3  # frames of one shape, beside which a frame of another shape is odd
MEND = 'mend the table, as table.loc[table.file == "...", "kind"] = "light", or name it in the recipe under [kinds]'
STACKED = "xccd combine stacks such frames"
BY_NAME = " by the name of its file ([kinds] in the recipe says otherwise)"


def with_kinds(facts: DataFrame, recipe: Recipe) -> Any:
    """Give rows the kinds of the recipe, and masters their own kind; returns why a row has none, "" for most."""
    why = np.full(len(facts), "", object)
    names = facts["file"].map(lambda name: PurePath(name).name).to_numpy(object)
    by_recipe = np.zeros(len(facts), bool)
    kind = facts["kind"].to_numpy(object).copy()
    told = np.full(len(facts), "", object)
    for name in PATTERNS:
        patterns = getattr(recipe.kinds, name)
        if not patterns:
            continue
        hit = _matches(patterns, [names, facts["object"], facts["words"]])
        if within := [form for p in patterns if "/" in p for form in (p, f"*/{p}")]:  # folders are told, too
            hit |= _matches(within, [facts["file"].str.replace("\\", "/")])
        several = hit & (told != "") & (told != name)
        why[several] = [f"the recipe names it under [kinds] as {t} and as {name}" for t in told[several]]
        told[hit], by_recipe = name, by_recipe | hit
    kind = np.where(by_recipe, told, kind)
    why[(kind == "ignore") & (why == "")] = "the recipe says so: [kinds] ignore"
    raw = np.isin(kind, RAW) & ~by_recipe
    named = np.array([bool(NAMED_MASTER.search(n.lower())) for n in names[raw]], bool)
    kind[np.flatnonzero(raw)[named]] = [f"master-{k}" for k in kind[raw][named]]
    at_once = facts["exposure"].to_numpy() == 0
    facts["was_dark"] = (kind == "dark") & at_once
    for dark, bias in (("dark", "bias"), ("master-dark", "master-bias")):
        kind[(kind == dark) & at_once] = bias  # as `subtract_bias` takes it
    facts["kind"], facts["by_recipe"], facts["by_name"] = kind, by_recipe, False
    facts.loc[np.flatnonzero(raw)[named], "by_name"] = True
    return why


def _matches(patterns: Iterable[str], columns: Iterable[Any]) -> Any:
    """Which rows have a text that fits one of the patterns, in any column; capitals do not matter."""
    import pandas as pd

    fits = re.compile("|".join(f"(?:{translate(p.casefold())})" for p in patterns))
    hits = []
    for column in columns:
        texts = pd.Series(column)
        hits.append(texts.map({t: bool(fits.match(t.casefold())) for t in texts.unique()}).to_numpy(bool))
    return np.logical_or.reduce(hits)


def reasons(facts: DataFrame, why: Any) -> Any:
    """Why each row is left out, "" for frames and masters that can be used."""
    kind, exposure = facts["kind"].to_numpy(object), facts["exposure"].to_numpy()
    keys = facts[["hdu"]].assign(file=_places(facts["file"].tolist())).duplicated().to_numpy()
    linked = _linked(facts, keys)
    done = facts["done"].to_numpy(object)
    usable = np.isin(kind, (*RAW, *MASTERS))
    shape = facts["shape"].to_numpy(object)
    flat = np.array([bool(re.fullmatch(r"[1-9]\d*x[1-9]\d*", s)) for s in shape], bool)
    rules: tuple[tuple[Any, Callable[[Any], str]], ...] = (
        (facts["problem"].to_numpy(object) != "", lambda i: f"it cannot be opened: {shown(facts['problem'].iat[i])}"),
        (keys, lambda i: "the table has it twice"),
        (linked != "", lambda i: f"it is {shown(linked[i])} under another name, by a link"),
        (
            _no_hdu(facts["hdu"].to_numpy()),
            lambda i: f"its hdu is {facts['hdu'].iat[i]:g}: give the number of its image",
        ),
        (~usable, lambda i: _no_kind(kind[i], facts["by_name"].iat[i])),
        (
            np.isin(kind, RAW) & (done != ""),
            lambda i: f"it is calibrated already: its header has {done[i]}; {STACKED}",
        ),
        (_maps(facts), lambda i: "by its name it is a map of the image that is beside it"),
        (~flat, lambda i: _no_image(shape[i])),
        (exposure < 0, lambda i: f"its exposure time is {exposure[i]:g} s: mend the column 'exposure'"),
        (np.isinf(exposure), lambda i: f"its exposure time is {exposure[i]:g} s: mend the column 'exposure'"),
        (_odd(shape, usable & flat & (why == "")), lambda i: f"it is the only image of {shape[i]} pixels"),
    )
    why = why.copy()
    for hit, text in rules:
        for i in np.flatnonzero(hit & (why == "")):
            why[i] = text(i)
    return why


def _places(names: list[str]) -> list[str]:
    """Files with their whole paths, so that "a.fits" and "./a.fits" are one."""
    pairs = [os.path.split(name) for name in names]
    folders = {folder: folder if is_url(folder) else os.path.abspath(folder) for folder in {pair[0] for pair in pairs}}
    return [os.path.join(folders[folder], name) for folder, name in pairs]


def _linked(facts: DataFrame, twice: Any) -> Any:
    """For each row the earlier row's file that is the same file by a link, else "".

    Only rows that are alike in all that the headers tell are looked up on the disk: a million rows take no time.
    """
    found = np.full(len(facts), "", object)
    alike = facts[["date", "kind", "exposure", "object", "filter", "shape", "size", "hdu"]].duplicated(keep=False)
    first: dict[Any, str] = {}
    for i in np.flatnonzero(alike.to_numpy() & ~twice & (facts["problem"] == "").to_numpy()).tolist():
        name = facts["file"].iat[i]
        try:
            status = os.stat(name)
        except (OSError, ValueError):  # a URL, or a file that is not there: its product tells
            continue
        key = (status.st_dev, status.st_ino, str(facts["hdu"].iat[i]))
        if status.st_ino:
            found[i] = PurePath(first[key]).name if key in first else ""
            first.setdefault(key, name)
    return found


def _no_hdu(hdu: Any) -> Any:
    """Which rows have no number of an HDU, or none that can be one. If none is told, the first images are meant."""
    if np.isnan(hdu).all():
        return np.zeros(len(hdu), bool)
    return np.isnan(hdu) | (hdu < 0) | (hdu != np.floor(hdu))


def _maps(facts: DataFrame) -> Any:
    """Which rows are maps of an image of the table, by their names; not those that the recipe gives a kind."""
    names = facts["file"].tolist()
    there = set(names)
    found = [bool(BESIDE.search(n)) and BESIDE.sub("", n) in there for n in names]
    return np.array(found, bool) & ~facts["by_recipe"].to_numpy()


def _no_kind(kind: str, by_name: bool) -> str:
    if not kind:
        return f"its header does not say what kind of frame it is: {MEND}"
    if kind.startswith("master-"):
        return f"it is a {kind}{BY_NAME if by_name else ''}, which is combined already"
    near = did_you_mean(kind, RAW) if kinds.known(kind) is None else ""
    return f"its kind is {kind!r}, none of {', '.join(RAW)}{near or ': if it is one'}{'' if near else f', {MEND}'}"


def _no_image(shape: str) -> str:
    if not shape:
        return "its shape is not known: take the column 'shape' from xccd.scan"
    return f"it is no image of two axes, but {shape}"


def _odd(shape: Any, counted: Any) -> Any:
    """Which frames are alone in their shape, where most others have one shape."""
    values, inverse, counts = np.unique(shape[counted].astype(str), return_inverse=True, return_counts=True)
    found = np.zeros(len(shape), bool)
    if len(values) > 1 and counts.max() >= max(COMMON, counted.sum() / 2):
        found[np.flatnonzero(counted)] = counts[inverse] == 1
    return found
