"""Images that are in memory already: arrays, CCDData and HDULists as frames of a stack."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xccd.fits import cards, shared
from xccd.fits.hdus import HDUName, Walk
from xccd.fits.pixels import ArrayPixels, Pixels

Wanted = HDUName | list[str]  # a map: by number, by name, by the first of several names that is there
UNCERTAINTIES = ("std", "var", "ivar")  # astropy's names of them


@dataclass(frozen=True)
class Frame:
    """One image before it is stacked."""

    file: str
    header: str
    pixels: Pixels
    mask: Pixels | None = None
    uncertainty: Pixels | None = None
    uncertainty_type: str = "std"
    flags: Pixels | None = None  # bits, as `xccd._flags.Flag` has them


def is_image(item: Any) -> bool:
    """(array, header), CCDData, an HDUList or one HDU."""
    pair = isinstance(item, tuple) and len(item) == 2 and hasattr(item[0], "dtype") and not _is_ccddata(item[0])
    return pair or _is_ccddata(item) or hasattr(item, "fileinfo")


def _is_ccddata(item: Any) -> bool:
    return hasattr(item, "uncertainty") and hasattr(item, "mask") and hasattr(item, "header")


def open_image(item: Any, hdu: HDUName, mask_hdu: Wanted, uncertainty_hdu: Wanted = None) -> Frame:
    """The frame of anything that `is_image`."""
    if isinstance(item, tuple):
        array, header = item
        return Frame("", header_text(header), _array_pixels(array))
    if _is_ccddata(item):
        return _open_ccddata(item, wanted=uncertainty_hdu is not None)
    return _open_hdulist(item if isinstance(item, list) else [item], hdu, mask_hdu, uncertainty_hdu)


def uncertainty_type(name: str, kind: Any) -> str:
    """What an extension of uncertainties holds, by its UTYPE, as astropy writes it, or by its name."""
    known = {"STDDEVUNCERTAINTY": "std", "VARIANCEUNCERTAINTY": "var", "INVERSEVARIANCE": "ivar"}
    return known.get(str(kind).strip().upper(), "var" if name.upper() == "VAR" else "std")


def _array_pixels(array: Any, missing: Any = None) -> ArrayPixels:
    data = np.asanyarray(array)
    if isinstance(data, np.ma.MaskedArray) and data.mask is not np.ma.nomask:
        own = np.ma.getmaskarray(data)
        missing = own if missing is None else own | np.asarray(missing, bool)
    data = np.asarray(data)
    if data.ndim == 0 or data.size == 0:
        raise ValueError(f"files= holds an array of shape {data.shape}: no pixels")
    if data.dtype.kind not in "fiub":
        raise TypeError(f"files= holds an array of dtype {data.dtype}: pixels must be real numbers")
    if missing is not None:
        missing = np.broadcast_to(np.asarray(missing, bool), data.shape)
    return ArrayPixels(data, missing)


def header_text(header: Any) -> str:
    """The text of a fits.Header, a dict or None."""
    if header is None:
        return ""
    from astropy.io import fits

    with cards.quiet():  # of a comment that is cut
        if not isinstance(header, fits.Header):
            header = _from_dict(header)
        return cards.from_bytes("".join(map(_image, header.cards)).encode("latin-1", "replace"))


def _image(card: Any) -> str:
    from astropy.io import fits

    try:
        card.verify("silentfix")  # as `str` does, which says so
        return str(card)
    except (fits.VerifyError, ValueError):
        return f"COMMENT {card.keyword}: a damaged card".ljust(80)


def _from_dict(values: Any) -> Any:
    from astropy.io import fits

    if not isinstance(values, Mapping):
        raise TypeError(
            f"files=: the header of an (array, header) pair is a {type(values).__name__}: "
            "give a fits.Header, a dict or None"
        )
    header = fits.Header()
    for keyword, value in values.items():
        number = isinstance(value, (float, np.floating)) and not math.isfinite(value)  # FITS has no NaN in cards
        long = isinstance(keyword, str) and not re.fullmatch(r"[\w-]{1,8}|HIERARCH .*|", keyword, re.ASCII)
        name = f"HIERARCH {keyword}" if long else keyword  # as astropy does it, which says so
        try:
            header[name] = None if number else cards.ascii_only(value) if isinstance(value, str) else value
        except (TypeError, ValueError, AttributeError) as error:
            raise TypeError(f"files=: the header {{{keyword!r}: {value!r}}} cannot be a card: {error}") from None
    return header


def _open_hdulist(hdus: Any, hdu: HDUName, mask_hdu: Wanted, uncertainty_hdu: Wanted) -> Frame:
    name = (hdus.filename() if hasattr(hdus, "filename") else None) or ""
    unit = _choose(hdus, name or "an HDUList", hdu)
    mask, error = (_beside(unit, hdus, wanted) for wanted in (mask_hdu, uncertainty_hdu))
    own = header_text(unit.header)
    text = own if unit is hdus[0] else cards.inherit(own, header_text(hdus[0].header))
    return Frame(
        name, text, _unit_pixels(unit, name),
        mask=_unit_pixels(mask, name) if mask else None,
        uncertainty=_unit_pixels(error, name) if error else None,
        uncertainty_type=uncertainty_type(error.name, error.header.get("UTYPE")) if error else "std",
    )  # fmt: skip


def _beside(unit: Any, hdus: Any, wanted: Wanted) -> Any:
    """The extension that was asked for, of the image's own version where there are several."""
    names = wanted if isinstance(wanted, list) else [wanted]
    found = [(h, name) for name in names for i, h in enumerate(hdus) if h is not unit and _matches(h, i, name)]
    of_own = [h for h, _ in found if h.ver == unit.ver]
    told = "EXTVER" in unit.header
    others = [h for h, name in found if not isinstance(name, str) or not (told and "EXTVER" in h.header)]
    return next(iter([*of_own, *others]), None)


def _choose(hdus: Any, label: str, hdu: HDUName) -> Any:
    images = [h for h in hdus if _has_image(h)]
    if hdu is None:
        if not images:
            raise OSError(f"{label} has no image")
        return images[0]
    found = [h for i, h in enumerate(hdus) if _matches(h, i, hdu)]
    if not found:
        raise OSError(f"{label} has no hdu={hdu!r}: it has {[h.name for h in hdus]}")
    if not _has_image(found[0]):
        raise OSError(f"{label}: hdu={hdu!r} is not an image")
    return found[0]


def _has_image(unit: Any) -> bool:
    return bool(unit.is_image and unit.header.get("NAXIS"))


def _matches(unit: Any, index: int, hdu: HDUName) -> bool:
    if isinstance(hdu, tuple):
        return (unit.name.upper(), unit.ver) == (hdu[0].upper(), hdu[1])
    return index == hdu if isinstance(hdu, int) else hdu is not None and unit.name.upper() == hdu.upper()


def _unit_pixels(unit: Any, name: str) -> Pixels:
    """Pixels of one HDU: from its file if astropy has not loaded them, as that treats BLANK = 0 wrongly."""
    if name and "data" not in unit.__dict__ and type(unit).__name__ in ("PrimaryHDU", "ImageHDU", "CompImageHDU"):
        try:
            with Walk(Path(name)) as walk:
                for found in walk:
                    if found.offset == unit.fileinfo()["datLoc"]:
                        return walk.pixels(found)
        except OSError:  # moved or deleted, but astropy has it open
            pass
    data = unit.data
    return _array_pixels(data, _blanks(unit, data))


def _blanks(unit: Any, data: Any) -> Any:
    """Pixels that are BLANK in data that astropy has loaded, and perhaps scaled."""
    blank = getattr(unit, "_blank", None)
    if blank is None:
        blank = unit.header.get("BLANK")
    if not isinstance(blank, int):
        return None
    scale, zero = getattr(unit, "_orig_bscale", 1), getattr(unit, "_orig_bzero", 0)
    if data.dtype.kind == "f":
        return data == np.asarray(blank * scale + zero, data.dtype)
    return data == np.asarray(blank + int(zero)).astype(data.dtype)


def _open_ccddata(ccd: Any, *, wanted: bool) -> Frame:
    text = header_text(ccd.header)
    own = header_text(ccd.wcs.to_header(relax=True)) if hasattr(ccd.wcs, "to_header") else ""
    if own and not shared.same_grid(list(_sized((text, own), ccd.shape))):  # a slice moves the WCS, not the header
        kept = cards.join(c for c in cards.split(text) if not cards.WCS.fullmatch(c.keyword))
        wcs = cards.join(c for c in cards.split(own) if cards.WCS.fullmatch(c.keyword))
        text = "\n".join(filter(None, (kept, wcs)))
    if ccd.unit is not None:
        kept = cards.join(c for c in cards.split(text) if c.keyword != "BUNIT")
        text = f"{kept}\n{cards.make('BUNIT', ccd.unit.to_string())}".lstrip("\n")
    mask = None if ccd.mask is np.ma.nomask else ccd.mask
    pixels = _array_pixels(ccd.data, mask)
    error = getattr(ccd.uncertainty, "array", None) if wanted else None
    kind = getattr(ccd.uncertainty, "uncertainty_type", "std")
    if error is not None and kind not in UNCERTAINTIES:
        raise ValueError(
            f"files= holds a CCDData whose uncertainty is {kind!r}: {', '.join(UNCERTAINTIES)} are known, "
            "uncertainty_hdu=None leaves others"
        )
    flags = getattr(ccd, "flags", None)
    bits = isinstance(flags, np.ndarray) and flags.dtype == np.uint8 and flags.shape == pixels.shape
    return Frame(
        "", text, pixels,
        uncertainty=None if error is None else _array_pixels(np.broadcast_to(error, pixels.shape)),
        uncertainty_type=kind if error is not None else "std",
        flags=ArrayPixels(flags) if bits and isinstance(flags, np.ndarray) else None,
    )  # fmt: skip


def _sized(texts: tuple[str, ...], shape: tuple[int, ...]) -> Iterator[str]:
    """Header texts that say how large the image is."""
    sizes = [cards.make(f"NAXIS{i}", size) for i, size in enumerate(shape[::-1], 1)]
    for text in texts:
        rest = cards.join(c for c in cards.split(text) if not cards.STRUCTURAL.fullmatch(c.keyword))
        yield "\n".join(filter(None, [*sizes, rest]))
