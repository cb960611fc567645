"""The NumPy engine gives what the numba engine gives, bit for bit."""

import subprocess
import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import DIRECT, stacks
from xccd.kernels.arguments import Bounds
from xccd.kernels.compiled import engine as compiled
from xccd.kernels.limits import float_dtype, limits
from xccd.kernels.plain import block
from xccd.kernels.plain import engine as plain
from xccd.kernels.table import METHODS, REDUCTIONS, ClipOptions

DTYPES = DIRECT
NAMES = sorted(REDUCTIONS)
some = settings(max_examples=30, deadline=None)
seeds = st.integers(0, 2**32 - 1).map(np.random.default_rng)
# float64 only: squares out of its range, and what is left when it is gone
FAR = st.sampled_from([1e200, -1e200, 1e-200, 3e-200, 5e-324, 0.0, 1.0])


def wide(rng, dtype):
    """Up to 60 frames of a dtype: noise and outliers, whole numbers, or a few values again and again."""
    shape = (rng.integers(1, 61), rng.integers(1, 150))
    noise = rng.normal(100, 5, shape) + (rng.random(shape) < 0.05) * 10.0 ** rng.uniform(0, 30, shape)
    few = rng.choice([0.0, -0.0, 1.0, 2.0, 100.0], shape)
    x = (noise, rng.integers(0, 6, shape) * 1.0, few)[rng.integers(3)]
    if dtype.kind != "f":
        return np.clip(x, 0, np.iinfo(dtype).max).astype(dtype)
    x[rng.random(shape) < rng.choice([0.0, 0.1, 0.7])] = rng.choice([np.nan, np.inf, -np.inf])
    return x.astype(dtype)


@st.composite
def pixels(draw, dtype):
    """A stack (frames, pixels) as kernels take it, a range of its pixels, and bounds for them."""
    dtype, rng = np.dtype(dtype), draw(seeds)
    if draw(st.booleans()):
        x = wide(rng, dtype)
    else:
        elements = st.none() | st.just(FAR) if dtype == np.float64 else st.none()
        stack = draw(stacks(dtypes=[dtype.name], elements=draw(elements)))
        x = np.ascontiguousarray(stack, dtype=dtype).reshape(len(stack), -1)
    start = draw(st.integers(0, x.shape[1] - 1))
    stop = draw(st.integers(start + 1, x.shape[1]))
    return (
        x,
        start,
        stop,
        drawn_bounds(rng, x[:, start:stop]) if draw(st.booleans()) else no_bounds(dtype, stop - start),
    )


def no_bounds(dtype, size):
    """Bounds of all finite samples."""
    found = limits(dtype)
    return Bounds(np.full(size, found.least), np.full(size, found.most), False)


def drawn_bounds(rng, x):
    """Bounds at samples of each pixel; some pixels have none left."""
    found = limits(x.dtype)
    ordered = np.sort(np.where(np.isfinite(x), x, x.dtype.type(0)), axis=0)
    each = np.arange(x.shape[1])
    least = ordered[rng.integers(0, 1 + len(x) // 2, x.shape[1]), each]
    most = ordered[rng.integers(len(x) // 2, len(x), x.shape[1]), each]
    none = rng.random(x.shape[1]) < 0.1
    least[none], most[none] = found.behind, found.before
    return Bounds(least, most, True)


def options_of(numbers):
    return ClipOptions(*map(float, numbers))


def rules(frames):
    """Rules of a clip: by_mean, by_mad, low, high, ddof, floor, nkeep, maxiters."""
    side = st.integers(0, 5) | st.just(np.inf) | st.floats(0, 5)
    flag, floor = st.integers(0, 1), st.sampled_from([0.0, 0.29, 20.0])
    nkeep = st.just(0) | st.integers(0, frames)
    rule = (flag, flag, side, side, flag, floor, nkeep, st.integers(-1, 4))
    return st.tuples(*rule).map(options_of)


def weights_for(rng, frames, size):
    """Weights per frame, pixel or sample; some are zero, and rarely one cannot be used."""
    shape = (rng.choice([1, frames]), rng.choice([1, size]))
    w = (rng.random(shape), rng.choice([0.0, 0.1, 0.2, 0.3], shape))[rng.integers(2)]
    if rng.random() < 0.2:
        w.flat[rng.integers(w.size)] = rng.choice([-1.0, np.nan, np.inf])
    return w


def copy(bounds):
    return Bounds(bounds[0].copy(), bounds[1].copy(), bounds[2])


def equal(a, b):
    """Equal to the sign of a zero."""
    np.testing.assert_array_equal(a, b)
    np.testing.assert_array_equal(np.signbit(a) & ~np.isnan(a), np.signbit(b) & ~np.isnan(b))


def masks(engine, x, start, stop, bounds, ties=None):
    out = np.full((len(x), stop - start + 2), 7, float_dtype(x.dtype))
    engine.masked(x, start, stop, bounds, ties, out, 1)
    return out


def reduced(engine, name, x, start, stop, bounds, weights=None, q=0.5, ddof=0):
    dtype = METHODS[name.removeprefix("weighted_")].dtype or float_dtype(x.dtype)
    out = np.full(stop - start, 7, dtype)
    weights = np.ones((1, 1)) if weights is None else weights
    return out, engine.reduce(name, x, start, stop, copy(bounds), weights, q, ddof, out)


def test_both_engines_have_the_same_functions():
    for name in ("sigma", "extreme", "masked", "reduce"):
        assert callable(getattr(plain, name))
        assert callable(getattr(compiled, name))
    assert plain.NAME == "numpy"
    assert plain.KERNELS.keys() == compiled.KERNELS.keys()


@pytest.mark.parametrize("dtype", DTYPES)
@some
@given(st.data())
def test_sigma(dtype, data):
    x, start, stop, bounds = data.draw(pixels(dtype))
    rule = data.draw(rules(len(x)))
    before, ours, theirs = x.copy(), copy(bounds), copy(bounds)
    number = plain.sigma(x, start, stop, ours, rule)
    equal(number, compiled.sigma(x, start, stop, theirs, rule))
    equal(ours[0], theirs[0])
    equal(ours[1], theirs[1])
    equal(masks(plain, x, start, stop, ours), masks(compiled, x, start, stop, theirs))
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize("by_mean", [0, 1])
@pytest.mark.parametrize("by_mad", [0, 1])
@pytest.mark.parametrize("frames", [2, 3, 4, 5, 8, 9, 26])
def test_sigma_of_many_pixels(frames, by_mad, by_mean):
    rng = np.random.default_rng(frames)
    shape = (frames, 400)
    noise, far = rng.normal(0, 1, shape), rng.choice([1e200, 1e-200, 3e-200, -1e-200, 5e-324, 0.0, 1.0], shape)
    for x in (noise, np.where(rng.random(shape) < 0.1, np.nan, noise), rng.normal(0, 1, shape) ** 7, far):
        for low, high, ddof, nkeep in ((1.5, 1.5, 0, 0), (2.5, 1, 1, 0), (np.inf, 0.5, 0, frames - 1)):
            ours, theirs = no_bounds(x.dtype, 400), no_bounds(x.dtype, 400)
            rule = options_of((by_mean, by_mad, low, high, ddof, 0, nkeep, -1))
            equal(plain.sigma(x, 0, 400, ours, rule), compiled.sigma(x, 0, 400, theirs, rule))
            equal(ours[0], theirs[0])
            equal(ours[1], theirs[1])


@pytest.mark.parametrize("dtype", DTYPES)
@some
@given(st.data(), st.integers(0, 3), st.integers(0, 3))
def test_extreme(dtype, data, nlow, nhigh):
    x, start, stop, bounds = data.draw(pixels(dtype))
    ours, theirs = copy(bounds), copy(bounds)
    (number, ties), (their_number, their_ties) = (
        plain.extreme(x, start, stop, ours, nlow, nhigh),
        compiled.extreme(x, start, stop, theirs, nlow, nhigh),
    )
    equal(number, their_number)
    equal(ours[0], theirs[0])
    equal(ours[1], theirs[1])
    assert (ties is None) == (their_ties is None)
    if ties is not None:
        equal(ties[0], their_ties[0])
        equal(ties[1], their_ties[1])
    equal(masks(plain, x, start, stop, ours, ties), masks(compiled, x, start, stop, theirs, their_ties))


@pytest.mark.parametrize("dtype", DTYPES)
@some
@given(st.data(), seeds, st.sampled_from([0.0, 0.25, 0.5, 1.0]) | st.floats(0, 1), st.integers(0, 2))
def test_reduce(dtype, data, rng, q, ddof):
    x, start, stop, bounds = data.draw(pixels(dtype))
    weights = weights_for(rng, len(x), stop - start)
    for name in NAMES:
        result = partial(
            reduced, name=name, x=x, start=start, stop=stop, bounds=bounds, weights=weights, q=q, ddof=ddof
        )
        (ours, bad), (theirs, their_bad) = result(plain), result(compiled)
        equal(ours, theirs)
        assert bad == their_bad


@pytest.mark.parametrize("dtype", ["float32", "uint16"])
@pytest.mark.parametrize("frames", [block.MOST_FRAMES + 1, 300, block.MOST_SMALL + 1])
def test_many_frames(dtype, frames):
    rng = np.random.default_rng(frames)
    x = rng.normal(1000, 50, (frames, 20)).astype(dtype)
    bounds = drawn_bounds(rng, x)
    for name in ("mean", "median", "quantile", "mad_std", "count"):
        equal(reduced(plain, name, x, 0, 20, bounds)[0], reduced(compiled, name, x, 0, 20, bounds)[0])
    ours, theirs = copy(bounds), copy(bounds)
    for rule in ([0, 0, 2, 2, 1, 0, 0, -1], [1, 1, 1, 3, 0, 0, 5, 2]):
        rule = options_of(rule)
        equal(plain.sigma(x, 0, 20, ours, rule), compiled.sigma(x, 0, 20, theirs, rule))
    equal(ours[0], theirs[0])
    equal(ours[1], theirs[1])


def test_one_pixel_is_as_among_many():
    """Sums are made in one order, whatever is beside a pixel."""
    x = np.random.default_rng(0).normal(0, 1, (40, 60)) ** 5
    x[::7, ::3] = np.nan
    rule = options_of((1, 0, 1.5, 1.5, 0, 0, 0, -1.0))
    together = no_bounds(x.dtype, 60)
    plain.sigma(x, 0, 60, together, rule)
    for j in range(60):
        alone = no_bounds(x.dtype, 1)
        plain.sigma(x, j, j + 1, alone, rule)
        assert (alone[0][0], alone[1][0]) == (together[0][j], together[1][j])
        for name in ("mean", "std"):
            equal(reduced(plain, name, x, j, j + 1, alone)[0], reduced(plain, name, x, 0, 60, together)[0][j : j + 1])


def test_distances_that_overflow():
    """What comes back to leave ``nkeep`` is found even if all distances are infinite."""
    x = np.array([[-1.7e308]] * 5 + [[1.7e308]] * 2)
    bounds = no_bounds(x.dtype, 1)
    rule = options_of((0, 1, 3, 3, 0, 0, 6, -1.0))
    assert plain.sigma(x, 0, 1, bounds, rule).tolist() == [7]
    assert (bounds[0][0], bounds[1][0]) == (-1.7e308, 1.7e308)


def test_without_numba():
    code = """
import sys
sys.modules["numba"] = None
import numpy as np
import xccd
from xccd.compute import options
from xccd.kernels.arguments import Bounds
from xccd.kernels.plain import engine as plain
assert not [name for name in sys.modules if name.startswith("numba.")]
assert options.engine() is plain
x, out = np.arange(9.0).reshape(3, 3), np.empty(3)
bounds = Bounds(np.full(3, -9.0), np.full(3, 9.0), False)
plain.reduce("median", x, 0, 3, bounds, np.ones((1, 1)), 0.5, 0, out)
assert out.tolist() == [3, 4, 5]
"""
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True)
