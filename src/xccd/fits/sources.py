"""What a user may give as ``files``, turned into frames: a header text and a reader of pixels each."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xccd.fits import cards
from xccd.fits.hdus import HDU, OPENERS, Walk, choose
from xccd.fits.pixels import ArrayPixels, Pixels

EXTENSIONS = (".fits", ".fit", ".fts")
KINDS = (
    "a path, a glob, a folder, an ImageFileCollection, or a list of paths, CCDData, HDULists or (array, header) pairs"
)


@dataclass(frozen=True)
class Frame:
    """One image before it is stacked."""

    file: str
    header: str
    pixels: Pixels
    mask: Pixels | None = None
    note: str = ""  # what was changed on the way in


def frames(files: Any, hdu: int | str | None, mask_hdu: int | str | None) -> list[Frame]:
    """All frames of ``files`` in order."""
    found = [_open(item, hdu, mask_hdu) for item in _items(files)]
    if not found:
        raise ValueError(f"files={files!r} is empty: give {KINDS}")
    return [_named(frame, i) for i, frame in enumerate(found)]


def _named(frame: Frame, i: int) -> Frame:
    if frame.file:
        return frame
    name = cards.lookup(frame.header, "FILENAME") or f"frame-{i + 1}"
    return Frame(str(name), frame.header, frame.pixels, frame.mask, frame.note)


def _items(files: Any) -> Iterator[Any]:
    """Paths and images in memory, globs and folders spelled out."""
    if isinstance(files, (str, os.PathLike)):
        yield from _paths(os.fspath(files))
    elif hasattr(files, "files_filtered"):  # ccdproc.ImageFileCollection
        yield from (Path(p) for p in files.files_filtered(include_path=True))
    elif _is_image(files):
        yield files
    elif isinstance(files, np.ndarray) and files.dtype.kind not in "UOS":
        raise TypeError(
            "files= is a NumPy array: give a list of (array, header) pairs, or make the stack with "
            "xr.DataArray(array, dims=('frame', 'y', 'x'))"
        )
    elif isinstance(files, Iterable) and not isinstance(files, (Mapping, bytes)):
        for item in files:
            yield from _items(item)
    else:
        raise TypeError(f"files={files!r} is a {type(files).__name__}: give {KINDS}")


def _is_image(item: Any) -> bool:
    """(array, header), CCDData or HDUList."""
    pair = isinstance(item, tuple) and len(item) == 2 and hasattr(item[0], "dtype")
    return pair or (hasattr(item, "wcs") and hasattr(item, "mask")) or hasattr(item, "fileinfo")


def _paths(given: str) -> Iterator[Path]:
    path = Path(given).expanduser()
    if path.is_dir():
        found = sorted((p for p in path.iterdir() if _is_fits(p)), key=natural)
        if not found:
            raise FileNotFoundError(f"the folder {path} holds no FITS file ({', '.join(EXTENSIONS)}, packed or not)")
        yield from found
    elif glob.has_magic(given) and not path.exists():
        found = sorted(map(Path, glob.glob(str(path), recursive=True)), key=natural)
        if not found:
            raise FileNotFoundError(f"no file matches {given!r} (looked from the folder {Path.cwd()})")
        yield from found
    else:
        yield path


def _is_fits(path: Path) -> bool:
    name = path.name.lower()
    for packing in OPENERS:  # "" takes nothing away
        name = name.removesuffix(packing)
    return name.endswith(EXTENSIONS) and not name.startswith(".") and path.is_file()


def natural(path: Path) -> list[Any]:
    """A sorting key that puts flat-2 before flat-10."""
    parts = re.split(r"(\d+)", str(path))
    return [int(p) if i % 2 else p for i, p in enumerate(parts)]


def _open(item: Any, hdu: int | str | None, mask_hdu: int | str | None) -> Frame:
    if isinstance(item, Path):
        return _open_file(item, hdu, mask_hdu)
    if isinstance(item, tuple):
        array, header = item
        return _memory("", array, header)
    if hasattr(item, "fileinfo"):
        return _open_hdulist(item, hdu, mask_hdu)
    return _open_ccddata(item)


def _open_file(path: Path, hdu: int | str | None, mask_hdu: int | str | None) -> Frame:
    with Walk(path) as walk:
        primary, image, units = choose(walk, hdu)
        text = image.text if image is primary else cards.inherit(image.text, primary.text)
        pixels = walk.pixels(image)
        mask = next((u for u in units if u is not image and _is_mask(u, mask_hdu)), None)
        return Frame(str(path), text, pixels, walk.pixels(mask) if mask else None)


def _is_mask(unit: HDU, mask_hdu: int | str | None) -> bool:
    if mask_hdu is None or not unit.is_image:
        return False
    return unit.index == mask_hdu if isinstance(mask_hdu, int) else unit.name == mask_hdu.upper()


def _memory(file: str, array: Any, header: Any, missing: Any = None, text: str = "") -> Frame:
    data = np.asanyarray(array)
    if isinstance(data, np.ma.MaskedArray):
        own = np.ma.getmaskarray(data)
        missing = own if missing is None else own | np.asarray(missing, bool)
    data = np.asarray(data)
    if data.ndim == 0 or data.size == 0:
        raise ValueError(f"files= holds an array of shape {data.shape} ({file or 'in memory'}): no pixels")
    if data.dtype.kind not in "fiub":
        raise TypeError(f"files= holds an array of dtype {data.dtype}: pixels must be real numbers")
    if missing is not None:
        missing = np.broadcast_to(np.asarray(missing, bool), data.shape)
    text = "\n".join(filter(None, (_header_text(header), text)))
    return Frame(file, text, ArrayPixels(data, missing))


def _header_text(header: Any) -> str:
    if header is None:
        return ""
    from astropy.io import fits

    if not isinstance(header, fits.Header):
        try:
            header = fits.Header(dict(header))
        except (TypeError, ValueError) as error:
            raise TypeError(
                f"files=: the header of an (array, header) pair is a {type(header).__name__} "
                f"({error}): give a fits.Header, a dict or None"
            ) from None
    return cards.from_bytes(header.tostring(endcard=False, padding=False).encode("latin-1", "replace"))


def _open_hdulist(hdus: Any, hdu: int | str | None, mask_hdu: int | str | None) -> Frame:
    name = hdus.filename() or ""
    label = name or "an HDUList"
    images = [h for h in hdus if h.is_image and h.header.get("NAXIS")]
    if hdu is None:
        if not images:
            raise OSError(f"{label} has no image")
        unit = images[0]
    else:
        try:
            unit = hdus[hdu]
        except (KeyError, IndexError):
            raise OSError(f"{label} has no hdu={hdu!r}: it has {[h.name for h in hdus]}") from None
    if not unit.is_image or unit.data is None:
        raise OSError(f"{label}: hdu={hdu!r} is not an image")
    mask = None if mask_hdu is None else next((h for h in images if h.name == mask_hdu), None)
    missing = None if mask is None or mask is unit else mask.data != 0
    blank = unit.header.get("BLANK")
    if blank is not None and unit.data.dtype.kind in "iu":  # astropy leaves BLANK = 0 unmarked
        zero = int(unit.header.get("BZERO", getattr(unit, "_orig_bzero", 0)))
        empty = unit.data == np.asarray(blank + zero).astype(unit.data.dtype)
        missing = empty if missing is None else missing | empty
    own = _header_text(unit.header)
    text = own if unit is hdus[0] else cards.inherit(own, _header_text(hdus[0].header))
    return _memory(name, unit.data, None, missing, text)


def _open_ccddata(ccd: Any) -> Frame:
    header = ccd.header
    text = _header_text(header)
    extra = []
    if ccd.wcs is not None and cards.lookup(text, "CTYPE1") is None:
        extra.append(_header_text(ccd.wcs.to_header(relax=True)))
    if ccd.unit is not None:
        kept = cards.join(c for c in cards.split(text) if c.keyword != "BUNIT")
        text = f"{kept}\n{cards.make('BUNIT', ccd.unit.to_string())}".lstrip("\n")
    return _memory("", ccd.data, None, ccd.mask, "\n".join([text, *extra]))
