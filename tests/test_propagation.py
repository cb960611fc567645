"""Uncertainties of combined images from those of the samples: the formulas, Monte Carlo, and what they are given."""

import math

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from strategies import chunkings, stacks, weights_per_frame
from xccd.compute import options
from xccd.kernels.table import UNCERTAINTIES

DIMS = ("frame", "y", "x")
SIZE = (200, 300)  # of a simulated image: its scatter is known to 0.3 %
some = settings(max_examples=25, deadline=None)


def dataset(values, sigma, common=None, kind="std"):
    """A flagged Dataset with uncertainties, one a frame or one a sample."""
    values = np.asarray(values)
    stack = xr.DataArray(values, dims=DIMS, name="data")
    errors = np.asarray(sigma, float)
    errors = np.broadcast_to(errors[:, None, None] if errors.ndim == 1 else errors, values.shape)
    error = xr.DataArray(np.array(errors, float), dims=DIMS, attrs={"uncertainty_type": kind})
    ds = stack.ccd.to_dataset(uncertainty=error)
    return ds if common is None else with_common(ds, common)


def with_common(ds, common):
    """The Dataset with a part of the errors that all frames share."""
    values = np.broadcast_to(np.reshape(common, (-1, 1, 1)), ds.data.shape)
    names = f"{ds.data.attrs['ancillary_variables']} data_common"
    return ds.assign(data=ds.data.assign_attrs(ancillary_variables=names), data_common=(DIMS, values.astype(float)))


# --- the formulas


def wider(n):
    a = 0.45 if n % 2 else 1.27 + 0.14 * (1 - 4 / n)
    return math.sqrt(math.pi * n / (2 * (n + a)))


def propagated(sigma, method, w=None, common=None):
    """The error of one pixel, straight from its definition, of the samples in use."""
    s = np.array(sigma, float)
    w = np.ones(s.size) if w is None else np.array(w, float)
    c = np.zeros(s.size) if common is None else np.array(common, float)
    s, w, c = s[w > 0], w[w > 0], c[w > 0]
    if not s.size:
        return np.nan
    own, shared = np.sqrt(np.maximum(s**2 - c**2, 0)), np.sum(w * c) / np.sum(w)
    alone = np.sqrt(np.sum(w**2 * own**2)) / np.sum(w)
    alike = np.ptp(w) == 0
    if method == "median" and s.size > (2 if alike else 1):
        factor = wider(s.size) if alike else math.sqrt(math.pi / 2)
        with np.errstate(divide="ignore"):
            alone = factor * np.sqrt(np.sum(w**2)) / np.sum(w / own)
    return np.hypot(alone, shared) * (np.sum(w) if method == "sum" else 1)


def test_the_errors_that_the_samples_have_are_used() -> None:
    ds = dataset(np.arange(4.0).reshape(4, 1, 1), [1, 1, 1, 100])
    assert ds.ccd.combine("mean").data_uncertainty.item() == pytest.approx(math.sqrt(3 + 100**2) / 4)
    assert ds.ccd.combine("mean", uncertainty="scatter").data_uncertainty.item() == pytest.approx(math.sqrt(5 / 12))
    assert ds.ccd.combine("ivar").data_uncertainty.item() == pytest.approx(1 / math.sqrt(3 + 1e-4))
    assert ds.ccd.combine("ivar").data.item() == pytest.approx((0 + 1 + 2 + 3e-4) / (3 + 1e-4))


@pytest.mark.parametrize("engine", options.ENGINES)
@pytest.mark.parametrize("lazy", [False, True], ids=["numpy", "dask"])
@some
@given(data=st.data(), values=stacks(dtypes=("uint16", "float32", "float64")))
def test_each_pixel_has_the_error_of_its_samples(engine, lazy, data, values):
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    errors = rng.uniform(0.5, 2, values.shape)
    shared = data.draw(st.none() | st.just(0.4))
    common = None if shared is None else np.full(len(values), shared)
    ds = dataset(np.nan_to_num(values.astype("f8"), nan=1, posinf=2, neginf=3), errors, common)
    ds = ds.ccd.minmax(-1000, 1000)
    ds = ds.chunk(dict(zip(DIMS, data.draw(chunkings(values.shape)), strict=True))) if lazy else ds
    factors = data.draw(st.none() | st.lists(st.floats(-2, 2), min_size=len(values), max_size=len(values)))
    weights = data.draw(st.none() | weights_per_frame(len(values)))
    size = np.ones(len(values)) if factors is None else np.abs(factors)
    columns = [a.reshape(len(values), -1).T for a in (ds.data_flags.values, errors)]
    for method in ("mean", "sum", "median"):
        with xccd.set_options(engine=engine):
            image = ds.ccd.combine(method, weights=weights, scale=factors).compute()
        for got, flags, sigma in zip(image.data_uncertainty.values.ravel(), *columns, strict=True):
            use = flags == 0
            w = None if weights is None else np.array(weights)[use]
            c = None if common is None else (common * size)[use]
            expected = propagated((sigma * size)[use], method, w, c)
            np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("method", ["mean", "sum", "median"])
def test_both_engines_have_the_same_bits(method):
    rng = np.random.default_rng(0)
    values, errors = rng.normal(0, 1, (9, 30, 40)).astype("f4"), rng.uniform(0, 3, (9, 30, 40))
    values[rng.random(values.shape) < 0.2] = np.nan
    found = []
    for engine in options.ENGINES:
        with xccd.set_options(engine=engine):
            ds = dataset(values, errors, rng.uniform(0, 0.1, 1) * 0 + 0.05)
            found.append([
                ds.ccd.combine(method, weights=w, uncertainty=way, scale=f, dtype="float64").data_uncertainty.values
                for w in (None, np.arange(9.0)) for way in UNCERTAINTIES for f in (None, np.linspace(0.5, 2, 9))
                if not (way != "propagate" and method == "median" and w is not None)
            ])  # fmt: skip
    np.testing.assert_array_equal(*found)


# --- Monte Carlo


def simulated(sigma, common=None, scale=1.0):
    """Normal samples of these errors. What is common is drawn once for each pixel: other masters each time."""
    sigma = np.array(sigma, float)
    rng = np.random.default_rng(sigma.size)
    own = sigma if common is None else np.sqrt(sigma**2 - np.array(common) ** 2)
    values = rng.normal(0, 1, (sigma.size, *SIZE)) * own[:, None, None]
    if common is not None:
        values += rng.normal(0, 1, SIZE) * np.array(common)[:, None, None]
    return dataset((values / np.reshape(scale, (-1, 1, 1))).astype("f4"), sigma / scale)


def assert_claimed(image, within=0.02):
    """The root of the mean claimed variance is the true scatter of the images."""
    claimed = float(np.sqrt((image.data_uncertainty.astype(float) ** 2).mean()))
    assert claimed == pytest.approx(float(image.data.astype(float).std()), rel=within)


UNEQUAL, NEARLY = [1, 2, 0.5, 3, 1.5], np.linspace(1, 1.5, 10)


@pytest.mark.parametrize(
    ("sigma", "method", "weights"),
    [
        (UNEQUAL, "mean", None), (UNEQUAL, "sum", None), (UNEQUAL, "ivar", None),
        (UNEQUAL, "mean", [1, 2, 3, 4, 0]), (UNEQUAL, "sum", [1, 2, 3, 4, 5]),
        ([1] * 3, "median", None), ([2] * 4, "median", None), ([1] * 10, "median", None), ([1] * 25, "median", None),
        (NEARLY, "median", None), (NEARLY[:5], "median", None), ([1] * 11, "median", list(np.linspace(1, 2, 11))),
        ([1, 3], "median", None), ([3], "median", None), ([1] * 7, "median", None), ([1] * 51, "median", None),
        ([1] * 25, "mean", list(np.geomspace(1, 100, 25))), ([1] * 5, "sum", [1, 1, 1, 1, 25]),
    ],
)  # fmt: skip
def test_the_claim_is_the_truth(sigma, method, weights):
    assert_claimed(simulated(sigma).ccd.combine(method, weights=weights))


@pytest.mark.parametrize("method", ["mean", "median"])
@pytest.mark.parametrize("way", ["propagate", "scatter"])
@pytest.mark.parametrize(("level", "gain", "readnoise", "n"), [(200, 1.5, 5.0, 5), (2000, 0.4, 10.0, 10)])
def test_whole_counts_of_a_camera(level, gain, readnoise, n, way, method):
    rng = np.random.default_rng(n)
    electrons = rng.poisson(level * gain, (n, *SIZE)) + rng.normal(0, readnoise, (n, *SIZE))
    counts = np.rint(electrons / gain).astype("i2")
    stack = xr.DataArray(counts, dims=DIMS, name="data", attrs={"units": "adu"})
    ds = stack.ccd.to_dataset(uncertainty="poisson", gain=gain, readnoise=readnoise)
    assert_claimed(ds.ccd.combine(method, uncertainty=way))


@pytest.mark.parametrize("weights", [np.geomspace(1, 100, 15), np.arange(1.0, 10)])
def test_the_scatter_with_very_unequal_weights(weights):
    ds = simulated(np.ones(weights.size))
    assert_claimed(ds.ccd.combine("mean", weights=weights, uncertainty="scatter"))


@pytest.mark.parametrize("method", ["mean", "sum", "median", "ivar"])
def test_what_frames_share_does_not_average_down(method):
    sigma = np.array([1.2, 1.1, 1.3, 1.2, 1.15, 1.25])
    common = np.full(6, 0.6)
    ds = with_common(simulated(sigma, common), common)
    image = ds.ccd.combine(method)
    assert_claimed(image)
    alone = ds.drop_vars("data_common").ccd.combine(method)
    assert float(alone.data_uncertainty.mean()) < 0.9 * float(image.data_uncertainty.mean())


def test_factors_scale_the_errors():
    factors = np.array([1, 0.5, 2, 4, 0.25])
    assert_claimed(simulated(UNEQUAL, scale=factors).ccd.combine("mean", scale=factors))
    assert_claimed(simulated(UNEQUAL, scale=factors).ccd.combine("ivar", scale=factors))


def test_errors_arrive_after_align():
    ds = simulated([1, 2, 3]).isel(y=slice(40), x=slice(50))
    moved = ds.ccd.align(offsets=[(0, 0), (1, 2), (0, 1)])
    expected = moved.assign(data_uncertainty=moved.data_uncertainty.load()).ccd.combine("mean").data_uncertainty
    assert np.nanmedian(expected) == pytest.approx(math.sqrt(14) / 3, rel=1e-6)


# --- what it is given, and what it says


@pytest.mark.parametrize(("kind", "power"), [("std", 1), ("var", 2), ("ivar", -2)])
@pytest.mark.parametrize("method", ["mean", "ivar"])
def test_types_of_uncertainties_are_honoured(kind, power, method):
    sigma = np.array([1.0, 2, 4, 0.5])
    values = np.arange(4.0).reshape(4, 1, 1)
    expected = dataset(values, sigma).ccd.combine(method)
    image = dataset(values, sigma**power, kind=kind).ccd.combine(method)
    for name in ("data", "data_uncertainty"):
        np.testing.assert_allclose(image[name], expected[name], rtol=1e-14)
    assert image.data_uncertainty.attrs["uncertainty_type"] == "std"


def test_the_map_says_where_it_is_from():
    ds = dataset(np.arange(3.0).reshape(3, 1, 1), [1, 1, 1])
    for way, text in UNCERTAINTIES.items():
        assert ds.ccd.combine(uncertainty=way).data_uncertainty.attrs["long_name"] == text
    assert ds.ccd.combine().data_uncertainty.attrs["long_name"] == UNCERTAINTIES["propagate"]
    without = ds.data.drop_attrs().ccd.to_dataset().ccd.combine()
    assert without.data_uncertainty.attrs["long_name"] == UNCERTAINTIES["scatter"]
    shared = with_common(ds, 0.1).ccd.combine(uncertainty="scatter").data_uncertainty
    assert shared.attrs["long_name"].endswith("the part that all frames share is left out")


def test_the_larger_one():
    ds = dataset(np.array([[1.0, 1, 5], [2, 90, np.nan], [3, 4, np.nan]]).reshape(3, 1, 3), [2, 2, 2])
    both = [ds.ccd.combine(uncertainty=way).data_uncertainty.values for way in ("scatter", "propagate")]
    np.testing.assert_array_equal(ds.ccd.combine(uncertainty="larger").data_uncertainty, np.fmax(*both))
    assert ds.ccd.combine(uncertainty="larger").data_uncertainty.values[0, 2] == 2  # one sample has no scatter


@pytest.mark.parametrize("method", ["biweight", "mode", "min", np.nanmax])
def test_what_has_no_formula_has_no_map_and_says_so(method):
    ds = dataset(np.ones((3, 1, 1)), [1, 1, 1])
    with pytest.warns(UserWarning, match="no formula gives the error of .* by uncertainty='propagate'"):
        image = ds.ccd.combine(method)
    assert set(image.data_vars) == {"data", "data_count"}


def test_a_sum_that_is_scaled_up():
    values = np.ones((4, 1, 2))
    values[3, 0, 0] = np.nan
    for ds in (dataset(values, [1, 2, 3, 4]), dataset(values, [1, 2, 3, 4]).chunk(frame=2)):
        image = ds.ccd.combine("sum", rescale=True)
        assert image.data.values.tolist() == [[4.0, 4.0]]
        np.testing.assert_allclose(image.data_uncertainty, [[math.sqrt(14) * 4 / 3, math.sqrt(30)]])


def test_an_unknown_error_makes_the_error_unknown():
    ds = dataset(np.ones((3, 1, 1)), [1, np.nan, 1])
    for one in (ds, ds.chunk(frame=1)):
        assert np.isnan(one.ccd.combine("mean").data_uncertainty.values).all()
        assert one.ccd.combine("mean").data.values.all()
    masked = ds.ccd.mask_where(ds.data_uncertainty.isnull())
    np.testing.assert_allclose(masked.ccd.combine("mean").data_uncertainty, math.sqrt(2) / 2)


@pytest.mark.parametrize("sigma", [0, np.nan, -1])
def test_inverse_variances_need_errors(sigma):
    ds = dataset(np.ones((3, 1, 1)), [1, 1, sigma])
    with pytest.raises(ValueError, match="weights: 1 valid samples have a weight"):
        ds.ccd.combine("ivar")


def test_wrong_arguments():
    ds = dataset(np.ones((3, 1, 1)), [1, 1, -1])
    with pytest.raises(ValueError, match="uncertainties of 1 valid samples are negative"):
        ds.ccd.combine("mean")
    with pytest.raises(ValueError, match=r"uncertainty='scater' is unknown: use one of .* did you mean 'scatter'"):
        ds.ccd.combine("mean", uncertainty="scater")
    for stack in (ds.data, ds.data.ccd.to_dataset()):
        stack = stack.drop_attrs() if isinstance(stack, xr.DataArray) else stack
        with pytest.raises(ValueError, match="uncertainty='larger' needs uncertainties"):
            stack.ccd.combine("mean", uncertainty="larger")
        with pytest.raises(ValueError, match="method='ivar' needs uncertainties, the variable data_uncertainty"):
            stack.ccd.combine("ivar")


@pytest.mark.versions
def test_lazy_stays_lazy():
    lazy = dataset(np.arange(24.0).reshape(4, 2, 3), [1, 2, 3, 4]).chunk(y=1)

    def never(*args, **kwargs):
        raise AssertionError("computed early")

    for method in ("mean", "ivar", "median"):
        with dask.config.set(scheduler=never):
            image = lazy.ccd.sigma_clip(1, 1).ccd.combine(method)
        assert image.data_uncertainty.chunks == ((1, 1), (3,))
        whole = lazy.compute().ccd.sigma_clip(1, 1).ccd.combine(method)
        xr.testing.assert_equal(image.compute(), whole)


def test_the_header_of_inverse_variances():
    """The weights of the samples are not known here, so neither is the exposure time if it differs."""
    ds = dataset(np.ones((2, 1, 1)), [1, 2])
    for times, known in (([30.0, 30.0], 30.0), ([30.0, 60.0], None)):
        one = ds.assign_coords(EXPTIME=("frame", times))
        for image in (one.ccd.combine("ivar"), one.ccd.combine("mean", weights="ivar")):
            assert image.data.attrs.get("EXPTIME") == known
            assert image.data.attrs["NCOMBINE"] == 2
