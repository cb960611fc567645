"""`explain`: its verdicts are those of the clip, for every rejection and every kind of stack; its bounds hold."""

import re

import numpy as np
import pytest
import xarray as xr
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import strategies
import xccd
from xccd.compute import arrays
from xccd.kernels.table import REJECTIONS
from xccd.labels.lazy import array_of
from xccd.verbs.explain_limits import LIMITS, NOT_TOLD
from xccd.verbs.explanation import Explanation

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*can reject nothing"),
    pytest.mark.filterwarnings("ignore:.*could reject all"),
    pytest.mark.filterwarnings("ignore:.*can reject every sample"),
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


FORMS = [  # a stack beside its original has no uncertainties
    (form, name, rule)
    for form in ("memory", "dask", "original")
    for name, rule in CALLS
    if form != "original" or name not in ("variance", "swarp") or "noise" in rule
]


@pytest.mark.parametrize(("form", "name", "rule"), FORMS)
def test_verdicts_and_bounds_of_every_rejection(form, name, rule) -> None:
    stack = frames_of()
    ds = flagged(stack)
    if form == "original":
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


@settings(suppress_health_check=list(HealthCheck), max_examples=25, deadline=None)
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


@settings(suppress_health_check=list(HealthCheck), max_examples=25, deadline=None)
@given(strategies.stacks(elements=strategies.REALS, min_frames=3), strategies.clip_rules(strategies.thresholds()))
def test_verdicts_of_sigma_clips(x, rule) -> None:
    stack = xr.DataArray(x, dims=("frame", "y", "x"), name="data")
    clipped = stack.ccd.to_dataset().ccd.sigma_clip(**rule)
    lazily = stack.chunk().ccd.sigma_clip(**rule)
    mask = clipped.ccd.mask["data"].values
    for y, x in np.ndindex(stack.shape[1:]):
        for told in (clipped.ccd.explain(y, x), lazily.ccd.explain(y, x)):
            np.testing.assert_array_equal(told.kept, ~mask[:, y, x])
            assert told.rules[0].why_not in ("", "no sample was left")


# --- files: lazy stays lazy, and only the pixel's rows are read


@pytest.fixture(scope="module")
def night(tmp_path_factory):
    return xccd.simulate_night(tmp_path_factory.mktemp("explain"), shape=(64, 48), nbias=5, ndark=0, nflat=0, nlight=8)


CLIP = {"low": 2, "high": 2, "center": "median", "deviation": "mad_std"}
CHAINS = {
    "clip": lambda s, _: s.ccd.sigma_clip(**CLIP),
    "calibrated": lambda s, bias: s.ccd.subtract_bias(bias).ccd.sigma_clip(**CLIP),
    "flags": lambda s, _: s.ccd.to_dataset().ccd.minmax(max=5000).ccd.sigma_clip(**CLIP),
    "calibrated flags": lambda s, bias: s.ccd.to_dataset().ccd.subtract_bias(bias).ccd.sigma_clip(**CLIP),
    "two clips": lambda s, _: s.ccd.clip_extrema(1, 1).ccd.sigma_clip(**CLIP),
}


@pytest.mark.parametrize("chunks", [None, "auto", {"y": 20}])
@pytest.mark.parametrize("name", CHAINS)
def test_of_files_the_rows_of_the_pixel_are_read(name, chunks, night, read) -> None:
    bias = xccd.open_stack(f"{night}/bias-*.fits").ccd.combine().load()
    stack = xccd.open_stack(f"{night}/light-r-*.fits", chunks=chunks)
    clipped = CHAINS[name](stack, bias)
    read[0] = 0
    told = clipped.ccd.explain(30, 20)
    # Flags of calibrated samples are made of these: chunk by chunk with dask, and of the rows again without.
    assert read[0] == 8 * 48 * 2 or (
        name == "calibrated flags" and read[0] <= 8 * 48 * 2 * (2 if chunks is None else 65)
    )
    data = clipped["data"] if isinstance(clipped, xr.Dataset) else clipped
    assert arrays.is_lazy(array_of(data))  # nothing was kept
    mask = clipped.ccd.mask
    mask = mask["data"] if isinstance(mask, xr.Dataset) else mask
    for y, x in ((30, 20), (0, 0), (63, 47), (11, 5)):
        told = clipped.ccd.explain(y, x)
        np.testing.assert_array_equal(told.kept, ~mask.sel(y=y, x=x).values)
        assert all(not rule.why_not for rule in told.rules)
    assert told.origins["unit"] == "adu, BUNIT of the headers"
    assert told.name[0] == "light-r-001"


def test_labels_of_a_crop_are_those_of_the_detector(night) -> None:
    stack = xccd.open_stack(f"{night}/light-r-*.fits", chunks=None)
    whole, part = stack.ccd.sigma_clip(**CLIP), stack[:, 10:40, 5:30].ccd.sigma_clip(**CLIP)
    for one in (part, stack[:, ::-1].ccd.sigma_clip(**CLIP), stack.transpose("y", "frame", "x").ccd.sigma_clip(**CLIP)):
        told = one.ccd.explain(20, 12)
        assert told.place == {"y": 20, "x": 12}
        np.testing.assert_array_equal(told.kept, whole.ccd.explain(20, 12).kept)
    with pytest.raises(ValueError, match="y=3 is no pixel of the stack, whose y is 10 to 39"):
        part.ccd.explain(3, 12)


def test_aligned_frames(night) -> None:
    stack = xccd.open_stack(f"{night}/light-r-*.fits", chunks=None)
    shifted = stack.ccd.align(xccd.Grid.of(stack[0, 5:60, 3:40]))
    clipped = shifted.ccd.sigma_clip(**CLIP)
    y, x = (int(shifted[d][12]) for d in ("y", "x"))
    told = clipped.ccd.explain(y, x)
    np.testing.assert_array_equal(told.kept, ~clipped.ccd.mask[:, 12, 12].values)
    assert told.origins["WCS"] == "the grid of align, the same for all frames"


# --- what is told, and what is not


def test_causes_of_flags_are_told_by_step() -> None:
    stack = frames_of()
    stack[7, 1, 2] = 160
    ds = stack.ccd.to_dataset().ccd.minmax(max=200).ccd.sigma_clip(**CLIP).ccd.grow(1)
    for made in (ds, stack.chunk().ccd.to_dataset().ccd.minmax(max=200).ccd.sigma_clip(**CLIP).ccd.grow(1)):
        assert made.ccd.explain(1, 1).why[2] == "above 200: minmax"
        told = made.ccd.explain(1, 2)
        assert re.fullmatch(r"above 1\d\d\.\d+: sigma_clip", told.why[7])
        beside = made.ccd.explain(0, 2)
        assert beside.why[7] == "beside a rejected sample: grow"
        assert [rule.call.partition("(")[0] for rule in told.rules] == ["minmax", "sigma_clip", "grow"]
        assert beside.rules[-1].rejected_beside >= 1
        assert "a neighbour in its frame was rejected" in repr(beside)
    assert ds.ccd.explain(3, 3).why[1] == "not a number"


def test_rejected_samples_in_memory_need_the_original() -> None:
    stack = frames_of()
    clipped = stack.ccd.sigma_clip(**CLIP)
    told = clipped.ccd.explain(1, 1)
    assert told.why[2] == "missing, or rejected: original= or a flagged Dataset tells"
    assert "rejected samples are NaN now, give original= to see them" in told.notes[0]
    assert not told.rejected.any()
    assert "in adu: 11 kept, 0 rejected, 1 missing" in repr(told)
    told = clipped.ccd.explain(1, 1, original=stack)
    assert told.sample[2] == 300
    assert told.rejected.tolist() == [i == 2 for i in range(12)]
    widened = clipped.ccd.grow(1, original=stack)
    assert widened.ccd.explain(1, 2, original=stack).why[2] == "beside a rejected sample: grow"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda ds: ds.isel(frame=slice(9)), "the clip saw 12 frames, these are 9: bounds are not told"),
        (
            lambda ds: ds.ccd.mask_where(np.arange(16).reshape(4, 4) == 3),
            "mask_where came after sigma_clip: bounds are not told",
        ),
        (lambda ds: ds.ccd.apply_flags(frames_of().ccd.to_dataset().ccd.minmax(max=1e4)), "apply_flags gave flags of"),
        (lambda ds: ds.ccd.normalize(zero="median"), "normalize changed the samples after sigma_clip"),
        (
            lambda ds: ds.assign(data_flags=ds.data_flags ^ 32),
            "the calls of the history do not reject the same samples",
        ),
    ],
)
def test_what_was_changed_since_is_not_told(change, note) -> None:
    ds = change(frames_of().ccd.to_dataset().ccd.sigma_clip(**CLIP))
    told = ds.ccd.explain(1, 1)
    assert any(note in text for text in told.notes)
    assert not any(np.isfinite(rule.center).any() for rule in told.rules)
    np.testing.assert_array_equal(told.kept, ~ds.ccd.mask["data"].values[:, 1, 1])
    assert told.why[2] in ("rejected as high", "") or told.kept[2]


@pytest.mark.parametrize(
    ("reject", "why"),
    [
        (lambda ds: ds.ccd.reject(lambda values, axis: values > 200), "the history does not hold a function"),
        (lambda ds: ds.ccd.sigma_clip(**CLIP | {"center": np.nanmedian}), "the history does not hold a function"),
        (lambda ds: ds.ccd.reject("average_sigma"), "its noise is measured in a whole row or image"),
    ],
)
def test_what_cannot_be_told_is_said(reject, why) -> None:
    ds = reject(frames_of().ccd.to_dataset())
    told = ds.ccd.explain(1, 1)
    assert why in told.rules[0].why_not
    assert why in repr(told)
    np.testing.assert_array_equal(told.flags, ds.data_flags.values[:, 1, 1])


def test_masks_unit_and_wcs_have_an_origin() -> None:
    wcs = {
        "CTYPE1": "RA---TAN",
        "CTYPE2": "DEC--TAN",
        "CRVAL1": 10.0,
        "CRVAL2": 20.0,
        "CDELT1": -0.001,
        "CDELT2": 0.001,
    }
    cards = {"BUNIT": "adu", "GAIN": 2.0} | wcs
    frames = [(np.full((3, 4), 100.0 + i), cards) for i in range(5)]
    stack = xccd.open_stack(frames)
    assert stack.ccd.explain(1, 1).origins["WCS"] == "the headers, the same in all"
    told = stack.ccd.gain_correct().ccd.mask_where(np.eye(3, 4)).ccd.explain(1, 1)
    assert told.origins["unit"] == "electron, by gain_correct; the headers say adu"
    assert "mask_where(bad=<3 x 4 values>)" in told.origins["mask"]
    assert told.why == ("missing",) * 5
    bare = xr.DataArray(np.ones((5, 3, 4)), dims=("frame", "y", "x"))
    assert bare.ccd.explain(1, 1).origins["unit"].startswith("none")
    assert bare.ccd.explain(1, 1).origins["WCS"] == "none: the stack has no headers"


def test_the_table_is_short_safe_and_a_dataset() -> None:
    x = np.random.default_rng(0).normal(100, 3, (400, 1, 1))
    x[::100] = 500
    stack = xr.DataArray(
        x, dims=("frame", "y", "x"), coords={"file": ("frame", [f"<i>{i}\n.fits" for i in range(400)])}
    )
    told = stack.chunk().ccd.sigma_clip(**CLIP | {"low": 5, "high": 5}).ccd.explain(0, 0)
    lines = repr(told).splitlines()
    assert len(lines) < 45
    assert "and 370 more, 370 of them kept" in repr(told)
    assert sum("above" in line for line in lines) == 4
    assert "<i>" not in told._repr_html_()
    assert max(map(len, lines)) < 120
    ds = told.to_dataset()
    assert set(ds) == {"name", "sample", "kept", "flags", "why", "center", "low", "high"}
    assert ds.sizes == {"frame": 400}
    assert ds.kept.values.sum() == 396
    with pytest.raises(AttributeError):
        told.unit = "x"
    with pytest.raises(ValueError, match="read-only"):
        told.sample[0] = 1


def test_one_pixel_explains_itself() -> None:
    ds = frames_of().ccd.to_dataset().ccd.sigma_clip(**CLIP)
    np.testing.assert_array_equal(ds.isel(y=1, x=1).ccd.explain().flags, ds.ccd.explain(1, 1).flags)
    assert repr(ds.isel(y=1, x=1).ccd.explain()).startswith("pixel alone of 12 frames")


STACK = frames_of()


OTHER = STACK.assign_coords(x=[2, 3, 4, 5])
TREE = xr.DataTree.from_dict({"a": STACK.to_dataset()})
TWO = xr.Dataset({"a": STACK, "b": STACK})
ERRORS = [
    (lambda s: s.ccd.explain(), ValueError, r"explain\(y, x\) needs y: a label from 0 to 3"),
    (lambda s: s.ccd.explain(1), ValueError, r"explain\(y, x\) needs x: a label from 0 to 3"),
    (lambda s: s.ccd.explain(-1, 0), ValueError, "y=-1 is no pixel of the stack, .* 0 to 3: the nearest is 0"),
    (lambda s: s.ccd.explain(0, 2.4), ValueError, "x=2.4 is no pixel of the stack, .*: the nearest is 2"),
    (lambda s: s.ccd.explain(0, np.nan), ValueError, "x=nan is no pixel"),
    (lambda s: s.ccd.explain("0", 0), TypeError, "y='0' is not a pixel number: give one from 0 to 3"),
    (lambda s: s.ccd.explain(True, 0), TypeError, "y=True is not a pixel number"),
    (lambda s: s[:, 0].ccd.explain(0, 0), ValueError, "y=0: the stack has no dimension 'y', it has"),
    (
        lambda s: s.expand_dims("z").ccd.explain(0, 0),
        ValueError,
        r"also has {'z': 1}: pick one, as isel\(z=0\), before",
    ),
    (lambda s: s[0].ccd.explain(0, 0), ValueError, "this DataArray has no dimension 'frame'"),
    (lambda s: s.ccd.explain(0, 0, original=3), TypeError, "original= is int: give the stack before the clip"),
    (lambda s: s.ccd.explain(0, 0, original=s[1:]), ValueError, "original= has .*: give the same frames"),
    (lambda s: s.ccd.explain(0, 0, original=s + 1), ValueError, "original= has .* in frame 0 of this pixel"),
    (lambda s: s.assign_coords(x=[1, 2, 3, 4]).ccd.explain(0, 1, original=OTHER), ValueError, "other labels along 'x'"),
    (lambda s: s.ccd.to_dataset().ccd.explain(0, 0, original=s), ValueError, "goes with a stack whose mask is NaN"),
    (lambda s: xccd.explain(s.values, 0, 0), TypeError, "explain takes a DataArray or a Dataset, not"),
    (lambda _: TREE.ccd.explain(0, 0), TypeError, r"pick a variable, as tree\['a'\]\['data'\].ccd.explain"),
    (
        lambda _: TWO.ccd.explain(0, 0),
        ValueError,
        r"explain takes one stack, this Dataset has a, b: pick one, as ds\['a'\].ccd.explain\(y, x\)",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), ERRORS)
def test_errors(call, kind, message) -> None:
    with pytest.raises(kind, match=message):
        call(STACK)
