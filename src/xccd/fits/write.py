"""`to_fits`: a product written beside its target, synced, and renamed: the old file or the new one, never half."""

from __future__ import annotations

import errno
import io
import os
import re
import secrets
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, overload

import numpy as np
import xarray as xr

from xccd._labels import ancillary
from xccd._nodes import at_node
from xccd.fits import cards
from xccd.fits.header import FILES, in_order
from xccd.fits.header import header as header_of
from xccd.fits.header import stored as dtype_in_file
from xccd.fits.stream import Progress, check_progress, write_pixels

if TYPE_CHECKING:
    from astropy.io.fits import Header

BLOCK = 2880
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@overload
def to_fits(
    image: xr.DataArray,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = ...,
    header: dict[str, Any] | None = ...,
    progress: Progress = ...,
) -> Path: ...
@overload
def to_fits(
    image: xr.DataTree,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = ...,
    header: dict[str, Any] | None = ...,
    progress: Progress = ...,
) -> list[Path]: ...
def to_fits(
    image: xr.DataArray | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    header: dict[str, Any] | None = None,
    progress: Progress = None,
) -> Path | list[Path]:
    """Write an image, or a whole stack, as a FITS file; a tree as one file for each node.

    The file is written beside its target under another name, synced to disk and renamed: whatever happens, there
    is the old file or the new one. On dask input this computes, and each block is written once it is there: of a
    product that is larger than memory some bands are held at a time.

    Parameters
    ----------
    image : DataArray or DataTree
        A combined image, a frame, or a stack (written as a cube, with the cards that all its frames share). Of a tree,
        the one variable of each node.
    path : path
        The file to write. Its folder must exist. For a tree the folder: the node ``flat/r/2`` goes to ``flat-r-2.fits``
        in it.
    overwrite : bool, default: False
        Replace a file that is there.
    header : dict, optional
        Cards to add or replace, by keyword: values, or (value, comment). ``None`` as a value takes a card away.
    progress : bool or callable, optional
        True shows a bar. A function is called with (bytes written, bytes in all), from any thread, one at a time.

    Returns
    -------
    pathlib.Path, or a list of them for a tree
        Where the file is. Nothing is computed before all files of a tree are known to have a place and a header.

    Raises
    ------
    FileExistsError
        If the file is there and ``overwrite`` is not set.
    OSError
        No such folder, a folder in the file's place, no permission, a full disk.
    TypeError, ValueError
        A dtype that FITS does not have, a WCS that cannot be moved (see `header`), a card that cannot be written; of a
        tree a node with several variables, or two nodes for one file.

    Examples
    --------
    >>> import tempfile, pathlib
    >>> import xarray as xr
    >>> import xccd
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> stack = xr.DataArray([[[1.0, 2.0]], [[3.0, 4.0]]], dims=("frame", "y", "x"))
    >>> path = stack.ccd.combine("mean").ccd.to_fits(folder / "mean.fits")
    >>> xccd.open_stack(path).values.tolist()
    [[[2.0, 3.0]]]
    """
    check_progress(progress)
    if isinstance(image, xr.DataTree):
        products = []
        for node, one in _images(image):
            with at_node(node):
                products.append(_product(one, Path(path) / f"{node.replace('/', '-')}.fits", overwrite, header))
        _check_apart([product.target for product in products])
        return [product.write(overwrite, progress) for product in products]
    return _product(image, path, overwrite, header).write(overwrite, progress)


@dataclass(frozen=True)
class _Product:
    """An image that can be written: where to, its header, and the dtype in the file."""

    image: xr.DataArray
    target: Path
    head: bytes
    stored: np.dtype[Any]

    def write(self, overwrite: bool, progress: Any) -> Path:
        with _replacing(self.target.resolve(), overwrite) as file:  # a link stays one, its file is replaced
            file.write(self.head)
            write_pixels(file, self.image.data, self.stored, progress)
            file.write(_frames_table(self.image))
        return self.target


def _product(
    image: xr.DataArray, path: str | os.PathLike[str], overwrite: bool, header: dict[str, Any] | None
) -> _Product:
    """All checks, and nothing computed."""
    if not isinstance(image, xr.DataArray):
        raise TypeError(f"to_fits writes a DataArray, not a {type(image).__name__}: pick a variable, ds['data']")
    if image.ndim == 0 or image.size == 0:
        raise ValueError(f"to_fits: this DataArray has no pixels, its shape is {image.shape}")
    stored = dtype_in_file(image.dtype)
    target = Path(path).expanduser()
    check_target(target, overwrite)
    return _Product(in_order(image), target, _header(image, header), stored)


def _images(tree: xr.DataTree) -> Iterator[tuple[str, xr.DataArray]]:
    """The image of each node that has one, and the node's path, which begins with the name of the tree."""
    found = 0
    for key, node in tree.subtree_with_keys:
        ds = node.to_dataset()
        names = [name for name in ds.data_vars if name not in ancillary(ds)]
        path = "/".join(part for part in (tree.name, *key.split("/")) if part and part != ".") or "root"
        if len(names) > 1:
            raise ValueError(
                f"the node {path!r} has the variables {', '.join(map(str, names))}, and a file holds one image: write "
                f"one after the other, tree[{key!r}][{names[0]!r}].ccd.to_fits(...)"
            )
        for name in names:
            found += 1
            yield path, ds[name]
    if not found:
        raise ValueError("to_fits: no node of this DataTree has a variable")


def _check_apart(targets: list[Path]) -> None:
    twice = [str(target) for target, times in Counter(targets).items() if times > 1]
    if twice:
        raise ValueError(f"to_fits: several nodes of this tree would go to {twice[0]!r}: rename one of them")


def check_target(target: Path, overwrite: bool) -> None:
    """Raise if no product can be written there."""
    if target.is_dir():
        raise IsADirectoryError(f"path={str(target)!r} is a folder: name the file in it")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path={str(target)!r}: there is no folder {target.parent}")
    if target.suffix.lower() in (".gz", ".bz2", ".fz"):
        raise io.UnsupportedOperation(f"path={str(target)!r}: products are written unpacked, name it {target.stem!r}")
    if os.path.lexists(target) and not overwrite:
        raise _exists(target)
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"path={str(target)!r}: no permission to write in {target.parent}")


def _exists(target: Path) -> FileExistsError:
    return FileExistsError(f"path={str(target)!r} is there already: overwrite=True replaces it")


def _header(image: xr.DataArray, more: dict[str, Any] | None) -> bytes:
    from astropy.io import fits

    if not isinstance(more, (dict, fits.Header, type(None))):
        raise TypeError(f"header={more!r} is not a dict of keywords and values")
    made = header_of(image)
    for keyword, value in (more or {}).items():
        if cards.STRUCTURAL.fullmatch(keyword.upper()):
            raise ValueError(f"header={{{keyword!r}: ...}}: this card describes the file, xccd writes it")
        try:
            _set_card(made, keyword.upper(), value)
        except (TypeError, ValueError, fits.VerifyError) as error:
            raise ValueError(f"header={{{keyword!r}: {value!r}}} cannot be a card: {error}") from None
    if FILES in image.coords:
        made.set("EXTEND", True, after=f"NAXIS{image.ndim}")
    return bytes(made.tostring(), "ascii")


def _set_card(made: Header, keyword: str, value: Any) -> None:
    if value is None:
        made.remove(keyword, ignore_missing=True, remove_all=True)
        return
    value, *comment = value if isinstance(value, tuple) else (value,)
    value = cards.ascii_only(value) if isinstance(value, str) else value
    plain = re.fullmatch(r"[A-Z0-9_-]{1,8}", keyword)
    made[keyword if plain or keyword in made else f"HIERARCH {keyword}"] = (value, *map(cards.ascii_only, comment))


@contextmanager
def _replacing(target: Path, overwrite: bool) -> Iterator[IO[bytes]]:
    """A file that becomes ``target`` when the block ends well, and nothing when it does not."""
    name = target.parent / f".xccd-{secrets.token_hex(8)}.part"
    try:
        with open(name, "xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            os.replace(name, target)
        else:
            _move_new(name, target)
        _sync_folder(target.parent)
    except OSError as error:
        if error.errno in NO_ROOM or error.filename == str(name):
            raise type(error)(error.errno, f"path={str(target)!r} cannot be written: {error.strerror}") from error
        raise
    finally:
        name.unlink(missing_ok=True)


def _move_new(name: Path, target: Path) -> None:
    """Rename, but never onto a file that came while the product was computed."""
    try:
        os.link(name, target)
    except FileExistsError:
        raise _exists(target) from None
    except OSError:  # a file system without hard links
        if target.exists():
            raise _exists(target) from None
        os.replace(name, target)


def _sync_folder(folder: Path) -> None:
    if os.name == "posix":  # elsewhere a folder cannot be opened
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _frames_table(image: xr.DataArray) -> bytes:
    """The list of all inputs, where there are more than IMCMBnnn can number."""
    if FILES not in image.coords:
        return b""
    from io import BytesIO

    from astropy.io import fits

    names = [cards.ascii_only(name) for name in str(image.coords[FILES].values.item()).split("\n")]
    column = fits.Column("FILE", f"{max(map(len, names))}A", array=np.array(names))
    buffer = BytesIO()
    table = fits.BinTableHDU.from_columns([column], name="FRAMES")
    fits.HDUList([fits.PrimaryHDU(), table]).writeto(buffer)
    return buffer.getvalue()[BLOCK:]
