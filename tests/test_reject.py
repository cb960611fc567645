"""`reject` and `register_rejection`: labels, flags, lazy arrays, history, messages."""

import re

import numpy as np
import pytest
import xarray as xr

import xccd
from xccd.compute import arrays
from xccd.kernels.table import REJECTIONS
from xccd.labels.lazy import array_of

PIXEL = [100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90]
IRAF = {"center": "median", "ddof": 1, "about": "center", "maxiters": None, "minimum": 3}
SIRIL = {"center": "median", "ddof": 1, "maxiters": None, "minimum": 5}
# Each row with its options, what it rejects of PIXEL and the mean of the rest.
FIXTURE = [
    ("sigma", {"low": 3, "high": 3, "center": "median", "maxiters": None}, [150, 90], 100.0),
    ("extrema", {"low": 1, "high": 2}, [102, 150, 90], 99.7143),
    ("sigma", IRAF | {"low": 3, "high": 3}, [], 104.0),
    ("sigma", IRAF | {"low": 2, "high": 2}, [150, 90], 100.0),
    ("sigma", SIRIL | {"low": 3, "high": 3}, [150], 98.8889),
    ("noise", {"readnoise": 5, "gain": 2}, [150], 98.8889),
    ("percentile_rank", {"pclip": -0.5}, [150, 90], 100.0),
    ("extrema", {"low": 1, "high": 2, "fraction": True}, [102, 150, 90], 99.7143),
    ("winsorized", {"low": 3, "high": 3}, [150, 90], 100.0),
    ("winsorized", {"low": 4, "high": 3}, [150, 90], 100.0),
    ("esd", {"max_outliers": 0.3, "alpha": 0.05}, [150, 90], 100.0),
    ("percentile", {"low": 0.2, "high": 0.1}, [150], 98.8889),
    ("linear_fit", {"low": 5, "high": 2.5}, [150], 98.8889),
    ("linear_fit", {"low": 4, "high": 3}, [150], 98.8889),
]


def brightest(values, axis, number=1):
    return np.argsort(np.argsort(-np.nan_to_num(values, nan=-np.inf), axis=axis), axis=axis) < number


@pytest.fixture
def registered():
    xccd.register_rejection("brightest", brightest, defaults={"number": 1}, summary="the brightest samples")
    yield "brightest"
    del REJECTIONS["brightest"]


def stack_of(frames=12, side=6, dtype="float32"):
    rng = np.random.default_rng(3)
    x = rng.normal(100, 3, (frames, side, side)).astype(dtype)
    x[2, 1, 1] = x[4, 2, 3] = 300
    return xr.DataArray(x, dims=("frame", "y", "x"), name="data")


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize(("name", "rule", "rejected", "mean"), FIXTURE)
def test_one_pixel_tells_the_algorithms_apart(engine, name, rule, rejected, mean):
    pixel = xr.DataArray(PIXEL, dims="frame")
    with xccd.set_options(engine=engine):
        clipped = pixel.ccd.reject(name, **rule)
    assert pixel.values[np.isnan(clipped)].tolist() == rejected
    assert clipped.mean().item() == pytest.approx(mean, abs=5e-5)
    assert clipped.attrs["history"].startswith(f"xccd.reject(algorithm={name!r}, ")


NOISE = {"readnoise": [2.0] * 11 + [3], "gain": 10.0}  # of each frame
CALLS = [
    ("percentile", {}),
    ("linear_fit", {}),
    ("noise", {"readnoise": 2, "gain": 10}),
    ("noise", NOISE),
    ("swarp", {"gain": 10, "noise": 2, "amplitude": 0.0}),
    ("extrema", {"low": 1, "high": 1, "fraction": True}),
    (brightest, {"number": 2}),
]


@pytest.mark.parametrize(("algorithm", "rule"), CALLS)
def test_lazy_stacks_stay_lazy_and_give_the_same(algorithm, rule):
    stack = stack_of()
    now = stack.ccd.reject(algorithm, **rule)
    assert 0 < now.isnull().sum() < now.size / 2
    for lazy in (stack.chunk({"y": 4}), stack.chunk({"frame": 5, "x": 5})):
        later = lazy.ccd.reject(algorithm, **rule)
        assert arrays.is_dask(later.data)
        np.testing.assert_array_equal(later.values, now.values)
        image = later.ccd.combine("mean")
        assert arrays.is_dask(image.data)
        np.testing.assert_array_equal(image.values, now.ccd.combine("mean").values)


@pytest.mark.parametrize(("algorithm", "rule"), CALLS)
def test_deferred_stacks_stay_deferred(algorithm, rule, tmp_path):
    xccd.to_fits(stack_of().isel(frame=0), tmp_path / "a.fits")
    for i, frame in enumerate(stack_of()):
        xccd.to_fits(frame, tmp_path / f"{i:02}.fits")
    stack = xccd.open_stack(sorted(tmp_path.glob("[0-9]*.fits")), chunks=None)
    assert arrays.is_deferred(array_of(stack))
    later = stack.ccd.reject(algorithm, **rule)
    assert arrays.is_deferred(array_of(later))
    np.testing.assert_array_equal(later.values, stack_of().ccd.reject(algorithm, **rule).values)


@pytest.mark.parametrize("chunks", [None, {"y": 4}])
@pytest.mark.parametrize(("algorithm", "rule"), CALLS)
def test_a_flagged_dataset_gets_flags(algorithm, rule, chunks):
    stack = stack_of()
    ds = stack.ccd.to_dataset()
    ds = ds if chunks is None else ds.chunk(chunks)
    after = ds.ccd.reject(algorithm, **rule)
    now = stack.ccd.reject(algorithm, **rule)
    np.testing.assert_array_equal(after["data"].values, stack.values)
    np.testing.assert_array_equal(after["data_flags"].values != 0, now.isnull().values)
    flags = after["data_flags"].values
    assert set(np.unique(flags)) <= {0, 16, 32}
    assert flags[2, 1, 1] == flags[4, 2, 3] == 32
    np.testing.assert_array_equal(after.ccd.combine("mean")["data"].values, now.ccd.combine("mean").values)


def test_a_tree_and_another_dimension():
    tree = xr.DataTree.from_dict({"r": stack_of().to_dataset(), "g": (stack_of() + 1).to_dataset()})
    after = tree.ccd.reject("linear_fit")
    np.testing.assert_array_equal(after["r"]["data"].values, stack_of().ccd.reject("linear_fit").values)
    turned = stack_of().rename(frame="time").transpose("y", "x", "time")
    np.testing.assert_array_equal(
        turned.ccd.reject("linear_fit", dim="time").transpose("time", "y", "x").values, after["r"]["data"].values
    )


def test_a_registered_rejection_is_one_of_ours(registered):
    stack = stack_of()
    after = stack.ccd.reject("brightest", number=2)
    np.testing.assert_array_equal(after.values, stack.ccd.reject(brightest, number=2).values)
    assert after.attrs["history"] == "xccd.reject(algorithm='brightest', number=2)"
    assert (stack.ccd.reject("brightest").isnull().sum("frame") == 1).all()
    with pytest.raises(ValueError, match=r"algorithm='brightst' is unknown.*did you mean 'brightest'"):
        stack.ccd.reject("brightst")
    with pytest.raises(ValueError, match=r"nmber=2 is no option of 'brightest': it takes number=1; did you mean"):
        stack.ccd.reject("brightest", nmber=2)
    with pytest.raises(ValueError, match=r"low=2 is no option of 'brightest'"):
        stack.ccd.reject("brightest", low=2, high=2)
    xccd.register_rejection("brightest", brightest)  # again


def test_a_function_gets_thresholds():
    def far(values, axis, low, high):
        middle = np.nanmedian(values, axis=axis)
        return (values < middle - low) | (values > middle + high)

    stack = stack_of()
    assert stack.ccd.reject("sigma", maxiters=None).attrs["history"].endswith("maxiters='stable')")
    after = stack.ccd.reject(far, 9, 50)
    expected = (stack < stack.median("frame") - 9) | (stack > stack.median("frame") + 50)
    np.testing.assert_array_equal(after.isnull().values, expected.values)
    assert after.attrs["history"] == "xccd.reject(algorithm=far, low=9, high=50)"


@pytest.mark.parametrize("given", [("sigma", print), ("linear_fit", print), ("", print), (3, print)])
def test_names_that_cannot_be_registered(given):
    with pytest.raises(ValueError, match=r"name="):
        xccd.register_rejection(*given)


def test_what_cannot_be_registered():
    with pytest.raises(TypeError, match=r"function=3 is no function"):
        xccd.register_rejection("mine", 3)
    with pytest.raises(ValueError, match=r"least=0 is not a whole number of 1 or more"):
        xccd.register_rejection("mine", brightest, least=0)


@pytest.mark.parametrize(
    ("args", "rule", "error", "message"),
    [
        (("percntile",), {}, ValueError, r"algorithm='percntile' is unknown: use one of sigma, .*'percentile'\?"),
        (("range", 1, 2), {}, ValueError, r"algorithm='range' is unknown"),
        ((3,), {}, ValueError, r"algorithm=3 is unknown"),
        (("percentile", -1, 2), {}, ValueError, r"low=-1: thresholds are 0 or more"),
        (("percentile", "a", 2), {}, TypeError, r"low='a' is not a number"),
        (("percentile", 0.3), {}, TypeError, r"reject\('percentile', 0.3\) leaves high=0.1: give both"),
        ((brightest, 0.3), {}, TypeError, r"brightest, 0.3\) leaves high: give both"),
        (("percentile",), {"maxiters": 2}, ValueError, r"maxiters=2 is no option of 'percentile': it takes low, high"),
        (("sigma",), {"maxiter": 2}, ValueError, r"maxiter=2 is no option of 'sigma'.*did you mean 'maxiters'"),
        (("sigma",), {"maxiters": 0}, ValueError, r"maxiters=0 is not a whole number of 1 or more"),
        (("extrema", 0.5, 1), {}, ValueError, r"low=0.5 is not a whole number of 0 or more"),
    ],
)
def test_a_wrong_call_says_what_to_do(args, rule, error, message):
    with pytest.raises(error, match=message):
        stack_of().chunk().ccd.reject(*args, **rule)


@pytest.mark.parametrize(
    "function", [lambda values, axis: values > 3 if values.ndim > 9 else values, lambda v, axis: True]
)
def test_a_function_must_give_bool_of_the_shape(function):
    with pytest.raises(ValueError, match=r"algorithm=.*must give True for each sample to reject"):
        stack_of().ccd.reject(function)


def test_thresholds_that_are_off():
    pixel = xr.DataArray([*PIXEL, 20], dims="frame")
    for rule, left in (({"low": None}, 1), ({"high": None}, 1), ({"low": None, "high": None}, 0), ({}, 2)):
        clipped = pixel.ccd.reject("percentile", **rule)
        assert clipped.isnull().sum() == left
    assert re.search(r"low='off', high='off'", pixel.ccd.reject("percentile", None, None).attrs["history"])


def test_too_few_frames_are_said():
    with pytest.warns(
        UserWarning, match=r"reject\('linear_fit'\) rejects nothing with 3 frame\(s\): it takes 5 or more"
    ):
        assert stack_of(3 + 2).isel(frame=slice(3)).ccd.reject("linear_fit").notnull().all()
