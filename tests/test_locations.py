"""The geometric mean, the mode, the adaptive mean, first and last, and sums that are scaled up, as images."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from strategies import DIRECT, chunkings, stacks
from xccd.compute import options

NAN = math.nan
DIMS = ("frame", "y", "x")
some = settings(max_examples=25, deadline=None)


def combined(values, method, **more):
    stack = xr.DataArray(np.array(values, float), dims="frame")
    return float(stack.ccd.combine(method, **more))


@pytest.mark.parametrize("engine", options.ENGINES)
@pytest.mark.parametrize(
    ("method", "values", "expected"),
    [
        ("geometric_mean", [1, 10, 100], 10), ("geometric_mean", [5], 5), ("geometric_mean", [1e300] * 4, 1e300),
        ("geometric_mean", [1e-300, 1e300], 1), ("geometric_mean", [2, NAN, 8], 4), ("geometric_mean", [1, 0, 4], NAN),
        ("geometric_mean", [1, -1, 4], NAN), ("geometric_mean", [5e-324] * 3, 5e-324), ("geometric_mean", [NAN], NAN),
        ("mode", [1, 2, 2, 2, 9], 2), ("mode", [0, 1, 2, 10, 20], 1), ("mode", [1, 5], 3), ("mode", [1, 2, 9], 1.5),
        ("mode", [1, 2, 3], 2), ("mode", [1, 2, 3, 4], 2.5), ("mode", [7], 7), ("mode", [3, 3, 3, 3, 90, 91, 92], 3),
        ("adaptive", [5], 5), ("adaptive", [3, 3, 3], 3), ("adaptive", [1, 3], 2), ("adaptive", [NAN, 2], 2),
        ("first", [NAN, 3, 5], 3), ("last", [4, 7, NAN], 7), ("first", [-0.0], 0), ("last", [NAN], NAN),
    ],
)  # fmt: skip
def test_known_pixels(engine, method, values, expected):
    with xccd.set_options(engine=engine):
        found = combined(values, method)
    assert found == pytest.approx(expected, rel=4e-16, abs=0, nan_ok=True)


def test_an_outlier_pulls_an_adaptive_mean_less_than_a_mean():
    values = [10.0, 11, 9, 10, 10.5, 9.5, 10, 60]
    assert 10 < combined(values, "adaptive") < 14 < combined(values, "mean")


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@some
@given(data=st.data(), values=stacks(dtypes=DIRECT))
def test_first_and_last_are_of_the_frames_in_their_order(lazy, data, values):
    """Also of a stack that is cut along its frames, where each chunk has a first one."""
    stack = xr.DataArray(values, dims=DIMS)
    stack = stack.chunk(dict(zip(DIMS, data.draw(chunkings(values.shape)), strict=True))) if lazy else stack
    for method in ("first", "last"):
        image = stack.ccd.combine(method)
        expected = oracles.over_pixels(oracles.combine, values, method)
        np.testing.assert_array_equal(image.values, expected.astype(image.dtype))
        assert not lazy or not [name for name in image.data.dask.layers if "rechunk" in name]


def test_first_of_what_clips_leave():
    values = np.array([90.0, 1, 2, 3, 90]).reshape(5, 1, 1)
    stack = xr.DataArray(values, dims=DIMS)
    for one in (stack, stack.chunk(frame=1), stack.ccd.to_dataset()):
        clipped = one.ccd.clip_extrema(0, 2)
        found = [clipped.ccd.combine(method) for method in ("first", "last")]
        assert [(a["data"] if isinstance(a, xr.Dataset) else a).values.item() for a in found] == [1, 3]


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@some
@given(data=st.data(), values=stacks(dtypes=DIRECT))
def test_sums_that_are_scaled_up(lazy, data, values):
    stack = xr.DataArray(values, dims=DIMS)
    stack = stack.chunk(dict(zip(DIMS, data.draw(chunkings(values.shape)), strict=True))) if lazy else stack
    image = stack.ccd.combine("sum", rescale=True)
    expected = oracles.over_pixels(oracles.combine, values, "sum", rescale=True)
    size = np.where(np.isfinite(values), np.abs(values.astype("f8")), 0).sum(0) * len(values)
    assert image.dtype == np.float64
    np.testing.assert_array_equal(np.isnan(image), np.isnan(expected))
    assert (np.abs(image.values - expected) <= 4 * 2.0**-52 * size + 5e-323)[~np.isnan(expected)].all()


def test_a_clipped_pixel_does_not_become_dark():
    values = np.full((10, 2, 3), 100.0)
    values[3, 0, 0] = 900
    for stack in (xr.DataArray(values, dims=DIMS), xr.DataArray(values.astype("f4"), dims=DIMS).chunk(y=1)):
        clipped = stack.ccd.sigma_clip(2, 2)
        assert (clipped.ccd.combine("sum", rescale=True) == 1000).all()
        assert clipped.ccd.combine("sum").values[0, 0] == 900
        assert "rescale=True" in str(clipped.ccd.combine("sum", rescale=True).ccd.header()["HISTORY"])


def test_wrong_arguments():
    stack = xr.DataArray([1.0, 2.0], dims="frame")
    with pytest.raises(ValueError, match=r"rescale=True with weights=: it counts frames"):
        stack.ccd.combine("sum", rescale=True, weights=[1, 2])
    with pytest.raises(ValueError, match="rescale=1 is not True or False"):
        stack.ccd.combine("sum", rescale=1)
    for method in ("first", "mode", "adaptive", "geometric_mean"):
        with pytest.raises(ValueError, match=f"method='{method}' is not defined with weights="):
            stack.ccd.combine(method, weights=[1, 2])
    with pytest.raises(ValueError, match="method='ivar' is not defined with weights="):
        stack.ccd.combine("ivar", weights=[1, 2])
