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

import xarray as xr

from xccd._deferred import samples
from xccd._labels import ancillary
from xccd._nodes import at_node
from xccd.fits import cards
from xccd.fits.extensions import frames_table, maps
from xccd.fits.files import shown
from xccd.fits.finish import add_checksums, compress, with_room
from xccd.fits.header import as_block, as_written, in_order
from xccd.fits.header import header as header_of
from xccd.fits.header import stored as dtype_in_file
from xccd.fits.stream import HDU, Progress, check_progress, write_hdus

if TYPE_CHECKING:
    from astropy.io.fits import Header

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)


@overload
def to_fits(
    image: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = ...,
    header: dict[str, Any] | None = ...,
    checksum: bool = ...,
    progress: Progress = ...,
) -> Path: ...
@overload
def to_fits(
    image: xr.DataTree,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = ...,
    header: dict[str, Any] | None = ...,
    checksum: bool = ...,
    progress: Progress = ...,
) -> list[Path]: ...
def to_fits(
    image: xr.DataArray | xr.Dataset | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    header: dict[str, Any] | None = None,
    checksum: bool = False,
    progress: Progress = None,
) -> Path | list[Path]:
    """Write an image, or a whole stack, as a FITS file; a Dataset with its maps, a tree as one file for each node.

    The file is written beside its target under another name, synced to disk and renamed: whatever happens, there
    is the old file or the new one. On dask input this computes, and each block is written once it is there: of a
    product that is larger than memory some bands are held at a time.

    Parameters
    ----------
    image : DataArray, Dataset or DataTree
        A combined image, a frame, or a stack (written as a cube, with the cards that all its frames share). Of a
        Dataset the one variable that is not another's map, and as extensions the maps that it names: flags as MASK,
        the uncertainty as UNCERT (UTYPE says which), the number of samples as COUNT, as `astropy.nddata.CCDData.read`
        takes them. Of a tree, each node as a Dataset.
    path : path
        The file to write. Its folder must exist. A name that ends in ``.fz`` is compressed by tiles, integers by RICE_1
        and floats by GZIP_2 without loss, and is in memory meanwhile. For a tree the folder: the node ``flat/r/2`` goes
        to ``flat-r-2.fits`` in it.
    overwrite : bool, default: False
        Replace a file that is there.
    header : dict, optional
        Cards to add or replace, by keyword: values, or (value, comment). ``None`` as a value takes a card away.
    checksum : bool, default: False
        Write the cards CHECKSUM and DATASUM in each HDU.
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
        A dtype that FITS does not have, a WCS that cannot be moved (see `header`), a card that cannot be written; a
        Dataset, or a node of a tree, with several images; two nodes for one file.

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
    if not isinstance(image, xr.DataTree):
        return _product(image, path, overwrite, header).write(overwrite, checksum, progress)
    products = []
    for node, ds in _nodes(image):
        with at_node(node):
            products.append(_product(ds, Path(path) / f"{node.replace('/', '-')}.fits", overwrite, header))
    _check_apart([product.target for product in products])
    return [product.write(overwrite, checksum, progress) for product in products]


@dataclass(frozen=True)
class _Product:
    """What can be written: where to, and the HDUs."""

    target: Path
    hdus: list[HDU]
    rest: bytes

    def write(self, overwrite: bool, checksum: bool, progress: Any) -> Path:
        hdus = [hdu._replace(head=with_room(hdu.head)) for hdu in self.hdus] if checksum else self.hdus
        with _replacing(self.target.resolve(), overwrite) as file:  # a link stays one, its file is replaced
            write_hdus(file, hdus, progress)
            file.write(self.rest)
            if self.target.suffix.lower() == ".fz":
                compress(file, checksum=checksum)
            elif checksum:
                add_checksums(file)
        return self.target


def _product(
    obj: xr.DataArray | xr.Dataset, path: str | os.PathLike[str], overwrite: bool, header: dict[str, Any] | None
) -> _Product:
    """All checks, and nothing computed."""
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise TypeError(f"to_fits writes a DataArray or a Dataset, not a {type(obj).__name__}: xr.DataArray(values)")
    image, ds = (_image_of(obj), obj) if isinstance(obj, xr.Dataset) else (obj, xr.Dataset())
    if image.ndim == 0 or image.size == 0:
        raise ValueError(f"to_fits: this DataArray has no pixels, its shape is {image.shape}")
    stored = dtype_in_file(image.dtype)
    target = Path(os.path.expanduser(path))
    check_target(target, overwrite)
    image = in_order(image)
    others, table = list(maps(image, ds)), frames_table(image)
    head = _header(image, header, extended=bool(others or table))
    return _Product(target, [HDU(head, samples(image), stored), *others], table)


def _image_of(ds: xr.Dataset) -> xr.DataArray:
    """The one variable of a Dataset that is not another's map."""
    names = [name for name in ds.data_vars if name not in ancillary(ds)]
    if not names:
        raise ValueError("to_fits: this Dataset has no variable")
    if len(names) > 1:
        raise ValueError(
            f"this Dataset has the variables {', '.join(map(str, names))}, and a file holds one image with its maps: "
            f"write one after the other, as ds[[{names[0]!r}]].ccd.to_fits(...)"
        )
    return ds[names[0]]


def _nodes(tree: xr.DataTree) -> Iterator[tuple[str, xr.Dataset]]:
    """Each node that has a variable, and its path, which begins with the name of the tree."""
    found = 0
    for key, node in tree.subtree_with_keys:
        ds = node.to_dataset()
        path = "/".join(part for part in (tree.name, *key.split("/")) if part and part != ".") or "root"
        if ds.data_vars:
            found += 1
            yield path, ds
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
    if target.suffix.lower() in (".gz", ".bz2", ".xz"):
        raise io.UnsupportedOperation(f"path={str(target)!r}: products are written unpacked, name it {target.stem!r}")
    check_place(target, overwrite)


def check_place(target: Path, overwrite: bool) -> None:
    """Raise if there is no folder to write in, or something is there that may not go."""
    if not target.parent.is_dir():
        raise FileNotFoundError(f"path={str(target)!r}: there is no folder {shown(target.parent)}")
    if os.path.lexists(target) and not overwrite:
        raise _exists(target)
    if not os.access(target.parent, os.W_OK):
        raise PermissionError(f"path={str(target)!r}: no permission to write in {shown(target.parent)}")


def _exists(target: Path) -> FileExistsError:
    return FileExistsError(f"path={str(target)!r} is there already: overwrite=True replaces it")


def _header(image: xr.DataArray, more: dict[str, Any] | None, *, extended: bool) -> bytes:
    if more is None and (lines := as_written(image)) is not None:
        sizes = 3 + image.ndim  # after SIMPLE, BITPIX, NAXIS and each NAXISn
        return as_block([*lines[:sizes], *([cards.make("EXTEND", True)] if extended else []), *lines[sizes:]])
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
    if extended:
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
