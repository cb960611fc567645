"""The images of ccdproc's `combine`, read in bands of rows within a memory limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xccd.compute.options import threads
from xccd.headers import cards
from xccd.messages import a_type, shown
from xccd.read.stack import open_stack

BAND_BYTES = 256 << 20  # largest band: larger ones are no faster
COPIES = 8  # copies of a band at once with a user's functions; kernels need 2 to 3
LEAST = 1 / 2  # smallest band as a fraction of the image's bytes, however small the limit is:
LEAST_BYTES = 2 << 20  # or this if more, as each band costs some milliseconds
Part = tuple[slice, ...]
READER = ("hdu", "unit", "hdu_mask", "hdu_uncertainty", "hdu_flags", "hdu_psf", "key_uncertainty_type", "format")


def list_of(images: Any) -> list[Any]:
    """The images as a list."""
    if hasattr(images, "files_filtered"):
        images = images.files_filtered(include_path=True)
    elif isinstance(images, (str, Path)):
        images = str(images).split(",")
    elif isinstance(images, np.ndarray):
        images = images.tolist()
    try:
        items = list(images)
    except TypeError:
        raise ValueError(
            f"img_list={images!r} is {a_type(images)}: give a list of CCDData or of names of files"
        ) from None
    if not items:
        raise ValueError("img_list is empty: there is nothing to combine")
    return items


def check_output(path: Any, overwrite: bool) -> None:
    """Raise before any work if the file exists and may not be overwritten."""
    if path is not None and Path(path).exists() and not overwrite:
        raise OSError(f"output_file={str(path)!r} is there already: overwrite_output=True replaces it")


def _as_ccddata(item: Any, options: dict[str, Any]) -> Any:
    from astropy.nddata import CCDData

    return item if isinstance(item, CCDData) else CCDData.read(item, **options)


def read_first(items: list[Any], options: dict[str, Any]) -> Any:
    """The first image, as a copy if it is the caller's: the product takes its header, WCS and unit."""
    unknown = set(options) - set(READER)
    if unknown:
        raise TypeError(f"combine does not take {', '.join(sorted(unknown))}: of CCDData.read it has {READER}")
    first = _as_ccddata(items[0], options)
    return first.copy() if first is items[0] else first


def factors_of(scale: Any, items: list[Any], options: dict[str, Any]) -> Any:
    """The factors as given, or a function's result for each whole image, with one image in memory at a time."""
    return [scale(_as_ccddata(item, options).data) for item in items] if callable(scale) else scale


class Bands:
    """All images as one lazy stack, and the slices of each band."""

    def __init__(
        self, items: list[Any], first: Any, dtype: np.dtype[Any], limit: float, options: dict[str, Any]
    ) -> None:  # fmt: skip
        shape = _squeezed(first.shape)
        axis = max(range(max(1, len(shape) - 1)), key=shape.__getitem__)  # rows of an image; of a cube its longest axis
        row = len(items) * math.prod(shape) // shape[axis] * dtype.itemsize
        rows = int(min(shape[axis], max(1, _room_for_band(first, dtype, limit) / COPIES // max(row, 1))))
        before = (slice(None),) * axis
        self.parts = [(*before, slice(i, min(i + rows, shape[axis]))) for i in range(0, shape[axis], rows)]
        pieces = [-1] * (len(shape) + 1)
        pieces[axis + 1] = -(-rows // threads())
        hdu, mask = options.get("hdu", 0), options.get("hdu_mask", "MASK")
        self.stack = open_stack(
            [_frame_to_open(item) for item in items],
            hdu=None if hdu == 0 else hdu,  # like CCDData.read: an empty primary HDU is skipped
            mask_hdu=[mask] if isinstance(mask, str) else mask,  # only that name, like CCDData.read
            chunks=tuple(pieces),
            dtype=dtype,
            units=first.unit.to_string() or None,
        )
        if not options.get("unit"):
            _check_same_unit(items, self.stack.coords["header"].values, first.unit)

    def weights(self, given: Any, first: Any) -> Any:
        """Weights for each sample, without leading axes of length 1 as in the stack; other weights as given."""
        every = (self.stack.shape[0], *first.shape)
        return given.reshape(self.stack.shape) if getattr(given, "shape", None) == every else given

    def fill(self, product: Any, combined: Callable[[Part], Any], dtype: np.dtype[Any]) -> None:
        """Fill ``product`` with the pixels that ``combined`` returns for each band."""
        from astropy.nddata import StdDevUncertainty

        shape = self.stack.shape[1:]
        data, mask, error = np.empty(shape, dtype), np.empty(shape, bool), np.empty(shape, _of_error(dtype))
        for part in self.parts:
            band = combined(part)
            data[part], mask[part], error[part] = band.data, band.mask, band.uncertainty.array
        shape = product.shape
        product.data, product.mask = data.reshape(shape), mask.reshape(shape)
        product.uncertainty = StdDevUncertainty(error.reshape(shape), copy=False)


def _of_error(dtype: np.dtype[Any]) -> np.dtype[Any]:
    return dtype if dtype.kind == "f" else np.dtype(np.float64)


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape of an image in `open_stack`: without leading axes of length 1."""
    spare = max(0, len(shape) - 2)
    return shape[next((i for i in range(spare) if shape[i] != 1), spare) :]


def _room_for_band(first: Any, dtype: np.dtype[Any], limit: float) -> float:
    """Bytes for a band: the limit less the first image and the product, but not below the smallest band."""
    number = isinstance(limit, (int, float, np.number)) and not isinstance(limit, bool)
    if not (number and limit > 0):
        raise ValueError(f"mem_limit={limit!r} is not a number of bytes above 0")
    arrays = (first.data, first.mask, getattr(first.uncertainty, "array", None), first.flags)
    pixel = dtype.itemsize + _of_error(dtype).itemsize + 1
    image = sum(getattr(a, "nbytes", 0) for a in arrays) + pixel * first.data.size
    return float(min(COPIES * BAND_BYTES, max(limit - image, LEAST * image, LEAST_BYTES)))


def _frame_to_open(item: Any) -> Any:
    """A file name, or pixels without their header, which no product needs here."""
    if not hasattr(item, "uncertainty"):
        return str(item)
    mask = np.ma.nomask if item.mask is None else np.broadcast_to(item.mask, item.shape)
    return np.ma.MaskedArray(item.data, mask), None


def _check_same_unit(items: list[Any], headers: Any, unit: Any) -> None:
    for i, (item, header) in enumerate(zip(items, headers, strict=True)):
        if hasattr(item, "unit"):
            same, found = item.unit == unit, item.unit
        else:
            found = cards.card_value(str(header), "BUNIT")
            same = str(found).casefold() == str(cards.card_value(str(headers[0]), "BUNIT") or unit).casefold()
        if not same:
            name = shown(item) if isinstance(item, str) else f"image {i}"
            raise TypeError(f"img_list: {name} has the unit {found}, the first image {unit}: give unit=, or convert")
