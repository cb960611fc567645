"""Parts of frames as users and headers write them: sections of FITS, keywords, slices, labels."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, common
from xccd.headers.pixel_grid import AXES, IN_FILE, first_pixel
from xccd.labels.frames import frame_names
from xccd.messages import did_you_mean, is_number, is_whole
from xccd.verbs.calibrate.keywords import keywords_of_frames

SECTIONS = ("BIASSEC", "TRIMSEC", "DATASEC")
RANGE = re.compile(r"\*|:|(\d+):(\d+)")
LARGEST = 1 << 40  # pixels of an axis: what a damaged header may claim
FORM = "a section is '[x1:x2,y1:y2]', in pixels from 1, both ends included"


def part_of_frames(
    region: Any, stack: xr.DataArray, dim: Hashable, defaults: tuple[str, ...]
) -> tuple[dict[Hashable, slice], str]:
    """The positions of a region along x and y, and the region as a section of the file.

    ``defaults`` are the keywords that ``None`` stands for, the first that the frames have.
    """
    missing = [d for d in ("y", "x") if d not in stack.dims]
    if missing:
        raise ValueError(f"region={region!r} is of 'y' and 'x', the stack has {dict(stack.sizes)}")
    if region is None:
        region = next((k for k in defaults if _section_in_headers(k, stack, dim)), None)
        if region is None:
            raise ValueError(f"no frame has {' or '.join(defaults)}: give region=, as '[1:2048,1:2048]'")
    if isinstance(region, str):
        place = _of_text(region, stack, dim)
    elif isinstance(region, dict):
        place = _of_labels(region, stack)
    else:
        place = _of_slices(region)
    names: tuple[Hashable, ...] = ("x", "y")
    found = {d: _whole(place.get(d, slice(None)), stack.sizes[d]) for d in names}
    if any(part.stop <= part.start for part in found.values()):
        raise ValueError(f"region={region!r} holds no pixel of the frames {dict(stack.sizes)}")
    return found, _written(found, stack, dim)


def _of_labels(region: dict[Any, Any], stack: xr.DataArray) -> dict[Hashable, slice]:
    """The positions of labels, as `sel` takes them, both ends included."""
    unknown = [d for d in region if d not in ("x", "y")]
    plain = all(_is_plain(part, is_number) and part.step is None for part in region.values())
    if unknown or not plain:
        raise ValueError(f"region={region!r}: give slices of labels without a step, as {{'x': slice(0, 2047)}}")
    found: dict[Hashable, slice] = {}
    for d, part in region.items():
        labels = stack[d].values  # an axis without labels has its positions
        low, high = (default if v is None else v for v, default in ((part.start, -np.inf), (part.stop, np.inf)))
        found[d] = _between(labels, low, high)
    return found


def _is_plain(part: Any, is_end: Callable[[object], bool]) -> bool:
    """Whether it is a slice whose ends are missing or numbers."""
    return isinstance(part, slice) and all(end is None or is_end(end) for end in (part.start, part.stop))


def _of_slices(region: Any) -> dict[Hashable, slice]:
    slices = (region,) if isinstance(region, slice) else region
    known = isinstance(slices, tuple) and all(_is_plain(s, is_whole) and s.step in (None, 1) for s in slices)
    if not known or len(slices) > 2:
        raise TypeError(
            f"region={region!r}: give a section '[x1:x2,y1:y2]', a keyword, a slice of columns, slices (y, x), or a "
            "dict of slices of labels"
        )
    names: tuple[Hashable, ...] = ("y", "x")
    return dict(zip(names[-len(slices) :], slices, strict=True))


def _of_text(region: str, stack: xr.DataArray, dim: Hashable) -> dict[Hashable, slice]:
    return {d: _between(stack[d].values, *ends) for d, ends in labels_of_text(region, stack, dim).items()}


def labels_of_text(region: str, stack: xr.DataArray, dim: Hashable) -> dict[Hashable, tuple[int, int]]:
    """The first and the last label along x and y of a section, or of a keyword that holds one; "*" has none.

    Raises if it is no section, or if it reaches beyond the image of the file.
    """
    region = region.strip()
    if not region:
        raise ValueError(f"region='' names no part of the frames; {FORM}")
    section = region if region.startswith("[") else _section_in_headers(region, stack, dim)
    if not section:
        near = did_you_mean(region, [k for k in (*SECTIONS, *map(str, stack.attrs)) if k != region])
        raise ValueError(f"region={region!r}: the frames have no {region} with a section; {FORM}{near}")
    ends = {d: both for d, both in ranges(region, section).items() if both is not None}
    _check_within(region, section, ends, stack, dim)
    found: dict[Hashable, tuple[int, int]] = {}
    for d, (low, high) in ends.items():
        origin = _first_label(stack, dim, d)
        found[d] = low - 1 + origin, high - 1 + origin
    return found


def ranges(region: str, section: str) -> dict[str, tuple[int, int] | None]:
    """The first and the last pixel of a section along x and y, from 1; None for all. Raises for another text."""
    parts = "".join(section.split()).strip("[]").split(",")
    matches = [RANGE.fullmatch(part) for part in parts]
    if len(parts) != 2 or None in matches:
        raise ValueError(f"region={region!r}: {section!r} is no section; {FORM}")
    found: dict[str, tuple[int, int] | None] = {}
    for d, match in zip(("x", "y"), matches, strict=True):
        found[d] = None
        if match is not None and match[1]:
            low, high = int(match[1]), int(match[2])
            if not 1 <= low <= high:
                raise ValueError(f"region={region!r}: {section!r} does not run from 1 or more upwards; {FORM}")
            found[d] = low, high
    return found


def _check_within(
    region: str, section: str, ends: dict[str, tuple[int, int]], stack: xr.DataArray, dim: Hashable
) -> None:
    """Raise if a section reaches beyond the image of the file. Frames that were cropped may be smaller."""
    nx, ny = (_size_in_file(stack, dim, d) for d in ("x", "y"))
    if all(high <= {"x": nx, "y": ny}[d] for d, (_, high) in ends.items()):
        return
    of = "" if region == section else f" in {region}"
    raise ValueError(
        f"region={region!r}: {section!r}{of} reaches beyond the image of {nx} x {ny} pixels (x, y): give a section "
        f"within it, as '[1:{nx},1:{ny}]', or '*' for a whole axis"
    )


def _size_in_file(stack: xr.DataArray, dim: Hashable, name: str) -> int:
    """The count of pixels along an axis in the file: from its header, or as far as labels go, if that is farther."""
    labels = stack[name].values
    last = int(labels.max()) + 1 - _first_label(stack, dim, name) if labels.size else 0
    keyword = f"NAXIS{AXES.index(name) + 1}"
    # all frames have one shape
    written = next((cards.as_number(cards.card_value(text, keyword)) for text in _texts(stack, dim)), 0.0)
    return max(last, int(written) if 0 < written < LARGEST else 0)


def _section_in_headers(keyword: str, stack: xr.DataArray, dim: Hashable) -> str:
    """The section that a keyword of all frames holds; "" without. Raises if it differs between frames."""
    found = keywords_of_frames(stack, dim, keyword)
    values = [str(v or "").strip() for v in (found if any(found) else [stack.attrs.get(keyword)])]
    if len(set(values)) == 1:
        return values[0] if values[0].startswith("[") else ""
    if not any(values):
        return ""
    names = frame_names(stack, dim)
    one, other = (next(i for i, v in enumerate(values) if v == text) for text in list(dict.fromkeys(values))[:2])
    raise ValueError(
        f"region={keyword!r}: {names[one]} has {values[one] or 'none'}, {names[other]} has {values[other] or 'none'}: "
        "select frames with one region, or give it as a section"
    )


def _first_label(stack: xr.DataArray, dim: Hashable, name: str) -> int:
    """The label of the first pixel in the file."""
    if name not in stack.coords or stack.coords[name].attrs.get("numbered") in (IN_FILE, common.ON_GRID):
        return 0
    return next((first_pixel(text, AXES.index(name) + 1) for text in _texts(stack, dim)), 0)


def _texts(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """The header texts of frames, or of an image."""
    return common.texts(stack, dim) if dim in stack.dims else [text for text in [common.text_of(stack)] if text]


def _between(labels: Any, first: float, last: float) -> slice:
    """The positions whose labels lie from first to last; raises if they do not follow each other."""
    inside = np.flatnonzero((labels >= first) & (labels <= last))
    if inside.size and inside[-1] - inside[0] + 1 != inside.size:
        raise ValueError(f"the pixels {first:g} to {last:g} do not follow each other in this stack")
    return slice(int(inside[0]), int(inside[-1]) + 1) if inside.size else slice(0, 0)


def _whole(part: slice, size: int) -> slice:
    return slice(*part.indices(size)[:2])


def _written(place: dict[Hashable, slice], stack: xr.DataArray, dim: Hashable) -> str:
    """The section in pixels of the file."""
    ends = []
    for d in ("x", "y"):
        labels, origin = stack[d].values, _first_label(stack, dim, d)
        ends.append(":".join(str(int(labels[i]) - origin + 1) for i in (place[d].start, place[d].stop - 1)))
    return f"[{','.join(ends)}]"
