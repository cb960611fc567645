"""What a user may give as ``files``, turned into frames: a header text and a reader of pixels each."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xccd.fits import cards
from xccd.fits.hdus import HDU, OPENERS, Walk, choose
from xccd.fits.memory import Frame, is_image, open_image

EXTENSIONS = (".fits", ".fit", ".fts")
KINDS = (
    "a path, a glob, a folder, an ImageFileCollection, or a list of paths, CCDData, HDULists or (array, header) pairs"
)


def frames(files: Any, hdu: int | str | None, mask_hdu: int | str | None) -> list[Frame]:
    """All frames of ``files`` in order."""
    for name, value in (("hdu", hdu), ("mask_hdu", mask_hdu)):
        if isinstance(value, bool) or not isinstance(value, (int, str, type(None))):
            raise TypeError(f"{name}={value!r} is neither the number of an HDU nor its EXTNAME")
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{name}={value}: HDUs are numbered from 0")
    found = [_open(item, hdu, mask_hdu) for item in _items(files)]
    if not found:
        raise ValueError(f"files={files!r} is empty: give {KINDS}")
    return [_named(frame, i) for i, frame in enumerate(found)]


def _named(frame: Frame, i: int) -> Frame:
    if frame.file:
        return frame
    name = cards.lookup(frame.header, "FILENAME") or f"frame-{i + 1}"
    return replace(frame, file=str(name))


def _items(files: Any) -> Iterator[Any]:
    """Paths and images in memory, globs and folders spelled out."""
    if isinstance(files, (str, os.PathLike)):
        yield from _paths(os.fspath(files))
    elif hasattr(files, "files_filtered"):  # ccdproc.ImageFileCollection
        yield from (Path(p) for p in files.files_filtered(include_path=True))
    elif is_image(files):
        yield files
    elif hasattr(files, "dims") and hasattr(files, "coords"):
        raise TypeError(f"files= is an xarray {type(files).__name__}: it is a stack already, no file to open")
    elif isinstance(files, np.ndarray) and files.dtype.kind not in "UOS":
        raise TypeError(
            "files= is a NumPy array: give a list of (array, header) pairs, or make the stack with "
            "xr.DataArray(array, dims=('frame', 'y', 'x'))"
        )
    elif isinstance(files, Iterable) and not isinstance(files, (Mapping, bytes)):
        for item in files:
            yield from _items(item)
    else:
        raise TypeError(f"files={files!r} is no file or image, but a {type(files).__name__}: give {KINDS}")


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
            where = "" if path.is_absolute() else f" (looked from the folder {Path.cwd()})"
            raise FileNotFoundError(f"no file matches {given!r}{where}")
        yield from found
    else:
        yield path


def _is_fits(path: Path) -> bool:
    name = path.name.lower()
    for packing in OPENERS:  # "" takes nothing away
        name = name.removesuffix(packing)
    return name.endswith(EXTENSIONS) and not name.startswith(".") and path.is_file()


def natural(name: str | Path) -> tuple[list[Any], str]:
    """A sorting key that puts flat-2 before flat-10."""
    parts = re.split(r"(\d+)", str(name))
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], str(name)  # flat-2 and flat-02: always one way


def _open(item: Any, hdu: int | str | None, mask_hdu: int | str | None) -> Frame:
    return _open_file(item, hdu, mask_hdu) if isinstance(item, Path) else open_image(item, hdu, mask_hdu)


def _open_file(path: Path, hdu: int | str | None, mask_hdu: int | str | None) -> Frame:
    with Walk(path) as walk:
        primary, image, units = choose(walk, hdu, more=mask_hdu is not None)
        text = image.text if image is primary else cards.inherit(image.text, primary.text)
        pixels = walk.pixels(image)
        mask = next((u for u in units if u is not image and _is_mask(u, mask_hdu)), None)
        if mask and not mask.is_image:
            raise OSError(f"{path}: mask_hdu={mask_hdu!r} is not an image, but {mask}: mask_hdu=None leaves it")
        return Frame(str(path), text, pixels, walk.pixels(mask) if mask else None)


def _is_mask(unit: HDU, mask_hdu: int | str | None) -> bool:
    if mask_hdu is None:
        return False
    return unit.index == mask_hdu if isinstance(mask_hdu, int) else unit.name == mask_hdu.upper()
