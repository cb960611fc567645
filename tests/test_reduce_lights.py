"""Lights: registered by WCS, by stars, or as they lie; the best kept; colours; several nights; what is said of it."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.read.made_by import recipe_text

pytestmark = pytest.mark.filterwarnings("ignore:reject:UserWarning")
LIGHT = "Made-up_field-r-120s"
SIZES = {"shape": (160, 180), "nbias": 3, "ndark": 3, "nflat": 3, "nlight": 5}


def pixels(path, name="PRIMARY"):
    with fits.open(path) as hdus:
        return hdus[name].data.copy()


def history(path):
    return " ".join(str(fits.getheader(path)["HISTORY"]).split("\n"))


def clip(stack):
    if not isinstance(stack, xr.Dataset):
        return stack.ccd.reject("auto", 4, 4)
    if stack.sizes["frame"] >= 4:  # "auto" would go by uncertainties
        return stack.ccd.reject("winsorized", 4, 4)
    return stack.ccd.reject("sigma", 4, 4, center="median", deviation="mad_std", maxiters=None)


@pytest.fixture(scope="module")
def moved(tmp_path_factory):
    """A night whose lights are some pixels apart."""
    folder = tmp_path_factory.mktemp("moved") / "raw"
    return xccd.simulate_night(folder, **SIZES, dither=6.0)


@pytest.fixture(scope="module")
def without_wcs(moved, tmp_path_factory):
    folder = tmp_path_factory.mktemp("bare")
    for path in moved.glob("*.fits"):
        with fits.open(path) as hdus:
            for name in ("CTYPE1", "CTYPE2"):
                hdus[0].header.remove(name, ignore_missing=True)
            hdus.writeto(folder / path.name)
    return folder


def calibrated(night, output):
    masters = output / "masters"
    lights = xccd.open_stack(night / "light-r-*.fits").ccd.subtract_bias(masters / "bias.fits")
    return lights.ccd.subtract_dark(masters / "dark-120s.fits").ccd.flat_correct(
        masters / "flat-r.fits", min_value=0.01
    )


def test_by_the_wcs(moved, tmp_path):
    xccd.reduce(moved, output=tmp_path)
    image = clip(calibrated(moved, tmp_path).ccd.normalize(zero="median").ccd.align()).ccd.combine("mean")
    np.testing.assert_array_equal(pixels(tmp_path / f"{LIGHT}.fits"), image.values)
    assert image.shape > (160, 180)
    assert "xccd.align" in history(tmp_path / f"{LIGHT}.fits")


def test_by_stars(without_wcs, tmp_path):
    found = xccd.reduce(without_wcs, output=tmp_path)
    assert "registered by stars" in found["why"].iloc[-1]
    stack = calibrated(without_wcs, tmp_path)
    matrices = stack.ccd.find_transforms().matrix.values
    aligned = stack.ccd.normalize(zero="median").ccd.align(0, transforms=matrices)
    made = pixels(tmp_path / f"{LIGHT}.fits")
    np.testing.assert_array_equal(made, clip(aligned).ccd.combine("mean").values)
    assert "registered by stars" in history(tmp_path / f"{LIGHT}.fits")
    again = xccd.reduce(without_wcs, output=tmp_path)
    assert again["why"].iloc[-1] == found["why"].iloc[-1]


def test_as_they_lie(tmp_path):
    night = tmp_path / "raw"
    night.mkdir()
    rng = np.random.default_rng(1)
    for i in range(4):
        cards = fits.Header([("IMAGETYP", "Light Frame"), ("EXPTIME", 10.0), ("FILTER", "r"), ("OBJECT", "sky/../up")])
        fits.writeto(night / f"{i}.fits", rng.normal(1000, 5, (40, 50)).astype("int16"), cards)
    found = xccd.reduce(night, output=tmp_path / "products")
    assert found["status"].tolist() == ["made"]
    assert "combined as they lie" in found["why"].iloc[0]
    assert (tmp_path / "products") in (tmp_path / "products" / found["path"].iloc[0]).parents
    failed = xccd.reduce(night, xccd.Recipe(light={"register": "stars"}), output=tmp_path / "other")
    assert failed["status"].tolist() == ["failed"]
    off = xccd.reduce(night, xccd.Recipe(light={"register": "off"}), output=tmp_path / "off")
    assert "the recipe says register = 'off'" in off["why"].iloc[0]


def test_the_best_are_kept(moved, tmp_path):
    worst = moved / "light-r-003.fits"
    found = xccd.reduce(moved, xccd.Recipe(light={"keep": "noise<70%"}), output=tmp_path)
    assert "leaves out 1 of 5 frames" in found["why"].iloc[-1]
    header = fits.getheader(tmp_path / f"{LIGHT}.fits")
    assert header["NCOMBINE"] == 4
    stack = calibrated(moved, tmp_path)
    kept = stack.ccd.keep("noise<70%")
    image = clip(kept.ccd.normalize(zero="median").ccd.align()).ccd.combine("mean")
    np.testing.assert_array_equal(pixels(tmp_path / f"{LIGHT}.fits"), image.values)
    lost = xccd.reduce(moved, xccd.Recipe(light={"keep": "fwhm<0.1"}), output=tmp_path)
    assert lost["status"].iloc[-1] == "failed"
    assert worst.exists()


@pytest.mark.parametrize("method", ["auto", "superpixel"])
def test_colours(tmp_path, method):
    night = xccd.simulate_night(tmp_path / "raw", **SIZES, bayer="RGGB")
    found = xccd.reduce(night, xccd.Recipe(light={"debayer": method}), output=tmp_path / "products")
    assert set(found["status"]) == {"made"}, found["why"].tolist()
    path = found["path"].iloc[-1]
    header = fits.getheader(path)
    assert (header["NAXIS"], header["NAXIS3"]) == (3, 3)
    assert "BAYERPAT" not in header
    assert "norm='cfa'" in history(path)
    stack = xccd.open_stack(path)
    assert stack.sizes["channel"] == 3
    masters = tmp_path / "products" / "masters"
    (flat,) = masters.glob("flat*.fits")
    lights = xccd.open_stack(night / "light-*.fits").ccd.subtract_bias(masters / "bias.fits")
    lights = lights.ccd.subtract_dark(masters / "dark-120s.fits").ccd.flat_correct(flat, norm="cfa", min_value=0.01)
    colours = lights.ccd.debayer("bilinear" if method == "auto" else method).ccd.normalize(zero="median").ccd.align()
    np.testing.assert_array_equal(pixels(path), clip(colours).ccd.combine("mean").values)
    assert (tmp_path / "products" / f"{found['product'].iloc[-1]}.png").exists()
    assert "normalize" in recipe_text(path)


def test_binned_frames_of_a_colour_camera_are_grey(tmp_path):
    """A sample of 2 x 2 pixels under a Bayer pattern has no colour of its own."""
    night = xccd.simulate_night(tmp_path / "raw", **SIZES, bayer="RGGB")
    for path in night.glob("*.fits"):
        for keyword in ("XBINNING", "YBINNING"):
            fits.setval(path, keyword, value=2)
    found = xccd.reduce(night, output=tmp_path / "products")
    assert set(found.status) == {"made"}
    (light,) = found[found.kind == "light"].path
    assert pixels(light).ndim == 2


def test_frames_of_two_nights_have_the_masters_of_their_night(moved, tmp_path):
    """Their parts are calibrated each with its own masters, and combined in one image."""
    table = xccd.scan(moved)
    for path in moved.glob("*.fits"):
        with fits.open(path) as hdus:
            date = hdus[0].header["DATE-OBS"]
            hdus[0].header["DATE-OBS"] = date.replace("-03-", "-05-")
            if "bias" in path.name:
                hdus[0].data = hdus[0].data + np.uint16(20)
            hdus.writeto(tmp_path / f"later-{path.name}")
    both = xccd.scan([str(moved), *map(str, sorted(tmp_path.glob("later*.fits")))])
    found = xccd.reduce(both, output=tmp_path / "products")
    assert set(found["status"]) == {"made"}, found["why"].tolist()
    last = found.iloc[-1]
    assert last["frames"] == 10
    assert "2 sets of masters" in last["why"]
    assert fits.getheader(last["path"])["NCOMBINE"] == 10
    assert len(table) * 2 == len(both)
    shuffled = xccd.reduce(both.sample(frac=1, random_state=1), output=tmp_path / "again")
    for name in ("PRIMARY", "UNCERT", "COUNT"):
        np.testing.assert_array_equal(pixels(last["path"], name), pixels(shuffled["path"].iloc[-1], name))
    from xccd.night.reduce.run_again import run_again

    (tmp_path / "products" / "masters").rename(tmp_path / "products" / "gone")
    again = run_again(tmp_path / "products" / f"{last['product']}.fits", tmp_path / "once_more.fits")
    assert again
    np.testing.assert_array_equal(pixels(last["path"]), pixels(tmp_path / "once_more.fits"))


@pytest.mark.parametrize("with_bias", [True, False])
def test_saturated_samples_are_left_out(tmp_path, with_bias):
    night = tmp_path / "raw"
    night.mkdir()
    rng = np.random.default_rng(1)
    for i in range(6):
        kind = "Light Frame" if i < 3 else "Bias Frame"
        if kind == "Bias Frame" and not with_bias:
            continue
        values = rng.normal(1000, 5, (40, 50)).astype("uint16")
        values[3, 4] = 4000 if i < 3 else 1000
        seconds = 10.0 if i < 3 else 0.0
        cards = fits.Header([("IMAGETYP", kind), ("EXPTIME", seconds), ("OBJECT", "x"), ("SATURATE", 4000.0)])
        fits.writeto(night / f"{i}.fits", values, cards)
    found = xccd.reduce(night, output=tmp_path / "products")
    path = found["path"].iloc[-1]
    bad = np.argwhere(np.isnan(pixels(path))).tolist()
    assert bad == [[3, 4]]
    assert pixels(path, "MASK")[3, 4] == 8
    other = xccd.reduce(night, xccd.Recipe(detector={"saturation": "off"}), output=tmp_path / "products")
    assert np.isfinite(pixels(other["path"].iloc[-1])).all()
