"""`to_fits`: a product written beside its target, synced, and renamed: the old file or the new one, never half."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import xarray as xr

from xccd.headers import cards
from xccd.headers.bitpix import in_file
from xccd.headers.writing import made_by, structure
from xccd.labels.header import as_written, in_order
from xccd.labels.header import header as header_of
from xccd.labels.lazy import array_of
from xccd.labels.nodes import at_node
from xccd.read.files import temporary
from xccd.write.encode import Encoder, asked
from xccd.write.extensions import extension, frames_table, maps, primary
from xccd.write.finish import add_checksums, compress, with_room
from xccd.write.input_files import check_apart
from xccd.write.place import Output, cannot_write, check_place, move_new, sync_folder, target_of
from xccd.write.planes import Plane, nodes_of, planes_of
from xccd.write.stream import HDU, Progress, check_progress, write_hdus

if TYPE_CHECKING:
    from astropy.io.fits import Header


@overload
def to_fits(
    image: xr.DataArray | xr.Dataset,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = ...,
    header: dict[str, Any] | None = ...,
    dtype: Any = ...,
    fill: float | None = ...,
    single: bool = ...,
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
    dtype: Any = ...,
    fill: float | None = ...,
    single: Literal[True],
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
    dtype: Any = ...,
    fill: float | None = ...,
    single: Literal[False] = ...,
    checksum: bool = ...,
    progress: Progress = ...,
) -> list[Path]: ...
def to_fits(
    image: xr.DataArray | xr.Dataset | xr.DataTree,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    header: dict[str, Any] | None = None,
    dtype: Any = None,
    fill: float | None = None,
    single: bool = False,
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
        takes them. Products that a dimension tells apart, as ``groupby("FILTER").map(combine)`` gives them, are one
        extension each, EXTNAME being the label, with a header and maps (of the same EXTVER) of their own:
        ``open_image(path, hdu="V")``. Of a tree, each node as a Dataset.
    path : path
        The file to write. Its folder must exist. A name that ends in ``.fz`` is compressed by tiles, integers by RICE_1
        and floats by GZIP_2 without loss, and is in memory meanwhile. For a tree the folder: the node ``flat/r/2`` goes
        to ``flat-r-2.fits`` in it.
    overwrite : bool, default: False
        Replace a file that is there, but none that the image is made of, or still to be read from.
    header : dict, optional
        Cards to add or replace, by keyword: values, or (value, comment). ``None`` as a value takes a card away.
    dtype : dtype, optional
        "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32" or "float64". Default: that of the
        image. Whole numbers are rounded, to the even one of two that are equally near, and must fit; a float dtype
        holds for maps, too.
    fill : int, optional
        The number that missing pixels (NaN) get, where ``dtype`` is one of whole numbers, which cannot be missing.
    single : bool, default: False
        A tree as one file, ``path``, with an extension for each node, and its maps with the same EXTVER.
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
        If the file is there and ``overwrite`` is not set, or it is one of the inputs.
    OSError
        No such folder, a folder in the file's place, no permission, a full disk. Where a tree ends half way, a note
        says which files are written.
    TypeError, ValueError
        A dtype that FITS does not have, a WCS that cannot be moved (see `header`), a card that cannot be written; a
        Dataset, or a node of a tree, with several images; two nodes for one file. When all is computed: pixels that
        ``dtype`` cannot hold, with their number and range. The old file stays.

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
    target, wanted = target_of(path), asked(dtype, fill)
    make = _Maker(overwrite, header, wanted, fill)
    if not isinstance(image, xr.DataTree):
        products = [make(planes_of(_checked(image)), target)]
        check = [image]
    else:
        nodes = list(nodes_of(image))
        check = [ds for _, ds in nodes]
        products = _one(make, nodes, target) if single else _some(make, nodes, target)
    if overwrite:
        check_apart([product.target for product in products], check)
    written = _written(products, checksum, progress)
    return written if isinstance(image, xr.DataTree) and not single else written[0]


def _checked(obj: Any) -> xr.DataArray | xr.Dataset:
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise TypeError(f"to_fits writes a DataArray or a Dataset, not a {type(obj).__name__}: xr.DataArray(values)")
    return obj


def _some(make: _Maker, nodes: list[tuple[str, xr.Dataset]], folder: Path) -> list[_Product]:
    """A file for each node."""
    products = []
    for node, ds in nodes:
        with at_node(node):
            products.append(make(planes_of(ds), folder / f"{node.replace('/', '-')}.fits"))
    twice = [str(target) for target, times in Counter(p.target for p in products).items() if times > 1]
    if twice:
        raise ValueError(f"to_fits: several nodes of this tree would go to {twice[0]!r}: rename one of them")
    return products


def _one(make: _Maker, nodes: list[tuple[str, xr.Dataset]], target: Path) -> list[_Product]:
    """One file for all nodes."""
    planes = []
    for node, ds in nodes:
        with at_node(node):
            planes += planes_of(ds, node)
    return [make(planes, target)]


def _written(products: list[_Product], checksum: bool, progress: Any) -> list[Path]:
    """Where all products are. An error says which of them are there."""
    done: list[Path] = []
    try:
        done.extend(product.write(checksum, progress) for product in products)
    except BaseException as error:
        if len(products) > 1:
            left = ", ".join(str(product.target) for product in products[len(done) :])
            error.add_note(f"written, and whole: {', '.join(map(str, done)) or 'none'}; not written: {left}")
        raise
    return done


@dataclass(frozen=True)
class _Product:
    """What can be written: where to, and the HDUs."""

    target: Path
    overwrite: bool
    hdus: list[HDU]
    rest: bytes

    def write(self, checksum: bool, progress: Any) -> Path:
        hdus = [hdu._replace(head=with_room(hdu.head)) for hdu in self.hdus] if checksum else self.hdus
        needed = sum(hdu.size for hdu in hdus) + len(self.rest)
        with _replacing(self.target.resolve(), self.overwrite, needed) as output:  # a link stays one
            write_hdus(output, hdus, progress)
            for hdu in hdus:
                hdu.encoder.check(self.target)
            output.write(self.rest)
            with output.failures.noted():
                if self.target.suffix.lower() == ".fz":
                    compress(output.file, checksum=checksum)
                elif checksum:
                    add_checksums(output.file)
        return self.target


@dataclass(frozen=True)
class _Maker:
    """All checks of what is to be written, and nothing computed."""

    overwrite: bool
    header: dict[str, Any] | None
    dtype: np.dtype[Any] | None
    fill: Any

    def __call__(self, planes: list[Plane], target: Path) -> _Product:
        several = len(planes) > 1 or bool(planes[0].name)
        for plane in planes:
            if plane.image.ndim == 0 or plane.image.size == 0:
                raise ValueError(f"to_fits: this DataArray has no pixels, its shape is {plane.image.shape}")
            if self.dtype is not None and plane.image.dtype.kind not in "fiub":
                raise TypeError(f"an image of dtype {plane.image.dtype} cannot be written as {self.dtype}")
            in_file(plane.image.dtype if self.dtype is None else self.dtype)
        check_target(target, self.overwrite)
        hdus = [_empty()] if several else []
        rest = b""
        for number, plane in enumerate(planes, 1):
            hdus += self._hdus(plane, number if several else None)
            rest += frames_table(plane.image, number if several else None)
        if not several:
            head = primary(self._lines(planes[0].image), planes[0].image.ndim, extended=bool(hdus[1:] or rest))
            hdus[0] = hdus[0]._replace(head=head)
        return _Product(target, self.overwrite, hdus, rest)

    def _hdus(self, plane: Plane, number: int | None) -> Iterator[HDU]:
        """An image as an extension, and its maps."""
        image = in_order(plane.image)
        kind = in_file(image.dtype) if self.dtype is None else self.dtype
        head = b"" if number is None else extension(self._lines(image), image.ndim, plane.name, number)
        yield HDU(head, array_of(image), Encoder(image.dtype, kind, self.fill))
        yield from maps(image, plane.ds, number, kind if self.dtype is not None and kind.kind == "f" else None)

    def _lines(self, image: xr.DataArray) -> list[str]:
        """The header of an image as it will be in the file."""
        image = in_order(image)
        if self.dtype is not None:
            image = image.copy(deep=False, data=np.broadcast_to(np.zeros((), self.dtype), image.shape))
        return _lines(image, self.header)


def _empty() -> HDU:
    """What comes first in a file of extensions."""
    lines = [*structure(np.dtype("u1"), ()).split("\n"), made_by()]
    return HDU(primary(lines, 0, extended=True), np.zeros(0, np.uint8), Encoder(np.dtype("u1"), np.dtype("u1")))


def check_target(target: Path, overwrite: bool) -> None:
    """Raise if no product can be written there."""
    if target.is_dir():
        raise IsADirectoryError(f"path={str(target)!r} is a folder: name the file in it")
    if target.suffix.lower() in (".gz", ".bz2", ".xz"):
        raise io.UnsupportedOperation(f"path={str(target)!r}: products are written unpacked, name it {target.stem!r}")
    check_place(target, overwrite)


def _lines(image: xr.DataArray, more: dict[str, Any] | None) -> list[str]:
    """The lines of an image's header, those that describe its array first."""
    if more is None and (lines := as_written(image)) is not None:
        return lines
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
    text = made.tostring(endcard=False, padding=False)
    return [text[i : i + 80].rstrip() for i in range(0, len(text), 80)]


def _set_card(made: Header, keyword: str, value: Any) -> None:
    if value is None:
        made.remove(keyword, ignore_missing=True, remove_all=True)
        return
    value, *comment = value if isinstance(value, tuple) else (value,)
    value = cards.ascii_only(value) if isinstance(value, str) else value
    plain = re.fullmatch(r"[A-Z0-9_-]{1,8}", keyword)
    made[keyword if plain or keyword in made else f"HIERARCH {keyword}"] = (value, *map(cards.ascii_only, comment))


@contextmanager
def _replacing(target: Path, overwrite: bool, needed: int) -> Iterator[Output]:
    """A file that becomes ``target`` when the block ends well, and nothing when it does not."""
    temporary.sweep(target.parent)
    temporary.sweep_scratch()
    try:
        name, output = _new_file(target.parent)
    except OSError as error:
        raise cannot_write(error, target, needed) from error
    try:
        yield output
        with output.failures.noted():
            output.file.flush()
            os.fsync(output.file.fileno())
            if os.name != "posix":  # elsewhere it is open, and so held, until it has its name
                output.file.close()
            (os.replace if overwrite else move_new)(name, target)
    except OSError as error:
        if error not in output.failures:
            raise
        with suppress(OSError):
            name.unlink()  # before it is asked how much is free
        raise cannot_write(error, target, needed) from error
    finally:
        with suppress(OSError):
            output.file.close()
        name.unlink(missing_ok=True)
        temporary.let_go(name)
    sync_folder(target.parent)


def _new_file(folder: Path) -> tuple[Path, Output]:
    while True:
        name = temporary.new_name(folder)
        file = open(name, "xb")  # noqa: SIM115
        if temporary.lock(file.fileno()):
            return name, Output(file)
        file.close()
