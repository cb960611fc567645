"""The limits of grey of one picture or of several."""

from __future__ import annotations

from typing import Any

import numpy as np

from xccd.messages import is_number
from xccd.pictures.zscale import limits

Array = np.ndarray[Any, Any]


def zscale(values: Any) -> tuple[float, float]:
    """The limits that IRAF's display and DS9 take by default; of equal values, values around them; 0 and 1 of none."""
    good = np.asarray(values)[np.isfinite(values)].astype(np.float64)
    if not good.size:
        return 0.0, 1.0
    with np.errstate(all="ignore"):
        low, high = limits(good)
    if not (np.isfinite(low) and np.isfinite(high)):
        low, high = float(good.min()), float(good.max())
    if low < high:
        return low, high
    room = max(1.0, abs(low)) / 2
    return low - room, low + room


def limits_of(values: Array, vmin: Any, vmax: Any, colours: bool) -> list[tuple[float, float]]:
    """The limits of images (frame, y, x), or of each colour of (frame, y, x, channel), those given in their place."""
    planes = list(np.moveaxis(values, -1, 0)) if colours else [values]
    found = []
    for plane in planes:
        low, high = (vmin, vmax) if vmin is not None and vmax is not None else zscale(plane)
        low, high = (low if vmin is None else float(vmin)), (high if vmax is None else float(vmax))
        found.append((low, high) if low < high else (low, low + 1) if vmax is None else (high - 1, high))
    return found


def check_limits(vmin: Any, vmax: Any) -> None:
    """Raise unless both are finite numbers or None, and in order."""
    for name, value in (("vmin", vmin), ("vmax", vmax)):
        if value is not None and not is_number(value):
            raise TypeError(f"{name}={value!r} is no number: give a level of the samples, or leave it out for zscale")
        if value is not None and not np.isfinite(float(value)):
            raise ValueError(f"{name}={value!r} is not finite")
    if vmin is not None and vmax is not None and not vmin < vmax:
        raise ValueError(f"vmin={vmin!r} is not below vmax={vmax!r}")


def rgba(
    values: Array, limits: list[tuple[float, float]], missing: tuple[float, float, float], darkest: float
) -> Array:
    """Colours (y, x, channel) between their limits, and the colour of missing pixels, as (y, x, 4)."""
    seen: Array = np.asarray(np.isfinite(values).all(axis=-1))
    low, high = np.array(limits).T
    with np.errstate(invalid="ignore"):
        shades = darkest + (1 - darkest) * np.clip((values - low) / (high - low), 0, 1)
    return np.dstack([np.where(seen[..., None], shades, missing), np.ones(seen.shape)])
