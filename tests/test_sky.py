"""Sky coordinates and cutouts."""

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.coordinates import SkyCoord

import xccd
from sky import noise, sip, stack_of, tan, turned
from xccd.sky.grid import Grid

pytestmark = pytest.mark.versions


@pytest.fixture
def image() -> xr.DataArray:
    return stack_of(noise(1), [sip((30, 20), 12)])[0]


def test_coordinates_are_those_of_the_wcs(image):
    placed = image.ccd.assign_sky_coords()
    y, x = np.mgrid[:40, :60]
    expected = image.ccd.wcs().pixel_to_world(x, y)
    np.testing.assert_allclose(placed.ra, expected.ra.deg, atol=1e-10)
    np.testing.assert_allclose(placed.dec, expected.dec.deg, atol=1e-10)
    part = placed[3:20, 5:30]
    np.testing.assert_allclose(part.ra, expected.ra.deg[3:20, 5:30], atol=1e-10)
    assert type(part.xindexes["ra"]).__name__ == "SkyIndex"
    np.testing.assert_allclose(placed[::2].ra, expected.ra.deg[::2], atol=1e-10)
    row = placed.isel(y=5)
    np.testing.assert_allclose(row.dec, expected.dec.deg[5], atol=1e-10)
    assert placed.ra.attrs["units"] == "deg"


def test_pixels_are_found_by_position(image):
    placed = image.ccd.assign_sky_coords()
    sky = image.ccd.wcs().pixel_to_world([7, 33], [30, 11])
    found = placed.sel(ra=xr.Variable("star", sky.ra.deg), dec=xr.Variable("star", sky.dec.deg), method="nearest")
    np.testing.assert_array_equal(found, [image[30, 7], image[11, 33]])


def test_other_systems_and_stacks():
    stack = turned(3).ccd.align(Grid.union(turned(1), frame="galactic", resolution=0.5))
    placed = stack.ccd.assign_sky_coords()
    expected = Grid.of(stack).wcs.pixel_to_world(4, 9).icrs
    assert float(placed.ra[9, 4]) == pytest.approx(expected.ra.deg, abs=1e-9)
    assert float(placed.dec[9, 4]) == pytest.approx(expected.dec.deg, abs=1e-9)
    back = placed.sel(
        ra=xr.Variable("s", [expected.ra.deg]), dec=xr.Variable("s", [expected.dec.deg]), method="nearest"
    )
    np.testing.assert_array_equal(back[:, 0], stack[:, 9, 4])
    ds = turned(3).ccd.to_dataset().ccd.align().ccd.assign_sky_coords()
    assert ds.ra.shape == ds.data.shape[1:]
    same = ds.data.ccd.combine("mean") + ds.data.ccd.combine("mean")
    assert same.shape == ds.ra.shape


def test_cutouts(image):
    wcs = image.ccd.wcs()
    star = wcs.pixel_to_world(33, 18)
    for position in (star, (star.ra.deg, star.dec.deg), star.to_string("hmsdms")):
        part = image.ccd.cutout(position, 9)
        np.testing.assert_array_equal(part, image[14:23, 29:38])
    x, y = part.ccd.wcs().world_to_pixel(star)
    np.testing.assert_allclose([x, y], 4, atol=1e-3)
    assert image.ccd.cutout(star, (5, 7)).shape == (5, 7)
    assert image.ccd.cutout(star, 3.6 * u.arcsec).shape == (10, 10)
    assert image.ccd.cutout(star, (3.6, 7.2) * u.arcsec).shape == (10, 20)
    edge = image.ccd.cutout(wcs.pixel_to_world(1, 38), 9)
    np.testing.assert_array_equal(edge, image[34:, :6])
    stack = turned(3).ccd.align()
    there = Grid.of(stack).wcs.pixel_to_world(30, 25)
    assert stack.ccd.cutout(there, 11).shape == (3, 11, 11)
    assert stack.ccd.to_dataset().ccd.cutout(there, 11).data_flags.shape == (3, 11, 11)


def test_errors(image):
    star = image.ccd.wcs().pixel_to_world(33, 18)
    with pytest.raises(ValueError, match=r"position=\(50.0, 20.0\) is outside the image, 37\."):
        image.ccd.cutout((50.0, 20.0), 9)
    for size in (0, -3, "x", (1, 2, 3), np.nan, True):
        with pytest.raises(ValueError, match="is not"):
            image.ccd.cutout(star, size)
    with pytest.raises(ValueError, match="is 2 positions: give one"):
        image.ccd.cutout(SkyCoord([1, 2], [3, 4], unit="deg"), 5)
    with pytest.raises(ValueError, match=r"the frames have 3 WCS: take one, as stack\[0\], or align them"):
        xccd.cutout(turned(3), star, 5)
    with pytest.raises(ValueError, match="there is no WCS"):
        xccd.assign_sky_coords(xr.DataArray(np.ones((3, 4)), dims=("y", "x")))
    assert stack_of(noise(1), [tan((3, 3))]).ccd.cutout((10.0, 20.0), 3).shape == (1, 3, 3)
