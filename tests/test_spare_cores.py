"""`reject(..., spare_cores=)`: cores of undersampled stars stay."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write
from xccd.verbs.cores import slope_of

DIMS = ("frame", "y", "x")
RULE = {"center": "median", "deviation": "mad_std"}


def slope_twin(image):
    """By each neighbour of each pixel."""
    rows, columns = image.shape
    found = np.zeros(image.shape)
    for y in range(rows):
        for x in range(columns):
            near = [(y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)]
            steps = [abs(image[p] - image[y, x]) for p in near if 0 <= p[0] < rows and 0 <= p[1] < columns]
            found[y, x] = max([0.0, *(s for s in steps if not np.isnan(s))])
    return found


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**32))
def test_slope(rows, columns, seed):
    rng = np.random.default_rng(seed)
    image = np.where(rng.random((rows, columns)) < 0.2, np.nan, rng.normal(size=(rows, columns)))
    np.testing.assert_array_equal(slope_of(image, (0, 1)), slope_twin(image))


@pytest.fixture(scope="module")
def stars():
    """Frames of narrow stars, each shifted by part of a pixel, with cosmic rays on the sky; where the cores are."""
    rng = np.random.default_rng(8)
    v, u = np.mgrid[:60, :70]
    places = [
        (y + rng.uniform(-0.5, 0.5), x + rng.uniform(-0.5, 0.5)) for y in range(8, 56, 12) for x in range(8, 66, 12)
    ]
    x = rng.normal(100, 3, (9, 60, 70))
    for k in range(9):
        dy, dx = rng.uniform(-0.5, 0.5, 2)
        for y, z in places:
            x[k] += 3000 * np.exp(-((v - y - dy) ** 2 + (u - z - dx) ** 2) / (2 * 0.75**2))
    near = np.zeros((60, 70), bool)
    for y, z in places:
        near |= (v - y) ** 2 + (u - z) ** 2 < 1.2**2
    rays = np.zeros(x.shape, bool)
    rays[rng.integers(0, 9, 40), rng.integers(0, 60, 40), rng.integers(0, 70, 40)] = True
    rays &= ~near
    return (x + 5000 * rays).astype("f4"), near, rays


def expected(x, clipped, scale):
    middle = np.nanmedian(x.astype("f8"), axis=0)
    spare = np.abs(x - middle) <= scale * slope_twin(middle)
    return np.where(np.isnan(clipped) & ~spare, np.nan, x)


@pytest.mark.parametrize("chunks", [None, {"y": 7}, {"frame": 2, "x": 9}])
@pytest.mark.parametrize("scale", [0, 0.5, 1.2])
def test_a_sample_within_the_slope_stays(stars, chunks, scale):
    x, _, _ = stars
    stack = xr.DataArray(x, dims=DIMS)
    plain = stack.ccd.reject("sigma", 3, 3, **RULE).values
    stack = stack.chunk(chunks) if chunks else stack
    found = stack.ccd.reject("sigma", 3, 3, **RULE, spare_cores=scale)
    np.testing.assert_array_equal(found, expected(x, plain, scale))
    flagged = stack.ccd.to_dataset().ccd.reject("sigma", 3, 3, **RULE, spare_cores=scale)
    np.testing.assert_array_equal(flagged.data_flags.values != 0, np.isnan(found))
    np.testing.assert_array_equal(flagged.ccd.combine("mean").data, found.ccd.combine("mean"))
    assert "spare_cores=" in found.attrs["history"]


def test_cores_stay_and_cosmic_rays_go(stars):
    x, near, rays = stars
    stack = xr.DataArray(x, dims=DIMS)
    gone = {s: np.isnan(stack.ccd.reject("sigma", 4, 4, **RULE, spare_cores=s)).values for s in (None, 1.2)}
    assert gone[None][:, near].mean() > 0.02
    assert gone[1.2][:, near].mean() < 0.002
    assert gone[1.2][rays].mean() > 0.97


def test_deferred_stacks(stars, tmp_path):
    x, _, _ = stars
    files = [write(tmp_path / f"{k}.fits", frame) for k, frame in enumerate(x)]
    stack, memory = xccd.open_stack(files, chunks=None), xr.DataArray(x, dims=DIMS)
    for algorithm in ("percentile", "lacosmic"):
        options = {"gain": 1.0, "readnoise": 3.0} if algorithm == "lacosmic" else {}
        found = stack.ccd.reject(algorithm, **options, spare_cores=1.2)
        answer = memory.ccd.reject(algorithm, **options, spare_cores=1.2).values
        np.testing.assert_array_equal(found.isel(y=slice(5, 30)), answer[:, 5:30])
        np.testing.assert_array_equal(found, answer)


def test_what_was_missing_stays_missing(stars):
    x = stars[0].copy()
    x[3, 10:20] = np.nan
    ds = xr.DataArray(x, dims=DIMS).ccd.to_dataset().ccd.minmax(max=3000)
    found = ds.ccd.reject("extrema", 1, 1, spare_cores=50)
    before = ds.data_flags.values
    np.testing.assert_array_equal(found.data_flags.values[before != 0], before[before != 0])


@pytest.mark.parametrize("value", [-1, np.inf, np.nan, "1.2", True])
def test_errors(stars, value):
    with pytest.raises(ValueError, match=r"spare_cores=.* is not a finite number of 0 or more"):
        xr.DataArray(stars[0], dims=DIMS).ccd.reject("esd", spare_cores=value)
