"""Images that are in memory already: arrays, CCDData and HDULists as frames of a stack."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xccd.headers import cards, common, uncertainties
from xccd.read.files.local import LocalFile
from xccd.read.images import constant
from xccd.read.images.chips import Asked, Chip, Frame, Opened, opened
from xccd.read.images.hdus import Walk
from xccd.read.images.pixels import ArrayPixels, FilePixels, Pixels


def is_image(item: Any) -> bool:
    """(array, header), CCDData, an HDUList or one HDU."""
    pair = isinstance(item, tuple) and len(item) == 2 and hasattr(item[0], "dtype") and not _is_ccddata(item[0])
    return pair or _is_ccddata(item) or hasattr(item, "fileinfo")


def _is_ccddata(item: Any) -> bool:
    return hasattr(item, "uncertainty") and hasattr(item, "mask") and hasattr(item, "header")


def open_image(item: Any, asked: Asked) -> Opened:
    """The frames of anything that `is_image`."""
    if isinstance(item, tuple):
        array, header = item
        return _alone(Frame("", header_text(header), _array_pixels(array)), asked)
    if _is_ccddata(item):
        return _alone(_open_ccddata(item, asked), asked)
    return _open_hdulist(item if isinstance(item, list) else [item], asked)


def _alone(frame: Frame, asked: Asked) -> Opened:
    """A frame without a file, as the only image of one."""
    if not asked.several:
        return Opened([frame])
    name = str(cards.lookup(frame.header, "EXTNAME") or "").strip()
    return Opened([frame], (Chip(name, cards.lookup(frame.header, "EXTVER") or 1, 0, 1),))


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


@dataclass(frozen=True)
class Loaded:
    """An HDU of astropy's, seen as one of a file."""

    index: int
    hdu: Any

    @property
    def name(self) -> str:
        return str(self.hdu.name).strip().upper()

    @property
    def is_image(self) -> bool:
        return bool(self.hdu.is_image and (self.hdu.header.get("NAXIS") or self.is_constant))

    @property
    def is_constant(self) -> bool:
        """Whether its pixels are one number of its header."""
        return constant.is_one(self.hdu.header)

    @property
    def text(self) -> str:
        text = header_text(self.hdu.header)
        return constant.image_text(text) if self.is_constant else text

    def value(self, keyword: str) -> Any:
        return self.hdu.header.get(keyword)

    def __str__(self) -> str:
        image = f"image {' x '.join(map(str, self.hdu.shape))}" if self.is_image and not self.is_constant else "no data"
        what = image if self.hdu.is_image else f"table ({self.hdu.header.get('XTENSION')})"
        return f"{self.index} {self.name or '(no name)'}: {what}"


def _open_hdulist(hdus: Any, asked: Asked) -> Opened:
    name = (hdus.filename() if hasattr(hdus, "filename") else None) or ""
    units = [Loaded(i, hdu) for i, hdu in enumerate(hdus)]

    def pixels(unit: Loaded, numbers: bool) -> Pixels:
        return _unit_pixels(unit, name, numbers)

    found = opened(name or "an HDUList", units, lambda: "; ".join(map(str, units)), asked, pixels)
    return found._replace(frames=[replace(frame, file=name) for frame in found.frames])


def _unit_pixels(unit: Loaded, name: str, numbers: bool) -> Pixels:
    """Pixels of one HDU: from its file if astropy has not loaded them, as that treats BLANK = 0 wrongly.

    ``numbers`` undoes that it makes floats of whole numbers which may be BLANK.
    """
    hdu = unit.hdu
    if name and "data" not in hdu.__dict__ and type(hdu).__name__ in ("PrimaryHDU", "ImageHDU", "CompImageHDU"):
        try:
            with Walk(Path(name)) as walk:
                for found in walk:
                    if found.offset == hdu.fileinfo()["datLoc"]:
                        return walk.pixels(found)
        except OSError:  # moved or deleted, but astropy has it open
            pass
    if unit.is_constant:
        return _constant(unit, name)
    data = hdu.data
    whole = getattr(hdu, "_orig_bitpix", -1) > 0 and getattr(hdu, "_orig_bscale", 1) == 1
    blanks = _blanks(hdu, data)
    if numbers and whole and data.dtype.kind == "f":
        blanks = np.isnan(data) if blanks is None else blanks | np.isnan(data)
        data = np.where(blanks, 0, data).astype(np.int64)
    return _array_pixels(data, blanks)


def _constant(unit: Loaded, name: str) -> Pixels:
    """The pixels of an image of one number that is nowhere but in memory."""
    values = cards.values(unit.text)
    file = LocalFile(name or "an HDUList", "", 0, 0)
    shape = tuple(int(values[f"NAXIS{i}"]) for i in range(int(values["NAXIS"]), 0, -1))
    scaling: list[Any] = [values.get("BSCALE", 1), values.get("BZERO", 0), values.get("BLANK")]
    made = FilePixels(file, 0, shape, int(values["BITPIX"]), *scaling)
    return constant.ConstantPixels.of(made, unit.hdu.header["PIXVALUE"])


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


def _open_ccddata(ccd: Any, asked: Asked) -> Frame:
    text = header_text(ccd.header)
    own = header_text(ccd.wcs.to_header(relax=True)) if hasattr(ccd.wcs, "to_header") else ""
    if own and not common.same_grid(list(_sized((text, own), ccd.shape))):  # a slice moves the WCS, not the header
        kept = cards.join(c for c in cards.split(text) if not cards.WCS.fullmatch(c.keyword))
        wcs = cards.join(c for c in cards.split(own) if cards.WCS.fullmatch(c.keyword))
        text = "\n".join(filter(None, (kept, wcs)))
    if ccd.unit is not None:
        kept = cards.join(c for c in cards.split(text) if c.keyword != "BUNIT")
        text = f"{kept}\n{cards.make('BUNIT', ccd.unit.to_string())}".lstrip("\n")
    mask = None if ccd.mask is np.ma.nomask else ccd.mask
    pixels = _array_pixels(ccd.data, mask)
    error = getattr(ccd.uncertainty, "array", None) if asked.uncertainty_hdu is not None else None
    kind, unit = _uncertainty(ccd, asked) if error is not None else ("std", "")
    flags = getattr(ccd, "flags", None)
    bits = isinstance(flags, np.ndarray) and flags.dtype == np.uint8 and flags.shape == pixels.shape
    return Frame(
        "", text, pixels,
        uncertainty=None if error is None else _array_pixels(np.broadcast_to(error, pixels.shape)),
        uncertainty_type=kind,
        uncertainty_unit=unit,
        flags=ArrayPixels(flags) if bits and isinstance(flags, np.ndarray) else None,
    )  # fmt: skip


def _uncertainty(ccd: Any, asked: Asked) -> tuple[str, str]:
    """The type and the unit of the uncertainties of a CCDData."""
    known = getattr(ccd.uncertainty, "uncertainty_type", "std")
    told, where = asked.uncertainty_type, "files= holds a CCDData"
    if known not in uncertainties.TYPES and told is None:
        raise ValueError(
            f"{where} whose uncertainty is {known!r}: {', '.join(uncertainties.TYPES)} are known, "
            "uncertainty_type= says which it is, uncertainty_hdu=None leaves others"
        )
    if known in uncertainties.TYPES and told not in (None, known):
        raise ValueError(f"{where} whose uncertainty is {known!r}, not uncertainty_type={told!r}")
    kind = told or known
    own, data = (str(unit or "") for unit in (ccd.uncertainty.unit, ccd.unit))
    return kind, uncertainties.unit_of(f"{where}: its uncertainty", own, data, kind, told)


def _sized(texts: tuple[str, ...], shape: tuple[int, ...]) -> Iterator[str]:
    """Header texts that say how large the image is."""
    sizes = [cards.make(f"NAXIS{i}", size) for i, size in enumerate(shape[::-1], 1)]
    for text in texts:
        rest = cards.join(c for c in cards.split(text) if not cards.STRUCTURAL.fullmatch(c.keyword))
        yield "\n".join(filter(None, [*sizes, rest]))
