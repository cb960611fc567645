"""Three tables: combinations, rejections, and outputs of a product. A feature is a row.

They are read by verbs, both engines, the partial sums of dask's chunks, error formulas, `warm_up`, the command, the
writer, docs and tests. Kernels are given by name, so that no engine is imported until something is computed. Both
engines have a function of that name, in `compiled/` and in `plain/`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np

from xccd.kernels import formulas
from xccd.kernels.rejections import CENTERS as CENTERS
from xccd.kernels.rejections import DEVIATIONS as DEVIATIONS
from xccd.kernels.rejections import REJECTIONS as REJECTIONS
from xccd.kernels.rejections import ClipOptions as ClipOptions
from xccd.kernels.rejections import Option as Option
from xccd.kernels.rejections import Rejection as Rejection
from xccd.kernels.rejections import table_of as table_of

Array = Any


class Partials(NamedTuple):
    """For a stack that is cut along its frames: the partial sums of each chunk, and the function that finishes them."""

    parts: tuple[str, ...]  # names of `compute.partials.PARTS`
    finish: Callable[..., Array]


class Error(NamedTuple):
    """The standard error of a combination: a statistic of the samples times a factor for their count."""

    statistic: str  # a method
    ddof: int
    factor: Callable[[Array], Array]
    partials: Partials | None = None


class Method(NamedTuple):
    """A combination: its kernel, and everything that other files need to know about it."""

    kernel: str
    mode: float | None = 0.0  # selects one result of the kernel; None: the mode is the method's own argument
    weighted: str | None = None  # the kernel with weights, if there is one; it has the same mode
    dtype: str | None = None  # of the image; None: the float that holds the stack's samples
    sorts: str | None = None  # the rows that must be sorted: None, the "middle" ones, or "all"
    takes: tuple[str, ...] = ()  # arguments of `combine`: rows of `ARGUMENTS`
    error: Error | None = None
    weighted_error: bool = False  # whether the weighted form has an error, too
    partials: Partials | None = None
    weighted_partials: Partials | None = None
    propagated: Callable[..., Array] | None = None  # the formula of its error, from `engine.error_sums`
    needs: str | None = None  # a map of the stack


_SUM, _WEIGHTED = ("sum", "count"), ("weighted_sum", "weight")
_SQUARES = ("squares", "count", "sum")

METHODS: dict[str, Method] = {
    "mean": Method(
        "sums", 1.0, "weighted_sums",
        error=Error("std", 1, formulas.of_mean, Partials(_SQUARES, formulas.error_of_mean)), weighted_error=True,
        partials=Partials(_SUM, formulas.ratio), weighted_partials=Partials(_WEIGHTED, formulas.ratio),
        propagated=formulas.propagated_by_mean,
    ),
    "median": Method(
        "median", 0.5, "weighted_quantile", sorts="middle", error=Error("mad_std", 0, formulas.of_median),
        propagated=formulas.propagated_by_median,
    ),
    "lower_median": Method("median", 0.0, sorts="middle"),
    "sum": Method(
        "sums", 0.0, "weighted_sums", takes=("rescale",),
        dtype="float64",  # sums of counts exceed 2^24, and float32 would round
        error=Error("std", 1, formulas.of_sum, Partials(_SQUARES, formulas.error_of_sum)), weighted_error=True,
        partials=Partials(_SUM, formulas.total), weighted_partials=Partials(_WEIGHTED, formulas.total),
        propagated=formulas.propagated_by_sum,
    ),
    "min": Method("extremum", 1.0, partials=Partials(("least",), formulas.as_it_is)),
    "max": Method("extremum", -1.0, partials=Partials(("most",), formulas.as_it_is)),
    "std": Method("variance", 1.0, takes=("ddof",)),
    "var": Method("variance", 0.0, takes=("ddof",)),
    "mad_std": Method("mad_std", sorts="all"),
    "biweight": Method("biweight", None, sorts="all", takes=("c",)),
    "quantile": Method("quantile", None, "weighted_quantile", sorts="all", takes=("q",)),
    "geometric_mean": Method("geometric_mean"),
    "mode": Method("half_sample_mode", sorts="all"),
    "adaptive": Method("adaptive"),
    "first": Method("outermost", 1.0, partials=Partials(("first",), formulas.as_it_is)),
    "last": Method("outermost", -1.0, partials=Partials(("last",), formulas.as_it_is)),
    "ivar": Method("weighted_sums", 1.0, needs="uncertainty"),  # the weights are 1 / sigma^2
    "count": Method("count", dtype="int64", partials=Partials(("count",), formulas.as_it_is)),
}  # fmt: skip


class Argument(NamedTuple):
    """An argument of some methods: its default (None: it must be given), and the test of a value."""

    default: float | bool | None
    is_right: Callable[[Any], bool]
    rule: str
    may_be_none: bool = True  # None then means the default


ARGUMENTS: dict[str, Argument] = {
    "q": Argument(None, lambda q: 0 <= q <= 1, "one number from 0 to 1"),
    "c": Argument(6.0, lambda c: 0 < c < float("inf"), "one finite number above 0"),
    "ddof": Argument(
        0,
        lambda ddof: isinstance(ddof, (int, np.integer)) and bool(ddof >= 0),
        "a whole number of 0 or more",
        may_be_none=False,
    ),
    "rescale": Argument(False, lambda rescale: True, "True or False", may_be_none=False),
}


class Reduction(NamedTuple):
    """The part of a method that an engine needs, with weights or without."""

    kernel: str
    mode: float | None
    sorts: str | None


REDUCTIONS: dict[str, Reduction] = {
    **{name: Reduction(row.kernel, row.mode, row.sorts) for name, row in METHODS.items()},
    **{
        f"weighted_{name}": Reduction(row.weighted, row.mode, "all" if row.sorts else None)
        for name, row in METHODS.items()
        if row.weighted
    },
}


class ProductMap(NamedTuple):
    """A map of a product, the variable ``<name>_<map>``: its attributes, and its form in a FITS file."""

    extname: str
    fits_dtype: str | None = None  # None: as the variable
    dtype: str | None = None  # of the variable; None: as the image
    has_unit: bool = False  # whether it has the unit of the image
    attrs: Mapping[str, str] = MappingProxyType({})
    of_stack: bool = False  # whether a stack may have it, so that verbs carry it
    by_default: bool = False  # whether `combine` makes it unasked


# Extension names are those that `astropy.nddata.CCDData.read` looks for.
OUTPUTS: dict[str, ProductMap] = {
    "flags": ProductMap("MASK", dtype="uint8", of_stack=True),
    "uncertainty": ProductMap(
        "UNCERT", has_unit=True, attrs={"uncertainty_type": "std"}, of_stack=True, by_default=True,
    ),
    "count": ProductMap(
        "COUNT", "int32", "int64", attrs={"long_name": "number of samples in use"}, of_stack=True, by_default=True,
    ),  # < 2^31
    "rejected_low": ProductMap("REJ_LOW", "int32", "int32", attrs={"long_name": "samples rejected as low"}),
    "rejected_high": ProductMap("REJ_HIGH", "int32", "int32", attrs={"long_name": "samples rejected as high"}),
    "weight": ProductMap("WEIGHT", attrs={"long_name": "total weight of the samples in use"}),
    "exposure": ProductMap(
        "EXPOSURE", attrs={"long_name": "total exposure time of the samples in use", "units": "s"},
    ),
    "common": ProductMap(
        "COMMON", has_unit=True, attrs={"long_name": "part of the standard error that all frames share"},
        of_stack=True, by_default=True,
    ),
}  # fmt: skip

# The ways to an uncertainty, and what the attributes of the map say of it.
UNCERTAINTIES = {
    "scatter": "standard error, from the scatter of the samples",
    "propagate": "standard error, propagated from the uncertainties of the samples",
    "larger": "standard error, the larger of those from the scatter and from the uncertainties of the samples",
}
