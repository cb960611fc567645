"""`to_zarr`: a stack staged in a Zarr store, written beside its target and renamed."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from xccd import _stack
from xccd._deferred import Deferred, samples
from xccd._labels import not_taken
from xccd.fits.stream import Meter, Progress, check_progress, fill
from xccd.fits.write import check_place

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
    written beside its target and renamed: whatever happens, there is the old one or the new one. Each block is written
    once it is computed. Labels are written as they are, in format 2 of Zarr, in which texts have their specification.

    Parameters
    ----------
    stack : DataArray or Dataset
        A stack, or its lossless form with flags. Chunks of the store are those of the stack, which must be of one size
        along each dimension but for the last (``stack.chunk(y=64)``); without dask, bands of all frames.
    path : path
        The folder to write, by custom with a name that ends in ``.zarr``. The folder around it must exist.
    overwrite : bool, default: False
        Replace a store that is there. Any other folder is left.
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
        If the store is there and ``overwrite`` is not set, or something else is there.
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
    target = Path(os.path.expanduser(path))
    _check(ds, target, overwrite)
    try:
        import zarr
    except ImportError as error:
        raise ImportError("to_zarr needs zarr: pip install 'xccd[zarr]'") from error
    pixels = {name: samples(variable) for name, variable in ds.variables.items() if _is_large(variable)}
    with _replacing(target.resolve(), overwrite) as folder:
        _layout(ds, pixels).to_zarr(folder, zarr_format=2, compute=False)
        group: Any = zarr.open_group(folder, mode="r+", zarr_format=2)
        meter = Meter()
        fill([(data, _Place(group[name], meter)) for name, data in pixels.items()], meter, progress, "to_zarr")
    return target


def _is_large(variable: xr.Variable) -> bool:
    """Whether it is written block by block, not with the labels."""
    data = samples(variable)
    return isinstance(data, Deferred) or _stack.is_lazy(data)


def _check(ds: xr.Dataset, target: Path, overwrite: bool) -> None:
    """Raise if the store cannot be written there."""
    if os.path.lexists(target) and not any((target / mark).exists() for mark in MARKS):
        raise FileExistsError(f"path={str(target)!r} is there and no Zarr store: it is not replaced, name another")
    check_place(target, overwrite)
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
            nothing = np.array(np.nan if data.dtype.kind == "f" else 0, data.dtype)
            variable = xr.Variable(ds[name].dims, np.broadcast_to(nothing, data.shape), ds[name].attrs)
            variable.encoding = {"chunks": (*data.shape[:lead], rows, *data.pixels[1:])}
            made[name] = variable
    return made


class _Place:
    """Where the pixels of a variable go: assigned to block by block, from any thread."""

    def __init__(self, array: Any, meter: Meter) -> None:
        self.array, self.shape, self.meter = array, array.shape, meter
        self.size = array.size * array.dtype.itemsize
        meter.size += self.size

    def __setitem__(self, index: tuple[slice, ...], block: Any) -> None:
        block = np.asarray(block)
        with self.meter.writing(block.nbytes):  # one thread at a time: blocks may share a chunk of the store
            self.array[index] = block


@contextmanager
def _replacing(target: Path, overwrite: bool) -> Iterator[Path]:
    """A new folder beside the target that takes its place where all went well, else goes."""
    made, old = (target.with_name(f".{target.name}-{secrets.token_hex(4)}") for _ in range(2))
    try:
        yield made
        check_place(target, overwrite)  # it may have come while the stack was computed
        if target.exists():
            os.rename(target, old)
        try:
            os.rename(made, target)
        except OSError:
            if old.exists():
                os.rename(old, target)
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
