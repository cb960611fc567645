"""`Combiner`: ccdproc's class for CCDData, computed by the verbs of xccd."""

from __future__ import annotations

import warnings
from collections.abc import Container, Iterable
from typing import Any

import numpy as np
import xarray as xr

from xccd.ccdproc.functions import Function, kernel_of, of_nan
from xccd.ccdproc.values import Values, check_numpy, computed_in, numbers
from xccd.kernels.table import CENTERS, DEVIATIONS
from xccd.messages import a_type
from xccd.verbs.clip import clip_extrema, minmax, sigma_clip


class Combiner:
    """Clips and combines frames, like ccdproc's class of this name.

    Parameters
    ----------
    ccd_iter : iterable of CCDData
        Images of one shape and one unit.
    dtype : dtype, optional
        Dtype of the samples and of the combined images. Default: float64.
    xp : array namespace, optional
        NumPy, or None.

    Attributes
    ----------
    ccd_list : list of CCDData
        The images that were given.
    unit : Unit
        The unit of the images.

    Raises
    ------
    TypeError
        An image is not a CCDData, shapes or units differ, or ``xp`` is not NumPy.

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
        self.ccd_list = _checked_list(ccd_iter)
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
        """The dtype of the samples and of the combined images."""
        return self._dtype

    @property
    def mask(self) -> np.ndarray[Any, Any]:
        """Which samples are masked, frames first: masked in the input, not finite, or rejected."""
        return np.asarray(~np.isfinite(self._stack.values))

    @property
    def data(self) -> np.ndarray[Any, Any]:
        """A read-only copy of the samples as they were given, frames first; masked samples keep their values."""
        data = np.array([ccd.data for ccd in self.ccd_list], dtype=self._dtype)
        data.flags.writeable = False
        return data

    @property
    def data_arr(self) -> np.ma.MaskedArray[Any, Any]:
        """A read-only copy of the samples with their mask. Writing raises, as it would change no result."""
        mask = self.mask
        mask.flags.writeable = False
        return np.ma.MaskedArray(self.data, mask, copy=False)

    @property
    def weights(self) -> Any:
        """One weight for each frame, or one for each sample. None: equal weights."""
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
        """Factors for the samples when they are combined. May be set to a function that returns a frame's factor."""
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
            Counts of samples to mask at the low and the high end.
        """
        self._stack = clip_extrema(self._stack, nlow or 0, nhigh or 0)

    def minmax_clipping(self, min_clip: float | None = None, max_clip: float | None = None) -> None:
        """Mask samples outside of two limits.

        Parameters
        ----------
        min_clip, max_clip : float or None
            Samples below ``min_clip`` or above ``max_clip`` are masked. None: no limit.
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
        """Mask samples far from the centre of their pixel. Masked samples enter no statistic.

        Parameters
        ----------
        low_thresh, high_thresh : float or None, default: 3
            Thresholds below and above the centre, in deviations. The sign of ``low_thresh`` does not matter. None
            rejects nothing on that side.
        func : {"mean", "median"} or callable, default: "mean"
            The centre. A function is called with (values with NaN where masked, axis=).
        dev_func : {"std", "mad_std"} or callable, default: "std"
            The deviation. A function is called likewise.
        **kwd
            ``maxiters``: passes (default 1; None: until nothing changes). ``sigma``: the threshold of a side that is
            None. ``axis`` must be 0. ``copy`` has no effect.

        Raises
        ------
        TypeError
            ``kwd`` has another argument of astropy's ``sigma_clip``.
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
            center=_kernel_or_function(func, CENTERS),
            deviation=_kernel_or_function(dev_func, DEVIATIONS),
            maxiters=kwd.get("maxiters", 1),
        )

    def average_combine(
        self,
        scale_func: Function | None = None,
        scale_to: Any = None,
        uncertainty_func: Function | None = np.nanstd,
        sum_func: Function | None = np.nansum,
    ) -> Any:
        """Return the mean; with weights sum(w x) / sum(w) over valid samples.

        Parameters
        ----------
        scale_func : callable, optional
            Computes the mean if there are no weights: a function of (masked array, axis=).
        scale_to : float, optional
            A factor instead of `scaling`.
        uncertainty_func : callable, default: numpy.nanstd
            The deviation of the samples; it is divided by the root of their count.
        sum_func : callable, default: numpy.nansum
            Computes the sums if there are weights.

        Returns
        -------
        CCDData
            The image with a mask, a StdDevUncertainty and NCOMBINE.
        """
        values = Values(self._stack, self._factors(scale_to), self._weights, masked=scale_func is not None)
        own = self._weights is None
        image = values.image("mean", scale_func) if own else values.weighted_mean(sum_func or np.nansum)
        return self._product(image, *values.deviation(uncertainty_func))

    def median_combine(
        self, median_func: Function | None = None, scale_to: Any = None, uncertainty_func: Function | None = None
    ) -> Any:
        """Return the median; with weights the weighted median.

        Parameters
        ----------
        median_func : callable, optional
            Computes the median if there are no weights: a function of (masked array, axis=).
        scale_to : float, optional
            A factor instead of `scaling`.
        uncertainty_func : callable, optional
            The deviation of the samples; it is divided by the root of their count. Default: 1.4826 times the
            median absolute deviation.

        Returns
        -------
        CCDData
            The image with a mask, a StdDevUncertainty and NCOMBINE.
        """
        values = Values(self._stack, self._factors(scale_to), self._weights, masked=median_func is not None)
        return self._product(values.image("median", median_func), *values.deviation(uncertainty_func, "mad_std"))

    def sum_combine(
        self, sum_func: Function | None = None, scale_to: Any = None, uncertainty_func: Function | None = np.nanstd
    ) -> Any:
        """Return the sum of the valid samples; with weights sum(w x).

        Parameters
        ----------
        sum_func : callable, optional
            Computes the sum: a function of (masked array, axis=).
        scale_to : float, optional
            A factor instead of `scaling`.
        uncertainty_func : callable, default: numpy.nanstd
            The deviation of the samples; it is multiplied by the root of their count.

        Returns
        -------
        CCDData
            The image with a mask, a StdDevUncertainty and NCOMBINE.
        """
        values = Values(self._stack, self._factors(scale_to), self._weights, masked=sum_func is not None)
        error, number = values.deviation(uncertainty_func)
        return self._product(values.sum(sum_func), error * number, number)

    def _factors(self, scale_to: Any) -> Any:
        """The factors as a float, one a frame, or one a sample; they broadcast as in NumPy's product."""
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


def _checked_list(ccd_iter: Any) -> list[Any]:
    from astropy.nddata import CCDData

    if ccd_iter is None or isinstance(ccd_iter, CCDData):
        raise TypeError(f"ccd_iter is {a_type(ccd_iter)}: give a list or a generator of CCDData")
    ccds = list(ccd_iter)
    if not ccds:
        raise TypeError("ccd_iter is empty: there is nothing to combine")
    for i, ccd in enumerate(ccds):
        if not isinstance(ccd, CCDData):
            raise TypeError(f"ccd_iter: image {i} is {a_type(ccd)}, not CCDData")
        if not ccd.shape:
            raise TypeError(f"ccd_iter: image {i} is one number: give images, of pixels along at least one axis")
        if ccd.shape != ccds[0].shape:
            raise TypeError(f"ccd_iter: image {i} has shape {ccd.shape}, not the same as the first {ccds[0].shape}")
        if ccd.unit != ccds[0].unit:
            raise TypeError(f"ccd_iter: image {i} has the unit {ccd.unit}, not the same as the first {ccds[0].unit}")
    return ccds


def labelled(samples: np.ndarray[Any, Any]) -> xr.DataArray:
    """Samples as a stack without labels, frames on axis 0."""
    return xr.DataArray(samples, dims=("frame", *(f"axis_{i}" for i in range(1, samples.ndim))))


def _kernel_or_function(given: Any, allowed: Container[str]) -> Any:
    return (kernel_of(given, allowed) or of_nan(given)) if callable(given) else given
