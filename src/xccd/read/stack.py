"""`open_stack`: files as a labelled, lazy stack."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, colour_axis, pixel_grid
from xccd.headers.coords import Labels, frame_coords
from xccd.headers.pixel_grid import AXES
from xccd.headers.rows import check_patterns
from xccd.headers.settings import one_unit, tell_settings, values_of
from xccd.headers.texts import Files, as_texts
from xccd.kernels.limits import float_dtype
from xccd.labels.choices import RowOrder
from xccd.labels.frames import add_history
from xccd.labels.lazy import as_lazy_indexed
from xccd.labels.nodes import NODE
from xccd.labels.problems import PROBLEM, SKIPPED
from xccd.messages import did_you_mean, shown
from xccd.read.images.chips import Frame, HDUNames, Wanted
from xccd.read.images.sources import frames
from xccd.read.reader import StackReader, deferred, lazy
from xccd.read.settled import NOTHING, Errors, Told, settled

log = logging.getLogger("xccd")


def open_stack(
    files: Any,
    *,
    hdu: HDUNames = None,
    mask_hdu: Wanted = "MASK",
    bits: Any = None,
    chunks: Any = "auto",
    memory: int | str | None = None,
    keywords: Sequence[str] | str | None = None,
    keep_headers: bool = True,
    dtype: Any = None,
    units: Any = None,
    flip: RowOrder = False,
    errors: Errors = "raise",
) -> xr.DataArray:
    """Open FITS images as one lazy stack.

    Only headers are read now. Pixels are read during computation, band by band, all frames of a band together.

    Parameters
    ----------
    files : path, glob, folder, ImageFileCollection, CCDData, HDUList, (array, header), or a list of them
        Files from a glob or a folder are sorted naturally (flat-2 before flat-10); those without an image are skipped,
        and the log says so. A list keeps its order. ``.gz``, ``.bz2`` and ``.xz`` files are unpacked once;
        tile-compressed images (``.fz``) some tiles at a time.
    hdu : int, str, (str, int), "all" or a list of them, optional
        Number or EXTNAME of the image, or EXTNAME and EXTVER. Default: the first HDU with an image; the log says if
        there are more. A list opens several images of each file. ``"all"`` opens all except maps of others (masks,
        errors, weights, counts, by their names). Frames are then chips, file by file, with the label ``chip``.
    mask_hdu : int, str, (str, int), list of str or None, default: "MASK"
        An image extension whose bad pixels become missing, if a file has it; the one with the image's EXTVER if there
        are several. "MASK" also means "DQ"; of a list, the first name in the file is taken. ``None`` reads no mask.
    bits : int or list of int, optional
        The bad bits of the mask: a list of powers of two as ``[1, 4]``, or their sum, ``5``. A pixel that is BLANK in
        the mask is bad. Default: any number but 0 is bad.
    chunks : "auto", None, int, tuple or dict, default: "auto"
        "auto" makes dask chunks that are bands of whole rows with all frames, about 32 MB each. ``None`` uses no dask:
        the stack is still lazy, verbs work band by band when their values are used or written, and values that were
        used are kept. Anything else is passed to dask; a dict has names of dimensions.
    memory : int or str, optional
        With ``chunks="auto"``: a limit in bytes, or as "1 GB". Bands are planned so that clips, `combine`, one step of
        arithmetic between them and `to_fits` stay within it, with the number of threads of dask's ``num_workers`` or
        `set_options`. Results that are kept come on top of it. Default: ``xccd.set_options(memory=)``.
    keywords : list of str or "all", optional
        Header keywords that become coordinates on ``frame``, besides the core and those that differ. If more than 17
        differ, dates and numbers come first, and `keyword` gives the others; "all" makes all of them coordinates.
    keep_headers : bool, default: True
        Keep each frame's whole header text as the coordinate ``header``. ``False`` for very many frames.
    dtype : dtype or "native", optional
        A float dtype, or "native" to keep integers as stored. Default: float32 for 8- and 16-bit integers and 32-bit
        floats, float64 for wider ones, so that ``stack - 1000`` never wraps around. An image with BLANK or a mask is
        always opened as float: integers cannot be missing.
    units : str or astropy unit, optional
        The unit of all frames, whatever their BUNIT. Default: their BUNIT, which must be the same in all that have one.
        "ADU", "adu", "counts" and "DN" count as the same, so do "electron" and "e-", but not "mJy" and "Jy".
    flip : bool, "TOP-DOWN" or "BOTTOM-UP", default: False
        Turn frames upside down, with their masks, uncertainties, WCS and BAYERPAT, if their ROWORDER differs from the
        one given, or for True from that of the first frame that has one. By default, different ROWORDERs raise.
    errors : "raise", "skip" or "nan", default: "raise"
        What to do with a file that cannot be opened: missing, damaged, without an image, or of another shape than more
        than half of the frames. "skip" leaves it out. "nan" keeps its place as a frame of NaN, and pixels that cannot
        be read later are NaN, too. The log names the files; see the notes.

    Returns
    -------
    DataArray
        Dimensions ``(frame, y, x)``, for cubes ``(frame, z, y, x)``, or ``(frame, channel, y, x)`` if CTYPE3 is RGB, in
        data units (``attrs["units"]`` from BUNIT), missing pixels NaN. ``y`` and ``x`` are 0-based detector pixel
        numbers. On ``frame``: ``file``, ``header``, ``chip`` if ``hdu`` means several (EXTNAME; with EXTVER, as
        "SCI,2", if a file has more of that name; the number of the HDU without a name), the keywords EXPTIME, FILTER,
        IMAGETYP, OBSTYPE, OBJECT, DATE-OBS, GAIN, RDNOISE, AIRMASS if any frame has them, and keywords that differ, 17
        in all.
        Equal keywords are attributes. EXPTIME is in seconds, DATE-OBS is NaT if its time is unknown, GAIN comes from
        EGAIN if there is one.

    Raises
    ------
    OSError
        No such file, not FITS, truncated, without an image, or changed since it was opened; the message names the file.
    ValueError, TypeError
        Different shapes, units, ROWORDER or BAYERPAT, an empty list, an unusable argument, a card that ``flip`` cannot
        convert.

    Warns
    -----
    UserWarning
        A file that is given twice.

    Notes
    -----
    With ``errors="skip"`` the attribute ``skipped`` has a line for each file that was left out, with the reason. With
    ``errors="nan"`` the label ``problem`` on ``frame`` has the reason, "" for sound frames; the labels of such a
    frame are those of its header, if it could be read. `combine` does not count it. Integers are opened as float. If no
    file can be opened, both raise, and so does a glob that matches nothing.

    "skip" is for the opening alone: pixels that cannot be read later raise as ever, as no frame can be left out by
    then. So packed files are unpacked when they are opened.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> images = [(np.full((2, 3), level, "uint16"), {"EXPTIME": 30.0}) for level in (100, 102)]
    >>> stack = xccd.open_stack(images)
    >>> stack.dims, stack.dtype, stack.EXPTIME.values.tolist()
    (('frame', 'y', 'x'), dtype('float32'), [30.0, 30.0])

    A file that is not there:

    >>> stack = xccd.open_stack([*images, "lost.fits"], errors="skip")
    >>> stack.sizes["frame"], stack.attrs["skipped"]
    (2, 'lost.fits: does not exist: check the path')
    >>> stack = xccd.open_stack([*images, "lost.fits"], errors="nan")
    >>> stack.EXPTIME.values.tolist(), stack.problem.values.tolist()
    ([30.0, 30.0, nan], ['', '', 'does not exist: check the path'])
    """
    every = frames(files, hdu, mask_hdu, bits=bits, flip=flip, errors=errors)
    found, told = settled(every, errors, "open_stack")
    return stack_of(
        found, chunks=chunks, memory=memory, keywords=keywords, keep_headers=keep_headers, dtype=dtype, units=units,
        told=told,
    )  # fmt: skip


def stack_of(
    found: list[Frame], *, chunks: Any, memory: Any, keywords: Sequence[str] | str | None, keep_headers: bool,
    dtype: Any, units: Any, told: Told = NOTHING,
) -> xr.DataArray:  # fmt: skip
    """One stack of frames whose headers were read; the arguments are those of `open_stack`.

    ``told`` is what it says of files that could not be opened.
    """
    squeezed = check_shapes(found)
    reader = StackReader(
        tuple(f.pixels for f in found),
        tuple(f.mask for f in found),
        squeezed,
        _dtype(found, dtype),
    )
    headers, good = [f.header for f in found], [f for f in found if not f.problem]
    texts = [f.header for f in good]
    unit = agreed([f.file for f in good], texts, units)
    coords, attrs, left = _labels(found, keywords, every=not keep_headers)
    names = colour_axis.named(_dims(reader.ndim - 1), texts, reader.shape[1:])
    dims = ("frame", *names)

    by_position = partial(_by_position, dims=dims)
    whole = chunks is None and memory is None
    data = as_lazy_indexed(deferred(reader)) if whole else lazy(reader, chunks, memory, by_position)
    labels = {"file": [f.file for f in found]}
    if found[0].chip is not None:
        labels["chip"] = [str(f.chip) for f in found]
    if told.problems:
        labels[PROBLEM] = [f.problem for f in found]
    coords = {name: np.array(values, object) for name, values in labels.items()} | coords
    coords["file"] = coords["file"].view(Files)
    if keep_headers:
        coords["header"] = as_texts(headers)
    pixels = pixel_grid.coordinates([f.header for f in good], names, reader.shape[1:])
    stack = xr.DataArray(
        data,
        dims=dims,
        coords={k: ("frame", v) for k, v in coords.items()} | pixels,
        attrs=attrs | _notes(found, squeezed, unit) | ({SKIPPED: told.skipped} if told.skipped else {}),
        name="data",
    )
    _log_opened(stack, found, sorted(coords.keys() - {"file", "chip", "header", PROBLEM}), left)
    return add_history(stack, told.history) if told.history else stack


def _labels(found: list[Frame], keywords: Any, *, every: bool) -> Labels:
    """Coordinates and attributes from the headers; a frame whose header could not be read has no value."""
    known = [i for i, frame in enumerate(found) if frame.header or not frame.problem]
    labels = frame_coords([found[i].header for i in known], keywords, every=every)
    if len(known) == len(found):
        return labels
    return labels._replace(coords={k: _spread(values, known, len(found)) for k, values in labels.coords.items()})


def _spread(values: np.ndarray[Any, Any], known: list[int], count: int) -> np.ndarray[Any, Any]:
    """Values at their frames among ``count``; elsewhere NaN, NaT, or "" for texts."""
    kind = values.dtype if values.dtype.kind in "OfM" else np.dtype(np.float64)
    made = np.full(count, {"O": "", "M": np.datetime64("NaT", "ns")}.get(kind.kind, np.nan), kind)
    made[known] = values
    return made


def agreed(names: list[str], headers: list[str], units: Any) -> str:
    """The unit of the frames; raises if units or Bayer patterns differ."""
    check_patterns(names, headers)
    return one_unit(names, [cards.card_value(text, "BUNIT") for text in headers], units)


def _by_position(chunks: Any, dims: tuple[str, ...]) -> Any:
    """Chunks by dimension name, as a tuple in the order of the dimensions; other chunks unchanged."""
    if not isinstance(chunks, dict):
        return chunks
    unknown = set(chunks) - set(dims)
    if unknown:
        near = did_you_mean(min(map(str, unknown)), dims)
        raise ValueError(f"chunks={chunks!r} names {sorted(map(str, unknown))}: the dimensions are {dims}{near}")
    return tuple(chunks.get(d, -1) for d in dims)


def check_shapes(found: list[Frame]) -> int:
    """The count of leading axes of size 1 that the stack drops; raises if shapes of frames or maps differ."""
    by_shape: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for frame in found:
        shape, name = frame.pixels.shape, shown(frame.name)
        by_shape[shape].append(name)
        for kind in ("mask", "uncertainty", "common"):
            image = getattr(frame, kind)
            if image is not None and image.shape != shape:
                leave = "uncertainty" if kind == "common" else kind
                raise ValueError(
                    f"{name}: its {kind} has shape {image.shape}, the image {shape}: {leave}_hdu=None leaves it"
                )
    if len(by_shape) > 1:
        listing = "; ".join(
            f"{' x '.join(map(str, shape))}: {', '.join(names[:3])}"
            + (f" and {len(names) - 3} more" if len(names) > 3 else "")
            for shape, names in by_shape.items()
        )
        chips = ", of chips with hdu='all', by='chip'" if found[0].chip is not None else ""
        raise ValueError(
            f"the frames have differing shapes ({listing}): stack one shape at a time, or use "
            f"xccd.open_tree (one stack a shape{chips}) or xccd.open_frames (a list, to be aligned)"
        )
    (shape,) = by_shape
    spare = len(shape) - 2
    return next((i for i in range(max(spare, 0)) if shape[i] != 1), max(spare, 0))


def _dtype(found: list[Frame], asked: Any) -> np.dtype[Any]:
    """The dtype of a stack, from the argument ``dtype`` and the stored dtypes."""
    native = np.result_type(*{f.pixels.native for f in found})
    floats = [float_dtype(f.pixels.native) for f in found]
    usual = np.result_type(*floats)
    if asked is None:
        return usual
    if isinstance(asked, str) and asked == "native":
        if native.kind in "iub" and any(f.pixels.masks or f.mask is not None for f in found):
            return usual
        return native
    try:
        dtype: np.dtype[Any] = np.dtype(asked)
    except TypeError:
        dtype = np.dtype(object)
    if dtype.kind != "f" or dtype.itemsize < 4:
        near = did_you_mean(asked, ("float32", "float64", "native"))
        raise ValueError(f"dtype={asked!r} is not float32, float64 or 'native': a stack is float, or as stored{near}")
    return np.dtype(dtype.newbyteorder("="))


def _dims(ndim: int) -> tuple[str, ...]:
    return tuple(AXES[i] if i < len(AXES) else f"axis{i + 1}" for i in range(ndim))[::-1]


def _notes(found: list[Frame], squeezed: int, unit: str) -> dict[str, Any]:
    """Attributes besides keywords: the unit, and the axes that were dropped."""
    notes: dict[str, Any] = {"units": unit} if unit else {}
    if squeezed:
        ndim = len(found[0].pixels.shape)
        gone = ", ".join(f"NAXIS{ndim - i} = 1" for i in range(squeezed))
        notes["squeezed"] = f"{gone} in the files"
    return notes


def _log_opened(stack: xr.DataArray, found: list[Frame], differing: list[str], left: list[str]) -> None:
    exposures = values_of("EXPTIME", stack.coords["EXPTIME"].values) if "EXPTIME" in stack.coords else ""
    log.info(
        "opened %d frame(s) of %s as %s (stored as %s)%s%s; on frame: %s%s%s",
        len(found),
        " x ".join(map(str, stack.shape[1:])),
        stack.dtype,
        ", ".join(sorted({str(f.pixels.native) for f in found})),
        ", missing pixels as NaN" if any(f.pixels.masks for f in found) else "",
        ", those of a mask extension as NaN (mask_hdu=None leaves them)"
        if any(f.mask is not None for f in found)
        else "",
        ", ".join(differing) or "no keyword",
        f" (keyword() has {len(left)} more that differ; keywords='all' makes all labels)" if left else "",
        f"; they differ in {exposures}" if exposures else "",
    )
    tell_settings({k: stack.coords[k].values for k in differing}, NODE.get())
