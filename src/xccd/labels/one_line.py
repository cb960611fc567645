"""A stack or an image in one line: what ``repr(stack.ccd)`` says. Nothing is computed or read for it.

Labels that are not in memory are passed over, and so is what cannot be understood: a line never raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from itertools import zip_longest
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common, kinds, times
from xccd.headers.coords import number
from xccd.headers.summary import Summary
from xccd.labels.flags import MAPS, ancillary_names, image_names
from xccd.labels.lazy import in_memory
from xccd.labels.problems import PROBLEM, SKIPPED, skipped
from xccd.messages import shown

FRAME = "frame"
SHOWN = 3  # values of a label; more are counted
LONGEST = 40  # characters of one value
SKY = re.compile(r"(?:RA--|DEC-|[A-Z]LON|[A-Z]LAT|[A-Z]{2}LN|[A-Z]{2}LT)-([A-Z]{3}(?:-SIP)?)")
DAY = np.timedelta64(1, "D")
# Verbs, as they begin a line of history, and what their result is called.
STEPS = {
    **dict.fromkeys(("sigma_clip", "clip_extrema", "minmax", "reject"), "clipped"),
    **dict.fromkeys(("mask_where", "apply_flags"), "masked"),
    **dict.fromkeys(("grow", "large_structures"), "grown"),
    **dict.fromkeys(("refine_wcs", "assign_wcs"), "with another WCS"),
    "subtract_overscan": "overscan subtracted", "trim": "trimmed", "subtract_bias": "bias subtracted",
    "subtract_dark": "dark subtracted", "flat_correct": "flat corrected", "gain_correct": "gain corrected",
    "debayer": "debayered", "bayer_planes": "one colour", "normalize": "normalized", "align": "aligned",
}  # fmt: skip


def lines_of(obj: Any) -> list[tuple[str, str]]:
    """The name of each image and its line: of a DataArray one without a name, of a tree one for each node's."""
    if isinstance(obj, xr.DataArray):
        return [("", line(obj))]
    if isinstance(obj, xr.Dataset):
        names = _tried(image_names, obj) or []
        return [(str(name) if len(names) > 1 else "", line(obj[name], obj)) for name in names]
    if isinstance(obj, xr.DataTree):
        every = [
            (path, name, text) for path, node in obj.subtree_with_keys for name, text in lines_of(node.to_dataset())
        ]
        return [(f"{path}[{name!r}]" if name else path, text) for path, name, text in every]
    return []


def text(obj: Any) -> str:
    """The lines of an object, each behind its name."""
    found = lines_of(obj)
    width = max((len(name) for name, _ in found), default=0)
    if not found:
        return f"{type(obj).__name__} without an image"
    return "\n".join(f"{name:{width}}  {one}" if width else one for name, one in found)


def line(stack: xr.DataArray, ds: xr.Dataset | None = None) -> str:
    """A stack or an image in one line; ``ds`` is the Dataset that it is a variable of."""
    headers = _tried(_headers, stack) or []
    facts = [_size(stack), *(_tried(part, stack, headers) for part in FACTS)]
    states = ["" if _tried(in_memory, stack) else "lazy", *(_tried(part, stack) for part in STATES)]
    if ds is not None:
        states.append(_tried(_maps, stack, ds))
    return "; ".join(filter(None, (", ".join(filter(None, facts)), ", ".join(filter(None, states)))))


def _tried(part: Callable[..., Any], *args: Any) -> Any:
    """What a function returns; None if it raises: labels may hold anything."""
    try:
        return part(*args)
    except Exception:
        return None


def _size(stack: xr.DataArray) -> str:
    """As "12 frames 512 x 512 float32"."""
    sizes = {d: n for d, n in stack.sizes.items() if d != FRAME}
    pixels = " x ".join(map(str, sizes.values()))
    if not sizes.keys() <= {"y", "x", "z", "channel"}:
        pixels = ", ".join(f"{shown(d)} {n}" for d, n in sizes.items())
    if FRAME in stack.dims:
        n = stack.sizes[FRAME]
        what = f"{n} frame{'' if n == 1 else 's'}"
    elif (name := _tried(_own_file, stack)) is not None:
        what = f"frame {name}"
    else:
        count = _tried(_frames_of_image, stack)
        what = (f"image of {count} frames" if count else "image") if {"y", "x"} <= sizes.keys() else "array"
    return " ".join(filter(None, (what, pixels, str(stack.dtype))))


def _own_file(image: xr.DataArray) -> str | None:
    label = image.coords.get("file")
    return None if label is None or label.ndim or not in_memory(label) else _short(PurePath(str(label.values)).name)


def _frames_of_image(image: xr.DataArray) -> int:
    return int(image.attrs.get("NCOMBINE", 0))


def _short(value: object) -> str:
    plain = shown(value)
    return plain if len(plain) <= LONGEST else f"{plain[: LONGEST - 3]}..."


def _headers(stack: xr.DataArray) -> list[str]:
    """The header texts that are in memory, one for each frame or one for an image."""
    for name in ("header", common.COMBINED):
        if name in stack.coords and in_memory(stack.coords[name]):
            one = common.text_of(stack) if FRAME not in stack.dims else None
            return common.texts(stack, FRAME) if one is None else [one]
    return []


def _values(stack: xr.DataArray, name: str) -> list[Any] | None:
    """A label of the frames, or an attribute; None if there is none in memory."""
    label = stack.coords.get(name)
    if label is not None and label.dims in ((), (FRAME,)) and in_memory(label):
        return list(np.ravel(label.values))
    return [stack.attrs[name]] if name in stack.attrs else None


def _texts(stack: xr.DataArray, name: str) -> list[str]:
    values = _values(stack, name) or []
    return ["" if v is None or v != v else str(v).strip() for v in values]


def _summaries(headers: Iterable[str]) -> list[Summary]:
    return [Summary.of(cards.values(text)) for text in dict.fromkeys(headers)]


def _listed(words: Iterable[str], many: str) -> str:
    found = list(dict.fromkeys(filter(None, words)))
    return f"{len(found)} {many}" if found[SHOWN:] else ", ".join(map(_short, found))


def _kind(stack: xr.DataArray, headers: list[str]) -> str:
    words = zip_longest(_texts(stack, "IMAGETYP"), _texts(stack, "OBSTYPE"), fillvalue="")
    numbers = _values(stack, "NCOMBINE") or [0]
    count = max((cards.as_number(n) for n in numbers), default=0.0)
    found = [kinds.made_of(kinds.kind_of(*pair), count) or "" for pair in dict.fromkeys(words)]
    return _listed(found if any(found) else (s.kind for s in _summaries(headers)), "kinds")


def _filter(stack: xr.DataArray, headers: list[str]) -> str:
    names = _texts(stack, "FILTER")
    kind = _kind(stack, headers)
    if not kinds.filter_counts(kind):
        return ""
    return _listed(names if any(names) else (s.filter for s in _summaries(headers)), "filters")


def _exposure(stack: xr.DataArray, headers: list[str]) -> str:
    given = _values(stack, "EXPTIME")
    found = (
        [s.exposure for s in _summaries(headers)]
        if given is None
        else [number("EXPTIME", {"EXPTIME": v}) for v in given]
    )
    numbers = [v for v in found if np.isfinite(v)]
    if not numbers:
        return ""
    least, most = min(numbers), max(numbers)
    return f"{least:g} s" if f"{least:g}" == f"{most:g}" else f"{least:g} to {most:g} s"


def _times(stack: xr.DataArray, headers: list[str]) -> str:
    """From the first to the last beginning, as "21:00 to 21:25"; as days if they are of several nights."""
    given = _values(stack, "DATE-OBS")
    found = [s.date for s in _summaries(headers)] if given is None else [_instant(v) for v in given]
    instants = sorted(t for t in found if not np.isnat(t))
    if not instants:
        return ""
    first, last = instants[0], instants[-1]
    part = slice(0, 10) if last - first >= DAY else slice(11, 16)
    return " to ".join(dict.fromkeys(str(t)[part] for t in (first, last)))


def _instant(value: Any) -> Any:
    return value.astype("datetime64[ns]") if isinstance(value, np.datetime64) else times.instant(value)


def _sky(stack: xr.DataArray, headers: list[str]) -> str:
    """The projection of the WCS; how many frames have it if not all do."""
    types = [cards.card_value(text, "CTYPE1") for text in headers]
    found = [match[1] for t in types if isinstance(t, str) and (match := SKY.fullmatch(t.strip()))]
    some = f" ({len(found)} of {len(headers)} frames)" if found and len(found) < len(headers) else ""
    return f"{_listed(found, 'projections')}{some}" if found else ""


def _problems(stack: xr.DataArray) -> str:
    n = sum(map(bool, _texts(stack, PROBLEM)))
    lost = f"{n} frame{'' if n == 1 else 's'} cannot be opened" if n else ""
    out = len(skipped(stack.attrs.get(SKIPPED)))
    return ", ".join(filter(None, (lost, f"{out} file{'' if out == 1 else 's'} skipped" if out else "")))


def _steps(stack: xr.DataArray) -> str:
    steps = (step.removeprefix("xccd.").partition("(")[0] for step in common.history_steps(stack))
    return ", ".join(dict.fromkeys(STEPS[step] for step in steps if step in STEPS))


def _maps(stack: xr.DataArray, ds: xr.Dataset) -> str:
    """The maps of a variable, as "with flags and uncertainty"."""
    ends = [str(name).removeprefix(f"{stack.name}_").replace("_", " ") for name in ancillary_names(stack) if name in ds]
    known = [end for end in ends if end.replace(" ", "_") in MAPS]
    if not known:
        return ""
    *before, last = known
    return f"with {', '.join(before)}{' and ' if before else ''}{last}"


Fact = Callable[[xr.DataArray, list[str]], str]
FACTS: tuple[Fact, ...] = (_kind, _filter, _exposure, _times, _sky)
STATES: tuple[Callable[[xr.DataArray], str], ...] = (_problems, _steps)
