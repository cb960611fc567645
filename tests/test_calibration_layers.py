"""Steps of a calibration as one layer: from stored samples of every kind, and never from an array that was changed."""

import numpy as np
import pytest
import xarray as xr
from astropy.io import fits

import xccd
from xccd.compute import tile
from xccd.labels.lazy import array_of

RNG = np.random.default_rng(9)
SHAPE = (7, 9)
BIAS = RNG.normal(10, 1, SHAPE).astype("f4")
FLAT = RNG.uniform(0.9, 1.1, SHAPE).astype("f4")


def stack(folder, dtype, chunks):
    for i in range(3):
        values = RNG.normal(100, 5, SHAPE)
        fits.PrimaryHDU(values.astype(dtype)).writeto(folder / f"{i}.fits", overwrite=True)
    return xccd.open_stack(folder / "*.fits", chunks=chunks)


def three(x, bias=BIAS):
    return x.ccd.subtract_bias(bias).ccd.flat_correct(FLAT, norm=None).ccd.gain_correct(2.0)


def by_hand(values, dtype):
    x = values.astype(dtype) - BIAS.astype(dtype)
    return x / FLAT.astype(dtype) * np.array(2, dtype)


@pytest.mark.parametrize("chunks", [None, "auto", {"frame": 1, "y": 3}])
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "uint32", "float32", "float64"])
def test_stored_samples_of_every_kind(tmp_path, dtype, chunks):
    raw = stack(tmp_path, dtype, chunks)
    found = three(raw)
    expected = by_hand(raw.values, found.dtype)
    assert found.dtype == ("float64" if dtype in ("int32", "uint32", "float64") else "float32")
    np.testing.assert_array_equal(found.values, expected)
    np.testing.assert_array_equal(three(raw.compute()).values, expected)


@pytest.mark.filterwarnings("ignore:dark= .* is scaled")
@pytest.mark.parametrize("height", [1, 2, 3, 100])
def test_tiles_of_any_height(tmp_path, monkeypatch, height):
    monkeypatch.setattr(tile, "TILE_BYTES", height * 512 * 12)
    raw = stack(tmp_path, "uint16", None)
    np.testing.assert_array_equal(three(raw).values, by_hand(raw.values, np.float32))
    many = raw.ccd.subtract_dark(BIAS, scale=[0.0, 1.0, 2.0])
    factors = np.arange(3, dtype="f4")[:, None, None]
    np.testing.assert_array_equal(many.values, raw.values - BIAS * factors)


@pytest.mark.parametrize("chunks", [None, "auto"])
def test_a_chain_is_one_layer(tmp_path, chunks):
    made = array_of(three(stack(tmp_path, "uint16", chunks)))
    if chunks is None:
        assert len(made.inputs) == 1 + 2 + 2 + 1
    else:
        assert sum("_run" in name for name in made.dask.layers) == 1


@pytest.mark.parametrize("chunks", [None, "auto"])
def test_what_is_changed_in_between_counts(tmp_path, chunks):
    raw = stack(tmp_path, "uint16", chunks)
    first = raw.ccd.subtract_bias(BIAS)
    expected = first.values.copy()
    first[0, 0, 0] = 7.0
    expected[0, 0, 0] = 7.0
    np.testing.assert_array_equal(first.ccd.gain_correct(2.0).values, expected * np.float32(2))
    added = raw.ccd.subtract_bias(BIAS) + 1.0
    np.testing.assert_array_equal(added.ccd.gain_correct(2.0).values, (raw.values - BIAS + 1) * 2)
    part = raw.ccd.subtract_bias(BIAS)[1:, 2:, 3:]
    np.testing.assert_array_equal(part.ccd.gain_correct(2.0).values, (raw.values - BIAS)[1:, 2:, 3:] * 2)


@pytest.mark.parametrize("chunks", [None, "auto"])
def test_masters_count_as_they_were(tmp_path, chunks):
    raw, bias = stack(tmp_path, "uint16", chunks), BIAS.copy()
    found = three(raw, bias)
    bias += 100
    np.testing.assert_array_equal(found.values, by_hand(raw.values, np.float32))


@pytest.mark.parametrize("chunks", [None, "auto"])
def test_a_clip_before_counts(tmp_path, chunks):
    raw = stack(tmp_path, "uint16", chunks)
    clipped = raw.ccd.clip_extrema(0, 1)
    found = three(clipped)
    np.testing.assert_array_equal(found.values, by_hand(clipped.values, np.float32))
    after = three(raw).ccd.clip_extrema(0, 1).ccd.combine("mean")
    xr.testing.assert_equal(after.compute(), three(raw.compute()).ccd.clip_extrema(0, 1).ccd.combine("mean"))
