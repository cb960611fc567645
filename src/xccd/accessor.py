"""The ``.ccd`` accessor: each method is a public function with the object as first argument."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

import xarray as xr

from xccd.interop import to_ccddata, to_masked_array
from xccd.labels.header import header
from xccd.labels.lazy import AccessorRegistrationWarning
from xccd.messages import misfit, no_attribute
from xccd.pictures.public import blink, plot_noise, plot_pixel, plot_rejection, plot_transforms, preview, report
from xccd.sky.frame_wcs import wcs
from xccd.verbs.align import align
from xccd.verbs.apply_flags import apply_flags
from xccd.verbs.assign_wcs import assign_wcs
from xccd.verbs.bayer import bayer_planes
from xccd.verbs.calibrate.flat import flat_correct
from xccd.verbs.calibrate.gain import create_deviation, gain_correct
from xccd.verbs.calibrate.overscan import subtract_overscan
from xccd.verbs.calibrate.subtract import subtract_bias, subtract_dark
from xccd.verbs.calibrate.trim import trim
from xccd.verbs.clip import clip_extrema, minmax, sigma_clip
from xccd.verbs.combine import combine, count
from xccd.verbs.combine_with_maps import combine_with_maps
from xccd.verbs.context import context
from xccd.verbs.debayer import debayer
from xccd.verbs.find_offsets import find_offsets
from xccd.verbs.find_transforms import find_transforms
from xccd.verbs.grow import grow, large_structures
from xccd.verbs.keep import keep
from xccd.verbs.lossless import to_dataset, to_stack
from xccd.verbs.mask import mask, mask_where
from xccd.verbs.measure_stars import measure_stars
from xccd.verbs.normalize import normalize
from xccd.verbs.refine_wcs import refine_wcs
from xccd.verbs.reject import reject
from xccd.verbs.sky import assign_sky_coords, cutout
from xccd.verbs.stats import stats
from xccd.write.fits import to_fits
from xccd.write.zarr import to_zarr

P = ParamSpec("P")
R = TypeVar("R")


def _bind(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[CCDAccessor, P], R]:
    @wraps(function)
    def method(self: CCDAccessor, *args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(self._obj, *args, **kwargs)
        except TypeError:
            said = misfit(function, (self._obj, *args), kwargs)
            if said is None:
                raise
        raise TypeError(said)

    own = inspect.signature(function)
    _, *rest = own.parameters.values()
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = own.replace(parameters=[me, *rest])  # type: ignore[attr-defined]
    method.__qualname__ = f"CCDAccessor.{function.__name__}"
    return cast("Callable[Concatenate[CCDAccessor, P], R]", method)


class CCDAccessor:
    """Stacking for xarray objects: the functions of `xccd`, with the object as first argument."""

    def __init__(self, obj: Any) -> None:
        self._obj = obj

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle, copy and notebooks look these up on any object
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if hasattr(type(self), name):  # a property raised AttributeError: raise that error
            return object.__getattribute__(self, name)
        own = type(self._obj)
        hint = f"; it is the {own.__name__}'s own, without .ccd" if hasattr(own, name) else ""
        raise no_attribute(".ccd", name, dir(type(self)), hint)

    sigma_clip = _bind(sigma_clip)
    clip_extrema = _bind(clip_extrema)
    minmax = _bind(minmax)
    grow = _bind(grow)
    large_structures = _bind(large_structures)
    reject = _bind(reject)
    mask = property(_bind(mask))
    mask_where = _bind(mask_where)
    apply_flags = _bind(apply_flags)
    subtract_overscan = _bind(subtract_overscan)
    trim = _bind(trim)
    subtract_bias = _bind(subtract_bias)
    subtract_dark = _bind(subtract_dark)
    flat_correct = _bind(flat_correct)
    gain_correct = _bind(gain_correct)
    create_deviation = _bind(create_deviation)
    count = _bind(count)
    context = _bind(context)
    combine = _bind(combine)
    combine_with_maps = _bind(combine_with_maps)
    normalize = _bind(normalize)
    align = _bind(align)
    bayer_planes = _bind(bayer_planes)
    debayer = _bind(debayer)
    stats = _bind(stats)
    keep = _bind(keep)
    measure_stars = _bind(measure_stars)
    preview = _bind(preview)
    report = _bind(report)
    plot_rejection = _bind(plot_rejection)
    plot_pixel = _bind(plot_pixel)
    plot_noise = _bind(plot_noise)
    plot_transforms = _bind(plot_transforms)
    blink = _bind(blink)
    find_offsets = _bind(find_offsets)
    find_transforms = _bind(find_transforms)
    refine_wcs = _bind(refine_wcs)
    assign_wcs = _bind(assign_wcs)
    assign_sky_coords = _bind(assign_sky_coords)
    cutout = _bind(cutout)
    header = _bind(header)
    wcs = _bind(wcs)
    to_dataset = _bind(to_dataset)
    to_stack = _bind(to_stack)
    to_ccddata = _bind(to_ccddata)
    to_masked_array = _bind(to_masked_array)
    to_fits = _bind(to_fits)
    to_zarr = _bind(to_zarr)


class _Accessor:
    """Creates a new accessor at each access.

    xarray's own registration stores the accessor in the object, and the accessor holds the object. That cycle would
    keep a whole stack alive until the garbage collector runs.
    """

    def __get__(self, obj: Any, kind: type) -> Any:
        return CCDAccessor if obj is None else CCDAccessor(obj)


def _register(name: str, kinds: tuple[type, ...]) -> None:
    for kind in kinds:
        if hasattr(kind, name) and not isinstance(inspect.getattr_static(kind, name), _Accessor):
            warnings.warn(
                f"xccd takes the place of another accessor .{name} of {kind.__name__}",
                AccessorRegistrationWarning,
                stacklevel=2,
            )
        setattr(kind, name, _Accessor())


_register("ccd", (xr.DataArray, xr.Dataset, xr.DataTree))
