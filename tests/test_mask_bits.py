"""Masks and planes of quality bits (DQ): what is bad, in every opener, form and way of storing them."""

import gzip
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.nddata import CCDData
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from fits_files import head, line, padded, raw, structure
from xccd.read.images.pixels import ArrayPixels
from xccd.read.images.quality import bad_pixels, bits_of

SHAPE = (2, 4)
PLANE = np.array([[0, 1, 2, 4], [8, 16, 5, 0]])


def image(level: int = 100) -> np.ndarray[Any, Any]:
    return np.full(SHAPE, level, "u2")


def file_of(path: Path, plane: Any, name: str = "DQ", kind: Any = fits.ImageHDU) -> Path:
    """A file whose image has a plane beside it."""
    fits.HDUList([fits.PrimaryHDU(image()), kind(np.asarray(plane), name=name)]).writeto(path)
    return path


def bad(obj: xr.DataArray) -> list[list[bool]]:
    return obj.isnull().values.reshape(SHAPE).tolist()


def by_tree(files: Any, **options: Any) -> xr.DataArray:
    return xccd.open_tree(files, **options)["data"]


def by_dataset(files: Any, **options: Any) -> xr.DataArray:
    ds = xccd.open_dataset(files, **options)
    assert ds.data.dtype == np.uint16
    return ds.data.astype(float).where(ds.data_flags != 1)


def by_engine(files: Any, **options: Any) -> xr.DataArray:
    ds = xr.open_dataset(files, engine="xccd", **options)
    return ds.data.where(ds.data_flags == 0)


OPENERS: dict[str, Callable[..., xr.DataArray]] = {
    "open_stack": xccd.open_stack,
    "without dask": lambda f, **o: xccd.open_stack(f, chunks=None, **o),
    "open_image": xccd.open_image,
    "open_frames": lambda f, **o: xccd.open_frames(f, **o)[0],
    "open_tree": by_tree,
    "open_dataset": by_dataset,
    "engine": by_engine,
}
FORMS: dict[str, Callable[[Path], Any]] = {
    "file": lambda p: p,
    "gz": lambda p: packed(p),
    "HDUList": lambda p: fits.open(p, memmap=False),
    "HDUList without a file": lambda p: fits.HDUList.fromstring(p.read_bytes()),
}


def packed(path: Path) -> Path:
    target = path.with_name(f"{path.name}.gz")
    target.write_bytes(gzip.compress(path.read_bytes()))
    return target


@contextmanager
def opened_as(form: str, path: Path) -> Iterator[Any]:
    """A file in one of the forms."""
    source = FORMS[form](path)
    try:
        yield source
    finally:
        if isinstance(source, fits.HDUList):
            source.close()


@pytest.mark.parametrize("name", ["MASK", "DQ", "dq"])
@pytest.mark.parametrize("opener", OPENERS)
def test_every_opener_reads_it(tmp_path: Path, opener: str, name: str) -> None:
    path = file_of(tmp_path / "a.fits", PLANE.astype("i2"), name)
    opened = OPENERS[opener]
    assert bad(opened(path)) == (PLANE != 0).tolist()
    assert bad(opened(path, bits=[1, 4])) == ((PLANE & 5) != 0).tolist()
    assert not np.any(bad(opened(path, mask_hdu=None)))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("kind", "dtype"), [
    *((fits.ImageHDU, dtype) for dtype in ("u1", "i1", "i2", "u2", "i4", "u4", "i8", "u8")),
    *((fits.CompImageHDU, dtype) for dtype in ("u1", "i2", "u2", "i4", "u4")),
])  # fmt: skip
def test_every_integer_has_bits(tmp_path: Path, form: str, kind: Any, dtype: str) -> None:
    top = 1 << (8 * np.dtype(dtype).itemsize - 1)  # of those with a sign its bit
    plane = PLANE.astype("u8")
    plane[0, 0] = top + 2
    plane = plane.astype(dtype.replace("i", "u")).view(dtype)
    with opened_as(form, file_of(tmp_path / "a.fits", plane, kind=kind)) as source:
        for bits, expected in {top: [[0, 0]], 2: [[0, 0], [0, 2]], top + 16: [[0, 0], [1, 1]]}.items():
            assert np.argwhere(bad(xccd.open_stack(source, bits=bits))).tolist() == expected


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("zero", [0, 32768])
def test_a_blank_of_the_plane_is_bad(tmp_path: Path, form: str, zero: int) -> None:
    stored = np.array([[-1, 1, 2, 4], [8, 16, 5, 0]], "i2")
    plane = head([*structure(16, 4, 2, first="XTENSION= 'IMAGE   '"), line("PCOUNT", 0), line("GCOUNT", 1),
                  "EXTNAME = 'DQ      '", line("BLANK", -1), line("BZERO", zero)])  # fmt: skip
    raw(tmp_path / "a.fits", image().astype("i2"))
    with open(tmp_path / "a.fits", "ab") as file:
        file.write(plane + padded(stored.astype(">i2").tobytes()))
    with opened_as(form, tmp_path / "a.fits") as source:
        stack = xccd.open_stack(source, bits=4)
        assert np.argwhere(bad(stack)).tolist() == [[0, 0], [0, 3], [1, 2]]
        if isinstance(source, fits.HDUList):
            assert source[1].data.dtype.kind == ("u" if zero else "f")  # these floats are of astropy's making
            assert bad(xccd.open_stack(source, bits=4)) == bad(stack)


def test_a_plane_of_one_number(tmp_path: Path) -> None:
    plane = head([*structure(16, first="XTENSION= 'IMAGE   '"), line("PCOUNT", 0), line("GCOUNT", 1),
                  "EXTNAME = 'DQ      '", line("NPIX1", 4), line("NPIX2", 2), line("PIXVALUE", 6)])  # fmt: skip
    path = raw(tmp_path / "a.fits", image().astype("i2"))
    with open(path, "ab") as file:
        file.write(plane)
    with fits.open(path) as lazy, fits.HDUList.fromstring(path.read_bytes()) as loaded:
        for source in (path, lazy, loaded):
            assert np.all(bad(xccd.open_stack(source)))
            assert np.all(bad(xccd.open_stack(source, bits=[4])))
            assert not np.any(bad(xccd.open_stack(source, bits=[1])))


def test_the_mask_of_a_ccddata_is_decided_already() -> None:
    stack = xccd.open_stack(CCDData(image(), unit="adu", mask=PLANE == 2), bits=4)
    assert bad(stack) == (PLANE == 2).tolist()


def test_the_first_name_that_is_there_counts(tmp_path: Path) -> None:
    hdus = [fits.ImageHDU((level == PLANE).astype("u1"), name=name) for level, name in ((1, "DQ"), (2, "MASK"))]
    fits.HDUList([fits.PrimaryHDU(image()), *hdus]).writeto(tmp_path / "a.fits")
    for names, level in {"MASK": 2, "DQ": 1, ("DQ", 1): 1, 1: 1}.items():
        assert bad(xccd.open_stack(tmp_path / "a.fits", mask_hdu=names)) == (level == PLANE).tolist()
    for names, level in ((["DQ", "MASK"], 1), (["BPM", "mask"], 2)):
        assert bad(xccd.open_stack(tmp_path / "a.fits", mask_hdu=names)) == (level == PLANE).tolist()
    assert not np.any(bad(xccd.open_stack(tmp_path / "a.fits", mask_hdu=["BPM"])))


def test_bits_stay_lazy_and_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = [file_of(tmp_path / f"{i}.fits", PLANE.astype("i4")) for i in range(3)]
    stack, other = xccd.open_stack(files, bits=[4]), xccd.open_stack(files, bits=[8])
    assert stack.data.name != other.data.name
    assert dask.base.tokenize(stack.data) == dask.base.tokenize(xccd.open_stack(files, bits=4).data)
    xr.testing.assert_equal(pickle.loads(pickle.dumps(stack)).compute(), stack.compute())
    assert stack.ccd.combine("sum").isnull().values.tolist() == ((PLANE & 4) != 0).tolist()


@settings(max_examples=50, deadline=None)
@given(plane=st.lists(st.integers(0, 2**16 - 1), min_size=1, max_size=20),
       bits=st.sets(st.integers(0, 15), min_size=1))  # fmt: skip
def test_a_pixel_is_bad_if_it_has_one_of_the_bits(plane: list[int], bits: set[int]) -> None:
    values = [1 << b for b in bits]
    array = np.array([plane], "u2")
    expected = [any(p >> b & 1 for b in bits) for p in plane]
    for given_bits in (values, tuple(values), set(values), np.array(values), sum(values), np.uint32(sum(values))):
        for stored in (array, array.view("i2"), array.astype(">u2"), array.astype("i8")):
            out = np.empty(array.shape)
            mask = bad_pixels(ArrayPixels(stored), bits_of(given_bits), "a.fits")
            mask.read((slice(0, 1), slice(0, len(plane))), out)
            assert out[0].astype(bool).tolist() == expected


ARGUMENTS = [
    (0, ValueError, "bits=0 names no bit: bits=None takes any"),
    ([], ValueError, r"bits=\[\] names no bit"),
    ([1, 3], ValueError, r"bits=\[1, 3\]: 3 is not a power of two: a list holds the value of each bit"),
    ([0], ValueError, r"bits=\[0\]: 0 is not a power of two"),
    (-1, ValueError, "bits=-1: -1 is not a sum of bits"),
    (1 << 64, ValueError, "is not a sum of bits, which are 1 to"),
    (True, TypeError, "bits=True are no bits: give their values"),
    ([True], TypeError, "are no bits"),
    ("4", TypeError, "bits='4' are no bits"),
    (4.0, TypeError, "bits=4.0 are no bits"),
    ([1, "HOT"], TypeError, "are no bits"),
]


@pytest.mark.parametrize(("bits", "error", "message"), ARGUMENTS, ids=lambda v: repr(v)[:20])
def test_what_are_no_bits(bits: Any, error: type[Exception], message: str) -> None:
    for opened in (xccd.open_stack, xccd.open_dataset, xccd.open_tree, xccd.open_frames, xccd.open_image):
        with pytest.raises(error, match=message):
            opened([(image(), {})], bits=bits)


def test_bits_without_a_plane(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"bits=4 goes with a mask: mask_hdu=None reads none"):
        xccd.open_stack([(image(), {})], bits=4, mask_hdu=None)
    with pytest.raises(ValueError, match=r"bits=\[4\]: no file has an extension MASK or DQ: mask_hdu= names another"):
        xccd.open_stack([(image(), {})], bits=[4])
    path = file_of(tmp_path / "a.fits", PLANE.astype("u1"))
    mixed = xccd.open_stack([path, (image(), {})], bits=[4])
    assert mixed.isnull().sum(("y", "x")).values.tolist() == [2, 0]


@pytest.mark.parametrize("form", ["file", "HDUList"])
def test_planes_that_have_no_such_bits(tmp_path: Path, form: str) -> None:
    with opened_as(form, file_of(tmp_path / "a.fits", PLANE.astype("f4"))) as source:
        assert bad(xccd.open_stack(source)) == (PLANE != 0).tolist()
        with pytest.raises(
            ValueError, match=r"a\.fits: the extension 1 DQ: image 2 x 4 holds float32, but bits=4 needs"
        ):
            xccd.open_stack(source, bits=[4])
    scaled = file_of(tmp_path / "b.fits", PLANE.astype("i2"))
    with fits.open(scaled, mode="update", do_not_scale_image_data=True) as hdus:
        hdus[1].header["BSCALE"] = 2.0
    with pytest.raises(ValueError, match=r"b\.fits: .*holds float32, but bits=4 needs whole numbers"):
        xccd.open_dataset(scaled, bits=4)
    small = file_of(tmp_path / "c.fits", PLANE.astype("u1"))
    with pytest.raises(
        ValueError, match=r"c\.fits: .* holds uint8, which has none of bits=256: its bits are below 2\*\*8"
    ):
        xccd.open_stack(small, bits=256)
    assert np.any(bad(xccd.open_stack(small, bits=[256, 4])))


@pytest.mark.parametrize("form", ["file", "HDUList"])
def test_a_table_of_that_name(tmp_path: Path, form: str) -> None:
    table = fits.BinTableHDU.from_columns([fits.Column("A", "E", array=np.ones(2))], name="DQ")
    fits.HDUList([fits.PrimaryHDU(image()), table]).writeto(tmp_path / "a.fits")
    message = r"a\.fits: mask_hdu='MASK' is not an image, but 1 DQ: table \(BINTABLE\): mask_hdu=None leaves it"
    with opened_as(form, tmp_path / "a.fits") as source:
        for opened in (xccd.open_stack, xccd.open_dataset):
            with pytest.raises(OSError, match=message):
                opened(source)
        assert not np.any(bad(xccd.open_stack(source, mask_hdu=None)))
    fits.append(tmp_path / "a.fits", PLANE.astype("u1"), fits.Header({"EXTNAME": "DQ"}))
    assert bad(xccd.open_stack(tmp_path / "a.fits")) == (PLANE != 0).tolist()
