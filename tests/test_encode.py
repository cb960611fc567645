"""`to_fits(dtype=, fill=)`: what fits is exact, what does not is told with its range, when all is there."""

import gzip
import re
from pathlib import Path
from typing import Any

import astropy
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.utils import minversion
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xccd
from fits_files import write
from xccd.write.encode import ASKED

FORMS = ("numpy", "dask", "deferred")
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def image(array: Any, form: str = "numpy", folder: Path | None = None) -> xr.DataArray:
    """An image in one of the forms that wait, or that do not."""
    array = np.asarray(array)
    if form == "deferred":
        assert folder is not None
        stack = xccd.open_stack([write(folder / "raw.fits", array)], chunks=None, dtype="native")
        return stack.ccd.combine("max", dtype="float64")
    return xr.DataArray(da.from_array(array, 2) if form == "dask" else array, dims=("y", "x"))


@quick
@given(st.data(), st.sampled_from([*ASKED, "bool", "int8", "float16", ">u2", ">f4"]))
def test_what_is_read_back_is_what_was_written(tmp_path: Path, data: st.DataObject, dtype: str) -> None:
    kind = np.dtype(dtype)
    array = data.draw(hnp.arrays(kind, hnp.array_shapes(min_dims=2, max_dims=2, max_side=4)))
    path = image(array).ccd.to_fits(tmp_path / "a.fits", overwrite=True)
    back = xccd.open_image(path, dtype="native")
    np.testing.assert_array_equal(back.values, array)
    np.testing.assert_array_equal(fits.getdata(path), array)
    if str(kind) in ASKED:
        assert back.dtype == kind
    assert path.read_bytes() == image(array, "dask").ccd.to_fits(tmp_path / "b.fits", overwrite=True).read_bytes()


@pytest.mark.parametrize(("dtype", "bitpix"), [("uint16", 16), ("uint32", 32), ("uint64", 64), ("int16", 16)])
def test_unsigned_numbers_go_by_bzero(tmp_path: Path, dtype: str, bitpix: int) -> None:
    limits = np.iinfo(dtype)
    given = np.array([[limits.min, limits.max, 1]], dtype)
    path = image(given).ccd.to_fits(tmp_path / "a.fits", checksum=True)
    head = fits.getheader(path, do_not_scale_image_data=True)
    raw = fits.open(path, do_not_scale_image_data=True)
    with raw as hdus:
        assert hdus[0].header["BITPIX"] == bitpix
        assert hdus[0].header.get("BZERO", 0) == (1 << (bitpix - 1) if dtype[0] == "u" else 0)
        assert hdus[0].data.dtype == f">i{bitpix // 8}"
    assert head["NAXIS1"] == 3
    if dtype == "uint64" and not minversion(astropy, "8.0"):
        with pytest.raises(ValueError, match=r"astropy \S+ does not compress uint64 correctly: use astropy 8"):
            image(given).ccd.to_fits(tmp_path / "a.fits.fz")
        assert sorted(p.name for p in tmp_path.iterdir()) == ["a.fits"]
        return
    packed = image(given).ccd.to_fits(tmp_path / "a.fits.fz")
    for each in (path, packed):
        np.testing.assert_array_equal(xccd.open_image(each, dtype="native").values, given)
        np.testing.assert_array_equal(fits.getdata(each), given)
    header = image(given).ccd.header()
    assert (header["BITPIX"], header.get("BZERO", 0)) == (head["BITPIX"], 1 << (bitpix - 1) if dtype[0] == "u" else 0)


@pytest.mark.parametrize("form", FORMS)
def test_it_rounds_to_the_nearest_even(tmp_path: Path, form: str) -> None:
    values = [[-0.5, 0.5, 1.5], [2.4, 65535.4, 65534.5]]
    path = image(values, form, tmp_path).ccd.to_fits(tmp_path / "a.fits", dtype="uint16")
    assert fits.getdata(path).tolist() == [[0, 0, 2], [2, 65535, 65534]]
    assert fits.getdata(path).dtype == np.uint16


@quick
@given(st.data(), st.sampled_from(ASKED), st.sampled_from(["float32", "float64", "int64", "uint64", "float16", "int8"]))
def test_it_fits_or_it_is_told(tmp_path: Path, data: st.DataObject, dtype: str, source: str) -> None:
    """Against Python's own whole numbers."""
    array = data.draw(hnp.arrays(source, (2, 3)))
    target, old = np.dtype(dtype), tmp_path / "a.fits"
    old.write_bytes(b"old")
    wanted = [round(float(v)) if np.isfinite(v) else None for v in array.ravel()]
    if array.dtype.kind != "f":
        wanted = [int(v) for v in array.ravel()]
    if target.kind == "f":
        with np.errstate(over="ignore"):
            fits_in = not (np.isinf(array.astype(target)) & np.isfinite(array)).any()
    else:
        limits = np.iinfo(target)
        fits_in = all(v is not None and limits.min <= v <= limits.max for v in wanted)
    if fits_in:
        found = fits.getdata(image(array).ccd.to_fits(old, dtype=dtype, overwrite=True))
        assert found.dtype.newbyteorder("=") == target
        np.testing.assert_array_equal(found.ravel(), array.ravel().astype(target) if target.kind == "f" else wanted)
    else:
        with pytest.raises(ValueError, match=rf"a\.fits': the image does not fit into {dtype}, of its pixels \d"):
            image(array).ccd.to_fits(old, dtype=dtype, overwrite=True)
        assert old.read_bytes() == b"old"


@pytest.mark.parametrize("form", FORMS)
def test_what_does_not_fit_is_counted_in_one_pass(tmp_path: Path, form: str) -> None:
    """Of all blocks, though the first would do for an error; the old file stays."""
    values = np.arange(30.0).reshape(5, 6)
    values[0, :2], values[4, 3:] = (-7, np.nan), (np.inf, 70000.6, np.nan)
    if form == "deferred":  # where a file has an infinity it is missing
        values[4, 3] = np.nan
    path = image(np.eye(2)).ccd.to_fits(tmp_path / "a.fits")
    before = path.read_bytes()
    outside = r"2 outside 0 to 65535 \(from -7 to 70000\.6\), clip them; "
    rest = "3 missing" if form == "deferred" else r"1 infinite: whole numbers cannot be; 2 missing"
    product = image(values, form, tmp_path)
    blocks: list[int] = []
    if form == "dask":
        counted = product.data.map_blocks(lambda b: blocks.append(1) or b, dtype=float, meta=np.empty((0, 0)))
        product = product.copy(data=counted)
    with pytest.raises(ValueError, match=rf"{outside}{rest} \(NaN\): fill=0 writes a number for them"):
        product.ccd.to_fits(path, dtype="uint16", overwrite=True)
    assert len(blocks) == (9 if form == "dask" else 0)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if p.name != "raw.fits"] == ["a.fits"]


def test_missing_pixels_get_the_number_that_is_given(tmp_path: Path) -> None:
    values = [[1.4, np.nan], [np.nan, 3.0]]
    path = image(values).ccd.to_fits(tmp_path / "a.fits", dtype="int16", fill=-99)
    assert fits.getdata(path).tolist() == [[1, -99], [-99, 3]]
    with pytest.raises(ValueError, match="1 infinite"):
        image([[np.inf, 1.0]]).ccd.to_fits(path, dtype="int16", fill=0, overwrite=True)


def test_maps_of_an_image(tmp_path: Path) -> None:
    """They keep their dtypes beside whole numbers, follow a float dtype, and never wrap around."""
    stack = xr.DataArray(np.arange(12, dtype="f8").reshape(3, 2, 2), dims=("frame", "y", "x"), name="data")
    product = stack.ccd.to_dataset().ccd.combine("mean")
    for dtype, kinds in (("uint16", ["uint16", ">f8", ">i4"]), ("float32", [">f4", ">f4", ">i4"])):
        with fits.open(product.ccd.to_fits(tmp_path / f"{dtype}.fits", dtype=dtype)) as hdus:
            assert [hdu.data.dtype for hdu in hdus] == kinds
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "COUNT"]
    many = product.assign(data_count=product.data_count.copy(data=np.full((2, 2), 1 << 31)))
    with pytest.raises(ValueError, match="the map 'data_count' does not fit into int32, of its pixels 4 outside"):
        many.ccd.to_fits(tmp_path / "many.fits")
    dq = xr.DataArray(np.full((2, 2), 256, "u2"), dims=("y", "x"))
    masked = xr.Dataset({"data": stack[0].assign_attrs(ancillary_variables="data_mask"), "data_mask": dq})
    assert fits.getdata(masked.ccd.to_fits(tmp_path / "dq.fits"), "MASK").tolist() == [[256, 256], [256, 256]]


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"dtype": "complex64"}, ValueError, "dtype='complex64' does not exist in FITS: use one of uint8, int16"),
        ({"dtype": "int8"}, ValueError, "dtype='int8' does not exist in FITS"),
        ({"dtype": "short one"}, TypeError, "dtype='short one' is no dtype"),
        ({"fill": 0}, ValueError, r"fill=0 goes with a dtype of whole numbers, as dtype='uint16'"),
        ({"fill": 0, "dtype": "float32"}, ValueError, "fill=0 goes with a dtype of whole numbers"),
        (
            {"fill": -1, "dtype": "uint16"},
            ValueError,
            "fill=-1 is not a whole number from 0 to 65535, the range of uint16",
        ),
        ({"fill": 1.5, "dtype": "uint16"}, ValueError, "fill=1.5 is not a whole number from 0 to 65535"),
        ({"fill": np.nan, "dtype": "int32"}, ValueError, "fill=nan is not a whole number"),
        ({"fill": "0", "dtype": "int32"}, ValueError, "fill='0' is not a whole number"),
        ({"fill": True, "dtype": "int32"}, ValueError, "fill=True is not a whole number"),
    ],
    ids=str,
)
def test_arguments_are_checked(tmp_path: Path, arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        image(da.zeros((2, 2))).ccd.to_fits(tmp_path / "a.fits", **arguments)
    with pytest.raises(TypeError, match="complex128 cannot be written as float32"):
        image(np.eye(2) * 1j).ccd.to_fits(tmp_path / "a.fits", dtype="float32")
    assert not list(tmp_path.iterdir())


def test_who_wrote_a_product_is_said_once(tmp_path: Path) -> None:
    frames = [(np.full((2, 3), i, "f4"), {"CREATOR": "camera 7", "OBJECT": "M 51"}) for i in range(3)]
    stack = xccd.open_stack(frames)
    path = stack.ccd.combine("mean").ccd.to_fits(tmp_path / "a.fits")
    again = xccd.open_image(path).ccd.to_fits(tmp_path / "b.fits")
    moved = xccd.open_image(path)[1:].assign_attrs(units="adu").ccd.to_fits(tmp_path / "c.fits")  # as astropy writes
    for each in (path, again, moved):
        assert re.fullmatch(r"xccd \d+\.\d+\.\d+.*", fits.getval(each, "CREATOR"))
        assert fits.getheader(each).count("CREATOR") == 1
    assert fits.getval(stack[0].ccd.to_fits(tmp_path / "raw.fits"), "CREATOR") == "camera 7"  # a frame stays as it is
    mine = stack.ccd.combine().ccd.to_fits(tmp_path / "d.fits", header={"CREATOR": "pipeline 2"})
    assert fits.getval(mine, "CREATOR") == "pipeline 2"


@pytest.mark.parametrize("name", ["a.fits", "a.fits.fz"])
def test_the_same_product_is_the_same_file(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Comments of checksums have no time in them. Tiles of floats do: gzip writes the second before each."""
    from astropy.io.fits.hdu import base

    found = set()
    monkeypatch.setattr(gzip.time, "time", lambda: 1.8e9)
    for hour in ("2026-01-01T00:00:00", "2026-01-01T01:00:00"):
        monkeypatch.setattr(base._ValidHDU, "_get_timestamp", lambda _, hour=hour: hour)
        for checksum in (True, False):
            path = image(np.arange(6.0).reshape(2, 3)).ccd.to_fits(tmp_path / name, checksum=checksum, overwrite=True)
            found.add((checksum, path.read_bytes()))
    assert len(found) == 2
