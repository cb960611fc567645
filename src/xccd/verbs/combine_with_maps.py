"""`combine_with_maps`: an image with all maps of it, as a Dataset."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Any, overload

import xarray as xr

from xccd.compute import arrays
from xccd.compute.maps import shares
from xccd.compute.run import rejected_by_frame
from xccd.kernels.flags import Flag
from xccd.labels.apply import per_variable
from xccd.labels.choices import ErrorFrom, MapName
from xccd.labels.flags import flags_of, map_name, science_variables, with_maps
from xccd.labels.frames import frames_first
from xccd.labels.lazy import array_of
from xccd.labels.nodes import map_nodes
from xccd.verbs.combine import Method, combine_stack
from xccd.verbs.product_maps import ALL, OF_FLAGS

SIDES = {"low": Flag.REJECTED_LOW, "high": Flag.REJECTED_HIGH}


@overload
def combine_with_maps(
    obj: xr.DataArray | xr.Dataset,
    method: Method = "mean",
    *,
    uncertainty: ErrorFrom | None = None,
    maps: Sequence[MapName] | None = None,
    tiers: Sequence[Any] | None = None,
    weights: Any = None,
    scale: Any = None,
    q: float | None = None,
    c: float | None = None,
    ddof: int = 0,
    rescale: bool = False,
    dtype: Any = None,
    dim: Hashable = "frame",
) -> xr.Dataset: ...
@overload
def combine_with_maps(
    obj: xr.DataTree,
    method: Method = "mean",
    *,
    uncertainty: ErrorFrom | None = None,
    maps: Sequence[MapName] | None = None,
    tiers: Sequence[Any] | None = None,
    weights: Any = None,
    scale: Any = None,
    q: float | None = None,
    c: float | None = None,
    ddof: int = 0,
    rescale: bool = False,
    dtype: Any = None,
    dim: Hashable = "frame",
) -> xr.DataTree: ...
def combine_with_maps(
    obj: Any,
    method: Method = "mean",
    *,
    uncertainty: ErrorFrom | None = None,
    maps: Sequence[MapName] | None = None,
    tiers: Sequence[Any] | None = None,
    weights: Any = None,
    scale: Any = None,
    q: float | None = None,
    c: float | None = None,
    ddof: int = 0,
    rescale: bool = False,
    dtype: Any = None,
    dim: Hashable = "frame",
) -> Any:
    """Combine the frames of a stack into one image, with maps of where its values are from.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        As for `combine`.
    method, uncertainty, tiers, weights, scale, q, c, ddof, rescale, dtype, dim
        As for `combine`. An uncertainty from anything but the scatter needs the uncertainties of a flagged Dataset.
    maps : list of str, optional
        Some of "uncertainty", "common", "count", "rejected_low", "rejected_high", "weight", "exposure" and "flags".
        Default: all that can be made.

    Returns
    -------
    Dataset or DataTree
        ``data`` (or the name of the variable) as from `combine`, and these variables, each where it can be made:

        - ``data_uncertainty``: the standard error, where a formula is known.
        - ``data_common``: the part of the standard error that all frames share, if the samples have it and the error is
          propagated.
        - ``data_count``: the number of samples in use.
        - ``data_rejected_low``, ``data_rejected_high``: the numbers of samples that clips rejected on either side, and
          that no tier took. A clip of a DataArray leaves NaN alone, so these two and the flags need a flagged Dataset.
        - ``data_weight``: the total weight of the samples in use; their number without weights.
        - ``data_exposure``: their total exposure time in seconds, if it is known of each frame.
        - ``data_flags``: 0 for a pixel with a good sample; the flags of the samples in use where ``tiers`` took them;
          else all flags of its samples.

        If clips have set flags, the coordinates ``data_share_rejected_low`` and ``data_share_rejected_high`` on
        ``dim`` are the share of each frame that was rejected; not for files opened with ``chunks=None``.

    Raises
    ------
    ValueError, TypeError
        As `combine`; a map that is asked for by name and cannot be made, but for an uncertainty without a formula.

    Notes
    -----
    Image and maps are made in one pass. What is lazy stays lazy.

    Examples
    --------
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> values = [[10.0, 11.0], [12.0, 13.0], [11.0, 90.0], [11.0, 12.0]]
    >>> stack = xr.DataArray(values, dims=("frame", "x"), coords={"EXPTIME": ("frame", [30.0, 30.0, 60.0, 30.0])})
    >>> image = stack.ccd.to_dataset().ccd.minmax(max=50).ccd.combine_with_maps("mean")
    >>> image.data_count.values.tolist(), image.data_exposure.values.tolist()
    ([4, 3], [150.0, 90.0])
    >>> clipped = stack.ccd.to_dataset().ccd.clip_extrema(0, 1)
    >>> clipped.ccd.combine_with_maps(maps=["rejected_high"]).data_rejected_high.values.tolist()
    [1, 1]

    The saturated core of a star has no good sample; its flags say what was taken (8):

    >>> star = xr.DataArray([[60.0, 11.0], [70.0, 12.0]], dims=("frame", "x")).ccd.to_dataset().ccd.minmax(max=50)
    >>> star.ccd.combine_with_maps("max").data.values.tolist()
    [nan, 12.0]
    >>> image = star.ccd.combine_with_maps("max", tiers=["above_maximum"])
    >>> image.data.values.tolist(), image.data_count.values.tolist(), image.data_flags.values.tolist()
    ([70.0, 12.0], [2, 2], [8, 0])
    """
    options = {
        "method": method, "uncertainty": uncertainty, "maps": maps, "tiers": tiers, "weights": weights,
        "scale": scale, "q": q, "c": c, "ddof": ddof, "rescale": rescale, "dtype": dtype,
    }  # fmt: skip

    def on_dataset(ds: xr.Dataset) -> xr.Dataset:
        made: xr.Dataset = _with_maps(ds, dim=dim, options=options)
        return made.assign_coords(_shares(ds, made, dim))

    if isinstance(obj, xr.DataArray):
        return on_dataset(obj.to_dataset(name="data" if obj.name is None else obj.name))
    if isinstance(obj, xr.DataTree):
        return map_nodes(
            on_dataset, obj, lambda ds: any(dim in v.dims for v in ds.data_vars.values()),
            f"a variable with the dimension {dim!r}",
        )  # fmt: skip
    if isinstance(obj, xr.Dataset):
        return on_dataset(obj)
    raise TypeError(f"xccd.combine_with_maps takes a DataArray, Dataset or DataTree, not {type(obj).__name__}")


@per_variable
def _with_maps(stack: xr.DataArray, *, dim: Hashable, options: dict[str, Any]) -> xr.DataArray:
    """The image with its maps as coordinates, of one variable."""
    possible = [name for name in ALL if flags_of(stack) is not None or name not in OF_FLAGS]
    asked, lenient = (possible, True) if options["maps"] is None else (options["maps"], False)
    return combine_stack(stack, dim=dim, lenient=lenient, **options | {"maps": asked})


def _shares(ds: xr.Dataset, made: xr.Dataset, dim: Hashable) -> dict[str, Any]:
    """The share of each frame that clips rejected, as coordinates, and the files of the frames.

    The task that makes the images ``made`` counts them if it can; else they are counted in the flags.
    """
    found: dict[str, Any] = {}
    for name in science_variables(ds, dim):
        flags = flags_of(with_maps(ds, name))
        if flags is None or arrays.is_deferred(array_of(flags)):
            continue
        counted = _counted(made, name)
        found_shares = shares(frames_first(flags, dim), tuple(map(int, SIDES.values()))) if counted is None else counted
        for side, share in zip(SIDES, found_shares, strict=True):
            attrs = {"long_name": f"share of the frame that clips rejected as {side}"}
            found[map_name(name, f"share_rejected_{side}")] = (dim, share, attrs)
    if found and "file" in ds.coords and ds.coords["file"].dims == (dim,):
        found["file"] = ds.coords["file"].variable
    return found


def _counted(made: xr.Dataset, name: Hashable) -> Any:
    """The shares of low and high samples of each frame from the image or one of its maps; None if they do not know."""
    for image in (name, *(map_name(name, kind) for kind in ALL)):
        counts = rejected_by_frame(array_of(made[image])) if image in made else None
        if counts is not None:
            return counts / max(1, made[image].size)
    return None
