"""One image on its own: a master of another day in arithmetic with a stack."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

import xccd

pytestmark = pytest.mark.versions

CARDS = {"EXPTIME": 30.0, "OBJECT": "M 51", "BUNIT": "adu", "CTYPE1": "RA---TAN", "CRPIX1": 2.0}


@pytest.fixture
def raw() -> xr.DataArray:
    return xccd.open_stack([(np.full((4, 5), 100.0 + i, "f4"), CARDS | {"SEQ": i}) for i in range(3)])


def test_a_written_master_keeps_the_stack_whole(raw: xr.DataArray, tmp_path: Path) -> None:
    path = raw.ccd.combine("mean").ccd.to_fits(tmp_path / "master.fits")
    master = xccd.open_image(path)
    assert master.dims == ("y", "x")
    assert not set(master.coords) & {k for k, c in raw.coords.items() if "frame" in c.dims}
    reduced = (raw - master).compute()
    assert set(raw.coords) <= set(reduced.coords)
    np.testing.assert_array_equal(reduced[:, 0, 0], [-1, 0, 1])
    assert reduced.ccd.header(2)["SEQ"] == 2
    assert master.attrs["NCOMBINE"] == 3


def test_the_header_is_that_of_the_file(raw: xr.DataArray, tmp_path: Path) -> None:
    path = raw.ccd.combine("mean").ccd.to_fits(tmp_path / "master.fits")
    master = xccd.open_image(path, chunks="auto")
    assert xccd.header(master)["IMCMB003"] == "frame-3"
    again = master[1:, 2:].ccd.to_fits(tmp_path / "crop.fits")
    crop = xccd.open_image(again)
    assert (crop.ccd.header()["CRPIX1"], int(crop.x[0]), int(crop.y[0])) == (0.0, 2, 1)
    xr.testing.assert_equal(crop.drop_vars("image_header"), master[1:, 2:].drop_vars("image_header").compute())


def test_many_images_are_a_stack(raw: xr.DataArray, tmp_path: Path) -> None:
    for name in ("a", "b"):
        raw[0].ccd.to_fits(tmp_path / f"{name}.fits")
    with pytest.raises(ValueError, match=r"stands for 2 images: open_stack opens many"):
        xccd.open_image(tmp_path / "*.fits")
