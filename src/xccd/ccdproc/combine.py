"""`combine`: ccdproc's function, in bands of rows that stay within a limit of memory."""

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
    """Clip and combine images in one call, as ccdproc's function of this name.

    Parameters
    ----------
    img_list : list, array, ImageFileCollection or str
        CCDData or names of FITS files; in a text with commas between them.
    output_file : path, optional
        A FITS file to write the image to.
    method : {"average", "median", "sum"}, default: "average"
        How to combine.
    weights : array-like, optional
        As `Combiner.weights`.
    scale : array-like or callable, optional
        As `Combiner.scaling`; a function gets the plain array of each image.
    mem_limit : float, default: 16e9
        Bytes to stay within: images are read and combined in bands of rows. The first image and the product are in
        memory in any case, and a band of half of their size or 2 MB.
    clip_extrema : bool, default: False
        First of all take ``nlow`` and ``nhigh`` samples off: `Combiner.clip_extrema`.
    nlow, nhigh : int or None, default: 1
        For ``clip_extrema``.
    minmax_clip : bool, default: False
        Then clip at levels: `Combiner.minmax_clipping`.
    minmax_clip_min, minmax_clip_max : float, optional
        For ``minmax_clip``.
    sigma_clip : bool, default: False
        Then clip at deviations: `Combiner.sigma_clipping`.
    sigma_clip_low_thresh, sigma_clip_high_thresh : float or None, default: 3
        For ``sigma_clip``.
    sigma_clip_func, sigma_clip_dev_func : str, callable or None, default: numpy.ma.mean, numpy.ma.std
        For ``sigma_clip``. None: the default.
    dtype : dtype, optional
        Of the samples and of the image. Default: float64.
    combine_uncertainty_function : callable, optional
        Instead of the method's own.
    overwrite_output : bool, default: False
        Whether ``output_file`` may be there already.
    array_package : array namespace, optional
        NumPy, an array of it, or None.
    **ccdkwargs
        For ``CCDData.read``: ``unit``, ``hdu``, ``hdu_mask``.

    Returns
    -------
    CCDData
        The image, with the header and the WCS of the first one.

    Raises
    ------
    ValueError, TypeError, OSError
        An unusable argument, images that do not go together, a file that cannot be read.

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
    bands.fill(product, lambda part: getattr(_band(whole, part), METHODS[method])(**own), np.dtype(whole.dtype))
    if output_file is not None:
        product.write(output_file, overwrite=overwrite_output)
    return product


METHODS = {"average": "average_combine", "median": "median_combine", "sum": "sum_combine"}


def _of_stack(stack: xr.DataArray, unit: Any, dtype: Any) -> Combiner:
    combiner = Combiner.__new__(Combiner)
    combiner._start(stack, unit, dtype)
    return combiner


def _band(whole: Combiner, part: Part) -> Combiner:
    """Some rows of a lazy combiner, in memory; without labels, of which each step would make those of a product."""
    part = (slice(None), *part)
    band = _of_stack(labelled(whole._stack[part].values), whole.unit, whole.dtype)
    every = whole.weights is not None and whole.weights.ndim > 1
    band._weights = whole.weights[part] if every else whole.weights
    band._scaling = whole.scaling
    return band
