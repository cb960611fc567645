"""Offsets of frames from their pixels."""

import warnings
from functools import cache

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.figure import Figure
from scipy.ndimage import gaussian_filter, shift

import xccd
from sky import noise
from star_fields import NOISE, field
from xccd.sky import shifts, star_match
from xccd.sky.phase import cleaned, shift_between
from xccd.sky.shifts import Frame
from xccd.sky.star_match import match, match_turned
from xccd.sky.stars import Stars

TRUE = np.array([(0, 0), (3, -7), (-12, 5.4), (2.25, 9.5)])
FAR = np.array([(0, 0), (0.4, 0.4), (-0.4, 0.4), (0.4, -0.4)]) * (400, 420)


@cache
def stars() -> xr.DataArray:
    """A field of stars, moved by known offsets."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(10, 190, (2, 60))
    flux = rng.exponential(3000, 60) + 300
    v, u = np.mgrid[:160, :180]
    images = []
    for dy, dx in TRUE:
        image = rng.normal(1000, 3, (160, 180))
        for px, py, f in zip(x - dx, y - dy, flux, strict=True):
            image += f * np.exp(-((u - px) ** 2 + (v - py) ** 2) / 5) / (5 * np.pi)
        images.append((image, {}))
    return xccd.open_stack(images)


@pytest.mark.versions
@pytest.mark.parametrize(("method", "within"), [("auto", 0.03), ("phase", 0.06), ("stars", 0.03)])
def test_known_offsets_are_found(method, within):
    found = stars().ccd.find_offsets(method)
    assert found.dims == ("frame", "axis")
    np.testing.assert_allclose(found, TRUE, atol=within)
    assert (found.correlation > 0.5).all()
    assert not found.doubtful.any()
    assert (found.matched.values[1:] > 20).all() if method != "phase" else (found.matched == 0).all()
    assert found.error.values[1:].max() < 0.1
    aligned = stars().ccd.align("intersection", offsets=found)
    np.testing.assert_allclose(aligned.load().std("frame").median(), 2.4, atol=0.6)  # noise, no stars
    second = stars().ccd.find_offsets(method, reference=1)
    np.testing.assert_allclose(second - second[0], TRUE, atol=2 * within)


DISTURBED = {
    "plain": {},
    "cosmic rays": {"rays": 300},
    "hot pixels": {"hot": 300},
    "satellites": {"trails": 3},
    "gradient": {"gradient": 500},
    "all of these": {"rays": 300, "hot": 300, "trails": 2, "gradient": 500},
    "8 stars": {"stars": 8, "peak": (20, 50)},
    "fwhm 1.6": {"fwhm": 1.6},
    "far": {"offsets": FAR},
}


@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("case", DISTURBED)
def test_disturbed_skies(case, seed):
    """What benchmarks/find_offsets.py shows in full: never wrong without a word."""
    made = field(seed, **({"stars": 24, "frames": 4} | DISTURBED[case]))
    with warnings.catch_warnings(action="ignore"):  # a frame with few stars in common may be doubtful
        found = made.stack().ccd.find_offsets()
    away = np.hypot(*(found.values - made.offsets).T)
    for i in range(1, 4):
        assert away[i] < (0.1 if made.in_common(i) >= 8 else 0.3) or found.doubtful[i]


def test_a_pattern_that_stays_is_no_star():
    """Ten blobs as wide as stars that stay on the detector, more than the stars in common."""
    made = field(3, 20, frames=3, offsets=np.array([(0, 0), (150, -140), (-120, 90)]))
    v, u = np.mgrid[:400, :420]
    blobs = sum(
        800 * np.exp(-((u - x) ** 2 + (v - y) ** 2) / 3.2)
        for x, y in np.random.default_rng(0).uniform(20, 380, (10, 2))
    )
    stack = xccd.open_stack([(frame + blobs, {}) for frame in made.frames])
    np.testing.assert_allclose(stack.ccd.find_offsets("stars"), made.offsets, atol=0.1)


def test_frames_far_from_the_reference_go_by_the_others():
    """A strip of frames in any order: each overlaps its neighbours alone."""
    made = field(5, 60, frames=5, offsets=np.array([(0, 0), (5, 750), (10, 500), (0, 250), (-10, -250)]))
    assert [made.in_common(i) > 0 for i in range(5)] == [True, False, False, True, True]
    found = made.stack().ccd.find_offsets("stars")
    np.testing.assert_allclose(found, made.offsets, atol=0.1)
    assert found.correlation.values[1] == 0


@pytest.mark.parametrize("angle", [0.5, -2.0, 180.0])
@pytest.mark.parametrize("method", ["auto", "stars"])
def test_turned_frames_are_named(method, angle):
    made = field(1, 40, frames=2, turn=angle, reach=0.05)
    with pytest.raises(ValueError, match=r"frame 1 \(.*\) is turned by (-?[0-9.]+) degrees and stretched by") as caught:
        made.stack().ccd.find_offsets(method)
    said = float(str(caught.value).split("turned by ")[1].split(" ")[0])
    assert np.abs(np.exp(1j * np.deg2rad(said)) - np.exp(1j * np.deg2rad(angle))) < 2e-3


def test_a_slight_turn_is_said():
    made = field(1, 60, frames=3, turn=0.15, reach=0.05)
    with pytest.warns(UserWarning, match=r"wrong of frame 1 \(.*\) \(it is turned by 0\.1.. degrees and stretched"):
        xccd.open_stack([(frame, {}) for frame in made.frames[:2]]).ccd.find_offsets()


def test_exact_lists_are_matched():
    """Lists of points without errors, of which a third is in both: the shift is exact."""
    rng = np.random.default_rng(0)
    y, x = rng.uniform(0, 1000, (2, 60))
    one = listed(np.r_[y, rng.uniform(0, 1000, 30)], np.r_[x, rng.uniform(0, 1000, 30)])
    other = listed(np.r_[y - 321.5, rng.uniform(0, 1000, 30)], np.r_[x + 123.25, rng.uniform(0, 1000, 30)])
    found = match(one, other, (1000, 1000))
    np.testing.assert_allclose(found.offset, (321.5, -123.25), atol=0.02)
    assert found.matched >= 55
    assert (found.turn, found.stretch) == (0, 0)


def listed(y, x) -> Stars:
    n = len(y)
    return Stars(x, y, np.linspace(2, 1, n), np.ones(n), np.full(n, 3.0), np.ones(n), np.full(n, 100.0))


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(0, 60))
def test_lists_that_have_nothing_in_common_do_not_match(seed, count):
    rng = np.random.default_rng(seed)
    one, other = (listed(*rng.uniform(0, 800, (2, count))) for _ in range(2))
    assert match(one, other, (800, 800)) is None
    assert match_turned(one, other, (800, 800)) is None


@pytest.mark.versions
def test_whole_pixels_missing_ones_and_forms():
    holes = stars()
    holes = holes.where(xr.DataArray(np.random.default_rng(1).random((160, 180)) > 0.02, dims=("y", "x")))
    for method in ("auto", "phase"):
        np.testing.assert_allclose(holes.ccd.find_offsets(method), TRUE, atol=0.15)
    whole = stars().ccd.find_offsets(precision=1)
    np.testing.assert_array_equal(whole, np.round(whole))
    expected = stars().ccd.find_offsets()
    for other in (stars().copy().load(), stars().chunk(frame=1, y=50), stars().transpose("y", "x", "frame")):
        xr.testing.assert_identical(other.ccd.find_offsets(), expected)


def test_groups_and_places_of_the_reference(monkeypatch):
    expected = stars().ccd.find_offsets(reference=2)
    assert expected.values[2].tolist() == [0, 0]
    monkeypatch.setattr("xccd.verbs.find_offsets.GROUP_BYTES", 1)
    xr.testing.assert_identical(stars().ccd.find_offsets(reference=-2), expected)


# Scenes without stars


def scenes(kind: str, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    v, u = np.mgrid[:500, :500]
    soft = gaussian_filter(rng.normal(0, 1, (500, 500)), 20)
    soft /= soft.std()
    disc = 1 / (1 + np.exp((np.hypot(u - 250, v - 250) - 50) / 2))
    kinds = {"planet": 5000 * disc, "nebula": 300 * np.exp(soft), "crowded": rng.exponential(30, (500, 500))}
    return 1000 + kinds[kind]


@pytest.mark.parametrize("kind", ["planet", "nebula", "crowded"])
def test_scenes_without_stars(kind):
    scene, rng = scenes(kind), np.random.default_rng(1)
    where = [(100, 100), (87, 140), (130, 60)]
    frames = [scene[y : y + 300, x : x + 320] + rng.normal(0, NOISE, (300, 320)) for y, x in where]
    found = xccd.open_stack([(frame, {}) for frame in frames]).ccd.find_offsets()
    np.testing.assert_allclose(found, np.subtract(where, where[0]), atol=0.3)
    assert not found.doubtful.any()


def test_large_frames_are_binned(monkeypatch):
    monkeypatch.setattr("xccd.sky.phase.LARGEST", 64)
    scene = scenes("nebula")
    one, other = cleaned(scene[100:351, 100:383]), cleaned(scene[140:391, 73:356])
    one[50:60] = np.nan
    peak = shift_between(one, other, 10)
    np.testing.assert_allclose(peak.offset, (40, -27), atol=0.3)
    assert peak.rival < 0.7


def test_an_image_moved_by_scipy():
    scene = np.random.default_rng(0).normal(0, 1, (128, 128))
    smooth = np.real(np.fft.ifft2(np.fft.fft2(scene) * (np.hypot(*np.meshgrid(*[np.fft.fftfreq(128)] * 2)) < 0.1)))
    moved = shift(smooth, (-4.3, 2.6), order=3, mode="wrap")
    found = xccd.open_stack([(smooth, {}), (moved, {})]).ccd.find_offsets("phase", precision=50)
    np.testing.assert_allclose(found[1], (4.3, -2.6), atol=0.1)


@pytest.mark.versions
def test_it_can_be_looked_at():
    axes = Figure().add_subplot()
    stars().ccd.find_offsets(plot=axes)
    assert len(axes.texts) == 4
    assert axes.get_xlabel() == "columns"


@pytest.mark.parametrize("method", ["auto", "phase"])
def test_noise_is_doubtful(method):
    said = r"may be wrong of frame 1 \(.*\) \(no shift is clearly the best\), frame 2 \(.*\): look at it, or leave out"
    with pytest.warns(UserWarning, match=said):
        found = xccd.open_stack([(image, {}) for image in noise(3)]).ccd.find_offsets(method)
    assert found.doubtful.values.tolist() == [False, True, True]
    with pytest.warns(UserWarning, match=r"frame 5 \(.*\) and 3 more: look at it"):
        xccd.open_stack([(image, {}) for image in noise(9)]).ccd.find_offsets(method)


def test_errors():
    with pytest.raises(ValueError, match="method='magic' is unknown: use one of auto, phase, stars"):
        stars().ccd.find_offsets("magic")
    with pytest.raises(ValueError, match="reference=9: the frames are 0 to 3"):
        stars().ccd.find_offsets(reference=9)
    with pytest.raises(ValueError, match="precision=0 is not a whole number from 1 to 1000"):
        stars().ccd.find_offsets(precision=0)
    with pytest.raises(ValueError, match=r"find_offsets takes frames \(frame, y, x\)"):
        xr.DataArray(np.ones((2, 3)), dims=("frame", "x")).ccd.find_offsets()
    empty = stars().copy().load()
    empty[2] = np.nan
    with pytest.raises(ValueError, match=r"frame 2 \(.*\) has no pixels"):
        empty.ccd.find_offsets()
    with pytest.raises(ValueError, match=r"frame 1 \(.*\): too few stars match .* \(it has 0, the reference 0\): use"):
        xccd.open_stack([(image, {}) for image in noise(3, (160, 180))]).ccd.find_offsets("stars")


def test_raw_frames_of_a_night(tmp_path):
    """Bias, hot pixels, bad columns, cosmic rays and a trail are in them; the headers know the dither."""
    shape = (256, 256)
    folder = xccd.simulate_night(tmp_path, seed=1, shape=shape, nbias=0, ndark=0, nflat=0, nlight=4, dither=2.5)
    stack = xccd.open_stack(f"{folder}/light-*.fits")
    where = np.array([[stack.ccd.header(i)[key] for key in ("CRPIX2", "CRPIX1")] for i in range(4)])
    np.testing.assert_allclose(stack.ccd.find_offsets(), where[0] - where, atol=0.05)


@pytest.mark.parametrize("method", ["auto", "stars"])
def test_real_exposures_on_one_grid(real_frames, method):
    """Five exposures that were resampled to one grid: cut at known places, they are found there."""
    stack = xccd.open_stack(real_frames / "decam_i/OBS18*.fits").load()
    where = np.array([(0, 0), (20, 3), (8, 30), (31, 17), (5, 9)])
    cuts = [(stack.values[i, y : y + 220, x : x + 220], {}) for i, (y, x) in enumerate(where)]
    found = xccd.open_stack(cuts).ccd.find_offsets(method)
    np.testing.assert_allclose(found, where, atol=0.06)
    assert (found.matched.values >= 5).all()


def test_what_makes_an_offset_doubtful():
    """The words of each doubt; the warning repeats them."""
    some = star_match.Match(np.zeros(2), 4, 0.1, 0.2, 0.0, 0.0, (np.arange(4), np.arange(4)))
    assert shifts._judged(some, (400, 420), 100).doubt == "its 4 stars give the offset to 0.20 pixels"
    assert shifts._judged(some, (400, 420), 1).doubt == ""
    assert shifts._judged(some._replace(stretch=0.01), (400, 420), 1).is_turned
    scene, rng = scenes("crowded"), np.random.default_rng(0)
    one, other = scene[:200, :210], scene[7:207, 9:219]
    lists = [listed(*rng.uniform(0, 200, (2, 12))) for _ in range(2)]
    found = shifts.by_phase(*(Frame(image, stars) for image, stars in zip((one, other), lists, strict=True)), 20)
    assert found.offset.tolist() == [7, 9]
    assert found.doubt == "its stars do not match at this shift"
    faint = gaussian_filter(rng.normal(0, 1, (300, 310)), 8)
    faint *= 4 / faint.std()
    frames = [faint[i : i + 250, i : i + 260] + rng.normal(0, 10, (250, 260)) for i in (0, 9)]
    with pytest.warns(UserWarning, match=r"frame 1 \(.*\) \(its pixels give the offset to \d\.\d\d pixels\)"):
        xccd.open_stack([(frame, {}) for frame in frames]).ccd.find_offsets("phase")


def test_constant_frames_are_doubtful_and_no_other_package_warns() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (40, 60))
    stack = xccd.open_stack([(np.ones((40, 60)), {}), (np.full((40, 60), 2.0), {}), (noise, {})])
    with pytest.warns(UserWarning, match="the offset may be wrong of frame 1") as caught:
        found = stack.ccd.find_offsets()
    assert len(caught) == 1
    assert found.doubtful.values.tolist() == [False, True, True]
    assert found.values[1].tolist() == [0, 0]
