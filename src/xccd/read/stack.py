"""`open_stack`: files into a labelled, lazy stack."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xccd.headers import cards, pixel_grid
from xccd.headers.coords import frame_coords
from xccd.headers.pixel_grid import AXES
from xccd.headers.rows import check_patterns
from xccd.headers.settings import one_unit, tell_settings, values_of
from xccd.kernels.limits import float_dtype
from xccd.labels.lazy import as_lazy_indexed
from xccd.labels.nodes import NODE
from xccd.messages import did_you_mean, shown
from xccd.read.images.chips import Frame, HDUNames, Wanted
from xccd.read.images.sources import frames
from xccd.read.reader import StackReader, deferred, lazy

log = logging.getLogger("xccd")


def open_stack(
    files: Any,
    *,
    hdu: HDUNames = None,
    mask_hdu: Wanted = "MASK",
    bits: Any = None,
    chunks: Any = "auto",
    memory: int | str | None = None,
    keywords: Sequence[str] | None = None,
    keep_headers: bool = True,
    dtype: Any = None,
    units: Any = None,
    flip: bool | str = False,
) -> xr.DataArray:
    """Open FITS images as one lazy stack.

    Only headers are read now. Pixels are read when they are computed, band by band, all frames of a band together.

    Parameters
    ----------
    files : path, glob, folder, ImageFileCollection, CCDData, HDUList, (array, header), or a list of them
        Names that a glob or a folder gives are sorted naturally (flat-2 before flat-10), and those of files without an
        image passed over, with a word in the log; a list keeps its order.
        ``.gz``, ``.bz2`` and ``.xz`` files are unpacked once; tile-compressed images (``.fz``) some tiles at a time.
    hdu : int, str, (str, int), "all" or a list of them, optional
        Number or EXTNAME of the image, or EXTNAME and EXTVER. Default: the first HDU that holds one; the log says if
        there are more. A list takes several images of each file, ``"all"`` all but those that are maps of others
        (masks, errors, weights, counts, by their names): frames are chips then, file by file, and ``chip`` labels them.
    mask_hdu : int, str, (str, int), list of str or None, default: "MASK"
        An image extension whose bad pixels are missing, where a file has it: of the image's EXTVER if there are
        several. "MASK" stands for "DQ", too; of a list the first name that is there counts. ``None`` ignores it.
    bits : int or list of int, optional
        Which bits of the mask are bad: their values, powers of two as ``[1, 4]``, or the sum of these, ``5``. A pixel
        that is BLANK in the mask is bad. Default: any number but 0 is bad.
    chunks : "auto", None, int, tuple or dict, default: "auto"
        "auto" makes bands of whole rows with all frames, of about 32 MB. ``None`` takes no
        dask: values are read when they are used, and kept; verbs wait, and work band by band, until values of theirs
        are used or written. Anything else is dask's, a dict by names of dimensions.
    memory : int or str, optional
        With ``chunks="auto"``: plan bands so that clips, `combine`, one step of arithmetic between them and `to_fits`
        stay within so many bytes ("1 GB"), on as many threads as dask's ``num_workers`` or `set_options` say.
        Default: ``xccd.set_options(memory=)``. A result that is kept comes on top of it.
    keywords : list of str, optional
        Header keywords to have as coordinates on ``frame`` besides the core and those that differ.
    keep_headers : bool, default: True
        Keep each frame's whole header text as the coordinate ``header``. ``False`` for very many frames.
    dtype : dtype or "native", optional
        A float dtype, or "native" to keep integers as they are stored. Default: float32 for 8- and 16-bit
        integers and 32-bit floats, float64 for wider ones, so that ``stack - 1000`` never wraps around. An image with
        BLANK or a mask opens as float always: integers cannot be missing.
    units : str or astropy unit, optional
        The unit of all frames, whatever they say. Default: their BUNIT, which must be the same in all that have one;
        "ADU", "adu", "counts" and "DN" are, as "electron" and "e-", but not "mJy" and "Jy".
    flip : bool, "TOP-DOWN" or "BOTTOM-UP", default: False
        Turn frames upside down whose ROWORDER is another than that of the first frame that has one, or than the one
        given, with their masks, uncertainties, WCS and BAYERPAT. By default frames that differ raise.

    Returns
    -------
    DataArray
        Dimensions ``(frame, y, x)``, for cubes ``(frame, z, y, x)``, in data units (``attrs["units"]`` from BUNIT),
        missing pixels NaN. ``y`` and ``x`` are 0-based detector pixel numbers. On ``frame``: ``file``, ``header``,
        ``chip`` where ``hdu`` means several (EXTNAME; with EXTVER, as "SCI,2", where a file has more of that name; the
        number of the HDU where there is no name), the keywords EXPTIME, FILTER, IMAGETYP, OBSTYPE, OBJECT, DATE-OBS,
        GAIN, RDNOISE, AIRMASS where any frame has them, and keywords that differ. Equal keywords are attributes.
        EXPTIME is in seconds, DATE-OBS NaT where its time is not known, GAIN that of EGAIN where there is one.

    Raises
    ------
    OSError
        No such file, not FITS, truncated, no image in it, changed since it was opened; the message names the file.
    ValueError, TypeError
        Shapes, units, ROWORDER or BAYERPAT that differ, an empty list, an unusable argument; what ``flip`` cannot turn.

    Warns
    -----
    UserWarning
        A file that is given twice.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> images = [(np.full((2, 3), level, "uint16"), {"EXPTIME": 30.0}) for level in (100, 102)]
    >>> stack = xccd.open_stack(images)
    >>> stack.dims, stack.dtype, stack.EXPTIME.values.tolist()
    (('frame', 'y', 'x'), dtype('float32'), [30.0, 30.0])
    """
    found = frames(files, hdu, mask_hdu, bits=bits, flip=flip)
    return stack_of(
        found, chunks=chunks, memory=memory, keywords=keywords, keep_headers=keep_headers, dtype=dtype, units=units
    )


def stack_of(
    found: list[Frame], *, chunks: Any, memory: Any, keywords: Sequence[str] | None, keep_headers: bool, dtype: Any,
    units: Any,
) -> xr.DataArray:  # fmt: skip
    """One stack of frames whose headers have been read; the arguments are those of `open_stack`."""
    squeezed = check_shapes(found)
    reader = StackReader(
        tuple(f.pixels for f in found),
        tuple(f.mask for f in found),
        squeezed,
        _dtype(found, dtype),
    )
    headers = [f.header for f in found]
    unit = agreed([f.file for f in found], headers, units)
    coords, attrs = frame_coords(headers, keywords)
    names = _dims(reader.ndim - 1)
    dims = ("frame", *names)

    by_position = partial(_by_position, dims=dims)
    whole = chunks is None and memory is None
    data = as_lazy_indexed(deferred(reader)) if whole else lazy(reader, chunks, memory, by_position)
    labels = {"file": [f.file for f in found]}
    if found[0].chip is not None:
        labels["chip"] = [str(f.chip) for f in found]
    coords = {name: np.array(values, object) for name, values in labels.items()} | coords
    if keep_headers:
        coords["header"] = np.array(headers, object)
    stack = xr.DataArray(
        data,
        dims=dims,
        coords={k: ("frame", v) for k, v in coords.items()} | pixel_grid.coordinates(headers, names, reader.shape[1:]),
        attrs=attrs | _notes(found, squeezed, unit),
        name="data",
    )
    _say(stack, found, sorted(coords.keys() - {"file", "chip", "header"}))
    return stack


def agreed(names: list[str], headers: list[str], units: Any) -> str:
    """The unit of the frames; raises where they do not belong together."""
    check_patterns(names, headers)
    return one_unit(names, [cards.lookup(text, "BUNIT") for text in headers], units)


def _by_position(chunks: Any, dims: tuple[str, ...]) -> Any:
    """Chunks in the order of the dimensions, where they are given by name."""
    if not isinstance(chunks, dict):
        return chunks
    unknown = set(chunks) - set(dims)
    if unknown:
        near = did_you_mean(min(map(str, unknown)), dims)
        raise ValueError(f"chunks={chunks!r} names {sorted(map(str, unknown))}: the dimensions are {dims}{near}")
    return tuple(chunks.get(d, -1) for d in dims)


def check_shapes(found: list[Frame]) -> int:
    """How many leading axes of size 1 go; raises if the shapes differ."""
    by_shape: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for frame in found:
        shape, name = frame.pixels.shape, shown(frame.name)
        by_shape[shape].append(name)
        for kind, image in (("mask", frame.mask), ("uncertainty", frame.uncertainty)):
            if image is not None and image.shape != shape:
                raise ValueError(
                    f"{name}: its {kind} has shape {image.shape}, the image {shape}: {kind}_hdu=None leaves it"
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
    """Attributes that are no keywords: the unit, and what was squeezed."""
    notes: dict[str, Any] = {"units": unit} if unit else {}
    if squeezed:
        ndim = len(found[0].pixels.shape)
        gone = ", ".join(f"NAXIS{ndim - i} = 1" for i in range(squeezed))
        notes["squeezed"] = f"{gone} in the files"
    return notes


def _say(stack: xr.DataArray, found: list[Frame], differing: list[str]) -> None:
    exposures = values_of("EXPTIME", stack.coords["EXPTIME"].values) if "EXPTIME" in stack.coords else ""
    log.info(
        "opened %d frame(s) of %s as %s (stored as %s)%s%s; on frame: %s%s",
        len(found),
        " x ".join(map(str, stack.shape[1:])),
        stack.dtype,
        ", ".join(sorted({str(f.pixels.native) for f in found})),
        ", missing pixels as NaN" if any(f.pixels.masks for f in found) else "",
        ", those of a mask extension as NaN (mask_hdu=None leaves them)"
        if any(f.mask is not None for f in found)
        else "",
        ", ".join(differing) or "no keyword",
        f"; they differ in {exposures}" if exposures else "",
    )
    tell_settings({k: stack.coords[k].values for k in differing}, NODE.get())
