"""The arguments of `align` that say how values are resampled: a table of methods, and the checks."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any, NamedTuple

import xarray as xr

from xccd.kernels.drops import DROPS
from xccd.labels.flags import science_variables
from xccd.messages import called, did_you_mean, is_number
from xccd.sky.drizzle import Drops
from xccd.sky.gather import ORDERS, Resampling


class Method(NamedTuple):
    """A way to resample: the arguments that go with it alone, and what it needs."""

    takes: tuple[str, ...] = ()
    offsets: bool = False  # whether it also takes frames at offsets
    corners: bool = False  # whether it needs the corners of pixels, not only their centres
    package: str = ""


METHODS = {
    "interp": Method(("order",), offsets=True),
    "adaptive": Method(package="reproject"),
    "exact": Method(corners=True),
    "drizzle": Method(("pixfrac", "kernel"), offsets=True, corners=True),
}
DEFAULTS: dict[str, Any] = {"order": "bilinear", "pixfrac": 1.0, "kernel": "square"}
CHOICES = {"order": ORDERS, "kernel": DROPS}
FLUX = ("surface brightness", "total")


def check(how: Resampling) -> None:
    """Raise for arguments that are unknown, or do not go with the method."""
    method = how.method
    if not isinstance(method, str) or method not in METHODS:
        near = did_you_mean(method, METHODS)
        raise ValueError(f"method={called(method)} is unknown: use one of {', '.join(METHODS)}{near}")
    for name, default in DEFAULTS.items():
        value = getattr(how, name)
        if name not in METHODS[method].takes and not (type(value) is type(default) and value == default):
            able = next(other for other, row in METHODS.items() if name in row.takes)
            raise ValueError(f"{name}={value!r} with method={method!r}: {name} goes with {able!r}")
    package = METHODS[method].package
    if package and find_spec(package) is None:
        raise ImportError(f"method={method!r} needs {package}: pip install 'xccd[align]' or conda install {package}")
    for name, known in CHOICES.items():
        value = getattr(how, name)
        if not isinstance(value, str) or value not in known:
            near = did_you_mean(value, known)
            raise ValueError(f"{name}={called(value)} is unknown: use one of {', '.join(known)}{near}")
    _check_pixfrac(how.pixfrac)
    if how.flux not in FLUX:
        near = did_you_mean(how.flux, FLUX)
        raise ValueError(f"flux={how.flux!r} is unknown: use 'surface brightness' or 'total'{near}")


def _check_pixfrac(pixfrac: Any) -> None:
    number = is_number(pixfrac)
    if not number or not 0 < pixfrac <= 1:
        point = ": kernel='point' is the limit of small drops" if number and pixfrac == 0 else ""
        raise ValueError(f"pixfrac={called(pixfrac)} is not a number above 0 and up to 1{point}")


def check_offsets(method: str) -> None:
    """Raise if a method does not take frames at offsets."""
    if not METHODS[method].offsets:
        able = ", ".join(name for name, row in METHODS.items() if row.offsets)
        raise ValueError(f"method={method!r} with offsets=: frames at offsets are copied, or resampled by {able}")


def names_to_align(ds: xr.Dataset, how: Resampling) -> list[Any]:
    """The names of the stacks of a Dataset. Raises if several would need drizzle's weights, each its own."""
    names = science_variables(ds, "frame")
    if drops_of(how) and len(names) > 1:
        raise ValueError(
            f"method='drizzle' gives each stack weights of its own, and this Dataset has {', '.join(map(str, names))}: "
            f"align one after the other, as ds[{names[0]!r}].ccd.align(...)"
        )
    return names


def drops_of(how: Resampling) -> Drops | None:
    """What pixels become, for "drizzle"."""
    return Drops(how.kernel, float(how.pixfrac)) if how.method == "drizzle" else None


def spread_of(how: Resampling) -> float:
    """How far a pixel reaches beyond itself, in pixels of its frame, so that no frame is copied; 0 for most methods."""
    drops = drops_of(how)
    return drops.spread if drops else 0.0


def in_history(how: Resampling) -> dict[str, Any]:
    """The arguments for HISTORY, without those that go with other methods."""
    others = DEFAULTS.keys() - set(METHODS[how.method].takes)
    return {k: v for k, v in how._asdict().items() if k not in others}
