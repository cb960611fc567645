"""Small pictures of samples that float32 does not hold, and titles that are no formula."""

import warnings

import numpy as np
import pytest
import xarray as xr

import xccd  # noqa: F401  (registers .ccd)
from xccd.pictures.card import thumbnail
from xccd.pictures.zscale import as_float32, write_png

SAMPLES = np.random.default_rng(2).normal(100, 10, (20, 20))


@pytest.mark.parametrize("unit", [2.0**400, 2.0**-400, -(2.0**900)])
def test_a_card_shows_numbers_beyond_float32(unit):
    image = xr.DataArray(SAMPLES * unit, dims=("y", "x"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        png, caption = thumbnail(image)
    assert "missing" not in caption
    assert png == thumbnail(xr.DataArray(SAMPLES * np.sign(unit), dims=("y", "x")))[0]


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "u2", "i8", "?"])
def test_usual_numbers_stay_as_they_are(dtype):
    values = SAMPLES.astype(dtype)
    np.testing.assert_array_equal(as_float32(values), values.astype(np.float32))
    hurt = SAMPLES.copy()
    hurt[0, :2] = np.inf, np.nan
    np.testing.assert_array_equal(as_float32(hurt), hurt.astype(np.float32))


def test_dollars_in_a_title_are_letters(tmp_path):
    pytest.importorskip("matplotlib")
    path = write_png(SAMPLES * 1e300, tmp_path / "a.png", "night $x_{$ of \\frac")
    assert path.read_bytes().startswith(b"\x89PNG")


def test_dollars_in_a_unit_are_letters(tmp_path):
    figure = pytest.importorskip("matplotlib.figure").Figure()
    image = xr.DataArray(SAMPLES, dims=("y", "x"), attrs={"units": "adu$_{$"})
    image.ccd.preview(ax=figure.subplots())
    figure.savefig(tmp_path / "a.png")
    assert figure.axes[1].get_ylabel() == "adu$_{$"
