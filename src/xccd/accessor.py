"""The ``.ccd`` accessor: each method is a public function with the object as first argument."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Generic, ParamSpec, TypeVar, cast

import xarray as xr

from xccd.errors import in_tree
from xccd.interop import to_ccddata, to_masked_array
from xccd.labels import one_line
from xccd.labels.header import header
from xccd.labels.hidden import hide_texts
from xccd.labels.keyword import keyword
from xccd.labels.lazy import AccessorRegistrationWarning
from xccd.messages import misfit, no_attribute
from xccd.night.plan.plan import plan
from xccd.pictures import card
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
from xccd.verbs.explain import explain
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
Own = TypeVar("Own", xr.DataArray, xr.Dataset, xr.DataTree)


def _bind(function: Callable[Concatenate[Any, P], R]) -> Callable[Concatenate[CCDAccessor[Any], P], R]:
    @wraps(function)
    def on_object(self: CCDAccessor[Any], *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._obj, *args, **kwargs)

    def said(args: tuple[Any, ...], kwargs: dict[str, Any]) -> str | None:
        return misfit(function, (args[0]._obj, *args[1:]), kwargs)

    method = in_tree(on_object, said)
    own = inspect.signature(function)
    _, *rest = own.parameters.values()
    me = inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY)
    method.__signature__ = own.replace(parameters=[me, *rest])  # type: ignore[attr-defined]
    method.__qualname__ = f"CCDAccessor.{function.__name__}"
    return cast("Callable[Concatenate[CCDAccessor[Any], P], R]", method)


def _varied(function: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[CCDAccessor[Any], P], Any]:
    """As `_bind`, of a function whose result has another type for a DataTree; mypy would take that of a DataArray."""
    return _bind(function)


def _same(function: Callable[Concatenate[Any, P], Any]) -> Callable[Concatenate[CCDAccessor[Own], P], Own]:
    """As `_bind`, of a function whose result is of the type of its object."""
    return _bind(function)


class CCDAccessor(Generic[Own]):
    """Stacking for xarray objects: the functions of `xccd`, with the object as first argument."""

    def __init__(self, obj: Own) -> None:
        self._obj: Own = obj

    def __repr__(self) -> str:
        return one_line.text(vars(self).get("_obj"))

    def _repr_html_(self) -> str:
        return card.html(vars(self).get("_obj"))

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # pickle, copy and notebooks look these up on any object
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if hasattr(type(self), name):  # a property raised AttributeError: raise that error
            return object.__getattribute__(self, name)
        own = type(self._obj)
        hint = f"; it is the {own.__name__}'s own, without .ccd" if hasattr(own, name) else ""
        raise no_attribute(".ccd", name, dir(type(self)), hint)

    sigma_clip = _same(sigma_clip)
    clip_extrema = _same(clip_extrema)
    minmax = _same(minmax)
    grow = _same(grow)
    large_structures = _same(large_structures)
    reject = _same(reject)
    mask = property(_bind(mask))
    mask_where = _same(mask_where)
    apply_flags = _same(apply_flags)
    subtract_overscan = _same(subtract_overscan)
    trim = _same(trim)
    subtract_bias = _same(subtract_bias)
    subtract_dark = _same(subtract_dark)
    flat_correct = _same(flat_correct)
    gain_correct = _same(gain_correct)
    create_deviation = _varied(create_deviation)
    count = _same(count)
    context = _same(context)
    combine = _same(combine)
    combine_with_maps = _varied(combine_with_maps)
    normalize = _same(normalize)
    align = _same(align)
    bayer_planes = _bind(bayer_planes)
    debayer = _same(debayer)
    stats = _bind(stats)
    explain = _bind(explain)
    plan = _bind(plan)
    keep = _same(keep)
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
    refine_wcs = _same(refine_wcs)
    assign_wcs = _same(assign_wcs)
    assign_sky_coords = _same(assign_sky_coords)
    cutout = _same(cutout)
    header = _bind(header)
    keyword = _bind(keyword)
    wcs = _bind(wcs)
    to_dataset = _bind(to_dataset)
    to_stack = _bind(to_stack)
    to_ccddata = _bind(to_ccddata)
    to_masked_array = _bind(to_masked_array)
    to_fits = _varied(to_fits)
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
hide_texts()
