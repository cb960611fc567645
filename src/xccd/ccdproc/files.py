"""What ccdproc's `combine` takes as images, read in bands of rows that stay within a limit of memory."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from xccd import _options
from xccd.fits import cards
from xccd.fits.files import shown
from xccd.fits.open import open_stack

BAND_BYTES = 256 << 20  # no faster beyond, whatever the limit
COPIES = 5  # of a band's samples at once: as read, after a clip, and in the reductions; measured in the tests
READER = ("hdu", "unit", "hdu_mask", "hdu_uncertainty", "hdu_flags", "hdu_psf", "key_uncertainty_type", "format")


def list_of(images: Any) -> list[Any]:
    """The images one by one."""
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
            f"img_list={images!r} is a {type(images).__name__}: give a list of CCDData or of names of files"
        ) from None
    if not items:
        raise ValueError("img_list is empty: there is nothing to combine")
    return items


def check_output(path: Any, overwrite: bool) -> None:
    """Raise before any work for a file that may not be overwritten."""
    if path is not None and Path(path).exists() and not overwrite:
        raise OSError(f"output_file={str(path)!r} is there already: overwrite_output=True replaces it")


def _read(item: Any, options: dict[str, Any]) -> Any:
    from astropy.nddata import CCDData

    return item if isinstance(item, CCDData) else CCDData.read(item, **options)


def read_first(items: list[Any], options: dict[str, Any]) -> Any:
    """The first image, whose header, WCS and unit the product has."""
    unknown = set(options) - set(READER)
    if unknown:
        raise TypeError(f"combine does not take {', '.join(sorted(unknown))}: of CCDData.read it has {READER}")
    return _read(items[0], options).copy()


def factors_of(scale: Any, items: list[Any], options: dict[str, Any]) -> Any:
    """Factors as they are given, or a function's of each whole image, one at a time in memory."""
    return [scale(_read(item, options).data) for item in items] if callable(scale) else scale


class Bands:
    """All images as one lazy stack, and the rows of each band."""

    def __init__(self, items: list[Any], first: Any, dtype: Any, limit: float, options: dict[str, Any]) -> None:
        number = isinstance(limit, (int, float, np.number)) and not isinstance(limit, bool)
        if not (number and limit > 0):
            raise ValueError(f"mem_limit={limit!r} is not a number of bytes above 0")
        length, *others = first.shape
        row = len(items) * math.prod(others) * np.dtype(dtype).itemsize
        products = 40 * math.prod(first.shape)  # data, deviation and mask, of the first image and of the product
        room = min(BAND_BYTES, (limit - products) / COPIES)
        rows = int(min(length, max(1, room // max(row, 1))))
        self.rows = [slice(i, min(i + rows, length)) for i in range(0, length, rows)]
        pieces = (-1, max(1, -(-rows // _options.threads())), *(-1 for _ in others))
        hdu, mask = options.get("hdu", 0), options.get("hdu_mask", "MASK")
        self.stack = open_stack(
            [_frame(item) for item in items],
            hdu=None if hdu == 0 else hdu,  # as CCDData.read: an empty primary gives way to the first image
            mask_hdu=[mask] if isinstance(mask, str) else mask,  # of that name alone, as CCDData.read
            chunks=pieces,
            dtype=dtype,
            units=first.unit.to_string() or None,
        )
        if not options.get("unit"):
            _check_units(items, self.stack.coords["header"].values, first.unit)

    def fill(self, product: Any, combined: Callable[[slice], Any], dtype: np.dtype[Any]) -> None:
        """Put the pixels that ``combined`` gives for the rows of each band into ``product``."""
        from astropy.nddata import StdDevUncertainty

        shape = product.shape
        data, mask, error = np.empty(shape, dtype), np.empty(shape, bool), np.empty(shape, np.float64)
        for rows in self.rows:
            band = combined(rows)
            data[rows], mask[rows], error[rows] = band.data, band.mask, band.uncertainty.array
        kept = dtype if dtype.kind == "f" else np.float64
        product.data, product.mask = data, mask
        product.uncertainty = StdDevUncertainty(error.astype(kept, copy=False))


def _frame(item: Any) -> Any:
    """A name, or pixels without the header, of which no product's is made here."""
    if not hasattr(item, "uncertainty"):
        return str(item)
    mask = np.ma.nomask if item.mask is None else np.broadcast_to(item.mask, item.shape)
    return np.ma.MaskedArray(item.data, mask), None


def _check_units(items: list[Any], headers: Any, unit: Any) -> None:
    for i, (item, header) in enumerate(zip(items, headers, strict=True)):
        if hasattr(item, "unit"):
            same, found = item.unit == unit, item.unit
        else:
            found = cards.lookup(str(header), "BUNIT")
            same = str(found).casefold() == str(cards.lookup(str(headers[0]), "BUNIT") or unit).casefold()
        if not same:
            name = shown(item) if isinstance(item, str) else f"image {i}"
            raise TypeError(f"img_list: {name} has the unit {found}, the first image {unit}: give unit=, or convert")
