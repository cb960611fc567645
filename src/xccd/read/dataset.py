"""`open_dataset`: files as a flagged Dataset, with samples as stored and flags beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, plans
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype
from xccd.kernels.table import OUTPUTS
from xccd.labels.choices import RowOrder, UncertaintyType
from xccd.labels.flag_names import flag_of
from xccd.labels.flags import attributes, map_name
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.read.images.chips import Frame, HDUNames, Options, Wanted
from xccd.read.images.companions import Companions, with_masks, with_uncertainties, with_weights
from xccd.read.images.missing import Guarded, Missing
from xccd.read.images.pixels import ArrayPixels, FilePixels, Index, PixelReader, Samples
from xccd.read.images.quality import BadBits, bits_of
from xccd.read.images.sources import frames
from xccd.read.images.turned import Turned
from xccd.read.reader import StackReader, deferred, lazy
from xccd.read.settled import Errors, settled
from xccd.read.stack import check_shapes, stack_of


def open_dataset(
    files: Any,
    *,
    hdu: HDUNames = None,
    mask_hdu: Wanted = "MASK",
    mask: Any = None,
    bits: Any = None,
    uncertainty_hdu: Wanted = "UNCERT",
    uncertainty: Any = None,
    uncertainty_type: UncertaintyType | None = None,
    weights: Any = None,
    chunks: Any = "auto",
    memory: int | str | None = None,
    keywords: Sequence[str] | str | None = None,
    keep_headers: bool = True,
    units: Any = None,
    flip: RowOrder = False,
    errors: Errors = "raise",
) -> xr.Dataset:
    """Open FITS images as a flagged Dataset: data as stored, and flags that say which samples are out, and why.

    Clips set flags and leave ``data`` unchanged, so integers stay integers (3 bytes for 16-bit samples).
    `combine` leaves out flagged samples. It gives the same image as from `open_stack`, with its maps.

    Parameters
    ----------
    files, hdu, mask_hdu, chunks, memory, keywords, keep_headers, units, flip
        As for `open_stack`; bad pixels of a mask get the flag 1.
    errors : "raise", "skip" or "nan", default: "raise"
        As for `open_stack`. A frame whose companion file cannot be opened cannot be opened either. With "nan" what
        cannot be read has the flag 2, "not finite", and integers are opened as float.
    bits : int, list of int or dict, optional
        The bad bits of masks, as for `open_stack`. A dict gives bits a flag of their own, by its name or number, as
        ``{"above_maximum": [256, 2048], "grown": 8192, "not_finite": 1}``: `combine` can take such samples where there
        is none better, see its ``tiers``.
    uncertainty_hdu : int, str, (str, int), list of str or None, default: "UNCERT"
        An extension of uncertainties, if a file has one. "UNCERT" stands for all names in the notes.
    mask, uncertainty, weights : dict or files, optional
        Maps in files of their own. A dict is a pattern of names, as ``{"-img": "-wht"}`` or ``{"ooi": "ood"}``: what
        stands in the place of its keys in the name of each image. Or files as for ``files``, one for each file of
        images, in their order. A map is the image with the label or number of its image, or the only image of its
        file; ``mask_hdu`` or ``uncertainty_hdu`` name another. ``mask`` and ``uncertainty`` stand for the extensions
        of the images, which are then not read. ``weights`` may be any numbers that are proportional to weights.
    uncertainty_type : {"std", "var", "ivar"}, optional
        What the uncertainties are: standard deviations, variances or inverse variances. Needed if neither the UTYPE, as
        astropy writes it, nor the name of the extension tells, as for most companion files.

    Returns
    -------
    Dataset
        ``data`` (frame, y, x) in the dtype of the files, or float if their dtypes differ or BSCALE is not 1.
        ``data_flags`` (uint8): 1 masked on input, 2 not finite (3: BLANK), 4 and 8 outside the limits of `minmax`, 16
        and 32 rejected as too low or too high, 64 grown, 128 outside the footprint. ``data_uncertainty`` if a file has
        it, with the attributes ``uncertainty_type``, "std", "var" or "ivar", and ``units``, from its own BUNIT
        (standard deviations without one are in the data's unit). ``data_common``, the part of it that all frames share,
        if an extension COMMON says what type it is, as `to_fits` writes it. ``data_weight`` from ``weights``. ``data``
        names them in the CF attribute ``ancillary_variables``. Labels are as for `open_stack`.

    Raises
    ------
    OSError, ValueError, TypeError
        As `open_stack`; ValueError if frames have uncertainties of different types, if a type is not known, if UTYPE
        and ``uncertainty_type`` contradict each other, or if BUNIT contradicts the type. For companion files: another
        number of files or of images, another shape or ROWORDER, no file of that name. No pixel is read before.

    Notes
    -----
    Names of extensions with a known type: UNCERT, UNCERTAINTY, ERR, ERROR, ERRORS, SIGMA, STD, STDEV, STDDEV: "std";
    VAR, VARIANCE: "var"; IVAR, INVVAR, INVVARIANCE, INVERSE_VARIANCE: "ivar". Case, "_" between words and a number at
    the end do not matter. UTYPE wins over the name, and so does ``uncertainty_type``.

    Examples
    --------
    >>> import numpy as np
    >>> import xccd
    >>> ds = xccd.open_dataset([(np.full((1, 2), level, "uint16"), {}) for level in (7, 7, 7, 7, 90)])
    >>> clipped = ds.ccd.sigma_clip(None, 1.5)
    >>> clipped.data.dtype, clipped.data_flags[:, 0, 0].values.tolist()
    (dtype('uint16'), [0, 0, 0, 0, 32])
    >>> clipped.ccd.combine("mean").data.values.tolist()
    [[7.0, 7.0]]

    A mask in a file of its own; here, as the image, in memory:

    >>> image, mask = (np.array([[5, 6]]), {}), (np.array([[0, 4]]), {})
    >>> xccd.open_dataset([image], mask=[mask], bits=[4]).data_flags.values.tolist()
    [[[0, 1]]]
    >>> xccd.open_dataset([image], mask=[mask], bits={"above_maximum": 4, "grown": [1, 2]}).data_flags.values.tolist()
    [[[0, 8]]]
    """
    bits, reasons = _reasons(bits)
    found = _frames(
        files, hdu, (mask_hdu, mask), (uncertainty_hdu, uncertainty), weights, bits, uncertainty_type, flip, errors
    )
    found, told = settled(found, errors, "open_dataset")
    check_shapes(found)
    bare = [_Bare.of(frame) for frame in found]
    native = len({b.pixels.native for b in bare}) == 1 and not any(b.pixels.masks for b in bare)
    stack = stack_of(
        [replace(frame, pixels=b.pixels, mask=None) for frame, b in zip(found, bare, strict=True)],
        chunks=chunks, memory=memory, keywords=keywords, keep_headers=keep_headers, dtype="native" if native else None,
        units=units, told=told,
    )  # fmt: skip
    maps = {map_name("data", "flags"): _flags(stack, found, bare, reasons)}
    if (error := _uncertainties_of_frames(stack, found)) is not None:
        maps[map_name("data", "uncertainty")] = error
        if (shared := _common_of_frames(stack, found, error)) is not None:
            maps[map_name("data", "common")] = shared
    if weights is not None:
        maps[map_name("data", "weight")] = _weights(stack, found)
    stack.attrs["ancillary_variables"] = " ".join(maps)
    return stack.to_dataset(name="data").assign(maps)


def _frames(
    files: Any, hdu: HDUNames, masks: tuple[Wanted, Any], errors_of: tuple[Wanted, Any], weights: Any, bits: Any,
    kind: Any, flip: Any, errors: str,
) -> list[Frame]:  # fmt: skip
    """The frames with maps from their own files and from companions; a pair is an HDU and the argument of files."""
    (mask_hdu, mask), (uncertainty_hdu, uncertainty) = masks, errors_of
    if mask is not None or uncertainty is not None:
        # raises for what no file could have; None is no choice for a companion
        Options.of(hdu, _or(mask_hdu, "MASK", mask), _or(uncertainty_hdu, "UNCERT", uncertainty), bits, kind)
    found = frames(
        files, hdu, mask_hdu if mask is None else None, uncertainty_hdu if uncertainty is None else None,
        bits=bits if mask is None else None, uncertainty_type=kind if uncertainty is None else None, flip=flip,
        errors=errors,
    )  # fmt: skip
    if mask is not None:
        found = with_masks(found, Companions("mask", mask, _named(mask_hdu, "MASK")).of(found, hdu, errors), bits)
    if uncertainty is not None:
        own = Companions("uncertainty", uncertainty, _named(uncertainty_hdu, "UNCERT")).of(found, hdu, errors)
        found = with_uncertainties(found, own, kind)
    return found if weights is None else with_weights(found, Companions("weights", weights).of(found, hdu, errors))


def _or(hdu: Wanted, default: str, companion: Any) -> Wanted:
    """The HDU that is asked for; the default if none is and there is a companion file."""
    return default if hdu is None and companion is not None else hdu


def _named(hdu: Wanted, default: str) -> Wanted:
    """The HDU to read in companion files; None if the argument was left at its default."""
    return None if isinstance(hdu, str) and hdu == default else hdu


@dataclass(frozen=True)
class _Bare:
    """The pixels of a frame with nothing marked as missing, and the masks that were taken from them."""

    pixels: PixelReader
    blank: float  # the value of missing integers; NaN without BLANK
    masks: tuple[PixelReader, ...]

    @classmethod
    def of(cls, frame: Frame) -> _Bare:
        """A frame taken apart: its masks, and its BLANK as a number instead of a mask."""
        masks = () if frame.mask is None else (frame.mask,)
        pixels = frame.pixels
        if isinstance(pixels, Turned):
            inner = cls.of(replace(frame, pixels=pixels.base, mask=None))
            return cls(Turned(inner.pixels), inner.blank, (*masks, *map(Turned, inner.masks)))
        if isinstance(pixels, Guarded):
            inner = cls.of(replace(frame, pixels=pixels.base, mask=None))
            return cls(replace(pixels, base=inner.pixels), inner.blank, (*masks, *inner.masks))
        if isinstance(pixels, ArrayPixels) and pixels.missing is not None:
            return cls(ArrayPixels(pixels.array), np.nan, (*masks, ArrayPixels(pixels.missing)))
        if isinstance(pixels, FilePixels) and pixels.blank is not None and pixels.native.kind in "iu":
            return cls(replace(pixels, blank=None), pixels.blank + pixels.bzero, masks)
        return cls(pixels, np.nan, masks)


def _uncertainties_of_frames(stack: xr.DataArray, found: list[Frame]) -> xr.Variable | None:
    """The uncertainties of the frames, NaN for a frame without them; None if no frame has them."""
    kinds = {f.uncertainty_type for f in found if f.uncertainty is not None}
    if not kinds:
        return None
    if len(kinds) > 1:
        raise ValueError(f"the frames have uncertainties of types {', '.join(sorted(kinds))}: open one type at a time")
    pixels = [f.uncertainty or _filled(f, np.nan) for f in found]
    dtype = np.result_type(*(float_dtype(p.native) for p in pixels))
    units = {f.uncertainty_unit for f in found if f.uncertainty is not None}
    attrs = {"uncertainty_type": kinds.pop()} | ({"units": units.pop()} if len(units) == 1 and units != {""} else {})
    return xr.Variable(stack.dims, as_lazy_indexed(_map_array(stack, pixels, dtype)), attrs)


def _common_of_frames(stack: xr.DataArray, found: list[Frame], error: xr.Variable) -> xr.Variable | None:
    """The part of their uncertainties that the frames share, none for a frame without it; None if no frame has it."""
    if all(f.common is None for f in found):
        return None
    none = np.inf if error.attrs["uncertainty_type"] == "ivar" else 0
    data = _map_array(stack, [f.common or _filled(f, none) for f in found], error.dtype)
    return xr.Variable(stack.dims, as_lazy_indexed(data), error.attrs | dict(OUTPUTS["common"].attrs))


def _filled(frame: Frame, value: float) -> PixelReader:
    """A map of one number for a frame."""
    return ArrayPixels(np.broadcast_to(np.float32(value), frame.pixels.shape))  # one number in memory


def _weights(stack: xr.DataArray, found: list[Frame]) -> xr.Variable:
    """The weights of the frames, from companion files; 0 for a frame of NaN."""
    own = [frame.weight or _filled(frame, 0) for frame in found]
    dtype = np.result_type(*(float_dtype(f.weight.native) for f in found if f.weight is not None))
    return xr.Variable(stack.dims, as_lazy_indexed(_map_array(stack, own, dtype)), {"long_name": "weight"})


def _map_array(stack: xr.DataArray, pixels: Sequence[PixelReader], dtype: np.dtype[Any]) -> Any:
    """A lazy array of one map of each frame, with the chunks of the stack."""
    squeezed = len(pixels[0].shape) + 1 - stack.ndim
    reader = StackReader(tuple(pixels), (None,) * len(pixels), squeezed, dtype)
    return deferred(reader) if stack.chunks is None else lazy(reader, stack.chunks, None, lambda chunks: chunks)


Reasons = tuple[tuple[int, int], ...]  # flags, and the bits that they stand for


def _reasons(bits: Any) -> tuple[Any, Reasons]:
    """All bits of the argument ``bits``, and the flags that a dict gives them."""
    if not isinstance(bits, dict):
        return bits, ()
    found = tuple((flag_of("bits", flag), bits_of(some) or 0) for flag, some in bits.items())
    if not found or not all(some for _, some in found):
        raise ValueError(f"bits={bits!r} names no bit: give flags with bits, as {{'above_maximum': 256}}")
    return reduce(or_, (some for _, some in found)), found


def _by_flag(mask: PixelReader, reasons: Reasons) -> list[tuple[int, PixelReader]]:
    """The flags that a mask gives, each with a mask of its own."""
    if isinstance(mask, Turned | Guarded):
        return [(flag, replace(mask, base=one)) for flag, one in _by_flag(mask.base, reasons)]
    if reasons and isinstance(mask, BadBits):
        return [(flag, replace(mask, bits=bits)) for flag, bits in reasons]
    return [(int(Flag.MASKED_ON_INPUT), mask)]


def _flags(stack: xr.DataArray, found: list[Frame], bare: list[_Bare], reasons: Reasons) -> xr.Variable:
    """The flags on input: from masks, from flags in the frames, from BLANK, and for samples that are not finite."""
    blanks = np.array([b.blank for b in bare])
    marked = [b.pixels.masks and not isinstance(_unturned(b.pixels), Guarded | Missing) for b in bare]
    not_finite = np.array([Flag.MASKED_ON_INPUT if some else Flag.NOT_FINITE for some in marked], np.uint8)
    per_frame = [values.reshape(-1, *(1,) * (stack.ndim - 1)) for values in (blanks, not_finite)]
    sources = [tuple(one for mask in b.masks for one in _by_flag(mask, reasons)) for b in bare]
    bits = [_Bits(f.pixels.shape, own, f.flags) for f, own in zip(found, sources, strict=True)]
    some = any(one.sources or one.flags for one in bits)
    marks = [_map_array(stack, bits, np.dtype(np.uint8))] if some else []
    data = arrays.map_elementwise(_flags_of_block, array_of(stack), *per_frame, *marks, dtype=np.dtype(np.uint8))
    if not some and np.isnan(blanks).all() and (not_finite == Flag.NOT_FINITE).all():
        plans.remember_flags(data, array_of(stack), None, ())  # first=None: only non-finite samples are flagged
    return xr.Variable(stack.dims, as_lazy_indexed(data), attributes())


def _unturned(reader: PixelReader) -> PixelReader:
    return reader.base if isinstance(reader, Turned) else reader


def _flags_of_block(x: Any, blanks: Any, not_finite: Any, bits: Any = None) -> Any:
    """Flags (uint8) of a block of samples."""
    flags = np.zeros(x.shape, np.uint8) if bits is None else bits.copy()
    if not np.isnan(blanks).all():
        flags[x == blanks] |= np.uint8(Flag.MASKED_ON_INPUT | Flag.NOT_FINITE)  # an integer that stands for no value
    if x.dtype.kind == "f":
        np.copyto(flags, not_finite, where=(flags == 0) & ~np.isfinite(x))
    return flags


@dataclass(frozen=True)
class _Bits:
    """A reader of one frame's flags, from its masks and its own flags."""

    shape: tuple[int, ...]
    sources: tuple[tuple[int, PixelReader], ...]  # masks, with the flags that they give
    flags: PixelReader | None
    native = np.dtype(np.uint8)
    masks = False

    def read(self, index: Index, out: Samples) -> None:
        out[...] = 0
        if self.flags is not None:
            self.flags.read(index, out)
        marks = np.zeros(out.shape, np.uint8)
        for flag, mask in self.sources:
            values = np.empty(out.shape, np.float64)  # BLANK in a mask is NaN, and masks
            mask.read(index, values)
            marks[values != 0] |= np.uint8(flag)
        np.copyto(out, marks, where=out == 0)
