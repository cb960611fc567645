"""The kernels of both engines: their networks, what a tile depends on and may touch, limits of dtypes, the code."""

import ast
import importlib
import math
import pkgutil
from functools import cache
from itertools import pairwise, product
from pathlib import Path

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd
from strategies import tiles
from xccd import kernels
from xccd.compute import options as our_options
from xccd.compute.tile import Tile
from xccd.kernels.arguments import Bounds
from xccd.kernels.compiled import compile as compile_module
from xccd.kernels.limits import DIRECT, float_dtype, inner, limits
from xccd.kernels.network import middle_rows, network, pairwise_network
from xccd.kernels.table import REDUCTIONS, ClipOptions

NAN, INF = math.nan, math.inf
NAMES = sorted(REDUCTIONS)
ORDERED = ("mean", "sum", "std", "var", "weighted_mean", "weighted_sum", "ivar", "geometric_mean", "adaptive", "first",
           "last")  # the order of frames may change their rounding, or is what they ask for  # fmt: skip
OPTIONS = ClipOptions(0.0, 0.0, 1.0, 1.5, maxiters=-1.0)
many = settings(max_examples=60, deadline=None)
few = settings(max_examples=20, deadline=None)


@pytest.fixture(scope="module", params=our_options.ENGINES)
def engine(request):
    with xccd.set_options(engine=request.param):
        yield our_options.engine()


def everything(engine, x, weights, start, stop):
    """What all kernels make of some pixels, by name; pixels along the last axis."""
    made = {}
    tile = Tile(x, start, stop)
    tile.bounds = tile.own_bounds()
    for bounded in (False, True):
        for name in NAMES:
            out = np.full(stop - start, 77.0)
            cut = np.ascontiguousarray(weights[:, start:stop]) if "weighted" in name else np.ones((1, 1))
            number = made["number"].copy() if bounded else None
            assert engine.reduce(name, x, start, stop, tile.bounds, cut, 0.4, 0, out, number) == 0
            made[name, bounded] = out
        cut = Tile(x, start, stop)
        cut.bounds = tile.own_bounds()._replace(bounded=bounded)
        left, ties = engine.extreme(x, start, stop, cut.bounds, 1, 2)
        made["left", bounded] = left
        made["extreme", bounded], made["masked", bounded] = np.stack(cut.bounds[:2]), cut.masked(engine, ties).x
        if not bounded:
            made["number"] = engine.sigma(x, start, stop, tile.bounds, OPTIONS)
            tile.bounds = tile.bounds._replace(bounded=True)
    return made


def assert_same(made, expected):
    """Bit by bit, but for which NaN it is."""
    assert made.keys() == expected.keys()
    for name, array in made.items():
        np.testing.assert_array_equal(array, expected[name], err_msg=str(name))
        zero = array == 0
        np.testing.assert_array_equal(np.signbit(array[zero]), np.signbit(expected[name][zero]), err_msg=str(name))


@cache
def pixels(dtype, frames=5, size=600):
    """Some pixels with outliers, ties, both zeros and holes, and weights for them."""
    rng = np.random.default_rng(frames)
    x = rng.normal(100, 9, (frames, size))
    x[:, ::3] = rng.integers(0, 3, x[:, ::3].shape)
    x[rng.random(x.shape) < 0.05] += 90
    x = x.astype(dtype)
    if x.dtype.kind == "f":
        x[:, ::3] *= -1
        x[:, size // 2 :][rng.random((frames, size - size // 2)) < 0.2] = NAN
    return x, rng.integers(0, 4, x.shape) / 4


# --- networks


def run(pairs, x):
    """The rows after a network."""
    x = x.copy()
    for i, j in np.array(pairs, int).reshape(-1, 2).tolist():
        assert i < j
        x[i], x[j] = np.minimum(x[i], x[j]), np.maximum(x[i], x[j])
    return x


@pytest.mark.parametrize("n", range(1, 13))
def test_networks_sort_all_zeros_and_ones(n):
    x = np.array(list(product((0, 1), repeat=n))).T
    expected = np.sort(x, axis=0)
    np.testing.assert_array_equal(run(pairwise_network(n), x), expected)
    for rows in [middle_rows(n), (), (0, n - 1), *((k,) for k in range(n))]:
        np.testing.assert_array_equal(run(network(n, rows), x)[list(rows)], expected[list(rows)])


@pytest.mark.parametrize(
    "n", sorted({1, 2, 3, 11, 13, 37, 53, 97, 101, 100, 1000} | {2**k + d for k in range(2, 10) for d in (-1, 0, 1)})
)
def test_networks_sort_any_number(n):
    rng = np.random.default_rng(n)
    x = np.stack([rng.normal(size=n), rng.integers(0, 2, n), np.arange(n, 0, -1), rng.permutation(n)], axis=1)
    expected = np.sort(x, axis=0)
    np.testing.assert_array_equal(run(network(n), x), expected)
    for rows in (middle_rows(n), tuple(sorted({0, n // 3, n - 1}))):
        np.testing.assert_array_equal(run(network(n, rows), x)[list(rows)], expected[list(rows)])


def test_networks_are_kept_and_not_to_be_changed():
    assert (len(network(25)), len(network(25, middle_rows(25)[1:]))) == (138, 104)
    for found in (network(25), network(25, (12,)), network(1)):
        assert not found.flags.writeable
        assert (found.dtype, found.shape[1]) == (np.uint64, 2)
    assert network(25) is network(25)
    with pytest.raises(ValueError, match="read-only"):
        network(25)[0] = 7


# --- what a tile touches, and what it depends on


def test_a_tile_is_all_that_changes(engine):
    x, weights = pixels("float64", 5, 40)
    given_x, given_weights = x.copy(), weights.copy()
    for start, stop in ((0, 40), (7, 29), (39, 40)):
        inside = (np.arange(40) >= start) & (np.arange(40) < stop)
        size = stop - start
        for step, *arguments in ((engine.sigma, OPTIONS), (engine.extreme, 1, 1)):
            edges = np.where(inside, [[-1e9], [1e9]], 0.5)
            step(x, start, stop, Bounds(*edges[:, start:stop], True), *arguments)
            assert (edges[:, ~inside] == 0.5).all()
            assert (np.abs(edges[:, inside]) != 1e9).all()
        bounds = Bounds(*edges[:, start:stop].copy(), True)
        for name in NAMES:
            image = np.full(40, 77.0)
            cut = np.ascontiguousarray(weights[:, start:stop])
            engine.reduce(name, x, start, stop, bounds, cut, 0.5, 0, image[start:stop])
            assert ((image == 77) == ~inside).all()
        for ties in (None, (np.zeros(size, np.int32), np.full(size, 9, np.int32))):
            out = np.full((5, 50), 77.0)
            engine.masked(x, start, stop, bounds, ties, out, 3)
            keep = (x[:, start:stop] >= bounds[0]) & (x[:, start:stop] <= bounds[1])
            np.testing.assert_array_equal(out[:, 3 : 3 + size], np.where(keep, x[:, start:stop], np.nan))
            assert (np.delete(out, np.s_[3 : 3 + size], axis=1) == 77).all()
        np.testing.assert_array_equal(bounds[:2], edges[:, start:stop])
    assert_same({"x": x, "weights": weights}, {"x": given_x, "weights": given_weights})


@cache
def whole(name, dtype, frames, size):
    """What an engine makes of all pixels at once."""
    with xccd.set_options(engine=name):
        return everything(our_options.engine(), *pixels(dtype, frames, size), 0, size)


@few
@given(st.sampled_from(DIRECT), st.sets(st.integers(1, 599), max_size=3))
def test_any_split_gives_the_same_bits(engine, dtype, cuts):
    edges = [0, *sorted(cuts), 600]
    pieces = [everything(engine, *pixels(dtype), a, b) for a, b in pairwise(edges)]
    joined = {key: np.concatenate([piece[key] for piece in pieces], axis=-1) for key in pieces[0]}
    assert_same(joined, whole(engine.NAME, dtype, 5, 600))


@pytest.mark.parametrize(
    ("frames", "size"),
    [(5, n) for n in (1, 31, 32, 33, 255, 256, 257, 511, 512, 513)] + [(150, n) for n in (31, 33, 65)],
)
def test_tails_of_blocks(engine, frames, size):
    for dtype in ("float64", "int16"):
        x, weights = pixels(dtype, frames, 600 if frames == 5 else 80)
        expected = whole(engine.NAME, dtype, *x.shape)
        big = np.full((frames + 4, size), 200, dtype)
        big[3:-1] = x[:, -size:]
        made = everything(engine, big[3:-1], np.ascontiguousarray(weights[:, -size:]), 0, size)
        assert_same(made, {key: array[..., -size:] for key, array in expected.items()})


sides = st.sampled_from([0, 1, 2.5, 3, INF])
rules = st.tuples(
    st.booleans(), st.booleans(), sides, sides, *map(st.sampled_from, ([0, 1], [0, 0.29], [0, 3], [1, -1]))
)


@many
@given(tiles(max_frames=12), rules.map(lambda rule: ClipOptions(*map(float, rule))), st.data())
def test_the_order_of_frames_does_not_matter(engine, x, rule, data):
    order = np.array(data.draw(st.permutations(range(len(x)))))
    weights = np.array(data.draw(st.lists(st.integers(0, 3), min_size=len(x), max_size=len(x))))[:, None] / 2
    made = ({}, {})
    for results, samples, w in zip(made, (x, x[order]), (weights, weights[order]), strict=True):
        size = x.shape[1]
        for name in set(NAMES) - set(ORDERED):
            image = results[name] = np.empty(size)
            engine.reduce(name, samples, 0, size, Tile(samples, 0, size).bounds, w, 0.3, 0, image)
            assert not np.signbit(image[image == 0]).any()
        for step, *arguments in ((engine.sigma, rule), (engine.extreme, 1, 2)):
            bounds = Tile(samples, 0, size).own_bounds()
            step(samples, 0, size, bounds, *arguments)
            results[step.__name__] = np.stack(bounds[:2])
    assert_same(*made)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_ranks_have_no_negative_zero(engine, dtype):
    x = np.array(list(product((-0.0, 0.0), repeat=4)), dtype).T.copy()
    for step, *arguments in ((engine.sigma, OPTIONS), (engine.extreme, 1, 1), (engine.extreme, 0, 0)):
        bounds = Tile(x, 0, 16).own_bounds()
        step(x, 0, 16, bounds, *arguments)
        assert not np.signbit(bounds[:2]).any()
    for name, q in product(sorted(set(NAMES) - set(ORDERED)), (0.0, 0.3, 1.0)):
        out = np.empty(16)
        engine.reduce(name, x, 0, 16, Tile(x, 0, 16).bounds, np.ones((1, 1)), q, 0, out)
        assert not np.signbit(out).any(), name


# --- limits


def neighbours(dtype, value):
    """Samples of the dtype at, below and above a value, as Python numbers."""
    if dtype.kind != "f":
        return list(range(math.floor(value) - 1, math.ceil(value) + 2))
    with np.errstate(over="ignore"):
        at = dtype.type(value)
        return [float(np.nextafter(at, dtype.type(-INF))), float(at), float(np.nextafter(at, dtype.type(INF)))]


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(DIRECT), st.data())
def test_inner_limits_are_exact(dtype, data):
    first, last, before, behind = (float(v) for v in limits(dtype))
    assert before <= first < last <= behind
    ends = st.sampled_from([x for v in (first, last) for x in neighbours(np.dtype("f8"), v)] + [-0.0, INF, -INF, 1e-45])
    level = st.none() | ends | st.floats(allow_nan=False) | st.integers(-600, 140000).map(lambda n: n / 2)
    low, high = data.draw(level), data.draw(level)
    least, most = inner(low, high, dtype)
    assert least.dtype == most.dtype == dtype
    for value in (low, high, first, last, 0.0, least.item(), most.item()):
        for sample in neighbours(dtype, value) if value is not None and first <= value <= last else ():
            if first <= sample <= last:
                wanted = (low is None or sample >= low) and (high is None or sample <= high)
                assert (least.item() <= sample <= most.item()) == wanted


@pytest.mark.parametrize("dtype", DIRECT)
def test_limits_just_outside_a_dtype(dtype):
    found = limits(dtype)
    below, _, _ = neighbours(np.dtype("f8"), found.least)
    _, _, above = neighbours(np.dtype("f8"), found.most)
    assert inner(below, above, dtype) == inner(None, None, dtype) == (found.least, found.most)
    assert inner(above, None, dtype) == inner(None, below, dtype) == (found.behind, found.before)


def test_float_dtype():
    for name in ("f2", "f4", ">f4", "?", "u1", "i1", "i2", ">u2"):
        assert float_dtype(np.dtype(name)) == np.float32
    for name in ("f8", ">f8", "i4", "u4", ">i8"):
        assert float_dtype(np.dtype(name)) == np.float64
    for name in ("c16", "U3", "M8[s]", "O"):
        with pytest.raises(TypeError, match="samples must be real numbers"):
            float_dtype(np.dtype(name))


# --- the code


def modules():
    found = pkgutil.walk_packages(kernels.__path__, "xccd.kernels.")
    return [importlib.import_module(module.name) for module in found]


@pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="nothing is compiled")
def test_compiled_kernels_do_not_hold_the_gil():
    found = {id(v): v for module in modules() for v in vars(module).values() if hasattr(v, "targetoptions")}
    called = [dispatcher for dispatcher in found.values() if not dispatcher.targetoptions.get("no_cpython_wrapper")]
    names = {dispatcher.__name__ for dispatcher in called}
    assert names >= {"sigma_bounds", "mad_bounds", "extrema_bounds", "masked", "masked_ties", "sums", "median"}
    assert "weighted_quantile" in names
    assert all(dispatcher.targetoptions["nogil"] is True for dispatcher in found.values())


def test_kernels_compile_without_a_folder_for_their_cache(monkeypatch):
    asked = []

    def njit(**options):
        def compiled(function):
            if options.get("cache"):
                raise RuntimeError("cannot cache function: no locator available")
            asked.append(options)
            return function

        return compiled

    monkeypatch.setattr(numba, "njit", njit)
    assert compile_module.kernel(run) is run
    (options,) = asked
    assert options.pop("nogil") is True
    assert options.pop("error_model") == "numpy"
    assert options == {"no_cfunc_wrapper": True} | compile_module.OF_KERNELS


def code(node, lines):
    """How many lines a function has, without its docstring, comments and what is blank."""
    first = node.body[0].end_lineno if ast.get_docstring(node) else node.lineno
    return sum(not line.strip().startswith("#") for line in lines[first : node.end_lineno] if line.strip())


def test_files_and_functions_are_short():
    sizes = {}
    for path in sorted(Path(kernels.__path__[0]).rglob("*.py")):
        lines = path.read_text().splitlines()
        assert len(lines) < 300, path.name
        functions = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef))
        sizes |= {(path.name, node.name): code(node, lines) for node in functions}
    assert {name: size for name, size in sizes.items() if size >= 40} == {}
