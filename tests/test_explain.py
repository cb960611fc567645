"""`explain`: its verdicts are those of the clip, for every rejection and every kind of stack; its bounds hold."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import strategies
from xccd.kernels.table import REJECTIONS
from xccd.verbs.explain_limits import LIMITS, NOT_TOLD
from xccd.verbs.explanation import Explanation

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*can reject nothing"),
    pytest.mark.filterwarnings("ignore:.*could reject all"),
    pytest.mark.filterwarnings("ignore:.*rejects nothing with"),
    pytest.mark.filterwarnings("ignore:.*leaves nothing"),
]

# A call of each row, with thresholds by which something goes.
ROWS = {
    "sigma": {"low": 2, "high": 2, "center": "median", "maxiters": None},
    "extrema": {"low": 1, "high": 1},
    "percentile": {"low": 0.05, "high": 0.05},
    "linear_fit": {"low": 3, "high": 2},
    "winsorized": {"low": 3, "high": 2},
    "percentile_rank": {},
    "noise": {"readnoise": 2, "gain": 10},
    "variance": {},
    "average_sigma": {"per": "pixel", "low": 2, "high": 2},
    "esd": {},
    "chauvenet": {},
    "swarp": {"gain": 10, "noise": 2, "amplitude": 0.01},
}
MORE = [
    ("sigma", {"low": 2, "high": None}),
    ("sigma", {"low": 1, "high": 1, "nkeep": 3, "maxiters": None}),
    ("sigma", {"low": 3, "high": 3, "preset": "siril"}),
    ("extrema", {"low": 1, "high": 1, "fraction": True}),
    ("chauvenet", {"robust": True}),
    ("noise", {"readnoise": [2.0, 3.0] * 6, "gain": 10}),
    ("noise", {"readnoise": 2, "gain": 10, "center": "mean", "nkeep": 4}),
    ("swarp", {"gain": 10}),
    ("percentile", {"low": None, "high": 0.02}),
]
CALLS = [*ROWS.items(), *MORE]


def frames_of(seed=3, frames=12, side=4, dtype="float32"):
    rng = np.random.default_rng(seed)
    x = rng.normal(100, 3, (frames, side, side))
    x[2, 1, 1] = x[4, 2, 3] = 300
    x[5, 0, 0] = x[6, 0, 0] = 20
    if np.dtype(dtype).kind == "f":
        x[1, 3, 3] = np.nan
    return xr.DataArray(x.astype(dtype), dims=("frame", "y", "x"), name="data", attrs={"units": "adu"})


def flagged(stack):
    return stack.ccd.to_dataset(uncertainty=xr.full_like(stack, 3.0, "float32"))


def limits_hold(told: Explanation) -> None:
    """Samples that a rule kept are within its bounds, samples it rejected are beyond them, but for rounding."""
    (rule,) = told.rules
    near = 1e-6 * (np.abs(told.sample) + 1)
    x = told.sample
    inside = (x >= rule.low - near) & (x <= rule.high + near)
    assert (inside | np.isnan(rule.low))[told.kept].all(), told
    beyond = (x < rule.low + near) | (x > rule.high - near)
    assert beyond[told.rejected].all(), told


def test_every_rejection_is_told_or_it_is_said_that_it_is_not() -> None:
    own = {name for name, row in REJECTIONS.items() if row.function is None}
    assert LIMITS.keys() | NOT_TOLD.keys() == own
    assert not LIMITS.keys() & NOT_TOLD.keys()
    assert {name for name, _ in CALLS} == set(LIMITS) - {"range"}


@pytest.mark.parametrize(("name", "rule"), CALLS)
@pytest.mark.parametrize("form", ["memory", "dask", "original"])
def test_verdicts_and_bounds_of_every_rejection(name, rule, form) -> None:
    stack = frames_of()
    ds = flagged(stack)
    if form == "original":
        if name in ("variance", "swarp") and "noise" not in rule:
            pytest.skip("takes uncertainties, which a Dataset has")
        clipped = stack.ccd.reject(name, **rule)
        mask, explain = clipped.ccd.mask, lambda y, x: clipped.ccd.explain(y, x, original=stack)
    else:
        ds = ds.chunk({"y": 2}) if form == "dask" else ds
        clipped = ds.ccd.reject(name, **rule)
        mask, explain = clipped.ccd.mask["data"], clipped.ccd.explain
    mask = mask.values
    assert mask.sum() > 1
    for y, x in np.ndindex(4, 4):
        told = explain(y, x)
        np.testing.assert_array_equal(told.kept, ~mask[:, y, x])
        np.testing.assert_array_equal(told.sample, stack.values[:, y, x])
        assert [bool(text) for text in told.why] == (~told.kept).tolist()
        if isinstance(rule.get("readnoise"), list) and form != "dask":
            assert "bounds" not in str(told.rules[0])  # the history has no array
            continue
        assert not told.rules[0].why_not, told
        if "nkeep" not in rule:
            limits_hold(told)
        if form != "original":
            np.testing.assert_array_equal(told.flags, clipped.data_flags.values[:, y, x])


@settings(suppress_health_check=list(HealthCheck), max_examples=60, deadline=None)
@given(st.data())
def test_verdicts_are_those_of_the_mask(data) -> None:
    name, rule = data.draw(st.sampled_from([c for c in CALLS if not isinstance(c[1].get("readnoise"), list)]))
    x = data.draw(strategies.stacks(dtypes=("float32", "float64", "int16"), min_frames=2))
    stack = xr.DataArray(x, dims=("frame", "y", "x"), name="data")
    form = data.draw(st.sampled_from(["memory", "dask", "stack"]))
    ds = stack.ccd.to_dataset(uncertainty=xr.full_like(stack, 3.0, "float32"))
    if form == "stack" and (name == "variance" or rule == {"gain": 10}):
        form = "dask"
    ds = ds if form == "memory" else ds.chunk()
    obj = ds if form != "stack" else stack.chunk({"y": 1})
    clipped = obj.ccd.reject(name, **rule)
    mask = (clipped.ccd.mask["data"] if form != "stack" else clipped.ccd.mask).values
    for y, x in np.ndindex(stack.shape[1:]):
        told = clipped.ccd.explain(y, x)
        np.testing.assert_array_equal(told.kept, ~mask[:, y, x])
        assert "<table>" in told._repr_html_()
        assert repr(told)


@settings(suppress_health_check=list(HealthCheck), max_examples=60, deadline=None)
@given(strategies.stacks(elements=strategies.REALS, min_frames=3), strategies.clip_rules(strategies.thresholds()))
def test_verdicts_of_sigma_clips(x, rule) -> None:
    stack = xr.DataArray(x, dims=("frame", "y", "x"), name="data")
    clipped = stack.ccd.to_dataset().ccd.sigma_clip(**rule)
    lazily = stack.chunk().ccd.sigma_clip(**rule)
    mask = clipped.ccd.mask["data"].values
    for y, x in np.ndindex(stack.shape[1:]):
        for told in (clipped.ccd.explain(y, x), lazily.ccd.explain(y, x)):
            np.testing.assert_array_equal(told.kept, ~mask[:, y, x])
            assert not told.rules[0].why_not
