"""One frame as it comes: its samples, its labels, and how it is known again."""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Hashable
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.compute import notes
from xccd.headers.common import HISTORY, history_steps
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import science_variable, with_maps
from xccd.labels.frames import check_stack, file_names, frame_names, unflagged
from xccd.labels.header import in_order
from xccd.labels.lazy import array_of
from xccd.labels.problems import problems
from xccd.messages import shown
from xccd.read.images.memory import is_image
from xccd.read.stack import open_stack

Array = np.ndarray[Any, Any]
PROBES = 1 << 14  # samples of a frame that are compared by more than a checksum
PLAIN = (str, int, float, bool, np.integer, np.floating, np.bool_)


class Added(NamedTuple):
    """What became of a frame: its name, its number from 1, the counts of its valid and of its rejected samples."""

    name: str
    number: int
    samples: int
    rejected: int


class Identity(NamedTuple):
    """How a frame is called, and how it is known again."""

    name: str  # in messages
    key: str  # equal for equal samples; "" if all samples are equal and no file is known
    path: str = ""
    stamp: tuple[int, int] = (0, 0)  # size and time of the file


class Record(NamedTuple):
    """What is kept of a frame: some kB, most of them its header."""

    who: Identity
    labels: xr.DataArray  # its coordinates on ``frame``
    attrs: dict[str, Any]
    steps: tuple[str, ...]  # of its history
    origin: str  # of its samples, see `compute.notes`

    @property
    def name(self) -> str:
        return self.who.name


def as_frame(given: Any, hdu: Any, bits: Any, number: int) -> xr.DataArray:
    """What a user gives as a stack of one frame, whose samples may be lazy; ``number`` counts from 1."""
    if isinstance(given, xr.Dataset):
        given = unflagged(with_maps(given, science_variable(given)))
    elif isinstance(given, np.ndarray) and given.dtype.kind not in "OUS":
        names = ("z", "y", "x")[-given.ndim :]
        if given.ndim not in (2, 3):
            raise ValueError(f"frame= is an array of shape {given.shape}: an image has two dimensions, a cube three")
        given = xr.DataArray(given, dims=names)
    if isinstance(given, xr.DataArray):
        stack = _along_frame(given)
    else:
        stack = open_stack([given] if isinstance(given, tuple) else given, hdu=hdu, bits=bits, chunks=None)
    n = check_stack(stack, "frame", fixed=True)
    if n != 1:
        raise ValueError(f"frame= holds {n} frames: add them one by one, as for frame in stack")
    if any(why := problems(stack, "frame")):  # of errors="nan": it would count as an exposure
        raise ValueError(
            f"{frame_names(stack, 'frame')[0]}: {why[0]}. Leave such frames out: stack.isel(frame=stack.problem == '')"
        )
    if is_image(given) and file_names(stack, "frame") == ["frame-1"]:  # in memory, and without a name of its own
        stack = stack.assign_coords(file=("frame", np.array([f"frame-{number}"], object)))
    return in_order(stack)


def _along_frame(image: xr.DataArray) -> xr.DataArray:
    """An image as a stack of one frame, with its scalar coordinates on ``frame``."""
    if "frame" in image.dims:
        return image.drop_vars("frame") if "frame" in image.coords else image
    scalars = {k: c.values for k, c in image.coords.items() if c.dims == () and k != "frame"}
    bare = image.drop_vars([k for k, c in image.coords.items() if c.dims == ()])
    found: xr.DataArray = bare.expand_dims("frame").assign_coords({k: ("frame", _one(v)) for k, v in scalars.items()})
    return found


def _one(value: Array) -> Array:
    return np.array([value.item()], object) if value.dtype.kind in "OUS" else value.reshape(1)


def values_of(stack: xr.DataArray) -> Array:
    """The samples of the only frame, as floats."""
    found: Array = np.asarray(stack.values[0])
    return found.astype(float_dtype(found.dtype), copy=False)


def identity_of(stack: xr.DataArray, values: Array, given: Any, number: int) -> Identity:
    """The identity of the only frame; ``number`` counts from 1, for a frame without a file."""
    files = file_names(stack, "frame")
    known = [os.fspath(given)] if isinstance(given, str | os.PathLike) else file_names(stack, "frame", chips=False)
    path, stamp = stamped(known[0] if known else None)
    name = files[0] if files else f"frame {number}"
    return Identity(shown(name), _key(values, name if path else ""), path, stamp)


def record_of(stack: xr.DataArray, who: Identity) -> Record:
    """What is kept of the only frame."""
    labels = {k: c.variable.copy() for k, c in stack.coords.items() if c.dims == ("frame",)}
    attrs = {str(k): v for k, v in stack.attrs.items() if isinstance(v, PLAIN) and k != HISTORY}
    return Record(
        who,
        xr.DataArray(np.zeros(1), dims="frame", coords=labels),
        {k: v.item() if isinstance(v, np.generic) else v for k, v in attrs.items()},
        tuple(history_steps(stack)),
        notes.origin_of_samples(array_of(stack)),
    )


def stamped(path: Any) -> tuple[str, tuple[int, int]]:
    """The real path of a local file with its size and time; "" for what is none."""
    if not isinstance(path, str):
        return "", (0, 0)
    try:
        status = os.stat(path)
    except (OSError, ValueError):
        return "", (0, 0)
    return os.path.realpath(path), (status.st_size, status.st_mtime_ns)


def _key(values: Array, file: str) -> str:
    """A checksum of all samples (8 ms for 2048 x 2048), and a digest of some.

    Frames of a detector have noise, so equal samples are the same frame, under any name. Frames without any noise are
    told apart by their files.
    """
    flat = np.ascontiguousarray(values).reshape(-1)
    some = np.ascontiguousarray(flat[:: max(1, flat.size // PROBES)])
    finite = some[np.isfinite(some)]
    if finite.size == 0 or np.ptp(finite) == 0:
        if not file:
            return ""
        some = np.frombuffer(os.fsencode(file), np.uint8)
    return f"{zlib.crc32(flat.data.cast('B')):08x}-{hashlib.sha1(some.tobytes(), usedforsecurity=False).hexdigest()}"


def axes_of(stack: xr.DataArray) -> dict[Hashable, xr.Variable]:
    """The coordinates of the pixels of a stack: those on one of its dimensions but ``frame``."""
    dims = set(stack.dims) - {"frame"}
    return {k: c.variable.copy() for k, c in stack.coords.items() if len(c.dims) == 1 and set(c.dims) <= dims}
