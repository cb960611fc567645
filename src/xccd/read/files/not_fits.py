"""The kind of a file that is not FITS, from its first bytes, so that the error says what to do."""

from __future__ import annotations

import re

ARCHIVES = {  # first bytes of packed files, and what unpacks them
    b"PK\x03\x04": "unzip it",
    b"\x1f\x9d": "uncompress it",
    b"\x28\xb5\x2f\xfd": "unzstd it",
    b"\x04\x22\x4d\x18": "unlz4 it",
    b"7z\xbc\xaf\x27\x1c": "unpack it (7z)",
    b"Rar!": "unrar it",
}
# Patterns of the first bytes; the first match counts. TIFF comes after the raw formats that are based on it.
IMAGES = {
    rb"II\*\0.{4}CR": "a CR2 (Canon raw file)",
    rb".{4}ftypcrx": "a CR3 (Canon raw file)",
    rb"FUJIFILMCCD-RAW": "a RAF (Fujifilm raw file)",
    rb"IIR[OS]|MMOR": "an ORF (Olympus raw file)",
    rb"IIU\0": "an RW2 (Panasonic raw file)",
    rb"II[*+]\0|MM\0[*+]": "a TIFF",  # NEF, ARW and DNG, too
    rb"XISF0100": "an XISF",
    rb"\x89HDF\r\n": "an HDF5",
    rb"CDF[\x01\x02\x05]": "a netCDF",
    rb"#ASDF": "an ASDF",
    rb"\x93NUMPY": "a npy (NumPy array)",
    rb"\x89PNG": "a PNG",
    rb"\xff\xd8\xff": "a JPEG",
    rb"\0\0\0\x0cjP  |\xff\x4f\xff\x51": "a JPEG 2000",
    rb"GIF8": "a GIF",
    rb"BM.{4}\0\0\0\0": "a BMP",
    rb"RIFF.{4}WEBP": "a WebP",
    rb"RIFF.{4}AVI": "an AVI",
    rb"LUCAM-RECORDER": "a SER",
    rb"Andor Technology": "an Andor SIF",
    rb"SBIG|ST-\d": "an SBIG image",
    rb"\s*imhv2": "an IRAF image",
}
TEXTS = {
    rb"\s*<(!DOCTYPE|html)": "a web page, perhaps that of an error or a login: download it again",
    rb"version https://git-lfs": "the pointer of a file that Git LFS keeps: git lfs pull",
    rb"\s*<(\?xml|VOTABLE)": "an XML text: it holds no image",
    rb"%PDF": "a PDF: it holds no image",
}


def why(name: str, first: bytes) -> str:
    """The error message for a file ``name`` that begins with ``first``."""
    if not first:
        return f"{name} is empty, not a FITS file"
    for magic, way_out in ARCHIVES.items():
        if first.startswith(magic):
            return f"{name} is not a plain FITS file, but packed: {way_out}"
    for pattern, kind in IMAGES.items():
        if re.match(pattern, first, re.DOTALL):
            return f"{name} is not a FITS file: this is {kind}: convert it to FITS"
    for pattern, text in TEXTS.items():
        if re.match(pattern, first, re.DOTALL | re.IGNORECASE):
            return f"{name} is not a FITS file: this is {text}"
    return f"{name} is not a FITS file: it starts with {first[:9]!r}, not with b'SIMPLE  ='"
