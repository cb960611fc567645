"""`open_dataset`: files into the lossless form of a stack, the samples as stored and flags beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import xarray as xr

from xccd.compute import arrays, plans
from xccd.kernels.flags import Flag
from xccd.kernels.limits import float_dtype
from xccd.labels.flags import attributes, map_name
from xccd.labels.lazy import array_of, as_lazy_indexed
from xccd.read.images.chips import Frame, HDUNames, Wanted
from xccd.read.images.pixels import ArrayPixels, FilePixels, Index, Pixels, Samples
from xccd.read.images.sources import frames
from xccd.read.images.turned import Turned
from xccd.read.reader import StackReader, deferred, lazy
from xccd.read.stack import check_shapes, stack_of


def open_dataset(
    files: Any,
    *,
    hdu: HDUNames = None,
    mask_hdu: Wanted = "MASK",
    bits: Any = None,
    uncertainty_hdu: Wanted = "UNCERT",
    uncertainty_type: str | None = None,
    chunks: Any = "auto",
    memory: int | str | None = None,
    keywords: Sequence[str] | None = None,
    keep_headers: bool = True,
    units: Any = None,
    flip: bool | str = False,
) -> xr.Dataset:
    """Open FITS images as the lossless form of a stack: data as they are stored, flags that say what is out, and why.

    Clips set flags here and leave ``data`` as they are, so integers stay integers (3 bytes a sample of 16 bits).
    `combine` leaves flagged samples out, and gives the same image as that of `open_stack`, with its maps.

    Parameters
    ----------
    files, hdu, mask_hdu, bits, chunks, memory, keywords, keep_headers, units, flip
        As of `open_stack`; bad pixels of a mask get the flag 1.
    uncertainty_hdu : int, str, (str, int), list of str or None, default: "UNCERT"
        An extension of uncertainties, where a file has it. "UNCERT" stands for all names of the table in the notes.
    uncertainty_type : {"std", "var", "ivar"}, optional
        What that extension holds: standard deviations, variances or inverse variances. Needed where neither its UTYPE,
        as astropy writes it, nor its name tells, as with a weight map.

    Returns
    -------
    Dataset
        ``data`` (frame, y, x) in the dtype of the files, in floats where these differ in it or BSCALE is not 1;
        ``data_flags`` (uint8): 1 masked on input (BLANK, a mask), 2 not finite, 4 and 8 outside the limits of `minmax`,
        16 and 32 rejected as too low or too high, 64 grown, 128 outside the footprint; and ``data_uncertainty`` where a
        file has it, with the attributes ``uncertainty_type``, "std", "var" or "ivar", and ``units``, by its own BUNIT
        (standard deviations without one are in the data's). ``data`` names them in the CF attribute
        ``ancillary_variables``. Labels as of `open_stack`.

    Raises
    ------
    OSError, ValueError, TypeError
        As `open_stack`; ValueError if frames have uncertainties of different types, or where it is not known of which,
        UTYPE and ``uncertainty_type`` contradict each other, or BUNIT the type.

    Notes
    -----
    Names of extensions that say what they hold, in capitals or not, with "_" between words and a number at their end or
    not: UNCERT, UNCERTAINTY, ERR, ERROR, ERRORS, SIGMA, STD, STDEV, STDDEV: "std"; VAR, VARIANCE: "var"; IVAR, INVVAR,
    INVVARIANCE, INVERSE_VARIANCE: "ivar". UTYPE wins over the name, and ``uncertainty_type`` over the name, too.

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
    """
    found = frames(files, hdu, mask_hdu, uncertainty_hdu, bits=bits, uncertainty_type=uncertainty_type, flip=flip)
    check_shapes(found)
    bare = [_Bare.of(frame) for frame in found]
    native = len({b.pixels.native for b in bare}) == 1 and not any(b.pixels.masks for b in bare)
    stack = stack_of(
        [replace(frame, pixels=b.pixels, mask=None) for frame, b in zip(found, bare, strict=True)],
        chunks=chunks, memory=memory, keywords=keywords, keep_headers=keep_headers, dtype="native" if native else None,
        units=units,
    )  # fmt: skip
    maps = {map_name("data", "flags"): _flags(stack, found, bare)}
    if (error := _uncertainty(stack, found)) is not None:
        maps[map_name("data", "uncertainty")] = error
    stack.attrs["ancillary_variables"] = " ".join(maps)
    return stack.to_dataset(name="data").assign(maps)


@dataclass(frozen=True)
class _Bare:
    """The pixels of a frame with nothing taken for missing, and what says which are."""

    pixels: Pixels
    blank: float  # of integers the number that is none; NaN without one
    masks: tuple[Pixels, ...]

    @classmethod
    def of(cls, frame: Frame) -> _Bare:
        masks = () if frame.mask is None else (frame.mask,)
        pixels = frame.pixels
        if isinstance(pixels, Turned):
            inner = cls.of(replace(frame, pixels=pixels.base, mask=None))
            return cls(Turned(inner.pixels), inner.blank, (*masks, *map(Turned, inner.masks)))
        if isinstance(pixels, ArrayPixels) and pixels.missing is not None:
            return cls(ArrayPixels(pixels.array), np.nan, (*masks, ArrayPixels(pixels.missing)))
        if isinstance(pixels, FilePixels) and pixels.blank is not None and pixels.native.kind in "iu":
            return cls(replace(pixels, blank=None), pixels.blank + pixels.bzero, masks)
        return cls(pixels, np.nan, masks)


def _uncertainty(stack: xr.DataArray, found: list[Frame]) -> xr.Variable | None:
    """The uncertainties of the frames, NaN for one that has none; None if no frame has."""
    kinds = {f.uncertainty_type for f in found if f.uncertainty is not None}
    if not kinds:
        return None
    if len(kinds) > 1:
        raise ValueError(f"the frames have uncertainties of types {', '.join(sorted(kinds))}: open one type at a time")
    nothing = ArrayPixels(np.broadcast_to(np.float32(np.nan), found[0].pixels.shape))
    pixels = [f.uncertainty or nothing for f in found]
    dtype = np.result_type(*(float_dtype(p.native) for p in pixels))
    units = {f.uncertainty_unit for f in found if f.uncertainty is not None}
    attrs = {"uncertainty_type": kinds.pop()} | ({"units": units.pop()} if len(units) == 1 and units != {""} else {})
    return xr.Variable(stack.dims, as_lazy_indexed(_beside(stack, pixels, dtype)), attrs)


def _beside(stack: xr.DataArray, pixels: Sequence[Pixels], dtype: np.dtype[Any]) -> Any:
    """Another image of each frame as one array, cut as the stack is."""
    squeezed = len(pixels[0].shape) + 1 - stack.ndim
    reader = StackReader(tuple(pixels), (None,) * len(pixels), squeezed, dtype)
    return deferred(reader) if stack.chunks is None else lazy(reader, stack.chunks, None, lambda chunks: chunks)


def _flags(stack: xr.DataArray, found: list[Frame], bare: list[_Bare]) -> xr.Variable:
    """The flags that files give: masks, flags of their own, BLANK, and what is not finite."""
    blanks = np.array([b.blank for b in bare])
    not_finite = np.array([Flag.MASKED_ON_INPUT if b.pixels.masks else Flag.NOT_FINITE for b in bare], np.uint8)
    per_frame = [values.reshape(-1, *(1,) * (stack.ndim - 1)) for values in (blanks, not_finite)]
    told = [_Bits(f.pixels.shape, b.masks, f.flags) for f, b in zip(found, bare, strict=True)]
    some = any(bits.sources or bits.flags for bits in told)
    marks = [_beside(stack, told, np.dtype(np.uint8))] if some else []
    data = arrays.map_elementwise(_first, array_of(stack), *per_frame, *marks, dtype=np.dtype(np.uint8))
    if not some and np.isnan(blanks).all() and (not_finite == Flag.NOT_FINITE).all():
        plans.remember_flags(data, array_of(stack), None, ())  # a chain sees by itself what is not finite
    return xr.Variable(stack.dims, as_lazy_indexed(data), attributes())


def _first(x: Any, blanks: Any, not_finite: Any, bits: Any = None) -> Any:
    """Flags of a block of samples."""
    flags = np.zeros(x.shape, np.uint8) if bits is None else bits.copy()
    if not np.isnan(blanks).all():
        flags[(x == blanks) & (flags == 0)] = Flag.MASKED_ON_INPUT
    if x.dtype.kind == "f":
        np.copyto(flags, not_finite, where=(flags == 0) & ~np.isfinite(x))
    return flags


@dataclass(frozen=True)
class _Bits:
    """The flags of one frame that masks and flags of its own tell, read as pixels."""

    shape: tuple[int, ...]
    sources: tuple[Pixels, ...]
    flags: Pixels | None
    native = np.dtype(np.uint8)
    masks = False

    def read(self, index: Index, out: Samples) -> None:
        out[...] = 0
        if self.flags is not None:
            self.flags.read(index, out)
        for mask in self.sources:
            values = np.empty(out.shape, np.float64)
            mask.read(index, values)
            out[(values != 0) & (out == 0)] = Flag.MASKED_ON_INPUT
