"""Images in memory as frames of a stack: arrays, CCDData and HDULists."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from xccd.headers import cards, common, uncertainties
from xccd.messages import a_type
from xccd.read.files.local import LocalFile
from xccd.read.images import constant
from xccd.read.images.chips import Chip, Frame, Opened, Options, opened
from xccd.read.images.hdus import Walk
from xccd.read.images.pixels import ArrayPixels, FilePixels, PixelReader


def is_image(item: Any) -> bool:
    """Whether it is an (array, header) pair, CCDData, an HDUList or one HDU."""
    pair = isinstance(item, tuple) and len(item) == 2 and hasattr(item[0], "dtype") and not _is_ccddata(item[0])
    return pair or _is_ccddata(item) or hasattr(item, "fileinfo")


def _is_ccddata(item: Any) -> bool:
    return hasattr(item, "uncertainty") and hasattr(item, "mask") and hasattr(item, "header")


def open_in_memory(item: Any, options: Options) -> Opened:
    """The frames of an object for which `is_image` is true."""
    if isinstance(item, tuple):
        array, header = item
        return _alone(Frame("", frame_header_text(header), _array_pixels(array)), options)
    if _is_ccddata(item):
        return _alone(_open_ccddata(item, options), options)
    return _open_hdulist(item if isinstance(item, list) else [item], options)


def _alone(frame: Frame, options: Options) -> Opened:
    """A frame without a file, as if it were the only image of a file."""
    if not options.several:
        return Opened([frame])
    name = str(cards.card_value(frame.header, "EXTNAME") or "").strip()
    return Opened([frame], (Chip(name, cards.card_value(frame.header, "EXTVER") or 1, 0, 1),))


def _array_pixels(array: Any, missing: Any = None) -> ArrayPixels:
    """A reader of an array; a masked array adds its mask to ``missing``. Raises for empty or non-numeric arrays."""
    data = np.asanyarray(array)  # not asarray, which drops the mask of a masked array
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


def frame_header_text(header: Any) -> str:
    """The text of a fits.Header, a dict or None."""
    if header is None:
        return ""
    from astropy.io import fits

    with cards.quiet():  # astropy warns of a comment that is cut
        if not isinstance(header, fits.Header):
            header = _from_dict(header)
        return cards.from_bytes("".join(map(_card_image, header.cards)).encode("latin-1", "replace"))


def _card_image(card: Any) -> str:
    """The 80-column text of an astropy card, as COMMENT if it is damaged beyond repair."""
    from astropy.io import fits

    try:
        card.verify("silentfix")  # `str` does the same with a warning
        return str(card)
    except (fits.VerifyError, ValueError):
        return f"COMMENT {card.keyword}: a damaged card".ljust(80)


def _from_dict(values: Any) -> Any:
    """A fits.Header of a dict; NaN becomes an undefined value."""
    from astropy.io import fits

    if not isinstance(values, Mapping):
        raise TypeError(
            f"files=: the header of an (array, header) pair is {a_type(values)}: give a fits.Header, a dict or None"
        )
    header = fits.Header()
    for keyword, value in values.items():
        number = isinstance(value, (float, np.floating)) and not math.isfinite(value)  # FITS has no NaN in cards
        long = isinstance(keyword, str) and not re.fullmatch(r"[\w-]{1,8}|HIERARCH .*|", keyword, re.ASCII)
        name = f"HIERARCH {keyword}" if long else keyword  # astropy does the same with a warning
        try:
            header[name] = None if number else cards.ascii_only(value) if isinstance(value, str) else value
        except (TypeError, ValueError, AttributeError) as error:
            raise TypeError(f"files=: the header {{{keyword!r}: {value!r}}} cannot be a card: {error}") from None
    return header


@dataclass(frozen=True)
class Loaded:
    """An HDU of astropy, with the interface of `chips.Unit`."""

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
        """Whether its pixels are one number in its header."""
        return constant.is_one(self.hdu.header)

    @property
    def text(self) -> str:
        text = frame_header_text(self.hdu.header)
        return constant.as_array_header(text) if self.is_constant else text

    def value(self, keyword: str) -> Any:
        return self.hdu.header.get(keyword)

    def __str__(self) -> str:
        image = f"image {' x '.join(map(str, self.hdu.shape))}" if self.is_image and not self.is_constant else "no data"
        what = image if self.hdu.is_image else f"table ({self.hdu.header.get('XTENSION')})"
        return f"{self.index} {self.name or '(no name)'}: {what}"


def _open_hdulist(hdus: Any, options: Options) -> Opened:
    name = (hdus.filename() if hasattr(hdus, "filename") else None) or ""
    units = [Loaded(i, hdu) for i, hdu in enumerate(hdus)]

    def pixels(unit: Loaded, as_bits: bool) -> PixelReader:
        return _unit_pixels(unit, name, as_bits)

    found = opened(name or "an HDUList", units, lambda: "; ".join(map(str, units)), options, pixels)
    return found._replace(frames=[replace(frame, file=name) for frame in found.frames])


def _unit_pixels(unit: Loaded, name: str, as_bits: bool) -> PixelReader:
    """A reader for one HDU: from its file if astropy has not loaded the data, as astropy treats BLANK = 0 wrongly.

    astropy turns integers that may be BLANK into floats; ``as_bits`` turns them back.
    """
    hdu = unit.hdu
    # astropy puts data there when it loads them
    if name and "data" not in hdu.__dict__ and type(hdu).__name__ in ("PrimaryHDU", "ImageHDU", "CompImageHDU"):
        try:
            with Walk(Path(name)) as walk:
                for found in walk:
                    if found.offset == hdu.fileinfo()["datLoc"]:
                        return walk.pixels(found)
        except OSError:  # the file is gone, but astropy has it open
            pass
    if unit.is_constant:
        return _constant(unit, name)
    data = hdu.data
    whole = getattr(hdu, "_orig_bitpix", -1) > 0 and getattr(hdu, "_orig_bscale", 1) == 1
    blanks = _blanks(hdu, data)
    if as_bits and whole and data.dtype.kind == "f":
        blanks = np.isnan(data) if blanks is None else blanks | np.isnan(data)
        data = np.where(blanks, 0, data).astype(np.int64)
    return _array_pixels(data, blanks)


def _constant(unit: Loaded, name: str) -> PixelReader:
    """The pixels of a constant image that exists only in memory."""
    values = cards.values(unit.text)
    file = LocalFile(name or "an HDUList", "", 0, 0)
    shape = tuple(int(values[f"NAXIS{i}"]) for i in range(int(values["NAXIS"]), 0, -1))
    scaling: list[Any] = [values.get("BSCALE", 1), values.get("BZERO", 0), values.get("BLANK")]
    made = FilePixels(file, 0, shape, int(values["BITPIX"]), *scaling)
    return constant.ConstantPixels.of(made, unit.hdu.header["PIXVALUE"])


def _blanks(unit: Any, data: Any) -> Any:
    """Where data loaded, and perhaps scaled, by astropy are BLANK; None without BLANK."""
    blank = getattr(unit, "_blank", None)
    if blank is None:
        blank = unit.header.get("BLANK")
    if not isinstance(blank, int):
        return None
    scale, zero = getattr(unit, "_orig_bscale", 1), getattr(unit, "_orig_bzero", 0)
    if data.dtype.kind == "f":
        return data == np.asarray(blank * scale + zero, data.dtype)
    return data == np.asarray(blank + int(zero)).astype(data.dtype)


def _open_ccddata(ccd: Any, options: Options) -> Frame:
    """A CCDData as a frame: its WCS and unit go into the header text."""
    text = frame_header_text(ccd.header)
    own = frame_header_text(ccd.wcs.to_header(relax=True)) if hasattr(ccd.wcs, "to_header") else ""
    # slicing a CCDData moves its WCS but not its header
    if own and not common.same_grid(list(_sized((text, own), ccd.shape))):
        kept = cards.join(c for c in cards.split(text) if not cards.WCS.fullmatch(c.keyword))
        wcs = cards.join(c for c in cards.split(own) if cards.WCS.fullmatch(c.keyword))
        text = "\n".join(filter(None, (kept, wcs)))
    if ccd.unit is not None:
        kept = cards.join(c for c in cards.split(text) if c.keyword != "BUNIT")
        text = f"{kept}\n{cards.make('BUNIT', ccd.unit.to_string())}".lstrip("\n")
    mask = None if ccd.mask is np.ma.nomask else ccd.mask
    pixels = _array_pixels(ccd.data, mask)
    error = getattr(ccd.uncertainty, "array", None) if options.uncertainty_hdu is not None else None
    kind, unit = _uncertainty_of_ccddata(ccd, options) if error is not None else ("std", "")
    flags = getattr(ccd, "flags", None)
    bits = isinstance(flags, np.ndarray) and flags.dtype == np.uint8 and flags.shape == pixels.shape
    return Frame(
        "", text, pixels,
        uncertainty=None if error is None else _array_pixels(np.broadcast_to(error, pixels.shape)),
        uncertainty_type=kind,
        uncertainty_unit=unit,
        flags=ArrayPixels(flags) if bits and isinstance(flags, np.ndarray) else None,
    )  # fmt: skip


def _uncertainty_of_ccddata(ccd: Any, options: Options) -> tuple[str, str]:
    """Type and unit of the uncertainties of a CCDData."""
    known = getattr(ccd.uncertainty, "uncertainty_type", "std")
    given, where = options.uncertainty_type, "files= holds a CCDData"
    if known not in uncertainties.TYPES and given is None:
        raise ValueError(
            f"{where} whose uncertainty is {known!r}: {', '.join(uncertainties.TYPES)} are known, "
            "uncertainty_type= says which it is, uncertainty_hdu=None leaves others"
        )
    if known in uncertainties.TYPES and given not in (None, known):
        raise ValueError(f"{where} whose uncertainty is {known!r}, not uncertainty_type={given!r}")
    kind = given or known
    own, data = (str(unit or "") for unit in (ccd.uncertainty.unit, ccd.unit))
    return kind, uncertainties.unit_of(f"{where}: its uncertainty", own, data, kind, given)


def _sized(texts: tuple[str, ...], shape: tuple[int, ...]) -> Iterator[str]:
    """The header texts with NAXISn for this shape."""
    sizes = [cards.make(f"NAXIS{i}", size) for i, size in enumerate(shape[::-1], 1)]
    for text in texts:
        rest = cards.join(c for c in cards.split(text) if not cards.STRUCTURAL.fullmatch(c.keyword))
        yield "\n".join(filter(None, [*sizes, rest]))
