"""One row for each way to combine: what computes it, what the image holds. Tests and benchmarks read it too."""

from __future__ import annotations

from typing import NamedTuple


class Row(NamedTuple):
    """A combination: its kernel, the one with weights where that is defined, and what it needs of a block.

    Kernels by name: both engines have them, and neither is imported until something is computed.
    """

    kernel: str
    weighted: str | None = None
    dtype: str | None = None  # of the image; None: the stack's float
    rows: str | None = None  # what must be sorted: nothing, the "middle" rows, or "all"


METHODS: dict[str, Row] = {
    "mean": Row("mean", "weighted_mean"),
    "median": Row("median", "weighted_quantile", rows="middle"),
    "sum": Row("sum_", "weighted_sum", "float64"),  # whole counts pass 2^24
    "min": Row("min_"),
    "max": Row("max_"),
    "std": Row("std"),
    "var": Row("var"),
    "mad_std": Row("mad_std", rows="all"),
    "quantile": Row("quantile", "weighted_quantile", rows="all"),
    "count": Row("number", dtype="int64"),
}
