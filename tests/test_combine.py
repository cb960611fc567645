"""Combination against its twins, to the last digit, and what it says of bad arguments."""

import math

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from strategies import FLOATS, INTEGERS, QUANTILES, WHOLE, stacks, weights_per_frame
from xccd.verbs.combine import METHODS

NAN, INF = math.nan, math.inf
DIMS = ("frame", "y", "x")
EPS = 2.0**-52
DENORMAL = 5e-324
PLAIN = [name for name, row in METHODS.items() if not row.needs]
RANKED = ("median", "min", "max", "mad_std", "quantile")
many = settings(max_examples=50, deadline=None)


def stack_of(values, **kwargs):
    """A stack with as many dimensions as the values have."""
    array = np.asarray(values)
    return xr.DataArray(array, dims=DIMS[: array.ndim], **kwargs)


def float_of(dtype):
    """The float type of an image."""
    small = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if small else np.float64)


def size_of(array, method, weights=None):
    """What the rounding of a float64 image is measured by: sum |w x| / sum w, or the largest sample."""
    x = np.where(np.isfinite(array), array, 0).astype("f8")
    if method in ("mean", "sum"):
        w = np.ones(len(x)) if weights is None else np.array(weights)
        w = np.where(np.isfinite(array), w.reshape(-1, 1, 1), 0)
        total = (w * np.abs(x)).sum(0)
        return total if method == "sum" else total / np.maximum(w.sum(0), DENORMAL)
    return np.abs(x).max(0) ** (2 if method == "var" else 1)


def assert_near(image, expected, size, weighted=False):
    """Float32 within an ulp of the exact answer, float64 within 8 roundings, as products with weights are."""
    assert (np.isnan(image) == np.isnan(expected)).all()
    allowed = 8 * EPS * size + 8 * DENORMAL
    if image.dtype == np.float32:
        with np.errstate(over="ignore"):
            beyond = np.isinf(expected.astype("f4"))
        np.testing.assert_array_equal(np.abs(image[beyond]), np.inf)
        image, expected = np.where(beyond, 0, image), np.where(beyond, 0, expected)
        allowed = np.spacing(np.abs(expected).astype("f4")) + (allowed if weighted else 0)
    assert (np.abs(image - expected) <= allowed)[~np.isnan(expected)].all()


# --- against the twins


@many
@given(stacks(dtypes=FLOATS + INTEGERS), st.sampled_from(PLAIN), QUANTILES, st.sampled_from([0, 1, 2]))
def test_methods(array, method, level, ddof):
    options = {"q": level} if method == "quantile" else {"ddof": ddof} if method in ("std", "var") else {}
    image = xccd.combine(stack_of(array), method, **options)
    expected = oracles.over_pixels(oracles.combine, array, method, **options)
    dtype = {"count": np.dtype(int), "sum": np.dtype(float)}.get(method, float_of(array.dtype))
    assert image.dtype == dtype
    assert image.dims == DIMS[1:]
    assert_near(image.values, expected, size_of(array, method))


@many
@given(st.data(), stacks(), st.sampled_from(["mean", "sum"]))
def test_weighted_sums(data, array, method):
    weights = data.draw(weights_per_frame(len(array)))
    image = xccd.combine(stack_of(array), method, weights=weights)
    expected = oracles.over_pixels(oracles.combine, array, method, weights=weights)
    least = min(w for w in weights if w)
    size = size_of(array, method, weights) + DENORMAL / EPS / min(least, 1)
    assert_near(image.values, expected, size, weighted=True)


@many
@given(st.data(), stacks(), QUANTILES)
def test_weighted_ranks(data, array, level):
    weights = data.draw(weights_per_frame(len(array)))
    for method, options in (("median", {}), ("quantile", {"q": level})):
        image = xccd.combine(stack_of(array), method, weights=weights, **options)
        expected = oracles.over_pixels(oracles.combine, array, method, weights=weights, **options)
        assert_near(image.values, expected, size_of(array, method))


@many
@given(stacks(), st.sampled_from([0.1, 0.3, 1.0, 7.0]))
def test_equal_weights_give_the_plain_median(array, weight):
    stack = stack_of(array)
    plain = stack.ccd.combine("median")
    np.testing.assert_array_equal(stack.ccd.combine("median", weights=[weight] * len(array)), plain)
    np.testing.assert_array_equal(stack.ccd.combine("quantile", q=0.5, weights=weight), plain)


@many
@given(st.data(), stacks(elements=WHOLE), st.sampled_from(["mean", "median", "max", "sum", "std", "count"]))
def test_scale(data, array, method):
    scale = data.draw(st.lists(st.sampled_from([0.5, 1, 2, 3, -1]), min_size=len(array), max_size=len(array)))
    image = xccd.combine(stack_of(array), method, scale=scale)
    expected = oracles.over_pixels(oracles.combine, array, method, scale=scale)
    assert_near(image.values, expected, 3 * size_of(array, method))


@pytest.mark.parametrize("dtype", ["f4", "f8", "u2", "i4"])
@pytest.mark.parametrize("n", [1, 2, 3, 25, 100])
def test_any_number_of_frames(n, dtype):
    rng = np.random.default_rng(n)
    array = rng.normal(30000, 100, (n, 2, 2)).astype(dtype)
    if array.dtype.kind == "f":
        array[rng.random(array.shape) < 0.1] = np.nan
    weights = rng.integers(1, 5, n) / 7
    for method, row in ((name, METHODS[name]) for name in PLAIN):
        options = {"q": 0.3} if method == "quantile" else {}
        for given_weights in (None, weights.tolist())[: 2 if row.weighted else 1]:
            image = xccd.combine(stack_of(array), method, weights=given_weights, **options)
            expected = oracles.over_pixels(oracles.combine, array, method, weights=given_weights, **options)
            assert_near(image.values, expected, size_of(array, method, given_weights), given_weights is not None)


def test_every_statistic_is_computed_in_float64():
    stack = stack_of(np.full((1000, 1), 30000.1, "f4"))
    assert stack.ccd.combine("mean") == np.float32(30000.1)
    assert stack.ccd.combine("std") == 0
    assert stack.ccd.combine("sum") == 1000 * float(np.float32(30000.1))
    assert stack_of(np.array([2**24, 1], "f4")).ccd.combine("sum") == 2**24 + 1


@pytest.mark.versions
def test_pixels_without_samples_or_weight():
    stack = stack_of([[NAN, 1.0, NAN], [INF, NAN, 2.0]])
    for method in PLAIN:
        image = stack.ccd.combine(method, q=0.5 if method == "quantile" else None)
        expected = [0, 1, 1] if method == "count" else [True, False, False]
        assert (image if method == "count" else image.isnull()).values.tolist() == expected
    for method in ("mean", "median", "sum"):
        image = stack.ccd.combine(method, weights=[1, 0])
        assert image.isnull().values.tolist() == [True, False, True]
    assert xccd.combine(stack_of([1.0, 2.0]), "std", ddof=2).isnull()


@pytest.mark.versions
@pytest.mark.parametrize("size", [1e300, 1e-300])
def test_extreme_samples(size):
    stack = stack_of(np.array([1.0, 2, 3, 6]) * size)
    assert stack.ccd.combine("std").item() == pytest.approx(np.std([1, 2, 3, 6]) * size, rel=1e-14, abs=0)
    assert stack.ccd.combine("median") == np.median(stack)
    np.testing.assert_array_equal(stack.ccd.sigma_clip(None, 1.5).isnull(), [False, False, False, True])


def test_count_is_combine_count():
    stack = stack_of([[1.0, NAN], [INF, NAN]])
    assert xccd.count(stack).dtype == np.int64
    xr.testing.assert_identical(xccd.count(stack), stack.ccd.combine("count"))
    assert stack.rename(frame="t").ccd.count(dim="t").values.tolist() == [1, 0]


# --- the dtype of the image


@pytest.mark.versions
@pytest.mark.parametrize(
    ("given_dtype", "asked", "expected"),
    [("f4", None, "f4"), ("f8", None, "f8"), ("u1", None, "f4"), ("u2", None, "f4"), ("i4", None, "f8"),
     ("f2", None, "f4"), (">f4", None, "f4"), ("?", None, "f4"), ("f4", float, "f8"), ("f8", "float32", "f4"),
     ("i4", ">f4", "f4"), ("f4", np.float32, "f4")],
)  # fmt: skip
def test_dtype(given_dtype, asked, expected):
    stack = stack_of(np.ones((3, 2), given_dtype))
    for data in (stack, stack.chunk({"y": 1})):
        for method in ("mean", "median", lambda values, axis: np.isfinite(values).all(axis)):
            image = data.ccd.combine(method, dtype=asked)
            assert image.dtype == image.compute().dtype == np.dtype(expected)
            assert image.values.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("asked", "error", "message"),
    [
        ("u2", ValueError, r"dtype='u2': an image is float32 or float64.*then \.fillna\(0\)\.astype\('uint16'\)"),
        (int, ValueError, r"fillna\(0\)\.astype\('int64'\)"),
        ("f2", ValueError, r"an image is float32 or float64"),
        (np.longdouble, ValueError, r"an image is float32 or float64"),
        ("c16", ValueError, r"an image is float32 or float64"),
        ("adu", TypeError, r"dtype='adu' is no dtype"),
    ],
)
def test_bad_dtype(asked, error, message):
    with pytest.raises(error, match=message):
        xccd.combine(stack_of([1.0, 2.0]), dtype=asked)
    with pytest.raises(ValueError, match=r"method='count': counts are int64"):
        xccd.combine(stack_of([1.0, 2.0]), "count", dtype=asked)


# --- functions


def spread(values, axis):
    """A function as a user writes it."""
    return np.nanmax(values, axis=axis) - np.nanmin(values, axis=axis)


@pytest.mark.versions
def test_function():
    array = np.array([[1, NAN, 3], [4, INF, NAN], [9, -INF, 5]], "f4")
    for stack in (stack_of(array), stack_of(array).chunk({"frame": 2, "y": 1})):
        image = stack.ccd.combine(spread)  # no warning of the pixel that is all NaN
        np.testing.assert_array_equal(image, np.array([8, NAN, 2], "f4"))
        assert image.dtype == np.float32
        np.testing.assert_array_equal(stack.ccd.combine(spread, scale=[1, 1, 2]), [17, NAN, 7])
    assert xccd.combine(stack_of([1, 2, 4]), spread) == 3


@pytest.mark.parametrize(
    ("function", "error", "message"),
    [
        (lambda values, axis: values, ValueError, r"gave shape \(3, 2\) .* it must give \(2,\)"),
        (
            lambda values, axis: values.sum(),
            ValueError,
            r"method=<lambda> gave shape \(\) for values of shape \(3, 2",
        ),
        (lambda values, axis: values[0] * 1j, TypeError, r"gave dtype complex64: it must give real numbers"),
    ],
)
def test_bad_function(function, error, message):
    stack = stack_of(np.ones((3, 2), "f4"))
    with pytest.raises(error, match=message):
        stack.ccd.combine(function)
    image = stack.chunk({"y": 2}).ccd.combine(function)
    with pytest.raises(error, match=message):
        image.compute()


# --- bad arguments


@pytest.mark.parametrize(
    ("args", "kwargs", "message"),
    [
        (("average",), {}, r"method='average' is unknown: use one of mean, median, .*, or a function"),
        ((["mean"],), {}, r"method=\['mean'\] is unknown"),
        (("min",), {"weights": [1, 1, 1]}, r"'min' is not defined with weights=: mean, median, sum, quantile are"),
        ((spread,), {"weights": "EXPTIME"}, r"is not defined with weights="),
        (("quantile",), {}, r"q=None with method='quantile': q goes with 'quantile', which needs it"),
        (("median",), {"q": 0.5}, r"q=0.5 with method='median'"),
        (("quantile",), {"q": 1.1}, r"q=1.1 is not one number from 0 to 1"),
        (("quantile",), {"q": NAN}, r"q=nan is not one number"),
        (("quantile",), {"q": [0.1, 0.9]}, r"q=\[0.1, 0.9\] is not one number"),
        (("quantile",), {"q": "half"}, r"q='half' is not one number"),
        (("std",), {"ddof": -1}, r"ddof=-1 is not a whole number of 0 or more"),
        (("std",), {"ddof": 0.5}, r"ddof=0.5"),
        (("mean",), {"ddof": 1}, r"ddof=1 with method='mean': ddof goes with 'std' and 'var'"),
    ],
)
def test_bad_arguments(args, kwargs, message):
    with pytest.raises(ValueError, match=message):
        stack_of([1.0, 2.0, 3.0]).ccd.combine(*args, **kwargs)


@pytest.mark.parametrize("scale", [2, [2.0]])
def test_one_factor_reaches_a_function(scale):
    stack = xr.DataArray([[1.0, 3.0]], dims=("frame", "x"))
    assert stack.ccd.combine(np.nanmax, scale=scale).values.tolist() == [2.0, 6.0]
