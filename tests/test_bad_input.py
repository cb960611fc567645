"""Bad input: each gives one clear error that names what is wrong. docs/bad_input.md is made from this table."""
# ruff: noqa: E501  (a table is read by its rows)

import gzip
import os
import re
import tracemalloc
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path
from typing import Any, NamedTuple
from unittest import mock

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from fits_files import head, line, padded, raw, structure, write
from xccd.read.images.pixels import FilePixels

PIXELS = np.arange(20, dtype="i2").reshape(4, 5)
LONG = 10**12


class Bad(NamedTuple):
    """A row: what makes the error, its type, what its message says, what is wrong in a line."""

    provoke: Callable[[], Any]  # in an empty working folder
    error: type[Exception]
    message: str
    meaning: str
    reads: bool = False  # the error can only be seen while pixels are read


def opened(content: bytes, name: str = "a.fits", **options: Any) -> xr.DataArray:
    Path(name).write_bytes(content)
    return xccd.open_stack(name, **options)


def described(*lines: str, bitpix: Any = 16, sizes: tuple[Any, ...] = (5, 4), packed: str = "") -> xr.DataArray:
    content = head([*structure(bitpix, *sizes), *lines]) + padded(PIXELS.astype(">i2").tobytes())
    return opened(gzip.compress(content, mtime=0) if packed == ".gz" else content, f"a.fits{packed}")


def image(name: str = "a.fits", **options: Any) -> Any:
    return xccd.open_stack(write(Path(name), PIXELS), **options)


def two(keyword: str, *values: str, flip: bool = False, **cards: Any) -> xr.DataArray:
    """Two files that differ in one keyword."""
    paths = (
        write(Path(name), PIXELS, {keyword: v} | cards) for name, v in zip(("a.fits", "b.fits"), values, strict=True)
    )
    return xccd.open_stack([*paths], flip=flip)


def content() -> bytes:
    return write(Path("whole.fits"), PIXELS).read_bytes()


def hdus(*more: Any, primary: Any = None, **options: Any) -> xr.DataArray:
    fits.HDUList([fits.PrimaryHDU(primary), *more]).writeto("a.fits")
    return xccd.open_stack("a.fits", **options)


def table(name: str = "EVENTS") -> fits.BinTableHDU:
    return fits.BinTableHDU.from_columns([fits.Column("X", "E", array=[1.0])], name=name)


def unknown_tiles() -> None:
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(PIXELS)]).writeto("a.fits")
    opened(Path("a.fits").read_bytes().replace(b"'RICE_1  '", b"'RICE_9  '"))


def empty_folder() -> None:
    Path("night").mkdir()
    Path("night/notes.txt").touch()
    xccd.open_stack("night")


def folder_in_glob() -> None:
    Path("night-1").mkdir()
    xccd.open_stack("night-*")


def pipe() -> None:
    os.mkfifo("a.fits")
    xccd.open_stack("a.fits")


def no_permission() -> None:
    write(Path("a.fits"), PIXELS)
    with mock.patch.dict("xccd.read.files.local.OPENERS", {"": mock.Mock(side_effect=PermissionError)}):
        xccd.open_stack("a.fits")


def shapes() -> None:
    for name, shape in {"a": (4, 5), "b": (4, 5), "c": (5, 4)}.items():
        write(Path(f"{name}.fits"), np.zeros(shape))
    xccd.open_stack("*.fits")


def then(change: Callable[[Path], Any]) -> None:
    stack = image()
    change(Path("a.fits"))
    stack.compute()


def rewrite(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"\0" * 2880)


def short_gz() -> None:
    described(sizes=(50, 400), packed=".gz").compute()


def cut_gz(keep: float, extend: str) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (100, 100)).astype("i2")
    raw(Path("b.fits"), noise, line("EXTEND", extend))
    whole = gzip.compress(Path("b.fits").read_bytes(), mtime=0)
    opened(whole[: int(len(whole) * keep)], "a.fits.gz").compute()


def to_fits(path: str = "out.fits", array: Any = PIXELS, **options: Any) -> None:
    xr.DataArray(array, dims=("y", "x")[2 - np.ndim(array) :]).ccd.to_fits(path, **options)


def patched(what: str, result: Any) -> None:
    with mock.patch(what, result):
        to_fits()


def stack() -> xr.DataArray:
    pixels = PIXELS.astype("f4")
    pixels[0, 0] = np.nan
    return xccd.open_stack([(image, {"EXPTIME": 1.0}) for image in (pixels, PIXELS / 2)], chunks=None).load()


def tree() -> xr.DataTree:
    return xr.DataTree.from_dict({"light": stack().to_dataset()})


NO_ROOM = mock.Mock(side_effect=OSError(28, "No space left on device"))
TWICE = [(PIXELS, {"EXPTIME": 1.0})]

BAD: dict[str, Bad] = {
    # Files
    "a glob that matches nothing": Bad(lambda: xccd.open_stack("flat-*.fits"), FileNotFoundError, r"no file matches 'flat-\*\.fits' \(looked from", "No file has such a name."),
    "an empty folder": Bad(empty_folder, FileNotFoundError, "night holds no FITS file", "No .fits, .fit or .fts file is in it."),
    "an empty list": Bad(lambda: xccd.open_stack([]), ValueError, r"files=\[\] is empty: give", "There is nothing to stack."),
    "a missing file": Bad(lambda: xccd.open_stack(["a.fits"]), FileNotFoundError, r"a\.fits does not exist", "The path is wrong."),
    "a folder for a file": Bad(folder_in_glob, IsADirectoryError, "night-1 is a folder", "A glob matched a folder."),
    "a pipe": Bad(pipe, OSError, "not a regular file", "Pixels are read by their place."),
    "no permission to read": Bad(no_permission, PermissionError, "a.fits cannot be read: no permission", "Another user's file."),
    "not FITS": Bad(lambda: opened(b"no image" * 400), OSError, "a.fits is not a FITS file: it starts with b'no imagen'", "Another format."),
    "another format of images": Bad(lambda: opened(b"II*\0" * 600), OSError, "a.fits is not a FITS file: this is a TIFF: convert it to FITS", "Raw files of many cameras (NEF, ARW, DNG) are TIFFs, too."),
    "an empty file": Bad(lambda: opened(b""), OSError, "a.fits is empty", "No byte in it."),
    "packed by zip": Bad(lambda: opened(b"PK\x03\x04" * 99), OSError, "a.fits is not a plain FITS file, but packed: unzip it", "An archive may hold many files."),
    "a damaged .gz": Bad(lambda: opened(b"\x1f\x8b\x08\0" + bytes(99), "a.fits.gz"), OSError, "a.fits.gz cannot be unpacked: Error -3", "The copy went wrong."),
    "SIMPLE = F": Bad(lambda: opened(content().replace(b"  T ", b"  F ", 1)), OSError, "a.fits says SIMPLE = F", "Its pixels may have any order of bytes."),
    "a truncated header": Bad(lambda: opened(content()[:300]), OSError, "a.fits is truncated: the header of HDU 0 has no END", "The copy broke off."),
    "truncated data": Bad(lambda: opened(content()[:2900]), OSError, r"a\.fits is truncated: HDU 0 needs 40 bytes .* room for 20", "The copy broke off."),
    "an extension after truncated data": Bad(lambda: opened(content()[:2900], hdu=1), OSError, r"no hdu=1.*\(truncated", "The copy broke off."),
    "a truncated .gz": Bad(lambda: cut_gz(0.5, "T"), OSError, "a.fits.gz cannot be unpacked: Compressed file ended", "Seen at once if extensions may follow."),
    "a truncated .gz of one image": Bad(lambda: cut_gz(0.5, "F"), OSError, "a.fits.gz cannot be unpacked: Compressed file ended", "Seen when pixels are read.", True),
    "a .gz with too few pixels": Bad(short_gz, OSError, "a.fits.gz is truncated: 40000 bytes wanted", "Seen when pixels are read.", True),
    "no image": Bad(hdus, OSError, "a.fits has no image: its HDUs are 0 PRIMARY: no data", "Headers alone."),
    "a table": Bad(lambda: hdus(table()), OSError, r"no image: .* 1 EVENTS: table \(BINTABLE\)", "Only tables in it."),
    "differing shapes": Bad(shapes, ValueError, r"4 x 5: a\.fits, b\.fits; 5 x 4: c\.fits", "One stack, one shape."),
    "differing units": Bad(lambda: two("BUNIT", "mJy", "Jy"), ValueError, r"differing units \(mJy: a\.fits; Jy: b\.fits\)", "Nothing is converted."),
    "differing order of rows": Bad(lambda: two("ROWORDER", "TOP-DOWN", "BOTTOM-UP"), ValueError, r"ROWORDER \(TOP-DOWN: a\.fits; BOTTOM-UP: b\.fits\).*flip=True", "flip=True turns frames."),
    "differing colours": Bad(lambda: two("BAYERPAT", "RGGB", "BGGR"), ValueError, r"BAYERPAT \(RGGB: a\.fits; BGGR: b\.fits\)", "A pixel has one colour."),
    "what cannot be turned": Bad(lambda: two("ROWORDER", "TOP-DOWN", "BOTTOM-UP", TRIMSEC="[1:5,2:4]", flip=True), ValueError, "b.fits: flip= cannot convert its card TRIMSEC", "Only some cards are understood."),
    "a flip of another kind": Bad(lambda: image(flip="up"), ValueError, "flip='up' is not True, False, 'TOP-DOWN' or 'BOTTOM-UP'", "Misspelt."),
    "units that are none": Bad(lambda: image(units=5), TypeError, "units=5 is no unit", "A text, or an astropy unit."),
    "errors of an unknown word": Bad(lambda: image(errors="skp"), ValueError, r"errors='skp' is none of 'raise', 'skip' .*; did you mean 'skip'\?", "Misspelt."),
    "all files bad, and to be skipped": Bad(lambda: xccd.open_stack(["a.fits", "b.fits"], errors="skip"), FileNotFoundError, r"none of 2 files can be opened: a\.fits does not exist", "No frame is left."),
    "a section larger than the image": Bad(lambda: image().ccd.trim("[1:9999,1:4]"), ValueError, r"region='\[1:9999,1:4\]': .* reaches beyond the image of 5 x 4 pixels", "Of another camera, or not binned."),
    # What a header says
    "an axis of size 0": Bad(lambda: described(sizes=(0, 4)), OSError, r"axis of size 0 \(shape \(4, 0\)\)", "No pixels."),
    "an absurd size": Bad(lambda: described(sizes=(LONG, LONG)), OSError, r"a\.fits is truncated: HDU 0 needs 2\d{24} bytes", "Nothing is allocated for it."),
    "an absurd size without data": Bad(lambda: described(line("NPIX1", LONG), line("PIXVALUE", 0), sizes=()), OSError, "NPIX1, ... give the shape (.*), the file is damaged", "Nor here."),
    "a constant image of no number": Bad(lambda: described(line("NPIX1", 5), line("PIXVALUE", "'one'"), sizes=()), OSError, "PIXVALUE = 'one' cannot be stored with BITPIX = 16", "A damaged header."),
    "a constant that BITPIX cannot store": Bad(lambda: described(line("NPIX1", 5), line("PIXVALUE", 40000), sizes=()), OSError, "PIXVALUE = 40000 cannot be stored with BITPIX = 16", "A damaged header."),
    "tiles of an unknown kind": Bad(unknown_tiles, OSError, r"HDU 1: ZCMPTYPE = 'RICE_9' is none of \('RICE_1'", "astropy would take them for RICE_1."),
    "an absurd size in a .gz": Bad(lambda: described(sizes=(LONG, LONG), packed=".gz"), OSError, r"a\.fits\.gz is truncated: HDU 0 needs", "Nor here."),
    "a size beyond 64 bits": Bad(lambda: described(sizes=(10**30, 4)), OSError, "NAXIS1 = '1000000.*' is not a valid size", "Nor here."),
    "NAXIS = 65536": Bad(lambda: opened(head([line("SIMPLE", "T"), line("BITPIX", 16), line("NAXIS", 65536)])), OSError, "NAXIS = 65536, FITS allows 999", "FITS has 999 axes at most."),
    "a negative size": Bad(lambda: described(sizes=(-5, 4)), OSError, "HDU 0: NAXIS1 = -5 is not a valid size", "A damaged header."),
    "a size that is a text": Bad(lambda: described(sizes=("'five'", 4)), OSError, "HDU 0: NAXIS1 = 'five' is not", "A damaged header."),
    "a size that is missing": Bad(lambda: opened(head([line("SIMPLE", "T"), line("BITPIX", 16), line("NAXIS", 1)])), OSError, "HDU 0: NAXIS1 = None", "A damaged header."),
    "a negative PCOUNT": Bad(lambda: described(line("PCOUNT", -2880)), OSError, "HDU 0: PCOUNT = -2880", "A damaged header."),
    "a bad BITPIX": Bad(lambda: described(bitpix=17), OSError, r"BITPIX = 17 is none of \(8, 16", "A damaged header."),
    "random groups": Bad(lambda: described(line("GROUPS", "T"), sizes=(0, 4)), OSError, "random groups are not images", "An old radio format."),
    "a BSCALE that is no number": Bad(lambda: described(line("BSCALE", "'two'")), OSError, "BSCALE = 'two' is not a number", "Pixel values are unknown."),
    "a BLANK that is no number": Bad(lambda: described(line("BLANK", "'none'")), OSError, "BLANK = 'none' is not a whole number", "Missing pixels are unknown."),
    # Which image
    "no such number": Bad(lambda: image(hdu=3), OSError, r"a\.fits has no hdu=3: its HDUs are 0 PRIMARY: image 4 x 5", "The message lists what there is."),
    "no such name": Bad(lambda: image(hdu="SCI"), OSError, r"a\.fits has no hdu='SCI': its HDUs", "As above."),
    "a table is asked for": Bad(lambda: hdus(table(), hdu=1), OSError, "hdu=1 is not an image, but 1 EVENTS: table", "As above."),
    "hdu of a wrong type": Bad(lambda: image(hdu=1.5), TypeError, "hdu=1.5 is neither", "A number or a name."),
    "a negative hdu": Bad(lambda: image(hdu=-1), ValueError, "hdu=-1: HDUs are numbered from 0", "Not counted from the end."),
    "a mask of another shape": Bad(lambda: hdus(fits.ImageHDU(np.zeros((2, 2)), name="MASK"), primary=PIXELS), ValueError, r"mask has shape \(2, 2\), the image \(4, 5\)", "mask_hdu=None leaves it."),
    "a mask that is no image": Bad(lambda: hdus(table("MASK"), primary=PIXELS), OSError, "mask_hdu='MASK' is not an image, but 1 MASK: table", "mask_hdu=None leaves it."),
    "a list with an image twice": Bad(lambda: image(hdu=[0, "primary"]), ValueError, r"hdu=\[0, 'primary'\]: 'primary' is an image of a\.fits that is already in the list", "By number and by name."),
    "bits that are no powers of two": Bad(lambda: image(bits=[1, 3]), ValueError, "3 is not a power of two: a list holds the value of each bit", "bits=3, the sum, is a number by itself."),
    "bits and no mask": Bad(lambda: image(bits=4), ValueError, "no file has an extension MASK or DQ", "mask_hdu= names the plane."),
    "bits of a mask of floats": Bad(lambda: hdus(fits.ImageHDU(np.zeros((4, 5)), name="DQ"), primary=PIXELS, bits=4), ValueError, r"a\.fits: the extension 1 DQ: image 4 x 5 holds float64, but bits=4 needs whole numbers", "Floats have no bits."),
    "masks that cannot be told apart": Bad(lambda: hdus(*[fits.ImageHDU(np.zeros((4, 5)), name="DQ")] * 2, primary=PIXELS), OSError, "it has 2 extensions DQ", "mask_hdu= takes a number."),
    "uncertainties of no known type": Bad(lambda: (hdus(fits.ImageHDU(np.ones((4, 5)), name="WHT"), primary=PIXELS), xccd.open_dataset("a.fits", uncertainty_hdu="WHT")), ValueError, r"its name 'WHT' does not say what it holds", "A weight may be anything."),
    "a type that the file contradicts": Bad(lambda: (hdus(fits.ImageHDU(np.ones((4, 5)), fits.Header({"UTYPE": "InverseVariance"}), name="ERR"), primary=PIXELS), xccd.open_dataset("a.fits", uncertainty_type="var")), ValueError, r"UTYPE = 'InverseVariance' says 'ivar', not uncertainty_type='var'", "One of both is wrong."),
    # While pixels are read
    "changed since it was opened": Bad(lambda: then(rewrite), OSError, "a.fits has changed since it was opened", "Another program wrote to it.", True),
    "deleted since it was opened": Bad(lambda: then(os.unlink), FileNotFoundError, "a.fits is gone", "Another program deleted it.", True),
    # Arguments
    "a dict of files": Bad(lambda: xccd.open_stack({"r": "a.fits"}), TypeError, "but a dict: give a path", "Use list(d.values())."),
    "a number": Bad(lambda: xccd.open_stack(5), TypeError, "files=5 is no file or image, but an int", "Not a kind of source."),
    "a bare array": Bad(lambda: xccd.open_stack(PIXELS), TypeError, r"NumPy array: give a list of \(array, header\)", "It has no header."),
    "a list of bare arrays": Bad(lambda: xccd.open_stack([PIXELS]), TypeError, r"NumPy array: give a list of \(array, header\)", "As above."),
    "a stack": Bad(lambda: xccd.open_stack(xr.DataArray(PIXELS)), TypeError, "it is a stack already", "Nothing to open."),
    "complex pixels": Bad(lambda: xccd.open_stack([(PIXELS * 1j, None)]), TypeError, "dtype complex128: pixels must be real", "Take abs() first."),
    "an array without pixels": Bad(lambda: xccd.open_stack([(PIXELS[:0], None)]), ValueError, r"shape \(0, 5\): no pixels", "Nothing to stack."),
    "a list for a header": Bad(lambda: xccd.open_stack([(PIXELS, [1])]), TypeError, "is a list: give a fits.Header, a dict or None", "Not a header."),
    "a header value that is no card": Bad(lambda: xccd.open_stack([(PIXELS, {"A": [1]})]), TypeError, r"\{'A': \[1\]\} cannot be a card", "Texts and numbers can."),
    "chunks that are no size": Bad(lambda: xccd.open_stack(TWICE, chunks="much"), ValueError, r"chunks='much' does not cut the shape \(1, 4, 5\)", "See dask's chunks."),
    "chunks of no pixel": Bad(lambda: xccd.open_stack(TWICE, chunks=-3), ValueError, "chunks=-3 does not cut", "At least 1."),
    "chunks of an unknown dimension": Bad(lambda: xccd.open_stack(TWICE, chunks={"z": 1}), ValueError, r"names \['z'\]: the dimensions are \('frame', 'y', 'x'\)", "Misspelt."),
    "an integer dtype": Bad(lambda: xccd.open_stack(TWICE, dtype="int16"), ValueError, "dtype='int16' is not float32, float64 or 'native'", "Missing pixels are NaN."),
    "an unknown dtype": Bad(lambda: xccd.open_stack(TWICE, dtype="float23"), ValueError, "dtype='float23' is not", "Misspelt."),
    "keywords that no frame has": Bad(lambda: xccd.open_stack(TWICE, keywords=["SEEING"]), ValueError, r"keywords=\['SEEING'\]: no frame has them", "Misspelt."),
    "keywords as one text": Bad(lambda: xccd.open_stack(TWICE, keywords="EXPTIME"), TypeError, "keywords='EXPTIME' is not a list", "A list of one."),
    # Verbs
    "one limit by position": Bad(lambda: stack().ccd.minmax(60000), TypeError, r"minmax\(60000\) does not say which limit that is: name it, min=60000 or max=60000", "The maximum most often."),
    "one threshold by position": Bad(lambda: stack().ccd.sigma_clip(5), TypeError, r"leaves high=3: give both, sigma_clip\(5, 5\)", "For both sides most often."),
    "a misspelt method": Bad(lambda: stack().ccd.combine("medain"), ValueError, "method='medain' is unknown: .* did you mean 'median'", "Misspelt."),
    "a misspelt level": Bad(lambda: stack().ccd.normalize("medain"), ValueError, "scale='medain' is no coordinate .* did you mean 'median'", "Misspelt."),
    "a misspelt keyword": Bad(lambda: stack().ccd.combine(weights="EXPTIM"), ValueError, "weights='EXPTIM' is no .* did you mean 'EXPTIME'", "Misspelt."),
    "an argument of another package": Bad(lambda: stack().ccd.sigma_clip(sigma=3), TypeError, "no argument 'sigma': did you mean low= and high=", "Called otherwise here."),
    "an argument without its name": Bad(lambda: stack().ccd.sigma_clip(3, 3, "median"), TypeError, "did you mean center='median'", "Only the first go by position."),
    "a function that does not skip NaN": Bad(lambda: stack().ccd.sigma_clip(3, 3, center=np.median), ValueError, "center=numpy.median gave NaN .* as np.nanmedian", "Missing samples are NaN."),
    "a keyword for a frame's number": Bad(lambda: stack().ccd.header("EXPTIME"), TypeError, r"header\(i\) takes the number of a frame, not i='EXPTIME': .* header\(0\)\['EXPTIME'\]", "A header is astropy's."),
    "a tree for a stack": Bad(lambda: tree().ccd.cutout((10, 20), 5), TypeError, r"not a DataTree: pick a variable, as tree\['light'\]\['data'\]", "Each node has a WCS of its own."),
    "frames without WCS": Bad(lambda: stack().ccd.align(), ValueError, r"no WCS.*: stack.ccd.align\(transforms='similarity'\) matches their stars, align\(offsets=\.\.\.\) shifts them", "Nothing says where they lie."),
    "transforms for other frames": Bad(lambda: stack().ccd.align(transforms=np.zeros((5, 2, 3))), ValueError, r"transforms has shape \(5, 2, 3\): give a matrix \(2, 3\) for each of \d frames", "One for each frame."),
    # Writing
    "a folder in the file's place": Bad(lambda: to_fits("."), IsADirectoryError, "is a folder: name the file in it", "The name is missing."),
    "no such folder": Bad(lambda: to_fits("out/a.fits"), FileNotFoundError, "there is no folder out", "It is not made for you."),
    "a file that is there": Bad(lambda: (to_fits(), to_fits()), FileExistsError, r"'out\.fits' is there already: overwrite=True", "Nothing is replaced unasked."),
    "a name ending in .gz": Bad(lambda: to_fits("out.fits.gz"), OSError, r"written unpacked, name it 'out\.fits'", "Products are plain files."),
    "no permission to write": Bad(lambda: patched("os.access", lambda *_: False), PermissionError, "no permission to write in", "Another user's folder."),
    "a full disk": Bad(lambda: patched("os.fsync", NO_ROOM), OSError, "cannot be written: No space left on device", "What was there stays."),
    "complex numbers": Bad(lambda: to_fits(array=PIXELS * 1j), TypeError, "complex128 cannot be written", "FITS images are real."),
    "no pixels": Bad(lambda: to_fits(array=np.float32(1)), ValueError, r"no pixels, its shape is \(\)", "A single number is no image."),
    "a Dataset without a variable": Bad(lambda: xr.Dataset().ccd.to_fits("a.fits"), ValueError, "this Dataset has no variable", "Nothing to write."),
    "a Dataset of two images": Bad(lambda: xr.Dataset({"a": ("x", [1.0]), "b": ("x", [1.0])}).ccd.to_fits("a.fits"), ValueError, r"a file holds one image with its maps: write one after the other, as ds\[\['a'\]\]", "An image and its maps at a time."),
    "a card for the structure": Bad(lambda: to_fits(header={"NAXIS1": 7}), ValueError, "'NAXIS1': ...}: xccd writes this card itself", "It follows from the array."),
    "a value that is no card": Bad(lambda: to_fits(header={"OBSERVER": [1]}), ValueError, r"'OBSERVER': \[1\]\} cannot be a card", "Texts and numbers can."),
    "a list of cards": Bad(lambda: to_fits(header=["OBSERVER"]), TypeError, "is not a dict of keywords", "A dict or a fits.Header."),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", BAD)
def test_one_clear_error(folder: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = BAD[name]
    if not bad.reads:
        monkeypatch.setattr(FilePixels, "read", mock.Mock(side_effect=AssertionError("pixels were read")))
    with pytest.raises(bad.error, match=bad.message) as raised:
        bad.provoke()
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", [n for n in BAD if "absurd" in n or "65536" in n or "beyond" in n])
def test_nothing_is_allocated_for_an_absurd_header(folder: Path, name: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(OSError, match=BAD[name].message):
            BAD[name].provoke()
        assert tracemalloc.get_traced_memory()[1] < 5e6
    finally:
        tracemalloc.stop()


def bad_input_page(folder: Path) -> str:
    """The text of docs/bad_input.md; ``folder`` is an empty one to work in."""
    rows = []
    for number, (name, bad) in enumerate(BAD.items()):
        place = (folder / str(number)).resolve()
        place.mkdir()
        with chdir(place):
            try:
                bad.provoke()
            except Exception as error:
                message = str(error).replace(f"{place}/", "").replace(str(place), "night")
                kind = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")
        rows.append(f"| {name} | {kind} | `{re.sub(r'[|`]', ' ', message)}` | {bad.meaning} |")
    return "\n".join(["# Errors for bad input", "", *TEXT, "", *HEAD, *rows, ""])


TEXT = [
    "What is wrong with a file or an argument raises an error that names it.",
    "",
    "## Files that cannot be opened",
    "",
    "One damaged file among many need not stop the others. All openers but {func}`~xccd.open_image` take `errors=`:",
    "",
    '| | `errors="raise"` | `errors="skip"` | `errors="nan"` |',
    "|---|---|---|---|",
    "| a file that cannot be opened: missing, truncated, not FITS, without an image | raises | is left out | is a frame of NaN in its place |",
    "| a frame of another shape than more than half of all (not in `open_frames` and `open_tree`) | raises | is left out | is a frame of NaN |",
    "| a mask, uncertainty or weight of one file that cannot be opened | raises | its frame is left out | its frame is NaN |",
    "| pixels that cannot be read later: a damaged tile, a file that was changed or cut | raises | raises | are NaN; the log names the file |",
    "| no file that can be opened, a glob without matches | raises | raises | raises |",
    "| differing units, ROWORDER or BAYERPAT, unusable arguments | raises | raises | raises |",
    '| where it is told | | the log; `attrs["skipped"]` | the log; the label `problem` |',
    "",
    'Pixels are read when they are needed, and no frame can be left out by then. So `"skip"` is for what is seen at the',
    "opening; packed files (`.gz`, `.bz2`, `.xz`) are unpacked for it. Of an image in tiles (`.fz`), a damaged tile alone is",
    'NaN with `"nan"`; of other files, all that is read after the fault. What this process or machine lacks (memory, open',
    "files, room on the disk) raises always. On a cluster the client gets the warning, too. A chain that rejects and combines",
    'reads files as they are stored; with `"nan"` it reads floats, which takes longer.',
    "",
    "    >>> import numpy as np",
    "    >>> import xccd",
    '    >>> frames = [(np.full((2, 3), level), {"EXPTIME": 30.0}) for level in (1.0, 3.0)]',
    '    >>> stack = xccd.open_stack([*frames, "lost.fits"], errors="skip")',
    '    >>> stack.attrs["skipped"]',
    "    'lost.fits: does not exist: check the path'",
    '    >>> stack = xccd.open_stack([*frames, "lost.fits"], errors="nan")',
    '    >>> image = stack.ccd.combine("mean")',
    '    >>> image.values[0].tolist(), image.attrs["NCOMBINE"], image.attrs["NSKIPPED"]',
    "    ([2.0, 2.0, 2.0], 2, 1)",
    '    >>> stack.isel(frame=stack.problem == "").sizes["frame"]',
    "    2",
    "",
    "A product has NSKIPPED, a line of HISTORY, and the table FRAMES with all files; its column SKIPPED says why. NCOMBINE",
    "counts the frames that could be opened; one whose pixels could not be read later is among them, as the header is",
    "written before the pixels are read. A frame of NaN has the labels of its header, if that could be read. Verbs that",
    "measure each frame (`normalize`, `find_offsets`, `find_transforms`, `align`, weights by a keyword) name it, and raise.",
    "`xr.concat` keeps the attributes of its first stack alone, so the label `problem` goes with frames, and `skipped` may",
    "not. In a tree a file is left out at the node that its header, or the table of frames, tells; if neither does, the root has",
    "the attribute `skipped`. `xccd combine` ends with exit code 3 at the first bad file; `--skip-bad` leaves bad files out.",
    "",
    "## All errors",
    "",
    "Each of these cases raises one error, before any pixel is read unless only the pixels show the fault.",
    "A test runs each case. `docs/make_bad_input.py` writes this page from the table of that test.",
]
HEAD = ["| what | error | message | meaning |", "|---|---|---|---|"]


def test_the_page_of_bad_input_is_up_to_date(tmp_path: Path) -> None:
    page = Path(__file__).parents[1] / "docs" / "bad_input.md"
    assert page.read_text("utf-8") == bad_input_page(tmp_path), "run docs/make_bad_input.py"
