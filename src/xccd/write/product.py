"""The header of a combined image: cards that all its frames share, and new cards for the product."""

from __future__ import annotations

from collections.abc import Hashable
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.headers import cards, times, units
from xccd.headers.common import ALIGNED_TO, BY_LABEL, COMBINED, HISTORY, ON_GRID, lines, remarks, steps
from xccd.headers.coords import CORE_NUMBERS, coordinate_name
from xccd.headers.pixel_grid import AXES, is_ours
from xccd.headers.texts import as_texts
from xccd.headers.writing import FILES, from_attrs
from xccd.labels.calibration import done, with_cards
from xccd.labels.frames import file_names
from xccd.labels.lazy import array_of
from xccd.labels.problems import OF_IMAGE, SKIPPED, in_use, line, problems
from xccd.labels.warn import warn
from xccd.write import input_files
from xccd.write.product_cards import How, made
from xccd.write.product_inputs import Inputs

MAX_IMCMB = 999
WRITTEN = frozenset((
    "NCOMBINE", "EXPTOTAL", "DATE-OBS", "DATE-END", "DATE-AVG", "MJD-AVG", "EFFGAIN", "EFFRDN", "BUNIT", "DATE",
    "NSKIPPED", "MJD-END", "TELAPSE", "XPOSURE", "DATE_END", "MJD_END", "UTEND", "UT-END", "TIME-END",
    *CORE_NUMBERS["EXPTIME"], *times.DATES, *times.TIMES, *times.DAYS,
))  # fmt: skip
CAMERA = frozenset((*CORE_NUMBERS["GAIN"], *CORE_NUMBERS["RDNOISE"]))  # valid only for samples as read


def describe(
    image: xr.DataArray, stack: xr.DataArray, dim: Hashable, *, how: How, step: str
) -> xr.DataArray:  # fmt: skip
    """``image`` with the header text of the product as a coordinate, and its keywords as attributes."""
    used, left = in_use(stack, dim), _left_out(stack, dim)
    frames = Inputs.of(stack, dim, used)
    if used is not None:
        stack, how = frames.stack, how.of_frames(used)
    texts, gone = frames.texts, WRITTEN if frames.as_read else WRITTEN | CAMERA
    lines = _inherited(texts, gone) if texts else from_attrs(_from_labels(frames, gone)).split("\n")
    lines = with_cards(lines, done(stack, dim), product=True)
    own = str(stack.attrs.get("units") or "")
    unit = _unit_of_product(own, how.method)
    found = made(frames, how, own) | ({"NSKIPPED": len(left)} if left else {}) | ({"BUNIT": unit} if unit else {})
    new = [cards.make(k, v, _COMMENTS.get(k, "")) for k, v in found.items()]
    names = _names_of_inputs(stack, dim, texts)
    if "file" in stack.coords and stack.coords["file"].dims == (dim,):
        # the header has names without folders, and no input may be overwritten
        input_files.remember_paths(stack.coords["file"].values.tolist())
    new += [cards.make(f"IMCMB{i:03d}", name) for i, name in enumerate(names[:MAX_IMCMB], 1)]
    new += [*steps(texts), *remarks(stack), cards.history_cards(step)]
    text = "\n".join(filter(None, [*lines, *new]))
    notes.mark_image(array_of(image), text)
    image = image.assign_coords({COMBINED: as_texts(text)}).drop_vars([FILES, OF_IMAGE, ALIGNED_TO], errors="ignore")
    lists = ({FILES: names} if len(names) > MAX_IMCMB else {}) | ({OF_IMAGE: left} if left else {})
    image = image.assign_coords({key: as_texts("\n".join(some)) for key, some in lists.items()})
    image = image.assign_coords(_by_its_header(image))
    others = {k: v for k, v in stack.attrs.items() if k not in ("units", HISTORY, SKIPPED) and not _is_keyword(k, v)}
    image.attrs = others | _keywords(lines) | {k: v for k, v in found.items() if k != "BUNIT"}
    if unit:
        image.attrs["units"] = unit
    return image


def _left_out(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """A line for each file that was left out, when the stack was opened or as it is NaN."""
    text = str(stack.attrs.get(SKIPPED) or "")
    names = file_names(stack, dim, chips=False)
    bad = {line(name, why): None for name, why in zip(names, problems(stack, dim), strict=False) if why}
    return [*filter(None, text.split("\n")), *bad]


def _by_its_header(image: xr.DataArray) -> dict[str, xr.Variable]:
    """The pixel coordinates of a product without the notes on labels with a WCS: its WCS is in its own header."""
    found = {d: image.coords[d].variable.copy() for d in AXES if d in image.coords}
    found = {d: v for d, v in found.items() if v.attrs.get("numbered") == ON_GRID or BY_LABEL in v.attrs}
    for variable in found.values():
        variable.attrs.pop(BY_LABEL, None)
        if variable.attrs.get("numbered") == ON_GRID:
            del variable.attrs["numbered"]
    return found


def _unit_of_product(unit: str, method: str) -> str:
    """The unit of the product in astropy's spelling: "" for method "count", the square for "var"."""
    text = units.spelled(unit)
    if method != "var" or not text:
        return "" if method == "count" else text
    return units.squared(text)


_COMMENTS = {
    "NCOMBINE": "number of frames combined",
    "EXPTIME": "[s] exposure time of the level",
    "EXPTOTAL": "[s] exposure time of all frames together",
    "DATE-OBS": "start of the earliest frame",
    "DATE-END": "end of the latest frame",
    "DATE-AVG": "mean time of the light",
    "MJD-OBS": "[d] DATE-OBS",
    "MJD-END": "[d] DATE-END",
    "MJD-AVG": "[d] DATE-AVG",
    "NSKIPPED": "number of files that could not be opened",
    "EFFGAIN": "gain of the product, in electrons per unit",
    "EFFRDN": "[electron] readout noise of the product",
}


def _is_keyword(name: Any, value: Any) -> bool:
    """Whether an attribute is a header keyword: a name in upper case, a plain value."""
    plain = isinstance(value, (str, int, float, np.integer, np.floating, np.bool_))
    # != lower(): a name without letters is no keyword
    return plain and str(name) == str(name).upper() != str(name).lower()


def _inherited(texts: list[str], gone: frozenset[str]) -> list[str]:
    """The lines of cards that all frames share, without the keywords in ``gone`` and IMCMBnnn."""
    common = _without_tables("\n".join(lines(texts)))
    return [
        line for card in common if not (card.keyword in gone or card.keyword.startswith("IMCMB")) for line in card.lines
    ]


def _without_tables(text: str) -> list[cards.Card]:
    """The cards of a header text without tables of distortion, which are in other HDUs of the frames' files."""
    every = list(cards.split(text))
    named = sorted(c.keyword for c in every if cards.TABLES.fullmatch(c.keyword) and not c.keyword.startswith("D"))
    named += sorted(c.keyword for c in every if c.keyword.startswith("D2IMDIS"))
    if named:
        warn(
            f"the WCS of the frames is distorted by tables ({', '.join(named)}), which the product cannot hold: "
            "its WCS is without them. align() resamples with them, to a WCS that needs none"
        )
    return [c for c in every if not cards.TABLES.fullmatch(c.keyword)]


def _keywords(lines: list[str]) -> dict[str, Any]:
    """The cards of a product as attributes."""
    found: dict[str, Any] = {}
    for card in cards.split("\n".join(lines)):
        if card.keyword not in cards.COMMENTARY and not cards.describes_data(card.keyword) and card.value is not None:
            found.setdefault(coordinate_name(card.keyword), card.value)  # the first of duplicates, as in astropy
    return found


def _from_labels(frames: Inputs, gone: frozenset[str]) -> dict[str, Any]:
    """The keywords of frames without header texts: labels that are equal for all frames, and attributes.

    For frames from files, attributes count only while the samples are known to be as read: arithmetic may have brought
    attributes of another image.
    """
    stack = frames.stack
    # sorted, as Zarr keeps no order
    labels = {k: frames.label(k) for k in sorted(map(str, stack.coords)) if _is_keyword(k, "")}
    values = {k: c.values for k, c in labels.items() if c is not None and c.dtype.kind in "iufOUT"}
    found = {k: v[0] for k, v in values.items() if v[0] != "" and (v == v[0]).all()}
    from_files = "file" in stack.coords or any(is_ours(c) for k, c in stack.coords.items() if k in AXES)
    if frames.origin or not from_files:
        found |= {str(k): v for k, v in stack.attrs.items() if _is_keyword(k, v)}
    return {k: v for k, v in found.items() if k not in gone}


def _names_of_inputs(stack: xr.DataArray, dim: Hashable, texts: list[str]) -> list[str]:
    names, files = file_names(stack, dim), file_names(stack, dim, chips=False)
    if not names:  # concatenated products
        every = [card for text in texts for card in cards.split(text) if card.keyword.startswith("IMCMB")]
        return [str(card.value) for card in every]
    return [PurePath(file).name + name.removeprefix(file) for name, file in zip(names, files, strict=True)]
