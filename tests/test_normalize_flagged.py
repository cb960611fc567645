"""`normalize` of a flagged Dataset: levels of samples without a flag, floats, and uncertainties along."""

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from fits_files import write

DIMS = ("frame", "y", "x")
ASKS = [
    {"scale": "median"}, {"zero": "median"}, {"scale": "mean", "zero": "median", "to": "mean"},
    {"scale": [1.0, 2.0, 0.5, 4.0]}, {"zero": lambda frame: float(frame.max())}, {"scale": "clipped_median", "to": 50},
    {"scale": "EXPTIME"},
]  # fmt: skip


def dataset(seed=0, dtype="uint16", chunks=None, kind="std"):
    rng = np.random.default_rng(seed)
    x = rng.poisson(100 * np.arange(1, 5)[:, None, None], (4, 6, 7)).astype(dtype)
    mask = rng.random(x.shape) < 0.1
    errors = xr.DataArray(rng.uniform(1, 3, x.shape).astype("f4"), dims=DIMS, attrs={"uncertainty_type": kind})
    stack = xr.DataArray(x, dims=DIMS)
    if chunks:
        stack, errors = stack.chunk(chunks), errors.chunk(chunks)
    stack = stack.assign_coords(EXPTIME=("frame", [1.0, 2.0, 3.0, 4.0]))
    return stack.ccd.to_dataset(mask=mask, uncertainty=errors).ccd.minmax(max=420)


@settings(max_examples=40, deadline=None)
@given(
    st.integers(0, 1000), st.sampled_from(["uint16", "int32", "float32", "float64"]),
    st.sampled_from([None, {"y": 2}, {"frame": 1, "x": 3}]), st.sampled_from(range(len(ASKS))),
)  # fmt: skip
def test_it_is_that_of_the_stack(seed, dtype, chunks, number):
    ds, ask = dataset(seed, dtype, chunks), ASKS[number]
    found, expected = ds.ccd.normalize(**ask), ds.ccd.to_stack().ccd.normalize(**ask)
    np.testing.assert_array_equal(found.ccd.to_stack(), expected)
    np.testing.assert_array_equal(found.data_flags, ds.data_flags)
    assert found.data.dtype == expected.dtype
    for name in ("scale", "zero"):
        np.testing.assert_array_equal(found[name], expected[name])
    for method in ("mean", "median"):
        images = [obj.ccd.reject("percentile").ccd.combine(method) for obj in (found, expected)]
        np.testing.assert_array_equal(images[0].data, images[1])
    assert found.data.attrs["history"] == expected.attrs["history"]


@pytest.mark.parametrize(("kind", "power"), [("std", 1), ("var", 2), ("ivar", -2)])
@pytest.mark.parametrize("chunks", [None, {"y": 2}])
def test_uncertainties_are_scaled_along(kind, power, chunks):
    ds = dataset(kind=kind, chunks=chunks)
    found = ds.ccd.normalize(scale=[1.0, 2.0, 0.5, 4.0])
    factors = found.scale.values[:, None, None]
    np.testing.assert_allclose(found.data_uncertainty, ds.data_uncertainty.values * abs(factors) ** power, rtol=1e-6)
    assert found.data_uncertainty.attrs == ds.data_uncertainty.attrs
    shifted = ds.ccd.normalize(zero="median")
    np.testing.assert_array_equal(shifted.data_uncertainty, ds.data_uncertainty)


def test_the_label_of_the_noise_is_scaled_along():
    ds = dataset().assign_coords(noise=("frame", [1.0, 2.0, 3.0, 4.0], {"units": "adu"}))
    found = ds.ccd.normalize(scale="median")
    np.testing.assert_allclose(found.noise, found.scale * [1.0, 2.0, 3.0, 4.0])
    assert found.noise.attrs == {"units": "adu"}
    np.testing.assert_array_equal(ds.ccd.normalize(zero="median").noise, ds.noise)


def test_axes_in_another_order_and_cubes():
    ds = dataset()
    expected = ds.ccd.normalize(scale="median")
    found = ds.transpose("x", "frame", "y").ccd.normalize(scale="median")
    xr.testing.assert_identical(found.transpose(*DIMS), expected)
    cube = xr.concat([ds, ds.assign(data=ds.data * 2)], "z", data_vars="all", combine_attrs="override")
    cube = cube.transpose("frame", "z", "y", "x")
    planes = cube.ccd.normalize(scale="median")
    for z in range(2):
        np.testing.assert_array_equal(planes.data[:, z], cube.isel(z=z).ccd.normalize(scale="median").data)
        ratio = (planes.data_uncertainty / cube.data_uncertainty).values[:, z, 0, 0]
        np.testing.assert_allclose(ratio, planes.scale[:, z], rtol=1e-6)


def test_deferred_and_lazy(tmp_path):
    files = [write(tmp_path / f"{k}.fits", (np.ones((9, 8)) * (k + 1)).astype("i2")) for k in range(3)]
    ds = xccd.open_dataset(files, chunks=None).ccd.minmax(max=2).ccd.normalize(zero=[0, 1, 2])
    np.testing.assert_array_equal(ds.data[:, 0, 0], [1, 1, 1])
    np.testing.assert_array_equal(ds.data_flags[:, 0, 0], [0, 0, 8])

    def forbidden(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=forbidden):
        dataset(chunks={"y": 2}).ccd.normalize(scale="median").ccd.combine("mean")


def test_the_noise_model_knows_what_was_done():
    """`reject("noise")` after a scale takes the noise of the counts that the camera read."""
    rng = np.random.default_rng(4)
    levels = np.array([100.0, 400.0, 1600.0, 100.0, 400.0, 1600.0, 100.0])
    x = rng.poisson(levels[:, None, None], (7, 40, 50)).astype("f4")
    x[2, 5, :] += 400  # ten times the noise there; 25 counts at the level of the first, 2.5 times its noise
    ds = xr.DataArray(x, dims=DIMS).ccd.to_dataset().ccd.normalize(scale=list(levels))
    found, without = (
        (obj.ccd.reject("noise", 4, 4, readnoise=0, gain=1).data_flags != 0).values
        for obj in (ds, ds.drop_vars(["scale", "zero"]))
    )
    assert found[2, 5].all()
    assert found.sum() < 80
    assert not without[2, 5].all()
