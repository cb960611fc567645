"""Headers, pixels and WCS of real frames, with astropy as the other reader."""

import shutil
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.wcs import WCS, FITSFixedWarning

import xccd
from xccd.headers.cards import STRUCTURAL
from xccd.headers.writing import as_block
from xccd.labels.header import as_written

GROUPS = {
    "bias": ("kast_blue/b2[123].fits.gz", 0),
    "flats": ("kast_blue/b1*.fits.gz", 0),
    "decam": ("decam_i/OBS04*.fits", 0),
    "decam, the other field": ("decam_i/OBS18*.fits", 0),
    "bok": ("bok_90prime/deep2g_ra352_[13]-ccd?.fits", 1),
}


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest, real_frames: Path) -> tuple[xr.DataArray, int]:
    pattern, hdu = GROUPS[request.param]
    return xccd.open_stack(real_frames / pattern), hdu


def test_pixels_are_those_of_astropy(group: tuple[xr.DataArray, int]) -> None:
    stack, hdu = group
    for frame in stack:
        np.testing.assert_array_equal(frame.values, fits.getdata(frame.file.item(), hdu))


@pytest.mark.versions
def test_a_product_has_the_header_that_astropy_would_write(group: tuple[xr.DataArray, int]) -> None:
    stack, _ = group
    for image in (stack.ccd.combine("mean"), stack[0], stack.ccd.minmax(max=1e5).isel(frame=-1)):
        lines = as_written(image)
        assert lines is not None
        assert as_block(lines) == bytes(image.ccd.header().tostring(), "ascii")
    assert as_written(stack[0, 1:]) is None
    assert as_written(stack[0].assign_attrs(units="furlong")) is None


def test_every_card_of_the_file_is_in_the_header(group: tuple[xr.DataArray, int]) -> None:
    stack, hdu = group
    for i in range(stack.sizes["frame"]):
        original, ours = fits.getheader(stack.file.values[i], hdu), stack.ccd.header(i)
        gone = set(original) - set(ours)
        assert all(STRUCTURAL.fullmatch(keyword) for keyword in gone)
        for card in original.cards:
            if card.keyword not in gone | {"COMMENT", "HISTORY", "", "SIMPLE", "BITPIX", "NAXIS"}:
                assert ours[card.keyword] == original[card.keyword]
        comments = [str(c).rstrip() for header in (original, ours) for c in header.get("COMMENT", [])]
        half = len(original.get("COMMENT", []))
        assert comments[:half] == comments[half : 2 * half]


def test_a_frame_and_a_product_can_be_written(group: tuple[xr.DataArray, int], tmp_path: Path) -> None:
    stack, _ = group
    path = stack[0].ccd.to_fits(tmp_path / "frame.fits")
    again = xccd.open_stack(path)[0]
    np.testing.assert_array_equal(again.values, stack[0].values)
    assert again.ccd.header().tostring() == stack.ccd.header(0).tostring()
    product = stack.ccd.combine("median")
    header = fits.getheader(product.ccd.to_fits(tmp_path / "product.fits"))
    assert header["NCOMBINE"] == stack.sizes["frame"]
    assert header["IMCMB001"] == Path(stack.file.values[0]).name
    with fits.open(tmp_path / "product.fits") as hdus:
        hdus.verify("exception")


def test_kast_blue_is_a_night(real_frames: Path) -> None:
    stack = xccd.open_stack(real_frames / "kast_blue")
    names = [Path(f).name[:3] for f in stack.file.values]
    assert names == ["b11", "b12", "b13", "b21", "b22", "b23", "b24", "b27"]
    assert stack.EXPTIME.values.tolist() == [15, 15, 15, 0, 0, 0, 30, 1200]
    assert stack.OBSTYPE.values[3] == "DARK"
    assert xccd.open_stack(real_frames / "kast_blue", dtype="native").dtype == "uint16"
    assert (np.diff(stack["DATE-OBS"].values[:3]) > np.timedelta64(0, "s")).all()


def test_the_primary_of_bok_gives_its_exposure_but_not_its_wcs(real_frames: Path) -> None:
    path = real_frames / "bok_90prime" / "deep2g_ra352_1-ccd1.fits"
    primary, own = fits.getheader(path, 0), fits.getheader(path, 1)
    assert "EXPTIME" in primary
    assert "EXPTIME" not in own
    stack = xccd.open_stack(path)
    assert stack.EXPTIME.values.tolist() == [primary["EXPTIME"]]
    ours = stack.ccd.wcs(0).all_pix2world([[0, 0], [29, 29]], 0)
    np.testing.assert_allclose(ours, reference(own).all_pix2world([[0, 0], [29, 29]], 0), rtol=0, atol=1e-9)
    poison = {k for k in primary if k.startswith(("CTYPE", "CRVAL", "CRPIX", "CD")) and k not in own}
    assert not poison & set(stack.ccd.header(0))
    crop = stack[0, 3:, 5:]
    found = crop.ccd.wcs().all_pix2world([[0, 0]], 0)
    np.testing.assert_allclose(found, reference(own).all_pix2world([[5, 3]], 0), rtol=0, atol=1e-9)


def reference(header: fits.Header) -> WCS:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FITSFixedWarning)
        return WCS(header)


@pytest.mark.versions
@pytest.mark.parametrize("cut", [np.s_[:, :], np.s_[40:, 90:200], np.s_[1::3, ::3]], ids=["whole", "crop", "stride"])
@pytest.mark.parametrize("name", ["OBS04a", "OBS18c"])
def test_the_sky_of_decam_stays_where_it_is(real_frames: Path, name: str, cut: tuple) -> None:
    path = real_frames / "decam_i" / f"{name}.fits"
    frame = xccd.open_stack(path)[0]
    number = frame.copy(data=np.arange(frame.size, dtype="f8").reshape(frame.shape))[cut]
    j, i = np.array([0, 5, number.sizes["y"] - 1]), np.array([0, number.sizes["x"] - 1, 7])
    where = number.values[j, i]
    ours = np.transpose(number.ccd.wcs().all_pix2world(i, j, 0))
    original = reference(fits.getheader(path)).all_pix2world(where % 256, where // 256, 0)
    np.testing.assert_allclose(ours, np.transpose(original), rtol=0, atol=1e-9)


@pytest.mark.versions
def test_netcdf_and_zarr_take_real_headers(real_frames: Path, tmp_path: Path) -> None:
    for n, pattern in enumerate(("kast_blue/b1*", "decam_i/OBS*")):
        stack = xccd.open_stack(real_frames / pattern)[:, :20, :20]
        stack.to_netcdf(tmp_path / f"{n}.nc")
        with xr.open_dataarray(tmp_path / f"{n}.nc") as again:
            xr.testing.assert_identical(again.load(), stack.compute())
        stack.to_zarr(tmp_path / f"{n}.zarr", zarr_format=3, consolidated=False)
        again = xr.open_dataarray(tmp_path / f"{n}.zarr", engine="zarr", consolidated=False)
        xr.testing.assert_identical(again.load(), stack.compute())


def test_opening_a_night_unpacks_it_once(real_frames: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b21", "b22"):
        shutil.copy(real_frames / "kast_blue" / f"{name}.fits.gz", tmp_path)
    stack = xccd.open_stack(tmp_path, chunks={"y": 50})
    first = stack.values
    monkeypatch.setitem(
        xccd.read.files.unpack.PACKINGS, ".gz", xccd.read.files.unpack.PACKINGS[".gz"]._replace(open=None)
    )
    np.testing.assert_array_equal(xccd.open_stack(tmp_path).values, first)
