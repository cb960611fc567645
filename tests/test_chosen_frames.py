"""Calibrated stacks without dask (chunks=None): of chosen frames only their files are read, and values are the same."""

import numpy as np
import pytest
import xarray as xr

import xccd
from fits_files import write
from xccd.compute.deferred import BySample, Deferred
from xccd.read.images.pixels import FilePixels

N, SHAPE = 6, (12, 10)
RNG = np.random.default_rng(3)
BIAS, DARK = RNG.normal(1000, 4, SHAPE), RNG.normal(9, 1, SHAPE)
FLAT = RNG.normal(1, 0.02, SHAPE)
BIAS[0, 0], FLAT[2, 3] = np.nan, 0


def dark():
    return xr.DataArray(DARK, dims=("y", "x"), attrs={"BIASCOR": "bias.fits", "EXPTIME": 60.0})


STEPS = {
    "bias": lambda s: s.ccd.subtract_bias(BIAS),
    "bias, dark, flat": lambda s: s.ccd.subtract_bias(BIAS).ccd.subtract_dark(dark()).ccd.flat_correct(FLAT),
    "saturated": lambda s: s.ccd.subtract_bias(BIAS, saturation=[1900.0 + i for i in range(N)]),
    "overscan, trim, gain": lambda s: (
        s.ccd.subtract_overscan("[9:10,1:12]").ccd.trim("[1:8,*]").ccd.gain_correct("EGAIN")
    ),
    "one gain for each frame": lambda s: s.ccd.gain_correct([1.0 + i for i in range(N)]),
    "a part, bias of it": lambda s: s[:, 2:8, 1:].ccd.subtract_bias(BIAS[2:8, 1:]),
    "frames in another order": lambda s: s[[4, 2, 0, 1, 5, 3]].ccd.subtract_bias(BIAS)[[2, 1, 0, 3, 5, 4]],
    "colours": lambda s: s.ccd.subtract_bias(BIAS).ccd.debayer("bilinear", pattern="RGGB"),
}
KEYS = [3, -1, slice(1, 3), [5, 0], [2, 2], np.arange(N) % 3 == 0]


@pytest.fixture
def files(tmp_path):
    frames = RNG.normal(1500, 200, (N, *SHAPE)).astype("uint16")
    cards = {"BUNIT": "adu", "EXPTIME": 60.0}
    return [write(tmp_path / f"{i}.fits", f, {**cards, "EGAIN": 1.5 + i}) for i, f in enumerate(frames)]


@pytest.fixture
def reads(monkeypatch):
    seen = []
    real = FilePixels.read
    monkeypatch.setattr(FilePixels, "read", lambda self, *a: seen.append(self.path) or real(self, *a))
    return seen


@pytest.mark.parametrize("key", KEYS, ids=str)
@pytest.mark.parametrize("steps", STEPS)
def test_of_chosen_frames_only_their_files_are_read(files, reads, steps, key):
    with xccd.set_options(threads=1):
        whole = STEPS[steps](xccd.open_stack(files, chunks=None)).compute()
        made = STEPS[steps](xccd.open_stack(files, chunks=None))
        reads.clear()
        part = made.isel(frame=key)
        assert not reads
        xr.testing.assert_identical(part.load(), whole.isel(frame=key))
    order = [4, 2, 0, 1, 5, 3] if "order" in steps else range(N)
    back = [2, 1, 0, 3, 5, 4] if "order" in steps else range(N)
    numbers = np.atleast_1d(np.array(order)[np.array(back)][key])
    assert sorted(set(reads)) == sorted({str(files[i]) for i in numbers})


def test_the_next_verb_reads_the_chosen_files_only(files, reads):
    with xccd.set_options(threads=1):
        made = STEPS["bias, dark, flat"](xccd.open_stack(files, chunks=None))
        image = made[2:5].ccd.sigma_clip(1, 1).ccd.combine("mean")
        assert not reads
        image.load()
    assert sorted(reads) == [str(file) for file in files[2:5]]
    expected = STEPS["bias, dark, flat"](xccd.open_stack(files))[2:5].ccd.sigma_clip(1, 1).ccd.combine("mean")
    np.testing.assert_array_equal(image.values, expected.values)


@pytest.mark.parametrize("key", KEYS, ids=str)
def test_flags_and_errors_of_chosen_frames(files, reads, key):
    def made(**options):
        ds = xccd.open_stack(files, **options).ccd.to_dataset(uncertainty="poisson", gain=2, readnoise=5)
        dark = xr.DataArray(DARK, dims=("y", "x"), name="data", attrs={"BIASCOR": "bias.fits", "EXPTIME": 60.0})
        dark = dark.ccd.to_dataset(uncertainty=np.full(SHAPE, 3.0))
        return ds.ccd.subtract_bias(BIAS).ccd.subtract_dark(dark, scale=2).ccd.flat_correct(FLAT)

    with xccd.set_options(threads=1):
        whole, ds = made(chunks=None).compute(), made(chunks=None)
        assert {"data_uncertainty", "data_flags", "data_common"} <= set(ds.data_vars)
        for name in ds.data_vars:
            reads.clear()
            found = ds[name].isel(frame=key).load()
            np.testing.assert_array_equal(found.values, whole[name].isel(frame=key).values)
            assert set(reads) == {str(file) for file in np.array(files, object)[np.atleast_1d(np.arange(N)[key])]}


def test_a_clip_needs_the_other_frames(files, reads):
    with xccd.set_options(threads=1):
        clipped = STEPS["bias"](xccd.open_stack(files, chunks=None)).ccd.sigma_clip(1, 1)
        found = clipped.ccd.gain_correct(2)[3].load()
    assert sorted(set(reads)) == [str(file) for file in files]
    assert np.isnan(found.values).sum() > 1


def test_common_inputs_stay_common():
    """What two inputs are made of is computed once, for chosen frames, too."""
    calls = []

    def counted(x):
        calls.append(x.shape)
        return x + 1

    x = np.arange(24.0).reshape(4, 3, 2)
    one = BySample(counted, [x], x.shape, x.dtype)
    two = BySample(np.negative, [one], x.shape, x.dtype)
    both = BySample(np.add, [one, two], x.shape, x.dtype)
    np.testing.assert_array_equal(both.select(([1, 3], slice(None), slice(None))), np.zeros((2, 3, 2)))
    assert calls == [(2, 3, 2)]
    image = BySample(np.add, [x[0], x[1]], x.shape[1:], x.dtype, frames=False)
    assert image.of_frames(np.array([0]), {}) is None
    assert Deferred(np.add, [one, image], x.shape, x.dtype).of_frames(np.array([0]), {}) is None
    np.testing.assert_array_equal(
        BySample(np.add, [one, image], x.shape, x.dtype).select((2, slice(None), slice(None))), x[2] + 1 + x[0] + x[1]
    )
