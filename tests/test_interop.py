"""CCDData and masked arrays, out and back."""

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty
from astropy.wcs import WCS

import xccd

pytestmark = pytest.mark.versions

SHAPE = (4, 5)


def ccd(seed: int, kind: type = StdDevUncertainty, dtype: str = "f4") -> CCDData:
    rng = np.random.default_rng(seed)
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix, wcs.wcs.cdelt = ["RA---TAN", "DEC--TAN"], [10, 20], [2, 3], [-0.1, 0.1]
    mask = rng.random(SHAPE) < 0.2
    flags = np.where(rng.random(SHAPE) < 0.2, 32, 0).astype(np.uint8)
    meta = fits.Header({"OBJECT": f"M {seed}", "EXPTIME": 30.0, "HIERARCH ESO DET GAIN": 1.5})
    return CCDData(
        rng.integers(0, 99, SHAPE).astype(dtype), unit="electron", mask=mask, flags=flags, wcs=wcs, meta=meta,
        uncertainty=kind(rng.random(SHAPE)),
    )  # fmt: skip


@pytest.mark.parametrize("kind", [StdDevUncertainty, VarianceUncertainty, InverseVariance])
@pytest.mark.parametrize("dtype", ["f4", "f8", "u2"])
def test_there_and_back(kind: type, dtype: str) -> None:
    given = [ccd(i, kind, dtype) for i in range(3)]
    back = xccd.from_ccddata(given).ccd.to_ccddata()
    for a, b in zip(given, back, strict=True):
        np.testing.assert_array_equal(a.data, b.data)
        assert a.data.dtype == b.data.dtype
        assert a.unit == b.unit
        np.testing.assert_array_equal(a.mask | (a.flags != 0), b.mask)
        np.testing.assert_array_equal(np.where(a.flags == 0, a.mask, a.flags), b.flags)
        assert type(a.uncertainty) is type(b.uncertainty)
        np.testing.assert_array_equal(a.uncertainty.array, b.uncertainty.array)
        np.testing.assert_allclose(a.wcs.wcs_pix2world(1, 2, 0), b.wcs.wcs_pix2world(1, 2, 0), rtol=1e-14)
        assert all(b.header[k] == v for k, v in a.header.items())


def test_one_image_and_a_product_with_maps() -> None:
    ds = xccd.from_ccddata([ccd(i) for i in range(5)])
    product = ds.ccd.combine("mean")
    one = product.ccd.to_ccddata()
    np.testing.assert_array_equal(one.data, product.data.values)
    np.testing.assert_array_equal(one.uncertainty.array, product.data_uncertainty.values)
    assert one.header["NCOMBINE"] == 5
    assert isinstance(one.uncertainty, StdDevUncertainty)
    assert one.wcs is not None
    alone = product.data.ccd.to_ccddata()
    np.testing.assert_array_equal(alone.data, one.data)
    assert alone.uncertainty is None


def test_nan_is_the_mask_of_a_dataarray() -> None:
    stack = xr.DataArray([[1.0, np.nan], [3.0, 4.0]], dims=("frame", "x"))
    first, second = stack.ccd.to_ccddata()
    assert first.mask.tolist() == [False, True]
    assert second.mask is None
    assert first.unit == u.dimensionless_unscaled
    assert stack.ccd.to_masked_array().mask.tolist() == [[False, True], [False, False]]


def test_masked_arrays_of_flags() -> None:
    ds = xr.DataArray(np.array([1, 2, 90], "u2"), dims="frame").ccd.to_dataset().ccd.minmax(max=50)
    masked = ds.ccd.to_masked_array()
    assert masked.dtype == np.uint16
    assert masked.tolist() == [1, 2, None]


def test_what_is_refused() -> None:
    image = xr.DataArray(np.ones((2, 2)), dims=("y", "x"), attrs={"units": "furlongs of light"})
    with pytest.raises(ValueError, match="this image has the unit 'furlongs of light', which astropy does not know"):
        image.ccd.to_ccddata()
    with pytest.raises(ValueError, match=r"this Dataset has 2 images \(a, b\): pick one"):
        xr.Dataset({"a": image, "b": image}).ccd.to_ccddata()
    with pytest.raises(TypeError, match="takes a DataArray or a Dataset, not a DataTree"):
        xr.DataTree().ccd.to_ccddata()
    with pytest.raises(TypeError, match="from_ccddata takes CCDData, not str"):
        xccd.from_ccddata(["a.fits"])
