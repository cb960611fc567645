"""Masters as users give them (images, paths, Datasets, CCDData, arrays), and whether they fit the frames."""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.headers import units
from xccd.headers.settings import factor_between
from xccd.headers.uncertainties import KINDS
from xccd.labels.flags import flags_of, map_name, science_variable, with_maps
from xccd.labels.frames import check_array, unflagged
from xccd.labels.lazy import array_of
from xccd.labels.mixed import check_alike
from xccd.messages import a_type, shown
from xccd.read.dataset import open_dataset
from xccd.read.stack import open_stack
from xccd.verbs.calibrate.keywords import keyword_of
from xccd.verbs.calibrate.picked import picked

LONGEST = 60  # letters of a name in a card


@dataclass(frozen=True)
class Master:
    """A master that fits the frames: its image with maps, and its name in messages and cards."""

    argument: str
    image: xr.DataArray
    name: str

    @property
    def shown(self) -> str:
        """The master in messages."""
        return f"{self.argument}= ({self.name})"

    def without_flags(self) -> Master:
        """The master with NaN where it is flagged, for frames whose mask is NaN."""
        return Master(self.argument, unflagged(self.image), self.name)

    @property
    def flags(self) -> xr.DataArray | None:
        """The flags of the master; None if its mask is NaN."""
        return flags_of(self.image)

    @property
    def errors(self) -> tuple[xr.DataArray, int] | None:
        """The uncertainties of the master, and their power of its unit; None without."""
        found = self.image.coords.get(map_name(self.image.name, "uncertainty"))
        if found is None or set(found.dims) != set(self.image.dims):
            return None
        return found, KINDS[found.attrs.get("uncertainty_type", "std")].power


def master_of(argument: str, given: Any, stack: xr.DataArray, dim: Hashable) -> Master:
    """The master that a user gives, checked against the frames. No pixel is read.

    Raises TypeError for what is no image, ValueError for an image of other pixels.
    """
    image, name = _image(argument, given, stack, dim)
    if image.sizes.get(dim, 1) != 1:
        raise ValueError(
            f"{argument}= has {image.sizes[dim]} frames: give one image, as {argument}.ccd.combine('median')"
        )
    found = Master(argument, image, name or _own_name(image, dim))
    _check_pixels(found, stack, dim)
    if "y" in image.dims:
        check_alike(found.shown, image, stack)
    check_array(found.shown, array_of(image))
    if image.dtype.kind not in "fiu":
        raise TypeError(f"{found.shown} has dtype {image.dtype}: it must hold real numbers")
    return found


def _image(argument: str, given: Any, stack: xr.DataArray, dim: Hashable) -> tuple[xr.DataArray, str]:
    """The image with its maps as coordinates, and its name if it has one."""
    if isinstance(given, xr.DataArray):
        return given, _source(given)
    if isinstance(given, xr.Dataset):
        image = with_maps(given, science_variable(given))
        return image, _source(given) or _source(image)
    if isinstance(given, xr.DataTree):
        image = picked(argument, given, stack, dim)
        return image, _source(image)
    if isinstance(given, str | os.PathLike):
        chunks = "auto" if arrays.is_dask(array_of(stack)) else None
        return _opened(given, stack, chunks), PurePath(os.fspath(given)).name
    if type(given).__name__ == "CCDData" or hasattr(given, "uncertainty"):
        return _opened(given, stack, None), ""
    if isinstance(given, np.ndarray) or arrays.is_dask(given):
        dims = [d for d in stack.dims if d != dim]
        if given.ndim != len(dims):
            raise ValueError(f"{argument}= has shape {given.shape}: give an image of {_sizes(stack, dim)}")
        return xr.DataArray(given, dims=dims), ""
    raise TypeError(
        f"{argument}= is {a_type(given)}: give an image, as a path, a DataArray, a flagged Dataset, a CCDData or an "
        "array, or a tree of masters"
    )


def _opened(given: Any, stack: xr.DataArray, chunks: Any) -> xr.DataArray:
    """A stack of one frame; with its maps only if the frames have flags, as reading flags takes a pass."""
    if flags_of(stack) is None:
        return open_stack([given], chunks=chunks)
    return with_maps(open_dataset([given], chunks=chunks), "data")


def _source(obj: xr.DataArray | xr.Dataset) -> str:
    return PurePath(str(obj.encoding.get("source", ""))).name[:LONGEST]


def _sizes(stack: xr.DataArray, dim: Hashable) -> str:
    sizes = {str(d): n for d, n in stack.sizes.items() if d != dim}
    return f"{' x '.join(map(str, sizes.values()))} pixels ({', '.join(sizes)})"


def _own_name(image: xr.DataArray, dim: Hashable) -> str:
    """The name of a master by its file, by the frames that it was made of, or by its shape."""
    file = image.coords.get("file")
    if file is not None and file.size == 1:
        name = PurePath(str(file.values.reshape(-1)[0])).name
    elif first := keyword_of(image, "IMCMB001"):
        name = f"{keyword_of(image, 'NCOMBINE')} frames, {first} and so on"
    else:
        name = f"<{' x '.join(str(n) for d, n in image.sizes.items() if d != dim)} values>"
    return shown(name)[:LONGEST]


def _check_pixels(master: Master, stack: xr.DataArray, dim: Hashable) -> None:
    """Raise if the master has other pixels than the frames."""
    image, name = master.image, master.argument
    extra = [d for d in image.dims if d not in stack.dims and d != dim]
    if extra or any(image.sizes[d] != stack.sizes[d] for d in image.dims if d != dim):
        raise ValueError(
            f"{master.shown} has {_sizes(image, dim)}, the frames {_sizes(stack, dim)}: cut both alike, with trim() or "
            f"{name}.sel(y=stack.y, x=stack.x). (In stack - {name} xarray keeps the pixels that both have: "
            "arithmetic_join='exact' of xr.set_options prevents it.)"
        )
    for d in image.dims:
        if d != dim and d in image.indexes and d in stack.indexes and not image.indexes[d].equals(stack.indexes[d]):
            one, other = (f"{a.indexes[d][0]} to {a.indexes[d][-1]}" for a in (image, stack))
            raise ValueError(
                f"{master.shown} has the pixels {one} along {d!r}, the frames {other}: cut both alike, with trim() or "
                f"{name}.sel(y=stack.y, x=stack.x), or drop_vars({d!r}) from one to go by order"
            )


def unit_factor(master: Master, stack: xr.DataArray) -> float:
    """What the master is multiplied by to be in the unit of the frames; raises if there is no such number."""
    own, other = (str(a.attrs.get("units") or "").strip() for a in (stack, master.image))
    if not own or not other:
        return 1.0
    found = factor_between(other, own)
    if found is None:
        electron = "electron" in (units.spelled(own), units.spelled(other))
        way = "gain_correct() makes electrons of counts" if electron else "convert one of them"
        raise ValueError(
            f"{master.shown} is in {other!r}, the frames in {own!r}: {way}; a wrong unit is mended by "
            "assign_attrs(units=...)"
        )
    return found


def placed(values: xr.DataArray, stack: xr.DataArray, dim: Hashable) -> Any:
    """An image as an array that broadcasts against the frames, which are first.

    It stays lazy if the frames are lazy in the same way. What is lazy in another way is loaded, which costs one image;
    the other way round, all frames would be loaded.
    """
    others = [d for d in stack.dims if d != dim]
    present = [d for d in others if d in values.dims]
    data, x = array_of(values), array_of(stack)
    if arrays.is_deferred(data):
        order = list(values.dims) in ([dim, *others], others)
        if arrays.is_deferred(x) and order and dim in stack.dims:
            return data
        data = data.load()
    elif arrays.is_dask(data) and arrays.is_deferred(x):
        data = np.asarray(data)
    moved = xr.Variable(values.dims, data).transpose(*(d for d in (dim, *present) if d in values.dims))
    lead = (1,) if dim in stack.dims else ()
    return moved.data.reshape(*lead, *(stack.sizes[d] if d in present else 1 for d in others))
