"""The table of rejections: a row has thresholds, options, kernels, and the lines for the docs. `table` has it, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels import thresholds

Array = Any
# The centre and the deviation of a clip, as numbers that kernels compare.
CENTERS = {"mean": 1.0, "median": 0.0}
DEVIATIONS = {"std": 0.0, "mad_std": 1.0}
ABOUT = {"mean": 0.0, "center": 1.0}


class ClipOptions(NamedTuple):
    """The options of a sigma clip for kernels: ten float64."""

    center: float  # of `CENTERS`
    deviation: float  # of `DEVIATIONS`
    low: float  # deviations; infinite if nothing is rejected on that side
    high: float
    ddof: float = 0.0
    floor: float = 0.0  # the least deviation, in data units
    nkeep: float = 0.0
    maxiters: float = 1.0  # below 0: until stable
    about: float = 0.0  # of `ABOUT`: what the standard deviation is about
    minimum: float = 0.0  # samples without which no pass begins


class Option(NamedTuple):
    """An option of some rejections: its default, the test of a value, the rule in words, and its number for kernels."""

    name: str
    default: Any
    is_right: Callable[[Any], bool]
    rule: str
    number: Callable[[Any], float] = float


def _any(_: Any) -> bool:
    return True  # the verb checks it


def _is_bool(value: Any) -> bool:
    return isinstance(value, (bool, np.bool_))


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.number)) and not isinstance(value, bool)


def _is_at_least_0(value: Any) -> bool:
    return _is_number(value) and 0 <= value < float("inf")


def _is_above_0(value: Any) -> bool:
    return _is_number(value) and 0 < value < float("inf")


def _one(value: Any) -> float:
    """The number of an option; 1 for a keyword or an array, which the verb puts in its place."""
    return float(value) if _is_number(value) else 1.0


_CENTER = Option("center", "median", lambda v: v in CENTERS, "'median' or 'mean'", lambda v: CENTERS[v])
_NKEEP = Option("nkeep", 0, lambda v: _is_at_least_0(v) and v == int(v), "a whole number of 0 or more")
_EACH = "a number, one for each frame, or a keyword"
_NOISE = (
    Option("readnoise", "RDNOISE", _any, _EACH, _one),
    Option("gain", "GAIN", _any, _EACH, _one),
    Option("sensitivity", 0.0, _is_at_least_0, "a finite number of 0 or more"),
    _CENTER,
    _NKEEP,
)


class Rejection(NamedTuple):
    """A rejection: the public verb, the function of both engines, the oracle of its tests, and its properties."""

    verb: str
    kernel: str | None  # that narrows the bounds; None: there is no such kernel
    oracle: str
    by_sample: bool = False  # whether it judges each sample without the others of its pixel
    sums: str | None = None  # when its kernel can return the sums: "always", or if nothing else is asked for ("alone")
    low: float | None = 3.0  # the default threshold below the centre; None: that side is off
    high: float | None = 3.0
    sided: bool = True  # whether ``low`` and ``high`` are thresholds at all
    options: tuple[Option, ...] = ()
    least: int = 1  # samples of a pixel, without which it rejects nothing
    marks: str | None = None  # the kernel that marks samples one by one, where survivors are no window of the column
    function: Callable[..., Any] | None = None  # a user's: (values, axis, **options) to a boolean array
    summary: str = ""
    source: str = ""
    table: Callable[[int, tuple[float, ...]], Array] | None = None  # for its kernel, from the frames and the options
    images: bool = False  # whether it judges whole images, each frame by itself; then it has no kernel
    kinds: int = 0  # kinds of numbers that its kernel takes of each frame

    def numbers(self, low: float | None, high: float | None, options: Mapping[str, Any]) -> tuple[float, ...]:
        """The options as kernels take them: low and high, infinite where off, then the row's own."""
        sides = (float("inf") if k is None else float(k) for k in (low, high))
        return (*sides, *(option.number(options.get(option.name, option.default)) for option in self.options))


REJECTIONS: dict[str, Rejection] = {
    "sigma": Rejection(
        "sigma_clip", "sigma", "sigma_clip", sums="always",
        options=(
            Option("center", "mean", _any, "'mean', 'median' or a function"),
            Option("deviation", "std", _any, "'std', 'mad_std' or a function"),
            Option("maxiters", 1, _any, "a whole number of 1 or more, or None"),
            Option("ddof", 0, _any, "a whole number of 0 or more"),
            Option("floor", 0, _any, "a finite number of 0 or more"),
            Option("nkeep", 0, _any, "a whole number of 0 or more"),
            Option("about", "mean", lambda v: v in ABOUT, "'mean' or 'center'", lambda v: ABOUT[v]),
            Option("minimum", 0, _any, "a whole number of 0 or more"),
        ),
        summary="samples far from the centre, in deviations",
        source="IRAF imcombine's sigclip, astropy, Siril",
    ),
    "extrema": Rejection(
        "clip_extrema", "extreme", "clip_extrema", sums="alone", low=0, high=0, marks="ranks",
        options=(Option("fraction", False, _is_bool, "True or False"),),
        summary="the lowest and the highest samples",
        source="IRAF imcombine's minmax",
    ),
    "range": Rejection(
        "minmax", None, "minmax", by_sample=True, low=None, high=None,
        summary="samples beyond two limits",
        source="IRAF imcombine's thresholds",
    ),
    "percentile": Rejection(
        "reject", "percentile", "percentile", low=0.2, high=0.1,
        summary="samples far from the median, in parts of the median",
        source="Siril's percentile clipping",
    ),
    "linear_fit": Rejection(
        "reject", None, "linear_fit", low=5.0, high=2.5, least=5, marks="linear_fit",
        summary="samples far from a straight line through the sorted ones",
        source="PixInsight's and Siril's linear fit clipping",
    ),
    "winsorized": Rejection(
        "reject", "winsorized", "winsorized", low=4.0, high=3.0, least=4,
        options=(
            Option(
                "floor", None, lambda v: v is None or _is_at_least_0(v), "a finite number of 0 or more, or None",
                lambda v: -1.0 if v is None else float(v),
            ),
        ),
        summary="samples far from the median, in deviations that outliers hardly enter",
        source="PixInsight's and Siril's winsorized clipping",
    ),
    "percentile_rank": Rejection(
        "reject", "percentile_rank", "percentile_rank", least=3,
        options=(
            Option("pclip", -0.5, lambda v: _is_number(v) and abs(v) < 1e9 and v != 0, "a finite number other than 0"),
            _NKEEP,
        ),
        summary="samples far from the median, in distances of the one some ranks away",
        source="IRAF imcombine's pclip",
    ),
    "noise": Rejection(
        "reject", "noise", "noise", least=2, marks="errors", kinds=5, options=_NOISE,
        summary="samples far from the centre, in the noise of a CCD at that level",
        source="IRAF imcombine's ccdclip and crreject",
    ),
    "variance": Rejection(
        "reject", None, "variance_clip", least=2, marks="errors", kinds=5,
        summary="samples far from the median, in their own uncertainties",
        source="HDRL's and other pipelines' clipping by errors",
    ),
    "average_sigma": Rejection(
        "reject", None, "average_sigma", least=3, marks="errors", kinds=5,
        options=(
            _CENTER,
            Option("per", "row", lambda v: v in ("row", "image", "pixel"), "'row', 'image' or 'pixel'", lambda _: 3.0),
            _NKEEP,
        ),
        summary="samples far from the centre, in a noise that is measured where the light is the same",
        source="IRAF imcombine's avsigclip",
    ),
    "esd": Rejection(
        "reject", "esd", "esd", low=None, high=None, sided=False, least=3, table=thresholds.esd,
        options=(
            Option("max_outliers", 0.3, lambda v: _is_number(v) and 0 < v < 1, "a number between 0 and 1"),
            Option("alpha", 0.05, lambda v: _is_number(v) and 0 < v < 1, "a number between 0 and 1"),
        ),
        summary="outliers by the generalised ESD test",
        source="Rosner 1983, Technometrics 25, 165",
    ),
    "chauvenet": Rejection(
        "reject", "chauvenet", "chauvenet", low=None, high=None, sided=False, least=3, table=thresholds.chauvenet,
        options=(
            Option("limit", 0.5, lambda v: _is_number(v) and 0 < v < 3, "a number between 0 and 3"),
            Option("robust", False, _is_bool, "True or False"),
        ),
        summary="the worst sample, while fewer than half of one like it is to be expected",
        source="Chauvenet's criterion; Maples et al. 2018",
    ),
    "swarp": Rejection(
        "reject", None, "swarp", low=4.0, high=4.0, least=2, marks="swarp", kinds=2,
        options=(
            Option("amplitude", 0.3, _is_at_least_0, "a finite number of 0 or more"),
            Option("gain", "GAIN", _any, _EACH, _one),
            Option("noise", None, _any, f"{_EACH}; None takes the uncertainties", _one),
        ),
        summary="samples far from the median, in their noise and in parts of the median",
        source="SWarp: Gruen, Seitz & Bernstein 2014, PASP 126, 158",
    ),
    "lacosmic": Rejection(
        "reject", None, "lacosmic", low=None, high=None, sided=False, images=True,
        options=(
            Option("sigclip", 4.5, _is_above_0, "a finite number above 0"),
            Option("sigfrac", 0.3, _is_above_0, "a finite number above 0"),
            Option("objlim", 5.0, _is_above_0, "a finite number above 0"),
            Option("niter", 4, lambda v: _is_above_0(v) and v == int(v), "a whole number of 1 or more"),
            Option("readnoise", "RDNOISE", _any, _EACH, _one),
            Option("gain", "GAIN", _any, _EACH, _one),
            Option("saturation", None, lambda v: v is None or _is_above_0(v), "a finite number above 0, or None", _one),
        ),
        summary="cosmic rays by their sharp edges, in each frame by itself",
        source="L.A.Cosmic: van Dokkum 2001, PASP 113, 1420; by astroscrappy",
    ),
}  # fmt: skip


_NO_TABLE = np.empty((0, 0))


def table_of(name: str, frames: int, options: tuple[float, ...]) -> Array:
    """The table of numbers that the kernel of a rejection takes, float64; empty if it takes none."""
    make = REJECTIONS[name].table
    return _NO_TABLE if make is None else make(frames, options)
