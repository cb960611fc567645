"""Combination by the kernels of both engines, a tile at a time, against exact twins and NumPy."""

import math
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import oracles
import xccd
from strategies import DIRECT, FLOATS, QUANTILES, WEIGHT, tiles, weights_per_frame
from xccd.compute import options as our_options
from xccd.compute.tile import Tile
from xccd.kernels.arguments import Bounds
from xccd.kernels.limits import float_dtype, limits
from xccd.kernels.table import METHODS, REDUCTIONS, ClipOptions

NAN, INF, HUGE = math.nan, math.inf, 1.7e308
EPS, DENORMAL = Fraction(2.0**-52), Fraction(5e-324)
ONE = np.ones((1, 1))
SIZES = (1, 2, 3, 4, 7, 8, 9, 16, 25, 33, 100)  # networks of all numbers of frames are in test_kernels.py
COMBINATIONS = [(m, w) for m, row in METHODS.items() for w in (False, True) if row.weighted or not w]
many = settings(max_examples=60, deadline=None)


@pytest.fixture(scope="module", params=our_options.ENGINES)
def engine(request):
    with xccd.set_options(engine=request.param):
        yield our_options.engine()


def counting(engine, method, x, weights=None, q=0.5, ddof=0, bounds=None):
    """The image of one combination of a whole block, and how many samples have an unusable weight."""
    row = METHODS[method]
    name = method if weights is None else f"weighted_{method}"
    argument = reach(q) if method == "biweight" else q
    out = np.full(x.shape[1], 77.0)
    bounds = bounds or Tile(x, 0, x.shape[1]).bounds
    bad = engine.reduce(name, x, 0, x.shape[1], bounds, ONE if weights is None else weights, argument, ddof, out)
    with np.errstate(over="ignore"):
        return out.astype(row.dtype or float_dtype(x.dtype)), bad


def reach(level):
    """A ``c`` of the biweight for a level from 0 to 1: so far from 0 that half of the samples have weights."""
    return 1.5 + 8 * level


def reduced(engine, method, x, weights=None, **options):
    """The image by itself."""
    out, bad = counting(engine, method, x, weights, **options)
    assert bad == 0
    return out


def column(*values, dtype="f8"):
    """A block of one pixel."""
    return np.array(values, dtype).reshape(-1, 1)


# --- the exact answer, and how near it an image must come


def in_use(x, bounds=None):
    """The pixels as lists, NaN for what is missing."""
    least, most, _ = bounds or Tile(x, 0, x.shape[1]).bounds
    return np.where((x >= least) & (x <= most), x.astype("f8"), np.nan).T.tolist()


def exact(values, method, weights=None, q=0.5, ddof=0):
    """What the twin says, as a fraction even for the standard deviation."""
    level = q if method == "quantile" else None
    found = oracles.combine(values, "var" if method == "std" else method, weights, q=level, ddof=ddof, c=reach(q))
    return oracles.square_root(found) if method == "std" and isinstance(found, Fraction) else found


def rounding(value, values, method, weights=None, q=0.5):
    """How far from the exact ``value`` float64 may be, as can be shown; of random samples, about half of that is seen.

    Of samples a sum has twice the digits, of weights and squares it is a plain one. Ranks are exact.
    """
    x = sorted(Fraction(v) for v in values if math.isfinite(v))
    n = len(x)
    if method == "ivar":
        weights, method = [1.0] * len(values), "mean"
    if weights is not None and method in ("mean", "sum"):
        w = [Fraction(b) for a, b in zip(values, weights, strict=True) if math.isfinite(a)]
        size = sum(abs(Fraction(a)) * Fraction(b) for a, b in zip(values, weights, strict=True) if math.isfinite(a))
        return (
            EPS * size + n * DENORMAL if method == "sum" else (Fraction(n + 3, 2) * EPS * size + n * DENORMAL) / sum(w)
        )
    if method in ("mean", "sum"):
        rest = n * n * Fraction(2.0**-106) * sum(map(abs, x))
        return EPS / 2 * abs(value) + rest if method == "sum" else EPS * abs(value) + rest / n
    if method in ("std", "var"):
        spread = value + (EPS * abs(oracles.mean(x)) + n * DENORMAL) ** (2 if method == "var" else 1)
        return Fraction(n + 6, 2) * EPS * spread
    if method == "geometric_mean":
        return 4 * EPS * value
    if method == "adaptive":
        return (n + 20) * EPS * max(map(abs, x))
    if method == "mad_std":
        return EPS * (abs(oracles.median(x)) + 2 * value)
    if method == "biweight":
        size = abs(oracles.median(x)) + Fraction(reach(q)) * oracles.mad_std(x)
        return (n + 20) * (1 + Fraction(reach(q))) * EPS * size
    if method == "quantile" and weights is None:
        rank = Fraction(q) * (n - 1)
        near = x[max(0, math.floor(rank) - 1) : math.floor(rank) + 3]
        return EPS / 2 * ((rank + 3) * (near[-1] - near[0]) + abs(value))
    return None


def assert_near(image, expected, values, method, weights=None, q=0.5):
    """Float32 within one unit in the last place as well, what is exact the nearest number of its dtype."""
    weights = [None] * len(values) if weights is None else weights.T.tolist() * (len(values) // weights.shape[1])
    for got, value, x, w in zip(image, expected, values, weights, strict=True):
        if not isinstance(value, Fraction):
            assert math.isnan(got)
            continue
        with np.errstate(over="ignore"):
            nearest = image.dtype.type(float(value))
            last = np.spacing(np.nextafter(abs(nearest), np.zeros_like(nearest)))  # inf of what is beyond the dtype
        allowed = rounding(value, x, method, w, q)
        if allowed is None or np.isinf(nearest):
            assert got == nearest
            continue
        last = Fraction(last.item()) if image.dtype == np.float32 else 2 * DENORMAL
        assert abs(Fraction(got.item()) - value) <= allowed + last


# --- against the twins


def test_every_row_has_twins_and_kernels(engine):
    assert {method for method, row in METHODS.items() if row.weighted} == set(oracles.WEIGHTED)
    assert {row.kernel for row in REDUCTIONS.values()} == set(engine.KERNELS)
    for method, weighted in COMBINATIONS:
        assert isinstance(exact([1.0, 2.0], method, [1.0, 1.0] if weighted else None), Fraction)


@cache
def block(dtype, n):
    """Pixels of six kinds: noise, noise on an offset, ties, any size and sign, one sample, none."""
    rng = np.random.default_rng(n)
    dtype = np.dtype(dtype)
    found = limits(dtype)
    x = np.empty((n, 6))
    x[:, 0] = rng.normal(100, 20, n)
    x[:, 1] = min(1e9, 0.9 * float(found.most)) + rng.normal(0, 1, n)
    x[:, 2:] = rng.integers(0, 5, (n, 4))
    if dtype.kind == "f":
        x[:, 3] = rng.choice([-1, 1, 1], n) * 10.0 ** rng.uniform(-20, 20, n)
        x[:, :4][rng.random((n, 4)) < 0.1] = rng.choice([NAN, INF, -INF])
        x[1:, 4], x[:, 5] = NAN, INF
    else:
        x[:, 3] = rng.integers(found.least, found.most, n, endpoint=True)
        x[: n // 3, 3] = rng.choice([found.least, found.most], n // 3)
    return x.astype(dtype)


@cache
def inner_bounds(dtype, n):
    """Bounds that leave the middle of each pixel of the block, and nothing of the last one."""
    x = block(dtype, n)
    least, most, _ = Tile(x, 0, 6).own_bounds()
    for j in range(6):
        finite = np.sort(x[np.isfinite(x[:, j]), j])
        if finite.size and j < 5:
            least[j], most[j] = finite[finite.size // 5], finite[-1 - finite.size // 6]
    found = limits(x.dtype)
    least[5], most[5] = found.behind, found.before
    return Bounds(least, most, True)


@cache
def questions(dtype, n, bounded):
    """All that can be asked of the block, and the exact answers: for both engines, as the twins take their time."""
    rng = np.random.default_rng(n)
    x = block(dtype, n)
    values = in_use(x, inner_bounds(dtype, n) if bounded else None)
    asked = []
    for method, weighted in COMBINATIONS:
        frames = rng.integers(0, 4, (n, 1)) / 7 + (np.arange(n) == 0)[:, None]
        for weights in (frames, rng.choice([0, 0.1, 3, 0.7], (n, 6))) if weighted else (None,):
            for q in (0.3, float(n % 2)) if method == "quantile" else (0.5,):
                for ddof in (0, 1) if method in ("std", "var") else (0,):
                    lists = [None] * 6 if weights is None else np.broadcast_to(weights, (n, 6)).T.tolist()
                    found = [exact(v, method, w, q, ddof) for v, w in zip(values, lists, strict=True)]
                    asked.append((method, weights, q, ddof, found))
    return values, asked


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", DIRECT)
def test_every_combination(engine, dtype, n):
    for bounded in (False, True):
        values, asked = questions(dtype, n, bounded)
        bounds = inner_bounds(dtype, n) if bounded else None
        for method, weights, q, ddof, found in asked:
            image = reduced(engine, method, block(dtype, n), weights, q=q, ddof=ddof, bounds=bounds)
            assert_near(image, found, values, method, weights, q)


@many
@given(tiles(), st.sampled_from(COMBINATIONS), QUANTILES, st.sampled_from([0, 1, 2]), st.data())
def test_any_samples(engine, x, combination, q, ddof, data):
    method, weighted = combination
    q = q if method == "quantile" else 0.5
    weights = np.array(data.draw(weights_per_frame(len(x))))[:, None] if weighted else None
    values = in_use(x)
    found = [exact(v, method, None if weights is None else weights[:, 0].tolist(), q, ddof) for v in values]
    assert_near(reduced(engine, method, x, weights, q=q, ddof=ddof), found, values, method, weights, q)


@pytest.mark.parametrize("n", [1000, 5000])
def test_many_frames(engine, n):
    x = np.random.default_rng(n).normal(30000, 100, (n, 2)).astype("f4")
    x[::7, 1] = NAN
    for method in ("mean", "median"):
        assert_near(reduced(engine, method, x), [exact(v, method) for v in in_use(x)], in_use(x), method)


# --- sums


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("values", "total"),
    [
        ((1e30, 1, -1e30), 1),
        ((1, 1e30, 1, 1, -1e30, 1), 4),
        ((2**30, 2**-30, -(2**30), 2**-40), 2**-30 + 2**-40),
        ((1e30, 2**60, 1, -(2**60), -1e30), 1),
        ((NAN, 1e30, INF, 3, -1e30, -INF), 3),
        ((-0.0, -0.0), 0),
        ((NAN, -0.0), 0),
        ((-3.5,), -3.5),
    ],
)
def test_sums_without_an_error(engine, dtype, values, total):
    x = column(*values, dtype=dtype)
    n = np.isfinite(x).sum()
    for image in (reduced(engine, "sum", x), reduced(engine, "sum", x, np.full(x.shape, 0.5)) * 2):
        assert image.tolist() == [total]
        assert np.signbit(image[0]) == (total < 0)
    assert reduced(engine, "mean", x) == np.array(total / n, dtype)
    assert reduced(engine, "mean", x, np.full(x.shape, 4.0)) == np.array(total / n, dtype)


def test_sums_of_noise_and_of_denormals(engine):
    rng = np.random.default_rng(1)
    for values in (1e9 + rng.normal(size=101), rng.integers(-9, 9, 101) * 5e-324, rng.normal(size=101) * 1e-310):
        for dtype in FLOATS:
            x = column(*values, dtype=dtype)
            for method in ("mean", "sum", "std", "var", "mad_std", "median"):
                found = [exact(v, method) for v in in_use(x)]
                assert_near(reduced(engine, method, x), found, in_use(x), method)


@many
@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=40))
def test_float32_of_any_sign_and_size(engine, values):
    x = column(*values, dtype="f4")
    for method in ("mean", "sum"):
        assert_near(reduced(engine, method, x), [exact(values, method)], [values], method)


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("dtype", FLOATS)
def test_equal_samples(engine, dtype, n):
    level = np.random.default_rng(n).normal(0, 1e3, 20).astype(dtype)
    x = np.tile(level, (n, 1))
    for method in ("median", "min", "max", "quantile"):
        np.testing.assert_array_equal(reduced(engine, method, x, q=0.3), level)
    for method in ("std", "var", "mad_std"):
        assert not reduced(engine, method, x).any()
    np.testing.assert_allclose(reduced(engine, "mean", x), level, rtol=0 if dtype == "float32" else float(EPS))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_sum_that_overflows_is_infinite(engine, sign):
    x = sign * column(HUGE, HUGE, 1.0)
    for weights in (None, np.full((3, 1), 0.9), np.full((3, 1), 4.0)):
        assert reduced(engine, "sum", x, weights).tolist() == [sign * INF]
        assert reduced(engine, "mean", x, weights).tolist() == [sign * INF]
    assert reduced(engine, "median", x).tolist() == [sign * HUGE]
    assert reduced(engine, "var", sign * column(3e38, -3e38, dtype="f4")).tolist() == [INF]
    assert reduced(engine, "var", x[1:]).tolist() == [INF]


def exact_blocks(dtype, n):
    """Samples of which no sum rounds, up to the limit of what is taken for such."""
    rng = np.random.default_rng(n)
    if dtype not in FLOATS:
        found = limits(np.dtype(dtype))
        return [rng.integers(found.least, found.most, (n, 40), endpoint=True).astype(dtype)]
    top = np.nextafter(np.float32(2.0**28 / n), np.float32(0))
    blocks = [np.clip(np.exp2(rng.uniform(0, span, (n, 40))), 1, top).astype(dtype) for span in (0.1, 3, 28)]
    return [sign * np.float32(unit) * x for x in blocks for sign in (1, -1) for unit in (1, 1e-30, 1e20)]


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint16"])
@pytest.mark.parametrize("n", [2, 25, 512])
@pytest.mark.parametrize("by", [(0, 0), (1, 0), (0, 1), (1, 1)], ids=["median", "mean", "mad", "mean and mad"])
def test_sums_of_a_clip_are_exact(dtype, n, by):
    from xccd.kernels.compiled import engine as compiled

    for x in exact_blocks(dtype, n):
        found = limits(x.dtype)
        least = np.where(np.arange(40) % 3, found.least, np.median(x, axis=0)).astype(dtype)  # half of some are missing
        bounds, total = Bounds(least, np.full(40, found.most), True), np.empty(40)
        number = compiled.sigma(x, 0, 40, bounds, ClipOptions(*map(float, by), 1.5, 1.5, maxiters=-1.0), total)
        valid = (x >= bounds[0]) & (x <= bounds[1])
        assert number.tolist() == valid.sum(axis=0).tolist()
        assert total.tolist() == [math.fsum(x[valid[:, k], k].tolist()) for k in range(40)]


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint16"])
@pytest.mark.parametrize("n", [2, 25, 512])
@pytest.mark.parametrize(("nlow", "nhigh"), [(1, 2), (0, 1), (7, 0), (1, 0), (300, 211)])
def test_sums_without_extrema_are_exact(dtype, n, nlow, nhigh):
    from xccd.kernels.compiled import engine as compiled

    for x in exact_blocks(dtype, n):
        x[: n // 2] = x[n - n // 2 :]  # all tied
        found = limits(x.dtype)
        for least in (found.least, np.where(np.arange(40) % 3, found.least, np.median(x, axis=0)).astype(dtype)):
            bounds, total = Bounds(np.full(40, least), np.full(40, found.most), True), np.empty(40)
            kept = [sorted(column[column >= low].tolist()) for column, low in zip(x.T, bounds[0], strict=True)]
            kept = [column[nlow : max(0, len(column) - nhigh)] for column in kept]
            number, ties = compiled.extreme(x, 0, 40, bounds, nlow, nhigh, total)
            assert number.tolist() == [len(column) for column in kept]
            if any(kept):
                assert ties is None
                assert total.tolist() == [math.fsum(column) for column in kept]


@pytest.mark.parametrize("dtype", ["f4", "f8"])
@pytest.mark.parametrize("first", [[-5.0, 1.0], [-5.0, -5.0]])  # from the one it is seen beforehand, or afterwards
def test_extrema_without_exact_sums_are_as_ever(dtype, first):
    from xccd.kernels.compiled import engine as compiled

    x = np.array([first, [-1.0, 2.0], [-1.0, 2.0], [7.0, 2.0]], dtype)
    asked = [(Tile(x, 0, 2).own_bounds(), total) for total in (None, np.zeros(2))]
    (number, ties), (same, others) = (compiled.extreme(x, 0, 2, bounds, 2, 0, total) for bounds, total in asked)
    assert np.isnan(asked[1][1]).all()
    np.testing.assert_array_equal([number, *ties, *asked[0][0][:2]], [same, *others, *asked[1][0][:2]])


@pytest.mark.parametrize("dtype", ["float32", "int16", "uint16"])
@pytest.mark.parametrize("n", [2, 25, 512])
def test_no_bit_depends_on_sums_known_to_be_exact(monkeypatch, dtype, n):
    from xccd.kernels.compiled import engine as compiled

    for x in exact_blocks(dtype, n):
        bounds = Bounds(x.min(0), np.sort(x, axis=0)[-1 - n // 8], True)
        asked = [(compiled, method, x, None, 0.5, 0, bounds) for method in ("mean", "sum", "std", "var")]
        assert compiled._exact(x.dtype, n, bounds)
        fast = [counting(*arguments)[0] for arguments in asked]
        with monkeypatch.context() as patch:
            patch.setattr(compiled, "_exact", lambda *arguments: False)
            slow = [counting(*arguments)[0] for arguments in asked]
        assert np.array(fast).tobytes() == np.array(slow).tobytes()
    apart = column(2.0**31, *[1 + 2.0**-23] * 4, dtype="f4")  # the last places of four samples, each below half of one
    bounds = Bounds(apart.min(0), apart.max(0), True)
    assert not compiled._exact(apart.dtype, 5, bounds)
    assert counting(compiled, "sum", apart, bounds=bounds)[0] == 2.0**31 + 4 + 2.0**-21
    mixed = np.array([[-1.0], [1.0]], "f4")
    assert not compiled._exact(mixed.dtype, 2, Bounds(mixed[0], mixed[1], True))
    assert not compiled._exact(np.dtype("f4"), n, Tile(mixed, 0, 1).bounds)


# --- weights


def test_samples_of_no_weight_take_no_part(engine):
    x = np.array([[1.0, 1.0, NAN], [2.0, NAN, 3.0], [90.0, NAN, 4.0]])
    weights = np.array([[1.0], [1.0], [0.0]])
    for method, expected in (("mean", 1.5), ("sum", 3), ("median", 1.5)):
        for w in (weights, np.repeat(weights, 3, axis=1)):
            assert reduced(engine, method, x, w).tolist() == [expected, 1, 3]
            assert np.isnan(reduced(engine, method, x, 0 * w)).all()
    assert reduced(engine, "quantile", x, weights, q=0.0).tolist() == [1, 1, 3]
    assert reduced(engine, "quantile", x, weights, q=1.0).tolist() == [2, 1, 3]


@pytest.mark.parametrize("weight", [-1.0, NAN, INF, -INF])
@pytest.mark.parametrize("dtype", ["f4", "f8"])
def test_unusable_weights_are_counted(engine, weight, dtype):
    x = np.array([[1.0, 1.0, NAN], [2.0, INF, 5.0]], dtype)
    for method in oracles.WEIGHTED:
        assert counting(engine, method, x, np.array([[1.0], [weight]]))[1] == 2
        assert counting(engine, method, x, np.array([[1.0, weight, weight], [1.0, weight, 1.0]]))[1] == 1
        assert counting(engine, method, x, np.full((1, 1), weight))[1] == 4


@pytest.mark.parametrize("q", [0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 0.999, 1.0])
@pytest.mark.parametrize("n", SIZES)
def test_quantiles_are_numpys(engine, n, q):
    x = np.random.default_rng(n).normal(size=(n, 5))
    close = {"rtol": 1e-13, "atol": 1e-15}
    np.testing.assert_allclose(reduced(engine, "quantile", x, q=q), np.quantile(x, q, axis=0), **close)
    expected = np.quantile(x, q, axis=0, method="averaged_inverted_cdf")
    for weights in (np.full((n, 1), 0.1), np.full((n, 5), 7.0), ONE):
        np.testing.assert_allclose(reduced(engine, "quantile", x, weights, q=q), expected, **close)


@many
@given(tiles(), QUANTILES, st.data())
def test_weighted_quantiles_of_any_weights(engine, x, q, data):
    weights = np.array(data.draw(st.lists(WEIGHT, min_size=x.size, max_size=x.size))).reshape(x.shape)
    found = [exact(v, "quantile", w, q) for v, w in zip(in_use(x), weights.T.tolist(), strict=True)]
    assert_near(reduced(engine, "quantile", x, weights, q=q), found, in_use(x), "quantile", weights, q)
