"""From the argument ``files`` to frames: for each a header text and a reader of pixels."""

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

from xccd.compute import progress
from xccd.headers import cards
from xccd.labels.warn import warn
from xccd.messages import a_type, shown
from xccd.read.files.local import OPENERS
from xccd.read.files.remote import AT_ONCE, Remote, is_url, places
from xccd.read.files.unpack import BROKEN
from xccd.read.images.broken import check_errors, check_packed, like_the_others, lost, none_left
from xccd.read.images.chips import Frame, HDUNames, NoImageError, Opened, Options, Wanted, matches, may_leave, opened
from xccd.read.images.hdus import StoredHDU, Walk, listing, warn_lost
from xccd.read.images.memory import is_image, open_in_memory
from xccd.read.images.missing import of_file
from xccd.read.images.table import TableRows, is_remote, is_table, rows_of
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
    errors: str = "raise",
) -> list[Frame]:
    """All frames of ``files`` in order; arguments as for `open_dataset`, the only opener that reads uncertainties.

    Raises if rows of some frames run the other way, unless ``flip`` turns those frames. With other ``errors`` than
    "raise", a file that cannot be opened has a frame with its ``problem``; `read.settled` decides on it.
    """
    options = Options.of(hdu, mask_hdu, uncertainty_hdu, bits, uncertainty_type)
    given = list(items(files, tried=check_errors(errors) != "raise"))
    found = _opened(given, options, errors)
    if not found:
        raise ValueError(f"files={files!r} is empty: give {KINDS}")
    chips = [one for one in found if one.chips]
    repeated = {name for one in found for name in one.repeated}
    named: list[Frame] = []
    left: list[tuple[str, tuple[str, ...]]] = []
    for i, one in enumerate(found):
        labels = (chip.label(repeated) for chip in one.chips)
        named += [_with_name(frame, i, next(labels, "" if chips else None)) for frame in one.frames]
        left += [(named[-1].file, one.left)] if one.left else []
    _log_left(left)
    if options.bits is not None and not any(map(_is_masked, named)):
        names = " or ".join(map(str, options.names("mask_hdu")))
        raise ValueError(f"bits={bits!r}: no file has an extension {names}: mask_hdu= names another")
    if again := _again(item for item, _ in given):
        warn(again)
    good = iter(in_one_order([frame for frame in named if not frame.problem], flip))
    return [frame if frame.problem else next(good) for frame in named]


def _is_masked(frame: Frame) -> bool:
    return frame.mask is not None or getattr(frame.pixels, "missing", None) is not None


def given_twice(files: Any) -> str:
    """A warning text if ``files`` holds a local file more than once, under any names; else ""."""
    return _again(item for item, _ in items(files))


def _again(some: Iterable[Any]) -> str:
    """A warning text if a path is there more than once; else ""."""
    first: dict[Any, Path | TableRows] = {}
    again: list[str] = []
    for path in (item for item in some if isinstance(item, (Path, TableRows))):
        known = first.setdefault(_one_for_all_names(path), path)
        if known is not path:
            one, other = shown(path), shown(known)
            again.append(f"{one} is given twice" if known == path else f"{one} is the same file as {other}")
    more = f" (and {len(again) - 1} more)" if again[1:] else ""
    return f"files=: {again[0]}{more}, so its samples would count twice: give each file once" if again else ""


def _one_for_all_names(path: Any) -> Any:
    """A key that is equal for all names of one file; of rows of a table, of one image."""
    if isinstance(path, TableRows):
        return _one_for_all_names(path.place), path.hdus
    if not isinstance(path, Path):
        return path
    try:
        status = path.stat()
    except OSError:  # the error comes when it is opened
        return path
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)


def _opened(some: list[tuple[Any, bool]], options: Options, errors: str) -> list[Opened]:
    """The frames of some items. Headers behind URLs are read several at a time, as each waits for the network.

    Files without an image are left out if a folder or glob listed them; raises if no file can be opened.
    """
    passed: list[OSError] = []
    bad: list[BaseException] = []

    def one(item: tuple[Any, bool]) -> Opened | None:
        source, listed = item
        try:
            return _open(source, options, whole=errors != "raise")
        except BROKEN as error:
            if isinstance(error, NoImageError) and listed and errors != "skip":
                passed.append(error)
                return None
            if errors != "raise" and of_file(error):
                bad.append(error)
                return lost(source, error, options)
            if isinstance(error, NoImageError):
                raise OSError(str(error)) from None
            raise

    far = [item for item in some if is_remote(item[0])]
    with ThreadPoolExecutor(AT_ONCE) if far else nullcontext() as pool:
        remote = pool.map(one, far) if pool else iter(())
        # Objects in memory are opened in this thread: those of astropy may warn.
        each = progress.over(some, "open", len(some), "files")
        found = [next(remote) if is_remote(item[0]) else one(item) for item in each]
    here = [o for o in found if o is not None]
    if passed and len(here) == len(bad):
        raise OSError(str(passed[0]))
    if bad and len(here) == len(bad):
        raise none_left(bad)
    if passed:
        more = f", and {len(passed) - 1} more file(s) without an image" if passed[1:] else ""
        log.warning("skipped: %s%s", passed[0], more)
    return _with_chips(some, found) if bad and errors == "nan" else here


def _with_chips(some: list[tuple[Any, bool]], found: list[Opened | None]) -> list[Opened]:
    """The same where files that cannot be opened have the chips of the others, if these have any."""
    others = [one for one in found if one is not None and one.chips]
    made = []
    for (item, _), one in zip(some, found, strict=True):
        if one is not None and one.frames[0].problem and others:
            one = like_the_others(one, others, rows=isinstance(item, TableRows))
        made += [] if one is None else [one]
    return made


def _log_left(left: list[tuple[str, tuple[str, ...]]]) -> None:
    """Log the images that were not opened, as the user may miss them."""
    if not left:
        return
    name, images = left[0]
    more = f", and likewise in {len(left) - 1} more file(s)" if left[1:] else ""
    log.warning(
        "%s: one image was opened, %d left (%s)%s: hdu='all' opens all, hdu= names others",
        shown(name), len(images), ", ".join(images[:6]) + (", ..." if images[6:] else ""), more,
    )  # fmt: skip


def _with_name(frame: Frame, i: int, chip: str | None) -> Frame:
    if frame.file and chip is None:
        return frame
    name = frame.file or cards.card_value(frame.header, "FILENAME") or f"frame-{i + 1}"
    return replace(frame, file=str(name), chip=chip)


def items(files: Any, *, tried: bool = False) -> Iterator[tuple[Any, bool]]:
    """Paths, URLs and images in memory, each with whether a glob or folder listed it.

    ``tried``: rows of a table that have a problem are tried, too.
    """
    if isinstance(files, str) and is_url(files):
        found = sorted(places(files, is_fits_name), key=natural)
        for place in found:
            yield from _paths(place) if isinstance(place, str) else ((place, place.url != files),)
    elif hasattr(files, "fs") and hasattr(files.fs, "cat_file"):  # fsspec.open(url, ...), with its options
        yield Remote(files.fs.unstrip_protocol(files.path), files.fs, files.path), False
    elif isinstance(files, (str, os.PathLike)):
        yield from _paths(os.fspath(files))
    elif is_table(files):
        for file, hdus in rows_of(files, tried=tried):
            yield TableRows(next(items(file))[0] if is_url(file) else Path(file), hdus), False
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
            yield from items(item, tried=tried)
    else:
        raise TypeError(f"files={files!r} is no file or image, but {a_type(files)}: give {KINDS}")


def _paths(given: str) -> Iterator[tuple[Path, bool]]:
    """The files of a path, folder or glob, each with whether it was listed; raises if there are none."""
    if not given:
        raise ValueError("files='' is an empty path: give a file, a glob or a folder, '.' for this one")
    path = Path(os.path.expanduser(given))  # leaves a file called ~n.fits alone
    if path.is_dir():
        found = sorted((p for p in path.iterdir() if _is_fits(p)), key=natural)
        if not found:
            raise FileNotFoundError(
                f"the folder {shown(path)} holds no FITS file ({', '.join(EXTENSIONS)}, packed or not)"
            )
        yield from ((p, True) for p in found)
    # a file may be called a[1].fits
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
    """Whether a file name ends as those of FITS files do, packed or not."""
    name = (Path(path).name if "/" in path or os.sep in path else path).lower()
    for packing in OPENERS:  # one of them is ""
        name = name.removesuffix(packing)
    name = name.removesuffix(".fz")
    return name.endswith(EXTENSIONS) and not name.startswith(".")


def natural(name: str | Path | Remote) -> tuple[list[Any], str]:
    """A sorting key by which flat-2 comes before flat-10."""
    parts = re.split(r"(\d+)", str(name))
    return [int(p) if i % 2 else p for i, p in enumerate(parts)], str(name)  # orders flat-2 and flat-02, too


def _open(item: Any, options: Options, *, whole: bool) -> Opened:
    """The frames of one item; ``whole`` raises for packed files that are not whole."""
    if isinstance(item, TableRows):
        found = open_file(item.place, item.options(options))
    elif isinstance(item, (Path, Remote)):
        found = open_file(item, options)
    else:
        return open_in_memory(item, options)
    return check_packed(found) if whole else found


def open_file(path: Path | Remote, options: Options) -> Opened:
    """The frames of one file; raises if it cannot be opened."""
    with Walk(path) as walk:
        units = _units_needed(walk, options)
        return opened(str(path), units, lambda: listing(walk, units), options, lambda unit, _: walk.pixels(unit))


def _units_needed(walk: Walk, options: Options) -> list[StoredHDU]:
    """The HDUs of a file up to the last that is needed."""
    seen: list[StoredHDU] = []
    found = False
    units = iter(walk)
    while True:
        try:
            unit = next(units, None)
        except OSError:
            if not found or options.maps or options.several:
                raise
            return seen  # the HDUs after the image were only to be listed
        if unit is None:
            if options.maps or options.several:  # else lost extensions do not matter
                images = [] if options.several else [u for u in seen if matches(u, options.hdu)]
                warn_lost(walk, seen, images[0] if images else None)
            return seen
        seen.append(unit)
        found = found or (not options.several and matches(unit, options.hdu))
        if found and not _looks_on(walk, seen[0], options):
            return seen


def _looks_on(walk: Walk, primary: StoredHDU, options: Options) -> bool:
    """Whether to look at more HDUs after the image."""
    if walk.packing:  # looking on would unpack the whole file
        return options.bits is not None or (options.maps and bool(primary.value("EXTEND")))
    return options.maps or (isinstance(walk.path, Path) and may_leave(options))
