"""Maps of an image as extensions of its file, as astropy and a later `open_dataset` read them."""

from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from astropy.io import fits
from astropy.io.fits.scripts import fitscheck
from astropy.nddata import CCDData

import xccd
from fits_files import write

CARDS = {"BUNIT": "adu", "EXPTIME": 10.0, "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRPIX1": 2.0, "CRVAL1": 10.0}


def files(folder: Path, n: int = 6) -> list[Path]:
    rng = np.random.default_rng(0)
    return [write(folder / f"{i}.fits", rng.integers(90, 110, (20, 30)).astype("uint16"), CARDS) for i in range(n)]


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [None, "auto", {"y": 7}])
def test_an_image_and_its_maps(tmp_path: Path, chunks: object) -> None:
    ds = xccd.open_dataset(files(tmp_path), chunks=chunks)
    image = ds.ccd.sigma_clip(1.5, 1.5).ccd.combine("mean")
    path = image.ccd.to_fits(tmp_path / "out.fits")
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "COUNT"]
        hdus.verify("exception")
        assert hdus[0].header["EXTEND"]
        for name, variable in (("PRIMARY", "data"), ("UNCERT", "data_uncertainty"), ("COUNT", "data_count")):
            np.testing.assert_array_equal(hdus[name].data, image[variable].values)
        assert hdus["COUNT"].header["BITPIX"] == 32
        assert hdus["UNCERT"].header["BUNIT"] == "adu"
    ccd = CCDData.read(path)
    assert ccd.unit == "adu"
    assert type(ccd.uncertainty).__name__ == "StdDevUncertainty"
    np.testing.assert_array_equal(ccd.uncertainty.array, image.data_uncertainty.values)
    assert path.stat().st_size % 2880 == 0


@pytest.mark.versions
def test_flags_are_the_mask(tmp_path: Path) -> None:
    ds = xccd.open_dataset(files(tmp_path)).isel(frame=[0]).ccd.minmax(max=105)
    path = ds.isel(frame=0).ccd.to_fits(tmp_path / "out.fits")
    with fits.open(path) as hdus:
        np.testing.assert_array_equal(hdus["MASK"].data, ds.data_flags.values[0])
        assert hdus["MASK"].header["BITPIX"] == 8
        assert "16 rejected_low" in list(hdus["MASK"].header["COMMENT"])
        assert hdus[0].data.dtype == np.uint16
    ccd = CCDData.read(path)
    np.testing.assert_array_equal(ccd.mask, ds.data.values[0] > 105)
    back = xccd.open_dataset(path)
    np.testing.assert_array_equal(back.data.values, ds.data.values)
    np.testing.assert_array_equal(back.data_flags.values != 0, ds.data_flags.values != 0)


@pytest.mark.versions
@pytest.mark.parametrize("kind", ["std", "var", "ivar"])
def test_kinds_of_uncertainty_go_there_and_back(tmp_path: Path, kind: str) -> None:
    image = xr.DataArray(np.ones((2, 3), "f4"), dims=("y", "x"))
    error = xr.DataArray(np.full((2, 3), 2.0), dims=("y", "x"), attrs={"uncertainty_type": kind})
    path = image.ccd.to_dataset(uncertainty=error).ccd.to_fits(tmp_path / "out.fits")
    assert CCDData.read(path, unit="adu").uncertainty.uncertainty_type == kind
    back = xccd.open_dataset(path)
    assert back.data_uncertainty.attrs["uncertainty_type"] == kind
    assert (back.data_uncertainty.values == 2).all()


@pytest.mark.versions
@pytest.mark.parametrize("scheduler", ["sync", "threads"])
def test_one_pass_and_the_same_bytes(tmp_path: Path, scheduler: str) -> None:
    there = files(tmp_path)
    whole = xccd.open_dataset(there, chunks=None).ccd.combine("median").ccd.to_fits(tmp_path / "whole.fits")
    told: list[tuple[int, int]] = []
    with dask.config.set(scheduler=scheduler, num_workers=2):
        image = xccd.open_dataset(there, chunks={"y": 6}).ccd.combine("median")
        path = image.ccd.to_fits(tmp_path / "out.fits", progress=lambda *now: told.append(now))
    assert path.read_bytes() == whole.read_bytes()
    assert told[-1] == (20 * 30 * 12, 20 * 30 * 12)


def test_the_stack_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xccd.read.images.pixels import FilePixels

    image = xccd.open_dataset(files(tmp_path)).ccd.sigma_clip(1.5, 1.5).ccd.combine("mean")
    reads = []
    real = FilePixels.read
    monkeypatch.setattr(FilePixels, "read", lambda self, *a: reads.append(self.path) or real(self, *a))
    image.ccd.to_fits(tmp_path / "out.fits")
    assert len(reads) == 6


@pytest.mark.versions
def test_nodes_of_a_tree(tmp_path: Path) -> None:
    ds = xccd.open_dataset(files(tmp_path))
    paths = xr.DataTree.from_dict({"flat": ds, "dark": ds}).ccd.combine("mean").ccd.to_fits(tmp_path)
    for path in paths:
        with fits.open(path) as hdus:
            assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "COUNT"]


def test_a_list_of_very_many_inputs_comes_last(tmp_path: Path) -> None:
    frames = [(np.zeros((1, 2), "f4"), {})] * 1001
    path = xccd.open_dataset(frames).ccd.combine("mean").ccd.to_fits(tmp_path / "out.fits")
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "UNCERT", "COUNT", "FRAMES"]
        assert len(hdus["FRAMES"].data) == 1001


@pytest.mark.versions
@pytest.mark.parametrize("name", ["out.fits", "out.fits.fz"])
def test_checksums_hold(tmp_path: Path, name: str) -> None:
    ds = xccd.open_dataset(files(tmp_path))
    path = ds.ccd.combine("mean").ccd.to_fits(tmp_path / name, checksum=True)
    with fits.open(path, checksum=True, disable_image_compression=True) as hdus:  # it warns of what does not hold
        assert all("CHECKSUM" in hdu.header and "DATASUM" in hdu.header for hdu in hdus)
    if name == "out.fits":  # of compressed images fitscheck asks the header that astropy makes up
        assert fitscheck.main([str(path)]) == 0
        plain = ds.ccd.combine("mean").ccd.to_fits(tmp_path / "plain.fits")
        np.testing.assert_array_equal(fits.getdata(path), fits.getdata(plain))
        broken = bytearray(path.read_bytes())
        broken[-2880] ^= 1  # a pixel
        path.write_bytes(broken)
        assert fitscheck.main([str(path)]) != 0


def test_checksums_in_a_header_that_is_full(tmp_path: Path) -> None:
    """Their cards would make it longer by a block."""
    for n in range(28, 38):
        image = xr.DataArray(np.ones((3, 4)), dims=("y", "x"), attrs={f"K{i}": i for i in range(n)})
        path = image.ccd.to_fits(tmp_path / f"{n}.fits", checksum=True)
        with fits.open(path, checksum=True) as hdus:
            assert hdus[0].header[f"K{n - 1}"] == n - 1
            np.testing.assert_array_equal(hdus[0].data, image)


@pytest.mark.versions
def test_tiles_lose_nothing(tmp_path: Path) -> None:
    ds = xccd.open_dataset(files(tmp_path))
    image = ds.ccd.sigma_clip(1.5, 1.5).ccd.combine("mean")
    path = image.ccd.to_fits(tmp_path / "out.fits.fz")
    with fits.open(path) as hdus:
        assert [hdu.name for hdu in hdus] == ["PRIMARY", "COMPRESSED_IMAGE", "UNCERT", "COUNT"]
        assert [hdu.compression_type for hdu in hdus[1:]] == ["GZIP_2", "GZIP_2", "RICE_1"]
        assert hdus[1].header["NCOMBINE"] == 6
    back = xccd.open_dataset(path)
    np.testing.assert_array_equal(back.data.values[0], image.data.values)
    np.testing.assert_array_equal(back.data_uncertainty.values[0], image.data_uncertainty.values)
    native = ds.data[0].ccd.to_fits(tmp_path / "raw.fits.fz")
    np.testing.assert_array_equal(fits.getdata(native), ds.data.values[0])
    assert not [p.name for p in tmp_path.iterdir() if "part" in p.name]


def test_maps_that_do_not_fit(tmp_path: Path) -> None:
    image = xr.DataArray(np.ones((2, 3)), dims=("y", "x"), attrs={"ancillary_variables": "data_a other"})
    ds = image.to_dataset(name="data").assign(data_a=image[0])
    with pytest.raises(ValueError, match=r"the map 'data_a' has sizes {'x': 3}, the image {'y': 2, 'x': 3}"):
        ds.ccd.to_fits(tmp_path / "a.fits")
    image.attrs["ancillary_variables"] = "data_mask data_flags"
    ds = image.to_dataset(name="data").assign(data_mask=image > 2, data_flags=image.astype("u1"))
    with pytest.raises(ValueError, match="'data_mask' and 'data_flags' would both be the extension MASK: drop one"):
        ds.ccd.to_fits(tmp_path / "a.fits")
    assert not list(tmp_path.iterdir())
