"""Where pixels of a grid lie in frames: whatever the WCS."""

import pickle
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS, DistortionLookupTable
from scipy.ndimage import map_coordinates

import xccd
from sky import exact, noise, sip, stack_of, tan, tpv, turned
from xccd.sky import gather, pixel_map, transform
from xccd.sky.grid import Grid


def test_where_cubics_do_not_do_the_wcs_itself_is_used():
    """All sky, with the poles, and frames that look at one."""
    sky = {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR", "CRVAL1": 180.0, "CRVAL2": 0.0, "CRPIX1": 90.5, "CRPIX2": 45.5,
           "CDELT1": -2.0, "CDELT2": 2.0}  # fmt: skip
    y, x = np.mgrid[:90, :180]
    image = 10 + np.cos(np.deg2rad(2 * x - 180)) * np.cos(np.deg2rad(2 * y - 89)) + 0.01 * y
    pole = tan((30, 20), scale=0.5) | {"CRVAL1": 0.0, "CRVAL2": 89.0}
    stack = stack_of([image], [sky])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        aligned = stack.ccd.align(Grid.of(pole, shape=(40, 60)))
    px, py = exact(stack, Grid.of(aligned), 0)
    inside = (px > 0) & (px < 179) & (py > 0) & (py < 89)
    np.testing.assert_allclose(aligned[0].values[inside], map_coordinates(image, [py, px], order=1)[inside], atol=1e-6)
    back = stack_of([aligned[0].values], [pole]).ccd.align(Grid.of(sky, shape=(90, 180)))
    px, py = exact(stack_of([image[:40, :60]], [pole]), Grid.of(sky, shape=(90, 180)), 0)
    near = (px > 0) & (px < 59) & (py > 0) & (py < 39)
    assert near.sum() > 500
    assert np.isfinite(back[0].values[near]).all()
    assert np.isnan(back[0].values[:40]).all()


def test_other_celestial_systems():
    grid = Grid.union(turned(1), frame="galactic", resolution=0.5)
    stack = turned(1)
    aligned = stack.ccd.align(grid)
    x, y = exact(stack, grid, 0)
    inside = (x > 0) & (x < 59) & (y > 0) & (y < 39)
    np.testing.assert_allclose(
        aligned[0].values[inside], map_coordinates(stack[0].values, [y, x], order=1)[inside], atol=1e-4 * 40
    )


def test_distortions_do_not_fold_back():
    """A frame whose polynomials turn round outside it is not seen there."""
    head = sip((30, 20), size=2e-3)
    stack = stack_of(noise(1), [head])
    aligned = stack.ccd.align(Grid.of(tan((1000, 1000)), shape=(2000, 2000)))
    rows, columns = np.nonzero(np.isfinite(aligned[0].values))
    assert np.ptp(rows) < 60
    assert np.ptp(columns) < 90


def test_a_map_is_as_exact_as_it_says():
    frames = [Grid.of(kind((1000, 900), 30), shape=(1800, 2000)) for kind in (tan, sip, tpv)]
    target = Grid.of(tan((1500, 1500), scale=0.8e-4), shape=(3000, 3000))
    rng = np.random.default_rng(1)
    for frame in frames:
        found = pixel_map.pixel_map(frame, target)
        assert found.step >= 64
        x, y = rng.integers(found.box[2], found.box[3], 500), rng.integers(found.box[0], found.box[1], 500)
        true = transform.positions(frame, target, x.astype(float), y.astype(float))
        at = np.stack([found.positions(b, b + 1)[:, 0, a - found.box[2]] for a, b in zip(x, y, strict=True)], 1)
        assert np.hypot(*(at - true)).max() < 1e-3
        assert found.error < 1e-3


def with_tables(path: Path) -> Path:
    """A file whose WCS is distorted by tables in HDUs of its own."""
    wcs = WCS(fits.Header(tan((30, 20), 3)))
    y, x = np.mgrid[:5, :7]
    tables = (0.5 * np.sin(x / 2) + 0.1 * y, 0.3 * np.cos(y / 2))
    wcs.cpdis1, wcs.cpdis2 = (DistortionLookupTable(t.astype("f4"), (1, 1), (1, 1), (10, 10)) for t in tables)
    hdus = wcs.to_fits(relax=True)
    hdus[0].data = noise(1)[0]
    hdus[0].header["EXTEND"] = True
    hdus.writeto(path)
    return path


def test_distortions_in_tables(tmp_path: Path):
    path = with_tables(tmp_path / "a.fits")
    target = Grid.of(tan((30, 20)), shape=(40, 60))
    stack = xccd.open_stack([path])
    aligned = stack.ccd.align(target)
    with fits.open(path) as hdus:
        own = WCS(hdus[0].header, hdus)
    y, x = np.mgrid[:40, :60].astype(float)
    world = target.wcs.all_pix2world(x.ravel(), y.ravel(), 0)
    px, py = (v.reshape(x.shape) for v in own.all_world2pix(*world, 0, tolerance=1e-8))
    inside = (px > 0.01) & (px < 58.99) & (py > 0.01) & (py < 38.99)
    expected = map_coordinates(noise(1)[0], [py, px], order=1)
    np.testing.assert_allclose(aligned[0].values[inside], expected[inside], atol=1e-3 * 40)
    plain = stack_of(noise(1), [tan((30, 20), 3)]).ccd.align(target)
    assert np.nanmax(np.abs(plain - aligned)) > 1
    grid = Grid.of(own, shape=(40, 60))
    assert pickle.loads(pickle.dumps(grid)) == grid == Grid.of(own, shape=(40, 60))
    assert stack.ccd.align(0).drop_vars(["align_error", "aligned_from"]).identical(stack)
    with pytest.raises(ValueError, match="to= is distorted by tables, which a header cannot hold"):
        stack_of(noise(1), [tan((30, 20))]).ccd.align(grid)
    np.testing.assert_allclose(stack[:, 3:].ccd.align(target)[0, 5:30], aligned[0, 5:30], rtol=1e-12)
    x, y = np.array([3.0, 50.0]), np.array([0.0, 37.0])
    np.testing.assert_allclose(grid[2:, 1:].wcs.all_pix2world(x, y, 0), own.all_pix2world(x + 1, y + 2, 0), atol=1e-11)
    with pytest.raises(ValueError, match=r"frame 0 \(.*a.fits\): .* by a table: it cannot be kept with a stride"):
        stack[:, ::3].ccd.align(target)
    path.unlink()
    with pytest.raises(ValueError, match="its WCS is distorted by a table, and its file cannot be read"):
        xccd.align(stack, target)


@pytest.mark.parametrize("order", ["bilinear", "lanczos3"])
def test_rows_are_enough_however_bent_a_frame_is(order, monkeypatch):
    monkeypatch.setattr(gather, "LEAST", 1)
    stack = stack_of(noise(1, (700, 300)), [sip((150, 350), 20, size=5e-4)])
    grid = Grid.of(tan((170, 400)), shape=(800, 350))
    whole = stack.load().ccd.align(grid, order=order)
    assert np.isfinite(whole).sum() > 120_000
    bands = stack.chunk(y=9).ccd.align(grid, order=order)
    assert bands.chunks[1][0] < 20
    np.testing.assert_array_equal(bands, whole)
