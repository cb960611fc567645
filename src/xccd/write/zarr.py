"""`to_zarr`: a stack in a Zarr store, written beside its target and swapped into its place in one step."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.deferred import Deferred
from xccd.labels.flags import not_taken
from xccd.labels.lazy import array_of
from xccd.read.files import temporary
from xccd.write.input_files import check_apart
from xccd.write.place import Failures, check_place, replacing, sync_folder, target_of
from xccd.write.stream import Meter, Progress, check_progress, write_arrays

BAND_BYTES = 32 << 20  # of a chunk, if the stack has no chunks
MARKS = (".zgroup", ".zarray", "zarr.json")  # every store has one of them


def to_zarr(
    stack: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress = None,
) -> Path:
    """Write a stack into a Zarr store, to be opened again with ``xarray.open_dataarray`` or ``xarray.open_dataset``.

    Staging a stack once pays for very many frames, or if unpacking or clipping them is expensive. The store is written
    beside its target and the two are swapped: whatever happens, there is the old one or the new one. Each block is
    written as soon as it is computed. The format is Zarr 3; xarray can open it and save it again.

    Parameters
    ----------
    stack : DataArray or Dataset
        A stack or a flagged Dataset. The store gets the chunks of the stack, which must have one size along each
        dimension except for the last one (``stack.chunk(y=64)``); without dask, bands of all frames.
    path : path
        The folder to write; its name usually ends in ``.zarr``. Its parent folder must exist.
    overwrite : bool, default: False
        Replace an existing store. A store from which the stack is still to be read, or any other folder, is never
        replaced.
    progress : bool or callable, optional
        True shows a bar. A function is called with (bytes stored, bytes in all), both before compression, from any
        thread, one at a time.

    Returns
    -------
    pathlib.Path
        The path of the store.

    Raises
    ------
    FileExistsError
        If the store exists and ``overwrite`` is not set, if something else is there, or if the stack is read from it.
    OSError
        No parent folder, no permission, a full disk.
    TypeError, ValueError
        Not a DataArray or Dataset, or chunks of several sizes.
    ImportError
        If zarr is not installed.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import xarray as xr
    >>> import xccd
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> stack = xr.DataArray([[[1.0, 2.0]], [[3.0, 4.0]]], dims=("frame", "y", "x")).chunk(y=1)
    >>> path = stack.ccd.to_zarr(folder / "stage.zarr")
    >>> xr.open_dataarray(path, engine="zarr", chunks={}).ccd.combine("mean").values.tolist()
    [[2.0, 3.0]]
    """
    check_progress(progress)
    if not isinstance(stack, xr.DataArray | xr.Dataset):
        raise not_taken("to_zarr(path)", stack, "to_zarr writes a DataArray or a Dataset, not")
    ds = stack if isinstance(stack, xr.Dataset) else stack.to_dataset(name=stack.name or "data")
    target = target_of(path)
    temporary.sweep(target.parent)  # first, as it may put back the old store of a process that was killed
    temporary.sweep_scratch()
    _check_target(ds, target, overwrite)
    try:
        import zarr
    except ImportError as error:
        raise ImportError("to_zarr needs zarr: pip install 'xccd[zarr]' or conda install zarr") from error
    ds = _with_labels(ds)
    pixels = {name: array_of(variable) for name, variable in ds.variables.items() if _is_large(variable)}
    meter = Meter()
    with replacing(target.resolve(), lambda parent: _Store(parent, overwrite), lambda: meter.size) as store:
        with store.failures.noted(), warnings.catch_warnings():
            # consolidated, as xarray else warns each time it opens the store
            warnings.filterwarnings("ignore", "Consolidated metadata")
            _layout(ds, pixels).to_zarr(store.folder, zarr_format=3, consolidated=True, compute=False)
            group: Any = zarr.open_group(store.folder, mode="r+", zarr_format=3)
        places = [(data, _PlaceInStore(group[name], meter, store.failures)) for name, data in pixels.items()]
        write_arrays(places, meter, progress, "to_zarr")
    return target


def _is_large(variable: xr.Variable) -> bool:
    """Whether a variable is written block by block, not with the labels."""
    data = array_of(variable)
    return isinstance(data, Deferred) or arrays.is_dask(data)


def _with_labels(ds: xr.Dataset) -> xr.Dataset:
    """The Dataset with lazy labels that are not numbers loaded, and texts as dtype object.

    Such labels are encoded when they are written. Zarr 3 has no type for texts of fixed width, and warns.
    """
    made = ds.copy()
    for name, variable in ds.variables.items():
        kind = variable.dtype.kind
        if kind in "UT" or (kind not in "fiub" and _is_large(variable)):
            made[name] = (variable.astype(object) if kind in "UT" else variable).compute()
    return made


def _check_target(ds: xr.Dataset, target: Path, overwrite: bool) -> None:
    """Raise if the store cannot be written there."""
    if os.path.lexists(target) and not any((target / mark).exists() for mark in MARKS):
        raise FileExistsError(
            f"path={str(target)!r} is there and is not a Zarr store: it is not replaced, name another"
        )
    check_place(target, overwrite)
    if overwrite:
        check_apart([target], [ds])
    for name, variable in ds.variables.items():
        for dim, sizes in zip(variable.dims, variable.chunks or (), strict=False):
            if len({*sizes[:-1]}) > 1 or sizes[-1] > sizes[0]:
                raise ValueError(
                    f"to_zarr: {name!r} has chunks of several sizes along {dim!r} {sizes}, a store has one: "
                    f"stack.chunk({dim}={max(sizes)})"
                )


def _layout(ds: xr.Dataset, pixels: dict[Any, Any]) -> xr.Dataset:
    """The Dataset for the layout of the store, without old encodings; deferred pixels become the fill value."""
    made = ds.drop_encoding()
    for name, data in pixels.items():
        if isinstance(data, Deferred):
            lead = data.ndim - len(data.pixels)
            row = max(1, data.size // data.pixels[0] * data.dtype.itemsize) if data.pixels[0] else 1
            rows = min(max(1, BAND_BYTES // row), max(1, data.pixels[0]))
            nothing = np.array(np.nan if data.dtype.kind == "f" else 0, data.dtype)  # xarray's fill value
            variable = xr.Variable(ds[name].dims, np.broadcast_to(nothing, data.shape), ds[name].attrs)
            variable.encoding = {"chunks": (*data.shape[:lead], rows, *data.pixels[1:])}
            made[name] = variable
    return made


class _PlaceInStore:
    """The place of a variable's pixels in the store; blocks are assigned to it from any thread."""

    def __init__(self, array: Any, meter: Meter, failures: Failures) -> None:
        self.array, self.shape, self.meter, self.failures = array, array.shape, meter, failures
        self.size = array.size * array.dtype.itemsize
        meter.size += self.size

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None:
        block = np.asarray(block)
        # one thread at a time: blocks may share a chunk of the store
        with self.meter.writing(block.nbytes), self.failures.noted():
            self.array[index] = block


class _Store:
    """A store under a temporary name, in a folder that this process holds."""

    def __init__(self, parent: Path, overwrite: bool) -> None:
        self.around, self.handle = temporary.new_folder(parent)
        self.overwrite, self.folder, self.failures = overwrite, self.around / "new", Failures()

    def put(self, target: Path) -> None:
        _sync(self.folder)
        check_place(target, self.overwrite)  # another program may have written there meanwhile
        _put(self.folder, target, self.around / temporary.ASIDE)

    def remove(self) -> None:
        if self.around.exists():
            temporary.remove_folder(self.around, self.handle)


def _sync(folder: Path) -> None:
    """Sync the files of a folder to disk, then their names."""
    for inner, _, names in os.walk(folder, topdown=False):  # a folder after all that is in it
        for name in names:
            handle = os.open(os.path.join(inner, name), os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(inner))


def _put(made: Path, target: Path, aside: Path) -> None:
    """Give the new folder the target's name; an old one goes to the place of the new one, or to ``aside``."""
    if not os.path.lexists(target):
        os.rename(made, target)
    elif not swap_names(made, target):
        aside.mkdir()
        os.rename(target, aside / target.name)  # if this process is killed now, the next one puts it back
        try:
            os.rename(made, target)
        except OSError:
            os.rename(aside / target.name, target)
            raise


class Swap(NamedTuple):
    """How a system swaps two names: a function of the C library, its arguments before each path, its flag."""

    function: str
    before: tuple[int, ...]
    flag: int


# -100 is AT_FDCWD, which stands before each path; 2 is RENAME_EXCHANGE, or RENAME_SWAP.
SWAPS = {"linux": Swap("renameat2", (-100,), 2), "darwin": Swap("renamex_np", (), 2)}


def swap_names(one: Path, other: Path) -> bool:
    """Swap two names in one step; False if the system or the file system cannot."""
    if sys.platform not in SWAPS:
        return False
    swap = SWAPS[sys.platform]
    try:
        function = getattr(ctypes.CDLL(None), swap.function)
    except (AttributeError, OSError):
        return False
    paths = [part for path in (one, other) for part in (*swap.before, os.fsencode(path))]
    return bool(function(*paths, ctypes.c_uint(swap.flag)) == 0)
