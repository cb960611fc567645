"""A clip and a combination of calibrated files begin at what the files store, and give the bits of verb after verb."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.compute import notes, options
from xccd.compute.calibrated import Input
from xccd.kernels.changes import DIVIDE, SUBTRACT
from xccd.labels.lazy import array_of

RNG = np.random.default_rng(12)
SHAPE = (19, 23)
N = 11
BIAS = RNG.normal(1000, 2, SHAPE).astype("f4")
DARK = RNG.normal(6, 1, SHAPE).astype("f4")
FLAT = RNG.uniform(0.9, 1.1, SHAPE).astype("f4")
BIAS[0, 0] = np.nan
DARK[1, 1] = np.inf
FLAT[2, 2:5] = (np.nan, 0, -1)
FLAT[3, 3] = 1e-45  # samples over it are infinite


@pytest.fixture
def folder(tmp_path):
    return tmp_path


def raw(folder, dtype="uint16", chunks=None, level=1500, n=N):
    values = RNG.normal(level, 15, (n, *SHAPE))
    values[RNG.integers(0, n, 40), RNG.integers(0, 19, 40), RNG.integers(0, 23, 40)] += 90
    values[0, 5, 5] = 0  # far below its bias
    for i in range(n):
        card = fits.Header({"EXPTIME": 60.0 + i, "EGAIN": 1.0 + i})
        fits.PrimaryHDU(values[i].astype(dtype), card).writeto(folder / f"{dtype}-{i:02}.fits", overwrite=True)
    return xccd.open_stack(folder / f"{dtype}-*.fits", chunks=chunks)


def calibrated(x, dark=1.0):
    less = x.ccd.subtract_bias(BIAS).ccd.subtract_dark(xr.DataArray(DARK, dims=("y", "x"), attrs=OWN), scale=dark)
    return less.ccd.flat_correct(FLAT, norm=None)


OWN = {"BIASCOR": "bias.fits", "EXPTIME": 60.0}
CHAINS = {
    "clip, mean": lambda x: calibrated(x).ccd.sigma_clip(2, 2.5, maxiters=None).ccd.combine("mean"),
    "clip about the mean, sum": lambda x: calibrated(x).ccd.sigma_clip(2, 2, center="mean").ccd.combine("sum"),
    "clip that keeps, mean": lambda x: calibrated(x).ccd.sigma_clip(0.5, 0.5, nkeep=4).ccd.combine("mean"),
    "clip by MAD, mean": lambda x: (
        calibrated(x).ccd.sigma_clip(3, 3, center="median", deviation="mad_std").ccd.combine("mean")
    ),
    "clip, median": lambda x: calibrated(x).ccd.sigma_clip(2, 2).ccd.combine("median"),
    "clip": lambda x: calibrated(x).ccd.sigma_clip(2, 2),
    "extrema, mean": lambda x: calibrated(x).ccd.clip_extrema(1, 2).ccd.combine("mean"),
    "cut, clip, mean": lambda x: calibrated(x).ccd.minmax(470, 540).ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "scaled darks": lambda x: calibrated(x, "EXPTIME").ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "bias, clip, mean": lambda x: x.ccd.subtract_bias(BIAS).ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "electrons": lambda x: calibrated(x).ccd.gain_correct(1.7).ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "gains": lambda x: calibrated(x).ccd.gain_correct("EGAIN").ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "negative flat": lambda x: (
        x.ccd.flat_correct(-FLAT, norm=None, min_value=-2).ccd.sigma_clip(2, 2).ccd.combine("mean")
    ),
    "saturated": lambda x: (
        x.ccd.subtract_bias(BIAS, saturation=1530).ccd.flat_correct(FLAT).ccd.sigma_clip(2, 2).ccd.combine("mean")
    ),
    "overscan": lambda x: x.ccd.subtract_overscan(slice(0, 5)).ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "weighted": lambda x: calibrated(x).ccd.sigma_clip(2, 2).ccd.combine("mean", weights=np.arange(1.0, N + 1)),
    "normalised": lambda x: calibrated(x).ccd.normalize("median").ccd.sigma_clip(2, 2).ccd.combine("mean"),
    "count": lambda x: calibrated(x).ccd.sigma_clip(2, 2).ccd.count(),
    "mean": lambda x: calibrated(x).ccd.combine("mean"),
}


@pytest.mark.filterwarnings("ignore:dark= .* is scaled", "ignore:gain")
@pytest.mark.parametrize("chunks", [None, {"y": 7}, {"frame": 4, "y": 7}])
@pytest.mark.parametrize("chain", CHAINS)
def test_the_bits_of_verb_after_verb(folder, chain, chunks):
    for dtype in ("uint16", "int16", "float32"):
        expected = CHAINS[chain](raw(folder, dtype).compute())
        found = CHAINS[chain](xccd.open_stack(folder / f"{dtype}-*.fits", chunks=chunks))
        assert not isinstance(found.variable._data, np.ndarray) or chain == "count"
        if chunks and "frame" in chunks and chain == "mean":  # sums of chunks
            np.testing.assert_allclose(found.values, expected.values, rtol=3e-7)
        else:
            np.testing.assert_array_equal(found.values, expected.values, strict=True)


@pytest.mark.parametrize("chain", ["clip, mean", "clip, median", "saturated", "overscan"])
def test_numpy_gives_the_same_bits(folder, chain):
    expected = CHAINS[chain](raw(folder)).values
    with xccd.set_options(engine="numpy"):
        found = CHAINS[chain](xccd.open_stack(folder / "uint16-*.fits", chunks=None)).values
    np.testing.assert_array_equal(found, expected, strict=True)


def counted(monkeypatch):
    """The calls of the kernel that clips samples as they are stored."""
    calls = []
    engine = options.engine()
    kernel = engine.sigma_stored
    monkeypatch.setattr(engine, "sigma_stored", lambda *a: (calls.append(a[0].dtype.str[1:]), kernel(*a))[1])
    return calls


@pytest.mark.parametrize("chunks", [None, "auto"])
def test_16_bit_integers_are_sorted_as_they_are_stored(folder, monkeypatch, chunks):
    calls = counted(monkeypatch)
    for dtype in ("uint16", "int16"):
        CHAINS["clip, mean"](raw(folder, dtype, chunks)).compute()
    assert calls == ["u2", "i2"]


@pytest.mark.parametrize("chain", ["clip by MAD, mean", "clip, median", "gains", "extrema, mean", "saturated"])
def test_what_needs_the_samples_as_floats_gets_them(folder, monkeypatch, chain):
    calls = counted(monkeypatch)
    CHAINS[chain](raw(folder)).compute()
    assert not calls


def test_missing_pixels_of_masters_cost_nothing(folder, monkeypatch):
    """Pixels that masters lack do not count in the range of the samples, which tells whether sums may round."""
    kernel, calls = options.engine().calibrated, []
    monkeypatch.setattr(options.engine(), "calibrated", lambda *a: (calls.append(a), kernel(*a)))
    whole = raw(folder, level=2000)
    whole[0, 5, 5] = 2000
    for i, frame in enumerate(whole.values.astype("uint16")):
        fits.PrimaryHDU(frame, fits.Header({"EXPTIME": 60.0})).writeto(folder / f"whole-{i}.fits")
    found = CHAINS["clip, mean"](xccd.open_stack(folder / "whole-*.fits", chunks=None)).values
    assert not calls
    assert np.argwhere(np.isnan(found)).tolist() == [[0, 0], [1, 1], [2, 2], [2, 3], [2, 4], [3, 3]]


def test_sums_that_round(folder, monkeypatch):
    """Samples about 0: the sums are those of the samples as floats."""
    calls = counted(monkeypatch)
    expected = CHAINS["clip, mean"](raw(folder, level=1006).compute()).values
    found = CHAINS["clip, mean"](xccd.open_stack(folder / "uint16-*.fits", chunks=None)).values
    assert calls
    np.testing.assert_array_equal(found, expected, strict=True)


@pytest.mark.parametrize("n", [9, 60, 300])
def test_any_count_of_frames(folder, n):
    lazy = raw(folder, n=n)
    expected = CHAINS["clip, mean"](lazy.compute(deep=True)).values
    again = xccd.open_stack(folder / "uint16-*.fits", chunks=None)
    np.testing.assert_array_equal(CHAINS["clip, mean"](again).values, expected, strict=True)


@pytest.mark.parametrize("chunks", [None, {"y": 7}])
@pytest.mark.parametrize("dtype", ["int16", "uint16", "int32", "float32", "float64"])
def test_masters_as_they_are_stored(folder, dtype, chunks):
    bias = RNG.normal(1000, 9, SHAPE).astype(dtype)
    fits.PrimaryHDU(bias).writeto(folder / "bias.fits")
    flat = RNG.normal(2e4, 300, SHAPE).astype(dtype)
    fits.PrimaryHDU(flat).writeto(folder / "flat.fits")
    expected = raw(folder).compute().ccd.subtract_bias(bias).ccd.flat_correct(flat).ccd.sigma_clip(2, 2)
    lazy = xccd.open_stack(folder / "uint16-*.fits", chunks=chunks)
    found = lazy.ccd.subtract_bias(folder / "bias.fits").ccd.flat_correct(folder / "flat.fits").ccd.sigma_clip(2, 2)
    np.testing.assert_array_equal(found.values, expected.values, strict=True)
    np.testing.assert_array_equal(found.ccd.combine("mean").values, expected.ccd.combine("mean").values, strict=True)


@pytest.mark.parametrize("chunks", [None, {"y": 7}])
def test_flags_and_errors_of_calibrated_files(folder, chunks):
    raw(folder)

    def done(chunks):
        ds = xccd.open_dataset(folder / "uint16-*.fits", chunks=chunks)
        ds = ds if chunks is not None or lazily else ds.compute()
        ready = ds.ccd.subtract_bias(BIAS).ccd.create_deviation(1.5, 6.0).ccd.flat_correct(FLAT)
        return ready.ccd.sigma_clip(2, 2).ccd.combine("mean")

    lazily = False
    expected = done(None)
    lazily = True
    found = done(chunks)
    for name in expected.data_vars:
        np.testing.assert_array_equal(found[name].values, expected[name].values, strict=True)


@pytest.mark.versions
def test_the_plan_of_calibrated_files(folder):
    lazy = calibrated(raw(folder))
    source, steps, inputs = notes.noted(array_of(lazy), notes.PLAN)
    assert source.dtype.str == ">i2"
    assert (len(steps), len(inputs)) == (1, 6)
    clipped = array_of(lazy.ccd.sigma_clip(2, 2))
    assert len(notes.noted(clipped, notes.PLAN).steps) == 2


def test_inputs_are_cut_as_they_broadcast():
    for frames, shape in ((3, (5, 7)), (1, (5, 7)), (3, (2, 5, 7)), (3, (35,)), (2, ())):
        whole = np.zeros((frames, *shape))
        for axes in range(1 << whole.ndim):
            part = RNG.normal(size=[1 if axes >> k & 1 else n for k, n in enumerate(whole.shape)])
            flat = (whole + part).reshape(frames, -1)
            for start, stop in ((0, flat.shape[1]), (flat.shape[1] // 3, flat.shape[1] // 2 + 1)):
                cut = Input(part, shape).cut(start, stop)
                np.testing.assert_array_equal(np.broadcast_to(cut, (frames, stop - start)), flat[:, start:stop])


@pytest.mark.parametrize("engine", ["numba", "numpy"])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("x", [">i2", "<i2", ">u2", "<u2", "u1", ">i4", ">f4", "<f4", ">f8"])
def test_kernels_round_as_numpy_does(engine, dtype, x):
    if engine == "numba":
        pytest.importorskip("numba")
    x = RNG.integers(-100 if "u" not in x else 0, 120, (3, 2500)).astype(x)
    kinds = np.array([SUBTRACT, SUBTRACT, DIVIDE, 2, 0][: RNG.integers(6)])
    operands = RNG.normal(9, 2, (len(kinds), 2300)).astype(dtype)
    for unsigned in (False, True) if x.dtype.kind == "i" and x.itemsize == 2 else (False,):
        out = np.zeros((3, 2400), dtype)
        with xccd.set_options(engine=engine):
            options.engine().calibrated(x, 100, 2400, unsigned, kinds, operands, out, 50)
        expected = x[:, 100:2400].astype(dtype) + np.array(32768 if unsigned else 0, dtype)
        for kind, operand in zip(kinds, operands, strict=True):
            expected = (np.subtract, np.divide, np.multiply)[kind](expected, operand)
        np.testing.assert_array_equal(out[:, 50:2350], expected, strict=True)
        assert not out[:, :50].any()
        assert not out[:, 2350:].any()
