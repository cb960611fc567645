"""Star lists: positions, widths and what is no star; the quality of frames."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from star_fields import NOISE, add_stars, cosmic_rays, field, profile
from xccd.sky.stars import Stars, find_stars, noise_of

SHAPE = (240, 260)


def one_sky(peak: float, fwhm: float = 3.0, beta: float | None = None, seed: int = 0):
    """An image with 20 stars on a lattice, each at another place within its pixel."""
    rng = np.random.default_rng(seed)
    x, y = (v.ravel() + rng.uniform(-3, 3, 20) for v in np.meshgrid(30 + 50 * np.arange(5), 30 + 60 * np.arange(4)))
    image = rng.normal(1000, NOISE, SHAPE)
    add_stars(image, x, y, np.full(20, peak * NOISE), fwhm, beta)
    return image, x, y


def paired(found: Stars, x, y):
    """For each true star, the one that was found next to it."""
    apart = np.hypot(found.x - x[:, None], found.y - y[:, None])
    assert (apart.min(1) < 1).all()
    return found[apart.argmin(1)]


@pytest.mark.versions
@pytest.mark.parametrize("beta", [None, 2.5, 4.765], ids=str)
@pytest.mark.parametrize("fwhm", [1.6, 3.0, 5.0])
def test_places_and_widths(fwhm, beta):
    peak = 60 / fwhm * 2.355 / np.sqrt(np.pi)  # S/N = 60 in a fit, against the noise of the sky
    found = paired(find_stars(one_sky(peak, fwhm, beta)[0]), *one_sky(peak, fwhm, beta)[1:])
    _, x, y = one_sky(peak, fwhm, beta)
    assert np.sqrt(np.mean((found.x - x) ** 2 + (found.y - y) ** 2) / 2) < 0.025 * fwhm  # 0.05 px at 2 px and S/N = 50
    assert np.median(found.fwhm) == pytest.approx(fwhm, rel=0.05)
    assert np.median(found.snr) == pytest.approx(60, rel=0.15)
    assert np.median(found.elongation) < 1.08


def test_elongated_stars_and_light():
    v, u = np.mgrid[:80, :90]
    along, across = (u - 40.2) * 0.8 + (v - 38.7) * 0.6, (v - 38.7) * 0.8 - (u - 40.2) * 0.6
    image = np.random.default_rng(0).normal(0, 1, (80, 90))
    image += 500 * np.exp(-4 * np.log(2) * ((along / 5) ** 2 + (across / 3) ** 2))
    star = find_stars(image)
    assert (len(star), star.x.round(1), star.y.round(1)) == (1, 40.2, 38.7)
    assert star.elongation == pytest.approx(5 / 3, rel=0.02)
    assert star.fwhm == pytest.approx(np.sqrt(15), rel=0.02)
    assert star.flux == pytest.approx(500 * 15 * np.pi / (4 * np.log(2)), rel=0.03)
    assert star.peak == pytest.approx(500, rel=0.02)


@pytest.mark.parametrize("stars", [24, 100])
@pytest.mark.parametrize(
    "disturbed", [{"rays": 300}, {"hot": 300}, {"gradient": 500}, {"trails": 2}, {"fwhm": 1.6}], ids=str
)
def test_what_is_no_star_is_left_out(disturbed, stars):
    made = field(4, stars, frames=1, **disturbed)
    found = find_stars(made.frames[0])
    assert abs(len(found) - made.inside[0].sum()) <= 0.15 * stars
    assert np.median(found.fwhm) == pytest.approx(disturbed.get("fwhm", 3), rel=0.03)
    assert (np.diff(found.flux) <= 0).all()


def test_masked_samples_and_a_second_mask():
    image, x, y = one_sky(100)
    plain = find_stars(image)
    holed = image.copy()
    holed[np.random.default_rng(1).random(SHAPE) < 0.03] = np.nan
    found = paired(find_stars(holed), x, y)
    np.testing.assert_allclose((found.x, found.y), (x, y), atol=0.1)
    bad = np.zeros(SHAPE, bool)
    bad[:, :100] = True
    other = find_stars(np.where(bad, 1e9, image), bad)
    assert len(other) == (x >= 100).sum() < len(plain)
    assert other.x.min() > 100


@pytest.mark.parametrize("dtype", ["u2", ">f4", "f8", "i8"])
def test_dtypes_give_the_same_list(dtype):
    image = one_sky(100)[0].round()
    expected, found = find_stars(image), find_stars(image.astype(dtype))
    for name in ("x", "y", "flux", "fwhm"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    kind=st.sampled_from(["same", "noise", "counts", "ramp", "nan", "half", "huge", "bool"]),
    level=st.sampled_from([0.0, -5.0, 1e5, 1e9]),
)
def test_any_image_gives_a_list_without_a_warning(shape, kind, level):
    rng = np.random.default_rng(0)
    noise = rng.normal(0, 3, shape)
    image = {
        "same": np.full(shape, level), "noise": noise + level, "counts": rng.poisson(3, shape).astype("u2"),
        "ramp": level + np.arange(np.prod(shape), dtype=float).reshape(shape), "nan": np.full(shape, np.nan),
        "half": np.where(noise > 0, np.inf, noise), "huge": noise * 1e300, "bool": noise > 0,
    }[kind]  # fmt: skip
    before = image.copy()
    found = find_stars(image)
    np.testing.assert_array_equal(image, before)
    assert np.isfinite([found.x, found.y, found.flux, found.fwhm, found.elongation, found.snr]).all()


def test_noise_is_not_raised_by_shading():
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:300, :320]
    image = 1e4 * (1 - ((u - 160) / 320) ** 2 - ((v - 150) / 300) ** 2) + rng.normal(0, 7, (300, 320))
    assert noise_of(image) == pytest.approx(7, rel=0.02)
    assert np.isnan(noise_of(np.full((5, 5), np.nan)))


def test_faint_stars_by_threshold_and_how_many():
    image, *_ = one_sky(3)
    assert len(find_stars(image, threshold=20)) < len(find_stars(image))
    assert len(find_stars(one_sky(50)[0], most=7)) == 7


# The verb


def quality(seed: int = 0) -> xr.DataArray:
    """Frames of different seeing, noise and level; the last is empty."""
    rng = np.random.default_rng(seed)
    images = []
    for fwhm, sigma, level in [(2.5, 5, 100), (3.5, 10, 1000), (5, 20, 5000), (3, 5, 200)]:
        image = rng.normal(level, sigma, SHAPE)
        if sigma != 5 or level != 200:
            add_stars(image, *rng.uniform(20, 220, (2, 15)), np.full(15, 100 * sigma), fwhm)
        images.append(image)
    return xccd.open_stack([(image, {}) for image in images])


@pytest.mark.versions
@pytest.mark.parametrize("form", ["deferred", "numpy", "dask"])
def test_quality_of_frames(form):
    stack = {"deferred": quality(), "numpy": quality().load(), "dask": quality().chunk(y=50)}[form]
    table = stack.ccd.measure_stars()
    assert table.stars.dtype.kind == "i"
    assert table.stars.values[:3] == pytest.approx(15, abs=3)
    np.testing.assert_allclose(table.fwhm[:3], [2.5, 3.5, 5], rtol=0.05)
    np.testing.assert_allclose(table.noise, [5, 10, 20, 5], rtol=0.05)
    np.testing.assert_allclose(table.background, [100, 1000, 5000, 200], atol=0.5)
    assert table.stars.values[3] == 0
    assert np.isnan([table.fwhm.values[3], table.elongation.values[3]]).all()
    assert (table.missing == 0).all()
    labelled = stack.assign_coords(table)
    np.testing.assert_array_equal(labelled.fwhm, table.fwhm)
    kept = labelled.isel(frame=(labelled.stars > 5).values)
    assert kept.sizes["frame"] == 3


def test_missing_and_saturated_shares():
    stack = quality().load()
    stack[0, :60] = np.nan
    table = stack.ccd.measure_stars(saturation=4000)
    np.testing.assert_allclose(table.missing, [0.25, 0, 0, 0])
    assert table.saturated.values[2] == 1  # all of it: nothing is left to measure
    assert table.stars.values[2] == 0
    flagged = stack.ccd.to_dataset(mask=stack > 4000)
    np.testing.assert_allclose(flagged.ccd.measure_stars().missing, [0.25, 0, 1, 0], atol=1e-4)
    assert np.isnan(flagged.ccd.measure_stars().noise.values[2])


def test_the_list_of_an_image_is_in_detector_pixels():
    stack = quality()
    whole = stack[0].ccd.measure_stars()
    assert set(whole.data_vars) == {"x", "y", "flux", "peak", "fwhm", "elongation", "snr"}
    assert whole.fwhm.attrs["units"] == "pixel"
    cut = stack[0, 40:, 30:].ccd.measure_stars()
    inside = whole.isel(star=((whole.y > 50) & (whole.x > 40)).values)
    for star in inside.transpose("star").x.values:
        assert np.abs(cut.x - star).min() < 0.05
    flipped = stack[0, ::-1].ccd.measure_stars()
    np.testing.assert_allclose(np.sort(flipped.y), np.sort(whole.y), atol=0.05)
    bare = stack[0].drop_vars(["x", "y"])
    np.testing.assert_array_equal(bare.ccd.measure_stars().x, whole.x)
    np.testing.assert_array_equal(stack[0].transpose("x", "y").ccd.measure_stars().x, whole.x)
    assert xccd.measure_stars(stack[0], most=3).sizes["star"] == 3


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda s: s.ccd.measure_stars(threshold=0), ValueError, "threshold=0 is not a finite number above 0"),
        (lambda s: s.ccd.measure_stars(threshold=True), ValueError, "threshold=True is not a finite number above 0"),
        (lambda s: s.ccd.measure_stars(saturation=np.inf), ValueError, "saturation=inf is not a finite number"),
        (lambda s: s.ccd.measure_stars(most=0), ValueError, "most=0 is not a whole number of 1 or more"),
        (lambda s: s[0, 0].ccd.measure_stars(), ValueError, r"an image \(y, x\) or frames \(frame, y, x\), this has"),
        (lambda s: s.ccd.to_dataset().assign(more=s).ccd.measure_stars(), ValueError,
         r"this Dataset has data, more: pick one, as ds\['data'\]\.ccd\.measure_stars"),
        (lambda s: xr.Dataset().ccd.measure_stars(), ValueError, "this Dataset has none"),
        (lambda s: xr.DataTree.from_dict({"a": s.to_dataset()}).ccd.measure_stars(), TypeError,
         r"measure_stars takes .* not a DataTree: pick a variable, as tree\['a'\]\['data'\]"),
        (lambda s: (s[0] + 1j).ccd.measure_stars(), TypeError, "complex"),
    ],
)  # fmt: skip
def test_errors(call, error, match):
    with pytest.raises(error, match=match):
        call(quality())


def test_without_sep(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "sep", None)
    with pytest.raises(ImportError, match=r"star lists need sep: pip install 'xccd\[offsets\]' or conda install sep"):
        quality()[0].ccd.measure_stars()


def test_groups_do_not_change_the_result(monkeypatch):
    expected = quality().ccd.measure_stars()
    monkeypatch.setattr("xccd.verbs.measure_stars.GROUP_BYTES", 1)
    xr.testing.assert_identical(quality().ccd.measure_stars(), expected)


def test_tracks_and_pixels_are_sharp():
    """One bright pixel, a track, and a star of 1.6 pixels: the star alone is in the list."""
    rng = np.random.default_rng(0)
    image = rng.normal(0, 1, (60, 70))
    image[20, 20] += 500
    cosmic_rays(image, 5, rng)
    v, u = np.mgrid[:60, :70]
    image += 200 * profile(u - 50.4, v - 40.1, 1.6)
    found = find_stars(image)
    assert len(found) == 1
    assert (found.x[0].round(1), found.y[0].round(1)) == (50.4, 40.1)
