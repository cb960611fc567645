"""The lossless form: clips set flags and leave the data, images are those of the other form, to the bit."""

import warnings

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from strategies import DIRECT, FLOATS, INTEGERS, WHOLE, chunkings, stacks, weights_per_frame
from xccd.compute import options
from xccd.kernels.flags import Flag
from xccd.kernels.table import METHODS

DIMS = ("frame", "y", "x")
LOW, HIGH = Flag.REJECTED_LOW, Flag.REJECTED_HIGH
PLAIN = [name for name, row in METHODS.items() if not row.needs]
some = settings(max_examples=25, deadline=None)


def quietly(verb, *args, **kwargs):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return verb(*args, **kwargs)


def stack_of(values, chunks=None):
    stack = xr.DataArray(values, dims=DIMS, name="data")
    return stack if chunks is None else stack.chunk(dict(zip(DIMS, chunks, strict=True)))


@st.composite
def rules(draw):
    """The arguments of a sigma clip that decides whole numbers without rounding."""
    return {
        "low": draw(st.none() | st.integers(0, 3)), "high": draw(st.none() | st.integers(0, 3)),
        "center": draw(st.sampled_from(["mean", "median"])), "deviation": draw(st.sampled_from(["std", "mad_std"])),
        "maxiters": draw(st.sampled_from([1, 2, None])), "nkeep": draw(st.sampled_from([0, 0, 1])),
    }  # fmt: skip


STEPS = {
    "sigma_clip": rules(),
    "clip_extrema": st.fixed_dictionaries({"nlow": st.integers(0, 3), "nhigh": st.integers(0, 3)}),
    "minmax": st.sampled_from([{"min": -2}, {"max": 2}, {"min": -1.5, "max": 3}, {}]),
}


@st.composite
def chains(draw, least=0):
    """Some verbs with their arguments, one after the other."""
    names = draw(st.lists(st.sampled_from(sorted(STEPS)), min_size=least, max_size=3))
    return [(name, draw(STEPS[name])) for name in names]


def run(obj, chain):
    for name, arguments in chain:
        obj = quietly(getattr(obj.ccd, name), **arguments)
    return obj


@st.composite
def masks(draw, shape):
    """No mask, or one of single samples."""
    size = int(np.prod(shape))
    return draw(st.none() | st.lists(st.booleans(), min_size=size, max_size=size).map(lambda m: np.reshape(m, shape)))


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@pytest.mark.parametrize("engine", options.ENGINES)
@some
@given(data=st.data(), values=stacks(dtypes=(*FLOATS, *INTEGERS), elements=WHOLE.map(abs)), chain=chains())
def test_the_flagged_are_those_that_the_other_form_has_as_nan(engine, lazy, data, values, chain):
    mask = data.draw(masks(values.shape))
    stack = stack_of(values, data.draw(chunkings(values.shape)) if lazy else None)
    ds = stack.ccd.to_dataset(mask=mask)
    other = stack if mask is None else stack.where(~mask).astype(xccd.verbs.clip.float_dtype(values.dtype))
    with xccd.set_options(engine=engine):
        flagged, clipped = run(ds, chain), run(other, chain)
        np.testing.assert_array_equal(flagged.data.values, values)
        assert flagged.data.dtype == values.dtype
        found = flagged.data_flags.values
        assert found.dtype == np.uint8
        expected = clipped.values.astype(xccd.verbs.clip.float_dtype(values.dtype))
        np.testing.assert_array_equal(found != 0, ~np.isfinite(expected))
        masked = flagged.ccd.to_stack()
        np.testing.assert_array_equal(masked.values, np.where(np.isfinite(expected), expected, np.nan))
        np.testing.assert_array_equal(flagged.ccd.mask.data.values, found != 0)
    assert not (found & (found - 1)).any()  # one reason each


@pytest.mark.parametrize("method", [method for method, row in METHODS.items() if row.weighted])
@pytest.mark.parametrize("chunks", [None, ((7,), (1, 1), (3,))])
def test_samples_of_no_weight_count_among_those_in_use(method, chunks):
    stack = stack_of(np.ones((7, 2, 3), "f4"), chunks)
    more = {"q": 0.3} if method == "quantile" else {}
    image = stack.ccd.to_dataset().ccd.clip_extrema(1, 0).ccd.combine(method, weights=[0.0] * 6 + [0.1], **more)
    assert (image.data_count == 6).all()


@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@some
@given(data=st.data(), values=stacks(dtypes=DIRECT, elements=WHOLE.map(abs)), chain=chains())
def test_images_are_those_of_the_other_form(lazy, data, values, chain):
    mask = data.draw(masks(values.shape))
    weights = data.draw(st.none() | weights_per_frame(len(values)))
    scale = data.draw(st.none() | st.just([2.5, 0.5, 3.0, 1.0, 1.5, 2.0, 0.25, 1.25, 0.1][: len(values)]))
    chunks = data.draw(chunkings(values.shape)) if lazy else None
    flagged = run(stack_of(values, chunks).ccd.to_dataset(mask=mask), chain)
    stack = stack_of(values, chunks and ((len(values),), *chunks[1:]))  # sums chunk by chunk are in test_partials.py
    clipped = run(stack if mask is None else stack.where(~mask), chain)
    chosen = st.lists(st.sampled_from(PLAIN), min_size=3, max_size=3, unique=True)
    for method in data.draw(chosen) if lazy else PLAIN:
        more = {"q": 0.3} if method == "quantile" else {}
        w = weights if METHODS[method].weighted else None
        image = flagged.ccd.combine(method, weights=w, scale=scale, **more)
        alone = clipped.ccd.combine(method, weights=w, scale=scale, **more)
        np.testing.assert_array_equal(image.data.values, alone.values.astype(image.data.dtype))
        assert image.attrs == flagged.attrs
        assert image.data.attrs.get("HISTORY") == alone.attrs.get("HISTORY")
        if method != "count":
            np.testing.assert_array_equal(image.data_count.values, clipped.ccd.count().values)


def over_pixels(twin, values, **arguments):
    """A twin that gives flags, pixel by pixel."""
    pixels = values.reshape(len(values), -1).T
    return np.array([twin(pixel.tolist(), **arguments) for pixel in pixels], np.uint8).T.reshape(values.shape)


def sides(values, **rule):
    """The flags of one pixel by its twin: each pass's rejected samples, by the side of the centre."""
    rule = {"low": 3, "high": 3, "center": "mean", "deviation": "std", "maxiters": 1, "nkeep": 0} | rule
    flags = [0 if np.isfinite(v) else int(Flag.NOT_FINITE) for v in values]
    arguments = (rule["low"], rule["high"], rule["center"], rule["deviation"], rule["maxiters"], 0, 0, rule["nkeep"])
    for residuals, _, rejected in oracles.clip_passes(values, *arguments):
        for i in rejected:
            flags[i] = int(LOW if residuals[i] < 0 else HIGH)
    return flags


@pytest.mark.parametrize("engine", options.ENGINES)
@some
@given(values=stacks(dtypes=(*FLOATS, "uint16"), elements=WHOLE.map(abs)), rule=rules())
def test_sides_of_a_clip(engine, values, rule):
    ds = stack_of(values).ccd.to_dataset()
    with xccd.set_options(engine=engine):
        found = quietly(ds.ccd.sigma_clip, **rule).data_flags.values
    np.testing.assert_array_equal(found, over_pixels(sides, values, **rule))


@pytest.mark.versions
@pytest.mark.parametrize("functions", [{"center": np.nanmedian}, {"deviation": lambda v, axis: np.nanstd(v, axis)}])
@pytest.mark.parametrize("chunks", [None, (-1, 2, 2)], ids=["numpy", "dask"])
def test_sides_of_a_clip_by_functions(functions, chunks):
    values = np.random.default_rng(1).normal(10, 1, (9, 4, 5)).astype("float32")
    values[3, 0, 0], values[4, 1, 1], values[2, 2, 2] = 90, -90, np.nan
    ds = stack_of(values, chunks).ccd.to_dataset(mask=values > 11.5)
    names = {"center": "median"} if "center" in functions else {}
    by_name = ds.ccd.sigma_clip(1.5, 1.5, **names).data_flags.values
    by_function = ds.ccd.sigma_clip(1.5, 1.5, **names | functions).data_flags.values
    np.testing.assert_array_equal(by_function, by_name)
    assert {0, int(Flag.MASKED_ON_INPUT), int(Flag.NOT_FINITE), int(LOW)} <= set(by_name.ravel().tolist())


def ranked(values, nlow, nhigh):
    """Flags by rank, equal samples in frame order; of too few the lowest are low ones."""
    flags = np.array([0 if np.isfinite(v) else int(Flag.NOT_FINITE) for v in values])
    order = [i for i in np.argsort(np.asarray(values, float), kind="stable") if flags[i] == 0]
    flags[order[:nlow]] = LOW
    flags[order[max(nlow, len(order) - nhigh) :]] = HIGH
    if len(order) <= nlow + nhigh:
        flags[order[nlow:]] = HIGH
    return flags.tolist()


@pytest.mark.parametrize("engine", options.ENGINES)
@some
@given(
    values=stacks(dtypes=(*FLOATS, "uint16"), elements=WHOLE.map(abs)), nlow=st.integers(0, 3), nhigh=st.integers(0, 3)
)
def test_sides_of_extrema(engine, values, nlow, nhigh):
    ds = stack_of(values).ccd.to_dataset()
    with xccd.set_options(engine=engine):
        found = quietly(ds.ccd.clip_extrema, nlow, nhigh).data_flags.values
    np.testing.assert_array_equal(found, over_pixels(ranked, values, nlow=nlow, nhigh=nhigh))


@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16", "int32"])
def test_limits_and_what_was_out_before(dtype):
    values = np.array([0, 5, 10, 100]).astype(dtype).reshape(4, 1, 1)
    ds = stack_of(values).ccd.to_dataset(mask=[[[True]], [[False]], [[False]], [[False]]])
    low, high = ds.ccd.minmax(5.5, 99.5), ds.ccd.minmax(max=10)
    assert low.data_flags.values.ravel().tolist() == [1, 4, 0, 8]
    assert high.data_flags.values.ravel().tolist() == [1, 0, 0, 8]
    assert low.ccd.sigma_clip(0, 0).data_flags.values.ravel().tolist() == [1, 4, 0, 8]


def test_a_limit_between_two_float32_is_not_rounded():
    values = np.array([16777216, 16777218], "float32").reshape(2, 1, 1)
    assert stack_of(values).ccd.to_dataset().ccd.minmax(min=16777217.0).data_flags.values.ravel().tolist() == [4, 0]


def test_an_infinite_sample_is_not_a_high_one():
    values = np.array([1.0, 2, np.inf, -np.inf, np.nan]).reshape(5, 1, 1)
    ds = stack_of(values).ccd.to_dataset()
    for clipped in (ds.ccd.clip_extrema(0, 1), ds.ccd.minmax(max=1.5)):
        assert clipped.data_flags.values.ravel().tolist()[2:] == [2, 2, 2]


@pytest.mark.versions
def test_a_chain_is_lazy_and_sorts_once(monkeypatch):
    from xccd.kernels.compiled import engine as compiled

    values = np.random.default_rng(2).integers(100, 120, (9, 8, 8)).astype("uint16")
    ds = stack_of(values, (-1, 4, -1)).ccd.to_dataset()
    sorts = []
    monkeypatch.setattr(compiled, "sigma", lambda *a, sigma=compiled.sigma: sorts.append(1) or sigma(*a))
    image = ds.ccd.sigma_clip(2, 2, maxiters=None).ccd.combine("mean")
    assert not sorts
    assert all(hasattr(v.data, "dask") for v in image.data_vars.values())
    image.compute()
    assert len(sorts) == 2  # one for each chunk, for image, count and uncertainty together


@pytest.mark.versions
def test_data_that_were_changed_are_what_counts():
    """The plan that a chain keeps is of the data that it was made from."""
    values = np.arange(5.0).reshape(5, 1, 1)
    clipped = stack_of(values, (-1, 1, 1)).ccd.to_dataset().ccd.minmax(max=3)
    moved = clipped.assign(data=clipped.data.copy(data=clipped.data.data * 10))
    assert moved.ccd.combine("sum").data.values.item() == 60.0
    assert moved.ccd.minmax(min=25).data_flags.values.ravel().tolist() == [4, 4, 4, 0, 8]
    assert moved.persist().ccd.combine("sum").data.values.item() == 60.0
    assert clipped.isel(frame=slice(1, None)).ccd.combine("sum").data.values.item() == 6.0


def scatter(x, method, w=None):
    """The standard error of one pixel, straight from its definition."""
    x = np.asarray(x, float)
    n, sd = x.size, np.std(x, ddof=1) if x.size > 1 else np.nan
    if w is not None:
        h = np.asarray(w) / np.sum(w)
        square = (x - np.sum(h * x)) ** 2
        if h.max() < 0.5:
            a = h**2 / (1 - 2 * h)
            var = np.sum(a * square) / (1 + np.sum(a))
        else:
            var = np.sum(h**2 * square / (1 - h))
        return np.sqrt(var) * (np.sum(w) if method == "sum" else 1)
    if method == "median":
        low = [0.953, 1.148, 1.182, 1.049, 1.076, 1.027, 1.042, 1.018, 1.026]
        b = low[n - 2] if n < 11 else 1 + (0.12 if n % 2 else 0.2) / n
        a = 0.45 if n % 2 else 1.27 + 0.14 * (1 - 4 / n)
        theory = np.sqrt(np.pi * n / (2 * (n + a))) if n > 2 else 1
        return b * theory * 1.482602218505602 * np.median(abs(x - np.median(x))) / np.sqrt(n)
    return sd * np.sqrt(n) if method == "sum" else sd / np.sqrt(n)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 10, 11, 12, 25])
@pytest.mark.parametrize("method", ["mean", "median", "sum"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "uint16"])
def test_uncertainty_is_the_scatter(n, method, dtype):
    values = np.random.default_rng(n).normal(1000, 30, (n, 2, 3)).astype(dtype)
    image = stack_of(values).ccd.to_dataset().ccd.combine(method)
    expected = [scatter(pixel, method) for pixel in values.reshape(n, -1).T]
    np.testing.assert_allclose(image.data_uncertainty.values.ravel(), expected, rtol=3e-7)
    assert image.data_uncertainty.dtype == image.data.dtype
    assert image.data_uncertainty.attrs["uncertainty_type"] == "std"


@pytest.mark.parametrize("engine", options.ENGINES)
@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@some
@given(data=st.data(), values=stacks(dtypes=("uint16", "int16", "float32"), elements=WHOLE.map(abs)), chain=chains(1))
def test_uncertainty_is_the_scatter_of_the_samples_without_a_flag(engine, lazy, data, values, chain):
    """Ties at a bound as well: of samples that are equal some are in use, some not."""
    ds = stack_of(values, data.draw(chunkings(values.shape)) if lazy else None).ccd.to_dataset()
    with xccd.set_options(engine=engine):
        clipped = run(ds, chain)
        # Without a history there is no factor for the clip.
        clipped = clipped.assign(data=clipped.data.assign_attrs(history=""))
        flags = clipped.data_flags.values
        images = {method: quietly(clipped.ccd.combine, method).compute() for method in ("mean", "median", "sum")}
    columns = (a.reshape(len(values), -1).T for a in (values, flags))
    pixels = [x[f == 0] for x, f in zip(*columns, strict=True)]
    for method, image in images.items():
        expected = [scatter(x, method) if x.size > 1 else np.nan for x in pixels]
        np.testing.assert_allclose(image.data_uncertainty.values.ravel(), expected, rtol=1e-6, atol=1e-6)
        assert image.data_count.values.ravel().tolist() == [x.size for x in pixels]


@pytest.mark.parametrize("weights", [[1, 1, 1, 1], [1, 2, 3, 4], [0, 1, 1, 8], [0, 0, 3, 3]])
@pytest.mark.parametrize("method", ["mean", "sum"])
def test_uncertainty_with_weights(weights, method):
    values = np.random.default_rng(3).normal(1000, 30, (4, 2, 3))
    image = stack_of(values).ccd.to_dataset().ccd.combine(method, weights=weights)
    used = np.array(weights) > 0
    expected = [scatter(p[used], method, np.array(weights, float)[used]) for p in values.reshape(4, -1).T]
    np.testing.assert_allclose(image.data_uncertainty.values.ravel(), expected, rtol=1e-12)


def test_one_sample_has_no_scatter_and_none_no_value():
    values = np.array([[[1.0, np.nan, 3]], [[np.nan, np.nan, 5]]])
    for method in ("mean", "median", "sum"):
        image = stack_of(values).ccd.to_dataset().ccd.combine(method)
        assert image.data_count.values.ravel().tolist() == [1, 0, 2]
        assert np.isnan(image.data_uncertainty.values.ravel()).tolist() == [True, True, False]
    image = stack_of(values).ccd.to_dataset().ccd.combine("mean", weights=[1, 2])
    assert np.isnan(image.data_uncertainty.values.ravel()).tolist() == [True, True, False]


@pytest.mark.parametrize("n", [3, 5, 10, 25])
@pytest.mark.parametrize(("method", "within"), [("mean", 0.02), ("median", 0.02), ("sum", 0.02)])
def test_uncertainty_is_right_on_average(n, method, within):
    """The root of the mean claimed variance beside the true scatter of the images."""
    values = np.random.default_rng(n).normal(0, 1, (n, 200, 300)).astype("float32")
    image = stack_of(values).ccd.to_dataset().ccd.combine(method)
    claimed = float(np.sqrt((image.data_uncertainty.astype(float) ** 2).mean()))
    assert claimed == pytest.approx(float(image.data.std()), rel=within)


@pytest.mark.parametrize("method", ["min", "max", "std", "var", "mad_std", "quantile", np.nanmax])
def test_what_has_no_formula_has_no_uncertainty(method):
    more = {"q": 0.5} if method == "quantile" else {}
    image = stack_of(np.ones((3, 1, 1))).ccd.to_dataset().ccd.combine(method, **more)
    assert set(image.data_vars) == {"data", "data_count"}
    assert image.data.attrs["ancillary_variables"] == "data_count"


@pytest.mark.versions
def test_a_function_sees_what_is_flagged_as_nan():
    values = np.array([1, 2, 90], "uint16").reshape(3, 1, 1)
    clipped = stack_of(values).ccd.to_dataset().ccd.minmax(max=50)
    assert clipped.ccd.combine(np.nanmax).data.values.item() == 2.0
    assert clipped.ccd.combine(
        "mean", weights=lambda frame: float(frame.fillna(0).max()) + 1
    ).data.item() == np.float32(1.6)


def test_count_of_a_dataset_is_a_count():
    ds = stack_of(np.ones((3, 1, 1))).ccd.to_dataset().ccd.count()
    assert set(ds.data_vars) == {"data"}
    assert ds.data.values.item() == 3


@pytest.mark.versions
def test_other_variables_and_their_flags():
    """Two science variables, each with flags of its own; one without stays NaN-marked."""
    a, b = (stack_of(np.array([1.0, 2, last]).reshape(3, 1, 1)).rename(n) for n, last in (("a", 9), ("b", 3)))
    ds = xr.merge([a.ccd.to_dataset(), b.ccd.to_dataset(), b.rename("c").to_dataset()], compat="override")
    done = ds.ccd.minmax(max=5)
    assert done.a_flags.values.ravel().tolist() == [0, 0, 8]
    assert done.b_flags.values.ravel().tolist() == [0, 0, 0]
    assert done.c.dims == DIMS
    image = done.ccd.combine("mean")
    assert {"a", "a_count", "a_uncertainty", "b", "b_count", "b_uncertainty", "c"} == set(image.data_vars)
    assert image.a.item() == 1.5


@pytest.mark.versions
def test_attributes_are_cf():
    ds = stack_of(np.ones((3, 1, 1))).ccd.to_dataset(uncertainty=2.0)
    assert ds.data.attrs["ancillary_variables"] == "data_flags data_uncertainty"
    assert ds.data_flags.attrs["flag_masks"].tolist() == [1, 2, 4, 8, 16, 32, 64, 128]
    assert ds.data_flags.attrs["flag_meanings"].split() == [
        "masked_on_input", "not_finite", "below_minimum", "above_maximum", "rejected_low", "rejected_high", "grown",
        "outside_footprint",
    ]  # fmt: skip
    assert ds.data_uncertainty.values.ravel().tolist() == [2, 2, 2]


@pytest.mark.parametrize("frame_last", [False, True])
def test_dim_may_be_any(frame_last):
    values = np.array([[1.0, 2, 3, 90]]).T.reshape(4, 1, 1)
    stack = stack_of(values).rename(frame="exposure")
    stack = stack.transpose(..., "exposure") if frame_last else stack
    clipped = quietly(stack.ccd.to_dataset().ccd.sigma_clip, 3, 1.5, dim="exposure")
    assert clipped.data_flags.dims == stack.dims
    assert clipped.data_flags.values.ravel().tolist() == [0, 0, 0, 32]
    assert clipped.ccd.combine("mean", dim="exposure").data.values.item() == 2.0


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"mask": np.zeros((2, 2), bool)}, ValueError, r"mask= has shape \(2, 2\): give \(3, 1, 1\), or \(1, 1\)"),
        ({"mask": np.zeros((1, 1))}, TypeError, "mask= has dtype float64: give booleans"),
        ({"mask": xr.DataArray([True], dims="z")}, ValueError, "mask= has sizes {'z': 1}, the stack"),
        ({"uncertainty": xr.DataArray([1.0], dims="x", attrs={"uncertainty_type": "mad"})}, ValueError, "type 'mad'"),
        ({"uncertainty": "EXPTIME"}, ValueError, "uncertainty=.EXPTIME. is unknown: use .poisson., or give numbers"),
    ],
)
def test_what_to_dataset_refuses(arguments, error, message):
    with pytest.raises(error, match=message):
        stack_of(np.ones((3, 1, 1))).ccd.to_dataset(**arguments)


def test_what_the_two_forms_refuse():
    ds = stack_of(np.ones((3, 1, 1))).ccd.to_dataset()
    with pytest.raises(TypeError, match="to_dataset takes a DataArray, not a Dataset"):
        ds.ccd.to_dataset()
    with pytest.raises(TypeError, match="to_stack takes a Dataset, not a DataArray"):
        ds.data.ccd.to_stack()
    with pytest.raises(ValueError, match=r"this one has 0 \(of data\)"):
        ds[["data"]].ccd.to_stack()
