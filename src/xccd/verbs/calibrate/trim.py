"""`trim`: the part of frames that saw light."""

from __future__ import annotations

from collections.abc import Hashable
from functools import partial
from typing import Any

import xarray as xr

from xccd.headers.common import COMBINED
from xccd.labels import calibration
from xccd.labels.apply import Obj
from xccd.labels.frames import add_history, step_text
from xccd.labels.nodes import map_nodes
from xccd.messages import a_type
from xccd.verbs.calibrate.samples import has_images, images_of
from xccd.verbs.calibrate.sections import part_of_frames

KEYWORDS = ("TRIMSEC", "DATASEC")  # what the default region stands for


def trim(obj: Obj, region: Any = None, *, dim: Hashable = "frame") -> Obj:
    """Cut frames, or an image, to the part that saw light.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Frames along ``dim``, or one image.
    region : str, slice, tuple of slices or dict, optional
        What stays: a section "[x1:x2,y1:y2]" of the file; a keyword that holds one; a slice of columns, or slices
        (y, x), by position; or a dict of slices of labels, as for ``sel``. Default: TRIMSEC, or DATASEC.
    dim : hashable, default: "frame"
        The dimension that holds the frames.

    Returns
    -------
    DataArray, Dataset or DataTree
        The part, with its maps. It keeps its pixel numbers and its WCS. The label TRIM has the section; products and
        `header` have it as a card, and have no TRIMSEC, DATASEC and BIASSEC, which were of the whole frame.

    Raises
    ------
    ValueError
        The region is no section and no keyword of the frames, differs between frames, or holds no pixel; a section
        reaches beyond the image of the file. Of frames that were cropped since, it takes what is left.
    TypeError
        ``region`` is something else.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> raw = xccd.open_stack([(np.zeros((4, 6)), {"TRIMSEC": "[2:5,1:4]"})])
    >>> part = raw.ccd.trim()
    >>> part.shape, part.x.values.tolist()
    ((1, 4, 4), [1, 2, 3, 4])
    >>> raw.ccd.trim("[1:2,1:2]").shape, raw.ccd.trim(slice(0, 2)).shape
    ((1, 2, 2), (1, 4, 2))
    """
    if isinstance(obj, xr.DataArray):
        return _trim(obj, region, dim)
    if isinstance(obj, xr.Dataset):
        return _trim_dataset(obj, region, dim)
    if isinstance(obj, xr.DataTree):
        return map_nodes(lambda ds: _trim_dataset(ds, region, dim), obj, partial(has_images, dim=dim), "an image")
    raise TypeError(f"xccd.trim takes an xarray DataArray, Dataset or DataTree, not {a_type(obj)}")


def _trim(stack: xr.DataArray, region: Any, dim: Hashable) -> xr.DataArray:
    place, section = part_of_frames(region, stack, dim, KEYWORDS)
    part = stack.isel(place)
    gone = calibration.GONE["TRIM"]
    part = part.drop_vars(gone & set(part.coords))
    part.attrs = {k: v for k, v in part.attrs.items() if k not in gone}
    part = calibration.noted(part, dim, "TRIM", section)
    return add_history(part, step_text("trim", region=section))


def _trim_dataset(ds: xr.Dataset, region: Any, dim: Hashable) -> xr.Dataset:
    """All variables are cut, as maps are of the same pixels."""
    places = {name: part_of_frames(region, ds[name], dim, KEYWORDS)[0] for name in images_of(ds, dim)}
    if not places:
        raise ValueError(f"this Dataset has no image, its variables are {', '.join(map(str, ds.data_vars)) or 'none'}")
    first, *others = places
    for name in others:
        if places[name] != places[first]:
            raise ValueError(f"region={region!r} is another part of {name!r} than of {first!r}: trim one by one")
    done = {name: _trim(ds[name], region, dim) for name in places}
    labels = {k: done[first].coords[k].variable for k in (*calibration.CARDS, COMBINED) if k in done[first].coords}
    part = ds.isel(places[first])
    bare = part.drop_vars(calibration.GONE["TRIM"] & set(part.coords))
    return bare.assign_coords(labels).assign({name: new.variable for name, new in done.items()})
