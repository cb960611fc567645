"""Gains from the fluxes of sources in overlaps: synthetic skies with a known truth, and SciPy's labels as an oracle."""

import dask
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage

from mosaic_fields import Field, blocks, tiles
from xccd.verbs.local_sky import above_sky
from xccd.verbs.overlap_gains import _weighted_median, connected, widened
from xccd.verbs.overlap_samples import groups, overlapping, some_of

SIZE = (300, 300)
GAINS = np.array([1.0, 2.0, 0.5, 1.1])
SKIES = np.array([1000.0, 900.0, 200.0, 80.0])


@pytest.fixture(scope="module")
def row() -> Field:
    return Field.random((300, 660), 170, seed=1, fluxes=(2000, 5e4))


def never(*args, **kwargs):
    """A dask scheduler for what must stay lazy."""
    raise AssertionError("computed early")


@pytest.fixture(scope="module")
def four(row: Field) -> xr.DataArray:
    return tiles(row, (1, 4), SIZE, gains=GAINS, skies=SKIES).ccd.align(row.grid).load()


def gain_of(frame: xr.DataArray) -> float:
    return float(frame["gain"])


@pytest.mark.parametrize(
    ("fwhm", "limit"),
    [((3.0, 3.6), np.inf), ((3.0,), 2500.0), ((3.0, 3.6), 2500.0)],
    ids=["seeing differs by 20 %", "saturated", "both"],
)
def test_gains_and_skies(row: Field, fwhm: tuple[float, ...], limit: float) -> None:
    stack = tiles(row, (1, 4), SIZE, gains=GAINS, skies=SKIES, fwhm=fwhm, limit=limit)
    level = stack.ccd.align(row.grid).ccd.normalize(scale="overlap", zero="overlap").compute()
    np.testing.assert_allclose(1 / level.scale, GAINS, rtol=0.01 if limit == np.inf else 0.03)
    np.testing.assert_allclose(level.zero, SKIES / GAINS - SKIES[0], atol=15)  # of the gains' error times the sky
    rest = blocks(level.ccd.combine("mean").values, row.empty())
    assert np.std(rest) < 0.4


def test_to_the_mean_is_another_scale_of_the_same(four: xr.DataArray) -> None:
    level, mean = (four.ccd.normalize(scale="overlap", zero="overlap", to=to) for to in ("first", "mean"))
    factor = float(mean.scale[0] / level.scale[0])
    np.testing.assert_allclose(mean.scale, factor * level.scale)
    apart = (mean - factor * level).values
    np.testing.assert_allclose(apart[np.isfinite(apart)], np.nanmedian(apart), atol=1e-6)


def test_twelve_tiles_become_one_image() -> None:
    """Gains of 0.8 to 1.25, skies of 80 to 400, turned by up to 4 degrees, noise 5: no step is left."""
    field = Field.random((760, 1000), 900, seed=0)
    rng = np.random.default_rng(5)
    gains, skies = np.array([1.0, *rng.uniform(0.8, 1.25, 11)]), rng.uniform(80, 400, 12)
    stack = tiles(field, (3, 4), (320, 330), angle=4.0, gains=gains, skies=skies, fwhm=(3.0, 3.3))
    aligned = stack.ccd.align(field.grid).load()
    free = field.empty()

    def rms(level: xr.DataArray) -> float:
        return float(np.sqrt(np.mean(blocks(level.ccd.combine("mean", weights="feather").values, free) ** 2)))

    level = aligned.ccd.normalize(scale="overlap", zero="overlap")
    np.testing.assert_allclose(1 / level.scale, gains, rtol=0.015)
    np.testing.assert_allclose(level.zero / level.scale, skies - skies[0] * gains, atol=0.5 + 0.015 * 400)
    assert rms(level) < 0.2 < 30 < rms(aligned)
    nebula = 60 * np.exp(-(((aligned.y - 300) / 150) ** 2 + ((aligned.x - 600) / 200) ** 2))
    assert rms(aligned + nebula * xr.DataArray(gains, dims="frame")) > 30
    with_it = (aligned + nebula * xr.DataArray(gains, dims="frame")).ccd.normalize(scale="overlap", zero="overlap")
    assert rms(with_it - nebula) < 0.4


def test_a_gain_is_no_ratio_of_skies() -> None:
    """One frame of 200 above the sky, one of twice the light and 900 above it: a ratio of medians gives 0.22."""
    field = Field.random((300, 420), 90, seed=3)
    stack = tiles(field, (1, 2), SIZE, gains=[1, 2], skies=[200, 900]).ccd.align(field.grid)
    np.testing.assert_allclose(stack.ccd.normalize(scale="overlap").scale, [1, 0.5], rtol=0.005)
    both = stack.ccd.normalize(scale="overlap", zero="median")
    np.testing.assert_allclose(both.scale, [1, 0.5], rtol=0.005)
    np.testing.assert_allclose(both.median(("y", "x")), both.median(("y", "x"))[0], atol=0.01)


def test_skies_are_those_of_the_scaled_frames(four: xr.DataArray) -> None:
    known = four.assign_coords(gain=("frame", GAINS))
    lazy = known.copy(data=known.variable.chunk(y=100).data)
    for obj, scale in ((four, GAINS), (known, "gain"), (lazy, "gain"), (lazy, gain_of)):
        level = obj.ccd.normalize(scale=scale, zero="overlap")
        np.testing.assert_allclose(level.scale, 1 / GAINS)
        np.testing.assert_allclose(level.zero, SKIES / GAINS - SKIES[0], atol=0.6)


@pytest.mark.parametrize("options", [{"chunks": None}, {"chunks": {"y": 90}}, {"chunks": {"frame": 1}}], ids=str)
def test_all_kinds_of_arrays_give_the_same_bits(row: Field, options: dict) -> None:
    arguments = {"gains": GAINS, "skies": SKIES}
    for how in ({"scale": "overlap", "zero": "overlap"}, {"zero": "overlap", "degree": 1}):
        here = tiles(row, (1, 4), SIZE, **arguments).load().ccd.align(row.grid).ccd.normalize(**how)
        with dask.config.set(scheduler=never):
            lazy = tiles(row, (1, 4), SIZE, **arguments, **options).ccd.align(row.grid).ccd.normalize(**how)
        np.testing.assert_array_equal(lazy, here)
        for name in {"scale", "zero", "zero_y"} & set(here.coords):
            np.testing.assert_array_equal(lazy[name], here[name])
    cut = tiles(row, (1, 4), SIZE, **arguments).ccd.align(row.grid).chunk(frame=1, y=77, x=130)
    np.testing.assert_array_equal(cut.ccd.normalize(**how), here)


def test_planes_of_moonlight_are_no_flux(row: Field) -> None:
    slopes = [(0, 0), (60, -40), (-50, 30), (20, 60)]
    stack = tiles(row, (1, 4), SIZE, gains=GAINS, skies=SKIES, slopes=slopes).ccd.align(row.grid).load()
    level = stack.ccd.normalize(scale="overlap", zero="overlap", degree=1)
    np.testing.assert_allclose(1 / level.scale, GAINS, rtol=0.015)
    assert np.std(blocks(level.ccd.combine("mean").values, row.empty())) < 0.5


# --- what cannot be measured


def test_a_frame_without_sources_is_told_of() -> None:
    field = Field.random((300, 420), 90, seed=3)
    bright = tiles(field, (1, 2), SIZE, gains=[1, 1.3]).ccd.align(field.grid).load()
    cloud = bright[:1].copy(data=np.random.default_rng(4).normal(0, 5, bright[:1].shape))
    empty = cloud.assign_coords(file=("frame", ["cloud.fits"]))
    stack = xr.concat([bright, empty], "frame")
    message = r"scale='overlap': frame 2 \(cloud\.fits\) has fewer than 5 sources of S/N > 10 .*: its gain is taken"
    with pytest.warns(UserWarning, match=message):
        level = stack.ccd.normalize(scale="overlap", zero="overlap")
    np.testing.assert_allclose(level.scale, [1, 1 / 1.3, 1], rtol=0.005)
    with dask.config.set(scheduler=never):
        lazy = stack.copy(data=stack.variable.chunk(y=50).data).ccd.normalize(scale="overlap")
    with pytest.warns(UserWarning, match=message):
        lazy.compute()
    with pytest.warns(UserWarning, match=r"frame 0 \(cloud\.fits\) has fewer"):
        first = stack[[2, 0, 1]].ccd.normalize(scale="overlap")
    np.testing.assert_allclose(first.scale[1] / first.scale[2], 1.3, rtol=0.005)
    np.testing.assert_allclose(first.scale.values[1:].prod(), 1, rtol=1e-9)
    with pytest.warns(UserWarning, match=r"cloud\.fits\) \(and 1 more\) has fewer"):
        xr.concat([bright, empty, empty], "frame").ccd.normalize(scale="overlap")


def test_groups_without_common_sources_are_told_of(four: xr.DataArray) -> None:
    one, other = four.isel(frame=[0, 1]), four.isel(frame=[2, 3])
    apart = xr.concat([one.where(four.x < 300), other.where(four.x > 260)], "frame")
    message = r"frame 2 \(frame-3\), frame 3 \(frame-4\): too few sources in common with frame 0 .* a mean of 1"
    with pytest.warns(UserWarning, match=message):
        level = apart.ccd.normalize(scale="overlap")
    np.testing.assert_allclose(level.scale[:2], [1, 0.5], rtol=0.01)
    np.testing.assert_allclose(level.scale[2] / level.scale[3], 2.2, rtol=0.01)


def test_masked_and_cut_sources_are_left_out() -> None:
    """A hole in each star of a frame, but for six: the others would say another gain."""
    field = Field.random((300, 300), 50, seed=8, fluxes=(5000, 5e4))
    stack = tiles(field, (1, 2), SIZE, gains=[1, 1.25], angle=0).ccd.align(field.grid).load()
    for k, (y, x) in enumerate(field.stars[:2].T.round().astype(int)):
        if k >= 25:
            stack[1, max(0, y - 1) : y + 2, max(0, x - 1) : x + 2] = np.nan
    np.testing.assert_allclose(stack.ccd.normalize(scale="overlap").scale, [1, 0.8], rtol=0.005)
    np.testing.assert_allclose(stack.ccd.minmax(max=3000).ccd.normalize(scale="overlap").scale, [1, 0.8], rtol=0.01)


def test_frames_that_are_no_images() -> None:
    cube = xr.DataArray(np.zeros((2, 3, 30, 30)), dims=("frame", "z", "y", "x"))
    for wrong, more in ((cube.rename(y="v"), {}), (cube, {"each_plane": False})):
        with pytest.raises(
            ValueError, match=r"scale='overlap' measures sources in images .*'z': 3.*cubes need the dim"
        ):
            wrong.ccd.normalize(scale="overlap", **more)
        level = (wrong + xr.DataArray([0, 3.0], dims="frame")).ccd.normalize(zero="overlap", **more)
        assert level.zero.values.tolist() == [0, 3]
    spectra = xr.DataArray(np.zeros((2, 600)), dims=("frame", "x")) + xr.DataArray([0, 3.0], dims="frame")
    assert spectra.ccd.normalize(zero="overlap").zero.values.tolist() == [0, 3]


@pytest.mark.filterwarnings("ignore:scale='overlap'")
def test_frames_without_noise_or_pixels() -> None:
    flat = xr.DataArray(np.zeros((2, 40, 40)), dims=("frame", "y", "x"))
    assert flat.ccd.normalize(scale="overlap").scale.values.tolist() == [1, 1]
    assert flat.where(flat > 0).ccd.normalize(scale="overlap").scale.values.tolist() == [1, 1]
    whole = flat.astype("int32")
    whole[:, ::9, ::9] = 1
    assert whole.ccd.normalize(scale="overlap", zero="overlap").zero.values.tolist() == [0, 0]


# --- parts


@settings(max_examples=80, deadline=None)
@given(hnp.arrays(bool, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14)), st.integers(0, 6))
def test_sources_are_those_of_scipy(mask: np.ndarray, by: int) -> None:
    wide = ndimage.binary_dilation(mask, np.ones((2 * by + 1, 2 * by + 1)))
    np.testing.assert_array_equal(widened(mask, by), wide)
    pixels, label = connected(mask)
    names, count = ndimage.label(mask, np.ones((3, 3)))
    np.testing.assert_array_equal(pixels, np.flatnonzero(mask))
    assert len(set(label.tolist())) == count
    assert len(set(zip(label.tolist(), names.ravel()[pixels].tolist(), strict=True))) == count


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(*[st.integers(0, 12)] * 4), max_size=12))
def test_boxes_that_overlap(some: list[tuple[int, ...]]) -> None:
    boxes = np.array([(y, y + h, x, x + w) for y, h, x, w in some]).reshape(-1, 4)
    expected = {
        (a, b)
        for b in range(len(boxes))
        for a in range(b)
        if all(boxes[a, k] <= boxes[b, k + 1] and boxes[b, k] <= boxes[a, k + 1] for k in (0, 2))
    }
    found = overlapping(boxes)
    assert len(found) == len(set(found))
    assert set(found) == expected


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.integers(1, 4)), min_size=1, max_size=9))
def test_weighted_median(pairs: list[tuple[int, int]]) -> None:
    values, weights = np.array(pairs, float).T
    assert _weighted_median(values, weights) == np.median(np.repeat(values, weights.astype(int)))


def test_the_sky_is_smooth_and_the_noise_is_of_a_pixel() -> None:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:300, :400] / 100
    frame = 500 + 80 * y - 30 * x + 20 * np.sin(y) + rng.normal(0, 4, y.shape)
    frame[:, 350:], frame[40, 50] = np.nan, np.inf
    left, noise = above_sky(frame)
    assert noise == pytest.approx(4, rel=0.03)
    assert np.isnan(left[40, 50])
    parts = [np.nanmedian(left[a : a + 50, b : b + 50]) for a in range(0, 300, 50) for b in range(0, 350, 50)]
    assert np.abs(parts).max() < 1.5
    small, noise = above_sky(frame[:40, :40])
    assert (abs(np.nanmedian(small)) < 1e-12, above_sky(np.full((4, 4), np.nan))[1]) == (True, 0)


def test_the_work_grows_with_the_frames() -> None:
    """Pairs are looked for among neighbours: of 400 frames in a square, 8 of each."""
    places = np.array([(40 * a, 40 * a + 47, 40 * b, 40 * b + 47) for a in range(20) for b in range(20)])
    assert len(overlapping(places)) == 2 * 20 * 19 + 2 * 19 * 19


@settings(max_examples=60, deadline=None)
@given(st.integers(2, 40), st.integers(1, 6), st.data())
def test_frames_of_one_field_are_not_all_compared(frames: int, most: int, data: st.DataObject) -> None:
    every = [(a, b) for b in range(frames) for a in range(b)]
    lost = data.draw(st.sets(st.sampled_from(every), max_size=len(every) // 3))
    pairs = [pair for pair in every if pair not in lost]
    found = some_of(pairs, most)
    assert set(found) <= set(pairs)
    assert len(found) <= frames * most
    for frame in range(frames):
        before, after = (sum(frame in pair for pair in some) for some in (pairs, found))
        assert after >= min(before, most)
    if not lost:
        linked = np.zeros((frames, frames), bool)
        for a, b in found:
            linked[a, b] = linked[b, a] = True
        assert len(groups(linked)) == 1
    assert some_of(every, frames) == every


def test_many_frames_of_one_field() -> None:
    field = Field.random((200, 200), 40, seed=6, fluxes=(5000, 5e4))
    light, rng = field.image((99.5, 99.5), (200, 200)), np.random.default_rng(3)
    gains = rng.uniform(0.5, 2, 30)
    values = gains[:, None, None] * light + rng.normal(0, 5, (30, 200, 200))
    level = xr.DataArray(values, dims=("frame", "y", "x")).ccd.normalize(scale="overlap")
    np.testing.assert_allclose(1 / level.scale, gains / gains[0], rtol=0.01)


def test_the_command_line_way_needs_no_scipy() -> None:
    import subprocess
    import sys

    code = (
        "import sys; sys.modules['scipy'] = None\n"
        "import numpy, xarray, xccd\n"
        "x = xarray.DataArray(numpy.random.default_rng(0).normal(0, 1, (2, 60, 60)), dims=('frame', 'y', 'x'))\n"
        "x.ccd.normalize(zero='overlap')\n"
    )
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
