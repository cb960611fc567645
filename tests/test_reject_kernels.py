"""The rules of `reject` in both engines: against slow twins, and against each other to the bit."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from strategies import DIRECT, FLOATS, WHOLE, tiles
from xccd.compute import options
from xccd.compute.steps import Marked, Window
from xccd.compute.tile import Tile
from xccd.kernels.flags import Flag
from xccd.kernels.table import REJECTIONS

CLEAR = 1e-9  # of two sides of a comparison that rounding cannot swap
few = settings(max_examples=60, deadline=None)
NAMES = [name for name, row in REJECTIONS.items() if row.kernel and row.verb == "reject"]
whole_tiles = tiles(dtypes=FLOATS, elements=WHOLE, max_frames=12) | tiles(dtypes=DIRECT[2:], max_frames=12)
LIMITS = st.sampled_from([None, 0.5, 1.0, 1.5, 2.5, 4.0])
# For each rule: options to draw beside its thresholds.
OPTIONS: dict[str, st.SearchStrategy] = {}


@pytest.fixture(scope="module", params=options.ENGINES)
def engine(request):
    with xccd.set_options(engine=request.param):
        yield options.engine()


def step_of(name, low, high, **chosen):
    row = REJECTIONS[name]
    return (Marked if row.marked else Window)(name, row.numbers(low, high, chosen))


def left_out(engine, x, step):
    """The samples that are missing after a step; its flags must say the same."""
    out = np.isnan(step(engine, Tile(x, 0, x.shape[1])).masked(engine).x)
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
    return out, clear


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
    np.testing.assert_array_equal(left_out(engine, x, step_of(name, **sides, **rule))[:, clear], expected[:, clear])


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
    step = step_of(name, row.low, row.high)
    found = []
    for engine in options.ENGINES:
        with xccd.set_options(engine=engine):
            found.append(left_out(options.engine(), x, step))
    np.testing.assert_array_equal(*found)
    assert not found[0].all(0).any() or dtype in FLOATS
    if frames > 3:
        assert np.isfinite(x[found[0]]).any()


@pytest.mark.parametrize("name", NAMES)
def test_a_rule_does_not_see_tiles_or_the_order_of_frames(engine, name):
    row, x = REJECTIONS[name], noisy("float32", 9, 700)
    step = step_of(name, row.low, row.high)
    whole = left_out(engine, x, step)
    parts = [left_out(engine, np.ascontiguousarray(x[:, a:b]), step) for a, b in ((0, 130), (130, 131), (131, 700))]
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    images = [np.sort(np.where(found, np.nan, own), axis=0) for own, found in
              ((x, whole), (x[::-1], left_out(engine, x[::-1].copy(), step)))]  # fmt: skip
    np.testing.assert_array_equal(*images)
