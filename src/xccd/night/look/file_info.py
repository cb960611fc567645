"""What a file's headers tell: its HDUs, the image and its keywords, the WCS, and what is not understood."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from xccd.headers import cards, kinds, settings, times
from xccd.headers.summary import Summary
from xccd.messages import shown
from xccd.read.files.local import LocalFile
from xccd.read.files.remote import Remote
from xccd.read.files.unpack import BROKEN
from xccd.read.images.chips import Frame, Options
from xccd.read.images.hdus import StoredHDU, Walk
from xccd.read.images.sources import open_file
from xccd.read.stack import open_stack
from xccd.sky.frame_wcs import wcs

KEYWORDS = ("kind", "words", "filter", "exposure", "date", "object", "unit", "gain", "binning", "temperature")
MOST_CARDS = 5  # damaged cards that are named
UNFORESEEN = (ValueError, ArithmeticError, MemoryError, RecursionError, IndexError, KeyError, TypeError)


def info_of(place: Path | Remote) -> dict[str, Any]:
    """All that is told of a file, as plain values. Never raises for what is in it."""
    found: dict[str, Any] = {"file": str(place), "size": -1, "problem": "", "hdus": [], "image": None, "unclear": []}
    try:
        with Walk(place) as walk:
            found["size"] = int(walk.source.size if isinstance(walk.source, LocalFile) else walk.source.length)
            for unit in walk:
                found["hdus"].append(_hdu(unit))
        (frame, *_) = open_file(place, Options.of(None, None)).frames
        found["image"], found["unclear"] = _image(frame, place)
    except (OSError, *BROKEN, *UNFORESEEN) as error:
        found["problem"] = _without(shown(place), str(error) or type(error).__name__)
    return found


def _without(name: str, text: str) -> str:
    """A message beside the name of the file, which it does not repeat."""
    return text.removeprefix(name).lstrip(" ,:").removeprefix("is ")


def _hdu(unit: StoredHDU) -> dict[str, Any]:
    return {"hdu": unit.index, "name": unit.name, "type": unit.kind, "shape": [*unit.shape], "text": str(unit)}


def _image(frame: Frame, place: Path | Remote) -> tuple[dict[str, Any], list[str]]:
    """The image that is opened by default, and what is not understood of it."""
    values = cards.values(frame.header)
    summary = Summary.of(values)
    made: dict[str, Any] = {"hdu": frame.hdu, "shape": [*frame.pixels.shape], "dtype": str(frame.pixels.native)}
    made |= {name: _plain(getattr(summary, name)) for name in KEYWORDS}
    made["wcs"], problem = _wcs(frame, place, values)
    return made, [*_unclear(summary, values, frame.header), *problem]


def _plain(value: Any) -> Any:
    """A value for JSON; None for what is not known."""
    if isinstance(value, np.datetime64):
        return None if np.isnat(value) else str(value.astype("datetime64[ms]"))
    return None if value == "" or value != value else value


def _unclear(summary: Summary, values: dict[str, Any], text: str) -> list[str]:
    said = []
    if summary.words and not any(kinds.known(w) for w in (summary.words, summary.kind.removeprefix("master-"))):
        said.append(f"the kind {summary.words!r} is none that is known: it is one of its own")
    dates = [(name, values[name]) for name in (*times.DATES, *times.DAYS) if values.get(name) not in (None, "")]
    if dates and np.isnat(summary.date):
        said.append(f"{dates[0][0]} = {dates[0][1]!r} gives no time at which the exposure began")
    if summary.exposure != summary.exposure and (given := values.get("EXPTIME")) not in (None, ""):
        said.append(f"EXPTIME = {given!r} is no time")
    if summary.unit and settings._astropy_unit(settings.one_spelling(summary.unit)) is None:
        said.append(f"BUNIT = {summary.unit!r} is no unit that is known")
    damaged = [card.lines[0].rstrip() for card in cards.split(text) if not cards._is_sound(card.lines)]
    said += [f"the card {line!r} breaks the standard" for line in damaged[:MOST_CARDS]]
    if len(damaged) > MOST_CARDS:
        said.append(f"and {len(damaged) - MOST_CARDS} more such cards")
    return said


# --- where it points


def _wcs(frame: Frame, place: Path | Remote, values: dict[str, Any]) -> tuple[dict[str, Any] | None, list[str]]:
    """The WCS in numbers, or None, and why it cannot be used."""
    if "CTYPE1" not in values:
        return None, []
    try:
        stack = open_stack([place], hdu=frame.hdu, mask_hdu=None, chunks=None)
        # as the header has them: wcslib calls a TPV a TAN
        kinds_of_axes = [str(values[k]).strip() for k in ("CTYPE1", "CTYPE2") if k in values]
        return _numbers(wcs(stack, 0), frame.pixels.shape, " ".join(kinds_of_axes)), []
    except (OSError, *UNFORESEEN) as error:
        return None, [_without(shown(place), str(error))]


def _numbers(found: Any, shape: tuple[int, ...], projection: str) -> dict[str, Any]:
    made: dict[str, Any] = {"projection": projection, "frame": "", "centre": None}
    if not found.has_celestial or found.naxis != 2 or len(shape) < 2:
        return made
    ny, nx = shape[-2:]
    x, y = (nx - 1) / 2, (ny - 1) / 2
    points = np.array([(x, y), (x - 0.5, y), (x + 0.5, y), (x, y - 0.5), (x, y + 0.5)])
    world = np.array(found.pixel_to_world_values(points[:, 0], points[:, 1]))
    lon, lat = world[found.wcs.lng], world[found.wcs.lat]
    if not np.isfinite(world).all():
        raise ValueError("its WCS gives no position at the centre of the image")
    made["frame"] = str(found.wcs.radesys) if found.wcs.lngtyp == "RA" else str(found.wcs.lngtyp)
    centre = float(lon[0]) % 360, float(lat[0])
    across, along = _steps(np.radians(lon), np.radians(lat))
    scale = [math.degrees(math.hypot(*step)) * 3600 for step in (across, along)]
    return made | {
        "centre": [*centre],
        "sexagesimal": [_sexagesimal(centre[0] / 15, ""), _sexagesimal(centre[1], "+")],
        "scale": scale,  # arcseconds, along x and y
        # position angle of the y axis, north through east
        "rotation": round(math.degrees(math.atan2(along[0], along[1])), 9) + 0.0,  # not -0.0
        "mirrored": across[0] * along[1] - across[1] * along[0] > 0,
        "size": [scale[0] * nx / 60, scale[1] * ny / 60],  # arcminutes
    }


def _steps(lon: Any, lat: Any) -> tuple[tuple[float, float], tuple[float, float]]:
    """The steps of a pixel along x and y, to the east and to the north, in radians."""
    r = np.stack([np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)], -1)
    east = np.array([-np.sin(lon[0]), np.cos(lon[0]), 0.0])
    north = np.cross(r[0], east)
    x, y = r[2] - r[1], r[4] - r[3]
    return (float(x @ east), float(x @ north)), (float(y @ east), float(y @ north))


def _sexagesimal(value: float, sign: str) -> str:
    """Hours or degrees, minutes and seconds; seconds to 0.01 of time or 0.1 of arc."""
    digits = 2 if not sign else 1
    units = round(abs(value) * 3600 * 10**digits)
    seconds, rest = units % (60 * 10**digits), units // (60 * 10**digits)
    lead = ("-" if value < 0 else "+") if sign else ""
    hours = rest // 60 % (24 if not sign else 1000)
    width = 3 + digits
    return f"{lead}{hours:02}:{rest % 60:02}:{seconds / 10**digits:0{width}.{digits}f}"
