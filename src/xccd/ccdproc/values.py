"""Reduces the samples of a `Combiner`, by kernels or by a user's functions."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import xarray as xr

from xccd.ccdproc.functions import Function, kernel_of, of_masked, of_nan
from xccd.kernels.table import DEVIATIONS
from xccd.verbs.combine import combine, count


class Values:
    """Samples with their factors and weights, and their reductions."""

    def __init__(self, stack: xr.DataArray, scale: Any, weights: Any, *, masked: bool) -> None:
        self.stack, self.scale, self.weights = stack, scale, weights
        self.call = of_masked if masked else of_nan

    def reduce(self, method: Any, **options: Any) -> np.ndarray[Any, Any]:
        image = combine(self.stack, method, scale=self.scale, dtype="float64", **options)
        return np.asarray(image.values)

    def image(self, method: str, function: Function | None) -> np.ndarray[Any, Any]:
        own = function is None or kernel_of(function, (method,))
        return self.reduce(method if own else of_masked(function), weights=self.weights)  # type: ignore[arg-type]

    def sum(self, function: Function | None) -> np.ndarray[Any, Any]:
        if function is None or self.weights is None or kernel_of(function, ("sum",)):
            return self.image("sum", function)
        return self._of_products(self.call(function))

    def weighted_mean(self, sum_func: Function) -> np.ndarray[Any, Any]:
        if kernel_of(sum_func, ("sum",)):
            return self.reduce("mean", weights=self.weights)
        call = self.call(sum_func)
        shares = xr.where(np.isfinite(self.stack), self._spread(), np.nan)
        with np.errstate(invalid="ignore"):  # 0 / 0 where all weights are 0 or masked
            total: np.ndarray[Any, Any] = combine(shares, call, dtype="float64").values
            mean: np.ndarray[Any, Any] = self._of_products(call) / total
        return mean

    def _of_products(self, call: Function) -> np.ndarray[Any, Any]:
        products = self.stack * self._spread()
        return np.asarray(combine(products, call, scale=self.scale, dtype="float64").values)

    def _spread(self) -> np.ndarray[Any, Any]:
        shape = self.weights.shape
        return np.asarray(self.weights.reshape(shape + (1,) * (self.stack.ndim - len(shape))), np.float64)

    def deviation(self, function: Function | None, default: str = "std") -> tuple[Any, Any]:
        """The deviation over the root of the count of valid samples, and that count."""
        method = default if function is None else kernel_of(function, DEVIATIONS) or self.call(function)
        number = count(self.stack).values
        with np.errstate(divide="ignore", invalid="ignore"):  # a pixel without samples
            return self.reduce(method) / np.sqrt(number), number


def computed_in(dtype: Any) -> np.dtype[Any]:
    """The float dtype in which results of ``dtype`` are computed."""
    wanted = np.dtype(np.float64 if dtype is None else dtype)
    if wanted.kind not in "fiu":
        raise TypeError(f"dtype={dtype!r} is not one of real numbers")
    return np.dtype(np.float32 if wanted == np.float32 else np.float64)


def numbers(name: str, given: Any) -> np.ndarray[Any, Any]:
    """An argument as an array of real numbers; raises if any is masked."""
    try:
        array = np.asarray(given)
    except ValueError:  # rows of several lengths
        array = np.asarray(None)
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{name}={given!r} is no array of numbers")
    if np.ma.is_masked(given):
        raise ValueError(f"{name} has masked values: fill them first, as with {name}.filled(1)")
    return array


def check_numpy(name: str, given: Any) -> None:
    """Raise for an array package other than NumPy, or an array of one."""
    if given is None:
        return
    space = given if isinstance(given, ModuleType) else getattr(given, "__array_namespace__", lambda: given)()
    package = getattr(space, "__name__", type(space).__name__)
    if package != "numpy" and not package.endswith("array_api_compat.numpy"):
        raise TypeError(
            f"{name}= is {package}: xccd.ccdproc computes with NumPy alone; leave {name}= out and give NumPy arrays, "
            "or go on using ccdproc for this step"
        )
