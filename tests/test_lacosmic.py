"""`reject("lacosmic")`: cosmic rays in each frame by itself."""

import sys

import numpy as np
import pytest
import xarray as xr

import oracles
import xccd
from fits_files import write

DIMS = ("frame", "y", "x")
CAMERA = {"gain": 2.0, "readnoise": 6.0}


@pytest.fixture(scope="module")
def frames():
    """Two frames with stars, sky and cosmic rays; and where these are."""
    rng = np.random.default_rng(5)
    v, u = np.mgrid[:70, :90]
    sky = np.full((2, 70, 90), 300.0)
    for y, x, flux in zip(rng.uniform(5, 65, 12), rng.uniform(5, 85, 12), rng.uniform(3e3, 5e4, 12), strict=True):
        sky += flux / (2 * np.pi * 1.6**2) * np.exp(-((v - y) ** 2 + (u - x) ** 2) / (2 * 1.6**2))
    x = rng.poisson(sky * 2) / 2.0 + rng.normal(0, 3, sky.shape)
    truth = np.zeros(x.shape, bool)
    for k in range(2):
        truth[k, rng.integers(3, 67, 15), rng.integers(3, 87, 15)] = True
    return np.where(truth, x + 1500, x).astype("f4"), truth


def expected(x, gains=(2.0, 2.0), noises=(6.0, 6.0)):
    rest = {"sigclip": 4.5, "sigfrac": 0.3, "objlim": 5.0, "satlevel": 3.4e38, "niter": 4}
    return np.stack([oracles.lacosmic(x[k], gain=gains[k], readnoise=noises[k], **rest) for k in range(2)])


@pytest.mark.versions
@pytest.mark.parametrize("chunks", [None, {"frame": 1}, {"y": 9, "x": 31}])
def test_it_is_astroscrappy_in_each_frame(frames, chunks):
    x, truth = frames
    stack = xr.DataArray(x, dims=DIMS)
    stack = stack.chunk(chunks) if chunks else stack
    clipped = stack.ccd.reject("lacosmic", **CAMERA)
    answer = expected(x)
    np.testing.assert_array_equal(np.isnan(clipped), answer)
    assert (answer & truth).sum() >= 28  # of 30
    flagged = stack.ccd.to_dataset().ccd.reject("lacosmic", **CAMERA)
    np.testing.assert_array_equal(flagged.data_flags, np.where(answer, 32, 0))
    turned = stack.transpose("x", "frame", "y").ccd.reject("lacosmic", **CAMERA)
    np.testing.assert_array_equal(turned.transpose(*DIMS), clipped)


def test_deferred_stacks_and_keywords(frames, tmp_path):
    x, _ = frames
    files = [write(tmp_path / f"{k}.fits", x[k], {"GAIN": 2.0 + k, "RDNOISE": 6.0 - k}) for k in range(2)]
    ds = xccd.open_dataset(files, chunks=None).ccd.reject("lacosmic")
    answer = expected(x, (2.0, 3.0), (6.0, 5.0))
    np.testing.assert_array_equal(ds.data_flags.isel(y=slice(8, 50)), np.where(answer, 32, 0)[:, 8:50])
    np.testing.assert_array_equal(ds.data_flags, np.where(answer, 32, 0))


def test_masked_pixels_are_not_used_and_stay(frames):
    x = frames[0].copy()
    x[0, 20:40, 30:50] = np.nan
    x[1] = np.nan
    clipped = xr.DataArray(x, dims=DIMS).ccd.to_dataset().ccd.reject("lacosmic", **CAMERA)
    flags = clipped.data_flags.values
    assert (flags[0, 20:40, 30:50] == 2).all()
    assert (flags[1] == 2).all()
    assert 20 < (flags[0] == 32).sum() < 150


def test_frames_without_their_sky(frames, caplog):
    x, truth = frames
    stack = xr.DataArray(x - 300, dims=DIMS)
    found = np.isnan(stack.ccd.reject("lacosmic", gain=2.0, readnoise=2.0)).values
    assert caplog.messages[0].startswith("reject('lacosmic'): a frame has a noise of 1")
    assert "Was its sky subtracted? The measured noise is used" in caplog.messages[0]
    assert found.mean() < 0.02
    assert found[truth].mean() > 0.9


def test_on_lazy_input_nothing_is_computed(frames):
    import dask

    def forbidden(*_, **__):
        raise AssertionError("computed")

    with dask.config.set(scheduler=forbidden):
        xr.DataArray(frames[0], dims=DIMS).chunk(y=9).ccd.reject("lacosmic", **CAMERA).ccd.combine("mean")


WRONG = [
    ({"sigclip": 0}, r"sigclip=0 of 'lacosmic' is not a finite number above 0"),
    ({"niter": 1.5}, r"niter=1.5 of 'lacosmic' is not a whole number of 1 or more"),
    ({"low": 3}, r"low=3 is no option of 'lacosmic'"),
    ({"gain": -1}, r"gain=-1 gives -1: a finite number above 0"),
    ({"gain": "GAIM"}, r"gain='GAIM' is no coordinate"),
    ({"sigclp": 5}, r"sigclp=5 is no option of 'lacosmic'.*did you mean 'sigclip'"),
]


@pytest.mark.parametrize(("options", "message"), WRONG)
def test_errors(frames, options, message):
    with pytest.raises(ValueError, match=message):
        xr.DataArray(frames[0], dims=DIMS).ccd.reject("lacosmic", **(CAMERA | options))


def test_an_image_is_needed():
    with pytest.raises(ValueError, match="no dimension 'y': neighbours are along y and x"):
        xr.DataArray(np.ones((3, 4)), dims=("frame", "x")).ccd.reject("lacosmic", **CAMERA)


def test_without_astroscrappy(frames, monkeypatch):
    monkeypatch.setitem(sys.modules, "astroscrappy", None)
    with pytest.raises(ImportError, match=r"pip install 'xccd\[cosmics\]'"):
        xr.DataArray(frames[0], dims=DIMS).ccd.reject("lacosmic", **CAMERA)
