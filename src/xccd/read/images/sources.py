"""What a user may give as ``files``, turned into frames: a header text and a reader of pixels each."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from xccd.headers import cards
from xccd.labels.warn import warn
from xccd.messages import shown
from xccd.read.files.local import OPENERS
from xccd.read.files.remote import AT_ONCE, Remote, is_url, places
from xccd.read.images.chips import Asked, Frame, HDUNames, NoImageError, Opened, Wanted, matches, may_leave, opened
from xccd.read.images.hdus import HDU, Walk, listing, say_lost
from xccd.read.images.memory import is_image, open_image
from xccd.read.images.turned import in_one_order

log = logging.getLogger("xccd")

EXTENSIONS = (".fits", ".fit", ".fts")
KINDS = (
    "a path, a glob, a folder, an ImageFileCollection, or a list of paths, CCDData, HDULists or (array, header) pairs"
)


def frames(
    files: Any,
    hdu: HDUNames,
    mask_hdu: Wanted,
    uncertainty_hdu: Wanted = None,
    *,
    bits: Any = None,
    uncertainty_type: Any = None,
    flip: bool | str = False,
) -> list[Frame]:
    """All frames of ``files`` in order. Uncertainties are of use to `open_dataset` only, which asks for them.

    A map goes by a number, a name, or the first of several names that is there. Rows of all frames run the same way, or
    are turned where ``flip`` says so.
    """
    asked = Asked.of(hdu, mask_hdu, uncertainty_hdu, bits, uncertainty_type)
    given = list(items(files))
    found = _opened(given, asked)
    if not found:
        raise ValueError(f"files={files!r} is empty: give {KINDS}")
    repeated = {name for one in found for name in one.repeated}
    named: list[Frame] = []
    left: list[tuple[str, tuple[str, ...]]] = []
    for i, one in enumerate(found):
        labels = (chip.label(repeated) for chip in one.chips)
        named += [_named(frame, i, next(labels, None)) for frame in one.frames]
        left += [(named[-1].file, one.left)] if one.left else []
    _say_left(left)
    if asked.bits is not None and not any(map(_is_masked, named)):
        names = " or ".join(map(str, asked.names("mask_hdu")))
        raise ValueError(f"bits={bits!r}: no file has an extension {names}: mask_hdu= names another")
    if again := _again(item for item, _ in given):
        warn(again)
    return in_one_order(named, flip)


def _is_masked(frame: Frame) -> bool:
    return frame.mask is not None or getattr(frame.pixels, "missing", None) is not None


def given_twice(files: Any) -> str:
    """What is said where ``files`` holds a file of this machine more than once, by whatever names; else nothing."""
    return _again(item for item, _ in items(files))


def _again(some: Iterable[Any]) -> str:
    first: dict[Any, Path] = {}
    again: list[str] = []
    for path in (item for item in some if isinstance(item, Path)):
        known = first.setdefault(_identity(path), path)
        if known is not path:
            one, other = shown(path), shown(known)
            again.append(f"{one} is given twice" if known == path else f"{one} is the same file as {other}")
    more = f" (and {len(again) - 1} more)" if again[1:] else ""
    return f"files=: {again[0]}{more}, so its samples would count twice: give each file once" if again else ""


def _identity(path: Path) -> Any:
    """What is the same for all names of a file."""
    try:
        status = path.stat()
    except OSError:  # opening it says what is wrong
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _opened(some: list[tuple[Any, bool]], asked: Asked) -> list[Opened]:
    """The frames of some items; headers behind URLs are asked for some at a time, as each waits for the network.

    A file without an image is passed over where a folder or a glob has it; raises where they all are.
    """
    passed: list[OSError] = []

    def one(item: tuple[Any, bool]) -> Opened | None:
        source, listed = item
        try:
            return _open(source, asked)
        except NoImageError as error:
            if not listed:
                raise OSError(str(error)) from None
            passed.append(error)
            return None

    far = [item for item in some if isinstance(item[0], Remote)]
    with ThreadPoolExecutor(AT_ONCE) if far else nullcontext() as pool:
        told = pool.map(one, far) if pool else iter(())
        # What is in memory already is opened by this thread: astropy's objects may warn.
        found = [next(told) if isinstance(item[0], Remote) else one(item) for item in some]
    here = [o for o in found if o is not None]
    if passed and not here:
        raise OSError(str(passed[0]))
    if passed:
        more = f", and {len(passed) - 1} more file(s) without an image" if passed[1:] else ""
        log.warning("passed over: %s%s", passed[0], more)
    return here


def _say_left(left: list[tuple[str, tuple[str, ...]]]) -> None:
    """One word of the images that were not opened and may be missed."""
    if not left:
        return
    name, images = left[0]
    more = f", and the like of {len(left) - 1} more file(s)" if left[1:] else ""
    log.warning(
        "%s: one image was opened, %d left (%s)%s: hdu='all' opens all, hdu= names others",
        shown(name), len(images), ", ".join(images[:6]) + (", ..." if images[6:] else ""), more,
    )  # fmt: skip


def _named(frame: Frame, i: int, chip: str | None) -> Frame:
    if frame.file and chip is None:
        return frame
    name = frame.file or cards.lookup(frame.header, "FILENAME") or f"frame-{i + 1}"
    return replace(frame, file=str(name), chip=chip)


def items(files: Any) -> Iterator[tuple[Any, bool]]:
    """Paths, URLs and images in memory, globs and folders spelled out; with each, whether one of these listed it."""
    if isinstance(files, str) and is_url(files):
        found = sorted(places(files, is_fits_name), key=natural)
        for place in found:
            yield from _paths(place) if isinstance(place, str) else ((place, place.url != files),)
    elif hasattr(files, "fs") and hasattr(files.fs, "cat_file"):  # fsspec.open(url, ...), with what its server wants
        yield Remote(files.fs.unstrip_protocol(files.path), files.fs, files.path), False
    elif isinstance(files, (str, os.PathLike)):
        yield from _paths(os.fspath(files))
    elif hasattr(files, "files_filtered"):  # ccdproc.ImageFileCollection
        yield from ((Path(p), True) for p in files.files_filtered(include_path=True))
    elif is_image(files):
        yield files, False
    elif hasattr(files, "dims") and hasattr(files, "coords"):
        raise TypeError(f"files= is an xarray {type(files).__name__}: it is a stack already, no file to open")
    elif isinstance(files, np.ndarray) and files.dtype.kind not in "UOS":
        raise TypeError(
            "files= is a NumPy array: give a list of (array, header) pairs, or make the stack with "
            "xr.DataArray(array, dims=('frame', 'y', 'x'))"
        )
    elif isinstance(files, Iterable) and not isinstance(files, (Mapping, bytes)):
        for item in files:
            yield from items(item)
    else:
        raise TypeError(f"files={files!r} is no file or image, but a {type(files).__name__}: give {KINDS}")


def _paths(given: str) -> Iterator[tuple[Path, bool]]:
    path = Path(os.path.expanduser(given))  # a file may be called ~n.fits
    if path.is_dir():
        found = sorted((p for p in path.iterdir() if _is_fits(p)), key=natural)
        if not found:
            raise FileNotFoundError(
                f"the folder {shown(path)} holds no FITS file ({', '.join(EXTENSIONS)}, packed or not)"
            )
        yield from ((p, True) for p in found)
    elif glob.has_magic(given) and not path.exists():
        found = sorted(map(Path, glob.glob(str(path), recursive=True)), key=natural)
        if not found:
            where = "" if path.is_absolute() else f" (looked from the folder {shown(Path.cwd())})"
            raise FileNotFoundError(f"no file matches {given!r}{where}")
        yield from ((p, True) for p in found)
    else:
        yield path, False


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


def _open(item: Any, asked: Asked) -> Opened:
    return _open_file(item, asked) if isinstance(item, (Path, Remote)) else open_image(item, asked)


def _open_file(path: Path | Remote, asked: Asked) -> Opened:
    with Walk(path) as walk:
        units = _units(walk, asked)
        return opened(str(path), units, lambda: listing(walk, units), asked, lambda unit, _: walk.pixels(unit))


def _units(walk: Walk, asked: Asked) -> list[HDU]:
    """The HDUs of a file, as far as they are of interest."""
    seen: list[HDU] = []
    found = False
    units = iter(walk)
    while True:
        try:
            unit = next(units, None)
        except OSError:
            if not found or asked.maps or asked.several:
                raise
            return seen  # what comes after the image was looked at only to count what is left
        if unit is None:
            if asked.maps or asked.several:  # else what is lost is of no interest
                say_lost(walk, seen, None if asked.several else next((u for u in seen if matches(u, asked.hdu)), None))
            return seen
        seen.append(unit)
        found = found or (not asked.several and matches(unit, asked.hdu))
        if found and not _looks_on(walk, seen[0], asked):
            return seen


def _looks_on(walk: Walk, primary: HDU, asked: Asked) -> bool:
    """Whether more is of interest once the image is found."""
    if walk.packing:  # to look for more would unpack the whole file
        return asked.bits is not None or (asked.maps and bool(primary.value("EXTEND")))
    return asked.maps or (isinstance(walk.path, Path) and may_leave(asked))
