"""`combine`: ccdproc's function, computed in bands of rows within a memory limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xccd.ccdproc.combiner import Combiner, labelled
from xccd.ccdproc.files import Bands, Part, check_output, factors_of, list_of, read_first
from xccd.ccdproc.functions import Function
from xccd.ccdproc.values import check_numpy, computed_in
from xccd.write.input_files import check_inputs


def combine(
    img_list: Any,
    output_file: str | Path | None = None,
    method: str = "average",
    weights: Any = None,
    scale: Any = None,
    mem_limit: float = 16e9,
    clip_extrema: bool = False,
    nlow: int | None = 1,
    nhigh: int | None = 1,
    minmax_clip: bool = False,
    minmax_clip_min: float | None = None,
    minmax_clip_max: float | None = None,
    sigma_clip: bool = False,
    sigma_clip_low_thresh: float | None = 3,
    sigma_clip_high_thresh: float | None = 3,
    sigma_clip_func: str | Function | None = np.ma.mean,
    sigma_clip_dev_func: str | Function | None = np.ma.std,
    dtype: Any = None,
    combine_uncertainty_function: Function | None = None,
    overwrite_output: bool = False,
    array_package: Any = None,
    **ccdkwargs: Any,
) -> Any:
    """Clip and combine images in one call, like ccdproc's function of this name.

    Parameters
    ----------
    img_list : list, array, ImageFileCollection or str
        CCDData or names of FITS files. A text holds names with commas between them.
    output_file : path, optional
        The FITS file to write.
    method : {"average", "median", "sum"}, default: "average"
        How to combine.
    weights : array-like, optional
        See `Combiner.weights`.
    scale : array-like or callable, optional
        See `Combiner.scaling`. A function gets the plain array of each image.
    mem_limit : float, default: 16e9
        Memory limit in bytes: images are read and combined in bands of rows. The first image, the product, and a band
        of half of their size or 2 MB are in memory in any case.
    clip_extrema : bool, default: False
        First reject the ``nlow`` lowest and ``nhigh`` highest samples: `Combiner.clip_extrema`.
    nlow, nhigh : int or None, default: 1
        For ``clip_extrema``.
    minmax_clip : bool, default: False
        Then clip at two levels: `Combiner.minmax_clipping`.
    minmax_clip_min, minmax_clip_max : float, optional
        For ``minmax_clip``.
    sigma_clip : bool, default: False
        Then clip by deviations: `Combiner.sigma_clipping`.
    sigma_clip_low_thresh, sigma_clip_high_thresh : float or None, default: 3
        For ``sigma_clip``.
    sigma_clip_func, sigma_clip_dev_func : str, callable or None, default: numpy.ma.mean, numpy.ma.std
        For ``sigma_clip``. None: the default.
    dtype : dtype, optional
        Dtype of the samples and of the image. Default: float64.
    combine_uncertainty_function : callable, optional
        Replaces the method's own.
    overwrite_output : bool, default: False
        Replace an existing ``output_file``.
    array_package : array namespace, optional
        NumPy, a NumPy array, or None.
    **ccdkwargs
        Arguments of ``CCDData.read``: ``unit``, ``hdu``, ``hdu_mask``.

    Returns
    -------
    CCDData
        The image, with the header and the WCS of the first image.

    Raises
    ------
    ValueError, TypeError, OSError
        An argument is unusable, images do not match each other, or a file cannot be read.

    Examples
    --------
    >>> import numpy as np
    >>> from astropy.nddata import CCDData
    >>> from xccd.ccdproc import combine
    >>> ccds = [CCDData(np.full((2, 2), v), unit="adu") for v in (1.0, 2.0, 6.0)]
    >>> combine(ccds, method="median").data.tolist()
    [[2.0, 2.0], [2.0, 2.0]]
    """
    check_numpy("array_package", array_package)
    items = list_of(img_list)
    if method not in METHODS:
        raise ValueError(f"method={method!r} is unknown: use one of {', '.join(METHODS)}")
    check_output(output_file, overwrite_output)
    if output_file is not None:
        check_inputs(output_file, [item for item in items if isinstance(item, (str, Path))], "output_file")
    product = read_first(items, ccdkwargs)
    bands = Bands(items, product, computed_in(dtype), mem_limit, ccdkwargs)
    whole = _of_stack(bands.stack, product.unit, dtype)
    whole.weights, whole.scaling = bands.weights(weights, product), factors_of(scale, items, ccdkwargs)
    if clip_extrema:
        whole.clip_extrema(nlow, nhigh)
    if minmax_clip:
        whole.minmax_clipping(minmax_clip_min, minmax_clip_max)
    if sigma_clip:
        statistics = (sigma_clip_func or np.ma.mean, sigma_clip_dev_func or np.ma.std)
        whole.sigma_clipping(sigma_clip_low_thresh, sigma_clip_high_thresh, *statistics)
    own = {} if combine_uncertainty_function is None else {"uncertainty_func": combine_uncertainty_function}
    bands.fill(product, lambda part: getattr(_loaded_band(whole, part), METHODS[method])(**own), np.dtype(whole.dtype))
    if output_file is not None:
        product.write(output_file, overwrite=overwrite_output)
    return product


METHODS = {"average": "average_combine", "median": "median_combine", "sum": "sum_combine"}


def _of_stack(stack: xr.DataArray, unit: Any, dtype: Any) -> Combiner:
    combiner = Combiner.__new__(Combiner)
    combiner._start(stack, unit, dtype)
    return combiner


def _loaded_band(whole: Combiner, part: Part) -> Combiner:
    """Some rows of a lazy combiner, in memory. Without labels, as each step would build labels of a product."""
    part = (slice(None), *part)
    band = _of_stack(labelled(whole._stack[part].values), whole.unit, whole.dtype)
    every = whole.weights is not None and whole.weights.ndim > 1
    band._weights = whole.weights[part] if every else whole.weights
    band._scaling = whole.scaling
    return band
