"""Offsets of frames from their pixels."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure
from scipy.ndimage import shift

import xccd
from sky import noise

TRUE = np.array([(0, 0), (3, -7), (-12, 5.4), (2.25, 9.5)])


def stars(rotate: float = 0.0) -> xr.DataArray:
    """A field of stars, moved by known offsets."""
    rng = np.random.default_rng(0)
    x, y = rng.uniform(10, 190, (2, 60))
    flux = rng.exponential(3000, 60) + 300
    v, u = np.mgrid[:160, :180]
    images = []
    for i, (dy, dx) in enumerate(TRUE):
        angle = np.deg2rad(rotate * i)
        a = 90 + (x - 90) * np.cos(angle) - (y - 80) * np.sin(angle)
        b = 80 + (x - 90) * np.sin(angle) + (y - 80) * np.cos(angle)
        image = rng.normal(1000, 3, (160, 180))
        for px, py, f in zip(a - dx, b - dy, flux, strict=True):
            image += f * np.exp(-((u - px) ** 2 + (v - py) ** 2) / 5) / (5 * np.pi)
        images.append((image, {}))
    return xccd.open_stack(images)


@pytest.mark.versions
@pytest.mark.parametrize(("method", "within"), [("phase", 0.06), ("stars", 0.12)])
def test_known_offsets_are_found(method, within):
    found = stars().ccd.find_offsets(method)
    assert found.dims == ("frame", "axis")
    np.testing.assert_allclose(found, TRUE, atol=within)
    assert (found.correlation > 0.5).all()
    aligned = stars().ccd.align("intersection", offsets=found)
    np.testing.assert_allclose(aligned.load().std("frame").median(), 2.4, atol=0.6)  # noise, no stars
    second = stars().ccd.find_offsets(method, reference=1)
    np.testing.assert_allclose(second - second[0], TRUE, atol=2 * within)


@pytest.mark.versions
def test_whole_pixels_missing_ones_and_forms():
    holes = stars()
    holes = holes.where(xr.DataArray(np.random.default_rng(1).random((160, 180)) > 0.02, dims=("y", "x")))
    np.testing.assert_allclose(holes.ccd.find_offsets(), TRUE, atol=0.15)
    whole = stars().ccd.find_offsets(precision=1)
    np.testing.assert_array_equal(whole, np.round(whole))
    for other in (stars().load(), stars().chunk(frame=1, y=50), stars().transpose("y", "x", "frame")):
        np.testing.assert_array_equal(other.ccd.find_offsets(), stars().ccd.find_offsets())


def test_an_image_moved_by_scipy():
    scene = np.random.default_rng(0).normal(0, 1, (128, 128))
    scene = shift(scene, 0.0, order=3)
    smooth = np.real(np.fft.ifft2(np.fft.fft2(scene) * (np.hypot(*np.meshgrid(*[np.fft.fftfreq(128)] * 2)) < 0.1)))
    moved = shift(smooth, (-4.3, 2.6), order=3, mode="wrap")
    found = xccd.open_stack([(smooth, {}), (moved, {})]).ccd.find_offsets(precision=50)
    np.testing.assert_allclose(found[1], (4.3, -2.6), atol=0.1)


@pytest.mark.versions
def test_it_can_be_looked_at():
    axes = Figure().add_subplot()
    stars().ccd.find_offsets(plot=axes)
    assert len(axes.texts) == 4
    assert axes.get_xlabel() == "columns"


def test_doubt_and_errors():
    with pytest.warns(
        UserWarning, match=r"find_offsets: frame 1 \(.*\) \(and 1 more\) has a correlation of .* look at it"
    ):
        xccd.open_stack([(image, {}) for image in noise(3)]).ccd.find_offsets()
    with pytest.raises(ValueError, match="method='magic' is unknown: use one of phase, stars"):
        stars().ccd.find_offsets("magic")
    with pytest.raises(ValueError, match="reference=9: the frames are 0 to 3"):
        stars().ccd.find_offsets(reference=9)
    with pytest.raises(ValueError, match="precision=0 is not a whole number from 1 to 1000"):
        stars().ccd.find_offsets(precision=0)
    with pytest.raises(ValueError, match=r"find_offsets takes frames \(frame, y, x\)"):
        xr.DataArray(np.ones((2, 3)), dims=("frame", "x")).ccd.find_offsets()
    empty = stars().load()
    empty[2] = np.nan
    with pytest.raises(ValueError, match=r"frame 2 \(.*\) has no pixels"):
        empty.ccd.find_offsets()
    with pytest.raises(ValueError, match=r"frame 1 \(.*\) is turned by .* degrees and stretched by"):
        stars(rotate=3).ccd.find_offsets("stars")
    with pytest.raises(ValueError, match=r"frame 1 \(.*\): too few stars match"):
        xccd.open_stack([(image, {}) for image in noise(3, (160, 180))]).ccd.find_offsets("stars")
