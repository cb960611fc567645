"""The rules of `reject` in both engines: against slow twins, and against each other to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

import oracles
import xccd
from strategies import DIRECT, FLOATS, WHOLE, tiles
from xccd.compute import options
from xccd.compute.steps import Marked, Range, Share, Window, with_numbers
from xccd.compute.tile import Tile
from xccd.kernels import thresholds
from xccd.kernels.compiled import rejections
from xccd.kernels.flags import Flag
from xccd.kernels.table import REJECTIONS

CLEAR = 1e-9  # of two sides of a comparison that rounding cannot swap
few = settings(max_examples=60, deadline=None)
NAMES = [name for name, row in REJECTIONS.items() if row.verb == "reject" and not row.images]
whole_tiles = tiles(dtypes=FLOATS, elements=WHOLE, max_frames=12) | tiles(dtypes=DIRECT[2:], max_frames=12)
LIMITS = st.sampled_from([None, 0.5, 1.0, 1.5, 2.5, 4.0])
# For each rule: options to draw beside its thresholds.
SOME = st.sampled_from
KEEP = {"nkeep": SOME([0, 0, 1, 2, 5])}
OPTIONS: dict[str, st.SearchStrategy] = {
    "winsorized": st.fixed_dictionaries({"floor": SOME([None, 0.1, 0.5])}),
    "percentile_rank": st.fixed_dictionaries({"pclip": SOME([-0.5, 0.5, -1, 1, 2, -3.0, 0.9, 1e6]), **KEEP}),
    "noise": st.fixed_dictionaries(
        {
            "readnoise": SOME([0.0, 1.0, 3.0]), "gain": SOME([0.5, 1.0, 2.5]), "sensitivity": SOME([0.0, 0.1]),
            "center": SOME(["median", "mean"]), **KEEP,
        }
    ),
    "average_sigma": st.fixed_dictionaries({"center": SOME(["median", "mean"]), **KEEP}),
    "esd": st.fixed_dictionaries({"max_outliers": SOME([0.1, 0.3, 0.9]), "alpha": SOME([0.01, 0.05, 0.5])}),
    "chauvenet": st.fixed_dictionaries({"limit": SOME([0.1, 0.5, 2.0]), "robust": st.booleans()}),
    "swarp": st.fixed_dictionaries(
        {"amplitude": SOME([0.0, 0.3]), "gain": SOME([0.5, 2.0]), "noise": SOME([0.5, 2.0])}
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=options.ENGINES)
def engine(request):
    with xccd.set_options(engine=request.param):
        yield options.engine()


def step_of(name, frames, low, high, **chosen):
    row = REJECTIONS[name]
    numbers = row.numbers(low, high, chosen)
    if row.kernel:
        return Window(name, numbers)
    of_samples = np.full((1, 1), 0.25) if name == "average_sigma" else None
    return Marked(name, numbers, OF_FRAMES.get(name, lambda n, _: ())(frames, chosen), of_samples=of_samples)


# Numbers of frames that go with some marks.
OF_FRAMES = {
    "average_sigma": lambda n, _: (*[(0.0,) * n] * 3, (-1.0,) * n, (1.0,) * n),
    "variance": lambda n, _: ((1.0,) * n, *[(0.0,) * n] * 4),
    "swarp": lambda n, own: ((1 / own.get("gain", 1.0),) * n, (own.get("noise", 1.0) ** 2,) * n),
}


def left_out(engine, x, step):
    """The samples that are missing after a step; its flags must say the same."""
    tile = step(engine, Tile(x, 0, x.shape[1]))
    out = np.isnan(tile.masked(engine).x)
    if tile.count is not None:
        np.testing.assert_array_equal(tile.count, (~out).sum(0))
    bits = np.where(np.isfinite(x), 0, np.uint8(Flag.NOT_FINITE))
    step.flag(engine, Tile(x, 0, x.shape[1]), bits)
    np.testing.assert_array_equal(bits != 0, out)
    return out


def by_oracle(name, x, **rule):
    """What the twin leaves out (frames, pixels), and which pixels are not too near a tie."""
    out, clear = np.empty(x.shape, bool), np.empty(x.shape[1], bool)
    for j in range(x.shape[1]):
        near = []
        out[:, j] = getattr(oracles, REJECTIONS[name].oracle)(x[:, j].tolist(), near=near, **rule)
        clear[j] = min(near, default=1.0) > CLEAR
    return out, clear & ~smallest(x)


def smallest(x):
    """Pixels with numbers so near to 0 that their squares are no numbers: sums of squares are 0."""
    with np.errstate(invalid="ignore"):
        return ((x != 0) & (np.abs(x.astype(np.float64)) < 1e-140)).any(0)


@pytest.mark.parametrize("name", NAMES)
@few
@given(st.data())
def test_a_rule_is_that_of_its_twin(engine, name, data):
    x = data.draw(tiles(dtypes=FLOATS, max_frames=12) | whole_tiles)
    rule = data.draw(OPTIONS.get(name, st.just({})))
    if REJECTIONS[name].sided:
        rule = rule | {"low": data.draw(LIMITS), "high": data.draw(LIMITS)}
    expected, clear = by_oracle(name, x, **rule)
    sides = {"low": rule.pop("low", None), "high": rule.pop("high", None)}
    np.testing.assert_array_equal(
        left_out(engine, x, step_of(name, len(x), **sides, **rule))[:, clear], expected[:, clear]
    )


def noisy(dtype, frames, pixels=3000):
    """Noise with outliers on both sides, ties, and in floats missing samples and whole missing pixels."""
    rng = np.random.default_rng(frames)
    x = rng.normal(100, 5, (frames, pixels))
    x[rng.random(x.shape) < 0.02] += 60
    x[rng.random(x.shape) < 0.02] -= 60
    x[:, ::7] = np.round(x[:, ::7])
    x = x.astype(dtype)
    if dtype in FLOATS:
        x[rng.random(x.shape) < 0.02] = np.nan
        x[:, 5] = np.nan
    return x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "frames"), [("float32", 25), ("int16", 12), ("float64", 300), ("float32", 3)])
def test_engines_agree_to_the_bit(name, dtype, frames):
    row, x = REJECTIONS[name], noisy(dtype, frames)
    step = step_of(name, len(x), row.low, row.high)
    found = []
    for engine in options.ENGINES:
        with xccd.set_options(engine=engine):
            found.append(left_out(options.engine(), x, step))
    np.testing.assert_array_equal(*found)
    if frames > 3:
        assert np.isfinite(x[found[0]]).any()


def uneven(dtype, frames, pixels=3000):
    """Two heaps, few values, and single samples between the others: what is left is often no window."""
    rng = np.random.default_rng(frames)
    x = rng.normal(100, 1, (frames, pixels)) + 30 * (rng.random((frames, pixels)) < 0.3)
    x[:, ::3] = np.round(x[:, ::3] / 4) * 4
    x[:, 1::3] = rng.uniform(50, 150, x[:, 1::3].shape) ** 2
    x = x.astype(dtype)
    if dtype in FLOATS:
        x[rng.random(x.shape) < 0.1] = np.nan
        x[:, 7::11] = np.inf
    return x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("dtype", "frames"), [("float32", 12), ("int16", 25), ("float64", 40)])
def test_flags_of_engines_agree(name, dtype, frames):
    row, x = REJECTIONS[name], uneven(dtype, frames)
    step, found = step_of(name, len(x), row.low, row.high), []
    for engine in options.ENGINES:
        bits = np.where(np.isfinite(x), 0, np.uint8(Flag.NOT_FINITE))
        with xccd.set_options(engine=engine):
            left_out(options.engine(), x, step)
            step.flag(options.engine(), Tile(x, 0, x.shape[1]), bits)
        found.append(bits)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_does_not_see_tiles_or_the_order_of_frames(engine, name):
    row, x = REJECTIONS[name], noisy("float32", 9, 700)
    step = step_of(name, len(x), row.low, row.high)
    whole = left_out(engine, x, step)
    parts = [left_out(engine, np.ascontiguousarray(x[:, a:b]), step) for a, b in ((0, 130), (130, 131), (131, 700))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    images = [np.sort(np.where(found, np.nan, own), axis=0) for own, found in
              ((x, whole), (x[::-1], left_out(engine, x[::-1].copy(), step)))]  # fmt: skip
    np.testing.assert_array_equal(*images)


MODELS = st.fixed_dictionaries(
    {"readnoise": SOME([0.0, 1.0]), "gain": SOME([1.0, 2.0]), "sensitivity": SOME([0.0, 0.1]),
     "center": SOME(["median", "mean"]), **KEEP}
)  # fmt: skip


@few
@given(tiles(dtypes=FLOATS, max_frames=9), MODELS, LIMITS, LIMITS, st.randoms(use_true_random=False))
def test_noise_of_scaled_frames(engine, x, model, low, high, random):
    scale, zero = ([random.choice(some) for _ in x] for some in ([0.5, 1.0, 3.0], [0.0, -2.0, 5.0]))
    expected, clear = by_oracle("noise", x, low=low, high=high, scale=scale, zero=zero, **model)
    read, gain, part = (model[k] for k in ("readnoise", "gain", "sensitivity"))
    numbers = REJECTIONS["noise"]._replace(options=()).numbers(low, high, {})
    table = [((f * read / gain) ** 2, f / gain, part**2, z, 0.0) for f, z in zip(scale, zero, strict=True)]
    numbers = (*numbers, 2.0 * (model["center"] == "mean"), 2.0, float(model["nkeep"]))
    step = Marked("noise", numbers, tuple(zip(*table, strict=True)))
    np.testing.assert_array_equal(left_out(engine, x, step)[:, clear], expected[:, clear])


@pytest.mark.parametrize(("nkeep", "left"), [(0, [0, 0]), (1, [0, 0]), (3, [-3, 0, 0, 3]), (5, [-9, -3, 0, 0, 3, 9])])
@pytest.mark.parametrize("name", ["noise", "average_sigma", "percentile_rank", "scaled"])
def test_what_a_pass_rejects_is_put_back_by_its_distance(engine, name, nkeep, left):
    x = np.array([-9.0, -3, 0, 0, 3, 9])[:, None] + (name != "percentile_rank")
    if name == "scaled":
        numbers = REJECTIONS["noise"]._replace(options=()).numbers(1, 1, {})
        step = Marked("noise", (*numbers, 0.0, 2.0, float(nkeep)), ((1.0,) * 6, *[(0.0,) * 6] * 4))
    else:
        step = step_of(name, 6, 1, 1, nkeep=nkeep, **({"pclip": 1} if name == "percentile_rank" else {}))
    out = left_out(engine, x, step)[:, 0]
    np.testing.assert_array_equal(x[~out, 0] - (name != "percentile_rank"), left)


@few
@given(tiles(dtypes=FLOATS, max_frames=9), LIMITS, LIMITS, st.randoms(use_true_random=False))
def test_uncertainties_of_samples(engine, x, low, high, random):
    sigma = np.array([random.choice([0.0, 0.5, 1.0, 40.0]) for _ in range(x.size)]).reshape(x.shape)
    step = Marked("variance", REJECTIONS["variance"].numbers(low, high, {}), ((0.0,) * len(x),) * 5, True)
    step = with_numbers(step, sigma, 0, x.shape[1])
    out = left_out(engine, x, step)
    for j in range(x.shape[1]):
        near = []
        expected = oracles.variance_clip(x[:, j].tolist(), low, high, sigma[:, j].tolist(), near)
        if min(near, default=1.0) > CLEAR and not smallest(x)[j]:
            assert out[:, j].tolist() == expected


@few
@given(tiles(max_frames=9), st.integers(0, 5), st.integers(0, 5))
def test_extrema_in_proportion(engine, x, low, high):
    expected = oracles.over_pixels(oracles.extrema_by_share, np.where(np.isfinite(x), x, np.nan), low, high)
    for kind in (Marked, Share):
        np.testing.assert_array_equal(left_out(engine, x, kind("extrema", (float(low), float(high)))), expected)


@pytest.mark.parametrize("freedom", [1, 2, 3, 5, 23, 100, 1000, 8000])
def test_students_t(freedom):
    tails = np.array([0.4, 0.1, 0.025, 1e-3, 1e-5, 1e-9])
    found = [thresholds.student_t(tail, freedom) for tail in tails]
    np.testing.assert_allclose(found, stats.t.isf(tails, freedom), rtol=1e-10)


# Rosner 1983, table: 54 values of which the test finds three outliers.
ROSNER = (
    -0.25, 0.68, 0.94, 1.15, 1.20, 1.26, 1.26, 1.34, 1.38, 1.43, 1.49, 1.49, 1.55, 1.56, 1.58, 1.65, 1.69, 1.70, 1.76,
    1.77, 1.81, 1.91, 1.94, 1.96, 1.99, 2.06, 2.09, 2.10, 2.14, 2.15, 2.23, 2.24, 2.26, 2.35, 2.37, 2.40, 2.47, 2.54,
    2.62, 2.64, 2.90, 2.92, 2.92, 2.93, 3.21, 3.26, 3.30, 3.59, 3.68, 4.30, 4.64, 5.34, 5.42, 6.01,
)  # fmt: skip


def test_rosners_values_have_three_outliers(engine):
    x = np.array(ROSNER)[:, None]
    out = left_out(engine, x, Window("esd", (np.inf, np.inf, 10 / 54, 0.05)))
    assert x[out].tolist() == [5.34, 5.42, 6.01]


@pytest.mark.parametrize("name", NAMES)
def test_very_many_frames_are_sorted_by_numpy(name, monkeypatch):
    x = noisy("float32", 40, 300)
    step = step_of(name, len(x), REJECTIONS[name].low, REJECTIONS[name].high)
    with xccd.set_options(engine="numba"):
        expected = left_out(options.engine(), x, step)
        monkeypatch.setattr(rejections, "LONG", 30)
        np.testing.assert_array_equal(left_out(options.engine(), x, step), expected)


@pytest.mark.parametrize("name", NAMES)
def test_bounds_that_earlier_steps_left(engine, name):
    """A rule sees only what an earlier step left, within its bounds, as if the rest were missing."""
    x = noisy("float32", 12, 500)
    step = step_of(name, len(x), REJECTIONS[name].low, REJECTIONS[name].high)
    found = []
    for first in (True, False):
        tile = Tile(np.where((x > 90) & (x < 115), x, np.nan) if first else x, 0, x.shape[1])
        if not first:
            tile = Range(90.0001, 114.9999)(engine, tile)
        found.append(np.isnan(step(engine, tile).masked(engine).x))
    inside = ~((x > 90) & (x <= 90.001)) & ~((x >= 114.999) & (x < 115))
    np.testing.assert_array_equal(*(out[:, inside.all(0)] for out in found))


@pytest.mark.parametrize("exponent", [-1060, -1010, -600, -235, 235, 600, 1010])
@pytest.mark.parametrize(
    ("name", "chosen"),
    [
        ("esd", {}),
        ("chauvenet", {}),
        ("chauvenet", {"robust": True}),
        ("winsorized", {}),
        ("winsorized", {"floor": 4.0}),
    ],
)
def test_a_power_of_two_changes_nothing(engine, name, chosen, exponent):
    """Also where squares leave the range of float64; whole numbers are exact also where floats end."""
    x = np.round(noisy("float64", 12, 400))
    expected = left_out(engine, x, step_of(name, 12, 3, 3, **chosen))
    assert (expected & np.isfinite(x)).any()
    own = {k: float(np.ldexp(v, exponent)) if k == "floor" else v for k, v in chosen.items()}
    there = np.arange(x.shape[1]) % 2 == 0  # beside columns as usual
    found = left_out(engine, np.where(there, np.ldexp(x, exponent), x), step_of(name, 12, 3, 3, **own))
    np.testing.assert_array_equal(found[:, there], expected[:, there])
    if "floor" not in chosen:
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("name", ["esd", "chauvenet"])
def test_equal_samples_go_or_stay_together(engine, name):
    x = np.zeros((12, 300), "float32")
    x[[5, 9, 10, 11], 6] = 1  # three of the four are outliers by themselves
    x[3, 7] = 1
    step = step_of(name, 12, None, None, **({"alpha": 0.5} if name == "esd" else {}))
    tile = step(engine, Tile(x, 0, 300))
    left = tile.masked(engine).x
    np.testing.assert_array_equal(tile.count, np.isfinite(left).sum(0))
    assert tile.count[6] == 12
    assert tile.count[7] == 11
