"""`to_dataset(uncertainty="poisson")`: the noise of photons and readout, from the samples and the camera."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd

CARDS = {"GAIN": 1.5, "RDNOISE": 6.0, "BUNIT": "adu", "EXPTIME": 10.0}


def stack(*cards, dtype="float32"):
    rng = np.random.default_rng(0)
    return xccd.open_stack([(rng.integers(-20, 500, (6, 7)).astype(dtype), CARDS | c) for c in cards or ({}, {}, {})])


def model(x, gain, readnoise):
    """Twin, in electrons: the variance of photons is their number."""
    electrons = np.maximum(np.asarray(x, np.float64), 0) * gain
    return np.sqrt(electrons + readnoise**2) / gain


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("chunks", [None, {"frame": 1, "y": 4}, {"y": 2}])
def test_it_is_the_noise_of_electrons(dtype, chunks):
    s = stack({"GAIN": 1.0}, {"GAIN": 2.0}, {"RDNOISE": 0.0}, dtype=dtype)
    s = s.chunk(chunks) if chunks else s.load()
    ds = s.ccd.to_dataset(uncertainty="poisson")
    found = ds.data_uncertainty
    gains, noises = (np.array(v)[:, None, None] for v in ([1.0, 2.0, 1.5], [6.0, 6.0, 0.0]))
    np.testing.assert_allclose(found.values, model(s.values, gains, noises), rtol=1e-6)
    assert found.attrs["uncertainty_type"] == "std"
    assert found.attrs["units"] == "adu"
    assert found.attrs["made_from"] == "samples"
    assert found.dtype == xccd.combine(s).dtype
    assert (found.chunks is None) == (chunks is None)
    xr.testing.assert_identical(ds.data.drop_attrs().compute(), s.drop_attrs().rename("data").compute())


@settings(max_examples=30, deadline=None)
@given(st.floats(0.1, 30), st.floats(0, 50), st.integers(0, 2**32))
def test_numbers(gain, readnoise, seed):
    x = np.random.default_rng(seed).normal(10, 50, (2, 5))
    x[0, 0] = np.nan
    found = xr.DataArray(x, dims=("frame", "x")).ccd.to_dataset(uncertainty="poisson", gain=gain, readnoise=readnoise)
    np.testing.assert_allclose(found.data_uncertainty.values, model(x, gain, readnoise), rtol=1e-12)


def test_monte_carlo():
    """The root of the mean claimed variance is the scatter of simulated samples."""
    rng = np.random.default_rng(2)
    gain, readnoise, level = 2.0, 5.0, 80.0
    x = (rng.poisson(level * gain, 200_000) + rng.normal(0, readnoise, 200_000)) / gain
    ds = xr.DataArray(x, dims="frame").ccd.to_dataset(uncertainty="poisson", gain=gain, readnoise=readnoise)
    assert np.sqrt((ds.data_uncertainty**2).mean().item()) == pytest.approx(x.std(), rel=0.005)


def test_one_image_and_one_number_for_each_frame():
    image = xr.DataArray([[1.0, 4.0]], dims=("y", "x"))
    found = image.ccd.to_dataset(uncertainty="poisson", gain=1, readnoise=0).data_uncertainty
    assert found.values.tolist() == [[1.0, 2.0]]
    two = xr.concat([image, image], "frame").ccd.to_dataset(uncertainty="poisson", gain=[1, 4], readnoise=[0, 0])
    assert two.data_uncertainty.values.tolist() == [[[1.0, 2.0]], [[0.5, 1.0]]]


def test_bits_choose_planes_of_the_mask():
    s = xr.DataArray([[1.0, 2.0, 3.0, 4.0]], dims=("frame", "x"))
    quality = np.array([[0, 1, 2, 6]], "int16")
    assert s.ccd.to_dataset(mask=quality).data_flags.values.tolist() == [[0, 1, 1, 1]]
    assert s.ccd.to_dataset(mask=quality, bits=[4]).data_flags.values.tolist() == [[0, 0, 0, 1]]
    assert s.chunk(x=2).ccd.to_dataset(mask=quality, bits=3).data_flags.values.tolist() == [[0, 1, 1, 1]]


WRONG = [
    ({"gain": 2}, ValueError, r"gain= and readnoise= go with uncertainty='poisson'"),
    ({"uncertainty": "poison"}, ValueError, r"uncertainty='poison' is unknown.*did you mean 'poisson'"),
    ({"uncertainty": "poisson", "gain": 0}, ValueError, r"gain: 0, give a finite number above 0"),
    ({"uncertainty": "poisson", "gain": [1, 2]}, ValueError, r"gain has shape \(2,\): .* one for each of 3 frames"),
    ({"uncertainty": "poisson", "gain": [1, np.nan, 2]}, ValueError, r"gain: .* has nan, give a finite number above 0"),
    ({"uncertainty": "poisson", "readnoise": -1}, ValueError, r"readnoise: -1, give a finite number 0 or more"),
    ({"uncertainty": "poisson", "readnoise": "RON"}, ValueError, r"readnoise='RON' is no coordinate"),
    ({"uncertainty": "poisson", "gain": None, "readnoise": [[1]]}, ValueError, r"readnoise has shape \(1, 1\)"),
    ({"uncertainty": "poisson", "gain": True}, TypeError, r"gain=True is neither a number"),
    ({"bits": [1]}, ValueError, r"bits=\[1\] are those of a mask: give mask= too"),
    ({"bits": [1], "mask": np.zeros((6, 7), bool)}, TypeError, r"mask= holds booleans, which have no bits"),
]


@pytest.mark.parametrize(("arguments", "kind", "message"), WRONG)
def test_errors(arguments, kind, message):
    with pytest.raises(kind, match=message):
        stack().ccd.to_dataset(**arguments)


def test_a_gain_that_does_not_apply_is_refused():
    ask = {"uncertainty": "poisson"}
    for unit, said in (("electron", "their gain is 1, not 'GAIN'"), ("adu/s", "says nothing of data in 'adu/s'")):
        with pytest.raises(ValueError, match=said):
            stack().assign_attrs(units=unit).ccd.to_dataset(**ask)
    electrons = stack().assign_attrs(units="electron").ccd.to_dataset(**ask, gain=1, readnoise=2)
    assert electrons.data_uncertainty.attrs["units"] == "electron"
    with pytest.raises(ValueError, match=r"has GAIN = 139, which may be a setting of the camera: give electrons"):
        stack({"GAIN": 139.0}, {}).ccd.to_dataset(**ask)
    assert stack({"GAIN": 300, "EGAIN": 25.0}, {"EGAIN": 25.0}).ccd.to_dataset(**ask).data_uncertainty.notnull().all()
    scaled = (stack() + 50.0).assign_attrs(units="adu").ccd.normalize(scale="median")
    with pytest.raises(ValueError, match="these samples are scaled"):
        scaled.ccd.to_dataset(**ask)
    with pytest.raises(ValueError, match=r"gain='GAIN': a single image is given a number"):
        stack()[0].drop_vars("frame", errors="ignore").ccd.to_dataset(**ask)
