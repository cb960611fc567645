"""The table FRAMES with columns that are counted while the image is written."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.headers.writing import FILES

pytestmark = pytest.mark.versions


def product(names: list[str] | None, low: np.ndarray, high: np.ndarray) -> xr.Dataset:
    ds = xr.DataArray(np.ones((2, 3), "f4"), dims=("y", "x")).to_dataset(name="data")
    shares = {"data_share_rejected_low": ("frame", low), "data_share_rejected_high": ("frame", high)}
    return ds.assign_coords(shares if names is None else shares | {FILES: ("frame", names)})


@pytest.mark.parametrize("name", ["a.fits", "a.fits.fz"])
@pytest.mark.parametrize("checksum", [False, True])
def test_a_table_of_shares(tmp_path: Path, name: str, checksum: bool) -> None:
    low, high = np.array([0.25, 0.0]), np.array([0.0, 1e-6])
    product(["b.fits", "é.fits"], low, high).ccd.to_fits(tmp_path / name, checksum=checksum)
    with fits.open(tmp_path / name, checksum=True) as hdus:
        hdus.verify("exception")
        assert hdus[0].header["EXTEND"]
        table = hdus["FRAMES"].data
        assert table["REJ_LOW"].tolist() == low.tolist()
        assert table["REJ_HIGH"].tolist() == high.tolist()
        assert table["FILE"][0] == "b.fits"
        assert len(table["FILE"][1]) == len("é.fits") or table["FILE"][1].isascii()
    assert xccd.open_image(tmp_path / name).shape == (2, 3)


def test_shares_alone_make_no_table(tmp_path: Path) -> None:
    """As `combine_with_maps` of a stack in memory has them."""
    product(None, np.zeros(2), np.zeros(2)).ccd.to_fits(tmp_path / "a.fits")
    with fits.open(tmp_path / "a.fits") as hdus:
        assert len(hdus) == 1


def test_a_list_of_inputs_gets_the_columns(tmp_path: Path) -> None:
    """The list that a product of more than 999 frames has, and one that is longer than the shares."""
    made = product(None, np.array([0.5, 0.25]), np.zeros(2))
    for names, rows in (("a\nb", [0.5, 0.25]), ("a\nb\nc", [0.5, 0.25, np.nan])):
        made.assign_coords({FILES: names}).ccd.to_fits(tmp_path / "a.fits", overwrite=True)
        table = fits.getdata(tmp_path / "a.fits", "FRAMES")
        np.testing.assert_array_equal(table["REJ_LOW"], rows)
        assert table["FILE"].tolist() == names.split("\n")
