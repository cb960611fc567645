"""Offsets, transforms and WCS of raw frames: faults of the detector stay at their pixels and look like stars."""

import warnings

import numpy as np
import pytest
from astropy.io import fits
from astropy.wcs import WCS

import xccd
from raw_fields import SKY, raw_field, raw_frames, shifts
from sky import tan
from star_fields import Field
from test_transforms import matrix_of, off
from xccd.sky.fixed import doubt_of, moving, still
from xccd.sky.similarity import Fit, apply, product, settled, spread
from xccd.sky.stars import evened, find_stars, noise_level, smoothed, typical

SHAPE = (300, 320)
KINDS = {
    "plain": {},
    "hot clusters": {"stars": 10, "blobs": 25, "faintest": 4000},
    "1 % hot": {"hot": 0.01, "blobs": 40},
    "narrow": {"fwhm": 1.3, "hot": 0.01},
    "colours": {"colours": True},
    "clouds": {"clouds": (1,)},
    "drift": {"drift": 1.5},
    "drift, few": {"drift": 1.5, "stars": 12, "blobs": 12, "faintest": 4000},
}


def check(made: Field, method: str) -> int:
    """Compare offsets with the truth; how many are right without a doubt. Each doubt is in the warning."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = made.stack().ccd.find_offsets(method)
    away, said = np.hypot(*(found.values - made.offsets).T), " ".join(str(w.message) for w in caught)
    for i in range(1, len(away)):
        assert found.doubtful[i] or away[i] < (0.1 if made.in_common(i) >= 8 else 0.3)
        assert not found.doubtful[i] or f"frame {i} (" in said
    return int((~found.doubtful).sum()) - 1


@pytest.mark.parametrize("kind", KINDS)
def test_no_offset_is_wrong_without_a_word(kind):
    made = raw_field(1, frames=3, **KINDS[kind])
    assert check(made, "auto" if kind == "clouds" else "stars") == (1 if kind == "clouds" else 2)


@pytest.mark.parametrize("kind", ["hot clusters", "drift"])
def test_stars_check_the_correlation_of_raw_frames(kind):
    check(raw_field(1, frames=3, **KINDS[kind]), "phase")


def test_the_correlation_needs_no_stars(monkeypatch):
    made = raw_field(2, 100, (150, 160), drift=9, blobs=0, hot=0.0)
    found = made.stack().ccd.find_offsets("phase", precision=2)
    monkeypatch.setitem(__import__("sys").modules, "sep", None)
    assert made.stack().ccd.find_offsets("phase", precision=2).equals(found)


def test_a_sky_that_stays_is_not_doubtful():
    made = raw_field(1, frames=2, drift=0.0)
    assert check(made, "auto") == 1
    found = made.stack().ccd.find_transforms()
    assert np.abs(found.matrix - np.eye(2, 3)).max() < 0.1


@pytest.mark.parametrize("verb", ["find_offsets", "find_transforms"])
def test_clusters_of_hot_pixels_alone_are_doubtful(verb):
    images, _ = raw_frames(3, shifts([(0, 0), (30, 12)]), 30, faintest=1.0, blobs=14)
    with pytest.warns(UserWarning, match=r"frame 1 \(.*\).*are they hot pixels\?"):
        getattr(xccd.open_stack([(image, {}) for image in images]).ccd, verb)()


def test_a_strip_of_raw_frames():
    """Faults of frames that are placed already lead no others."""
    offsets = np.array([(0, 0), (2, 400), (-6, 200), (3, 600)])
    images, inside = raw_frames(4, shifts(offsets), 60, blobs=20)
    found = Field(images, offsets, inside).stack().ccd.find_offsets()
    np.testing.assert_allclose(found[:3], offsets[:3], atol=0.1)
    assert found.doubtful[3] or np.abs(found[3] - offsets[3]).max() < 0.1


@pytest.mark.parametrize("kind", ["plain", "hot clusters", "1 % hot", "narrow", "colours", "drift, few"])
def test_no_transform_is_wrong_without_a_word(kind):
    true = np.array([matrix_of(shape=SHAPE), matrix_of(1.3, shift=(14, -9), shape=SHAPE),
                     matrix_of(181.0, shift=(-8, 20), shape=SHAPE)])  # fmt: skip
    options = {k: v for k, v in KINDS[kind].items() if k != "drift"}
    images, _ = raw_frames(1, true, **options)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        found = xccd.open_stack([(image, {}) for image in images]).ccd.find_transforms()
    said = " ".join(str(w.message) for w in caught)
    for i in (1, 2):
        away = off(found.matrix.values[i], true[i], SHAPE)
        assert away < 0.15 or f"frame {i} (" in said or "more)" in said
        assert away < 0.5


def test_a_raw_frame_of_binned_pixels():
    """No pixels of both detectors can be compared, and most that is like a star is a fault."""
    turned = matrix_of(181.0, shift=(-8, 20), shape=SHAPE)
    images, _ = raw_frames(2, np.array([np.eye(2, 3), turned]), 25, blobs=80, fwhm=3.4, faintest=6000)
    binned = images[1].reshape(150, 2, 160, 2).sum((1, 3), dtype=np.int32)
    stacks = [xccd.open_stack([(images[0], {"XBINNING": 1})]), xccd.open_stack([(binned, {"XBINNING": 2})])]
    found = xccd.find_transforms(stacks)
    true = product(turned, np.array([[2, 0, 0.5], [0, 2, 0.5]]))
    assert off(found.matrix.values[1], true, (150, 160)) < 0.15


def test_wcs_of_raw_frames():
    dithers = [(0.0, 0.0), (14.3, -9.2), (-22.6, 17.9)]
    images, _ = raw_frames(2, shifts(-np.array(dithers)), 40, blobs=40, faintest=4000)
    heads = [tan((160 + dx, 150 + dy), 0.0) for dy, dx in dithers]
    wrong = [head | {"CRPIX1": head["CRPIX1"] + 0.5 * (i > 0)} for i, head in enumerate(heads)]
    refined = xccd.open_stack(list(zip(images, wrong, strict=True))).ccd.refine_wcs()
    for i, head in enumerate(heads):
        x, y = np.array([[0, 319, 0, 319], [0, 0, 299, 299]], float)
        now = refined.ccd.wcs(0).all_world2pix(*refined.ccd.wcs(i).all_pix2world(x, y, 0), 0)
        true = WCS(fits.Header(heads[0])).all_world2pix(*WCS(fits.Header(head)).all_pix2world(x, y, 0), 0)
        assert np.hypot(*(np.array(now) - true)).max() < 0.1


def test_what_stays_and_what_moves():
    images, _ = raw_frames(5, shifts([(0, 0), (25, -18)]), 12, blobs=30, faintest=4000)
    one, other = (find_stars(image, every=True) for image in images)
    i, j = still(one, other)
    assert len(i) > 20
    assert np.median(typical(one).fwhm) < 2.2  # most that is like a star is none
    first, second = moving(one, other)
    assert min(np.median(first.fwhm), np.median(second.fwhm)) > 2.5
    assert doubt_of(one, other, i, j).endswith("are they hot pixels?")
    assert doubt_of(first, first, np.arange(len(first)), np.arange(len(first))) == ""


def test_colours_of_a_mosaic_are_evened():
    (image,), _ = raw_frames(1, shifts([(0, 0)]), colours=True, blobs=0, hot=0.0)
    flat = image.astype(np.float32) - np.float32(np.median(image))
    none = np.zeros(flat.shape, bool)
    before = [np.median(flat[j::2, i::2]) for j in (0, 1) for i in (0, 1)]
    assert np.ptp(before) > 0.3 * SKY
    assert evened(flat, none, noise_level(flat, none))
    assert max(abs(np.median(flat[j::2, i::2])) for j in (0, 1) for i in (0, 1)) < 1e-3
    assert not evened(flat, none, noise_level(flat, none))
    pattern = np.tile(np.float32([[1, 2], [3, 4]]), (5, 6))
    np.testing.assert_allclose(smoothed(pattern)[1:-1, 1:-1], 2.5)


@pytest.mark.parametrize("model", ["similarity", "affine"])
def test_the_error_at_the_corners_follows_the_weights(model):
    """Errors of 400 fits to 12 stars, of which 4 are ten times as sharp, over what they are said to be."""
    rng, ratios = np.random.default_rng(0), []
    variances = np.where(np.arange(12) < 4, 0.02, 0.2) ** 2
    for _ in range(400):
        places = rng.uniform(0, 300, 12) + 1j * rng.uniform(0, 300, 12)
        noisy = places + np.sqrt(2 * variances) * (rng.normal(size=12) + 1j * rng.normal(size=12))
        fit = settled(noisy, places, np.eye(2, 3), 5.0, model=model, weights=(variances, variances))
        corners = np.array([0, 299, 299j, 299 + 299j])
        ratios.append(np.abs(apply(fit.matrix, corners) - corners).max() / spread(fit, (300, 300)))
    assert 0.5 < np.median(ratios) < 1.3
    assert np.quantile(ratios, 0.99) < 3
    few = Fit(np.eye(2, 3), np.arange(2), np.arange(2), 0.0, 1.0, places[:2])
    assert spread(few, (300, 300)) == np.inf
