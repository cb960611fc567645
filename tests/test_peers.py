"""Beside NumPy, bottleneck, astropy and SciPy on real frames: where they differ, and that it is for the reason told.

The reasons stand in docs/how_it_is_fast.md, "Where others differ".
"""

from functools import partial
from pathlib import Path

import bottleneck as bn
import numpy as np
import pytest
import xarray as xr
from astropy.stats import mad_std, sigma_clip
from scipy.stats import sigmaclip

import xccd

FIELDS = ("decam_i/OBS04*.fits", "decam_i/OBS18*.fits", "kast_blue/b*.fits.gz")  # float64, float64, whole counts
CLIP = {"low": 1.5, "high": 1.5, "center": "median"}


@pytest.fixture(scope="module", params=FIELDS)
def stack(real_frames: Path, request: pytest.FixtureRequest) -> xr.DataArray:
    frames = xccd.open_stack(sorted(real_frames.glob(request.param))).load()
    return frames.drop_vars("OBSTYPE", errors="ignore")  # numbers of all kinds are wanted, without a warning of it


def rejected(stack: xr.DataArray, **rule: object) -> np.ndarray:
    return np.isnan(stack.ccd.sigma_clip(**CLIP, **rule).values)


@pytest.mark.versions
def test_medians_are_those_of_numpy_and_bottleneck(stack: xr.DataArray) -> None:
    holes = stack.where(np.random.default_rng(0).random(stack.shape) > 0.2)
    with pytest.warns(RuntimeWarning, match="All-NaN"):
        expected = np.nanmedian(holes, axis=0)
    for median in (expected, bn.nanmedian(holes.values, axis=0)):
        np.testing.assert_array_equal(holes.ccd.combine("median"), median)
    np.testing.assert_array_equal(stack.ccd.combine("median"), np.median(stack, axis=0))


def test_means_are_those_of_float64(stack: xr.DataArray) -> None:
    mean = stack.ccd.combine("mean")
    expected = np.mean(stack.values.astype(np.longdouble), axis=0)
    assert np.all(np.abs(mean - expected) <= np.spacing(np.abs(mean)))


def test_means_of_float32_differ_where_counts_pass_their_digits(stack: xr.DataArray) -> None:
    """A lift of 2^23 leaves float32 a digit of one count, in sums of eight not even that."""
    lifted = (np.floor(stack) % 1000 + 2**23).astype("float32")
    mean, expected = lifted.ccd.combine("mean"), np.mean(lifted.values, axis=0, dtype=np.float64)
    np.testing.assert_array_equal(mean, expected.astype("float32"))
    for theirs in (np.mean(lifted.values, axis=0), bn.nanmean(lifted.values, axis=0)):
        assert (theirs != mean).mean() > 0.1


@pytest.mark.parametrize("maxiters", [1, None])
@pytest.mark.parametrize("deviation", ["std", "mad_std"])
def test_clips_are_those_of_astropys_loop(stack: xr.DataArray, deviation: str, maxiters: int | None) -> None:
    scatter = partial(mad_std, ignore_nan=True) if deviation == "mad_std" else np.nanstd
    theirs = sigma_clip(
        stack.values.astype(np.float64), 1.5, maxiters=maxiters, axis=0, masked=False, cenfunc=np.nanmedian,
        stdfunc=lambda values, axis: scatter(values, axis=axis),
    )  # fmt: skip
    np.testing.assert_array_equal(rejected(stack, deviation=deviation, maxiters=maxiters), np.isnan(theirs))


@pytest.mark.parametrize("deviation", ["std", "mad_std"])
def test_what_astropys_fast_clip_brings_back_is_within_its_last_bounds(stack: xr.DataArray, deviation: str) -> None:
    ours = rejected(stack, deviation=deviation, maxiters=None)
    theirs = sigma_clip(stack.values, 1.5, maxiters=None, axis=0, stdfunc=deviation, masked=True).mask
    assert not (theirs & ~ours).any()
    back = ours & ~theirs
    assert back.any() == (deviation == "mad_std" and stack.dtype == np.float32)
    left = stack.where(~ours)
    distance = np.abs(stack - left.ccd.combine("median"))
    assert (distance <= 1.5 * left.ccd.combine(deviation) * (1 + 1e-6)).values[back].all()


def test_a_clip_about_the_mean_is_that_of_scipy(stack: xr.DataArray) -> None:
    samples = stack.values.reshape(len(stack), -1)
    samples = samples[:, np.random.default_rng(0).choice(samples.shape[1], 2000, replace=False)].astype(np.float64)
    clipped = xr.DataArray(samples, dims=("frame", "pixel")).ccd.sigma_clip(1.6, 1.6, center="mean", maxiters=None)
    for ours, column in zip(clipped.values.T, samples.T, strict=True):
        np.testing.assert_array_equal(np.sort(ours[np.isfinite(ours)]), np.sort(sigmaclip(column, 1.6, 1.6).clipped))


def test_weighted_medians_are_those_of_numpy_but_for_exact_halves(stack: xr.DataArray) -> None:
    stack = stack.isel(y=slice(0, 100))  # NumPy takes its time
    weights = np.resize([1.0, 2.0, 4.0, 1.0], len(stack))  # of eight a sum of half is common, of five there is none
    ours = stack.ccd.combine("median", weights=weights).values
    spread = np.broadcast_to(weights[:, None, None], stack.shape)
    lower = np.quantile(stack.values, 0.5, axis=0, weights=spread, method="inverted_cdf")
    upper = -np.quantile(-stack.values, 0.5, axis=0, weights=spread, method="inverted_cdf")
    np.testing.assert_array_equal(ours, (lower.astype(np.float64) + upper) / 2)
    assert (lower != upper).any() == (weights.sum() % 2 == 0)
