"""Weights by the quality of frames, and products of names."""

import dask
import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.sky import footprint

DIMS = ("frame", "y", "x")
NOISE = np.array([1.0, 2.0, 4.0])


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


@pytest.fixture(params=["numpy", "dask", "dask by frame"])
def stack(request):
    """Frames of different noise on a gradient, with labels and some holes."""
    values = (
        np.random.default_rng(0).normal(0, 1, (3, 80, 90)) * NOISE[:, None, None] + np.linspace(0, 500, 80)[:, None]
    )
    values[1, :5, :7] = np.nan
    labels = {"EXPTIME": [10.0, 20, 30], "stars": [5, 6, 7], "fwhm": [2.0, 3, 4], "file": ["a", "b", "c"]}
    stack = xr.DataArray(values, dims=DIMS, name="data", coords={k: ("frame", v) for k, v in labels.items()})
    chunks = {"numpy": None, "dask": {"y": 20}, "dask by frame": {"frame": 2, "y": 20}}[request.param]
    return stack if chunks is None else stack.copy(data=stack.variable.chunk(chunks).data)


def combined(stack, weights, **more):
    """The image; nothing is computed early."""
    with dask.config.set(scheduler=never):
        image = stack.ccd.combine("mean", weights=weights, **more)
    return image.compute()


@pytest.mark.parametrize(
    ("name", "numbers"),
    [
        ("noise", 1 / NOISE**2), ("fwhm", [1 / 4, 1 / 9, 1 / 16]), ("stars", [5, 6, 7]),
        ("EXPTIME*stars", [50, 120, 210]), ("EXPTIME * fwhm * stars", [50 / 4, 120 / 9, 210 / 16]),
    ],
)  # fmt: skip
def test_names_stand_for_numbers(stack, name, numbers):
    labelled = stack.assign_coords(noise=("frame", NOISE))
    np.testing.assert_allclose(combined(labelled, name), combined(stack, list(numbers)), rtol=1e-12)


def test_noise_is_measured_where_it_is_not_known(stack):
    from xccd.sky.stars import noise_of

    numbers = [1 / noise_of(frame) ** 2 for frame in stack.values]
    np.testing.assert_allclose(1 / np.sqrt(numbers), NOISE, rtol=0.05)
    np.testing.assert_allclose(combined(stack, "noise"), combined(stack, numbers), rtol=1e-12)


@pytest.mark.parametrize("factors", [[1, 0.5, -2], "per sample"])
def test_factors_count(stack, factors):
    factors = (
        np.random.default_rng(1).uniform(0.5, 2, stack.shape) if factors == "per sample" else np.array(factors, float)
    )
    whole = factors if factors.ndim == 3 else factors[:, None, None]
    expected = combined(stack, np.broadcast_to(1 / (whole * NOISE[:, None, None]) ** 2, stack.shape), scale=factors)
    labelled = stack.assign_coords(noise=("frame", NOISE))
    np.testing.assert_allclose(combined(labelled, "noise", scale=factors), expected, rtol=1e-12)
    sigma = xr.DataArray(NOISE, dims="frame")
    image = combined(stack.ccd.to_dataset(uncertainty=sigma), "ivar", scale=factors)
    np.testing.assert_allclose(image.data, expected, rtol=1e-12)
    by_method = stack.ccd.to_dataset(uncertainty=sigma).ccd.combine("ivar", scale=factors)
    np.testing.assert_allclose(by_method.data, image.data, rtol=1e-14)
    np.testing.assert_allclose(by_method.data_uncertainty, image.data_uncertainty, rtol=1e-14)


def test_a_product_with_weights_of_samples(stack):
    moved = stack.ccd.align(offsets=[(0, 0), (3, 2), (-1, 5)])
    weights = np.asarray(footprint.weights("feather", moved)) * np.array([10.0, 20, 30])[:, None, None]
    times = combined(moved, "EXPTIME*feather")
    np.testing.assert_allclose(times, combined(moved, weights), rtol=1e-12)
    assert not np.allclose(times, combined(moved, "feather"), equal_nan=True)


def test_labels_of_measure_stars_and_of_the_product():
    pytest.importorskip("sep")
    rng = np.random.default_rng(0)
    v, u = np.mgrid[:100, :120]
    frames = [rng.normal(1000, 5, (100, 120)) + 800 * np.exp(-((u - 40) ** 2 + (v - 60) ** 2) / w) for w in (4, 9)]
    stack = xccd.open_stack([(frame, {"EXPTIME": 30.0}) for frame in frames])
    labelled = stack.assign_coords(stack.ccd.measure_stars())
    numbers = (1 / labelled.fwhm**2).values.tolist()
    image = labelled.ccd.combine("mean", weights="fwhm")
    np.testing.assert_allclose(image, labelled.ccd.combine("mean", weights=numbers))
    assert image.attrs["EXPTIME"] == 30
    assert "weights='fwhm'" in str(image.ccd.header()["HISTORY"])


def test_what_is_missing_is_said(stack):
    bare = stack.drop_vars(["stars", "fwhm"])
    for name in ("stars", "fwhm", "EXPTIME*fwhm"):
        with pytest.raises(
            ValueError, match=r"needs the label .* stack\.assign_coords\(stack\.ccd\.measure_stars\(\)\)"
        ):
            bare.ccd.combine("mean", weights=name)
    with pytest.raises(ValueError, match="weights='ivar' needs uncertainties, the variable data_uncertainty"):
        bare.ccd.combine("mean", weights="ivar")
    with pytest.raises(
        ValueError, match=r"weights='nois' is no coordinate .*; by quality are noise, ivar, stars, fwhm; did"
    ):
        bare.ccd.combine("mean", weights="EXPTIME*nois")
    nothing = stack.assign_coords(fwhm=("frame", [2.0, np.nan, 3.0]))
    with pytest.raises(ValueError, match=r"weights='fwhm': frame 1 \(b\) has fwhm = nan, not a number"):
        nothing.ccd.combine("mean", weights="fwhm")
    constant = xr.DataArray(np.ones((2, 6, 9)), dims=DIMS)
    with pytest.raises(ValueError, match="weights: frame 0 has weight inf"):
        constant.ccd.combine("mean", weights="noise")


def test_resampled_frames_have_less_noise(stack):
    moved = stack.ccd.align(offsets=[(0, 0), (3, 2), (-1, 5)])
    with pytest.warns(UserWarning, match="measured in resampled frames"):
        moved.ccd.combine("mean", weights="noise")
    labelled = stack.assign_coords(noise=("frame", NOISE)).ccd.align(offsets=[(0, 0), (3, 2), (-1, 5)])
    assert labelled.ccd.combine("mean", weights="noise").shape == moved.shape[1:]
