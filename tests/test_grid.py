"""`Grid`, the pixels of an image on the sky, as a value."""

import pickle
from pathlib import Path

import numpy as np
import pytest
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.io import fits
from astropy.wcs import WCS
from dask.base import tokenize

import xccd
from fits_files import write
from sky import sip, stack_of, tan, turned
from xccd.sky.grid import Grid

pytestmark = pytest.mark.versions

HEAD = tan((30.5, 20.25), 12)
SIZES = {"NAXIS": 2, "NAXIS1": 60, "NAXIS2": 40}


def sky(grid: Grid, x: float, y: float) -> SkyCoord:
    return SkyCoord(*grid.wcs.all_pix2world(x, y, 0), unit="deg")


def test_any_source_gives_the_same_grid(tmp_path: Path) -> None:
    path = write(tmp_path / "a.fits", np.zeros((40, 60)), HEAD)
    wcs = WCS(fits.Header(HEAD))
    wcs.pixel_shape = (60, 40)
    stack = stack_of(np.zeros((2, 40, 60)), [HEAD, HEAD])
    grid = Grid.of(HEAD | SIZES)
    for source in (grid, fits.Header(HEAD | SIZES), path, str(path), stack, stack[0], stack.ccd.to_dataset()):
        assert Grid.of(source) == grid
    of_wcs = Grid.of(wcs)  # in astropy's spelling: PC and CDELT
    assert of_wcs.shape == grid.shape == (40, 60)
    assert sky(of_wcs, 3, 35).separation(sky(grid, 3, 35)).arcsec < 1e-6
    assert Grid.of(WCS(fits.Header(HEAD)), shape=(5, 6)).shape == (5, 6)


def test_it_is_a_value() -> None:
    grid, same = Grid.of(HEAD | SIZES), Grid.of(HEAD | SIZES)
    assert (grid == same, hash(grid) == hash(same), tokenize(grid) == tokenize(same)) == (True,) * 3
    assert pickle.loads(pickle.dumps(grid)) == grid
    assert len(pickle.dumps(grid)) < 2000
    assert grid != Grid.of(HEAD | SIZES | {"CRVAL1": 11.0})
    with pytest.raises(AttributeError):
        grid.shape = (1, 1)


def test_parts_are_on_the_same_sky() -> None:
    grid = Grid.of(sip((30.5, 20.25), 12) | SIZES)
    part = grid[5:, 10:20]
    assert part.shape == (35, 10)
    assert sky(part, 3, 4).separation(sky(grid, 13, 9)).arcsec < 1e-9
    assert Grid.of(grid.header) == grid
    with pytest.raises(TypeError, match="cut by two slices"):
        grid[5]
    with pytest.raises(ValueError, match="has no pixels, or a step"):
        grid[::2, :]


def test_union_holds_all_corners() -> None:
    stack = turned(4)
    for options in ({}, {"north_up": False}, {"frame": "galactic"}, {"resolution": 0.5}, {"resolution": 1 * u.arcsec}):
        grid = Grid.union(stack, **options)
        for i in range(4):
            own = Grid.of(stack[i])
            for x, y in ((0, 0), (59, 0), (0, 39), (59, 39)):
                there = SkyCoord(*own.wcs.all_pix2world(x, y, 0), unit="deg")
                px, py = grid.wcs.world_to_pixel(there)
                assert -0.51 < px < grid.shape[1] - 0.49
                assert -0.51 < py < grid.shape[0] - 0.49
    assert Grid.union(stack, resolution=0.5).pixel_size * 3600 == pytest.approx(0.5)
    assert Grid.union(stack, frame="galactic").wcs.wcs.ctype[0] == "GLON-TAN"
    assert Grid.union([Grid.of(stack[0]), stack[1:]]) == Grid.union(stack)


def test_union_of_frames_that_differ_by_whole_pixels_keeps_their_grid() -> None:
    stack = stack_of(np.zeros((3, 40, 60)), [tan((30, 20), 5), tan((25, 27), 5), tan((31, 20), 5)])
    grid = Grid.union(stack)
    assert grid.shape == (47, 66)
    assert sky(grid, 1 + 3, 7 + 4).separation(sky(Grid.of(stack[0]), 3, 4)).arcsec < 1e-9
    assert Grid.union(stack[:1]) == Grid.of(stack[0])


@pytest.mark.parametrize(
    ("source", "error", "match"),
    [
        ({"NAXIS1": 5, "NAXIS2": 4}, ValueError, "there is no WCS: the header has no CTYPE1"),
        (HEAD, ValueError, r"does not say how large the image is \(NAXIS1, NAXIS2\): give shape="),
        (HEAD | SIZES | {"CTYPE1": "LINEAR", "CTYPE2": "LINEAR"}, ValueError, "the WCS is not celestial"),
        (HEAD | SIZES | {"CD1_1": 0.0, "CD1_2": 0.0}, ValueError, "singular"),
        (sip((1, 1)) | SIZES | {"A_ORDER": 60000}, ValueError, "A_ORDER = 60000"),
        (HEAD | SIZES | {"CPDIS1": "LOOKUP"}, ValueError, r"distorted by a table in another HDU \(CPDIS1\)"),
        (HEAD | {"NAXIS1": 10**7, "NAXIS2": 5}, ValueError, "does not say how large"),
        (7, TypeError, "an int has no WCS: give a Grid, WCS, Header, FITS file, or an image or stack"),
        (np.zeros(3), TypeError, "a ndarray has no WCS"),
        ("nowhere.fits", OSError, "nowhere.fits"),
    ],
    ids=str,
)
def test_no_grid(source, error, match, tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(error, match=match):
        Grid.of(source)


def test_no_grid_of_a_wcs_and_no_union() -> None:
    with pytest.raises(ValueError, match=r"this WCS has no pixel_shape: give shape=\(rows, columns\)"):
        Grid.of(WCS(fits.Header(HEAD)))
    with pytest.raises(ValueError, match=r"shape=\(0, 5\) is not \(rows, columns\)"):
        Grid.of(HEAD, shape=(0, 5))
    with pytest.raises(ValueError, match="there is no WCS"):
        Grid.of(xccd.open_stack([(np.zeros((2, 3)), {})]))
    with pytest.raises(ValueError, match="an empty list has no frames"):
        Grid.union([])
    with pytest.raises(ValueError, match="resolution=-1 is not the side of a pixel"):
        Grid.union(turned(2), resolution=-1)
    ds = xccd.open_stack([(np.zeros((2, 3)), {})]).to_dataset(name="a").assign(b=("x", [1, 2, 3]))
    with pytest.raises(ValueError, match=r"this Dataset has 2 images \(a, b\): pick one"):
        Grid.of(ds)


def test_frames_whose_wcs_differ_have_no_one_grid() -> None:
    stack = stack_of(np.zeros((3, 40, 60)), [HEAD, HEAD, tan((31.5, 20.25), 12)])
    message = r"the frames have 2 WCS: take one, as stack\[0\], or align them; Grid\.union\(stack\) holds them all"
    for source in (stack, stack.ccd.to_dataset(), stack.load()):
        with pytest.raises(ValueError, match=message):
            Grid.of(source)
    with pytest.raises(ValueError, match=rf"to= has no grid that can be used: {message}"):
        stack.ccd.align(stack)
    assert Grid.of(stack[:2]) == Grid.of(stack[0])
    assert stack.ccd.align(stack[0]).shape == (3, 40, 60)
    without = stack_of(np.zeros((2, 4, 6)), [{"EXPTIME": 1.0}, {"EXPTIME": 2.0}])
    with pytest.raises(ValueError, match="there is no WCS: the header has no CTYPE1"):
        Grid.of(without)
