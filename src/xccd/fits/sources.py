"""What a user may give as ``files``, turned into frames: a header text and a reader of pixels each."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xccd._labels import warn
from xccd.fits import cards
from xccd.fits.files import OPENERS
from xccd.fits.hdus import HDU, HDUName, Walk, choose, matches
from xccd.fits.memory import Frame, Wanted, is_image, open_image, uncertainty_type
from xccd.fits.remote import AT_ONCE, Remote, is_url, places
from xccd.fits.rows import in_one_order

EXTENSIONS = (".fits", ".fit", ".fts")
KINDS = (
    "a path, a glob, a folder, an ImageFileCollection, or a list of paths, CCDData, HDULists or (array, header) pairs"
)


def frames(
    files: Any, hdu: HDUName, mask_hdu: Wanted, uncertainty_hdu: Wanted = None, *, flip: bool | str = False
) -> list[Frame]:
    """All frames of ``files`` in order. Uncertainties are of use to `open_dataset` only, which asks for them.

    A map goes by a number, a name, or the first of several names that is there. Rows of all frames run the same way, or
    are turned where ``flip`` says so.
    """
    names = {"hdu": hdu, "mask_hdu": mask_hdu, "uncertainty_hdu": uncertainty_hdu}
    for name, value in ((k, v) for k, v in names.items() if not isinstance(v, list)):
        if isinstance(value, bool) or not isinstance(value, (int, str, tuple, type(None))):
            raise TypeError(f"{name}={value!r} is neither the number of an HDU nor its EXTNAME")
        if isinstance(value, tuple) and [type(v) for v in value] != [str, int]:
            raise TypeError(f"{name}={value!r} is not (EXTNAME, EXTVER), as ('SCI', 2)")
        if isinstance(value, int) and value < 0:
            raise ValueError(f"{name}={value}: HDUs are numbered from 0")
    items = list(_items(files))
    found = _opened(items, hdu, mask_hdu, uncertainty_hdu)
    if not found:
        raise ValueError(f"files={files!r} is empty: give {KINDS}")
    if again := _again(items):
        warn(again)
    return in_one_order([_named(frame, i) for i, frame in enumerate(found)], flip)


def given_twice(files: Any) -> str:
    """What is said where ``files`` holds a file of this machine more than once, by whatever names; else nothing."""
    return _again(_items(files))


def _again(items: Iterable[Any]) -> str:
    first: dict[Any, Path] = {}
    again: list[str] = []
    for path in (item for item in items if isinstance(item, Path)):
        known = first.setdefault(_identity(path), path)
        if known is not path:
            again.append(f"{path} is given twice" if known == path else f"{path} is the same file as {known}")
    more = f" (and {len(again) - 1} more)" if again[1:] else ""
    return f"files=: {again[0]}{more}, so its samples would count twice: give each file once" if again else ""


def _identity(path: Path) -> Any:
    """What is the same for all names of a file."""
    try:
        status = path.stat()
    except OSError:  # opening it says what is wrong
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _opened(items: list[Any], hdu: HDUName, *maps: Wanted) -> list[Frame]:
    """The frames of some items; headers behind URLs are asked for some at a time, as each waits for the network."""
    if not any(isinstance(item, Remote) for item in items):
        return [_open(item, hdu, *maps) for item in items]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda item: _open(item, hdu, *maps), items))


def _named(frame: Frame, i: int) -> Frame:
    if frame.file:
        return frame
    name = cards.lookup(frame.header, "FILENAME") or f"frame-{i + 1}"
    return replace(frame, file=str(name))


def _items(files: Any) -> Iterator[Any]:
    """Paths, URLs and images in memory, globs and folders spelled out."""
    if isinstance(files, str) and is_url(files):
        for place in sorted(places(files, is_fits_name), key=natural):
            yield from _paths(place) if isinstance(place, str) else (place,)
    elif hasattr(files, "fs") and hasattr(files.fs, "cat_file"):  # fsspec.open(url, ...), with what its server wants
        yield Remote(files.fs.unstrip_protocol(files.path), files.fs, files.path)
    elif isinstance(files, (str, os.PathLike)):
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
    return is_fits_name(path.name) and path.is_file()


def is_fits_name(path: str) -> bool:
    """Whether a file of this name is taken for FITS, packed or not."""
    name = Path(path).name.lower()
    for packing in OPENERS:  # "" takes nothing away
        name = name.removesuffix(packing)
    name = name.removesuffix(".fz")
    return name.endswith(EXTENSIONS) and not name.startswith(".")


def natural(name: str | Path | Remote) -> tuple[list[Any], str]:
    """A sorting key that puts flat-2 before flat-10."""
    parts = re.split(r"(\d+)", str(name))
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], str(name)  # flat-2 and flat-02: always one way


def _open(item: Any, hdu: HDUName, *maps: Wanted) -> Frame:
    return _open_file(item, hdu, *maps) if isinstance(item, (Path, Remote)) else open_image(item, hdu, *maps)


def _open_file(path: Path | Remote, hdu: HDUName, mask_hdu: Wanted, uncertainty_hdu: Wanted) -> Frame:
    with Walk(path) as walk:
        primary, image, units = choose(walk, hdu, more=mask_hdu is not None or uncertainty_hdu is not None)
        own = image is primary or image.text.startswith("SIMPLE")  # a primary image, before it was compressed
        text = image.text if own else cards.inherit(image.text, primary.text)
        pixels = walk.pixels(image)
        maps = {}
        for argument, wanted in (("mask_hdu", mask_hdu), ("uncertainty_hdu", uncertainty_hdu)):
            unit = _beside(image, units, wanted)
            if unit and not unit.is_image:
                raise OSError(f"{path}: {argument}={wanted!r} is not an image, but {unit}: {argument}=None leaves it")
            maps[argument] = unit
        mask, error = maps.values()
        return Frame(
            str(path), text, pixels,
            mask=walk.pixels(mask) if mask else None,
            uncertainty=walk.pixels(error) if error else None,
            uncertainty_type=uncertainty_type(error.name, error.values.get("UTYPE")) if error else "std",
        )  # fmt: skip


def _beside(image: HDU, units: list[HDU], wanted: Wanted) -> HDU | None:
    """The extension that was asked for; by its name alone not one of another EXTVER, where both have that."""
    if wanted is None:
        return None
    names = wanted if isinstance(wanted, list) else [wanted]
    found = [(u, name) for name in names for u in units if u is not image and matches(u, name)]
    own = image.values.get("EXTVER", 1)
    of_own = [u for u, _ in found if u.values.get("EXTVER", 1) == own]
    told = "EXTVER" in image.values
    others = [u for u, name in found if not isinstance(name, str) or not (told and "EXTVER" in u.values)]
    return next(iter([*of_own, *others]), None)
