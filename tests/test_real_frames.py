"""Real frames: a spectrograph's bias and flat, and a field with cosmic rays, against the oracles."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from scipy.ndimage import maximum_filter

import oracles
import xccd

FIELDS = ("OBS04", "OBS18")
# What the docs advise for five frames: the noise of a frame as the least deviation.
FEW_FRAMES = {"low": 3, "high": 3, "center": "median", "deviation": "mad_std"}


def some_pixels(stack: xr.DataArray, number: int = 1500) -> xr.DataArray:
    """A seeded choice of pixels, as (frame, pixel): the oracles are slow."""
    samples = stack.values.reshape(stack.sizes["frame"], -1)
    chosen = np.random.default_rng(0).choice(samples.shape[1], number, replace=False)
    return xr.DataArray(samples[:, chosen], dims=("frame", "pixel"))


@pytest.mark.versions
def test_kast_master_bias(real_frames: Path, tmp_path: Path) -> None:
    raw = xccd.open_stack(real_frames / "kast_blue/b2[1-3].fits.gz")
    assert (raw.sizes["frame"], set(raw.OBSTYPE.values)) == (3, {"DARK"})
    bias = raw.sel(x=slice(0, 2047)).ccd.combine("median")  # the overscan begins at column 2048
    assert bias.shape == (350, 2048)
    np.testing.assert_array_equal(bias, np.median(raw.values[..., :2048], axis=0))
    again = xccd.open_image(bias.ccd.to_fits(tmp_path / "bias.fits"))
    np.testing.assert_array_equal(again, bias)
    assert again.ccd.header()["NCOMBINE"] == 3  # the file's own header
    # the next exposure minus a bias of another session: the crop fits by its labels
    science = xccd.open_stack(real_frames / "kast_blue/b27.fits.gz")
    with xr.set_options(arithmetic_join="exact"):
        reduced = science.sel(x=slice(0, 2047)) - again
        with pytest.raises(ValueError, match="exact"):
            science - again
    assert reduced.ccd.header(0)["EXPTIME"] == 1200


def test_kast_master_flat(real_frames: Path) -> None:
    bias = xccd.open_stack(real_frames / "kast_blue/b2[1-3].fits.gz").sel(x=slice(0, 2047)).ccd.combine("mean")
    flats = (xccd.open_stack(real_frames / "kast_blue/b1[1-3].fits.gz").sel(x=slice(0, 2047)) - bias).load()
    level = flats.ccd.normalize(scale="median", region="DATASEC")
    levels = level.median(("y", "x"))
    np.testing.assert_allclose(levels, levels[0], rtol=1e-6)
    np.testing.assert_allclose(1 / level.scale, flats.median(("y", "x")) / float(flats[0].median()), rtol=1e-6)
    clipped = level.ccd.sigma_clip(**FEW_FRAMES, floor=5)
    flat = clipped.ccd.combine("mean", weights="EXPTIME")
    sample, image = some_pixels(level), some_pixels(flat.expand_dims("frame"))[0]
    mask = oracles.over_pixels(oracles.sigma_clip, sample.values, 3, 3, "median", "mad_std", floor=5)
    np.testing.assert_array_equal(some_pixels(clipped).ccd.mask, mask)
    expected = oracles.over_pixels(oracles.combine, np.where(mask, np.nan, sample), "mean", weights=[15.0] * 3)
    np.testing.assert_allclose(image, expected, rtol=1e-7)


@pytest.fixture(params=FIELDS)
def field(real_frames: Path, request: pytest.FixtureRequest) -> xr.DataArray:
    return xccd.open_stack(real_frames / f"decam_i/{request.param}*.fits").load()


def noise_of(stack: xr.DataArray) -> np.ndarray:
    """Sky noise of each frame."""
    return stack.rename(frame="image").stack(frame=("y", "x")).ccd.combine("mad_std").values


@pytest.mark.parametrize("method", ["mean", "median", "std", "mad_std", "max"])
def test_decam_against_the_oracles(field: xr.DataArray, method: str) -> None:
    sample = some_pixels(field)
    clipped = sample.ccd.sigma_clip(**FEW_FRAMES, maxiters=None)
    mask = oracles.over_pixels(oracles.sigma_clip, sample.values, 3, 3, "median", "mad_std", maxiters=None)
    np.testing.assert_array_equal(clipped.ccd.mask, mask)
    expected = oracles.over_pixels(oracles.combine, np.where(mask, np.nan, sample), method)
    np.testing.assert_allclose(clipped.ccd.combine(method), expected, rtol=1e-12, atol=1e-12)


def test_planted_cosmic_rays_are_found_and_stars_keep_their_flux(field: xr.DataArray) -> None:
    noise = noise_of(field)
    rng = np.random.default_rng(1)
    number, ny, nx = 1000, field.sizes["y"], field.sizes["x"]
    hits = np.unravel_index(rng.choice(ny * nx, number, replace=False), (ny, nx))
    where = (rng.integers(0, field.sizes["frame"], number), *hits)
    struck = field.copy(data=field.values.copy())
    struck.values[where] += 10 * noise[where[0]]

    floor = float(np.median(noise))
    clean, planted = (s.ccd.sigma_clip(**FEW_FRAMES, floor=floor) for s in (field, struck))
    found = planted.ccd.mask.values[where].mean()
    assert found >= 0.95
    assert clean.ccd.mask.values.mean() < 0.01  # and little else goes

    unplanted, stacked = clean.ccd.combine("mean").values, planted.ccd.combine("mean").values
    median = field.ccd.combine("median").values
    peaks = np.argwhere((median == maximum_filter(median, 11)) & (median > 30 * floor))
    stars = [(y, x) for y, x in peaks if 8 < y < ny - 9 and 8 < x < nx - 9]
    assert len(stars) >= 3
    for y, x in stars:
        box = np.s_[y - 7 : y + 8, x - 7 : x + 8]
        assert stacked[box].sum() == pytest.approx(unplanted[box].sum(), rel=0.005)


def test_decam_product_keeps_the_wcs(field: xr.DataArray, tmp_path: Path) -> None:
    image = field.ccd.sigma_clip(**FEW_FRAMES).ccd.combine("mean")
    path = image.sel(y=slice(50, 150)).ccd.to_fits(tmp_path / "stack.fits")
    again = xccd.open_stack(path)
    sky = field.ccd.wcs(0).all_pix2world([[100, 99]], 0)
    row = 99 - (50 - int(field.y[0]))
    np.testing.assert_allclose(again.ccd.wcs(0).all_pix2world([[100, row]], 0), sky, atol=1e-10)
    assert int(again.y[0]) == 50


def test_kast_flats_lose_less_if_they_are_scaled_first(real_frames: Path) -> None:
    """The figures of docs/rejections.md."""
    bias = xccd.open_stack(real_frames / "kast_blue/b2[1-3].fits.gz").ccd.combine("median")
    flats = (xccd.open_stack(real_frames / "kast_blue/b1[1-3].fits.gz") - bias).sel(x=slice(0, 2047)).load()
    lit = flats.drop_attrs().where(flats > 50)
    rule = {"low": 4, "high": 4, "gain": 1.2, "readnoise": 4}
    lost = [
        (obj.ccd.reject("noise", **rule).ccd.mask & ~lit.ccd.mask).any("frame").mean().item()
        for obj in (lit.ccd.normalize(scale="median"), lit)
    ]
    assert [round(100 * share, 2) for share in lost] == [0.1, 0.19]
