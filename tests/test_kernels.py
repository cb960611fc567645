"""The compiled loops by themselves: columns, bands of pixels, numbers of any size."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
from xccd import kernels
from xccd.combine import METHODS
from xccd.kernels import column, reduce

ONE = np.ones((1, 1))
RULE = (True, False, 2.0, 2.0, 0, 0.0, 0)  # mean, std, low, high, ddof, floor, nkeep
SIZES = (1, 2, 3, 7, 47, 48, 49, 50, 100, 1001)  # 48: from one way of sorting to the other
many = settings(max_examples=100, deadline=None)
numbers = st.integers(-5, 5).map(float) | st.floats(-1e6, 1e6) | st.sampled_from([1e30, -1e30, 5e-324, -0.0])


def clip(x, rule=RULE, maxiters=1):
    """The kernel on a whole block."""
    out = np.empty_like(x)
    kernels.sigma_clip(x, rule, maxiters, 0, x.shape[1], out)
    return out


def combined(name, x, weights=ONE, q=0.5, scale=ONE, ddof=0):
    """A reduction of a whole block."""
    out = np.empty(x.shape[1])
    bad = getattr(reduce, name)(x, scale, weights, q, ddof, 0, x.shape[1], out)
    return out, bad


# --- columns


@pytest.mark.parametrize("n", SIZES)
def test_sorting(n):
    rng = np.random.default_rng(n)
    for values in (rng.normal(size=n), rng.integers(0, 4, n) * 1.0, np.arange(n, 0.0, -1), np.zeros(n)):
        buffer = np.append(values, [-np.inf, np.nan])
        column.sort(buffer, n)
        np.testing.assert_array_equal(buffer, [*np.sort(values), -np.inf, np.nan])


@many
@given(st.lists(numbers, min_size=1, max_size=60), st.data())
def test_medians_of_a_window(values, data):
    x = np.sort(np.array(values))
    lo = data.draw(st.integers(0, x.size - 1))
    hi = data.draw(st.integers(lo + 1, x.size))
    center = column.median(x, lo, hi)
    assert center == float(oracles.median([Fraction(v) for v in x[lo:hi]]))
    assert column.median_distance(x, lo, hi, center) == np.median(np.abs(x[lo:hi] - center))


@many
@given(st.lists(numbers, max_size=60))
def test_total_is_nearly_exact(values):
    x = np.array(values)
    exact = math.fsum(values)
    error = abs(Fraction(column.total(x, x.size)) - Fraction(exact))
    assert error <= Fraction(np.spacing(abs(exact))) + Fraction(2.0**-98) * x.size * sum(
        map(abs, map(Fraction, values))
    )


def test_total_of_what_overflows():
    assert column.total(np.array([1.7e308, 1.7e308]), 2) == np.inf
    assert column.middle(1.7e308, 1.7e308) == 1.7e308
    assert column.middle(5e-324, 5e-324) == 5e-324


# --- blocks


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("n", SIZES)
def test_blocks(n, dtype):
    rng = np.random.default_rng(n)
    x = rng.normal(50, 5, (n, 3)).astype(dtype)
    x[rng.random(x.shape) < 0.1] = np.nan
    x[:, 2] = np.round(x[:, 2])
    decided = oracles.over_pixels(oracles.sigma_clip_margin, x, 2, 2) > 1e-10
    out = oracles.over_pixels(oracles.sigma_clip, x, 2, 2)
    np.testing.assert_array_equal(np.where(decided, clip(x), 0), np.where(decided, np.where(out, np.nan, x), 0))
    for nlow, nhigh in ((0, 0), (1, 2), (n, 0)):
        result = np.empty_like(x)
        kernels.clip_extrema(x, nlow, nhigh, 0, 3, result)
        np.testing.assert_array_equal(np.isnan(result), oracles.over_pixels(oracles.clip_extrema, x, nlow, nhigh))


def test_a_band_writes_its_own_pixels_only():
    x = np.random.default_rng(1).normal(size=(5, 10))
    for start, stop in ((0, 10), (3, 7), (4, 4), (9, 10)):
        inside = np.zeros(10, bool)
        inside[start:stop] = True
        out = np.full_like(x, 777.0)
        kernels.sigma_clip(x, RULE, 1, start, stop, out)
        np.testing.assert_array_equal(out, np.where(inside, clip(x), 777.0))
        out = np.full_like(x, 777.0)
        kernels.clip_extrema(x, 1, 1, start, stop, out)
        assert ((out == 777.0).all(0) == ~inside).all()
        for row in METHODS.values():
            for name in filter(None, (row.kernel, row.weighted)):
                image = np.full(10, 777.0)
                assert getattr(reduce, name)(x, ONE, ONE, 0.5, 0, start, stop, image) == 0
                np.testing.assert_array_equal(image, np.where(inside, combined(name, x)[0], 777.0))


@pytest.mark.parametrize("power", [-1060, -1000, -500, -250, 250, 500, 1000])
@pytest.mark.parametrize("by_mad", [False, True])
def test_a_clip_does_not_depend_on_the_unit(power, by_mad):
    x = np.random.default_rng(2).integers(-8, 9, (9, 40)) * 1.0
    x[0] += 40
    scaled = np.ldexp(x, power)
    for by_mean in (True, False):
        rule = (by_mean, by_mad, 1.5, 2.0, 0, 0.0, 0)
        np.testing.assert_array_equal(clip(scaled, rule, -1), np.ldexp(clip(x, rule, -1), power))


@pytest.mark.parametrize("power", [-1000, -500, 500, 1000])
def test_deviations_do_not_depend_on_the_unit(power):
    x = np.random.default_rng(3).normal(size=(9, 40))
    scaled = np.ldexp(x, power)
    for name in ("std", "mad_std", "mean", "median_"):
        np.testing.assert_allclose(np.ldexp(combined(name, scaled)[0], -power), combined(name, x)[0], rtol=1e-13)


def test_an_outlier_that_hides_the_others():
    x = np.array([[1e200], [3.0], [1.0], [2.0], [2.0], [1.0], [3.0], [-1e9], [2.0], [2.0], [2.0], [2.0], [2.0]])
    expected = x.copy()
    expected[[0, 7]] = np.nan
    np.testing.assert_array_equal(clip(x, (False, False, 3.0, 3.0, 0, 0.0, 0), -1), expected)


def test_samples_of_no_weight_take_no_part():
    x = np.array([[1.0, 1.0], [2.0, np.nan], [90.0, np.nan]])
    weights = np.array([[1.0], [1.0], [0.0]])
    for name, expected in (("weighted_mean", 1.5), ("weighted_sum", 3), ("weighted_quantile", 1.5)):
        image, bad = combined(name, x, weights)
        assert (image.tolist(), bad) == ([expected, 1], 0)


@pytest.mark.parametrize("weight", [-1.0, np.nan, np.inf, -np.inf])
def test_unusable_weights_are_counted(weight):
    x = np.array([[1.0, 1.0, np.nan], [2.0, np.inf, 5.0]])
    for name in ("weighted_mean", "weighted_sum", "weighted_quantile"):
        assert combined(name, x, np.array([[1.0], [weight]]))[1] == 2
        assert combined(name, x, np.array([[1.0, weight, weight], [1.0, weight, 1.0]]))[1] == 1


@pytest.mark.parametrize("q", [0, 0.1, 0.25, 0.3, 0.5, 0.75, 0.999, 1])
@pytest.mark.parametrize("n", SIZES)
def test_quantiles_are_numpys(n, q):
    x = np.random.default_rng(n).normal(size=(n, 5))
    np.testing.assert_allclose(combined("quantile", x, q=q)[0], np.quantile(x, q, axis=0), rtol=1e-13, atol=1e-15)
    expected = np.quantile(x, q, axis=0, method="averaged_inverted_cdf")
    np.testing.assert_allclose(combined("weighted_quantile", x, np.full((n, 1), 0.1), q)[0], expected, rtol=1e-13)
