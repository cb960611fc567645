"""`to_fits`: a product is written beside its target, synced and renamed, so that no half file is ever there."""

from __future__ import annotations

import io
import os
import re
from collections import Counter
from collections.abc import Iterator
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
from xccd.messages import a_type
from xccd.read.files import temporary
from xccd.write.encode import Encoder, checked_dtype
from xccd.write.extensions import extension, frames_table, maps, primary
from xccd.write.finish import add_checksums, compress, with_room
from xccd.write.frame_columns import Columns, columns_of, with_columns
from xccd.write.input_files import check_apart
from xccd.write.made_by import recipe_table
from xccd.write.place import check_place, new_file, replacing, target_of
from xccd.write.planes import Plane, nodes_of, planes_of
from xccd.write.rejected_frames import Shares, shares_of
from xccd.write.stream import NewHDU, Progress, check_progress, write_hdus

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
    is the old file or the new one. Lazy input is computed, and each block is written as soon as it is ready, so a
    product may be larger than memory.

    Parameters
    ----------
    image : DataArray, Dataset or DataTree
        A combined image, a frame, or a stack (written as a cube, with the cards that all its frames share). A Dataset
        must have one variable besides maps. Its maps become extensions: flags as MASK, the uncertainty as UNCERT
        (UTYPE gives its type), others as COUNT, REJ_LOW, REJ_HIGH, WEIGHT, EXPOSURE, COMMON; a reader is
        `astropy.nddata.CCDData.read`. Products along a dimension, as ``groupby("FILTER").map(combine)`` gives them,
        become one extension each, with their label as EXTNAME and their own header and maps (of the same EXTVER):
        ``open_image(path, hdu="V")``. Each node of a tree is written as a Dataset.
    path : path
        The file to write. Its folder must exist. With a name that ends in ``.fz`` the file is tile-compressed without
        loss, integers by RICE_1 and floats by GZIP_2, and is in memory meanwhile. For a tree, the folder: the node
        ``flat/r/2`` goes to ``flat-r-2.fits`` in it.
    overwrite : bool, default: False
        Replace an existing file. A file that the image was made of, or is still to be read from, is never replaced.
    header : dict, optional
        Cards to add or replace, by keyword: values, or (value, comment). The value ``None`` removes a card.
    dtype : dtype, optional
        "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32" or "float64". Default: that of the
        image. For integers, values are rounded (halves to even) and must fit. A float dtype applies to maps, too.
    fill : int, optional
        The number for missing pixels (NaN), if ``dtype`` is an integer dtype, which has no NaN.
    single : bool, default: False
        Write a tree as one file, ``path``, with an extension for each node and maps of the same EXTVER.
    checksum : bool, default: False
        Write CHECKSUM and DATASUM into each HDU.
    progress : bool or callable, optional
        True shows a bar. A function is called with (bytes written, bytes in all), from any thread, one at a time.

    Returns
    -------
    pathlib.Path, or a list of them for a tree
        The path of the file. All files of a tree are checked, and their headers made, before anything is computed.

    Raises
    ------
    FileExistsError
        If the file exists and ``overwrite`` is not set, or if it is one of the inputs.
    OSError
        No such folder, a folder in the file's place, no permission, a full disk. If writing a tree fails half way, a
        note lists the files that are written.
    TypeError, ValueError
        A dtype that FITS does not have, a WCS that cannot be moved (see `header`), a card that cannot be written; a
        Dataset, or a node of a tree, with several images; two nodes for one file. After computation: pixels that
        ``dtype`` cannot hold, with their count and range. The old file stays.

    Warns
    -----
    UserWarning
        A lazy product of `combine_with_maps` shows a frame of which clips rejected more than 10 %, and more than 3
        times as much as of the median frame.

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
    target, wanted = target_of(path), checked_dtype(dtype, fill)
    make = _Maker(overwrite, header, wanted, fill)
    if not isinstance(image, xr.DataTree):
        products = [make(planes_of(_writable(image)), target)]
        check = [image]
    else:
        nodes = list(nodes_of(image))
        check = [ds for _, ds in nodes]
        products = _one_product(make, nodes, target) if single else _some(make, nodes, target)
    if overwrite:
        check_apart([product.target for product in products], check)
    written = _write_all(products, checksum, progress)
    return written if isinstance(image, xr.DataTree) and not single else written[0]


def _writable(obj: Any) -> xr.DataArray | xr.Dataset:
    if not isinstance(obj, xr.DataArray | xr.Dataset):
        raise TypeError(f"to_fits writes a DataArray or a Dataset, not {a_type(obj)}: xr.DataArray(values)")
    return obj


def _some(make: _Maker, nodes: list[tuple[str, xr.Dataset]], folder: Path) -> list[_Product]:
    """A product, and file, for each node; raises if two nodes would get the same file."""
    products = []
    for node, ds in nodes:
        with at_node(node):
            products.append(make(planes_of(ds), folder / f"{node.replace('/', '-')}.fits"))
    # The nodes a/b and a-b are both a-b.fits.
    twice = [str(target) for target, times in Counter(p.target for p in products).items() if times > 1]
    if twice:
        raise ValueError(f"to_fits: several nodes of this tree would go to {twice[0]!r}: rename one of them")
    return products


def _one_product(make: _Maker, nodes: list[tuple[str, xr.Dataset]], target: Path) -> list[_Product]:
    """One product for all nodes."""
    planes = []
    for node, ds in nodes:
        with at_node(node):
            planes += planes_of(ds, node)
    return [make(planes, target)]


def _write_all(products: list[_Product], checksum: bool, progress: Any) -> list[Path]:
    """Write the products and return their paths. A note on an error lists those that are written."""
    done: list[Path] = []
    try:
        done.extend(product.write(checksum, progress) for product in products)
    except BaseException as error:
        if len(products) > 1:
            left = ", ".join(str(product.target) for product in products[len(done) :])
            error.add_note(f"completely written: {', '.join(map(str, done)) or 'none'}; not written: {left}")
        raise
    return done


@dataclass(frozen=True)
class _Product:
    """A file that is ready to be written: its target and its HDUs."""

    target: Path
    overwrite: bool
    hdus: list[NewHDU]
    rest: bytes
    shares: list[Shares]
    columns: list[Columns]
    recipe: bytes

    def write(self, checksum: bool, progress: Any) -> Path:
        hdus = [hdu._replace(head=with_room(hdu.head)) for hdu in self.hdus] if checksum else self.hdus
        needed = sum(hdu.size for hdu in hdus) + len(with_columns(self.rest, self.columns)) + len(self.recipe)
        target = self.target.resolve()  # a symbolic link stays, its target is replaced
        # first: leftovers of killed processes may take the room that this file needs
        temporary.sweep(target.parent)
        temporary.sweep_scratch()
        with replacing(target, lambda folder: new_file(folder, self.overwrite), lambda: needed) as output:
            write_hdus(output, hdus, progress, beside=[pair for some in self.shares for pair in some.pairs])
            for hdu in hdus:
                # now that all is counted, and before the old file is replaced
                hdu.encoder.check(self.target)
            output.write(
                with_columns(self.rest, self.columns) + self.recipe
            )  # now, as the shares are counted with the images
            with output.failures.noted():
                if self.target.suffix.lower() == ".fz":
                    compress(output.file, checksum=checksum)
                elif checksum:
                    add_checksums(output.file)
        for some in self.shares:
            some.tell()
        return self.target


@dataclass(frozen=True)
class _Maker:
    """Makes products, with all checks and headers but without computing pixels."""

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
            in_file(plane.image.dtype if self.dtype is None else self.dtype)  # raises for dtypes that FITS lacks
        check_target(target, self.overwrite)
        hdus = [_empty_primary()] if several else []
        rest = b""
        for number, plane in enumerate(planes, 1):
            hdus += self._hdus(plane, number if several else None)
            rest += frames_table(plane.image, number if several else None)
        shares_of_planes = [*map(shares_of, planes)]
        columns = [*map(columns_of, planes, shares_of_planes)]
        recipe = recipe_table(planes[0].image)
        if not several:
            more = bool(hdus[1:] or rest or columns[0].names or recipe)
            head = primary(self._lines(planes[0].image), planes[0].image.ndim, extended=more)
            # last, as EXTEND says whether anything follows
            hdus[0] = hdus[0]._replace(head=head)
        shares = [found for found in shares_of_planes if found is not None]
        return _Product(target, self.overwrite, hdus, rest, shares, columns, recipe)

    def _hdus(self, plane: Plane, number: int | None) -> Iterator[NewHDU]:
        """The HDUs of an image and its maps; without ``number`` the header of the image is left empty."""
        image = in_order(plane.image)
        kind = in_file(image.dtype) if self.dtype is None else self.dtype
        head = b"" if number is None else extension(self._lines(image), image.ndim, plane.name, number)
        yield NewHDU(head, array_of(image), Encoder(image.dtype, kind, self.fill))
        yield from maps(image, plane.ds, number, kind if self.dtype is not None and kind.kind == "f" else None)

    def _lines(self, image: xr.DataArray) -> list[str]:
        """The header lines of an image as in the file, with its dtype there."""
        image = in_order(image)
        if self.dtype is not None:
            # A header needs the dtype and the shape alone: zeros of one element take no memory.
            image = image.copy(deep=False, data=np.broadcast_to(np.zeros((), self.dtype), image.shape))
        return _header_lines(image, self.header)


def _empty_primary() -> NewHDU:
    """The primary HDU without data of a file with several images."""
    lines = [*structure(np.dtype("u1"), ()).split("\n"), made_by()]
    return NewHDU(primary(lines, 0, extended=True), np.zeros(0, np.uint8), Encoder(np.dtype("u1"), np.dtype("u1")))


def check_target(target: Path, overwrite: bool) -> None:
    """Raise if no FITS file can be written there."""
    if target.is_dir():
        raise IsADirectoryError(f"path={str(target)!r} is a folder: name the file in it")
    if target.suffix.lower() in (".gz", ".bz2", ".xz"):
        raise io.UnsupportedOperation(f"path={str(target)!r}: products are written unpacked, name it {target.stem!r}")
    check_place(target, overwrite)


def _header_lines(image: xr.DataArray, more: dict[str, Any] | None) -> list[str]:
    """The header lines of an image, structural cards first; ``more`` is the argument ``header``."""
    if more is None and (lines := as_written(image)) is not None:
        return lines
    from astropy.io import fits

    if not isinstance(more, (dict, fits.Header, type(None))):
        raise TypeError(f"header={more!r} is not a dict of keywords and values")
    made = header_of(image)
    for keyword, value in (more or {}).items():
        if cards.STRUCTURAL.fullmatch(keyword.upper()):
            raise ValueError(f"header={{{keyword!r}: ...}}: xccd writes this card itself, as it describes the file")
        try:
            _set_card(made, keyword.upper(), value)
        except (TypeError, ValueError, fits.VerifyError) as error:
            raise ValueError(f"header={{{keyword!r}: {value!r}}} cannot be a card: {error}") from None
    text = made.tostring(endcard=False, padding=False)
    return [text[i : i + 80].rstrip() for i in range(0, len(text), 80)]


def _set_card(made: Header, keyword: str, value: Any) -> None:
    if value is None:
        made.remove(keyword, ignore_missing=True, remove_all=True)  # all duplicates: else the second one would count
        return
    value, *comment = value if isinstance(value, tuple) else (value,)
    value = cards.ascii_only(value) if isinstance(value, str) else value
    plain = re.fullmatch(r"[A-Z0-9_-]{1,8}", keyword)
    made[keyword if plain or keyword in made else f"HIERARCH {keyword}"] = (value, *map(cards.ascii_only, comment))
