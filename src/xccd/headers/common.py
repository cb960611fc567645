"""Header texts of many frames: their common cards, one WCS or several, and the steps in their HISTORY."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Hashable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.wcs_spelling import name_sip, settled

if TYPE_CHECKING:
    from astropy.io.fits import Header
    from astropy.wcs import WCS

MAX_SIP_ORDER = 9  # the convention's limit; astropy allocates its square unchecked
SINGULAR = "the WCS is singular: its pixels have no area (CD, PC or CDELT)"
PHYSICAL = re.compile(r"LTV\d|LTM\d_\d")  # the place on the detector, which another WCS does not change
AXIS_OF_PLANES = re.compile(r"(CTYPE|CRVAL|CRPIX|CUNIT|CNAME)3")
MAX_AXES = 99  # axes of a WCS; WCSAXES = 65536 ends the process within wcslib
HISTORY = "history"  # attribute with the steps so far; CF's name
ALIGNED_TO = "aligned_to"  # coordinate of aligned frames: their grid, as header cards
ON_GRID = "by the grid of aligned_to"  # attribute "numbered" of their pixel coordinates
System = tuple[str, str, float]
SOLVED = "solved_wcs"  # coordinate of frames: cards of a WCS in place of the file's, for the pixels of the file
BY_LABEL = "wcs"  # attribute of the pixel coordinates of such frames: the name of that label
COMBINED = "image_header"  # coordinate of a combined image: its header text


def scalar(text: str) -> np.ndarray[Any, Any]:
    """A text as a scalar array of dtype object: Zarr 3 has no type for NumPy's fixed-width texts, and warns."""
    return np.array(text, object)


def texts(stack: xr.DataArray, dim: Hashable) -> list[str]:
    """The header text of each frame with the WCS of its present grid; [] if the stack carries no headers."""
    for name in ("header", COMBINED):
        if name in stack.coords and stack.coords[name].dims == (dim,):
            own = [str(t) for t in stack.coords[name].values.tolist()]
            if name == "header":
                own = [with_wcs(text, new) for text, new in zip(own, _solved(stack, dim, len(own)), strict=True)]
            grids, cube = _grids(stack, dim, len(own)), "z" in stack.dims
            return [text if grid is None else _on_grid(text, grid, cube) for text, grid in zip(own, grids, strict=True)]
    return []


def text_of(image: xr.DataArray) -> str | None:
    """The same for one frame or an image; None without a header."""
    for name in ("header", COMBINED):
        if name in image.coords and image.coords[name].ndim == 0:
            (grid,) = _grids(image, None, 1)
            text = str(image.coords[name].values.item())
            if name == "header":
                text = with_wcs(text, _solved(image, None, 1)[0])
            return text if grid is None else _on_grid(text, grid, "z" in image.dims)
    return None


def _grids(stack: xr.DataArray, dim: Hashable, n: int) -> list[str | None]:
    """The grid to which each frame was aligned; None if it was not, "" if arithmetic dropped the label `ALIGNED_TO`."""
    if ALIGNED_TO in stack.coords:
        label = stack.coords[ALIGNED_TO]
        if label.dims in ((dim,), ()):
            return [str(t) for t in np.broadcast_to(label.values, n).tolist()]
    moved = any(stack.coords[d].attrs.get("numbered") == ON_GRID for d in ("y", "x") if d in stack.coords)
    return ["" if moved else None] * n


def _solved(stack: xr.DataArray, dim: Hashable, n: int) -> list[str]:
    """The cards of `SOLVED` for each frame: "" for those of the file, a blank if arithmetic dropped the label."""
    if SOLVED in stack.coords and stack.coords[SOLVED].dims in ((dim,), ()):
        found = np.broadcast_to(stack.coords[SOLVED].values, n).tolist()
        return [new if isinstance(new, str) else "" for new in found]  # NaN after concat with frames of their own WCS
    return [" " if is_solved(stack) else ""] * n


def is_solved(obj: xr.DataArray) -> bool:
    """Whether frames were given a WCS, by the note on their pixel coordinates."""
    return any(obj.coords[d].attrs.get(BY_LABEL) == SOLVED for d in ("y", "x") if d in obj.coords)


@lru_cache(maxsize=1 << 10)
def _on_grid(text: str, grid: str, cube: bool) -> str:
    """A header text with the WCS of another grid; without ROWORDER, as rows follow that grid.

    A cube keeps the axis of its planes.
    """
    turned = "CTYPE1" in grid
    kept = (
        line
        for card in cards.split(text)
        if not cards.WCS.fullmatch(card.keyword) and not card.keyword.startswith("NAXIS")
        if not (turned and card.keyword == "ROWORDER")
        for line in card.lines
    )
    return "\n".join([*kept, *filter(None, grid.split("\n")), *(_axis_of_planes(text, grid) if cube else [])])


def _axis_of_planes(text: str, grid: str) -> list[str]:
    """The cards of the third axis, its step in the spelling of the grid's matrix."""
    own = [c for c in cards.split(text) if AXIS_OF_PLANES.fullmatch(c.keyword)]
    values = {k: cards.as_number(cards.card_value(text, k)) for k in ("CD3_3", "CDELT3", "PC3_3")}
    step = values["CD3_3"]
    if not np.isfinite(step):
        step = values["CDELT3"] * (values["PC3_3"] if np.isfinite(values["PC3_3"]) else 1.0)
    lines = [line for card in own for line in card.lines]
    return [*lines, cards.make("CD3_3" if "CD1_1" in grid else "CDELT3", step)] if np.isfinite(step) else lines


@lru_cache(maxsize=1 << 10)
def with_wcs(text: str, wcs: str) -> str:
    """A header text with the cards of another WCS for the same pixels; as it is if there are none."""
    if not wcs:
        return text
    kept = (
        line
        for card in cards.split(text)
        if not cards.WCS.fullmatch(card.keyword) or PHYSICAL.fullmatch(card.keyword)
        for line in card.lines
    )
    return "\n".join([*kept, *filter(str.strip, [wcs])])


def why_no_wcs(obj: xr.DataArray) -> str:
    """Why an object has no WCS: its file has none, or a label was dropped on the way."""
    lost = "arithmetic with other frames, or other software, dropped the coordinate {!r}"
    if "header" not in obj.coords and COMBINED not in obj.coords:
        return f"it has no header. If its file has one, {lost.format('header')}: keep it from the stack, or use .values"
    moved = any(obj.coords[d].attrs.get("numbered") == ON_GRID for d in ("y", "x") if d in obj.coords)
    if moved and ALIGNED_TO not in obj.coords:
        return f"it was aligned, and {lost.format(ALIGNED_TO)}"
    if is_solved(obj) and SOLVED not in obj.coords:
        return f"it was given one, and {lost.format(SOLVED)}"
    return "its header has no CTYPE1"


def history_steps(obj: xr.DataArray) -> list[str]:
    """The steps since the samples were opened or combined, one text each."""
    return str(obj.attrs.get(HISTORY) or "").split("\n") if obj.attrs.get(HISTORY) else []


def remarks(obj: xr.DataArray) -> list[str]:
    """`history_steps` as HISTORY cards."""
    return [cards.history_cards(line) for line in history_steps(obj) if line.strip()]


def lines(headers: list[str]) -> list[str]:
    """The lines of cards that are identical in all headers, in the order of the first.

    WCS cards are included if all headers have the same WCS. Steps are left out: `steps` collects them.
    """
    every = [list(cards.split(text)) for text in dict.fromkeys(headers)]
    common = set.intersection(*({card.lines for card in some} for some in every))
    one_grid = same_grid(list(dict.fromkeys(headers)))
    steps_of_first = {line for step in _steps(headers[0]) for line in step}
    return [
        line
        for card in every[0]
        if (one_grid if cards.WCS.fullmatch(card.keyword) else card.lines in common)
        and not cards.STRUCTURAL.fullmatch(card.keyword)
        and card.lines[0] not in steps_of_first
        for line in card.lines
    ]


def same_grid(headers: list[str]) -> bool:
    """Whether all headers have the same WCS: equal cards, or equal positions in one celestial system.

    Positions are compared to 1e-4 pixel at 25 points: equal degrees of FK4 and FK5 are other places.

    Equal cards are not required: programs write one WCS in many ways (1E-3 or 0.001, defaults left out).
    """
    written = {tuple(c for c in cards.split(text) if cards.WCS.fullmatch(c.keyword)): text for text in headers}
    if len({tuple(card.lines for card in some) for some in written}) == 1:
        return True
    texts = iter(written.values())
    one = _positions(next(texts))
    if one is None:
        return False
    system, first = one
    pixel = np.abs((first[1] - first[0] + 180) % 360 - 180).max()
    for text in texts:  # the first other one decides: dithered frames have a WCS each
        other = _positions(text)
        if other is None or other[0] != system:
            return False
        if not np.abs((other[1] - first + 180) % 360 - 180).max() < 1e-4 * pixel:
            return False
    return True


def _positions(text: str) -> tuple[System, np.ndarray[Any, Any]] | None:
    """The celestial system, and world coordinates (27, 2) of two neighbouring pixels and 25 points over the image."""
    kept = (c for c in cards.split(text) if cards.WCS.fullmatch(c.keyword))
    nx, ny = (_size(text, axis) for axis in (1, 2))
    x, y = np.meshgrid(np.linspace(0, nx - 1, 5), np.linspace(0, ny - 1, 5))
    points = np.concatenate([[[0, 0], [1, 1]], np.stack([x.ravel(), y.ravel()], 1)])
    try:
        wcs = read_wcs(cards.parsed(line for c in kept for line in c.lines), 2)
        return (system_of(wcs), np.asarray(wcs.all_pix2world(points, 0))) if wcs.has_celestial else None
    except Exception:  # a damaged WCS may raise anything; it equals no other
        return None


def system_of(wcs: WCS) -> System:
    """The celestial system of a WCS: the type of longitude, RADESYS, and EQUINOX where the system has one."""
    name = wcs.wcs.radesys if wcs.wcs.lngtyp == "RA" else ""
    return wcs.wcs.lngtyp, name, float(wcs.wcs.equinox) if name.startswith("FK") else 0.0


def _size(text: str, axis: int) -> int:
    size = cards.as_number(cards.card_value(text, f"NAXIS{axis}"))
    return int(size) if 1 <= size < 1e9 else 1000


def read_wcs(made: Header, naxis: int, hdus: Any = None) -> WCS:
    """The WCS of a header, with distortion tables from ``hdus``; ValueError if it cannot be used."""
    from astropy.wcs import WCS

    _check_size(made)
    # astropy warns of old spellings. `settled` mends those of a `Grid`, whose WCS other threads make.
    with cards.quiet():
        try:
            return WCS(settled(made), hdus, naxis=naxis)
        except Exception as error:
            text = " ".join(str(error).split()) or type(error).__name__
            raise ValueError(SINGULAR if "singular" in text else text) from error


def _check_size(made: Header) -> None:
    """Raise for cards that would make wcslib or astropy allocate until the process ends."""
    for keyword in ("A_ORDER", "B_ORDER", "AP_ORDER", "BP_ORDER"):
        if cards.as_number(made.get(keyword, 0)) > MAX_SIP_ORDER:
            raise ValueError(f"{keyword} = {made[keyword]}, the SIP convention ends at {MAX_SIP_ORDER}")
    for keyword in [k for k in made if k.startswith("WCSAXES")]:
        if not 0 <= cards.as_number(made[keyword]) <= MAX_AXES:
            raise ValueError(f"{keyword} = {made[keyword]} is not a number of axes")


def astropys_wcs(made: Header) -> WCS:
    """The WCS of all cards of a header as astropy reads and mends them; raises what astropy does."""
    from astropy.wcs import WCS

    _check_size(made)
    if absurd := next((k for k in made if re.fullmatch(r"P[VS]\d+_\d{3,}[A-Z]?", k)), None):
        raise ValueError(f"{absurd} is no parameter of a projection: they end at 99")
    header = made.copy()
    name_sip(header)
    with cards.quiet():
        found = WCS(header)
        return found if found.naxis == 2 else WCS(header, naxis=2)


def steps(headers: list[str]) -> list[str]:
    """HISTORY cards of every step of any frame, in order; a step that all frames have twice is there twice."""
    found: dict[tuple[tuple[str, ...], int], None] = {}
    for text in dict.fromkeys(headers):
        times: Counter[tuple[str, ...]] = Counter()
        for step in _steps(text):
            times[step] += 1
            found[step, times[step]] = None
    return [line for step, _ in found for line in step]


def _steps(text: str) -> list[tuple[str, ...]]:
    """The steps of xccd in a header text, each as its HISTORY cards."""
    steps: list[tuple[str, ...]] = []
    for card in cards.split(text):
        if card.lines[0].startswith("HISTORY xccd."):
            steps.append(card.lines)
        elif card.keyword == "HISTORY" and steps:
            steps[-1] += card.lines
    return steps
