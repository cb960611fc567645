"""The files that an image was made of, or is still to be read from: none of them may be overwritten."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from functools import cache, partial
from pathlib import Path, PurePath
from types import FunctionType
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.common import COMBINED
from xccd.headers.writing import FILES
from xccd.labels.lazy import stored
from xccd.messages import shown
from xccd.read.images.pixels import FilePixels, innermost
from xccd.read.reader import StackReader

# For each list of input names in the header of a product of this process: the paths of these inputs.
_made: dict[tuple[str, ...], set[tuple[str, ...]]] = {}
HEADERS = (COMBINED, "header")
# Attributes of objects of these packages that may lead to readers or paths: tasks of a graph, wrapped arrays.
PACKAGES = ("xccd", "dask", "distributed", "xarray", "zarr", "netCDF4", "h5netcdf", "h5py")
PARTS = (
    "func", "args", "kwargs", "value", "task", "indices", "io_deps", "mapping", "dsk", "array", "_array", "datastore",
)  # fmt: skip


def check_inputs(target: str | os.PathLike[str], files: Iterable[Any], argument: str = "path") -> None:
    """Raise if ``target`` is one of the files, also through links and other spellings of their paths.

    A folder is refused if it contains one of the files: an array is read from a folder within its store.
    """
    wanted = _inode(target)
    if wanted is None:
        return
    folder = os.path.isdir(target)
    for file in files:
        path = os.fspath(file)
        if _inode(path) == wanted or (folder and any(_inode(p) == wanted for p in PurePath(path).parents)):
            raise FileExistsError(
                f"{argument}={str(target)!r} is a file that this was made of or is still read from "
                f"({shown(path)}): give another name; an image of one file that is in memory, after .load(), may go "
                "back there"
            )


def check_apart(targets: Iterable[Path], objects: list[xr.DataArray | xr.Dataset]) -> None:
    """Raise if a target is a file that one of the objects was made of or is still read from."""
    there = [target for target in targets if os.path.exists(target)]
    if not there:
        return
    paths, names, known = _inputs_of(objects)
    for target in there:
        check_inputs(target, paths)
        own = {_ascii(name).casefold() for name in (target.name, target.resolve().name)}
        if own & names:
            raise FileExistsError(
                f"path={str(target)!r} has the name of a frame that this was combined from: give another name"
            )
        if not known:
            check_inputs(target, (path for lists in _made.values() for some in lists for path in some))


def _inputs_of(objects: list[xr.DataArray | xr.Dataset]) -> tuple[list[str], set[str], bool]:
    """Paths of the inputs, names of inputs without a known path, and whether the inputs of all objects are known."""
    paths: list[str] = []
    names: set[str] = set()
    known = True
    for obj in objects:
        paths += still_read(obj)
        for path in _frames(obj):
            if os.path.isabs(path) or os.path.exists(path):
                paths.append(path)
            else:  # opened in another working folder
                names.add(_ascii(PurePath(path).name).casefold())
        lists = list(_lists(obj))
        known &= bool(lists) or "file" in obj.coords or any(k in obj.coords for k in HEADERS)
        for some in lists:
            found = _made.get(some)
            if found is None:
                names |= {name.casefold() for name in some}
            else:
                paths += [path for every in found for path in every]
    return paths, names, known


def remember_paths(files: Iterable[Any]) -> None:
    """Note the paths of a list of inputs, as the header of a product holds only their names."""
    given = [str(file) for file in files]
    paths = tuple(map(os.path.abspath, given))
    if not os.path.isabs(given[0]) and not os.path.exists(paths[0]):
        return  # opened in another working folder, or not files
    _made.setdefault(tuple(_ascii(PurePath(path).name) for path in paths), set()).add(paths)


def _frames(obj: xr.DataArray | xr.Dataset) -> list[str]:
    """The files of a stack; none for a single file, as its image may be written back to it."""
    file = obj.coords.get("file")
    return [] if file is None or file.size < 2 else sorted(set(map(str, file.values.ravel().tolist())))


def _lists(obj: xr.DataArray | xr.Dataset) -> Iterator[tuple[str, ...]]:
    """The names of the inputs in each header."""
    for name in (FILES, *HEADERS):
        for text in np.ravel(obj.coords[name].values).tolist() if name in obj.coords else ():
            if name == FILES and isinstance(text, str):
                yield tuple(map(_ascii, text.split("\n")))
            elif isinstance(text, str) and "IMCMB" in text:
                found = (str(card.value) for card in cards.split(text) if re.fullmatch(r"IMCMB\d+", card.keyword))
                yield tuple(PurePath(value).name for value in found)


def _ascii(name: str) -> str:
    return cards.ascii_only(name)


def _inode(path: Any) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def still_read(obj: xr.DataArray | xr.Dataset) -> set[str]:
    """The paths from which an object's values are still to be read."""
    found: set[str] = set()
    variables = obj.variables if isinstance(obj, xr.Dataset) else {None: obj.variable, **obj.coords.variables}
    rest: list[Any] = [stored(variable) for variable in variables.values()]
    seen: dict[int, Any] = {}
    while rest:  # a graph may have millions of objects, most of a few types that lead to no file
        item = rest.pop()
        kind: Any = type(item)
        if kind in LEAVES:
            continue
        if kind is tuple and len(item) < SHORT:
            rest.extend(item)
        elif (slots := _slots(kind)) is not None:
            rest.extend(getattr(item, name) for name in slots)
        elif id(item) not in seen:
            seen[id(item)] = item  # keeps the object, so that its id is not reused
            rest.extend(_objects_within(item, found))
    return found


LEAVES = frozenset({int, float, bool, bytes, slice, type(None), type, FunctionType, np.ndarray, np.dtype})


SHORT = 9  # tuples with fewer items are looked at each time, which is cheaper than to remember them


@cache
def _slots(kind: Any) -> tuple[str, ...] | None:
    """The attributes in `PARTS` of a type of dask without other attributes; None for other types."""
    plain = kind.__module__.startswith("dask.") and kind.__dictoffset__ == 0  # only the attributes of its type
    return tuple(name for name in PARTS if hasattr(kind, name)) if plain else None


def _objects_within(item: Any, found: set[str]) -> Iterator[Any]:
    """The objects within an object of a graph or a wrapped array; paths are added to ``found``."""
    graph = getattr(item, "__dask_graph__", None)
    if isinstance(item, (str, os.PathLike)):
        found.add(os.fspath(item))
    elif isinstance(item, StackReader):
        every = map(innermost, (*item.frames, *filter(None, item.masks)))
        found.update(pixels.path for pixels in every if isinstance(pixels, FilePixels))
    elif callable(graph) and not isinstance(item, type):
        made = graph()
        yield from getattr(made, "layers", made or {}).values()
    elif isinstance(item, partial):
        yield from (item.func, item.args, item.keywords)
    elif isinstance(item, Mapping) and type(item).__module__.partition(".")[0] not in PACKAGES:
        yield from item.values()
    elif isinstance(item, (list, tuple, set, frozenset)):
        yield from item
    elif hasattr(item, "store_path"):  # an array of Zarr
        if root := getattr(item.store_path.store, "root", None):
            found.add(os.path.join(str(root), item.store_path.path))
    elif type(item).__module__.partition(".")[0] in PACKAGES:
        yield from _parts(item)


def _parts(item: Any) -> Iterator[Any]:
    """The attributes of an object that may lead to a file."""
    yield from (getattr(item, name) for name in PARTS if hasattr(item, name))
    yield getattr(item, "_filename", None)
    if type(item).__module__.startswith("xccd"):
        yield from getattr(item, "__dict__", {}).values()
