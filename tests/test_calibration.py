"""Bias, dark, flat, gain and errors: samples, uncertainties, flags, in every form of stack and master."""

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
from astropy.nddata import CCDData

import xccd

RNG = np.random.default_rng(5)
SHAPE = (6, 8)
CARDS = {"BUNIT": "adu", "EXPTIME": 60.0, "GAIN": 1.5, "RDNOISE": 6.0, "IMAGETYP": "Light Frame", "FILTER": "r"}
BIAS = RNG.normal(1000, 3, SHAPE).astype("f4")
DARK = RNG.normal(12, 2, SHAPE).astype("f4")
FLAT = RNG.normal(3e4, 2e3, SHAPE).astype("f4")
RAW = RNG.integers(1000, 40000, (3, *SHAPE)).astype("uint16")


@pytest.fixture
def files(tmp_path):
    """Lights and masters as files."""
    frames = [xccd.open_stack([(a, CARDS | {"EXPTIME": t})]) for a, t in zip(RAW, (60.0, 30.0, 90.0), strict=True)]
    for i, frame in enumerate(frames):
        frame[0].ccd.to_fits(tmp_path / f"light-{i}.fits", dtype="uint16")
    masters = {"bias": (BIAS, 0.0, "Bias Frame"), "dark": (DARK, 120.0, "Dark Frame"), "flat": (FLAT, 2.0, "Flat")}
    for name, (values, time, kind) in masters.items():
        cards = {"BUNIT": "adu", "EXPTIME": time, "IMAGETYP": kind, "FILTER": "r" if name == "flat" else ""}
        cards |= {"BIASCOR": "bias.fits"} if name == "dark" else {}
        xccd.open_image((values, cards)).ccd.to_fits(tmp_path / f"{name}.fits")
    return tmp_path


def lights(form: str, folder=None) -> xr.DataArray:
    chunks = {"numpy": None, "deferred": None, "dask": "auto", "cut": {"frame": 2, "y": 4}, "rows": {"y": 1}}[form]
    source = sorted(folder.glob("light-*.fits"))
    stack = xccd.open_stack(source, chunks=chunks)
    return stack.load() if form == "numpy" else stack


FORMS = ("numpy", "deferred", "dask", "cut", "rows")


def master(name: str, kind: str, folder):
    path = folder / f"{name}.fits"
    return {
        "path": lambda: path,
        "text": lambda: str(path),
        "image": lambda: xccd.open_image(path),
        "lazy": lambda: xccd.open_image(path, chunks={"y": 2}),
        "stack": lambda: xccd.open_stack(path, chunks=None),
        "dataset": lambda: xccd.open_dataset(path),
        "ccddata": lambda: CCDData.read(path),
        "array": lambda: xccd.open_image(path).values,
        "dask": lambda: da.from_array(xccd.open_image(path).values, chunks=3),
    }[kind]()


MASTERS = ("path", "text", "image", "lazy", "stack", "dataset", "ccddata", "array", "dask")


@pytest.mark.filterwarnings("ignore:.*is scaled by")
@pytest.mark.parametrize(
    ("flagged", "form", "kind"),
    [(i % 2 == 0, FORMS[i % 5], kind) for i, kind in enumerate((*MASTERS, *MASTERS[::-1], *MASTERS[3:], *MASTERS))],
)
def test_every_form_of_frames_and_masters_gives_the_same(files, form, kind, flagged):
    stack = lights(form, files)
    stack = stack.ccd.to_dataset() if flagged else stack
    bias, dark, flat = (master(name, kind, files) for name in ("bias", "dark", "flat"))
    scale = np.array([0.5, 0.25, 0.75]) if kind in ("array", "dask") else "EXPTIME"
    found = stack.ccd.subtract_bias(bias).ccd.subtract_dark(dark, scale=scale).ccd.flat_correct(flat)
    data = found["data"] if flagged else found
    assert data.dtype == np.float32
    relative = FLAT / FLAT.astype("f8").mean()
    s = np.array([0.5, 0.25, 0.75])[:, None, None]
    right = (RAW - BIAS.astype("f8") - s * DARK) / relative
    np.testing.assert_allclose(data.values, right, rtol=1e-6)
    expected = xccd.open_stack(sorted(files.glob("light-*.fits"))).ccd.subtract_bias(files / "bias.fits")
    expected = expected.ccd.subtract_dark(files / "dark.fits").ccd.flat_correct(files / "flat.fits")
    np.testing.assert_array_equal(data.values, expected.values)  # to the bit
    assert data.attrs["units"] == "adu"
    assert list(data.coords["header"].values) == list(stack.coords["header"].values)
    if flagged:
        assert not found.data_flags.values.any()


@pytest.mark.parametrize("flagged", [False, True])
def test_dask_input_stays_lazy_and_nothing_is_computed(files, flagged):
    stack = lights("dask", files)
    stack = stack.ccd.create_deviation() if flagged else stack

    def refuse(*args, **options):
        raise AssertionError("computed early")

    with dask.config.set(scheduler=refuse):
        found = stack.ccd.subtract_bias(files / "bias.fits").ccd.subtract_dark(files / "dark.fits")
        found = found.ccd.flat_correct(files / "flat.fits", norm="median").ccd.gain_correct()
        found = found.ccd.clip_extrema(0, 1).ccd.combine("mean")
    assert found.compute() is not None


def flagged_master(values, error, flags=None, **attrs):
    image = xr.DataArray(values, dims=("y", "x"), name="data", attrs=attrs)
    ds = image.ccd.to_dataset(uncertainty=error)
    return ds if flags is None else ds.assign(data_flags=(("y", "x"), flags, ds.data_flags.attrs))


@pytest.mark.parametrize("kind", ["std", "var", "ivar"])
def test_errors_of_frames_and_masters_add_up(kind):
    """Every type of uncertainties: the variances are those of the formulas."""
    power = {"std": 0.5, "var": 1.0, "ivar": -1.0}[kind]
    x, v = RNG.normal(5000, 100, (4, *SHAPE)), RNG.uniform(50, 60, (4, *SHAPE))
    b, vb = RNG.normal(1000, 2, SHAPE), RNG.uniform(1, 2, SHAPE)
    d, vd = RNG.normal(30, 2, SHAPE), RNG.uniform(2, 3, SHAPE)
    f, vf = RNG.normal(2e4, 1e3, SHAPE), RNG.uniform(1e3, 2e3, SHAPE)
    error = xr.DataArray(v**power, dims=("frame", "y", "x"), attrs={"uncertainty_type": kind})
    stack = xr.DataArray(x, dims=("frame", "y", "x")).ccd.to_dataset(uncertainty=error)
    s, g = np.array([0.5, 1.0, 2.0, 0.0]), 1.7
    found = stack.ccd.subtract_bias(flagged_master(b, np.sqrt(vb)))
    dark = xr.DataArray(vd**power, dims=("y", "x"), attrs={"uncertainty_type": kind})
    dark = flagged_master(d, dark, BIASCOR="another.fits")
    found = found.ccd.subtract_dark(dark, scale=s).ccd.flat_correct(flagged_master(f, np.sqrt(vf)))
    found = found.ccd.gain_correct(g)
    s, r = s[:, None, None], f / f.mean()
    y, vc = x - b - s * d, vb + s**2 * vd
    vr = vf / f.mean() ** 2
    np.testing.assert_allclose(found.data, g * y / r, rtol=1e-12)
    np.testing.assert_allclose(found.data_uncertainty, (g**2 * (v + vc + y**2 * vr / r**2) / r**2) ** power, rtol=1e-12)
    np.testing.assert_allclose(found.data_common, g * np.sqrt(vc / r**2 + y**2 * vr / r**4), rtol=1e-12)
    assert found.data.attrs["units"] == "electron"
    assert found.data_common.attrs["units"] == "electron"
    assert found.data.attrs["ancillary_variables"].split() == ["data_flags", "data_uncertainty", "data_common"]
    units = {"std": "electron", "var": "electron**2", "ivar": "(electron)**-2"}[kind]
    assert found.data_uncertainty.attrs["units"] == units
    assert found.data_uncertainty.attrs["uncertainty_type"] == kind


def test_flags_of_a_master_flag_the_samples():
    stack = xr.DataArray(np.full((2, 1, 4), 10.0), dims=("frame", "y", "x"))
    flags = np.array([[0, 1, 32, 0]], np.uint8)
    bias = flagged_master(np.array([[1.0, 2.0, 3.0, np.nan]]), 1.0, flags)
    found = stack.ccd.to_dataset(mask=[[True, False, True, False]]).ccd.subtract_bias(bias)
    assert found.data_flags.values[0].tolist() == [[1, 1, 33, 2]]
    assert stack.ccd.subtract_bias(bias).isnull().values[1].tolist() == [[False, True, True, True]]
    assert found.data.values[0, 0, :3].tolist() == [9.0, 8.0, 7.0]


@pytest.mark.parametrize("flagged", [False, True])
def test_a_flat_not_above_the_least_value_leaves_nothing(flagged):
    stack = xr.DataArray(np.full((2, 1, 4), 10.0), dims=("frame", "y", "x"))
    flat = xr.DataArray([[1.0, 0.0, -1.0, np.nan]], dims=("y", "x"))
    stack = stack.ccd.to_dataset() if flagged else stack
    found = stack.ccd.flat_correct(flat, norm=None)
    if flagged:
        assert found.data_flags.values[0].tolist() == [[0, 1, 1, 3]]
    assert found.ccd.to_stack().isnull().values[0].tolist() == [[False, True, True, True]] if flagged else True
    assert flagged or found.isnull().values[0].tolist() == [[False, True, True, True]]
    some = stack.ccd.flat_correct(flat, norm=None, min_value=1.0)
    assert bool(np.all(some.ccd.mask["data"] if flagged else some.ccd.mask))


def test_levels_of_a_flat():
    stack = xr.DataArray(np.ones((1, 2, 2)), dims=("frame", "y", "x"))
    flat = xr.DataArray([[1.0, 2.0], [4.0, np.nan]], dims=("y", "x"))
    for norm, level in (("mean", 7 / 3), ("median", 2.0), (5, 5.0), (None, 1.0)):
        found = stack.ccd.flat_correct(flat, norm=norm).values[0]
        np.testing.assert_allclose(found, level / flat.values, rtol=1e-15)


@pytest.mark.parametrize("chunks", [None, {"y": 1}])
def test_each_colour_of_a_flat_has_its_level(chunks):
    raw = xccd.open_stack([(np.ones((4, 4)), {"BAYERPAT": "RGGB"})], chunks=chunks)
    values = np.arange(1.0, 17.0).reshape(4, 4)
    found = raw.ccd.flat_correct(values, norm="cfa").values[0]
    red, green, blue = values[::2, ::2], np.r_[values[::2, 1::2].ravel(), values[1::2, ::2].ravel()], values[1::2, 1::2]
    np.testing.assert_allclose(found[::2, ::2], red.mean() / red)
    np.testing.assert_allclose(found[::2, 1::2], green.mean() / values[::2, 1::2])
    np.testing.assert_allclose(found[1::2, ::2], green.mean() / values[1::2, ::2])
    np.testing.assert_allclose(found[1::2, 1::2], blue.mean() / blue)
    crop = raw[:, 1:, 1:].ccd.flat_correct(values[1:, 1:], norm="cfa").values[0]
    np.testing.assert_allclose(crop[::2, ::2], blue.mean() / blue)


def test_a_bias_that_both_have_counts_once():
    """Frames and dark had the same bias taken off: it counts with (1 - s)."""
    v, vb, vd = 40.0, 3.0, 5.0  # vd has vb in it
    stack = xr.DataArray(np.full((2, 1, 1), 100.0), dims=("frame", "y", "x")).ccd.to_dataset(uncertainty=np.sqrt(v))
    bias = flagged_master(np.full((1, 1), 10.0), np.sqrt(vb))
    bias.encoding["source"] = "some/bias.fits"
    dark = flagged_master(np.full((1, 1), 4.0), np.sqrt(vd), BIASCOR="bias.fits")
    for s in (0.0, 0.5, 1.0, 2.0):
        found = stack.ccd.subtract_bias(bias).ccd.subtract_dark(dark, scale=s)
        common = (1 - s) ** 2 * vb + s**2 * (vd - vb)
        np.testing.assert_allclose(found.data_common.values**2, common, atol=1e-12)
        np.testing.assert_allclose(found.data_uncertainty.values**2, v + common, rtol=1e-12)
    other = dark.assign(data=dark.data.assign_attrs(BIASCOR="b2.fits"))
    found = stack.ccd.subtract_bias(bias).ccd.subtract_dark(other, scale=0.5)
    np.testing.assert_allclose(found.data_common.values**2, vb + 0.25 * vd)


def test_deviation_is_of_photons_readout_and_masters():
    stack = xr.DataArray(RNG.normal(200, 50, (3, *SHAPE)), dims=("frame", "y", "x"))
    ds = stack.ccd.create_deviation(gain=2.0, readnoise=8.0)
    v = np.maximum(stack.values, 0) / 2 + 16
    np.testing.assert_allclose(ds.data_uncertainty.values**2, v, rtol=1e-12)
    xr.testing.assert_equal(ds.ccd.create_deviation(gain=2.0, readnoise=8.0), ds)
    bias = flagged_master(np.zeros(SHAPE), 3.0)
    later = stack.ccd.to_dataset().ccd.subtract_bias(bias)
    assert "data_uncertainty" not in later
    later = later.ccd.create_deviation(gain=2.0, readnoise=8.0)
    np.testing.assert_allclose(later.data_uncertainty.values**2, v + 9, rtol=1e-12)
    np.testing.assert_allclose(ds.ccd.subtract_bias(bias).data_uncertainty, later.data_uncertainty, rtol=1e-12)
    with pytest.raises(TypeError, match="create_deviation takes an xarray DataArray, Dataset or DataTree, not a list"):
        xccd.create_deviation([1])


def test_gain_makes_electrons_once():
    stack = xccd.open_stack([(np.full((1, 2), 10.0), CARDS | {"GAIN": g}) for g in (1.5, 2.0)])
    found = stack.ccd.gain_correct()
    assert found.values[:, 0, 0].tolist() == [15.0, 20.0]
    assert found.GAIN.values.tolist() == [1.0, 1.0]
    assert found.GAINCOR.values.tolist() == [1.5, 2.0]
    assert found.units == found.attrs["BUNIT"] == "electron"
    assert found.ccd.create_deviation().data_uncertainty.values[1, 0, 0] == pytest.approx(np.sqrt(20 + 36))
    assert found.ccd.combine("mean").attrs["units"] == "electron"
    with pytest.raises(ValueError, match=r"gain_correct: the data are in 'electron', and a gain is for counts \(adu\)"):
        found.ccd.gain_correct()
    with pytest.raises(ValueError, match="gain: 0, give a finite number above 0"):
        stack.ccd.gain_correct(0)


def test_images_are_calibrated_as_frames_are(files):
    image = xccd.open_image(files / "flat.fits")
    found = image.ccd.subtract_bias(files / "bias.fits")
    np.testing.assert_allclose(found.values, FLAT - BIAS, rtol=1e-6)
    assert found.attrs["BIASCOR"] == found.ccd.header()["BIASCOR"] == "bias.fits"
    assert found.ccd.header().comments["BIASCOR"] == "bias that was subtracted"
    assert found.ccd.subtract_dark(files / "dark.fits", scale=0.5).ccd.header()["DARKCOR"] == "dark.fits"
    ds = image.ccd.to_dataset().ccd.subtract_bias(files / "bias.fits")
    np.testing.assert_array_equal(ds.data.values, found.values)
    xr.testing.assert_identical(found, xccd.subtract_bias(image, files / "bias.fits"))
    frame = lights("dask", files)[0].ccd.subtract_bias(files / "bias.fits")
    assert frame.ccd.header()["BIASCOR"] == "bias.fits"


def test_axes_in_another_order_and_cubes(files):
    stack = lights("numpy", files)
    turned = stack.transpose("y", "x", "frame").ccd.subtract_bias(xccd.open_image(files / "bias.fits").transpose())
    assert turned.dims == ("y", "x", "frame")
    right = stack.ccd.subtract_bias(files / "bias.fits")
    np.testing.assert_array_equal(turned.transpose(*stack.dims).values, right.values)
    cube = xr.DataArray(RNG.normal(0, 1, (2, 3, *SHAPE)), dims=("time", "z", "y", "x"))
    found = cube.ccd.subtract_bias(xr.DataArray(BIAS, dims=("y", "x")), dim="time")
    np.testing.assert_array_equal(found.values, cube.values - BIAS)


# --- what does not fit


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"IMAGETYP": "Light Frame"}, r"bias= \(.*\) is a light, by IMAGETYP = 'Light Frame', not a bias"),
        ({"IMAGETYP": "Dark Frame", "EXPTIME": 60.0}, "is a dark, by IMAGETYP"),
        ({"XBINNING": 2}, "differ in their binning: XBINNING = 1 and 2"),
        ({"BUNIT": "electron"}, r"is in 'electron', the frames in 'adu': gain_correct\(\) makes electrons"),
        ({"BUNIT": "K"}, "is in 'K', the frames in 'adu': convert one of them"),
        ({"ROWORDER": "TOP-DOWN"}, "so one is upside down"),
        ({"LTV2": -1.0}, r"has the pixels 1 to 6 along 'y', the frames 0 to 5"),
    ],
)
def test_a_bias_that_does_not_fit_raises_before_anything_is_read(change, message):
    cards = CARDS | {"XBINNING": 1, "ROWORDER": "BOTTOM-UP"}
    stack = xccd.open_stack([(a, cards) for a in RAW])
    bias = xccd.open_image((BIAS, cards | {"IMAGETYP": "bias"} | change), chunks="auto")
    with pytest.raises(ValueError, match=message):
        stack.ccd.subtract_bias(bias)


def test_a_dark_without_exposure_is_a_bias():
    stack = xccd.open_stack([(a, CARDS) for a in RAW])
    bias = xccd.open_image((BIAS, CARDS | {"IMAGETYP": "DARK", "EXPTIME": 0.0}))
    np.testing.assert_array_equal(stack.ccd.subtract_bias(bias), stack - BIAS)
    wrong = xccd.open_image((BIAS, CARDS))
    with pytest.raises(ValueError, match="assign_attrs"):
        stack.ccd.subtract_bias(wrong)
    np.testing.assert_array_equal(stack.ccd.subtract_bias(wrong.assign_attrs(IMAGETYP="bias")), stack - BIAS)


def test_other_pixels_raise(files):
    stack = lights("dask", files)
    with pytest.raises(ValueError, match=r"bias= \(bias.fits\) has 6 x 8 pixels \(y, x\), the frames 5 x 8 pixels"):
        stack[:, 1:].ccd.subtract_bias(files / "bias.fits")
    bias = xccd.open_image(files / "bias.fits")
    stack[:, 1:].ccd.subtract_bias(bias.sel(y=stack.y[1:]))  # the way out
    with pytest.raises(ValueError, match=r"bias= has 3 frames: give one image, as bias.ccd.combine"):
        stack.ccd.subtract_bias(stack)
    with pytest.raises(ValueError, match=r"bias= has shape \(3,\)"):
        stack.ccd.subtract_bias(np.ones(3))
    with pytest.raises(TypeError, match="bias= is an int: give an image"):
        stack.ccd.subtract_bias(1000)
    with pytest.raises(TypeError, match="has dtype bool"):
        stack.ccd.subtract_bias(np.ones(SHAPE, bool))
    with pytest.raises(OSError, match=r"none\.fits"):
        stack.ccd.subtract_bias(files / "none.fits")


def test_a_master_in_another_unit_is_converted():
    stack = xccd.open_stack([(a, CARDS | {"BUNIT": "mV"}) for a in RAW])
    bias = xr.DataArray(BIAS / 1000, dims=("y", "x"), attrs={"units": "V"})
    np.testing.assert_allclose(stack.ccd.subtract_bias(bias), stack - BIAS, rtol=1e-6)


def test_darks():
    stack = xccd.open_stack([(a, CARDS | {"SET-TEMP": -20.0}) for a in RAW])
    dark = xccd.open_image((DARK, CARDS | {"IMAGETYP": "dark", "EXPTIME": 30.0, "SET-TEMP": -20.4, "BIASCOR": "b"}))
    np.testing.assert_allclose(stack.ccd.subtract_dark(dark), stack - 2 * DARK, rtol=1e-6)
    np.testing.assert_allclose(stack.ccd.subtract_dark(dark, scale=None), stack - DARK, rtol=1e-6)
    with pytest.warns(UserWarning, match="differ: SET-TEMP = -20.0 and -10"):
        stack.ccd.subtract_dark(dark.assign_attrs({"SET-TEMP": -10}))
    with pytest.warns(UserWarning, match="differ: GAIN = 1.5 and 3"):
        stack.ccd.subtract_dark(dark.assign_attrs(GAIN=3.0))
    raw = xccd.open_image((DARK, CARDS | {"IMAGETYP": "dark", "EXPTIME": 30.0}))
    with pytest.warns(UserWarning, match=r"is scaled by 2, and no card \(BIASCOR\)"):
        stack.ccd.subtract_dark(raw)
    stack.ccd.subtract_dark(raw, scale=None)
    with pytest.raises(ValueError, match=r"scale='EXPTIME': dark= .* has no EXPTIME above 0"):
        stack.ccd.subtract_dark(DARK)
    with pytest.raises(ValueError, match=r"scale='EXPTIM' is no coordinate|has no EXPTIM above 0"):
        stack.ccd.subtract_dark(dark, scale="EXPTIM")
    with pytest.raises(ValueError, match=r"scale=\[1, 2\] is no keyword, no number, and no list of 3"):
        stack.ccd.subtract_dark(dark, scale=[1, 2])
    with pytest.raises(ValueError, match="give finite numbers of 0 or more"):
        stack.ccd.subtract_dark(dark, scale=-1)
    none = xccd.open_stack([(a, {}) for a in RAW])
    with pytest.raises(ValueError, match="scale='EXPTIME' is no coordinate"):
        none.ccd.subtract_dark(dark)


def test_flats():
    stack = xccd.open_stack([(a, CARDS) for a in RAW])
    flat = xccd.open_image((FLAT, CARDS | {"IMAGETYP": "flat", "BUNIT": "electron"}))
    assert stack.ccd.flat_correct(flat).attrs["units"] == "adu"
    with pytest.raises(ValueError, match=r"is of the filter 'g', and there are frames of 'r': select frames by filter"):
        stack.ccd.flat_correct(flat.assign_attrs(FILTER="g"))
    with pytest.raises(ValueError, match=r"norm='medain' is unknown.*did you mean 'median'"):
        stack.ccd.flat_correct(flat, norm="medain")
    with pytest.raises(ValueError, match="norm=0 is unknown"):
        stack.ccd.flat_correct(flat, norm=0)
    with pytest.raises(ValueError, match="norm='mean': the level of the flat is -"):
        stack.compute().ccd.flat_correct(-flat)
    with pytest.raises(ValueError, match="BAYERPAT"):
        stack.ccd.flat_correct(flat, norm="cfa")


def test_a_step_that_was_done_before_warns(files):
    stack = lights("dask", files).ccd.subtract_bias(files / "bias.fits")
    with pytest.warns(UserWarning, match=r"subtract_bias: BIASCOR = 'bias.fits' says that this was done before"):
        stack.ccd.subtract_bias(files / "bias.fits")
