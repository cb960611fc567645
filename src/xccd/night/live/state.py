"""The file of a `LiveStack`: a zip archive of arrays and a JSON text. Loading it runs nothing."""

from __future__ import annotations

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xccd.messages import shown
from xccd.night.live.frame import PLAIN, Array, Identity, Record
from xccd.read.files import temporary
from xccd.write.place import UnfinishedFile, check_place, new_file, replacing, target_of

FORMAT, VERSION = "xccd LiveStack", 1
TEXT = "live.json"
DATED = (1980, 1, 1, 0, 0, 0)  # equal states are equal files


def write(path: str | os.PathLike[str], kept: dict[str, Any], arrays: dict[str, Array]) -> Path:
    """Write a state in place of an older one; raises for a file there that is none."""
    target = target_of(path)
    if target.is_dir():
        raise IsADirectoryError(f"path={str(target)!r} is a folder: name the file in it")
    check_place(target, overwrite=True)
    if target.exists() and not _is_state(target):
        raise FileExistsError(f"path={str(target)!r} is there already, and no state of a LiveStack: name another file")
    text = json.dumps({"format": FORMAT, "version": VERSION, **kept}, default=lambda number: number.item())
    temporary.sweep(target.parent)
    size = sum(a.nbytes for a in arrays.values()) + len(text)
    with (
        replacing(target.resolve(), lambda folder: new_file(folder, True), lambda: size) as output,
        output.failures.noted(),
    ):
        _archive(output, text, arrays)
    return target


def _archive(output: UnfinishedFile, text: str, arrays: dict[str, Array]) -> None:
    with zipfile.ZipFile(output.file, "w") as archive:
        # the text first, so that its name is in the first bytes of the file
        archive.writestr(zipfile.ZipInfo(TEXT, DATED), text, zipfile.ZIP_DEFLATED)
        for name, array in arrays.items():
            head = io.BytesIO()
            np.lib.format.write_array_header_1_0(head, np.lib.format.header_data_from_array_1_0(array))
            with archive.open(zipfile.ZipInfo(f"{name}.npy", DATED), "w", force_zip64=True) as member:
                member.write(head.getvalue())
                if array.size:
                    member.write(np.ascontiguousarray(array).data.cast("B"))


def _is_state(path: Path) -> bool:
    """Whether a file begins as a state does, also a damaged one."""
    with open(path, "rb") as file:
        first = file.read(30 + len(TEXT))
    return first[:4] == b"PK\3\4" and first[30:] == TEXT.encode()


@contextmanager
def opened(path: str | os.PathLike[str]) -> Iterator[tuple[dict[str, Any], Callable[[str, int], Array]]]:
    """What `write` was given: the dict, and a function of a name and a size that reads an array."""
    target = target_of(path)
    name = shown(target)
    if not target.exists():
        raise FileNotFoundError(f"{name} does not exist: check the path")
    if target.is_dir() or not _is_state(target):
        raise OSError(f"{name} is no state of a LiveStack, as its save() writes them")
    try:
        with zipfile.ZipFile(target) as archive:
            kept = json.loads(archive.read(TEXT))
            if kept["format"] != FORMAT:
                raise ValueError(f"its format is {kept['format']!r}")
            if kept["version"] != VERSION:
                raise _AnotherVersion(
                    f"{name} has version {kept['version']!r} of the form of a LiveStack, this xccd reads {VERSION}: "
                    "load it with the xccd that wrote it, or stack the frames again"
                )
            yield kept, lambda key, size: _array(archive, key, size)
    except _AnotherVersion as error:
        raise ValueError(str(error)) from None
    except MemoryError:
        raise
    except Exception as error:  # a damaged archive, header or text raises errors of any kind
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = " ".join(str(error).split()) or type(error).__name__
        raise OSError(f"{name} is damaged ({text}): stack the frames again") from error


class _AnotherVersion(Exception):  # noqa: N818
    pass


def _array(archive: zipfile.ZipFile, name: str, size: int) -> Array:
    """An array of ``size`` numbers; raises if it is another one, or damaged."""
    with archive.open(f"{name}.npy") as member:
        found: Array = np.lib.format.read_array(member, allow_pickle=False)
        rest = member.read(1)  # at its end the checksum is compared
    if found.shape != (size,) or found.dtype.kind not in "fi" or rest:
        raise ValueError(f"{name} is {found.dtype} of shape {found.shape} where {size} numbers are meant")
    return found


def record_as_json(record: Record) -> dict[str, Any]:
    """A record in the types of JSON."""
    labels = {str(k): _as_json(c.values) for k, c in record.labels.coords.items()}
    who = record.who._asdict()
    return {**who, "labels": labels, "attrs": record.attrs, "steps": record.steps, "origin": record.origin}


def record_from_json(kept: dict[str, Any]) -> Record:
    """The inverse of `record_as_json`."""
    size, time = kept["stamp"]
    who = Identity(kept["name"], kept["key"], kept["path"], (int(size), int(time)))
    coords = {k: ("frame", _from_json(v)) for k, v in kept["labels"].items()}
    labels = xr.DataArray(np.zeros(1), dims="frame", coords=coords)
    return Record(who, labels, dict(kept["attrs"]), tuple(kept["steps"]), str(kept["origin"]))


def axes_as_json(axes: dict[Any, xr.Variable]) -> list[Any]:
    """Coordinates of pixels in the types of JSON."""
    return [
        [str(name), str(v.dims[0]), _as_json(v.values), {str(k): a for k, a in v.attrs.items() if isinstance(a, PLAIN)}]
        for name, v in axes.items()
    ]


def axes_from_json(kept: list[Any]) -> dict[Any, xr.Variable]:
    """The inverse of `axes_as_json`."""
    return {name: xr.Variable(dim, _from_json(values), attrs) for name, dim, values, attrs in kept}


def _as_json(values: Array) -> dict[str, Any]:
    if values.dtype.kind in "mM":
        return {"dtype": values.dtype.str, "values": values.astype(np.int64).tolist()}
    if values.dtype.kind in "iufb":
        return {"dtype": values.dtype.str, "values": values.tolist()}
    texts = [v if isinstance(v, str) or v is None else str(v) for v in values.tolist()]
    return {"dtype": "O", "values": texts}


def _from_json(kept: dict[str, Any]) -> Array:
    dtype = np.dtype(kept["dtype"])
    if dtype.kind in "mM":
        return np.array(kept["values"], np.int64).astype(dtype)
    return np.array(kept["values"], dtype)
