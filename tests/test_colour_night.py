"""A made-up night of a colour camera: calibrated, registered and combined, stars keep their colours."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import xccd


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("colours")
    counts = {"nbias": 6, "ndark": 5, "nflat": 6, "nlight": 7}
    return xccd.simulate_night(folder, seed=5, shape=(224, 224), dither=5.0, bayer="GRBG", **counts)


@pytest.fixture(scope="module")
def lights(night: Path):
    """Calibrated, one file after another as a user would."""
    bias = xccd.open_stack(night / "bias-*.fits").ccd.combine("mean")
    dark = xccd.open_stack(night / "dark-120s-*.fits").ccd.subtract_bias(bias).ccd.combine("median")
    flat = xccd.open_stack(night / "flat-*.fits").ccd.subtract_bias(bias).ccd.combine("median")
    raw = xccd.open_stack(night / "light-*.fits")
    return raw.ccd.subtract_bias(bias).ccd.subtract_dark(dark).ccd.flat_correct(flat, norm="cfa")


def stars_of(night: Path):
    """Stars that stand alone, neither faint nor saturated."""
    every = np.genfromtxt(night / "truth" / "stars.csv", delimiter=",", names=True)
    apart = np.hypot(*(every[k][:, None] - every[k] for k in "xy")) + 1e3 * np.eye(len(every))
    inside = np.maximum(abs(every["x"] - 112), abs(every["y"] - 112)) < 85
    found = every[(apart.min(1) > 20) & inside & (every["flux_e"] > 1e5) & (every["flux_e"] < 7e5)]
    assert found["red"].min() == 1.0 < found["red"].max()  # a white one, and one with a colour
    return found


def light(image, x, y, radius):
    """The light of a star in each channel, above the sky around it."""
    v, u = np.indices(image.shape[1:])
    r = np.hypot(v - y, u - x)
    return np.array(
        [(plane[r < radius] - np.median(plane[(r > 1.4 * radius) & (r < 2.2 * radius)])).sum() for plane in image]
    )


def combined(lights, method, **how):
    colours = lights.ccd.debayer(method)
    if how.pop("registered", False):
        how = {"transforms": colours.ccd.find_transforms()}
    aligned = colours.ccd.align(0, **how)
    return aligned.ccd.sigma_clip(3, 3, center="median", deviation="mad_std").ccd.combine("mean")


@pytest.mark.parametrize(
    ("method", "how"),
    [
        ("bilinear", {"registered": True}),
        ("bilinear", {}),  # by the WCS
        ("bilinear", {"transforms": "similarity"}),
        ("superpixel", {"registered": True}),
    ],
    ids=str,
)
def test_stars_keep_their_colours(night, lights, method, how) -> None:
    image = combined(lights, method, **how)
    assert image.dims == ("channel", "y", "x")
    step = 2 if method == "superpixel" else 1
    for star in stars_of(night):
        x, y = ((star[k] - (step - 1) / 2) / step for k in "xy")
        found = light(image.values, x, y, 8 / step)
        noise = 0.0 if star["flux_e"] > 5e5 else 0.005  # of fewer photons, in a quarter of the pixels
        assert found / found[1] == pytest.approx([star["red"], 1, star["blue"]], rel=0.01 + noise)
        electrons = found * 1.5 * step**2  # of all 2 x 2 pixels
        assert electrons[1] == pytest.approx(star["flux_e"], rel=0.04)  # some light is outside the aperture


def test_gradients_are_for_pictures(night, lights) -> None:
    """VNG keeps the sky's colours; those of sharp stars it may change by some percent, as the docs say."""
    image = combined(lights, "vng", registered=True)
    sky = np.nanmedian(image, axis=(1, 2))
    assert sky / sky[1] == pytest.approx([1.2, 1, 0.8], rel=0.01)
    for star in stars_of(night):
        found = light(image.values, star["x"], star["y"], 8)
        assert found / found[1] == pytest.approx([star["red"], 1, star["blue"]], rel=0.15)


def test_one_transform_holds_for_all_channels(night, lights) -> None:
    colours = lights.ccd.debayer()
    found = colours.ccd.find_transforms()
    assert found.matrix.shape == (7, 2, 3)
    truth = [fits.getheader(path)["CRPIX1"] for path in sorted(night.glob("light-*.fits"))]
    np.testing.assert_allclose(found.matrix[:, 0, 2], truth[0] - np.array(truth), atol=0.15)
    aligned = colours.ccd.align(0, transforms=found)
    assert aligned.aligned_from.dims == ("frame",)
    red = colours.sel(channel="R", drop=True).ccd.align(0, transforms=found)
    np.testing.assert_array_equal(aligned.sel(channel="R"), red)
    offsets = colours.ccd.find_offsets()
    np.testing.assert_allclose(offsets.sel(axis="x") - offsets.sel(axis="x")[0], np.array(truth[0]) - truth, atol=0.2)
    measured = colours.ccd.measure_stars()
    assert measured.stars.min() > 5


def test_without_norm_cfa_the_lamp_colours_the_stars(night, lights) -> None:
    """What `norm="cfa"` is for: the lamp is yellow."""
    flat = xccd.open_stack(night / "flat-*.fits")
    bias = xccd.open_stack(night / "bias-*.fits").ccd.combine("mean")
    flat = flat.ccd.subtract_bias(bias).ccd.combine("median")
    raw = xccd.open_stack(night / "light-*.fits")[:1].ccd.subtract_bias(bias)
    sky = {
        norm: raw.ccd.flat_correct(flat, norm=norm).ccd.debayer().median(("frame", "y", "x"))
        for norm in ("cfa", "mean")
    }
    assert float(sky["cfa"][0] / sky["cfa"][1]) == pytest.approx(1.2, abs=0.03)
    assert float(sky["mean"][0] / sky["mean"][1]) == pytest.approx(1.2 / 1.25, abs=0.03)


def test_flagged_colours_go_through_the_chain(night, lights, tmp_path) -> None:
    ds = lights.ccd.to_dataset(uncertainty=10.0)
    colours = ds.ccd.debayer()
    aligned = colours.ccd.align(0, transforms=colours.data.ccd.find_transforms())
    product = aligned.ccd.sigma_clip(3, 3, center="median", deviation="mad_std").ccd.combine_with_maps("mean")
    assert product.data.dims == product.data_uncertainty.dims == ("channel", "y", "x")
    product.ccd.to_fits(tmp_path / "product.fits")
    again = xccd.open_image(tmp_path / "product.fits")
    np.testing.assert_array_equal(again, product.data)
    assert again.dims == ("channel", "y", "x")
    dataset = xccd.open_dataset(tmp_path / "product.fits")
    assert dataset.data.dims == ("frame", "channel", "y", "x")


def test_a_colour_night_has_its_pattern_in_all_headers(night) -> None:
    paths = sorted(night.glob("*.fits"))
    assert {fits.getheader(path)["BAYERPAT"] for path in paths} == {"GRBG"}
    assert not any("FILTER" in fits.getheader(path) for path in paths)
    assert {path.name.rpartition("-")[0] for path in paths} == {"bias", "dark-60s", "dark-120s", "flat", "light"}
    with pytest.raises(ValueError, match=r"bayer='RGBG' is unknown: use one of RGGB, BGGR, GRBG, GBRG, or None"):
        xccd.simulate_night(night / "none", bayer="RGBG")
    assert not (night / "none").exists()
    with pytest.raises(FileExistsError, match="already holds a night"):
        xccd.simulate_night(night, bayer="GRBG")
