"""Background matching over the overlaps of aligned frames."""

import numpy as np
import pytest
import xarray as xr

import xccd
from sky import stack_of, tan
from xccd.verbs import levels

SCENE = 1000 + 100 * np.sin(np.arange(200) / 9) + np.random.default_rng(0).exponential(20, (40, 200))
LEVELS = np.array([0.0, 13.0, -7.0, 40.0])


def mosaic(chunks=None, lazy=True, factor: np.ndarray | float = 1.0, **options) -> xr.DataArray:
    """Four fields in a row, each overlapping the next by a third only, on different skies."""
    rng = np.random.default_rng(1)
    images = [SCENE[:, 40 * i : 40 * i + 60] + rng.normal(0, 1, (40, 60)) for i in range(4)]
    images = [(image + level) * f for image, level, f in zip(images, LEVELS, np.broadcast_to(factor, 4), strict=True)]
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


def test_factors_are_found_too():
    factors = np.array([1, 1.2, 0.7, 3.0])
    matched = (mosaic(factor=factors) - 0).ccd.normalize(scale="overlap")
    sky = np.array([0.0, 13, -7, 40])
    expected = np.cumprod([1, *(factors[1:] / factors[:-1])])
    np.testing.assert_allclose(1 / matched.scale, expected * (1 + (sky - sky[0]) / 1020), rtol=0.01)


def test_lazy_and_all_kinds_give_the_same_levels(monkeypatch):
    monkeypatch.setattr(levels, "SAMPLES", 4 * 40 * 180 // 9)
    lazy = mosaic().ccd.normalize(zero="overlap")
    assert hasattr(lazy.zero.data, "dask")
    for other in (mosaic(lazy=False), mosaic(chunks=None), mosaic().chunk(frame=1, y=7, x=50)):
        np.testing.assert_array_equal(other.ccd.normalize(zero="overlap").zero, lazy.zero)
        np.testing.assert_array_equal(other.ccd.normalize(zero="overlap"), lazy)


def test_weights_are_numbers_of_pixels():
    """Three frames that contradict each other: a fit by hand."""
    x = np.full((3, 1, 100), np.nan)
    x[0, 0, :60], x[1, 0, :40], x[2, 0, 20:80] = 0, 5, 11
    x[1, 0, 20:40] = 6
    found = xr.DataArray(x, dims=("frame", "y", "x")).ccd.normalize(zero="overlap").zero.values
    pairs = [(1, 0, np.median(x[1, 0, :40]), 40), (2, 0, 11, 40), (2, 1, 5, 20)]
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
        ValueError, match=r"zero='overlap': frame 2 \(.*\) has fewer than 10 good pixels in common with frame 0"
    ):
        apart.ccd.normalize(zero="overlap")
    with pytest.raises(ValueError, match=r"scale='overlap': .* pixels above 0 in common"):
        (mosaic(lazy=False) * -1).ccd.normalize(scale="overlap")
    with pytest.raises(ValueError, match="to=5 with 'overlap': levels of overlaps are relative"):
        mosaic().ccd.normalize(zero="overlap", to=5)
    with pytest.raises(ValueError, match="normalise one after the other"):
        mosaic().ccd.normalize(zero="overlap", scale="overlap")
    assert xccd.normalize(mosaic().isel(frame=[0]), zero="overlap").zero.values.tolist() == [0]
