"""Saturated samples, and maps of bad pixels."""

import numpy as np
import pytest
import xarray as xr

import xccd

RNG = np.random.default_rng(6)
CARDS = {"SATURATE": 60000.0, "BIASSEC": "[3:4,1:1]"}
RAW = np.array([[59999, 60000, 65535, 100]], "uint16")
BIAS = np.full((1, 4), 1000.0)


def stack(chunks="auto", *cards):
    return xccd.open_stack([(RAW, CARDS | c) for c in cards or ({}, {})], chunks=chunks)


@pytest.mark.parametrize("chunks", [None, "auto", {"frame": 1}])
@pytest.mark.parametrize("saturation", ["SATURATE", 60000, [60000, 60000.0]])
def test_saturated_samples_are_out(chunks, saturation):
    found = stack(chunks).ccd.subtract_bias(BIAS, saturation=saturation)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found.values[1], [[58999, np.nan, np.nan, -900]])
    assert "saturation=" in found.attrs["history"]
    ds = stack(chunks).ccd.to_dataset().ccd.subtract_bias(BIAS, saturation=saturation)
    assert ds.data_flags.values[0].tolist() == [[0, 8, 8, 0]]
    assert ds.data.values[0].tolist() == [[58999.0, 59000.0, 64535.0, -900.0]]
    kept = ds.data_flags.attrs["saturation"]
    assert kept == ("SATURATE" if saturation == "SATURATE" else np.atleast_1d(saturation).tolist())
    assert ds.ccd.combine("mean").data_count.values.tolist() == [[2, 0, 0, 2]]


def test_frames_may_have_limits_of_their_own():
    found = stack("auto", {}, {"SATURATE": 7e4}).ccd.subtract_bias(BIAS, saturation="SATURATE")
    assert found.isnull().values.tolist() == [[[False, True, True, False]], [[False] * 4]]


def test_the_limit_is_of_samples_as_read():
    ready = stack().ccd.subtract_overscan(slice(3, 4), saturation="SATURATE")
    assert ready.isnull().values[0].tolist() == [[False, True, True, False]]
    with pytest.raises(ValueError, match="is a limit of samples as read, and OSCANSEC says that these are calibrated"):
        ready.ccd.subtract_bias(BIAS, saturation="SATURATE")
    with pytest.raises(ValueError, match=r"saturation='SATURATED' is no coordinate.*did you mean 'SATURATE'"):
        stack().ccd.subtract_bias(BIAS, saturation="SATURATED")
    with pytest.raises(ValueError, match="saturation: 0, give a finite number above 0"):
        stack().ccd.subtract_bias(BIAS, saturation=0)


def frames(n=7, level=100.0, scatter=2.0, shape=(70, 90)):
    slope = 1 + np.linspace(0, 0.3, shape[1])
    return xr.DataArray(RNG.normal(level * slope, scatter, (n, *shape)), dims=("frame", "y", "x"))


def test_hot_dead_odd_and_missing_pixels():
    darks, flats = frames(), frames(5, 20000.0, 140.0)
    darks[:, 3, 4] += 40
    darks[::2, 50, 60] += 60
    darks[:, 69, 0] = np.nan
    flats[:, 10, 20] *= 0.5
    flats[:, 30, 89] *= 1.4
    bad = xccd.make_bad_pixel_map(darks, flats)
    places = {tuple(p): int(bad.values[tuple(p)]) for p in np.argwhere(bad.values).tolist()}
    assert places == {(3, 4): 1, (50, 60): 5, (69, 0): 8, (10, 20): 2, (30, 89): 2}
    lights = frames(3)
    assert int(lights.ccd.mask_where(bad).isnull().sum()) == 15
    assert int(lights.ccd.mask_where(bad, bits=[2]).isnull().sum()) == 6


def test_noise_alone_makes_no_bad_pixel_and_flats_need_no_common_level():
    flats = frames(6, 20000.0, 140.0) * xr.DataArray([1.0, 0.5, 2.0, 1.5, 0.7, 1.1], dims="frame")
    assert not xccd.make_bad_pixel_map(frames(9), flats).any()
    whole = xccd.make_bad_pixel_map(np.round(frames(9, scatter=0.8)))  # of whole counts
    assert not whole.any()


def test_single_images_datasets_and_pixel_numbers():
    values = frames(1)[0].values.copy()
    values[5, 5] = 400
    image = xccd.open_image((values, {"LTV1": -7.0}))
    bad = xccd.make_bad_pixel_map(image)
    assert np.argwhere(bad.values).tolist() == [[5, 5]]
    assert bad.x.values[0] == 7
    again = xccd.make_bad_pixel_map(image.ccd.to_dataset())
    xr.testing.assert_identical(again, bad)
    lazy = xccd.make_bad_pixel_map(xccd.open_stack([(values, {})] * 3, chunks={"y": 20}))
    np.testing.assert_array_equal(lazy.values & 1, bad.values)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: xccd.make_bad_pixel_map(), ValueError, "give darks=, flats= or both"),
        (lambda: xccd.make_bad_pixel_map([1]), TypeError, "darks= is a list: give a DataArray or a Dataset"),
        (lambda: xccd.make_bad_pixel_map(frames(2)[:, 0]), ValueError, "darks= has .*: give frames"),
        (lambda: xccd.make_bad_pixel_map(frames(2), sigma=0), ValueError, "sigma=0 is no finite number above 0"),
        (lambda: xccd.make_bad_pixel_map(frames(2), frames(2)[:, 1:]), ValueError, "cut both alike"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call()
