"""Whether a master goes with frames: its kind, binning, camera settings, and what was done before."""

from __future__ import annotations

from collections.abc import Hashable

import xarray as xr

from xccd.headers import kinds
from xccd.labels import calibration
from xccd.labels.warn import warn
from xccd.verbs.calibrate.keywords import BINNING, differing, keyword_of, kind_of, number_of
from xccd.verbs.calibrate.masters import Master


def check_kind(master: Master, wanted: tuple[str, ...]) -> None:
    """Raise if the master is known to be of another kind. Darks without exposure are biases."""
    kind = (kind_of(master.image) or "").removeprefix("master-")
    if kind not in kinds.KINDS or kind in wanted:
        return
    if kind == "dark" and "bias" in wanted and number_of(master.image, "EXPTIME") == 0:
        return
    written = keyword_of(master.image, "IMAGETYP") or keyword_of(master.image, "OBSTYPE")
    raise ValueError(
        f"{master.shown} is a {kind}, by IMAGETYP = {str(written)!r}, not a {wanted[0]}: if its header is wrong, use "
        f"{master.argument}.assign_attrs(IMAGETYP={wanted[0]!r})"
    )


def check_binning(master: Master, stack: xr.DataArray, dim: Hashable) -> None:
    """Raise if the binning of the master is another one."""
    if found := differing(stack, dim, master.image, BINNING):
        raise ValueError(
            f"the frames and {master.shown} differ in their binning: {found}; take a master of the same binning"
        )


def check_settings(
    master: Master, stack: xr.DataArray, dim: Hashable, names: tuple[str, ...], within: float = 0.0
) -> None:
    """Warn if a setting of the master is another one."""
    if found := differing(stack, dim, master.image, names, within):
        warn(f"the frames and {master.shown} differ: {found}")


def check_again(stack: xr.DataArray, dim: Hashable, name: str, verb: str) -> None:
    """Warn if a step was done before."""
    if (before := calibration.done(stack, dim).get(name)) is not None:
        warn(f"{verb}: {name} = {str(before)!r} says that this was done before")
