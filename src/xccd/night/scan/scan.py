"""`scan`: a table of frames from their headers, before any pixel is read."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from glob import has_magic
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xccd.headers import cards
from xccd.headers.summary import Summary
from xccd.messages import LONGEST, a_type, shown
from xccd.night.scan.scan_cache import Cache
from xccd.night.scan.scan_table import Place, Row, updated
from xccd.read.files.remote import Remote, is_url
from xccd.read.files.unpack import BROKEN
from xccd.read.images.broken import reason
from xccd.read.images.chips import HDUNames, Options
from xccd.read.images.sources import EXTENSIONS, is_fits_name, items, natural, open_file

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger("xccd")

# Files of cameras in other formats: a row says what they are, so that nobody looks for them in vain.
OTHERS = (".tif", ".tiff", ".cr2", ".cr3", ".nef", ".arw", ".dng", ".raf", ".orf", ".rw2", ".xisf", ".ser")
BATCH = 500  # files of one task of a cluster: some 0.3 s


def scan(
    where: Any,
    *,
    recursive: bool = False,
    hdu: HDUNames = None,
    keywords: Sequence[str] = (),
    cache: str | os.PathLike[str] | None = None,
) -> DataFrame:
    """Read the headers of many frames into a table.

    The table is one of pandas: sort it, filter it, mend it. `open_stack`, `open_tree`, `open_frames` and
    `open_dataset` take it in place of files.

    Parameters
    ----------
    where : path, glob, folder, or a list of them
        As for `open_stack`. Of a folder, files in formats of cameras (TIFF, CR2, ...) get a row with their problem.
    recursive : bool, default: False
        Look into the folders of a folder, too. Links to folders are not followed.
    hdu : int, str, (str, int), "all" or a list of them, optional
        As for `open_stack`: the image of each file. Default: the first. "all" gives a row to each chip.
    keywords : list of str, optional
        Header keywords that become columns of their own.
    cache : path, optional
        A Parquet file that keeps the table. Only files that are new or have another size or time are read again. It
        needs pyarrow.

    Returns
    -------
    pandas.DataFrame
        A row for each image, in natural order of the files of a folder. Its columns:

        - ``file``, and ``hdu``, the number of the image's HDU (-1 for a file without one);
        - ``kind``: "bias", "dark", "flat", "light", "arc", "master-flat" and so on, as in `open_tree`; ``words`` is
          the text that told it;
        - ``filter`` ("" for bias frames and darks), ``exposure`` (seconds), ``date`` (when it began; NaT if the time
          of day is unknown), ``object``;
        - ``shape`` and ``binning``, as "1024x2048" and "2x2" (y, x); ``gain``; ``temperature``, in the unit of the
          header; ``unit``; the ``keywords``;
        - ``size`` of the file in bytes;
        - ``problem``: why the file cannot be opened, else "".

        What a header does not tell is "" or NaN.

    Raises
    ------
    OSError
        A folder that does not exist, one without FITS files, a glob without matches, a ``cache`` that is no table of
        `scan` or cannot be written.
    ValueError, TypeError
        An unusable argument; images in memory.
    ImportError
        ``cache`` without pyarrow.

    Notes
    -----
    Only headers are read. If a client of dask.distributed is there, its workers read them; they must see the files.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> import xarray as xr
    >>> import xccd
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for i, kind in enumerate(["Bias Frame", "Flat Field", "Flat Field"]):
    ...         image = xr.DataArray(np.full((2, 3), i), dims=("y", "x"), attrs={"IMAGETYP": kind, "EXPTIME": 2.0 * i})
    ...         _ = image.ccd.to_fits(f"{folder}/{i}.fits")
    ...     table = xccd.scan(folder)
    ...     flats = xccd.open_stack(table[table.kind == "flat"]).load()
    >>> table[["kind", "exposure", "shape", "problem"]].values.tolist()
    [['bias', 0.0, '2x3', ''], ['flat', 2.0, '2x3', ''], ['flat', 4.0, '2x3', '']]
    >>> flats.sizes["frame"]
    2
    """
    if isinstance(keywords, str) or not all(isinstance(k, str) and k.strip() for k in keywords):
        raise TypeError(f"keywords={keywords!r} is not a list of header keywords, as ['AIRMASS']")
    names = tuple(dict.fromkeys(k.strip().upper() for k in keywords))
    options = Options.of(hdu, None)
    kept = Cache.of(cache, (repr(options.hdu), *names))
    places = _as_texts(_listed(where, recursive))
    left: list[str] = []
    read = partial(_read_all, options=options, names=names, left=left)
    table, count = updated(kept.read(), places, read, names)
    _log_left(left)
    log.info("scan: %d files, of which %d were read", len(places), count)
    kept.write(table)
    return table.drop(columns="changed")


def _listed(where: Any, recursive: bool) -> list[Place]:
    """The files, those of a folder in natural order; raises for what is no file, and for a place without files."""
    if isinstance(where, (list, tuple)):
        found = [place for one in where for place in _places(one, recursive)]
        if not found:
            raise ValueError(f"where={where!r} is empty: give paths, globs or folders")
        return found
    place = Path(os.path.expanduser(where)) if isinstance(where, (str, os.PathLike)) else None
    if place is not None and not (os.path.lexists(place) or is_url(os.fspath(where)) or has_magic(os.fspath(where))):
        raise FileNotFoundError(f"where={os.fspath(where)!r} does not exist: check the path")
    return list(_places(where, recursive))


def _as_texts(places: list[Place]) -> list[Place]:
    """The files whose names are texts, as columns of a table are; the log names the others."""
    odd = [place for place in places if not str(place).isascii() and not _is_text(str(place))]
    for place in odd:
        log.warning("%s is left out: its name is no text in UTF-8, rename it", shown(place))
    if odd and len(odd) == len(places):
        raise OSError(f"{shown(odd[0])} cannot be in a table: its name is no text in UTF-8, rename it")
    return [place for place in places if place not in odd] if odd else places


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _places(where: Any, recursive: bool) -> Iterator[Place]:
    if not isinstance(where, (str, os.PathLike, Remote)) and not hasattr(where, "fs"):
        text = repr(where)
        given = f"where={text}" if len(text) <= LONGEST else "where="  # not a table of many lines
        raise TypeError(f"{given} is no file, but {a_type(where)}: give a path, a glob, a folder, or a list")
    if where == "":
        raise ValueError("where='' is an empty path: give a file, a glob or a folder, '.' for this one")
    local = isinstance(where, (str, os.PathLike))
    path = os.path.expanduser(os.fspath(where)) if local else ""
    if not local or not os.path.isdir(path):
        # most often a file: that is seen without the many ways of `items`
        yield from [Path(path)] if os.path.isfile(path) else (item for item, _ in items(where))
        return
    paths = list(_below(path, recursive))
    if not paths:
        more = "" if recursive else "; recursive=True looks into its folders, too"
        raise FileNotFoundError(
            f"the folder {shown(path)} holds no FITS file ({', '.join(EXTENSIONS)}, packed or not){more}"
        )
    yield from map(Path, sorted(paths, key=natural))


def _below(folder: str, recursive: bool) -> Iterator[str]:
    """The files in a folder that may be frames."""
    folders = []
    with os.scandir(folder) as entries:
        for entry in entries:
            known = is_fits_name(entry.name) or os.path.splitext(entry.name)[1].lower() in OTHERS
            if known and entry.is_file():
                yield entry.path
            elif recursive and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
    for below in folders:
        try:
            yield from _below(below, True)
        except PermissionError as error:
            log.warning("the folder %s is left out, it cannot be read: %s", shown(below), error.strerror)


def _read_all(
    places: list[Place], *, options: Options, names: tuple[str, ...], left: list[str]
) -> Iterator[list[Row]]:  # fmt: skip
    """The rows of each file; by the workers of a cluster if there is one. ``left`` gets files with more images."""
    for place, rows in zip(places, _rows_of(places, options, names), strict=True):
        left += [str(place)] if rows[0].left else []
        yield rows


def _log_left(left: list[str]) -> None:
    """Log that images were not listed, as the user may miss them."""
    if left:
        more = f", and likewise {len(left) - 1} more file(s)" if left[1:] else ""
        log.warning("%s has more images than the one that is listed%s: hdu='all' lists all", shown(left[0]), more)


def _rows_of(places: list[Place], options: Options, names: tuple[str, ...]) -> Iterable[list[Row]]:
    read = partial(_read_some, options=options, names=names)
    client = _client()
    if client is None:
        return (rows for place in places for rows in read([place]))
    every = iter(places)
    batches = list(iter(lambda: list(islice(every, BATCH)), []))
    return (rows for batch in client.gather(client.map(read, batches)) for rows in batch)


def _client() -> Any:
    """The client of dask.distributed in use here; None without one."""
    if "distributed" not in sys.modules:
        return None
    from distributed import default_client

    try:
        return default_client()
    except ValueError:
        return None


def _read_some(places: Iterable[Place], options: Options, names: tuple[str, ...]) -> list[list[Row]]:
    return [_read(place, options, names) for place in places]


def _read(place: Place, options: Options, names: tuple[str, ...]) -> list[Row]:
    """The rows of one file."""
    name, missing = str(place), ("",) * len(names)
    try:
        opened = open_file(place, options)
    except (OSError, *BROKEN) as error:
        return [Row(-1, Summary(), "", reason(name, error), missing)]
    rows = []
    for frame in opened.frames:
        values = cards.values(frame.header)
        extra = tuple(values.get(k, "") for k in names)
        rows.append(
            Row(frame.hdu, Summary.of(values), "x".join(map(str, frame.pixels.shape)), "", extra, bool(opened.left))
        )
    return rows
