"""Planes of frames against moonlight: of mosaics by their overlaps, of one field against its median."""

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from mosaic_fields import Field, blocks, tiles

SLOPES = np.array([(0, 0), (60, -40), (-50, 30), (20, 60), (-30, -30), (10, 50)], float)
SKIES = np.array([300.0, 500, 120, 250, 410, 90])


def planes(shape: tuple[int, int], values: np.ndarray) -> xr.DataArray:
    """Planes (frame, y, x) from levels at pixel 0 and slopes by row and column."""
    y, x = (xr.DataArray(np.arange(n), dims=d) for n, d in zip(shape, "yx", strict=True))
    level, by_row, by_column = (xr.DataArray(v, dims="frame") for v in values.T)
    return level + by_row * y + by_column * x


def subtracted(level: xr.DataArray) -> xr.DataArray:
    """What the labels say was subtracted."""
    return level.zero + level.zero_y * level.y + level.zero_x * level.x


@pytest.fixture(scope="module")
def field() -> Field:
    return Field.random((300, 300), 60, seed=2)


@pytest.fixture(scope="module")
def dithers(field: Field) -> xr.DataArray:
    """One field six times under the moon."""
    stack = tiles(field, (1, 6), (300, 300), skies=SKIES, slopes=SLOPES)
    return stack.ccd.align(field.grid).load()


def test_a_mosaic_under_the_moon() -> None:
    wide = Field.random((420, 700), 250, seed=4)
    stack = tiles(wide, (2, 3), (260, 290), angle=2, skies=SKIES, slopes=SLOPES).ccd.align(wide.grid).load()
    free = wide.empty()
    steps = blocks(stack.ccd.normalize(zero="overlap").ccd.combine("mean").values, free)
    level = stack.ccd.normalize(zero="overlap", degree=1)
    left = blocks(level.ccd.combine("mean").values, free)
    assert np.std(left) < 0.4 < 8 < np.std(steps)
    exact = stack * level.scale - subtracted(level)
    np.testing.assert_allclose(exact, level, atol=1e-9)
    assert (level.zero_y[0], level.zero_x[0], level.zero[0]) == (0, 0, 0)  # the first frame stays


@pytest.mark.parametrize("to", ["first", "mean"])
def test_one_field_against_its_first_frame_or_its_median(dithers: xr.DataArray, field: Field, to: str) -> None:
    level = dithers.ccd.normalize(zero="plane", to=to)
    apart = (level - level.median("frame")).values
    worst = [np.abs(blocks(frame, field.empty(), 50)).max() for frame in apart]
    assert max(worst) < 1
    np.testing.assert_allclose(level.median(("y", "x")), level.median(("y", "x")).mean(), atol=0.2)
    np.testing.assert_allclose(dithers * level.scale - subtracted(level), level, atol=1e-9)
    if to == "first":
        np.testing.assert_array_equal(level[0], dithers[0])
    else:  # on the mean plane of all
        mean = (dithers - level).mean(("frame", "y", "x"))
        assert abs(float(mean)) < 0.5


def test_with_gains_and_all_the_light_that_is_the_sky(field: Field) -> None:
    """Exposures that differ: the factors come first, then the planes of what they give."""
    gains = np.array([1, 0.5, 2, 1, 3, 1.0])
    stack = tiles(field, (1, 6), (300, 300), gains=gains, skies=SKIES, slopes=SLOPES).ccd.align(field.grid).load()
    for scale in (gains, "overlap"):
        level = stack.ccd.normalize(scale=scale, zero="plane", to="mean")
        np.testing.assert_allclose(level.scale / level.scale[0], 1 / gains, rtol=0.02)
        apart = (level - level.median("frame")).values
        assert max(np.abs(blocks(frame, field.empty(), 50)).max() for frame in apart) < 2


def test_what_bends_stays_and_the_gradient_of_the_reference(field: Field, dithers: xr.DataArray) -> None:
    bowl = 40 * ((dithers.y - 150) / 150) ** 2 + 30 * (dithers.x - 150) / 150
    level = (dithers + bowl).ccd.normalize(zero="plane")
    alone = dithers.ccd.normalize(zero="plane")
    assert float(abs(level - alone - bowl).max()) < 0.2


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(-99, 99), st.integers(-9, 9), st.integers(-9, 9)), min_size=2, max_size=5))
def test_planes_without_noise_are_found_exactly(given_planes: list[tuple[int, int, int]]) -> None:
    values = np.array(given_planes, float) / [1, 10, 10]
    scene = xr.DataArray(np.random.default_rng(0).normal(0, 3, (60, 70)), dims=("y", "x"))
    stack = (scene + planes((60, 70), values)).transpose("frame", "y", "x")
    for how in ({"zero": "plane"}, {"zero": "overlap", "degree": 1}):
        level = stack.ccd.normalize(**how)
        np.testing.assert_allclose(level, (scene + planes((60, 70), values[:1])[0]).broadcast_like(stack), atol=1e-8)
        found = np.stack([level.zero, level.zero_y, level.zero_x], -1)
        np.testing.assert_allclose(found, values - values[0], atol=1e-8)


def test_labels_regions_and_crops(dithers: xr.DataArray) -> None:
    """Slopes count from the pixel numbers, whatever part was measured or cut."""
    whole = dithers.ccd.normalize(zero="plane")
    assert {"zero", "zero_y", "zero_x"} <= set(whole.coords)
    region = (slice(20, 280), slice(10, 290))
    part = dithers.ccd.normalize(zero="plane", region=region)
    np.testing.assert_allclose(part, whole, atol=0.5)
    bare = dithers.drop_vars(["y", "x"]).ccd.normalize(zero="plane", region=region)
    np.testing.assert_array_equal(bare, part)
    cut = dithers[:, 30:, 40:].ccd.normalize(zero="plane")
    np.testing.assert_allclose(cut, whole[:, 30:, 40:], atol=0.5)
    np.testing.assert_allclose(cut.zero, whole.zero, atol=1.5)
    again = whole.ccd.normalize(scale=[1, 2, 1, 1, 1, 1.0], zero="plane")
    np.testing.assert_allclose(dithers * again.scale - subtracted(again), again, atol=1e-9)
    shifted = whole.ccd.normalize(zero="median", to=0)
    np.testing.assert_allclose(dithers * shifted.scale - subtracted(shifted), shifted, atol=1e-9)
    other = dithers.rename(frame="time").ccd.normalize(zero="plane", dim="time")
    np.testing.assert_array_equal(other, whole)
    turned = dithers.transpose("y", "x", "frame").ccd.normalize(zero="plane")
    np.testing.assert_array_equal(turned.transpose("frame", "y", "x"), whole)
    across = dithers.transpose("frame", "x", "y").ccd.normalize(zero="plane")
    np.testing.assert_allclose(across.transpose("frame", "y", "x"), whole, atol=1e-6)
    np.testing.assert_allclose(across.zero_y, whole.zero_y, atol=1e-8)
    assert (
        "normalize(zero='overlap', to='first', degree=1)"
        in dithers.ccd.normalize(zero="overlap", degree=1).attrs["history"]
    )


@pytest.mark.parametrize("chunks", [{"y": 77}, {"frame": 2}])
def test_lazy_planes(dithers: xr.DataArray, chunks: dict) -> None:
    lazy = dithers.copy(data=dithers.variable.chunk(chunks).data)
    for to in ("first", "mean"):
        level = lazy.ccd.normalize(zero="plane", to=to)
        assert hasattr(level.data, "dask")
        np.testing.assert_array_equal(level, dithers.ccd.normalize(zero="plane", to=to))


def test_a_plane_that_overlaps_tell_badly() -> None:
    """Four frames in a row that share narrow strips: each slope adds the error of the one before."""
    wide = Field.random((200, 750), 60, seed=4)
    stack = tiles(wide, (1, 4), (200, 200), seed=3).ccd.align(wide.grid).load()
    with pytest.warns(UserWarning, match=r"degree=1: the plane of frame 3 .* is uncertain by \S+ at a corner"):
        stack.ccd.normalize(zero="overlap", degree=1)
    line = np.full((2, 40, 61), np.nan)
    line[0, :, :31], line[1, :, 30:] = 0, 0
    row = xr.DataArray(np.repeat(line, 20, axis=1), dims=("frame", "y", "x"))
    with pytest.raises(ValueError, match=r"degree=1: the overlaps of frame 1 are too few or too narrow to tell"):
        row.ccd.normalize(zero="overlap", degree=1)


def test_wrong_arguments(dithers: xr.DataArray) -> None:
    for degree in (2, -1, True, 0.5, "1", None):
        with pytest.raises(ValueError, match=r"degree=.* is neither 0, a level for each frame, nor 1, a plane"):
            dithers.ccd.normalize(zero="overlap", degree=degree)
    for how in ({"zero": "median"}, {"scale": "overlap"}):
        with pytest.raises(ValueError, match=r"degree=1 with zero=.*: planes go with zero='overlap' or zero="):
            dithers.ccd.normalize(**how, degree=1)
    with pytest.raises(
        ValueError, match=r"a plane is of images \(frame, y, x\), this stack has .*: cubes need the dim"
    ):
        dithers[:, 0].ccd.normalize(zero="plane")
    away = dithers.copy(data=dithers.values.copy())
    away[2] = np.nan
    with pytest.raises(ValueError, match=r"zero='plane': frame 2 \(frame-3\) has too few good pixels in common"):
        away.ccd.normalize(zero="plane")
    with pytest.raises(ValueError, match=r"scale: frame 1 \(frame-2\) has the level -1.0, which must be a positive"):
        dithers.ccd.normalize(scale=[1, -1, 1, 1, 1, 1.0], zero="plane")
    ds = xr.Dataset({"data": dithers})
    np.testing.assert_array_equal(ds.ccd.normalize(zero="plane").data, xccd.normalize(dithers, zero="plane"))
