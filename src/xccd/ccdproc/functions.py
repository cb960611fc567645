"""Functions from ccdproc's users: kernels replace the known ones, the others are called as ccdproc calls them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Container
from functools import wraps
from typing import Any

import numpy as np

Function = Callable[..., Any]

# Each kernel and its spellings. Masked samples are skipped with every spelling.
SPELLINGS: dict[str, tuple[str, ...]] = {
    "mean": (
        "numpy.mean", "numpy.nanmean", "numpy.average", "numpy.ma.mean", "numpy.ma.average", "bottleneck.nanmean",
    ),
    "median": (
        "numpy.median", "numpy.nanmedian", "numpy.ma.median", "bottleneck.median", "bottleneck.nanmedian",
    ),
    "std": ("numpy.std", "numpy.nanstd", "numpy.ma.std", "bottleneck.nanstd"),
    "sum": ("numpy.sum", "numpy.nansum", "numpy.ma.sum", "bottleneck.nansum"),
    "mad_std": ("astropy.stats.mad_std", "ccdproc.sigma_func"),
}  # fmt: skip


_ABSENT = object()


def kernel_of(function: Any, allowed: Container[str]) -> str | None:
    """The kernel among ``allowed`` that computes the same as ``function``; None if there is none.

    Modules are not imported: a function cannot come from a module that is not loaded.
    """
    for name, spellings in SPELLINGS.items():
        for module, _, attribute in (s.rpartition(".") for s in spellings):
            if name in allowed and function is getattr(sys.modules.get(module), attribute, _ABSENT):
                return name
    return None


def of_nan(function: Function) -> Function:
    """Wrap ``function``: it is called with an array with NaN where masked, and ``axis=``."""

    @wraps(function)
    def call(values: Any, axis: int) -> Any:
        return function(values, axis=axis)

    return call


def of_masked(function: Function) -> Function:
    """Wrap ``function``: it is called with a masked array and ``axis=``. What it masks becomes NaN."""

    @wraps(function)
    def call(values: Any, axis: int) -> Any:
        result = np.ma.asanyarray(function(np.ma.masked_invalid(values), axis=axis))
        return result.astype(np.float64).filled(np.nan) if np.ma.is_masked(result) else result.data

    return call
