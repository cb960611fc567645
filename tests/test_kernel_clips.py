"""The clips of both engines, a tile at a time, against exact twins: masks, bounds and numbers of survivors."""

import math
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from strategies import DIRECT, FLOATS, SIDES, WHOLE, clip_rules, tiles
from xccd.compute import options
from xccd.compute.tile import Tile
from xccd.kernels.arguments import Bounds
from xccd.kernels.limits import limits
from xccd.kernels.table import ClipOptions

NAN, INF = math.nan, math.inf
CLEAR = 1e-10  # of two sides of a comparison that rounding cannot swap
SIZES = (1, 2, 3, 4, 7, 8, 9, 16, 25, 33, 100)  # networks of all numbers of frames are in test_kernels.py
RULES = (
    {"low": 1, "high": 2.5},
    {"low": 2, "high": 1.5, "center": "median", "maxiters": None},
    {"low": 3, "high": 2, "center": "median", "deviation": "mad_std", "maxiters": None},
    {"low": 1, "high": 1, "deviation": "mad_std", "maxiters": 2, "nkeep": 2},
    {"low": None, "high": 1.5, "ddof": 1, "maxiters": 3, "floor": 0.29},
    {"low": 1.25, "high": None, "center": "median", "nkeep": 3, "maxiters": None, "ddof": 2},
    {"low": 1.5, "high": 1.25, "center": "median", "about": "center", "ddof": 1, "minimum": 4, "maxiters": None},
    {"low": 1.25, "high": 1.5, "center": "median", "about": "center", "maxiters": None},
    {"low": 1, "high": 1, "center": "median", "deviation": "mad_std", "minimum": 9, "maxiters": None},
)
many = settings(max_examples=60, deadline=None)
whole_tiles = tiles(dtypes=FLOATS, elements=WHOLE) | tiles(dtypes=DIRECT[2:], elements=st.integers(0, 8))
rules = clip_rules(SIDES)


@pytest.fixture(scope="module", params=options.ENGINES)
def engine(request):
    with xccd.set_options(engine=request.param):
        yield options.engine()


def rule_of(
    low=3, high=3, center="mean", deviation="std", maxiters=1, ddof=0, floor=0, nkeep=0, about="mean", minimum=0
):  # fmt: skip
    """The arguments of the twin as kernels take them."""
    low, high = (INF if k is None else k for k in (low, high))
    passes = -1 if maxiters is None else maxiters
    names = center == "mean", deviation == "mad_std"
    return ClipOptions(
        *map(float, (*names, low, high, ddof, floor, nkeep, passes, about == "center" and center != "mean", minimum))
    )


def tile_of(x, bounds=None):
    """All pixels as a tile, with bounds of its own."""
    tile = Tile(x, 0, x.shape[1])
    tile.bounds = tile.own_bounds() if bounds is None else Bounds(bounds[0].copy(), bounds[1].copy(), True)
    return tile


def in_use(x, bounds=None):
    """The block in float64, NaN for what is missing."""
    least, most, _ = tile_of(x, bounds).bounds
    return np.where((x >= least) & (x <= most), x.astype("f8"), np.nan)


def clipped(engine, x, bounds=None, **rule):
    """What a clip leaves out; its bounds must be the least and the most of what stays."""
    tile = tile_of(x, bounds)
    number = engine.sigma(x, 0, x.shape[1], tile.bounds, rule_of(**rule))
    least, most, _ = tile.bounds
    keep = (x >= least) & (x <= most)
    np.testing.assert_array_equal(number, keep.sum(0))
    for j in range(x.shape[1]):
        left = x[keep[:, j], j]
        assert (least[j], most[j]) == (left.min(), left.max()) if left.size else least[j] > most[j]
    return ~keep


def without_extrema(engine, x, nlow, nhigh, bounds=None):
    """The masked block."""
    tile = tile_of(x, bounds)
    number, ties = engine.extreme(x, 0, x.shape[1], tile.bounds, nlow, nhigh)
    left = tile.masked(engine, ties).x
    np.testing.assert_array_equal(number, np.isfinite(left).sum(0))
    return left


# --- against the twins


@cache
def block_of(dtype, n):
    """Noise and an outlier, ties, any size and sign, one sample or none; then bounds of the middle of each."""
    rng = np.random.default_rng(n)
    found = limits(np.dtype(dtype))
    x = np.stack([rng.normal(100, 5, n), *rng.integers(0, 5, (3, n))], axis=1)
    x[0, 0] += 70
    if dtype in FLOATS:
        x[:, 2] = rng.choice([-1, 1, 1], n) * 10.0 ** rng.uniform(-20, 20, n)
        x[:, :3][rng.random((n, 3)) < 0.1] = rng.choice([NAN, INF, -INF])
        x[1:, 3] = NAN
    else:
        x[:, 2] = rng.integers(found.least, found.most, n, endpoint=True)
        x[: n // 3, 2] = rng.choice([found.least, found.most], n // 3)
    x = x.astype(dtype)
    least, most, _ = Tile(x, 0, 4).own_bounds()
    for j in range(3):
        finite = np.sort(x[np.isfinite(x[:, j]), j])
        if finite.size:
            least[j], most[j] = finite[finite.size // 5], finite[-1 - finite.size // 6]
    least[3], most[3] = found.behind, found.before
    return x, (least, most)


@cache
def clips(dtype, n, bounded):
    """Rules, what their twin rejects, and which pixels are not too near a tie."""
    x, bounds = block_of(dtype, n)
    values = in_use(x, bounds if bounded else None)
    answers = []
    for rule in RULES[n % 2 :: 2]:
        clear = oracles.over_pixels(oracles.sigma_clip_margin, values, **rule) > CLEAR
        clear[1] = True  # whole numbers
        clear[2] &= "nkeep" not in rule or dtype not in FLOATS  # of sizes so unlike many residuals differ by a rounding
        answers.append((rule, oracles.over_pixels(oracles.sigma_clip, values, **rule), clear))
    return answers


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", DIRECT)
def test_clips(engine, dtype, n):
    x, bounds = block_of(dtype, n)
    for bounded in (None, bounds):
        for rule, out, clear in clips(dtype, n, bounded is not None):
            np.testing.assert_array_equal(clipped(engine, x, bounded, **rule)[:, clear], out[:, clear])
        for nlow, nhigh in ((0, 0), (1, 2), (0, 1), (n // 3, n // 3), (n, 0), (0, n + 2)):
            values = in_use(x, bounded)
            expected = np.where(oracles.over_pixels(oracles.clip_extrema, values, nlow, nhigh), np.nan, values)
            np.testing.assert_array_equal(without_extrema(engine, x, nlow, nhigh, bounded), expected)


@many
@given(whole_tiles, rules, st.integers(0, 4), st.integers(0, 4))
def test_whole_numbers_are_judged_exactly(engine, x, rule, nlow, nhigh):
    values = in_use(x)
    np.testing.assert_array_equal(clipped(engine, x, **rule), oracles.over_pixels(oracles.sigma_clip, values, **rule))
    expected = np.where(oracles.over_pixels(oracles.clip_extrema, values, nlow, nhigh), np.nan, values)
    np.testing.assert_array_equal(without_extrema(engine, x, nlow, nhigh), expected)


@many
@given(tiles(), rules, *[st.none() | st.floats(0.01, 10)] * 2)
def test_any_numbers_are_judged_well_away_from_ties(engine, x, rule, low, high):
    rule |= {"low": low, "high": high, "nkeep": 0}  # of a bound or an edge at 0 the margin does not tell
    values = in_use(x)
    clear = oracles.over_pixels(oracles.sigma_clip_margin, values, **rule) > CLEAR
    clear &= ~((values != 0) & (np.abs(values) < 1e-300)).any(0)  # whose halves are no numbers of their own
    expected = oracles.over_pixels(oracles.sigma_clip, values, **rule)
    np.testing.assert_array_equal(clipped(engine, x, **rule)[:, clear], expected[:, clear])


@cache
def many_frames(n):
    """Float32 samples of two pixels, and what a clip of them rejects."""
    x = np.random.default_rng(n).normal(100, 5, (n, 2)).astype("f4")
    x[::7, 1] = NAN
    answers = []
    for rule in ({"low": 2, "high": 3}, {"low": 3, "high": 2.5, "center": "median", "deviation": "mad_std"}):
        answers.append((rule, oracles.over_pixels(oracles.sigma_clip, x, **rule)))
    return x, answers


@pytest.mark.parametrize("n", [1000, 5000])
def test_clips_of_many_frames(engine, n):
    x, answers = many_frames(n)
    for rule, out in answers:
        np.testing.assert_array_equal(clipped(engine, x, **rule), out)


@many
@given(whole_tiles, st.integers(0, 6), st.integers(0, 2), SIDES, SIDES, st.sampled_from([1, 2, None]))
def test_deviations_about_the_median_and_least_counts(engine, x, minimum, ddof, low, high, maxiters):
    rule = {"low": low, "high": high, "center": "median", "maxiters": maxiters, "ddof": ddof}
    rule |= {"about": "center", "minimum": minimum}
    np.testing.assert_array_equal(
        clipped(engine, x, **rule), oracles.over_pixels(oracles.sigma_clip, in_use(x), **rule)
    )


CASES = (
    ([0, 0, 0, -3, 4], {"nkeep": 3}, [-3, 4]),  # of MAD 0
    ([0, 0, 0, -3, 4], {"nkeep": 4}, [4]),
    ([0, 0, 0, -3, 4], {"nkeep": 9}, []),
    ([0, 0, 0, -3, 3], {"nkeep": 4}, []),  # equal ones come back together
    ([0, 0, 0, -3, 3, 9, 9], {"low": 1, "high": 1, "nkeep": 5}, [9, 9]),
    ([0, 0, 0, -3, 3, 9, 9], {"low": 1, "high": 1, "nkeep": 6}, []),
    ([0, 0, 0, -3, 3], {"low": None}, [3]),
    ([0, 0, 0, -3, 3], {"high": None}, [-3]),
    ([0, 0, 0, -3, 4], {"floor": 1.0}, [4]),
    ([0, 0, 0, -3, 4], {"floor": 1.5}, []),
    ([0, 0, 0, NAN, 4], {"low": 0, "high": 0}, [4]),
    ([0, 0, 0, 0, 4], {"deviation": "std", "high": 2}, [4]),  # which is above 2 * 1.6
    ([0, 0, 0, 0, 4], {"deviation": "std", "high": 2, "center": "mean"}, []),  # 3.2 above the mean, on the bound
    ([0, 0, 0, 0, 0, 5], {"deviation": "std", "low": 2, "high": 2}, [5]),
    ([-1, 1, 1, -1], {"deviation": "std", "low": 1, "high": 1}, []),  # on the bounds
    ([-1, 1, 1, -1], {"deviation": "std", "low": 1, "high": 0.99}, [1, 1]),
    ([1, 2, 9], {"deviation": "std", "low": 1, "high": 1, "ddof": 2}, [9]),
    ([1, 2, 9], {"deviation": "std", "low": 1, "high": 1, "ddof": 3}, []),  # no deviation
    ([1, 2, 9], {"center": "mean", "low": 1, "high": 1}, [1, 2, 9]),
)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("values", "rule", "rejected"), CASES)
def test_rules(engine, dtype, values, rule, rejected):
    rule = {"center": "median", "deviation": "mad_std", "maxiters": None} | rule
    x = np.array(values, dtype)[:, None]
    for order in (x, x[::-1].copy()):
        out = clipped(engine, order, **rule)
        assert sorted(order[out & np.isfinite(order)].tolist()) == rejected
        np.testing.assert_array_equal(out, oracles.over_pixels(oracles.sigma_clip, order, **rule))


def test_every_pass_counts(engine):
    x = np.array([0.0] * 30 + [1, -1] * 10 + [3.0**k for k in range(2, 9)])[:, None]
    left = [(~clipped(engine, x, maxiters=maxiters)).sum() for maxiters in (1, 2, 3, 4, None)]
    assert left == [(~np.array(oracles.sigma_clip(x[:, 0].tolist(), maxiters=m))).sum() for m in (1, 2, 3, 4, None)]
    assert len(set(left)) == 5


@pytest.mark.parametrize("power", [-1060, -1000, -500, -250, 250, 500, 1000])
@pytest.mark.parametrize("deviation", ["std", "mad_std"])
def test_a_clip_does_not_depend_on_the_unit(engine, power, deviation):
    x = np.random.default_rng(2).integers(-8, 9, (9, 40)) * 1.0
    x[0] += 40
    for center, floor, nkeep in (("mean", 0, 0), ("median", 0, 0), ("median", 0, 7), ("median", 3, 0)):
        rule = {"low": 1.5, "high": 2, "center": center, "deviation": deviation, "maxiters": None, "nkeep": nkeep}
        out = clipped(engine, x, **rule, floor=floor)
        assert out.any()
        np.testing.assert_array_equal(clipped(engine, np.ldexp(x, power), **rule, floor=math.ldexp(floor, power)), out)


@pytest.mark.parametrize("power", [-1000, -500, 500, 1000])
def test_deviations_do_not_depend_on_the_unit(engine, power):
    x = np.random.default_rng(3).normal(size=(9, 40))
    for name in ("std", "mad_std", "mean", "median"):
        images = np.empty((2, 40))
        for out, samples in zip(images, (x, np.ldexp(x, power)), strict=True):
            engine.reduce(name, samples, 0, 40, Tile(samples, 0, 40).bounds, np.ones((1, 1)), 0.5, 1, out)
        np.testing.assert_allclose(np.ldexp(images[1], -power), images[0], rtol=1e-13)


def test_an_outlier_that_hides_the_others(engine):
    x = np.array([[1e200], [3.0], [1.0], [2.0], [2.0], [1.0], [3.0], [-1e9], [2.0], [2.0], [2.0], [2.0], [2.0]])
    for deviation, rejected in (("std", [0, 7]), ("mad_std", [0, 1, 2, 5, 6, 7])):
        out = clipped(engine, x, center="median", deviation=deviation, maxiters=None)
        assert np.flatnonzero(out).tolist() == rejected


@pytest.mark.parametrize("columns", [1, 9])
def test_small_residuals_about_the_median(engine, columns):
    x = np.array([0.0, 1, -1, 2, -2, 1, -1, 0, 100]) * 1e-200
    x = np.repeat(np.append(x, 1.0)[:, None], columns, axis=1)
    assert survivors(engine, x, (0, 1, 5, 5, 0, 0, 0, -1)).tolist() == [8] * columns


def test_distances_that_overflow_are_put_back(engine):
    x = np.array([-1.7e308] * 5 + [1.7e308] * 2)[:, None]
    assert survivors(engine, x, (0, 1, 3, 3, 0, 0, 6, -1)).tolist() == [7]


def test_a_missing_neighbour_changes_nothing(engine):
    column = [-2.7111624789659685, -1.8890132459676727, -0.7819084623568421, -0.2756029052993704, -0.2571922406188707,
              -0.17477209205516195, 0.008142180518343508, 1.0067243153057943, 1.2940638143982073]  # fmt: skip
    k = float.fromhex("0x1.6fec3d4f016d1p+0")
    alone = np.array(column)[:, None]
    beside = np.repeat(alone, 2, axis=1)
    beside[3, 1] = np.nan
    rule = (1, 0, k, k, 0, 0, 0, 1)
    assert survivors(engine, alone, rule)[0] == survivors(engine, beside, rule)[0]


def survivors(engine, x, rule):
    """How many samples of each pixel are within the bounds that a clip leaves."""
    found = limits(x.dtype)
    least, most = (np.full(x.shape[1], v) for v in (found.least, found.most))
    engine.sigma(x, 0, x.shape[1], Bounds(least, most, False), ClipOptions(*map(float, rule)))
    return ((x >= least) & (x <= most)).sum(0)


@pytest.mark.parametrize("dtype", ["float32", "int16"])
def test_a_pixel_of_very_many_frames(engine, dtype, monkeypatch):
    x = np.random.default_rng(6).normal(100, 10, (300, 3)).astype(dtype)
    x[7] = 900
    rules = [(0, 0, 3, 3, 0, 0, 0, -1), (0, 1, 3, 3, 0, 0, 0, 2), (0, 0, 0, 0, 0, 0, 0, 1)]
    expected = [survivors(engine, x, rule) for rule in rules]
    image, again = np.empty(3), np.empty(3)
    bounds = tile_of(x).bounds
    names = ("median", "mad_std", "quantile", "weighted_quantile")
    one = np.ones((1, 1))
    for name in names:
        engine.reduce(name, x, 0, 3, bounds, one, 0.3, 0, image)
        with monkeypatch.context() as patch:
            patch.setattr(engine, "LONG", 100, raising=False)
            engine.reduce(name, x, 0, 3, bounds, one, 0.3, 0, again)
        np.testing.assert_array_equal(image, again)
    monkeypatch.setattr(engine, "LONG", 100, raising=False)
    for rule, found in zip(rules, expected, strict=True):
        np.testing.assert_array_equal(survivors(engine, x, rule), found)
