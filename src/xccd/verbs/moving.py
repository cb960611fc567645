"""`align(rate=)` and `align(ephemeris=)`: where a moving object is in each frame."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import times
from xccd.labels.frames import frame_names
from xccd.messages import a_type
from xccd.sky.grid import Grid
from xccd.sky.moving import following
from xccd.write.product_inputs import Inputs

Array = np.ndarray[Any, Any]
HOUR = 1 / 24
FARTHEST = 10.0  # degrees: an object that moves farther leaves the field of any frame
COLUMNS = {"time": ("datetime_jd", "jd", "mjd", "time"), "ra": ("ra", "RA"), "dec": ("dec", "DEC")}
DAYS_BEFORE = {"datetime_jd": 2400000.5, "jd": 2400000.5, "mjd": 0.0}  # of a day number, at MJD 0


def following_grids(
    stacks: list[xr.DataArray], grids: list[list[Grid]], rate: Any, ephemeris: Any, to: Any
) -> list[list[Grid]]:
    """The grids of all frames, turned so that the object has one place: that in the reference frame.

    The reference is frame ``to`` if that is a number, else the first one.
    """
    names = [name for stack in stacks for name in frame_names(stack, "frame")]
    mjd = np.concatenate([Inputs.of(stack, "frame").middle for stack in stacks])
    if not np.isfinite(mjd).all():
        name = names[int(np.flatnonzero(~np.isfinite(mjd))[0])]
        raise ValueError(
            f"{name} does not say when it was exposed (DATE-OBS with a time, and EXPTIME): a moving object cannot be "
            "followed"
        )
    every = [grid for some in grids for grid in some]
    reference = int(to) % len(every) if isinstance(to, int | np.integer) and not isinstance(to, bool) else 0
    if rate is not None:
        seen = _at_rate(every[reference], rate, (mjd - mjd[reference]) / HOUR)
    else:
        seen = _by_ephemeris(ephemeris, mjd, names)
    made, turned = [], {}
    for i, (grid, name) in enumerate(zip(every, names, strict=True)):
        key = (grid, mjd[i])  # chips of one exposure share it
        if key not in turned:
            try:
                turned[key] = following(grid, seen[i], seen[reference])
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from error
        made.append(turned[key])
    counts = np.cumsum([0, *map(len, grids)]).tolist()
    return [made[a:b] for a, b in itertools.pairwise(counts)]


def positions_in_history(ephemeris: Any) -> str:
    """An ephemeris as a text for the history."""
    return f"{_parsed_table(ephemeris)[0].size} positions"


def rates(rate: Any) -> tuple[float, float]:
    """The two rates in arcseconds an hour."""
    if not (isinstance(rate, tuple | list | np.ndarray) or hasattr(rate, "unit")) or len(rate) != 2:
        raise TypeError(f"rate={rate!r} is not a pair: give (rate of RA * cos(Dec), rate of Dec) in arcseconds an hour")
    try:
        pair = [v.to_value("arcsec / hour") if hasattr(v, "unit") else float(v) for v in rate]
    except (TypeError, ValueError) as error:
        raise TypeError(f"rate={rate!r} is no pair of numbers in arcseconds an hour, or of rates: {error}") from error
    if not np.isfinite(pair).all():
        raise ValueError(f"rate={rate!r} is not finite: give arcseconds an hour")
    return pair[0], pair[1]


def _at_rate(grid: Grid, rate: Any, hours: Array) -> Any:
    """Positions of an object that is at the centre of a grid at hour 0."""
    from astropy import units as u
    from astropy.coordinates import SkyCoord

    east, north = (hours * v / 3600 for v in rates(rate))
    if np.hypot(east, north).max() > FARTHEST:
        raise ValueError(
            f"rate={rate!r} moves by {np.hypot(east, north).max():.4g} degrees in {np.ptp(hours):.4g} hours, more than "
            f"{FARTHEST:g}: give arcseconds an hour, or an ephemeris"
        )
    center = SkyCoord(*grid.center, unit="deg", frame=grid.frame).icrs
    return center.spherical_offsets_by(east * u.deg, north * u.deg)


def _by_ephemeris(table: Any, mjd: Array, names: list[str]) -> Any:
    """Positions at some times, by cubics through the unit vectors of the table's positions."""
    from astropy.coordinates import SkyCoord

    days, sky = _parsed_table(table)
    for time, name in zip(mjd.tolist(), names, strict=True):
        if not days[0] <= time <= days[-1]:
            raise ValueError(
                f"ephemeris= goes from {_iso(days[0])} to {_iso(days[-1])}, and {name} was exposed at {_iso(time)}"
            )
    vectors = sky.cartesian.xyz.value
    count = min(4, days.size)
    first = np.clip(np.searchsorted(days, mjd) - count // 2, 0, days.size - count)
    found = np.zeros((3, mjd.size))
    for k in range(count):  # Lagrange
        weight = np.ones(mjd.size)
        for m in range(count):
            if m != k:
                weight *= (mjd - days[first + m]) / (days[first + k] - days[first + m])
        found += weight * vectors[:, first + k]
    x, y, z = found
    return SkyCoord(np.degrees(np.arctan2(y, x)), np.degrees(np.arctan2(z, np.hypot(x, y))), unit="deg")


def _parsed_table(table: Any) -> tuple[Array, Any]:
    """The times of an ephemeris as MJD (UTC), in order, and its positions as a SkyCoord in ICRS."""
    from astropy.coordinates import SkyCoord

    columns = {kind: next((n for n in names if _has(table, n)), None) for kind, names in COLUMNS.items()}
    missing = [f"{kind} ({', '.join(COLUMNS[kind])})" for kind, name in columns.items() if name is None]
    if missing:
        raise TypeError(f"ephemeris= is {a_type(table)} without a column {' and '.join(missing)}")
    days = _days(columns["time"], table[columns["time"]])
    ra, dec = (_plain_degrees(table[columns[kind]]) for kind in ("ra", "dec"))
    if not (days.shape == ra.shape == dec.shape and days.ndim == 1 and days.size >= 2):
        raise ValueError(
            f"ephemeris= has columns of shapes {days.shape}, {ra.shape}, {dec.shape}: give two rows or more"
        )
    if not (np.isfinite(days).all() and (np.diff(days) > 0).all()):
        raise ValueError("the times of ephemeris= do not rise: sort its rows, and leave out what has no time")
    return days, SkyCoord(ra, dec, unit="deg")


def _has(table: Any, name: str) -> bool:
    columns = getattr(table, "colnames", None)
    try:
        return name in (table if columns is None else columns)
    except TypeError:
        return False


def _days(name: Any, column: Any) -> Array:
    """A column of times as MJD in UTC."""
    if hasattr(column, "utc"):
        return np.asarray(column.utc.mjd, float)
    values = np.asarray(getattr(column, "value", column))
    if name in DAYS_BEFORE:
        return values.astype(float) - DAYS_BEFORE[name]
    if values.dtype.kind not in "MOUT":
        raise TypeError(
            f"the column 'time' of ephemeris= holds {values.dtype}: give instants, or a column 'jd' or 'mjd'"
        )
    return times.mjd(values.astype("datetime64[ns]"))


def _plain_degrees(column: Any) -> Array:
    unit = getattr(column, "unit", None)
    if unit is not None and hasattr(column, "to_value"):
        return np.asarray(column.to_value("deg"), float)
    return np.asarray(column, float)


def _iso(mjd: float) -> str:
    return str(np.datetime_as_string(times.at_mjd(mjd), "s"))
