"""Background matching over the overlaps of aligned frames."""

import numpy as np
import pytest
import xarray as xr

import xccd
from sky import stack_of, tan
from xccd.verbs import overlap_samples

SCENE = 1000 + 100 * np.sin(np.arange(200) / 9) + np.random.default_rng(0).exponential(20, (40, 200))
LEVELS = np.array([0.0, 13.0, -7.0, 40.0])


def mosaic(chunks=None, lazy=True, **options) -> xr.DataArray:
    """Four fields in a row, each overlapping the next by a third only, on different skies."""
    rng = np.random.default_rng(1)
    images = [SCENE[:, 40 * i : 40 * i + 60] + rng.normal(0, 1, (40, 60)) for i in range(4)]
    images = [image + level for image, level in zip(images, LEVELS, strict=True)]
    stack = stack_of(images, [tan((100 - 40 * i, 20)) for i in range(4)], **options)
    aligned = stack.ccd.align()
    return aligned if lazy else aligned.load()


@pytest.mark.parametrize("options", [{}, {"chunks": None}, {"lazy": False}], ids=str)
def test_skies_are_found_along_the_chain(options):
    matched = mosaic(**options).ccd.normalize(zero="overlap")
    np.testing.assert_allclose(matched.zero, LEVELS, atol=0.5)
    off = matched.ccd.combine("mean").values - SCENE[:, :180]
    assert np.std(off) < 1.2 < 10 < np.std(mosaic(**options).ccd.combine("mean").values - SCENE[:, :180])
    to_mean = mosaic(**options).ccd.normalize(zero="overlap", to="mean")
    np.testing.assert_allclose(to_mean.zero, LEVELS - LEVELS.mean(), atol=0.5)


def test_lazy_and_all_kinds_give_the_same_levels(monkeypatch):
    monkeypatch.setattr(overlap_samples, "SAMPLES", 4 * 40 * 180 // 9)
    lazy = mosaic().ccd.normalize(zero="overlap")
    assert hasattr(lazy.zero.data, "dask")
    for other in (mosaic(lazy=False), mosaic(chunks=None), mosaic().chunk(frame=1, y=7, x=50)):
        np.testing.assert_array_equal(other.ccd.normalize(zero="overlap").zero, lazy.zero)
        np.testing.assert_array_equal(other.ccd.normalize(zero="overlap"), lazy)


def test_weights_are_numbers_of_pixels():
    """Three frames that contradict each other: a fit by hand."""
    x = np.full((3, 30, 100), np.nan)
    x[0, :, :60], x[1, :, :40], x[2, :, 20:80] = 0, 5, 11
    x[1, :, 20:40] = 6
    x[0, 0, 25] = np.inf  # is missing
    found = xr.DataArray(x, dims=("frame", "y", "x")).ccd.normalize(zero="overlap").zero.values
    pairs = [(1, 0, 5, 1199), (2, 0, 11, 1199), (2, 1, 5, 600)]
    a = np.zeros((3, 3))
    b = np.zeros(3)
    for i, j, d, n in pairs:
        row = np.zeros(3)
        row[i], row[j] = 1, -1
        a += n * np.outer(row, row)
        b += n * d * row
    expected = np.linalg.lstsq(a[1:, 1:], b[1:], rcond=None)[0]
    np.testing.assert_allclose(found[1:], expected)


def test_errors():
    apart = mosaic(lazy=False).isel(frame=[0, 1, 3])
    with pytest.raises(
        ValueError, match=r"zero='overlap': frame 2 \(.*\) has fewer than 500 good pixels in common with frame 0"
    ):
        apart.ccd.normalize(zero="overlap")
    with pytest.raises(ValueError, match="to=5 with 'overlap': levels of overlaps are relative"):
        mosaic().ccd.normalize(zero="overlap", to=5)
    with pytest.raises(ValueError, match="to=5 with 'plane'"):
        mosaic().ccd.normalize(zero="plane", to=5)
    with pytest.raises(ValueError, match=r"levels are mean, .*, overlap, plane; did you mean"):
        mosaic().ccd.normalize(zero="plain")
    assert xccd.normalize(mosaic().isel(frame=[0]), zero="overlap").zero.values.tolist() == [0]


def test_a_pair_with_few_common_pixels_does_not_count():
    x = np.full((3, 20, 100), np.nan)
    x[0, :, :60], x[1, :, :40], x[2, :, 20:] = 0, 5, 11
    x[1, :, 20:40] = 6  # says 5 for the third frame, by 400 pixels
    x[1, :, :20] = 6
    found = xr.DataArray(x, dims=("frame", "y", "x")).ccd.normalize(zero="overlap").zero.values
    assert found.tolist() == [0, 6, 11]


@pytest.mark.parametrize("dtype", ["u2", "i4", ">f4", "f8"])
@pytest.mark.parametrize("how", [{"zero": "overlap"}, {"zero": "overlap", "degree": 1}, {"zero": "plane"}], ids=str)
def test_any_dtype_and_a_single_frame(dtype, how):
    ramps = xr.DataArray(np.arange(1800).reshape(2, 30, 30).astype(dtype), dims=("frame", "y", "x"))
    np.testing.assert_allclose(ramps.ccd.normalize(**how).zero, [0, 900], atol=1e-9)
    assert ramps[:1].ccd.normalize(**how).zero.values.tolist() == [0]


def test_frames_of_one_number_have_no_overlap():
    with pytest.raises(ValueError, match="frame 1 has fewer than 500 good pixels in common with frame 0"):
        xr.DataArray([1.0, 2.0], dims="frame").ccd.normalize(zero="overlap")
