"""`reject` and `register_rejection`: labels, flags, lazy arrays, history, messages."""

import re
from functools import partial

import numpy as np
import pytest
import xarray as xr

import oracles
import xccd
from xccd.compute import arrays
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
    ("average_sigma", {"per": "row"}, [150], 98.8889),
    ("average_sigma", {"per": "image"}, [150], 98.8889),
    ("average_sigma", {"per": "pixel"}, [], 104.0),  # 50 is 2.94 deviations: one pixel alone
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
    xccd.unregister_rejection("brightest")


def stack_of(frames=12, side=6, dtype="float32"):
    rng = np.random.default_rng(3)
    x = rng.normal(100, 3, (frames, side, side)).astype(dtype)
    x[2, 1, 1] = x[4, 2, 3] = 300
    return xr.DataArray(x, dims=("frame", "y", "x"), name="data")


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize(("name", "rule", "rejected", "mean"), FIXTURE)
def test_one_pixel_tells_the_algorithms_apart(engine, name, rule, rejected, mean):
    pixel = xr.DataArray(PIXEL, dims="frame")
    image = pixel.expand_dims(y=2, x=2, axis=(1, 2))  # of equal pixels, as the real programs were given
    with xccd.set_options(engine=engine):
        clipped = image.ccd.reject(name, **rule)
    assert (clipped.isnull() == clipped[:, :1, :1].isnull().values).all()
    clipped = clipped[:, 0, 0]
    assert pixel.values[np.isnan(clipped)].tolist() == rejected
    assert clipped.mean().item() == pytest.approx(mean, abs=5e-5)
    assert clipped.attrs["history"].startswith(f"xccd.reject(algorithm={name!r}, ")


NOISE = {"readnoise": [2.0] * 11 + [3], "gain": 10.0}  # of each frame
CALLS = [
    ("average_sigma", {}),
    ("average_sigma", {"per": "pixel", "center": "mean"}),
    ("average_sigma", {"per": "image"}),
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


def test_a_name_is_registered_again_and_taken_away():
    stack = stack_of().chunk({"y": 3})
    for number in (1, 2):  # as a cell that runs twice, after an edit
        xccd.register_rejection("mine", partial(brightest, number=number))
        lazy = stack.ccd.reject("mine")
    xccd.unregister_rejection("mine")
    assert (lazy.isnull().sum("frame") == 2).all()
    with pytest.raises(ValueError, match=r"algorithm='mine' is unknown"):
        stack.ccd.reject("mine")
    for name, why in [("mine", "is not registered: no name is"), ("sigma", "is an algorithm of xccd"), ([], "is not")]:
        with pytest.raises(ValueError, match=why):
            xccd.unregister_rejection(name)


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


@pytest.mark.parametrize("chunks", [None, {"y": 4}, {"frame": 3}])
def test_noise_of_frames_that_were_normalised(chunks):
    """A clip of scaled frames is that of the frames before, but for their own levels: each has its own noise."""
    raw = stack_of().astype("f8") * xr.DataArray(np.linspace(0.5, 2, 12), dims="frame")
    raw = raw if chunks is None else raw.chunk(chunks)
    level = raw.ccd.normalize("median")
    after = level.ccd.reject("noise", readnoise=2, gain=10)
    assert arrays.is_lazy(after.data) == (chunks is not None)
    y, f, z = level.values, level["scale"].values[:, None, None], level["zero"].values[:, None, None]
    middle = np.median(y, axis=0)
    light = np.maximum((middle + z) / f, 0)
    first = np.abs(y - middle) > 3 * f * np.sqrt(0.04 + light / 10)
    assert first[2, 1, 1]
    assert first[4, 2, 3]
    assert (after.isnull().values >= first).all()
    assert after.isnull().sum() < first.sum() + 5
    again = level.compute().ccd.reject("noise", readnoise=2, gain=10)
    np.testing.assert_array_equal(after.values, again.values)
    image = level.ccd.to_dataset().ccd.reject("noise", readnoise=2, gain=10).ccd.combine("mean")["data"]
    np.testing.assert_array_equal(image.values, again.ccd.combine("mean").values)


def test_noise_by_keywords():
    stack = stack_of().assign_coords(RDNOISE=("frame", [2.0] * 12), GAIN=("frame", [10.0] * 12))
    given = stack.ccd.reject("noise", readnoise=2, gain=10)
    for rule in ({}, {"readnoise": "RDNOISE"}, {"gain": [10] * 12}, {"gain": xr.DataArray([10.0] * 12, dims="frame")}):
        np.testing.assert_array_equal(stack.ccd.reject("noise", **rule).values, given.values)
    one_sided = stack.ccd.reject("noise", low=None)
    assert one_sided.isnull().values[2, 1, 1]
    with pytest.raises(ValueError, match=r"gain='GAIN' is no coordinate.*Give a number, gain=\.\.\., or one for each"):
        stack.drop_vars("GAIN").ccd.reject("noise")
    with pytest.raises(ValueError, match=r"readnoise: frame 3 has -1.0, which is not 0 or more"):
        stack.ccd.reject("noise", readnoise=[2, 2, 2, -1] + [2] * 8)
    with pytest.raises(ValueError, match=r"gain: frame 0 has 0.0, which is not above 0"):
        stack.ccd.reject("noise", gain=0)
    with pytest.raises(ValueError, match=r"gain=\[1, 2\] of 'noise': give a number, one for each of the 12 frames"):
        stack.ccd.reject("noise", gain=[1, 2])
    with pytest.raises(ValueError, match=r"center='mode' of 'noise' is not 'median' or 'mean'"):
        stack.ccd.reject("noise", center="mode")
    with pytest.raises(ValueError, match=r"sensitivity=-1 of 'noise' is not a finite number of 0 or more"):
        stack.ccd.reject("noise", sensitivity=-1)


def with_errors(chunks):
    stack = stack_of()
    sigma = xr.full_like(stack, 3.0)
    sigma[4] = 1000.0
    stack, sigma = (v if chunks is None else v.chunk(chunks) for v in (stack, sigma))
    return stack.ccd.to_dataset(uncertainty=sigma)


@pytest.mark.parametrize("chunks", [None, {"y": 4}, {"frame": 5, "x": 3}])
@pytest.mark.parametrize(("name", "rule"), [("variance", {}), ("swarp", {"gain": 1e9, "amplitude": 0})])
def test_uncertainties_of_a_dataset(name, rule, chunks):
    after = with_errors(chunks).ccd.reject(name, **rule)
    assert arrays.is_lazy(after["data_flags"].data) == (chunks is not None)
    flags = after["data_flags"].values
    assert flags[2, 1, 1] == 32
    assert (flags[4] == 0).all()  # of frame 4 nothing is known so well
    np.testing.assert_array_equal(flags, with_errors(None).ccd.reject(name, **rule)["data_flags"].values)
    twice = after.ccd.reject("percentile").ccd.reject(name, **rule)
    assert (twice["data_flags"].values[flags > 0] == flags[flags > 0]).all()
    assert twice["data_flags"].values[4, 2, 3] == 32
    image = after.ccd.combine("mean")["data"]
    expected = stack_of().astype("f8").where(flags == 0).mean("frame")
    np.testing.assert_allclose(image.values, expected.values, rtol=1e-6)


@pytest.mark.parametrize(("kind", "power"), [("var", 2), ("ivar", -2)])
@pytest.mark.parametrize(("name", "rule"), [("variance", {}), ("swarp", {"gain": 1e9, "amplitude": 0})])
@pytest.mark.parametrize("chunks", [None, {"y": 4}])
def test_uncertainties_of_any_type_are_deviations(name, rule, kind, power, chunks):
    ds = with_errors(chunks)
    other = ds.assign(data_uncertainty=(ds.data_uncertainty.astype("f8") ** power).assign_attrs(uncertainty_type=kind))
    found, expected = (obj.ccd.reject(name, **rule).data_flags.values for obj in (other, ds))
    np.testing.assert_array_equal(found, expected)
    assert (expected != 0).any()


def test_factors_of_planes_are_no_noise_model():
    stack = xr.DataArray(np.ones((4, 2, 3, 5)), dims=("frame", "z", "y", "x"))
    stack = stack.assign_coords(scale=(("frame", "z"), np.ones((4, 2))), zero=(("frame", "z"), np.ones((4, 2))))
    with pytest.raises(ValueError, match=r"label 'scale' has the dimensions \('frame', 'z'\).*reject before normalize"):
        stack.ccd.reject("noise", gain=1, readnoise=1)
    assert stack.isel(z=0).ccd.reject("noise", gain=1, readnoise=1).shape == (4, 3, 5)


def test_without_uncertainties():
    with pytest.raises(ValueError, match=r"reject\('variance'\) takes the uncertainty of each sample.*or use 'noise'"):
        stack_of().ccd.reject("variance")
    with pytest.raises(ValueError, match=r"reject\('swarp'\) takes the uncertainty.*or give noise=\.\.\."):
        stack_of().ccd.reject("swarp", gain=2)


def test_planes_have_no_noise_model():
    stack = stack_of().assign_coords(zero_y=("frame", np.zeros(12)))
    with pytest.raises(ValueError, match=r"reject\('noise'\) of frames less planes"):
        stack.ccd.reject("noise", readnoise=2, gain=10)


@pytest.mark.parametrize(
    ("name", "rule"),
    [("esd", {"alpha": 0}), ("esd", {"max_outliers": 1}), ("chauvenet", {"limit": 3}), ("chauvenet", {"robust": 1}),
     ("winsorized", {"floor": -1}), ("percentile_rank", {"pclip": 0}), ("extrema", {"fraction": 2}),
     ("swarp", {"amplitude": "a"}), ("sigma", {"about": "median"})],
)  # fmt: skip
def test_values_out_of_range(name, rule):
    ((option, value),) = rule.items()
    with pytest.raises(ValueError, match=rf"{option}={value!r} of '{name}' is not "):
        stack_of().ccd.reject(name, **rule)


def test_algorithms_without_thresholds():
    with pytest.raises(ValueError, match=r"low=3 is no option of 'esd': it takes max_outliers=0.3, alpha=0.05"):
        stack_of().ccd.reject("esd", 3, 3)
    assert stack_of().ccd.reject("esd", alpha=0.01).attrs["history"] == "xccd.reject(algorithm='esd', alpha=0.01)"


def test_samples_that_a_pixel_lacks_count_in_proportion():
    stack = xr.DataArray([[1.0, 1], [2, np.nan], [3, 3], [4, np.nan], [5, 5], [6, 6]], dims=("frame", "x"))
    after = stack.ccd.reject("extrema", 1, 2, fraction=True)
    assert after.count("frame").values.tolist() == [3, 3]  # 0.67 of one low and 1.33 of two high: 0 and 1
    assert stack.ccd.clip_extrema(1, 2).count("frame").values.tolist() == [3, 1]


def test_functions_as_centres_take_all_options():
    pixel = xr.DataArray(PIXEL, dims="frame")

    def middle(values, axis):
        return np.nanmedian(values, axis=axis)

    for rule in (IRAF | {"low": 2, "high": 2}, SIRIL | {"low": 3, "high": 3}):
        expected = pixel.ccd.reject("sigma", **rule)
        np.testing.assert_array_equal(pixel.ccd.reject("sigma", **rule | {"center": middle}).values, expected.values)


@pytest.mark.parametrize("center", ["median", "mean"])
@pytest.mark.parametrize("per", ["row", "image", "pixel"])
def test_average_sigma_is_measured_where_it_says(per, center):
    stack = stack_of().astype("f8")
    stack[3, 2] = np.nan
    stack[2:, 4, 4] = np.nan  # two samples: they do not count
    values = stack.values
    parts = {"row": [(slice(y, y + 1), slice(None)) for y in range(6)], "image": [(slice(None), slice(None))]}
    parts["pixel"] = [(slice(y, y + 1), slice(x, x + 1)) for y in range(6) for x in range(6)]
    expected = np.empty(values.shape, bool)
    for own in parts[per]:
        part = values[(slice(None), *own)]
        a = oracles.unit_noise(part.reshape(12, -1).T.tolist(), center)
        expected[(slice(None), *own)] = oracles.over_pixels(oracles.average_sigma, part, center=center, a=a)
    after = stack.ccd.reject("average_sigma", per=per, center=center)
    np.testing.assert_array_equal(after.isnull().values, expected)
    later = stack.chunk({"x": 2, "y": 4}).ccd.reject("average_sigma", per=per, center=center)
    np.testing.assert_array_equal(later.values, after.values)
    flagged = stack.chunk({"x": 4}).ccd.to_dataset().ccd.reject("average_sigma", per=per, center=center)
    np.testing.assert_array_equal(flagged["data_flags"].values != 0, expected)
