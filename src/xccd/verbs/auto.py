"""`reject("auto")`: the algorithm for so many frames, and for what is known of their noise."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.headers import kinds, units
from xccd.labels.flags import map_name
from xccd.labels.frames import check_stack
from xccd.labels.keywords import keyword_of_frames
from xccd.labels.mixed import kind_labels
from xccd.labels.warn import warn
from xccd.verbs.photon_noise import camera_numbers
from xccd.write.product_inputs import SCALED

log = logging.getLogger("xccd")
NO_OPTIONS: Mapping[str, Any] = MappingProxyType({})
CORES = 1.2  # slopes that are spared in the cores of stars, see `reject`


class Choice(NamedTuple):
    """An algorithm with its options, the counts of frames that it is for, and what must be known."""

    algorithm: str
    least: int
    most: float = float("inf")
    known: str | None = None  # "uncertainty", "camera", or None if nothing need be known
    options: Mapping[str, Any] = NO_OPTIONS
    spares_cores: bool = False  # of stars, in stacks of images
    sided: bool = True  # whether low and high are deviations


# The first row that applies is taken. Figures are those of docs/_static/rejections.csv, at a share of 0.01 and 200 e-:
# the rms error of the mean over that of clean frames, where an error counts 10 at most (1 is the best). Figures for
# stars are those of rejections_stars.csv.
CHOICES = (
    # 1 and 2 frames: "lacosmic" finds 90 and 93 % of the rays. 2 frames: 1.06, without it 1.63; "noise" 1.69, as both
    # samples are equally far from their median. With low=None it has 1.02, but takes 5 % of the light of stars whose
    # width varies by 10 %.
    Choice("lacosmic", 1, 2, "camera", sided=False),
    # 3, 4, 5, 7 frames: 1.05, 1.05, 1.04, 1.03; without a known noise 1.18, 1.08, 1.06, 1.04. If a tenth of the samples
    # is struck, 5 frames have 1.42 and 1.63. Stars of 4 frames whose width varies by 10 % lose 43 % of their light, as
    # pixels lose all their samples; with spared cores they lose 0.3 %.
    Choice("variance", 3, 9, "uncertainty", spares_cores=True),
    # "noise" is not here: whether the sky was subtracted is not in a header. Of five real frames without their sky it
    # rejects 58 % of the samples, with GAIN and RDNOISE right; "winsorized" 2 %.
    # 3 frames: 1.18; "percentile" 1.21, which depends on the level, "extrema" 1.31, all others 1.8. It takes 11 % of
    # clean samples.
    Choice("sigma", 3, 3, options={"center": "median", "deviation": "mad_std", "maxiters": None}),
    # 4, 5, 10, 25, 100 frames: 1.08, 1.06, 1.04, 1.02, 1.00; sigma with median and mad_std 1.12, 1.16, 1.11, 1.07,
    # 1.02. From 10 frames on a known noise gives nothing more: 1.03, 1.02, 1.01 for 10, 25, 100. With a tenth of the
    # samples struck it has 1.16 for 10 frames, "winsorized" 1.14.
    Choice("winsorized", 4),
    # 1 and 2 frames of which nothing is known: it rejects nothing, and a warning says so.
    Choice("extrema", 1, 2, sided=False),
)


class Chosen(NamedTuple):
    """What "auto" stands for in a call."""

    algorithm: str
    options: dict[str, Any]
    cores: float | None


NO_OPTION = "{} is no option of 'auto': it takes low, high, spare_cores. Name the algorithm that has it"


def chosen(
    stack: xr.DataArray, dim: Hashable, thresholds: Mapping[str, Any], options: Mapping[str, Any], cores: float | None
) -> Chosen:  # fmt: skip
    """The algorithm for a stack, said in the log; with a warning if it can reject nothing. Nothing is computed.

    ``thresholds`` are those that the user gives, ``cores`` is the user's ``spare_cores``.
    """
    for name, value in options.items():
        raise ValueError(NO_OPTION.format(f"{name}={value!r}"))
    n, images = check_stack(stack, dim), {"y", "x"} <= set(stack.dims)
    missing = {"uncertainty": _no_uncertainty(stack), "camera": _no_camera(stack, dim)}
    lacks = _lacosmic_lacks(stack, images, missing["camera"]) if n <= 2 else ""
    row = next(row for row in CHOICES if _fits(row, n, missing, lacks))
    for name, value in {} if row.sided else thresholds.items():
        raise ValueError(
            f"{name}={value!r}: 'auto' takes {row.algorithm!r} for {n} frame(s), which has no thresholds in "
            "deviations: leave it out, or name another algorithm"
        )
    if cores is None and row.spares_cores and images:
        cores = CORES
    shown = {**thresholds, **row.options} | ({} if cores is None else {"spare_cores": cores})
    call = ", ".join([repr(row.algorithm), *(f"{k}={v!r}" for k, v in shown.items())])
    log.info("reject('auto') is reject(%s): %d frame(s), %s", call, n, _reason(row, n, missing))
    if row.algorithm == "extrema":
        warn(f"reject('auto') rejects nothing with {n} frame(s): 'lacosmic' finds cosmic rays in each, and {lacks}")
    return Chosen(row.algorithm, dict(row.options), cores)


def _fits(row: Choice, n: int, missing: Mapping[str, str], lacks: str) -> bool:
    known = row.known is None or not missing[row.known]
    return row.least <= n <= row.most and known and not (row.algorithm == "lacosmic" and lacks)


def _reason(row: Choice, n: int, missing: Mapping[str, str]) -> str:
    """Why a row was taken, for the log."""
    if row.known == "uncertainty":
        return "whose samples have uncertainties"
    if row.known == "camera":
        return "GAIN and RDNOISE are known (the samples must be without their bias)"
    if n >= 10:
        return "whose scatter says as much as a known noise"
    return missing["uncertainty"] or missing["camera"]


def _no_uncertainty(stack: xr.DataArray) -> str:
    """What is wrong with the uncertainties of the samples; "" if they can be used."""
    found = stack.coords.get(map_name(stack.name, "uncertainty"))
    if found is None or set(found.dims) != set(stack.dims):
        return "there are no uncertainties"
    return ""


def _no_camera(stack: xr.DataArray, dim: Hashable) -> str:
    """What is wrong with GAIN and RDNOISE as the noise of these samples; "" if they can be used."""
    labels = [name for name in stack.coords if name in ("scale", "zero") or str(name).startswith("zero_")]
    if any(name not in ("scale", "zero") or stack.coords[name].dims != (dim,) for name in labels):
        return "the levels of the frames were changed by more than one number for each"
    if SCALED in stack.coords and "scale" not in stack.coords:
        return "the frames were scaled, and the label 'scale' is gone"
    unit = units.spelled(str(stack.attrs.get("units", "")))
    if unit not in (*units.CAMERA, "electron"):
        return f"a gain says nothing of data in {unit!r}"
    for imagetyp, obstype, _, number in dict.fromkeys(zip(*kind_labels(stack, dim), strict=True)):
        kind = kinds.kind_of(imagetyp, obstype)
        if kind in ("bias", "dark"):
            return f"the level of a {kind} frame is not its light"
        if str(kind).startswith("master-") or kinds.made_of("light", number) != "light" or _all_combined(stack, dim):
            return "the frames are combined ones, and RDNOISE is that of one"
    try:
        gains, noises = camera_numbers("gain", "GAIN", stack, dim), camera_numbers("readnoise", "RDNOISE", stack, dim)
    except (TypeError, ValueError) as error:
        return str(error)
    if not (np.isfinite(gains) & (gains > 0) & np.isfinite(noises) & (noises >= 0)).all():
        return "GAIN must be above 0, and RDNOISE 0 or more"
    return "the data are in electron, but GAIN is not 1" if unit == "electron" and np.any(gains != 1) else ""


def _all_combined(stack: xr.DataArray, dim: Hashable) -> bool:
    """Whether every frame has NCOMBINE above 1 (where it differs between frames it is a label)."""
    try:
        return bool(np.all(keyword_of_frames("NCOMBINE", "NCOMBINE", stack, dim) > 1))
    except (TypeError, ValueError):  # no such keyword
        return False


def _lacosmic_lacks(stack: xr.DataArray, images: bool, camera: str) -> str:
    """Why "lacosmic" cannot be used; "" if it can."""
    if not images:
        return "needs images with y and x"
    if "scale" in stack.coords or "zero" in stack.coords:
        return "needs frames with their sky: reject before normalize"
    if camera:
        return f"needs a known noise: {camera}"
    lacking = "needs astroscrappy: pip install 'xccd[cosmics]' or conda install astroscrappy"
    return lacking if find_spec("astroscrappy") is None else ""
