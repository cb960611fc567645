"""A WCS with tables of distortion, kept as the bytes of a small FITS file."""

from __future__ import annotations

from io import BytesIO
from typing import TYPE_CHECKING

from xccd.headers import cards, common

if TYPE_CHECKING:
    from astropy.wcs import WCS


def wcs_with_tables(content: bytes) -> WCS:
    """The WCS of a FITS file given as bytes: its header, and the tables of distortion in its extensions."""
    from astropy.io import fits

    with fits.open(BytesIO(content)) as hdus:
        return common.read_wcs(hdus[0].header, 2, hdus)


def changed_cards(content: bytes, cards_of_wcs: dict[str, float]) -> bytes:
    """The same file with some other cards of the WCS."""
    from astropy.io import fits

    with fits.open(BytesIO(content)) as hdus:
        hdus[0].header.update(cards_of_wcs)
        file = BytesIO()
        hdus.writeto(file)
    return file.getvalue()


def moved_tables(content: bytes, rows: float, columns: float) -> bytes:
    """The same file for an image whose first pixel is pixel (rows, columns) of the image before.

    A table says by CRVALn at which pixel of the image its own pixel CRPIXn lies, so both origins move.
    """
    from astropy.io import fits

    with fits.open(BytesIO(content)) as hdus:
        for keyword, by in (("CRPIX1", columns), ("CRPIX2", rows)):
            hdus[0].header[keyword] = cards.as_number(hdus[0].header.get(keyword, 0.0)) - by
        for table in hdus[1:]:
            for keyword, by in (("CRVAL1", columns), ("CRVAL2", rows)):
                table.header[keyword] = cards.as_number(table.header.get(keyword, 0.0)) - by
        file = BytesIO()
        hdus.writeto(file)
    return file.getvalue()
