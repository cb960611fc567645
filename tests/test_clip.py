"""The clips against their twins, on whole numbers and reals, and what they say of bad arguments."""

import math
import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from strategies import FLOATS, INTEGERS, SIDES, WHOLE, clip_rules, stacks
from xccd.verbs.clip import reach

NAN, INF = math.nan, math.inf
DIMS = ("frame", "y", "x")
CLEAR = 1e-10  # of two sides of a comparison that rounding cannot swap
many = settings(max_examples=40, deadline=None)  # kernels by themselves are tried in test_kernel_clips.py


def stack_of(values, **kwargs):
    """A stack with as many dimensions as the values have."""
    array = np.asarray(values)
    return xr.DataArray(array, dims=DIMS[: array.ndim], **kwargs)


def quietly(verb, *args, **kwargs):
    """The result of a verb that may warn."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return verb(*args, **kwargs)


def float_of(dtype):
    """The float type that a clip gives."""
    small = dtype.itemsize <= (4 if dtype.kind == "f" else 2)
    return np.dtype(np.float32 if small else np.float64)


def assert_clipped(result, stack, out):
    """Samples under the mask are NaN, all others as they were."""
    assert result.dtype == float_of(stack.dtype)
    assert result.dims == DIMS[: stack.ndim]
    np.testing.assert_array_equal(result.values, np.where(out, np.nan, stack))


def functions(rule):
    """The same rule, its statistics given as functions of (values, axis)."""
    spread = {
        "std": lambda values, axis: np.nanstd(values, axis=axis),
        "mad_std": lambda values, axis: mad_std(values, axis),
    }
    return rule | {"deviation": spread[rule["deviation"]]}


def mad_std(values, axis):
    distance = np.abs(values - np.nanmedian(values, axis=axis, keepdims=True))
    return float(oracles.MAD_TO_STD) * np.nanmedian(distance, axis=axis)


# --- against the twins


@many
@given(stacks(elements=WHOLE), clip_rules(SIDES))
def test_whole_numbers_are_judged_exactly(array, rule):
    clipped = quietly(xccd.sigma_clip, stack_of(array), **rule)
    assert_clipped(clipped, array, oracles.over_pixels(oracles.sigma_clip, array, **rule))


@many
@given(stacks(dtypes=FLOATS + INTEGERS), clip_rules(st.none() | st.floats(0.01, 10)))
def test_any_numbers_are_judged_well_away_from_ties(array, rule):
    rule |= {"nkeep": 0}  # residuals that differ by less than a rounding come back together
    clear = oracles.over_pixels(oracles.sigma_clip_margin, array, **rule) > CLEAR
    size = np.abs(array.astype("f8"))
    clear &= ~((size > 0) & (size < 1e-300)).any(0)  # whose halves are no numbers of their own
    clipped = quietly(xccd.sigma_clip, stack_of(array), **rule)
    out = oracles.over_pixels(oracles.sigma_clip, array, **rule)
    assert_clipped(clipped.where(clear), array, out | ~clear)


@many
@given(stacks(elements=WHOLE, dtypes=("float64",)), clip_rules(st.none() | st.floats(0.01, 10)))
def test_functions_do_what_the_names_do(array, rule):
    rule |= {"ddof": 0}
    clear = oracles.over_pixels(oracles.sigma_clip_margin, array, **rule) > CLEAR
    clipped = quietly(xccd.sigma_clip, stack_of(array), **functions(rule))
    out = oracles.over_pixels(oracles.sigma_clip, array, **rule)
    assert_clipped(clipped.where(clear), array, out | ~clear)


@pytest.mark.parametrize("dtype", ["f4", "f8", "i2", "u1"])
@pytest.mark.parametrize("n", [1, 2, 3, 25, 100])
@pytest.mark.parametrize("maxiters", [1, 2, None])
@pytest.mark.parametrize("nkeep", [0, 17])
def test_any_number_of_frames(n, dtype, maxiters, nkeep):
    rng = np.random.default_rng(n)
    array = rng.normal(100, 5, (n, 2, 2))
    array[0] += 70
    array = array.astype(dtype)
    if array.dtype.kind == "f":
        array[rng.random(array.shape) < 0.1] = np.nan
    for center, deviation in [("mean", "std"), ("median", "std"), ("median", "mad_std"), ("mean", "mad_std")]:
        rule = {"low": 1, "high": 2.5, "center": center, "deviation": deviation, "maxiters": maxiters, "nkeep": nkeep}
        clear = oracles.over_pixels(oracles.sigma_clip_margin, array, **rule) > CLEAR
        out = oracles.over_pixels(oracles.sigma_clip, array, **rule)
        clipped = quietly(xccd.sigma_clip, stack_of(array), **rule)
        assert_clipped(clipped.where(clear), array, out | ~clear)


@many
@given(stacks(dtypes=FLOATS + INTEGERS), st.integers(0, 4), st.integers(0, 4))
def test_extrema(array, nlow, nhigh):
    clipped = quietly(xccd.clip_extrema, stack_of(array), nlow, nhigh)
    assert_clipped(clipped, array, oracles.over_pixels(oracles.clip_extrema, array, nlow, nhigh))


@many
@given(stacks(elements=WHOLE), st.integers(0, 4), st.integers(0, 4))
def test_extrema_of_ties_go_in_frame_order(array, nlow, nhigh):
    clipped = quietly(xccd.clip_extrema, stack_of(array), nlow, nhigh)
    assert_clipped(clipped, array, oracles.over_pixels(oracles.clip_extrema, array, nlow, nhigh))


@many
@given(stacks(dtypes=FLOATS + INTEGERS), st.data())
def test_minmax(array, data):
    near = st.sampled_from(array.ravel().tolist()) | st.floats(-10, 10) | st.integers(-300, 70000)
    limits = [None if x is None or math.isnan(x) else x for x in data.draw(st.tuples(st.none() | near, near))]
    low, high = sorted(limits) if None not in limits else limits
    clipped = xccd.minmax(stack_of(array), low, high)
    assert_clipped(clipped, array, oracles.over_pixels(oracles.minmax, array, low, high))


@pytest.mark.parametrize("limit", [0.1, np.float64(0.1), np.float32(0.1)])
def test_a_limit_is_not_rounded(limit):
    stack = stack_of(np.array([0.1, 0.2], "f4"))
    assert xccd.minmax(stack, max=limit).isnull().values.tolist() == [float(limit) < float(np.float32(0.1)), True]
    above = np.nextafter(float(limit), 1)
    assert xccd.minmax(stack, min=above).isnull().values.tolist() == [above > float(np.float32(0.1)), False]


def test_mask():
    array = np.array([[[1, NAN]], [[INF, 2]], [[-INF, 0]]])
    np.testing.assert_array_equal(xccd.mask(stack_of(array)), ~np.isfinite(array))
    assert not xccd.mask(stack_of([1, 2])).any()
    masks = xccd.mask(stack_of(array).to_dataset(name="data"))
    np.testing.assert_array_equal(masks["data"], ~np.isfinite(array))


@many
@given(stacks(elements=WHOLE), clip_rules(st.integers(1, 3)))
def test_two_passes_are_two_calls(array, rule):
    once, twice = (quietly(xccd.sigma_clip, stack_of(array), **rule | {"maxiters": n}) for n in (1, 2))
    again = quietly(xccd.sigma_clip, once, **rule | {"maxiters": 1})
    xr.testing.assert_identical(twice.drop_attrs(), again.drop_attrs())
    assert (once.isnull() <= twice.isnull()).all()


def test_the_stack_is_left_alone():
    stack = stack_of([1.0, 2, NAN, INF, 90] * 3, name="data", attrs={"units": "adu"})
    before = stack.copy(deep=True)
    for clipped in (stack.ccd.sigma_clip(2, 2), stack.ccd.clip_extrema(1, 1), stack.ccd.minmax(max=50)):
        assert (clipped.name, clipped.attrs["units"], list(clipped.attrs)) == ("data", "adu", ["units", "history"])
        assert not np.shares_memory(clipped.values, stack.values)
    xr.testing.assert_identical(stack, before)


# --- functions


def test_equal_samples_stay_whatever_the_deviation():
    stack = stack_of(np.full(3, 0.1))  # whose plain mean is above 0.1
    for deviation in ("std", lambda values, axis: np.zeros(values.shape[1:])):
        assert xccd.sigma_clip(stack, 1, 1, center="median", deviation=deviation).notnull().all()
        assert xccd.sigma_clip(stack, 1, 1, center="mean", deviation=deviation).notnull().all()


@pytest.mark.parametrize(("argument", "other"), [("center", "deviation"), ("deviation", "center")])
def test_a_function_must_give_an_image(argument, other):
    stack = stack_of(np.zeros((3, 2, 2)))
    with pytest.raises(ValueError, match=rf"{argument}=test_clip\.all_at_once gave shape \(\) .* must give \(2, 2\)"):
        xccd.sigma_clip(stack, 1, 1, **{argument: all_at_once, other: lambda v, axis: np.nanmean(v, axis=axis)})


def test_a_center_that_does_not_skip_missing_samples_raises():
    stack = stack_of([[1.0, NAN, NAN], [2.0, 3.0, NAN], [4.0, 5.0, NAN]])
    for data in (stack, stack.chunk(y=1)):
        with pytest.raises(ValueError, match=r"center=test_clip\.plain_mean gave NaN for 1 pixels .*as np.nanmedian"):
            data.ccd.sigma_clip(1, 1, center=plain_mean).compute()


def plain_mean(values, axis):
    return values.mean(axis)


def all_at_once(values, axis):
    return values.mean()


def test_functions_keep_what_the_names_keep():
    stack = stack_of([0.0, 0, 0, -3, 4])
    for nkeep, left in ((0, 3), (3, 3), (4, 4), (5, 5), (9, 5)):
        clipped = stack.ccd.sigma_clip(center="median", deviation=mad_std, maxiters=None, nkeep=nkeep)
        assert clipped.count() == left


def test_functions_see_nan_and_pixels_without_deviation_stay():
    seen = []

    def center(values, axis):
        seen.append(values.copy())
        return np.nanmedian(values, axis=axis)

    array = np.array([[1, NAN], [2, INF], [90, -INF]])
    undefined = xccd.sigma_clip(stack_of(array), 1, 1, center=center, deviation=lambda v, axis: np.full(2, NAN))
    np.testing.assert_array_equal(undefined, [[1, NAN], [2, NAN], [90, NAN]])
    assert not np.isinf(seen[0]).any()
    few = xccd.sigma_clip(stack_of(array), 0.5, 0.5, center=center, ddof=3)
    np.testing.assert_array_equal(few, undefined)


# --- warnings


@pytest.mark.parametrize(
    ("n", "arguments", "message"),
    [
        (5, (3, None), r"low can reject nothing with 5 frame.s.* 2\.00 .* the mean\. low=3 takes 11 .*mad_std"),
        (10, (2, 3), r"high can reject nothing with 10 frame.s.* 3\.00 .* high=3 takes 11 frames"),
        (5, (3, 5), r"low and high can reject nothing .*low=3 takes 11 .*high=5 takes 27"),
        (1, (3, None), r"with 1 frame.* 0\.00 .* of one or two none is an outlier"),
        (2, (1, None), r"with 2 frame.* 1\.00 .* low=1 takes 3 frames"),
    ],
)
def test_thresholds_that_reject_nothing_warn(n, arguments, message):
    stack = stack_of(np.arange(n))
    both = xr.Dataset({"a": stack, "b": stack})
    calls = [lambda: xccd.sigma_clip(stack, *arguments), lambda: stack.ccd.sigma_clip(*arguments)]
    calls += [lambda: xccd.sigma_clip(both, *arguments), lambda: both.ccd.sigma_clip(*arguments)]
    for call in calls:
        with pytest.warns(UserWarning, match=message) as record:
            call()
        assert [warning.filename for warning in record] == [__file__]


def test_extrema_that_leave_nothing_warn():
    stack = stack_of([1.0, 2, 3])
    for call in (lambda: stack.ccd.clip_extrema(1, 2), lambda: xccd.clip_extrema(stack.to_dataset(name="a"), 2, 2)):
        with pytest.warns(UserWarning, match=r"leaves nothing of 3 frame\(s\)") as record:
            clipped = call()
        assert [warning.filename for warning in record] == [__file__]
        assert clipped.isnull().all()


def test_mean_with_mad_std_warns_once():
    stack = stack_of([0.0, 0, 0, 1])
    with pytest.warns(UserWarning, match=r"can reject every sample.*center='median', or nkeep=1") as record:
        assert stack.ccd.sigma_clip(deviation="mad_std", maxiters=None).isnull().all()
    assert [warning.filename for warning in record] == [__file__]
    assert stack.ccd.sigma_clip(deviation="mad_std", nkeep=1).notnull().sum() == 3
    assert stack.ccd.sigma_clip(None, 3, deviation="mad_std").notnull().any()


@pytest.mark.parametrize(
    ("n", "options"),
    [(11, {}), (8, {"center": "median"}), (3, {"center": "median", "deviation": "mad_std"}), (2, {"low": INF}),
     (2, {"center": lambda v, axis: v[0]}), (2, {"deviation": lambda v, axis: v[0]})],
)  # fmt: skip
def test_thresholds_that_can_reject_do_not_warn(n, options):
    stack_of(np.arange(n)).ccd.sigma_clip(options.pop("low", 3), None, **options)


def test_reach_is_what_a_sample_reaches_at_most():
    rng = np.random.default_rng(0)
    for n in range(2, 12):
        half = n // 2 + 1  # at the median; the others but one at the mean
        worst = np.array([0.0] * half + [1 / (half + 1)] * (n - half - 1) + [1.0])[:n]
        rows = np.vstack([np.eye(n), rng.normal(size=(2000, n)) ** 5, [worst] if n > 2 else np.eye(n)])
        for center, middle in (("mean", np.mean), ("median", np.median)):
            away = np.abs(rows - middle(rows, axis=1, keepdims=True)).max(1)
            for ddof in (0, 1):
                farthest = (away / rows.std(1, ddof=ddof)).max()
                assert farthest == pytest.approx(reach(n, center, ddof), rel=1e-12)


# --- bad arguments


@pytest.mark.parametrize(
    ("verb", "args", "kwargs", "error", "message"),
    [
        ("sigma_clip", (-3,), {}, ValueError, r"low=-3: thresholds are 0 or more"),
        ("sigma_clip", (3, -1.5), {}, ValueError, r"high=-1.5: thresholds are 0 or more"),
        ("sigma_clip", (NAN,), {}, ValueError, r"low=nan"),
        ("sigma_clip", ("3",), {}, TypeError, r"low='3' is not a number of deviations, or None"),
        ("sigma_clip", (True, 3), {}, TypeError, r"low=True is not a number of deviations, or None"),
        ("sigma_clip", (), {"center": "mode"}, ValueError, r"center='mode' is unknown: use one of mean, median"),
        ("sigma_clip", (), {"deviation": "mad"}, ValueError, r"deviation='mad' is unknown: use one of std, mad_std"),
        ("sigma_clip", (), {"maxiters": 0}, ValueError, r"maxiters=0 is not a whole number of 1 or more"),
        ("sigma_clip", (), {"maxiters": 1.5}, ValueError, r"maxiters=1.5"),
        ("sigma_clip", (), {"ddof": -1}, ValueError, r"ddof=-1 is not a whole number of 0 or more"),
        ("sigma_clip", (), {"nkeep": None}, ValueError, r"nkeep=None"),
        ("sigma_clip", (), {"floor": -1}, ValueError, r"floor=-1 is not a finite number"),
        ("sigma_clip", (), {"floor": NAN}, ValueError, r"floor=nan"),
        ("clip_extrema", (-1,), {}, ValueError, r"nlow=-1 is not a whole number of 0 or more"),
        ("clip_extrema", (1, 0.5), {}, ValueError, r"nhigh=0.5 is not a whole number"),
        ("clip_extrema", (True,), {}, ValueError, r"nlow=True"),
        ("minmax", (3, 1), {}, ValueError, r"min=3 is above max=1: nothing would be left"),
        ("minmax", (NAN,), {}, ValueError, r"min=nan: a limit cannot be NaN"),
        ("minmax", (None, "1"), {}, TypeError, r"max='1' is not a number"),
    ],
)
def test_bad_arguments(verb, args, kwargs, error, message):
    with pytest.raises(error, match=message):
        getattr(stack_of(np.arange(12.0)).ccd, verb)(*args, **kwargs)
