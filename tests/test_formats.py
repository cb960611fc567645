"""Every format that is read: its pixels, some rows of them, its missing ones, its unit and WCS, beside astropy's."""

import bz2
import gzip
import lzma
import pickle
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import fsspec
import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import xccd
from remote_files import server
from xccd.compute import bands

SHAPE = (40, 50)
WCS_CARDS = {
    "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 20.5, "CRPIX2": 10.0, "CRVAL1": 150.0, "CRVAL2": 2.0,
    "CDELT1": -1e-3, "CDELT2": 1e-3, "BUNIT": "adu", "EXPTIME": 30.0,
}  # fmt: skip
RNG = np.random.default_rng(0)
WHOLE = RNG.integers(0, 250, SHAPE)
REAL = RNG.normal(1000, 5, SHAPE).astype("f4")
HOLES = REAL.copy()
HOLES[3, 4:7] = np.nan
Make = Callable[[Path], Path]


def plain(data: np.ndarray, **cards: Any) -> Make:
    def make(path: Path) -> Path:
        hdu = fits.PrimaryHDU(data)
        hdu.header.update(WCS_CARDS | cards)
        hdu.writeto(path)
        return path

    return make


def scaled(blank: int | None = None) -> Make:
    def make(path: Path) -> Path:
        hdu = fits.PrimaryHDU(WHOLE.astype("i2"))
        hdu.header.update(WCS_CARDS)
        hdu.scale("int16", bscale=0.5, bzero=10)
        if blank is not None:
            hdu.header["BLANK"] = blank
            hdu.data[3, 4:7] = blank
        hdu.writeto(path)
        return path

    return make


def extension(path: Path) -> Path:
    hdus = [
        fits.PrimaryHDU(),
        fits.ImageHDU(WHOLE.astype("f4") * 0, name="SCI"),
        fits.ImageHDU(REAL, name="SCI", ver=2),
    ]
    for hdu in hdus[1:]:
        hdu.header.update(WCS_CARDS)
    fits.HDUList(hdus).writeto(path)
    return path


def masked(path: Path, name: str = "MASK", dtype: str = "u1") -> Path:
    hdus = [fits.PrimaryHDU(REAL), fits.ImageHDU(np.isnan(HOLES).astype(dtype), name=name)]
    hdus[0].header.update(WCS_CARDS)
    fits.HDUList(hdus).writeto(path)
    return path


def packed(suffix: str, opener: Any, data: np.ndarray = REAL) -> Make:
    def make(path: Path) -> Path:
        target = path.with_name(path.name + suffix)
        with opener(target, "wb") as file:
            file.write(plain(data)(path).read_bytes())
        path.unlink()
        return target

    return make


def tiled(data: np.ndarray, kind: str, **options: Any) -> Make:
    def make(path: Path) -> Path:
        target = path.with_name(path.name + ".fz")
        hdu = fits.CompImageHDU(data, fits.Header(WCS_CARDS), compression_type=kind, **options)
        fits.HDUList([fits.PrimaryHDU(), hdu]).writeto(target)
        return target

    return make


def constant(path: Path) -> Path:
    """No data: the number that all pixels are, and their size, are in the header."""
    hdu = fits.PrimaryHDU()
    hdu.header.update({"NPIX1": SHAPE[1], "NPIX2": SHAPE[0], "PIXVALUE": 7} | WCS_CARDS)
    hdu.writeto(path)
    return path


def tiled_blank(path: Path) -> Path:
    data = WHOLE.astype("i2")
    data[3, 4:7] = -99
    header = fits.Header(WCS_CARDS | {"BLANK": -99})
    target = path.with_name(path.name + ".fz")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(data, header, compression_type="RICE_1")]).writeto(target)
    return target


# Format: how a file of it is made, its HDU, whether some pixels are missing
FORMATS: dict[str, tuple[Make, Any, bool]] = {
    **{
        f"BITPIX of {d}": (plain(WHOLE.astype(d)), None, False)
        for d in ("u1", "i2", "u2", "i4", "u4", "i8", "f4", "f8")
    },
    "NaN": (plain(HOLES), None, True),
    "BSCALE": (scaled(), None, False),
    "BSCALE and BLANK": (scaled(-1), None, True),
    "a name and a version": (extension, ("SCI", 2), False),
    "an extension MASK": (masked, None, True),
    "an extension DQ": (lambda path: masked(path, "DQ", "u4"), None, True),
    ".gz": (packed(".gz", gzip.open), None, False),
    ".bz2": (packed(".bz2", bz2.open), None, False),
    ".xz": (packed(".xz", lzma.open), None, False),
    ".gz with NaN": (packed(".gz", gzip.open, HOLES), None, True),
    "NPIX1": (constant, None, False),
    "http": (plain(HOLES), None, True),
    "http, an extension MASK": (masked, None, True),
    "http, .gz": (packed(".gz", gzip.open), None, False),
    "http, .fz": (tiled(HOLES, "RICE_1", quantize_level=16), None, True),
    "memory": (scaled(-1), None, True),
    "memory, a name and a version": (extension, ("SCI", 2), False),
    "RICE_1 of int16": (tiled(WHOLE.astype("i2"), "RICE_1"), None, False),
    "RICE_1 of uint16": (tiled(WHOLE.astype("u2"), "RICE_1"), None, False),
    "RICE_1 of int32 in blocks": (tiled(WHOLE.astype("i4"), "RICE_1", tile_shape=(16, 20)), None, False),
    "RICE_1 with BLANK": (tiled_blank, None, True),
    "RICE_1 of quantised floats": (tiled(REAL, "RICE_1", quantize_level=16), None, False),
    "RICE_1, dithered, with NaN": (tiled(HOLES, "RICE_1", quantize_level=16, quantize_method=2), None, True),
    "GZIP_1": (tiled(WHOLE.astype("i2"), "GZIP_1"), None, False),
    "GZIP_2 of floats, lossless": (tiled(HOLES, "GZIP_2", quantize_level=0), None, True),
    "PLIO_1": (tiled(WHOLE.astype("i2"), "PLIO_1"), None, False),
    "HCOMPRESS_1": (tiled(WHOLE.astype("i4"), "HCOMPRESS_1"), None, False),
    "NOCOMPRESS": (tiled(WHOLE.astype("i2"), "NOCOMPRESS"), None, False),
}


Case = tuple[Any, Any, bool, np.ndarray, fits.Header]


@contextmanager
def placed(path: Path, where: str) -> Iterator[Path | str]:
    """The file where it is, behind a server, or in fsspec's memory."""
    if where == "http":
        with server(path.parent) as http:
            yield f"{http.url}/{path.name}"
    elif where == "memory":
        fs = fsspec.filesystem("memory")
        fs.pipe(f"/formats/{path.name}", path.read_bytes())
        yield f"memory://formats/{path.name}"
        fs.rm("/formats", recursive=True)
    else:
        yield path


def by_astropy(path: Path, hdu: Any, name: str) -> tuple[np.ndarray, fits.Header]:
    """What astropy reads of a file; masks and constants it leaves to others."""
    if name == "NPIX1":
        return np.full(SHAPE, 7.0), fits.Header({"NAXIS": 2, "NAXIS1": SHAPE[1], "NAXIS2": SHAPE[0]} | WCS_CARDS)
    data, header = fits.getdata(path, header=True, **({} if hdu is None else {"extname": hdu[0], "extver": hdu[1]}))
    return (HOLES if "an extension" in name else data), header


@pytest.fixture(params=FORMATS)
def case(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Case]:
    """A file, its HDU, whether something is missing, and what astropy reads of it."""
    make, hdu, holes = FORMATS[request.param]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        path = make(tmp_path / "a.fits")
        data, header = by_astropy(path, hdu, request.param)
    with placed(path, request.param.split(",")[0]) as place:
        yield place, hdu, holes, data, header


@pytest.mark.versions(chunks=("auto",))
@pytest.mark.parametrize("chunks", ["auto", None])
def test_read(case: Case, chunks: Any) -> None:
    path, hdu, _, data, _ = case
    stack = xccd.open_stack(path, hdu=hdu, chunks=chunks)
    np.testing.assert_array_equal(stack.values[0], data.astype(stack.dtype))
    np.testing.assert_array_equal(xccd.open_image(path, hdu=hdu).values, stack.values[0])


@pytest.mark.filterwarnings("ignore:files=.* is given twice")
def test_band_read(case: Case) -> None:
    path, hdu, _, data, _ = case
    for chunks in ({"y": 7}, None):
        stack = pickle.loads(pickle.dumps(xccd.open_stack([path, path], hdu=hdu, chunks=chunks)))
        part = stack[1, 5:23, 10:40]
        np.testing.assert_array_equal(part.values, data[5:23, 10:40].astype(stack.dtype))
        both = stack.ccd.combine("max").values
        np.testing.assert_array_equal(both, data.astype(both.dtype))


def test_mask(case: Case) -> None:
    path, hdu, holes, data, _ = case
    stack = xccd.open_stack(path, hdu=hdu)
    np.testing.assert_array_equal(stack.ccd.mask.values[0], np.isnan(data.astype(float)))
    assert stack.ccd.mask.values.any() == holes
    flags = xccd.open_dataset(path, hdu=hdu).data_flags.values[0]
    np.testing.assert_array_equal(flags != 0, np.isnan(data.astype(float)))


def test_units(case: Case) -> None:
    path, hdu, *_ = case
    assert xccd.open_stack(path, hdu=hdu).attrs["units"] == "adu"


@pytest.mark.versions
def test_wcs_and_header(case: Case) -> None:
    path, hdu, _, _, header = case
    stack = xccd.open_stack(path, hdu=hdu)
    pixels = ([0, 30.5], [7, 39])
    np.testing.assert_array_equal(stack.ccd.wcs(0).wcs_pix2world(*pixels, 0), WCS(header).wcs_pix2world(*pixels, 0))
    ours = stack.ccd.header(0)
    assert (ours["NAXIS"], ours["NAXIS1"], ours["NAXIS2"]) == (2, 50, 40)
    assert not [k for k in ours if k.startswith(("Z", "TFORM", "TTYPE"))]
    assert all(ours[k] == v for k, v in WCS_CARDS.items())


def test_bands_follow_tiles(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tiled(WHOLE.astype("i4"), "RICE_1", tile_shape=(16, 50))(tmp_path / "a.fits")
    monkeypatch.setattr(bands, "BAND_BYTES", 20 * 50 * 8)
    assert xccd.open_stack(path).chunks[1] == (16, 16, 8)
    monkeypatch.setattr(bands, "BAND_BYTES", 5 * 50 * 8)  # less than a tile: it is unpacked for each band
    assert xccd.open_stack(path).chunks[1] == (5,) * 8


@pytest.mark.parametrize("kind", ["HCOMPRESS_1", "RICE_1", "PLIO_1", "GZIP_2"])
def test_many_threads_read_tiles_at_once(tmp_path: Path, kind: str) -> None:
    path = tiled(WHOLE.astype("i4"), kind)(tmp_path / "a.fits")
    with pytest.warns(UserWarning, match=r"a.fits.* is given twice \(and 6 more\)"):
        stack = xccd.open_stack([path] * 8, chunks={"frame": 1, "y": 16})
    with dask.config.set(scheduler="threads", num_workers=8):
        for _ in range(5):
            np.testing.assert_array_equal(stack.values, np.broadcast_to(WHOLE, stack.shape))


@pytest.mark.versions
def test_a_cube_in_tiles(tmp_path: Path) -> None:
    cube = RNG.integers(0, 99, (3, 20, 30)).astype("i2")
    fits.HDUList([fits.PrimaryHDU(), fits.CompImageHDU(cube)]).writeto(tmp_path / "a.fits.fz")
    np.testing.assert_array_equal(xccd.open_stack(tmp_path / "a.fits.fz").values[0], cube)


def test_a_folder_of_them(tmp_path: Path) -> None:
    for i in range(3):
        tiled(WHOLE.astype("u2") + np.uint16(i), "RICE_1")(tmp_path / f"{i}.fits")
    stack = xccd.open_stack(tmp_path)
    assert stack.file.size == 3
    np.testing.assert_array_equal(stack.ccd.combine("median"), WHOLE + 1)


def test_an_hdu_in_memory_is_chosen_by_version() -> None:
    hdus = fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(REAL, name="SCI"), fits.ImageHDU(HOLES, name="SCI", ver=2)])
    np.testing.assert_array_equal(xccd.open_stack([hdus], hdu=("sci", 2)).values[0], HOLES)
    with pytest.raises(OSError, match=r"has no hdu=\('SCI', 3\)"):
        xccd.open_stack([hdus], hdu=("SCI", 3))


def test_what_goes_wrong(tmp_path: Path) -> None:
    path = extension(tmp_path / "a.fits")
    with pytest.raises(OSError, match=r"has no hdu=\('SCI', 3\): its HDUs are 0 PRIMARY: no data; 1 SCI: "):
        xccd.open_stack(path, hdu=("SCI", 3))
    with pytest.raises(TypeError, match=r"hdu=\('SCI', 'x'\) is not \(EXTNAME, EXTVER\), as \('SCI', 2\)"):
        xccd.open_stack(path, hdu=("SCI", "x"))
    cut = packed(".xz", lzma.open)(tmp_path / "b.fits")
    cut.write_bytes(cut.read_bytes()[:-60])
    with pytest.raises(OSError, match=r"b\.fits\.xz cannot be unpacked"):
        xccd.open_stack(cut).load()


@pytest.mark.versions
def test_tiles_that_are_damaged_or_gone(tmp_path: Path) -> None:
    path = tiled(WHOLE.astype("i4"), "HCOMPRESS_1")(tmp_path / "a.fits")
    data = path.read_bytes()
    path.write_bytes(data[:-2880] + bytes(2880))
    stack = xccd.open_stack(path)
    with pytest.raises(OSError, match=r"a\.fits\.fz, HDU 1: its tiles cannot be read: .*COMPRESSED_DATA"):
        stack.load()
    path.write_bytes(data + bytes(2880))
    with pytest.raises(OSError, match=r"a\.fits\.fz has changed since it was opened"):
        stack.load()
    path.unlink()
    with pytest.raises(OSError, match=r"a\.fits\.fz is gone"):
        stack.load()
