"""Notes on arrays: what an array was made from, which reader reads it, and whether its samples are those of files.

A note is valid for one state of an array. A dask array gets a new name when it is written to, and notes under the old
name are then ignored. A deferred array never changes. A write to a NumPy array cannot be seen. So only its origin is
noted, with a few of its samples, which tell whether it was written to.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from xccd.compute import dask_joint
from xccd.compute.dask_joint import array_name

Array = Any

PLAN = "_xccd_plan"  # the source of a stack, and the steps since
FLAG_PLAN = "_xccd_flag_plan"  # the same for flags
READER = "_xccd_reader"  # the reader of an array that is only files
READ, LEVELLED = "read", "levelled"  # origins: samples of files; these scaled to a measured level
MOST_NAMES = 4096  # dask arrays whose origin is remembered
MOST_IMAGES = 1024  # combined images that are recognised
PROBES = 512  # samples that tell whether a NumPy array was written to


def note(array: Array, kind: str, value: Any) -> None:
    """Note ``value`` on the array as it is now.

    The note is on the object. So an array that dask makes from it (persisted, sliced, pickled) has no note.
    """
    dask_joint.attach(array, kind, (array_name(array), value))


def noted(array: Array, kind: str) -> Any:
    """The value noted on the array, if it was not written to since; else None."""
    state, value = getattr(array, kind, (None, None))
    return value if state == array_name(array) else None


def identity(array: Array) -> Any:
    """The name of a dask array, which may have several objects; any other array itself."""
    name = array_name(array)
    return array if name is None else name


def kept(array: Array) -> Array:
    """The array as it is now, for a later computation: a copy if the caller can write to it."""
    if isinstance(array, np.ndarray):
        return array.copy() if array.flags.writeable or array.base is not None else array
    return array.copy() if array_name(array) is not None else array


class _InMemory(NamedTuple):
    """A NumPy array whose origin is known, its probe at that time, and the origin."""

    array: weakref.ref[Any]
    probe: bytes
    origin: str


# Origins of dask arrays by name, and of NumPy arrays by `id` while they live.
_names: OrderedDict[str, str] = OrderedDict()
_arrays: dict[int, _InMemory] = {}


def mark(array: Array, origin: str) -> None:
    """Note the origin of an array's samples; "" notes nothing."""
    if not origin:
        return
    if isinstance(array, np.ndarray):
        array = array.base if isinstance(array.base, np.ndarray) else array  # all views refer to it
        key = id(array)
        _arrays[key] = _InMemory(weakref.ref(array, partial(_forget, key)), _probe(array), origin)
    elif (name := array_name(array)) is not None:
        _names[name] = origin
        while len(_names) > MOST_NAMES:
            _names.popitem(last=False)
    elif not isinstance(array, np.generic):
        array.origin = origin


def origin_of_samples(array: Array) -> str:
    """The origin of an array: `READ`, `LEVELLED`, or "" if it is unknown.

    It survives masking and selections. Arithmetic makes another array, whose origin is unknown.
    """
    if isinstance(array, np.ndarray):
        return _origin_in_memory(array)
    name = array_name(array)
    if name is None:
        return str(getattr(array, "origin", ""))
    return _origin_of_layer(name, array)


def _origin_in_memory(array: np.ndarray[Any, Any]) -> str:
    seen: Any = array
    while isinstance(seen, np.ndarray):  # a view has the origin of its base
        known = _arrays.get(id(seen))
        if known is not None and id(known.array()) == id(seen):  # not a new array with the id of one that is gone
            return known.origin if _probe(seen) == known.probe else ""
        seen = seen.base
    return ""


def _origin_of_layer(name: str, array: Array) -> str:
    """The origin noted for a layer, or the common origin of the layers that it selects from."""
    if name in _names:
        return _names[name]
    found = {_origin_of_layer(layer, array) for layer in dask_joint.selected_layers(array, name)}
    return found.pop() if len(found) == 1 else ""


def _probe(array: np.ndarray[Any, Any]) -> bytes:
    """`PROBES` samples from all over the array, as bytes; all samples of a small array."""
    if array.size < PROBES:
        return array.tobytes()
    places = np.unravel_index(np.linspace(0, array.size - 1, PROBES).astype(np.int64), array.shape)
    return array[places].tobytes()


# Probes of the combined images in memory, by their header texts.
_images: OrderedDict[str, set[bytes]] = OrderedDict()


def mark_image(image: Array, text: str) -> None:
    """Note that a combined image has this header text; for a lazy image when it is loaded."""
    if array_name(image) is None and not isinstance(image, np.ndarray | np.generic):
        image.text = text
    elif text and isinstance(image, np.ndarray):
        _images.setdefault(text, set()).add(_probe(image))
        while len(_images) > MOST_IMAGES:
            _images.popitem(last=False)


def may_be_images(stack: Array, text: str) -> bool:
    """Whether the frames of ``stack`` may be combined images with this header text. True if it is unknown.

    The other case are frames less such an image, as in ``lights - bias``: xarray gives the text to the result, too.
    """
    probes = _images.get(text)
    return not probes or not isinstance(stack, np.ndarray) or all(_probe(frame) in probes for frame in stack)


def _forget(key: int, ref: weakref.ref[Any]) -> None:
    """Drop the origin of an array that is gone, unless a new array has its id."""
    known = _arrays.get(key)
    if known is not None and known.array is ref:
        _arrays.pop(key, None)
