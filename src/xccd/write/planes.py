"""The images that an object is written as: one, or one for each product along a dimension."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.colour_axis import CHANNEL
from xccd.headers.common import COMBINED
from xccd.headers.pixel_grid import AXES
from xccd.headers.writing import FILES
from xccd.labels.flags import image_names
from xccd.labels.header import has_colours
from xccd.write.extensions import NAMES, TABLE

PIXELS = re.compile(rf"frame|{'|'.join(AXES)}|axis\d+")  # dimensions within one image or stack
TEXTS = (COMBINED, FILES, "header")
RESERVED = frozenset({"PRIMARY", TABLE, *NAMES.values(), "COUNT", "DQ", "ERR", "VAR"})  # taken for maps by readers
MAX_IMCMB = 999  # inputs that IMCMBnnn can number
LONGEST = 60  # characters of a name, so that it fits one card


class Plane(NamedTuple):
    """An image with its EXTNAME ("" if it is alone) and the Dataset of its maps."""

    name: str
    image: xr.DataArray
    ds: xr.Dataset


def planes_of(obj: xr.DataArray | xr.Dataset, node: str = "") -> list[Plane]:
    """The images of an object: several if header texts or keywords vary along one of its dimensions.

    ``groupby("FILTER").map(combine)`` and concatenated products give such objects. As one cube they would get the
    keywords of the first product.
    """
    image, ds = (image_of(obj), obj) if isinstance(obj, xr.Dataset) else (obj, xr.Dataset())
    # The frames of a stack differ in their headers, too, but a stack is one cube.
    within = {CHANNEL} if has_colours(image) else set()
    dims = [d for d in image.dims if not PIXELS.fullmatch(str(d)) and d not in within and _tells_apart(image, d)]
    if not dims:
        return [Plane(_free(node, "node") if node else "", image, ds)]
    found = []
    units = _units_of_planes(image)
    for numbers in np.ndindex(*(image.sizes[d] for d in dims)):
        where = dict(zip(dims, numbers, strict=True))
        plane = image.isel(where)
        if not _is_there(plane):
            continue
        name = "_".join(_label(image, d, i) for d, i in where.items())
        name = _free(f"{node}-{name}" if node else name, "_".join(map(str, dims)))
        found.append(Plane(name, _by_itself(plane, units), ds.isel(where, missing_dims="ignore")))
    if not found:
        raise ValueError(f"to_fits: no image along {dims} has a header: there is no product")
    return found


def image_of(ds: xr.Dataset) -> xr.DataArray:
    """The only variable of a Dataset that is not a map; raises if there are none or several."""
    names = image_names(ds)
    if not names:
        raise ValueError("to_fits: this Dataset has no variable")
    if len(names) > 1:
        raise ValueError(
            f"this Dataset has the variables {', '.join(map(str, names))}, and a file holds one image with its maps: "
            f"write one after the other, as ds[[{names[0]!r}]].ccd.to_fits(...)"
        )
    return ds[names[0]]


def _tells_apart(image: xr.DataArray, dim: Any) -> bool:
    """Whether header texts, keywords or names lie along a dimension."""
    along = {str(name): c for name, c in image.coords.items() if dim in c.dims}
    return any(name in TEXTS or name == name.upper() or c.dtype.kind in "OUST" for name, c in along.items())


def _is_there(plane: xr.DataArray) -> bool:
    """Whether the plane is a product: with two keywords, some pairs of values have no frames."""
    return COMBINED not in plane.coords or isinstance(plane.coords[COMBINED].values.item(), str)


def _label(image: xr.DataArray, dim: Any, number: int) -> str:
    """The name of a plane: its label along ``dim``; a number is preceded by the dimension's name."""
    if dim not in image.coords:
        return str(dim)  # EXTVER tells them apart
    value = image.coords[dim].values[number]
    if isinstance(value, np.datetime64):
        return str(np.datetime_as_string(value, "auto")) if value == value else str(dim)
    if isinstance(value, tuple):
        return "_".join(map(str, value))
    if isinstance(value, str):
        return value.strip() or str(dim)
    return f"{dim}_{value:.12g}" if isinstance(value, (int, float, np.number)) else f"{dim}_{value}"


def _free(name: str, prefix: str) -> str:
    """The name as EXTNAME, with ``prefix`` if a reader would take it for a map."""
    name = cards.ascii_only(name).replace("/", "-").strip()[:LONGEST]
    return f"{prefix}_{name}" if name.upper() in RESERVED else name


def _units_of_planes(image: xr.DataArray) -> set[Any]:
    """BUNIT of the headers of all planes."""
    texts = np.ravel(image.coords[COMBINED].values).tolist() if COMBINED in image.coords else []
    return {cards.card_value(text, "BUNIT") for text in texts if isinstance(text, str)}


def _by_itself(plane: xr.DataArray, units: set[Any]) -> xr.DataArray:
    """A plane with its own attributes: xarray kept those of the first plane for all."""
    plane = plane.copy(deep=False)
    if FILES in plane.coords and not _is_own_list(plane):
        plane = plane.drop_vars(FILES)
    if not any(name in plane.coords for name in TEXTS):
        plane.attrs = {k: v for k, v in plane.attrs.items() if str(k) != str(k).upper()}
    elif COMBINED in plane.coords and len(units) > 1:
        unit = cards.card_value(str(plane.coords[COMBINED].values.item()), "BUNIT")
        plane.attrs = {k: v for k, v in plane.attrs.items() if k != "units"} | ({"units": unit} if unit else {})
    return plane


def _is_own_list(plane: xr.DataArray) -> bool:
    """Whether the list of inputs belongs to this plane: if only one plane has a list, xarray gives it to all."""
    files = plane.coords[FILES].values.item()
    text = str(plane.coords[COMBINED].values.item()) if COMBINED in plane.coords else ""
    names = [cards.ascii_only(name) for name in str(files).split("\n")]
    ends = (1, MAX_IMCMB)
    return len(names) > MAX_IMCMB and all(cards.card_value(text, f"IMCMB{i:03d}") == names[i - 1] for i in ends)


def nodes_of(tree: xr.DataTree) -> Iterator[tuple[str, xr.Dataset]]:
    """Each node with a variable, as (path, Dataset); the path begins with the name of the tree."""
    found = 0
    for key, node in tree.subtree_with_keys:
        ds = node.to_dataset()
        path = "/".join(part for part in (tree.name, *key.split("/")) if part and part != ".") or "root"
        if ds.data_vars:
            found += 1
            yield path, ds
    if not found:
        raise ValueError("to_fits: no node of this DataTree has a variable")
