"""The oracles against published results, other packages, and cases worked out by hand."""

import math
from fractions import Fraction
from itertools import pairwise, product

import numpy as np
import pytest
import scipy.stats
from astropy.stats import mad_std as astropy_mad_std
from astropy.stats import sigma_clip as astropy_sigma_clip
from hypothesis import given
from hypothesis import strategies as st

from oracles import clip_extrema, combine, minmax, over_pixels, sigma_clip, sigma_clip_margin
from strategies import (
    FLOATS,
    INTEGERS,
    REALS,
    WHOLE,
    chunkings,
    stacks,
    thresholds,
    weights_per_frame,
)

NAN, INF = math.nan, math.inf
FIXTURE = [100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90]
BELOW_3 = math.nextafter(3, 0)


def rejected(values, mask):
    """The values under the mask, ordered."""
    return sorted(v for v, out in zip(values, mask, strict=True) if out)


def left(values, mask):
    """The values with NaN under the mask."""
    return [NAN if out else v for v, out in zip(values, mask, strict=True)]


def random_pixels(count=150, least=2, most=12, seed=1):
    """Pixels of whole numbers or reals, some with an outlier."""
    rng = np.random.default_rng(seed)
    for i in range(count):
        pixel = rng.normal(10, 2, rng.integers(least, most + 1))
        pixel[0] += rng.choice([0, 30])
        yield np.round(pixel) if i % 2 else pixel


# --- the fixture of the definitions


@pytest.mark.parametrize(
    ("options", "out", "mean"),
    [
        ({}, [], 104.0),  # ccdproc
        ({"center": "median", "deviation": "mad_std"}, [90, 150], 100.0),  # ccdproc
        ({"center": "median", "maxiters": 5}, [90, 150], 100.0),  # astropy
        ({"center": "median"}, [150], 98.8889),  # astropy, maxiters=1
        ({"center": "median", "maxiters": None}, [90, 150], 100.0),  # gnuastro
        ({"center": "median", "maxiters": None, "ddof": 1}, [150], 98.8889),  # Siril
    ],
)
def test_fixture_sigma_clip(options, out, mean):
    mask = sigma_clip(FIXTURE, 3, 3, **options)
    assert rejected(FIXTURE, mask) == out
    assert float(combine(left(FIXTURE, mask), "mean")) == pytest.approx(mean, abs=1e-4)


def test_fixture_extrema():
    mask = clip_extrema(FIXTURE, nlow=1, nhigh=2)
    assert rejected(FIXTURE, mask) == [90, 102, 150]
    assert float(combine(left(FIXTURE, mask), "mean")) == pytest.approx(99.7143, abs=1e-4)


# --- sigma_clip by hand


def test_one_outlier_on_the_bound_stays():
    pixel = [0] * 9 + [10]  # mean 1, std 3, residual 9
    assert not any(sigma_clip(pixel, None, 3))
    assert rejected(pixel, sigma_clip(pixel, None, BELOW_3)) == [10]
    pixel = [-x for x in pixel]
    assert not any(sigma_clip(pixel, 3, None))
    assert rejected(pixel, sigma_clip(pixel, BELOW_3, None)) == [-10]


@pytest.mark.parametrize(("low", "high", "out"), [(None, 1, [9]), (1, None, [-9]), (None, None, [])])
def test_sides(low, high, out):
    pixel = [-9, 0, 0, 0, 0, 9]
    assert rejected(pixel, sigma_clip(pixel, low, high)) == out


@pytest.mark.parametrize(("floor", "out"), [(0, [7]), (1.5, [7]), (2, []), (3, [])])
def test_zero_deviation_keeps_the_centre_and_floor_helps(floor, out):
    pixel = [5, 5, 5, 7]
    options = {"center": "median", "deviation": "mad_std", "floor": floor}
    assert rejected(pixel, sigma_clip(pixel, 1, 1, **options)) == out


def test_zero_threshold_keeps_only_the_centre():
    assert sigma_clip([1, 2, 3], 0, 0) == [True, False, True]
    assert sigma_clip([4.1, 4.1, 4.1], 0, 0) == [False] * 3


def test_mean_with_mad_std_can_empty_a_pixel():
    assert all(sigma_clip([0, 0, 0, 1], 3, 3, deviation="mad_std", maxiters=None))


@pytest.mark.parametrize(("ddof", "stays"), [(0, False), (1, True), (2, True), (5, True)])
def test_ddof(ddof, stays):
    # std 1 or sqrt(2), then undefined: nothing is rejected
    assert sigma_clip([-1, 1], 0.9, 0.9, ddof=ddof) == [not stays] * 2


def test_std_is_about_the_mean_whatever_the_centre():
    pixel = [0, 0, 0, 4]  # mean 1, var 3, median 0: 4 is 2.309 std away
    assert not any(sigma_clip(pixel, 2.31, 2.31, center="median"))
    assert rejected(pixel, sigma_clip(pixel, 2.30, 2.30, center="median")) == [4]


def test_passes_are_cumulative_and_stop():
    pixel = [0, 1, -1, 0, 1, -1, 0, 10, 100]
    out = [rejected(pixel, sigma_clip(pixel, 2, 2, maxiters=n)) for n in (0, 1, 2, 3, None)]
    assert out == [[], [100], [10, 100], [10, 100], [10, 100]]


def test_missing_samples_change_nothing():
    pixel = [100, NAN, 101, INF, 99, 100, 160, -INF]
    clean = [x for x in pixel if math.isfinite(x)]
    mask = sigma_clip(pixel, 1.5, 1.5)
    assert [mask[i] for i, x in enumerate(pixel) if math.isfinite(x)] == sigma_clip(clean, 1.5, 1.5)
    assert [mask[i] for i in (1, 3, 7)] == [True] * 3
    assert sigma_clip([NAN, INF]) == [True, True]
    assert sigma_clip([]) == []


@pytest.mark.parametrize(
    ("pixel", "nkeep", "out"),
    [
        ([0, 0, 0, -4, 4], 3, [-4, 4]),
        ([0, 0, 0, -4, 4], 4, []),  # equal ones on the edge all come back
        ([0, 0, 0, -3, 4], 4, [4]),
        ([0, 0, 0, -3, 4], 5, []),
        ([0, 0, 0, -3, 4], 9, []),
        ([0, 0, 0, 0, 2, -4, 4, NAN], 5, [-4, 4]),
    ],
)
def test_nkeep(pixel, nkeep, out):
    options = {"center": "median", "deviation": "mad_std", "maxiters": None, "nkeep": nkeep}
    mask = sigma_clip(pixel, 3, 3, **options)
    finite = [x for x in pixel if math.isfinite(x)]  # the missing ones come last
    assert rejected(finite, mask[: len(finite)]) == out


def test_nkeep_puts_back_only_what_the_last_pass_rejected():
    pixel = [0, 1, -1, 0, 1, -1, 0, 10, 100]
    for nkeep, out in [(7, [10, 100]), (8, [100]), (9, [])]:
        mask = sigma_clip(pixel, 2, 2, maxiters=None, nkeep=nkeep)
        assert rejected(pixel, mask) == out


# --- the margin


def test_margin_by_hand():
    pixel = [0] * 9 + [10]
    assert sigma_clip_margin(pixel, None, 3) == 0
    assert sigma_clip_margin(pixel, None, 2) == pytest.approx(3 / 15)
    assert sigma_clip_margin(pixel, 3, 2) == pytest.approx(3 / 15)
    assert sigma_clip_margin(pixel, 3, None) == pytest.approx(8 / 10)
    assert sigma_clip_margin(pixel, None, 3 * (1 + 1e-12)) == pytest.approx(5e-13, rel=1e-3)
    assert sigma_clip_margin(pixel, None, None) == INF
    assert sigma_clip_margin([5, 5]) == 0
    assert sigma_clip_margin([0, 5], nkeep=2) == INF  # no pass may start


def test_margin_sees_later_passes():
    pixel = [0] * 9 + [10, 1000]
    assert sigma_clip_margin(pixel, None, 3, maxiters=1) > 0
    assert sigma_clip_margin(pixel, None, 3, maxiters=2) == 0


# --- against astropy


@pytest.mark.parametrize("maxiters", [1, 2, 5, None])
@pytest.mark.parametrize(("center", "deviation"), [("mean", "std"), ("median", "std"), ("median", "mad_std")])
def test_sigma_clip_is_astropys(center, deviation, maxiters):
    # functions and an axis: astropy's other paths let rejected samples come back
    cenfunc = {"mean": np.nanmean, "median": np.nanmedian}[center]
    stdfunc = np.nanstd
    if deviation == "mad_std":

        def stdfunc(values, axis=None):
            return astropy_mad_std(values, axis=axis, ignore_nan=True)

    compared = 0
    for pixel, (low, high) in product(random_pixels(), [(3, 3), (1.5, 2.25)]):
        arguments = (low, high, center, deviation, maxiters)
        if sigma_clip_margin(pixel, *arguments) < 1e-10:
            continue
        theirs = astropy_sigma_clip(
            pixel, sigma_lower=low, sigma_upper=high, maxiters=maxiters, axis=0,
            cenfunc=cenfunc, stdfunc=stdfunc,
        )  # fmt: skip
        assert sigma_clip(pixel, *arguments) == np.ma.getmaskarray(theirs).tolist()
        compared += 1
    assert compared > 150


# --- the other clips


@pytest.mark.parametrize(
    ("pixel", "nlow", "nhigh", "mask"),
    [
        ([3, 1, 2], 0, 0, [0, 0, 0]),
        ([3, 1, 2], 1, 0, [0, 1, 0]),
        ([3, 1, 2], 0, 1, [1, 0, 0]),
        ([3, 1, 2], 1, 2, [1, 1, 1]),
        ([3, 1, 2], 0, 4, [1, 1, 1]),
        ([2, 2, 2, 2], 1, 2, [1, 0, 1, 1]),  # ties in frame order
        ([0.0, -0.0, 0.0], 1, 1, [1, 0, 1]),
        ([NAN, 1, INF, 2, 3], 1, 0, [1, 1, 1, 0, 0]),
        ([NAN, 1, INF, 2, -INF], 1, 1, [1, 1, 1, 1, 1]),
        ([NAN, NAN], 0, 0, [1, 1]),
    ],
)
def test_clip_extrema(pixel, nlow, nhigh, mask):
    assert clip_extrema(pixel, nlow, nhigh) == [bool(m) for m in mask]


def test_minmax():
    pixel = [0, 1, 2, 3, NAN, INF, -INF]
    assert minmax(pixel, 1, 2) == [True, False, False, True, True, True, True]
    assert minmax(pixel, max=2) == [False, False, False, True, True, True, True]
    assert minmax(pixel, min=1) == [True, False, False, False, True, True, True]
    assert minmax(pixel) == [False] * 4 + [True] * 3


# --- combine


@pytest.mark.parametrize("ddof", [0, 1])
def test_combine_is_numpys(ddof):
    for pixel in random_pixels():
        holes = [NAN, *pixel, INF]
        expected = {
            "mean": pixel.mean(),
            "median": np.median(pixel),
            "sum": pixel.sum(),
            "min": pixel.min(),
            "max": pixel.max(),
            "std": pixel.std(ddof=ddof),
            "var": pixel.var(ddof=ddof),
            "mad_std": astropy_mad_std(pixel),
            "count": len(pixel),
        }
        for method, value in expected.items():
            ours = float(combine(holes, method, ddof=ddof))
            assert ours == pytest.approx(value, rel=1e-12, abs=1e-12)
        for q in (0, 0.1, 0.25, 0.5, 0.7, 1):
            assert float(combine(holes, "quantile", q=q)) == pytest.approx(np.quantile(pixel, q))


def test_combine_without_samples_or_weight():
    for method in ("mean", "median", "sum", "min", "max", "std", "var", "mad_std", "quantile"):
        assert math.isnan(combine([NAN, INF], method, q=0.5))
    assert combine([NAN, INF], "count") == 0
    for method in ("mean", "median", "sum", "quantile"):
        assert math.isnan(combine([1, NAN, 2], method, weights=[0, 1, 0], q=0.5))
    assert math.isnan(combine([1, 2], "std", ddof=2))
    assert math.isnan(combine([1], "var", ddof=1))


@pytest.mark.parametrize("method", ["min", "max", "std", "var", "mad_std", "count"])
def test_methods_without_weights_say_so(method):
    with pytest.raises(ValueError, match="no weighted form"):
        combine([1, 2], method, weights=[1, 1])


def test_weights_and_scale_by_hand():
    assert combine([1, 1, 1, NAN], "mean", weights=[1, 1, 1, 1]) == 1
    assert combine([1, 4, NAN], "mean", weights=[2, 1, NAN]) == 2
    assert combine([1, 4, NAN], "sum", weights=[2, 1, 5]) == 6
    assert combine([1, 4, NAN], "mean", scale=[4, 1, NAN]) == 4
    assert combine([1, 4, NAN], "max", scale=[8, 1, 1]) == 8
    assert combine([1, 2], "mean", weights=[3, 1], scale=[2, 4]) == Fraction(7, 2)
    assert combine([1, 2, 100], "median", weights=[1, 1, 5]) == 100
    assert combine([1, 2, 3], "median", weights=[2, 1, 1]) == Fraction(3, 2)
    assert combine([1, 2, 3], "median", weights=[0.1, 0.2, 0.3]) == Fraction(5, 2)
    assert combine([0.1, 0.2], "sum") == Fraction(0.1) + Fraction(0.2)


def test_whole_weights_repeat_a_sample():
    rng = np.random.default_rng(2)
    for pixel in random_pixels():
        weights = rng.integers(0, 4, len(pixel))
        weights[-1] = 1
        repeated = np.repeat(pixel, weights)
        for q in np.arange(9) / 8:
            theirs = np.quantile(repeated, q, method="averaged_inverted_cdf")
            ours = float(combine(pixel, "quantile", weights=weights, q=q))
            assert ours == pytest.approx(theirs)
        assert combine(pixel, "mean", weights=weights) == combine(repeated, "mean")
        assert combine(pixel, "sum", weights=weights) == combine(repeated, "sum")


def test_real_weights_are_scipys():
    rng = np.random.default_rng(3)
    for pixel in random_pixels():
        weights, q = rng.uniform(0.1, 2, len(pixel)), rng.uniform(0.01, 0.99)
        theirs = scipy.stats.quantile(pixel, q, method="averaged_inverted_cdf", weights=weights)
        assert float(combine(pixel, "quantile", weights=weights, q=q)) == theirs
        assert float(combine(pixel, "mean", weights=weights)) == pytest.approx(np.average(pixel, weights=weights))


@given(st.lists(WHOLE | REALS, min_size=1, max_size=40), st.sampled_from([0.1, 0.3, 1.0, 7.0]))
def test_equal_weights_give_the_plain_median(pixel, weight):
    weights = [weight] * len(pixel)
    assert combine(pixel, "median", weights=weights) == combine(pixel, "median")
    assert combine(pixel, "mean", weights=weights) == combine(pixel, "mean")


# --- whole arrays, and the strategies


def test_over_pixels():
    stack = np.array([[[1, 2]], [[3, np.nan]]], ">f4")
    assert over_pixels(minmax, stack, min=2).tolist() == [[[True, False]], [[False, True]]]
    means = over_pixels(combine, stack, "mean")
    assert means.dtype == np.float64
    assert means.tolist() == [[2, 2]]
    assert over_pixels(combine, stack[:, 0, 0], "sum") == 4
    per_frame = over_pixels(combine, stack, "mean", weights=np.array([3, 1], "f4"))
    assert per_frame.tolist() == [[1.5, 2]]
    per_sample = np.array([[[1, 0]], [[3, 1]]], "f4")
    weighted = over_pixels(combine, stack, "mean", weights=per_sample)
    np.testing.assert_array_equal(weighted, [[2.5, np.nan]])
    assert over_pixels(combine, np.zeros((3, 0, 2)), "mean").shape == (0, 2)


@given(stacks(), thresholds(), thresholds(), st.sampled_from([1, 2]))
def test_clip_of_any_stack(stack, low, high, maxiters):
    mask = over_pixels(sigma_clip, stack, low, high, maxiters=maxiters)
    assert (mask.shape, mask.dtype) == (stack.shape, bool)
    assert mask[~np.isfinite(stack)].all()
    again = over_pixels(sigma_clip, stack, low, high)
    if maxiters == 2:  # the same as two calls
        again = over_pixels(sigma_clip, np.where(again, np.nan, stack), low, high)
    np.testing.assert_array_equal(mask, again)
    backwards = over_pixels(sigma_clip, stack[::-1], low, high, maxiters=maxiters)
    np.testing.assert_array_equal(mask, backwards[::-1])


@given(st.data(), stacks(dtypes=FLOATS + INTEGERS))
def test_drawn_arguments_fit_the_stack(data, stack):
    assert stack.ndim == 3
    assert min(stack.shape) >= 1
    assert stack.dtype.newbyteorder("=").name in FLOATS + INTEGERS
    chunks = data.draw(chunkings(stack.shape[1:]))
    assert tuple(sum(c) for c in chunks) == stack.shape[1:]
    assert min(map(min, chunks)) >= 1
    weights = data.draw(weights_per_frame(len(stack)))
    assert len(weights) == len(stack)
    assert min(weights) >= 0 < max(weights)
    count = over_pixels(combine, stack, "count")
    np.testing.assert_array_equal(count, np.isfinite(stack).sum(axis=0))
    mean = over_pixels(combine, stack, "mean", weights=weights)
    assert not np.isnan(mean[count == len(stack)]).any()


@given(stacks(elements=WHOLE, min_frames=2))
def test_quantiles_rise(stack):
    levels = [over_pixels(combine, stack, "quantile", q=q) for q in (0, 0.3, 0.5, 1)]
    for lower, upper in pairwise(levels):
        assert (np.isnan(upper) | (lower <= upper)).all()
