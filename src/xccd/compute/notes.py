"""What is known of an array beside its samples: what it was made from, what reads it, whether it is what files hold.

A note is of one state of an array. A dask array that is written to has another name afterwards, and what was noted
under the old name counts no more. A deferred array never changes. NumPy's arrays change unseen: of them only the origin
is noted, with a few of their samples, which tell whether the array was written to.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from functools import partial
from typing import Any

import numpy as np

Array = Any

PLAN = "_xccd_plan"  # what a stack was made from, and by which steps
FLAG_PLAN = "_xccd_flag_plan"  # the same of flags
READER = "_xccd_reader"  # of an array that is nothing but files: what reads them
READ, LEVELLED = "read", "levelled"  # origins: the samples of files; these brought to a measured level
MOST_NAMES = 4096  # of dask arrays whose origin is kept
MOST_IMAGES = 1024  # combined images that are known again
PROBES = 512  # samples that tell whether a NumPy array was written to
SELECTING = ("getitem-", "concatenate-", "rechunk-", "transpose-")  # layers of dask that change no sample


def note(array: Array, kind: str, value: Any) -> None:
    """Note ``value`` on the array as it is now.

    On the object, not under its name: what dask makes of it (persisted, sliced, pickled) stands for itself.
    """
    setattr(array, kind, (_state(array), value))


def noted(array: Array, kind: str) -> Any:
    """What was noted on the array, if it was not written to since; else None."""
    state, value = getattr(array, kind, (None, None))
    return value if state == _state(array) else None


def _state(array: Array) -> Any:
    return getattr(array, "name", None)


def identity(array: Array) -> Any:
    """What tells whether an array is the same one: dask's name, as it makes new objects of one; the object."""
    name = _state(array)
    return array if name is None else name


def kept(array: Array) -> Array:
    """The array as it is now, for what is computed later: a write to the caller's does not reach it."""
    if isinstance(array, np.ndarray):
        return array.copy() if array.flags.writeable or array.base is not None else array
    return array.copy() if _state(array) is not None else array


# Of dask arrays by name, of NumPy's by identity while they live.
_names: OrderedDict[str, str] = OrderedDict()
_arrays: dict[int, tuple[weakref.ref[Any], bytes, str]] = {}


def mark(array: Array, origin: str) -> None:
    """Note where the samples of an array come from; "" notes nothing."""
    if not origin:
        return
    if isinstance(array, np.ndarray):
        array = array.base if isinstance(array.base, np.ndarray) else array  # which all parts of it refer to
        key = id(array)
        _arrays[key] = weakref.ref(array, partial(_forget, key)), _probe(array), origin
    elif (name := _state(array)) is not None:
        _names[name] = origin
        while len(_names) > MOST_NAMES:
            _names.popitem(last=False)
    elif not isinstance(array, np.generic):
        array.origin = origin


def origin(array: Array) -> str:
    """`READ` for samples of files, some of them masked or left out, `LEVELLED`, or "" where that is not known.

    Arithmetic makes another array, of which nothing is known.
    """
    if isinstance(array, np.ndarray):
        return _origin_in_memory(array)
    name = _state(array)
    if name is None:
        return str(getattr(array, "origin", ""))
    return _origin_of_layer(name, getattr(array, "dask", None))


def _origin_in_memory(array: np.ndarray[Any, Any]) -> str:
    seen: Any = array
    while isinstance(seen, np.ndarray):  # a part of an array has the origin of the whole
        known = _arrays.get(id(seen))
        if known is not None and id(known[0]()) == id(seen):  # not another, at the place of one that is gone
            return known[2] if _probe(seen) == known[1] else ""
        seen = seen.base
    return ""


def _origin_of_layer(name: str, graph: Any) -> str:
    """The origin of an array by its name, or of those that it is cut from or put together of."""
    if name in _names:
        return _names[name]
    below = getattr(graph, "dependencies", {}).get(name, ())
    if not name.startswith(SELECTING) or not below:
        return ""
    found = {_origin_of_layer(part, graph) for part in below}
    return found.pop() if len(found) == 1 else ""


def _probe(array: np.ndarray[Any, Any]) -> bytes:
    """Some samples all over the array."""
    if array.size < PROBES:
        return array.tobytes()
    places = np.unravel_index(np.linspace(0, array.size - 1, PROBES).astype(np.int64), array.shape)
    return array[places].tobytes()


# Of the header texts of combined images in memory, some samples of each.
_images: OrderedDict[str, set[bytes]] = OrderedDict()


def mark_image(image: Array, text: str) -> None:
    """Note that a combined image has this header text, once it is in memory."""
    if _state(image) is None and not isinstance(image, np.ndarray | np.generic):
        image.text = text
    elif text and isinstance(image, np.ndarray):
        _images.setdefault(text, set()).add(_probe(image))
        while len(_images) > MOST_IMAGES:
            _images.popitem(last=False)


def may_be_images(stack: Array, text: str) -> bool:
    """Whether frames may be the combined images that have this header text, put together, and not frames of another
    origin less such an image: xarray gives both the one text. Of arrays that are not in memory it is not known.
    """
    known = _images.get(text)
    return not known or not isinstance(stack, np.ndarray) or all(_probe(frame) in known for frame in stack)


def _forget(key: int, ref: weakref.ref[Any]) -> None:
    if _arrays.get(key, (None,))[0] is ref:
        _arrays.pop(key, None)
