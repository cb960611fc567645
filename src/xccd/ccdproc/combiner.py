"""`Combiner`: ccdproc's names and CCDData, computed by the verbs of xccd."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable
from typing import Any

import numpy as np
import xarray as xr

from xccd.ccdproc.functions import Function, named, of_nan
from xccd.ccdproc.values import Values, check_numpy, computed_in, numbers
from xccd.kernels.table import CENTERS, DEVIATIONS
from xccd.verbs.clip import clip_extrema, minmax, sigma_clip


class Combiner:
    """Frames to be clipped and combined, as ccdproc's class of this name.

    Parameters
    ----------
    ccd_iter : iterable of CCDData
        Images of one shape and one unit.
    dtype : dtype, optional
        Of the samples and of the images that are made. Default: float64.
    xp : array namespace, optional
        NumPy, or None.

    Attributes
    ----------
    ccd_list : list of CCDData
        What was given.
    unit : Unit
        That of the images.

    Raises
    ------
    TypeError
        Something else than CCDData, images whose shapes or units differ, an array package other than NumPy.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import Combiner
    >>> combiner = Combiner(CCDData(np.full((2, 2), v), unit="adu") for v in (1.0, 2.0, 3.0, 90.0))
    >>> combiner.clip_extrema(nhigh=1)
    >>> combiner.average_combine().data.tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """

    def __init__(self, ccd_iter: Iterable[Any], dtype: Any = None, xp: Any = None) -> None:
        check_numpy("xp", xp)
        self.ccd_list = _checked(ccd_iter)
        first = self.ccd_list[0]
        stack = np.empty((len(self.ccd_list), *first.shape), computed_in(dtype))
        for sample, ccd in zip(stack, self.ccd_list, strict=True):
            sample[...] = ccd.data
            if ccd.mask is not None:
                sample[np.broadcast_to(ccd.mask, sample.shape)] = np.nan
        self._start(labelled(stack), first.unit, dtype)

    def _start(self, stack: xr.DataArray, unit: Any, dtype: Any) -> None:
        self.unit = unit
        self._dtype = np.float64 if dtype is None else dtype
        whole = np.dtype(self._dtype).kind in "iu"
        self._stack: Any = np.trunc(stack) if whole else stack
        self._weights: Any = None
        self._scaling: Any = None

    @property
    def dtype(self) -> Any:
        """Of the samples and of the images."""
        return self._dtype

    @property
    def mask(self) -> np.ndarray[Any, Any]:
        """Which samples are out, frames first: masked in the input, not finite, or rejected."""
        return np.asarray(~np.isfinite(self._stack.values))

    @property
    def data(self) -> np.ndarray[Any, Any]:
        """The samples, frames first, as they were given, those that are out too; made anew, and read-only."""
        data = np.array([ccd.data for ccd in self.ccd_list], dtype=self._dtype)
        data.flags.writeable = False
        return data

    @property
    def data_arr(self) -> np.ma.MaskedArray[Any, Any]:
        """The samples and their mask, made anew: writing to it changes no result, and so raises."""
        mask = self.mask
        mask.flags.writeable = False
        return np.ma.MaskedArray(self.data, mask, copy=False)

    @property
    def weights(self) -> Any:
        """One weight for each frame, or one for each sample; None: all are equal."""
        return self._weights

    @weights.setter
    def weights(self, value: Any) -> None:
        if value is None:
            self._weights = None
            return
        shape = self._stack.shape
        array = numbers("weights", value)
        if array.ndim == 0 and not isinstance(value, np.ndarray):
            raise TypeError(f"weights={value!r} is no array: give one for each of the {shape[0]} frames, or {shape}")
        if array.shape not in (shape, shape[:1]):
            raise ValueError(
                f"weights has shape {array.shape}: give one number for each of the {shape[0]} frames, or {shape}"
            )
        self._weights = array

    @property
    def scaling(self) -> Any:
        """Factors that samples are multiplied by while they are combined, or a function of a frame that gives one."""
        return self._scaling

    @scaling.setter
    def scaling(self, value: Any) -> None:
        if value is None:
            self._scaling = None
            return
        n = self._stack.shape[0]
        if callable(value):
            value = [value(frame) for frame in self.data_arr]
        factors = numbers("scaling", value).copy()
        if factors.ndim == 0:
            raise TypeError(f"scaling={value!r} is neither a function nor {n} factors, one for each frame")
        if factors.size != n:
            raise ValueError(f"scaling has {factors.size} factors: give one for each of the {n} frames, or a function")
        self._scaling = factors.reshape((n,) + (1,) * (self._stack.ndim - 1))

    def clip_extrema(self, nlow: int | None = 0, nhigh: int | None = 0) -> None:
        """Mask the lowest and the highest valid samples of each pixel.

        Parameters
        ----------
        nlow, nhigh : int or None, default: 0
            How many go at each end.
        """
        self._stack = clip_extrema(self._stack, nlow or 0, nhigh or 0)

    def minmax_clipping(self, min_clip: float | None = None, max_clip: float | None = None) -> None:
        """Mask samples outside of two levels.

        Parameters
        ----------
        min_clip, max_clip : float or None
            Samples below the one and above the other are masked. None: no limit.
        """
        self._stack = minmax(self._stack, min_clip, max_clip)

    def sigma_clipping(
        self,
        low_thresh: float | None = 3,
        high_thresh: float | None = 3,
        func: str | Function = "mean",
        dev_func: str | Function = "std",
        **kwd: Any,
    ) -> None:
        """Mask samples far from the centre of their pixel; those that are masked already enter no statistic.

        Parameters
        ----------
        low_thresh, high_thresh : float or None, default: 3
            Thresholds in deviations below and above the centre; the sign of ``low_thresh`` does not matter. None:
            nothing is rejected on that side.
        func : {"mean", "median"} or callable, default: "mean"
            The centre. A function of (values with NaN where missing, axis=).
        dev_func : {"std", "mad_std"} or callable, default: "std"
            The deviation, likewise.
        **kwd
            ``maxiters`` (default 1; None: until nothing changes). ``axis`` may be 0, which it is; ``copy`` has no
            effect. ``sigma`` is the threshold of a side that is None.

        Raises
        ------
        TypeError
            Another argument of astropy's ``sigma_clip``.
        """
        if "use_astropy" in kwd:
            from astropy.utils.exceptions import AstropyDeprecationWarning

            text = "use_astropy has no effect any more: leave it out"
            warnings.warn(text, AstropyDeprecationWarning, stacklevel=2)
        unknown = set(kwd) - {"use_astropy", "maxiters", "axis", "copy", "sigma"}
        if unknown:
            raise TypeError(f"sigma_clipping does not take {', '.join(sorted(unknown))}: of astropy's maxiters, sigma")
        if kwd.get("axis", 0) != 0:
            raise ValueError(f"axis={kwd['axis']!r}: a clip is over the frames, axis 0")
        low: Any = kwd.get("sigma") if low_thresh is None else low_thresh
        high: Any = kwd.get("sigma") if high_thresh is None else high_thresh
        if isinstance(low, (int, float, np.number)):
            low = abs(low)
        self._stack = sigma_clip(
            self._stack,
            low,
            high,
            center=_statistic(func, CENTERS),
            deviation=_statistic(dev_func, DEVIATIONS),
            maxiters=kwd.get("maxiters", 1),
        )

    def average_combine(
        self,
        scale_func: Function | None = None,
        scale_to: Any = None,
        uncertainty_func: Function | None = np.nanstd,
        sum_func: Function | None = np.nansum,
    ) -> Any:
        """Give the mean; with weights sum(w x) / sum(w) over valid samples.

        Parameters
        ----------
        scale_func : callable, optional
            Computes the mean where there are no weights: a function of (masked array, axis=).
        scale_to : float, optional
            A factor instead of `scaling`.
        uncertainty_func : callable, default: numpy.nanstd
            The deviation of the samples, which is divided by the root of their number.
        sum_func : callable, default: numpy.nansum
            Computes the sums where there are weights.

        Returns
        -------
        CCDData
            With a mask, a StdDevUncertainty and NCOMBINE.
        """
        values = Values(self._stack, self._factors(scale_to), self._weights, masked=scale_func is not None)
        own = self._weights is None
        image = values.image("mean", scale_func) if own else values.weighted_mean(sum_func or np.nansum)
        return self._product(image, *values.deviation(uncertainty_func))

    def median_combine(
        self, median_func: Function | None = None, scale_to: Any = None, uncertainty_func: Function | None = None
    ) -> Any:
        """Give the median; the weighted one where there are weights.

        Parameters
        ----------
        median_func : callable, optional
            Computes it, without weights: a function of (masked array, axis=).
        scale_to : float, optional
            A factor instead of `scaling`.
        uncertainty_func : callable, optional
            The deviation of the samples, which is divided by the root of their number. Default: 1.4826 times the
            median absolute deviation.

        Returns
        -------
        CCDData
            With a mask, a StdDevUncertainty and NCOMBINE.
        """
        values = Values(self._stack, self._factors(scale_to), self._weights, masked=median_func is not None)
        return self._product(values.image("median", median_func), *values.deviation(uncertainty_func, "mad_std"))

    def sum_combine(
        self, sum_func: Function | None = None, scale_to: Any = None, uncertainty_func: Function | None = np.nanstd
    ) -> Any:
        """Give the sum of the valid samples; with weights sum(w x).

        Parameters
        ----------
        sum_func : callable, optional
            Computes it: a function of (masked array, axis=).
        scale_to : float, optional
            A factor instead of `scaling`.
        uncertainty_func : callable, default: numpy.nanstd
            The deviation of the samples, which is multiplied by the root of their number.

        Returns
        -------
        CCDData
            With a mask, a StdDevUncertainty and NCOMBINE.
        """
        values = Values(self._stack, self._factors(scale_to), self._weights, masked=sum_func is not None)
        error, number = values.deviation(uncertainty_func)
        return self._product(values.sum(sum_func), error * number, number)

    def _factors(self, scale_to: Any) -> Any:
        """One number, one a frame or one a sample: what broadcasts as NumPy's product does."""
        factors = self._scaling if scale_to is None else np.asarray(scale_to)
        if factors is None or factors.size == 1:
            return None if factors is None else float(factors.reshape(()))
        shape = self._stack.shape
        if factors.shape == shape[:1] + (1,) * (len(shape) - 1):
            return factors.reshape(-1)
        return np.broadcast_to(factors, shape)

    def _product(self, image: np.ndarray[Any, Any], error: np.ndarray[Any, Any], number: np.ndarray[Any, Any]) -> Any:
        from astropy.nddata import CCDData, StdDevUncertainty

        mask = (number == 0) | np.isnan(image)
        dtype = np.dtype(self._dtype)
        data = (image if dtype.kind == "f" else np.where(mask, 0, image)).astype(dtype)
        error = StdDevUncertainty(error.astype(computed_in(dtype)))
        product = CCDData(data, mask=mask, unit=self.unit, uncertainty=error)
        product.meta["NCOMBINE"] = self._stack.shape[0]
        return product


def _checked(ccd_iter: Any) -> list[Any]:
    from astropy.nddata import CCDData

    if ccd_iter is None or isinstance(ccd_iter, CCDData):
        raise TypeError(f"ccd_iter is a {type(ccd_iter).__name__}: give a list or a generator of CCDData")
    ccds = list(ccd_iter)
    if not ccds:
        raise TypeError("ccd_iter is empty: there is nothing to combine")
    for i, ccd in enumerate(ccds):
        if not isinstance(ccd, CCDData):
            raise TypeError(f"ccd_iter: image {i} is a {type(ccd).__name__}, not CCDData")
        if not ccd.shape:
            raise TypeError(f"ccd_iter: image {i} is one number: give images, of pixels along at least one axis")
        if ccd.shape != ccds[0].shape:
            raise TypeError(f"ccd_iter: image {i} has shape {ccd.shape}, not the same as the first {ccds[0].shape}")
        if ccd.unit != ccds[0].unit:
            raise TypeError(f"ccd_iter: image {i} has the unit {ccd.unit}, not the same as the first {ccds[0].unit}")
    return ccds


def labelled(samples: np.ndarray[Any, Any]) -> xr.DataArray:
    """Samples as a stack that says nothing but which axis has the frames."""
    return xr.DataArray(samples, dims=("frame", *(f"axis_{i}" for i in range(1, samples.ndim))))


def _statistic(given: Any, allowed: Container[str]) -> Any:
    return (named(given, allowed) or of_nan(given)) if callable(given) else given
