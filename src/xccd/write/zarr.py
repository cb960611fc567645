"""`to_zarr`: a stack staged in a Zarr store, written beside its target and put in its place in one step."""

from __future__ import annotations

import ctypes
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays
from xccd.compute.deferred import Deferred
from xccd.labels.flags import not_taken
from xccd.labels.lazy import array_of
from xccd.read.files import temporary
from xccd.write.input_files import check_apart
from xccd.write.place import Failures, cannot_write, check_place, sync_folder, target_of
from xccd.write.stream import Meter, Progress, check_progress, fill

BAND_BYTES = 32 << 20  # of a chunk, where the stack has none
MARKS = (".zgroup", ".zarray", "zarr.json")  # one of them is in every store


def to_zarr(
    stack: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    progress: Progress = None,
) -> Path:
    """Write a stack into a Zarr store, to be opened again with ``xarray.open_dataarray`` or ``xarray.open_dataset``.

    Of very many frames, or of such as are unpacked or clipped at a cost, it pays to stage the stack once. The store is
    written beside its target and the two are swapped: whatever happens, there is the old one or the new one. Each
    block is written once it is computed. The format is Zarr 3; what xarray opens of it, it can save again.

    Parameters
    ----------
    stack : DataArray or Dataset
        A stack, or its lossless form with flags. Chunks of the store are those of the stack, which must be of one size
        along each dimension but for the last (``stack.chunk(y=64)``); without dask, bands of all frames.
    path : path
        The folder to write, by custom with a name that ends in ``.zarr``. The folder around it must exist.
    overwrite : bool, default: False
        Replace a store that is there, but none that the stack is still to be read from. Any other folder is left.
    progress : bool or callable, optional
        True shows a bar. A function is called with (bytes stored, bytes in all) as they are before compression, from
        any thread, one at a time.

    Returns
    -------
    pathlib.Path
        Where the store is.

    Raises
    ------
    FileExistsError
        If the store is there and ``overwrite`` is not set, or something else is there, or the stack is read from it.
    OSError
        No folder around it, no permission, a full disk.
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
    temporary.sweep(target.parent)  # first: of a process that was killed on the way it may put the old store back
    temporary.sweep_scratch()
    _check(ds, target, overwrite)
    try:
        import zarr
    except ImportError as error:
        raise ImportError("to_zarr needs zarr: pip install 'xccd[zarr]'") from error
    ds = _with_labels(ds)
    pixels = {name: array_of(variable) for name, variable in ds.variables.items() if _is_large(variable)}
    meter, failures = Meter(), Failures()
    with _replacing(target.resolve(), overwrite, meter, failures) as folder:
        with failures.noted(), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Consolidated metadata")  # without it xarray warns of each opening
            _layout(ds, pixels).to_zarr(folder, zarr_format=3, consolidated=True, compute=False)
            group: Any = zarr.open_group(folder, mode="r+", zarr_format=3)
        places = [(data, _Place(group[name], meter, failures)) for name, data in pixels.items()]
        fill(places, meter, progress, "to_zarr")
    return target


def _is_large(variable: xr.Variable) -> bool:
    """Whether it is written block by block, not with the labels."""
    data = array_of(variable)
    return isinstance(data, Deferred) or arrays.is_dask(data)


def _with_labels(ds: xr.Dataset) -> xr.Dataset:
    """With labels that are no numbers in memory, as they are written in another form, and texts as objects.

    For texts of a fixed width Zarr 3 has no word, and warns.
    """
    made = ds.copy()
    for name, variable in ds.variables.items():
        kind = variable.dtype.kind
        if kind in "UT" or (kind not in "fiub" and _is_large(variable)):
            made[name] = (variable.astype(object) if kind in "UT" else variable).compute()
    return made


def _check(ds: xr.Dataset, target: Path, overwrite: bool) -> None:
    """Raise if the store cannot be written there."""
    if os.path.lexists(target) and not any((target / mark).exists() for mark in MARKS):
        raise FileExistsError(f"path={str(target)!r} is there and no Zarr store: it is not replaced, name another")
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
    """The Dataset without what made it; pixels that are not dask's as a chunk that is left out is read."""
    made = ds.drop_encoding()
    for name, data in pixels.items():
        if isinstance(data, Deferred):
            lead = data.ndim - len(data.pixels)
            row = max(1, data.size // data.pixels[0] * data.dtype.itemsize) if data.pixels[0] else 1
            rows = min(max(1, BAND_BYTES // row), max(1, data.pixels[0]))
            nothing = np.array(np.nan if data.dtype.kind == "f" else 0, data.dtype)  # as xarray fills
            variable = xr.Variable(ds[name].dims, np.broadcast_to(nothing, data.shape), ds[name].attrs)
            variable.encoding = {"chunks": (*data.shape[:lead], rows, *data.pixels[1:])}
            made[name] = variable
    return made


class _Place:
    """Where the pixels of a variable go: assigned to block by block, from any thread."""

    def __init__(self, array: Any, meter: Meter, failures: Failures) -> None:
        self.array, self.shape, self.meter, self.failures = array, array.shape, meter, failures
        self.size = array.size * array.dtype.itemsize
        meter.size += self.size

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None:
        block = np.asarray(block)
        # one thread at a time: blocks may share a chunk of the store
        with self.meter.writing(block.nbytes), self.failures.noted():
            self.array[index] = block


@contextmanager
def _replacing(target: Path, overwrite: bool, meter: Meter, failures: Failures) -> Iterator[Path]:
    """A new folder beside the target that takes its place where all went well, else goes."""
    try:
        around, handle = temporary.new_folder(target.parent)
    except OSError as error:
        raise cannot_write(error, target, meter.size) from error
    made = around / "new"
    try:
        yield made
        with failures.noted():
            _sync(made)
            check_place(target, overwrite)  # it may have come while the stack was computed
            _put(made, target, around / temporary.ASIDE)
    except OSError as error:
        if error not in failures:
            raise
        temporary.remove_folder(around, handle)  # before it is asked how much is free
        raise cannot_write(error, target, meter.size) from error
    finally:
        if around.exists():
            temporary.remove_folder(around, handle)
    sync_folder(target.parent)


def _sync(folder: Path) -> None:
    """All files of a folder onto the disk, then their names."""
    for inner, _, names in os.walk(folder, topdown=False):
        for name in names:
            handle = os.open(os.path.join(inner, name), os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(inner))


def _put(made: Path, target: Path, aside: Path) -> None:
    """Give a new folder its name; the old one, if there is one, is where the new one was, or aside."""
    if not os.path.lexists(target):
        os.rename(made, target)
    elif not exchange(made, target):
        aside.mkdir()
        os.rename(target, aside / target.name)  # if this process is killed now, the next one puts it back
        try:
            os.rename(made, target)
        except OSError:
            os.rename(aside / target.name, target)
            raise


# What swaps two names in one step, by system: the function of the C library, what goes before each path, and the flag.
SWAPS: dict[str, tuple[str, tuple[int, ...], int]] = {
    "linux": ("renameat2", (-100,), 2),
    "darwin": ("renamex_np", (), 2),
}


def exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step; False where the system or its file system cannot."""
    if sys.platform not in SWAPS:
        return False
    name, before, flag = SWAPS[sys.platform]
    try:
        function = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError):
        return False
    paths = [part for path in (one, other) for part in (*before, os.fsencode(path))]
    return bool(function(*paths, ctypes.c_uint(flag)) == 0)
