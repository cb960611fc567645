"""Names that arguments take, so that editors can list them. A test compares each with the table that decides."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

MethodName = Literal[
    "mean", "median", "lower_median", "sum", "min", "max", "std", "var", "mad_std", "biweight", "quantile",
    "geometric_mean", "mode", "adaptive", "first", "last", "ivar", "count",
]  # fmt: skip
Method = MethodName | Callable[..., Any]
RejectionName = Literal[
    "sigma", "extrema", "percentile", "linear_fit", "winsorized", "percentile_rank", "noise", "variance",
    "average_sigma", "esd", "chauvenet", "swarp", "lacosmic",
]  # fmt: skip
Rejection = RejectionName | str | Callable[..., Any]  # a registered one has any name
Center = Literal["mean", "median"] | Callable[..., Any]
Deviation = Literal["std", "mad_std"] | Callable[..., Any]
About = Literal["mean", "center"]
Preset = Literal["astropy", "ccdproc", "iraf", "siril", "gnuastro"]
ErrorFrom = Literal["propagate", "scatter", "larger"]
MapName = Literal["flags", "uncertainty", "count", "rejected_low", "rejected_high", "weight", "exposure", "common"]
UncertaintyType = Literal["std", "var", "ivar"]
AlignMethod = Literal["interp", "adaptive", "exact", "drizzle"]
Order = Literal["nearest", "bilinear", "bicubic", "lanczos3"]
Flux = Literal["surface brightness", "total"]
Drop = Literal["square", "point", "gaussian"]
OffsetMethod = Literal["auto", "phase", "stars"]
Model = Literal["similarity", "affine"]
Reference = int | Literal["best"]
DebayerMethod = Literal["bilinear", "superpixel", "vng"]
Pattern = Literal["RGGB", "BGGR", "GRBG", "GBRG"]
OverscanMethod = Literal["median", "mean"]
Axis = Literal["x", "y"]
Level = Literal["first", "mean"] | float
LiveAlign = Literal["pixels", "wcs", "offsets", "transforms"]
RowOrder = bool | Literal["TOP-DOWN", "BOTTOM-UP"]
OrSkip = Literal["raise", "skip"]
