"""A file that is no FITS is called what it is, packed or behind a URL or not, and the way out is said."""

import gzip
import io
import zipfile
from pathlib import Path
from typing import Any

import fsspec
import numpy as np
import pytest

import xccd
from xccd.sky.grid import Grid


def npy() -> bytes:
    file = io.BytesIO()
    np.save(file, np.zeros((4, 5)))
    return file.getvalue()


def npz() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.fits", b"SIMPLE")
    return file.getvalue()


STARTS = {
    "a TIFF": b"II*\0\x08\0\0\0\x10\0",
    "a TIFF (NEF, Andor's, of the other byte order)": b"MM\0*\0\0\0\x08",
    "a TIFF (of more than 4 GB)": b"II+\0\x08\0\0\0",
    "a CR2": b"II*\0\x10\0\0\0CR\x02\0",
    "a CR3": b"\0\0\0\x18ftypcrx ",
    "a RAF": b"FUJIFILMCCD-RAW 0201",
    "an XISF": b"XISF0100\x10\0\0\0",
    "an HDF5": b"\x89HDF\r\n\x1a\n\0\0",
    "a netCDF": b"CDF\x01\0\0",
    "an ASDF": b"#ASDF 1.0.0\n#ASDF_STANDARD",
    "a npy": npy(),
    "a PNG": b"\x89PNG\r\n\x1a\n",
    "a JPEG": b"\xff\xd8\xff\xe0\0\x10JFIF",
    "a JPEG 2000": b"\0\0\0\x0cjP  \r\n",
    "a GIF": b"GIF89a",
    "a SER": b"LUCAM-RECORDER",
    "an Andor SIF": b"Andor Technology Multi-Channel File\n",
}
OTHERS = {
    "packed: unzip it": npz(),
    "packed: uncompress it": b"\x1f\x9d\x90",
    "packed: unzstd it": b"\x28\xb5\x2f\xfd",
    "this is a web page, perhaps that of an error or a login: download it again": b"\n<!doctype html><html>",
    "this is the pointer of a file that Git LFS keeps": b"version https://git-lfs.github.com/spec/v1\n",
    "this is an XML text: it holds no image": b"<?xml version='1.0'?><VOTABLE>",
    "this is a PDF": b"%PDF-1.4",
    "it starts with b'SIMPLE = ', not with b'SIMPLE  ='": b"SIMPLE =  T",
    "is empty, not a FITS file": b"",
}


def is_said(path: Any, match: str) -> None:
    for opener in (xccd.open_stack, xccd.open_dataset, Grid.of):
        with pytest.raises(OSError, match="a.fits[.gz]* " + match):
            opener(path)


@pytest.mark.parametrize("name", STARTS)
def test_another_kind_of_image_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(STARTS[name].ljust(3000, b"\0"))
    is_said(path, f"is not a FITS file: this is {name.split(' (')[0]}.*: convert it to FITS")


@pytest.mark.parametrize("text", OTHERS)
def test_what_is_no_image(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.fits"
    path.write_bytes(OTHERS[text])
    is_said(path, f"(is not a (plain )?FITS file(, but|:) )?{text}")


def test_what_is_in_a_packed_file_or_far_away(tmp_path: Path) -> None:
    path = tmp_path / "a.fits.gz"
    path.write_bytes(gzip.compress(STARTS["a PNG"] * 9))
    is_said(path, "is not a FITS file: this is a PNG: convert it to FITS")
    fs = fsspec.filesystem("memory")
    fs.pipe("/kinds/a.fits", STARTS["a TIFF"] * 9)
    is_said("memory://kinds/a.fits", "is not a FITS file: this is a TIFF: convert it to FITS")
    fs.rm("/kinds", recursive=True)
