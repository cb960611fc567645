"""Combination: one image from a stack."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.chain import Chain
from xccd.compute.ends import Combine, End, check_factors
from xccd.compute.errors import Rescaled
from xccd.compute.run import chained
from xccd.compute.tiers import spared, with_flags_in_use
from xccd.errors import in_tree
from xccd.kernels.limits import float_dtype
from xccd.kernels.table import ARGUMENTS, METHODS, OUTPUTS
from xccd.labels.apply import Obj, per_variable
from xccd.labels.choices import ErrorFrom, MapName
from xccd.labels.choices import Method as Method
from xccd.labels.flags import flags_of, map_name
from xccd.labels.frames import check_stack, frames_first, step_text, without_frames
from xccd.labels.lazy import as_lazy_indexed
from xccd.labels.mixed import check_rows, mixed
from xccd.labels.warn import warn
from xccd.messages import called, did_you_mean
from xccd.verbs.product_maps import Image, Maps
from xccd.verbs.rejected_frames import tell_of_rejected_frames
from xccd.verbs.tiers import names_of, tiers_of
from xccd.verbs.weights import check_scale, check_weights, inverse_variances, resolve
from xccd.write.product import describe
from xccd.write.product_cards import How


@per_variable
def combine(
    stack: xr.DataArray,
    method: Method = "mean",
    *,
    weights: Any = None,
    scale: Any = None,
    q: float | None = None,
    c: float | None = None,
    ddof: int = 0,
    rescale: bool = False,
    uncertainty: ErrorFrom | None = None,
    maps: Sequence[MapName] | None = None,
    tiers: Sequence[Any] | None = None,
    dtype: Any = None,
    dim: Hashable = "frame",
) -> xr.DataArray:
    """Combine the frames of a stack into one image.

    Missing samples (NaN, infinities) take no part, and have no weight. Statistics are computed in float64.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``; of a Dataset, and of each node of a DataTree, every variable that has it.
    method : str or callable, default: "mean"
        "mean", "median", "lower_median", "sum", "min", "max", "std", "var", "mad_std", "biweight", "quantile",
        "geometric_mean", "mode", "adaptive", "first", "last", "ivar", "count", or a function of (values with NaN where
        missing, axis). "ivar" needs the uncertainties of a flagged Dataset.
    weights : str, callable or array-like, optional
        For "mean", "sum", "median" and "quantile": a keyword of the frames ("EXPTIME"), one number a frame, one number
        a sample (an array of the stack's shape, or a DataArray whose dimensions say what it is for), or a function
        that takes a frame (a DataArray without ``dim``) and returns a number. Finite, 0 or more. Aligned frames also
        have "footprint", the part of a pixel that lies in the frame, and "feather", which falls to 0 at its edge;
        drizzled frames have "drizzle", the drops that fell on a pixel. By quality: "noise", "ivar", "stars" and "fwhm",
        see the notes. Names may be multiplied: "EXPTIME*feather".
    scale : str, callable or array-like, optional
        Finite factors by which samples are multiplied while they are combined, given as weights are.
    q : float, optional
        The quantile, 0 to 1, for "quantile".
    c : float, optional
        For "biweight": samples farther than ``c`` MAD from the median have no weight. Default: 6.
    ddof : int, default: 0
        For "std" and "var": the divisor is n - ddof.
    rescale : bool, default: False
        For "sum" without weights: the sum of the samples in use times (all frames) / (frames in use), so that a pixel
        with rejected samples does not become dark.
    uncertainty : {"propagate", "scatter", "larger"}, optional
        Of a flagged Dataset: the standard error from the uncertainties of the samples, from their scatter, or the
        larger of both. Default: "propagate" where there are uncertainties, else "scatter".
    maps : list of str, optional
        Of a flagged Dataset: the maps to make beside the image, as for `combine_with_maps`. Default: ["uncertainty",
        "common", "count"].
    tiers : list, optional
        Of a flagged Dataset: the flags of samples that serve where a pixel has no good sample, the least bad first. A
        tier is the name of a flag, as in the attribute ``flag_meanings``, or several, as
        ``["above_maximum", ("grown", "rejected_high")]``. A pixel takes its samples of one tier: of the first one for
        which it has some, and such a sample may have flags of the tiers before it, too. Samples without a value,
        "not_finite" and "outside_footprint", never serve.
    dtype : dtype, optional
        Float dtype of the image. Default: that of the stack (float32 for integers of up to 16 bits, float64 for wider
        ones), float64 for "sum", int64 for "count".
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        The image without ``dim``, in the stack's unit. NaN where no valid sample, or no weight, is left ("count": 0).
        Attributes and the coordinate ``image_header`` describe the product (NCOMBINE, EXPTIME, ..., HISTORY). Keywords
        are those of the frames; attributes of other software stay.

    Raises
    ------
    ValueError
        Unknown method; weights that are negative, not finite, all 0, of a wrong shape, or with a method that takes
        none; a scale that is not finite; ``q`` missing or outside 0 to 1, ``q``, ``c``, ``ddof`` or ``rescale`` with a
        method that does not take it; uncertainties or flags that are needed and not there; no dimension ``dim``; an
        empty stack; frames that differ in ROWORDER or BAYERPAT. Weights and scales per sample are checked when they
        are used: on dask input when it is computed.
    TypeError
        Samples, weights or ``dtype`` that are not real numbers.

    Warns
    -----
    UserWarning
        Frames that differ in kind (bias, dark, flat, light, ...: IMAGETYP, OBSTYPE) or in FILTER, but for "count".
        Uncertainties that no formula propagates. Flags in memory that show a frame of which clips rejected more than
        10 %, and more than 3 times as much as of the median frame.

    Notes
    -----
    Weighted mean: sum(w x) / sum(w). Weighted quantile: NumPy's "averaged_inverted_cdf", so that equal weights give the
    plain median; unweighted: NumPy's "linear". "mad_std" is 1.482602218505602 times the median absolute deviation.
    "lower_median" is the lower one of the two middle samples of an even count. "biweight" is Tukey's location, one step
    from the median M: M + sum(w (x - M)) / sum(w), w = (1 - u^2)^2 for abs(u) < 1, u = (x - M) / (c MAD); M where the
    MAD is 0 (Beers, Flynn and Gebhardt 1990, AJ 100, 32).

    "geometric_mean" is NaN where a sample in use is 0 or less. "mode" is the half-sample mode: of the sorted samples
    the narrowest half, of that the narrowest half, until three are left, or two; it is the mean of the nearer two
    (Bickel and Fruehwirth 2006, CSDA 50, 3500). Of equally narrow halves it takes the middle one. "adaptive" is
    Stetson's mean: five times sum(w x) / sum(w), w = 1 / (1 + (r / s)^2), with r the distances from the mean so far and
    s twice the standard deviation with divisor n - 1. "first" and "last" take the frames in their order. "ivar" is
    sum(x / sigma^2) / sum(1 / sigma^2).

    Weights by quality: "noise" is 1 / noise^2, from the label ``noise`` on ``dim``, else measured in whole frames by
    the formula in `measure_stars`; "ivar" is 1 / sigma^2 of the uncertainties of a flagged Dataset; "stars" is the
    number of stars, "fwhm" 1 / fwhm^2, from the labels that ``stack.assign_coords(stack.ccd.measure_stars())`` gives.
    Factors of ``scale`` count in "noise" and "ivar". Measure before `align`; `normalize` scales ``noise`` along.

    A flagged Dataset also gets the per-pixel count, and the standard error where a formula is known: of "mean",
    "median", "sum" and "ivar". From the scatter with weights there is none for the median. The part of the errors that
    all frames share, ``data_common``, does not become smaller with more frames; the scatter does not show it. A clip
    makes errors too small. After one plain `sigma_clip` those of "mean" and "median" are multiplied by a factor for it,
    from simulated normal noise; the attribute ``clip`` of the map says whether they were.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> stack = xr.DataArray([[1.0, 2.0], [3.0, np.nan], [5.0, 8.0]], dims=("frame", "x"))
    >>> xccd.combine(stack, "mean").values.tolist()
    [3.0, 5.0]
    >>> stack.ccd.combine("mean", weights=[1, 1, 2]).values.tolist()
    [3.5, 6.0]
    """
    if maps is not None and flags_of(stack) is None:
        raise ValueError("maps= goes with a flagged Dataset: use combine_with_maps, or stack.ccd.to_dataset() first")
    return combine_stack(
        stack, method, weights=weights, scale=scale, q=q, c=c, ddof=ddof, rescale=rescale, uncertainty=uncertainty,
        maps=maps, tiers=tiers, dtype=dtype, dim=dim,
    )  # fmt: skip


def combine_stack(
    stack: xr.DataArray, method: Method, *, weights: Any, scale: Any, q: float | None, c: float | None, ddof: int,
    rescale: bool, uncertainty: str | None, maps: Sequence[str] | None, tiers: Sequence[Any] | None, dtype: Any,
    dim: Hashable, lenient: bool = False,
) -> xr.DataArray:  # fmt: skip
    """The image of a stack with its maps as coordinates; with ``lenient`` maps that cannot be made are left out."""
    check_stack(stack, dim)
    check_rows(stack, dim)
    arguments = {"q": q, "c": c, "ddof": ddof, "rescale": rescale}
    check_method(method, weights, **arguments)
    allowed = () if tiers is None else tiers_of(tiers, flags_of(stack) is not None)
    image_dtype = _image_dtype(method, stack.dtype, dtype)
    factor = resolve("scale", scale, stack, dim)
    weight = resolve("weights", weights, stack, dim, factors=factor)
    check_scale(factor, stack, dim)
    known = check_weights(weight, stack, dim)
    if method == "ivar":
        weight, known = inverse_variances("method='ivar'", stack, dim, factor), None
    elif weights is None:
        known = np.ones(stack.sizes[dim])
    end = _end(method, weights is not None, arguments, stack.sizes[dim])
    # A count is right whatever the frames show.
    if method != "count" and (keywords := mixed(stack, dim)):
        warn(f"combine: the frames differ in {keywords}: they may not belong together, open_tree tells them apart")
    tell_of_rejected_frames(stack, dim)
    corrects = scale is None and not allowed  # else other samples are combined than were clipped
    wanted = Maps.of(stack, dim, end, maps, uncertainty, lenient=lenient, corrects=corrects)
    data, made = _image_and_maps(wanted, factor.data, weight.data, image_dtype, allowed)
    step = step_text(
        "combine", method=method, weights=weights, scale=scale, q=q, c=c, ddof=ddof or None, rescale=rescale or None,
        uncertainty=uncertainty, tiers=names_of(allowed) or None, dtype=dtype,
    ) + ("; the uncertainty is corrected for the clip" if wanted.clip and "uncertainty" in made else "")  # fmt: skip
    factors = np.ones(stack.sizes[dim]) if scale is None else factor.per_frame
    how = How(str(method), known, factors)
    return _with_maps(describe(without_frames(stack, dim, data), stack, dim, how=how, step=step), made, wanted.attrs)


def _end(method: Method, weighted: bool, arguments: dict[str, Any], frames: int) -> Image:
    """The end of the chain that makes the image, or the user's function."""
    if callable(method):
        return method
    if method == "ivar":
        return Combine("mean", weighted=True)
    end = Combine(method, weighted, *_own_arguments(method, arguments))
    return Rescaled(end, frames) if arguments["rescale"] else end


def _image_and_maps(
    maps: Maps, scale: Any, weights: Any, dtype: Any, allowed: tuple[int, ...]
) -> tuple[Any, dict[str, Any]]:
    """The image, and its maps by name."""
    stack, dim, end = maps.stack, maps.dim, maps.end
    x, flags = frames_first(stack, dim), flags_of(stack)
    given = bits = None if flags is None else frames_first(flags, dim)
    if allowed:
        bits = spared(x, given, allowed)
    ends: dict[str, tuple[End, Any]] = {"image": (end, dtype)} if isinstance(end, Combine | Rescaled) else {}
    ends |= {name: (found, OUTPUTS[name].dtype or dtype) for name, found in maps.ends().items()}
    # One chain for the image and its maps: the samples are read and sorted once.
    chain, dtypes = Chain((), tuple(e for e, _ in ends.values())), [d for _, d in ends.values()]
    run = partial(chained, chain, x, scale, weights, bits, sides=maps.sides(), keep_flags=maps.keeps_flags)
    images = dict(zip(ends, run(dtypes=dtypes), strict=True)) if ends else {}
    if allowed and "flags" in images:
        images["flags"] = with_flags_in_use(images["flags"], given, bits)
    if isinstance(end, Combine | Rescaled):
        return images.pop("image"), images
    if bits is not None:
        # a user's function knows no flags, so it gets NaN
        (x,) = chained(Chain(()), x, flags=bits, dtypes=[float_dtype(x.dtype)])
    by_user = partial(_by_function, method=end, dtype=dtype)
    return arrays.map_over_frames(by_user, x, scale, weights, reduce=True, dtype=dtype), images


def _with_maps(image: xr.DataArray, maps: dict[str, Any], attrs: dict[str, dict[str, Any]]) -> xr.DataArray:
    """The image with its maps beside it, as a Dataset takes them apart."""
    unit = {"units": image.attrs["units"]} if "units" in image.attrs else {}
    made = {}
    for name, data in maps.items():
        own = attrs[name] | (unit if OUTPUTS[name].has_unit else {})
        made[map_name(image.name, name)] = image.dims, as_lazy_indexed(data), own
    return image.assign_coords(made)


def count(stack: Obj, *, dim: Hashable = "frame") -> Obj:
    """Number of samples in use, per pixel: ``combine("count")``.

    Parameters
    ----------
    stack : DataArray, Dataset or DataTree
        Frames along ``dim``.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        int64, without ``dim``.

    Raises
    ------
    ValueError, TypeError
        As `combine`.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> xr.DataArray([[1.0, np.nan], [3.0, np.inf]], dims=("frame", "x")).ccd.count().values.tolist()
    [2, 0]
    """
    return combine(stack, "count", dim=dim)


def check_method(method: Method, weights: Any, **arguments: Any) -> None:
    """Raise for arguments that do not go with the method. None: the argument was not given."""
    if not callable(method) and not (isinstance(method, str) and method in METHODS):
        known = ", ".join(METHODS)
        near = did_you_mean(method, METHODS)
        raise ValueError(f"method={method!r} is unknown: use one of {known}, or a function{near}")
    row = None if callable(method) else METHODS[method]
    if weights is not None and (row is None or row.weighted is None):
        able = ", ".join(k for k, row in METHODS.items() if row.weighted)
        raise ValueError(f"method={called(method)} is not defined with weights=: {able} are")
    for name, value in arguments.items():
        _check_argument(method, () if row is None else row.takes, name, value)
    if weights is not None and arguments.get("rescale"):
        raise ValueError(
            "rescale=True with weights=: it counts frames, use combine('mean', weights=...) times their sum"
        )


def _check_argument(method: Method, takes: tuple[str, ...], name: str, value: Any) -> None:
    row, shown = ARGUMENTS[name], f"{name}={called(value)}"
    truth = isinstance(value, (bool, np.bool_))
    fits = truth if isinstance(row.default, bool) else isinstance(value, (int, float, np.number)) and not truth
    given = value is not None if row.may_be_none else not (fits and value == row.default)
    if given != (name in takes) and (given or row.default is None):
        goes_with = " and ".join(repr(k) for k, other in METHODS.items() if name in other.takes)
        needs = f", which needs it, as {name}=0.25" if row.default is None else ""
        raise ValueError(f"{shown} with method={called(method)}: {name} goes with {goes_with}{needs}")
    if (given or not row.may_be_none) and not (fits and row.is_right(value)):
        raise ValueError(f"{shown} is not {row.rule}")


def _own_arguments(method: str, arguments: dict[str, Any]) -> tuple[float, int]:
    """The method's own argument, 0 where it takes none, and its ddof."""
    values: dict[str, Any] = {}
    for name in METHODS[method].takes:
        values[name] = ARGUMENTS[name].default if arguments[name] is None else arguments[name]
    values.pop("rescale", None)
    ddof = values.pop("ddof", 0)
    return float(next(iter(values.values()), 0.0)), int(ddof)


def _image_dtype(method: Method, stack: np.dtype[Any], asked: Any) -> np.dtype[Any]:
    own = None if callable(method) else METHODS[method].dtype
    if asked is None:
        return np.dtype(own) if own else float_dtype(stack)
    if method == "count":
        raise ValueError(f"dtype={asked!r} with method='count': counts are int64, use .astype()")
    try:
        dtype: np.dtype[Any] = np.dtype(asked)
    except TypeError as error:
        near = did_you_mean(asked, ("float32", "float64"))
        raise TypeError(f"dtype={asked!r} is no dtype: {error}{near}") from None
    dtype = np.dtype(dtype.newbyteorder("="))
    if dtype not in (np.float32, np.float64):
        raise ValueError(
            f"dtype={asked!r}: an image is float32 or float64, as its missing pixels are NaN; combine to one of these, "
            f"then .fillna(0).astype({str(dtype)!r})"
        )
    return dtype


@in_tree
def _by_function(x: Any, scale: Any, weights: Any, *, method: Callable[..., Any], dtype: np.dtype[Any]) -> Any:
    """A user's function of (values, axis) on one block."""
    valid = np.isfinite(x)
    check_factors(valid, scale)
    values = np.where(valid, x, np.nan).astype(float_dtype(x.dtype), copy=False)
    if scale.size != 1 or scale.item() != 1:
        values = (values * scale).astype(values.dtype, copy=False)
    empty = ~valid.any(0)
    values[:, empty] = 0  # functions that skip NaN warn of pixels that are all NaN
    image = np.asarray(method(values, 0))
    if image.shape != x.shape[1:]:
        raise ValueError(
            f"method={called(method)} gave shape {image.shape} for values of shape "
            f"{x.shape} along axis 0: it must give {x.shape[1:]}"
        )
    if image.dtype.kind not in "fiub":
        raise TypeError(f"method={called(method)} gave dtype {image.dtype}: it must give real numbers")
    return np.where(empty, np.nan, image).astype(dtype, copy=False)
