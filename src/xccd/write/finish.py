"""Checksums and tile compression, by astropy, of a product whose pixels are written."""

from __future__ import annotations

from io import BytesIO
from typing import IO, Any

import numpy as np

from xccd.headers import cards
from xccd.headers.writing import as_block

EMPTY = {"CHECKSUM": "0" * 16, "DATASUM": "0"}
WHEN = "by xccd"  # the cards' comment: astropy would write the time, and equal products would differ


def with_room(head: bytes) -> bytes:
    """A header with empty checksum cards, so that it does not grow when they are filled."""
    text = head.decode("ascii")
    lines = [text[i : i + 80].rstrip() for i in range(0, len(text), 80)]
    lines = lines[: lines.index("END")]
    return as_block([*lines, *(cards.make(keyword, value) for keyword, value in EMPTY.items())])


def add_checksums(file: IO[bytes]) -> None:
    """Fill in CHECKSUM and DATASUM of each HDU of a written file, in place."""
    from astropy.io import fits

    file.flush()
    heads = {}
    with fits.open(file.name) as hdus:
        for hdu in hdus:
            hdu.add_checksum(when=WHEN)
            heads[hdu.fileinfo()["hdrLoc"]] = hdu.header.tostring().encode("ascii")
    for place, head in heads.items():
        file.seek(place)
        file.write(head)


def compress(file: IO[bytes], *, checksum: bool) -> None:
    """Replace a written file by one with tile-compressed images, without loss: integers by RICE_1, floats by GZIP_2.

    The whole file is in memory meanwhile.
    """
    from astropy.io import fits

    file.flush()
    buffer = BytesIO()
    with fits.open(file.name, memmap=False) as hdus:
        first = [hdus[0]] if hdus[0].data is None else [fits.PrimaryHDU()]
        fits.HDUList([*first, *map(_tiled, hdus[1 if hdus[0].data is None else 0 :])]).writeto(buffer)
    buffer.seek(0)
    if checksum:  # for the tables of tiles: astropy writes none for compressed images
        with fits.open(buffer, disable_image_compression=True) as hdus:
            for hdu in hdus:
                hdu.add_checksum(when=WHEN)
            again = BytesIO()
            hdus.writeto(again)
        buffer = again
    file.seek(0)
    file.truncate()
    file.write(buffer.getbuffer())


def _tiled(hdu: Any) -> Any:
    """An HDU as a tile-compressed one; HDUs without an image unchanged."""
    import astropy
    from astropy.io import fits
    from astropy.utils import minversion

    if not hdu.is_image or hdu.data is None:
        return hdu
    if hdu.data.dtype == np.uint64 and not minversion(astropy, "8.0"):  # 7.2 does not shift by BZERO
        raise ValueError(
            f"path=: astropy {astropy.__version__} does not compress uint64 correctly: "
            "use astropy 8, or a name without .fz"
        )
    real = hdu.data.dtype.kind == "f" or hdu.data.dtype.itemsize > 4  # RICE_1 is for at most 32 bits
    # quantize_level 0: astropy's default rounds floats
    options = {"compression_type": "GZIP_2", "quantize_level": 0.0} if real else {"compression_type": "RICE_1"}
    name = hdu.name if hdu.name != "PRIMARY" else None
    return fits.CompImageHDU(np.ascontiguousarray(hdu.data), hdu.header, name=name, **options)
