"""Drops of a frame on quadrilaterals: against polygons, points in polygons and the formula of a Gaussian."""

import math
from functools import reduce
from operator import or_

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Point, Polygon, box

from strategies import quadrilaterals
from xccd.kernels.compiled import drizzle as compiled
from xccd.kernels.drops import DROPS
from xccd.kernels.plain import drizzle as plain

ENGINES = [compiled, plain]
NAMES = ["numba", "numpy"]
some = settings(max_examples=15, deadline=None)
fractions = st.sampled_from([1.0, 0.7, 0.3, 0.05])
FWHM = 2.3548


def square(quad, j, i, pixfrac):
    half = pixfrac / 2
    return Polygon(quad).intersection(box(i - half, j - half, i + half, j + half)).area / pixfrac**2


def point(quad, j, i, pixfrac):
    return float(Polygon(quad).contains(Point(i, j)))


def offsets(quad, j, i):
    """From the centre of a quadrilateral to a pixel, in its own axes, and its side."""
    a, b, c, d = quad
    axes = np.stack([(b - a + c - d) / 2, (d - a + c - b) / 2], axis=1)
    return *np.linalg.solve(axes, np.array([i, j]) - quad.mean(0)), math.sqrt(abs(np.linalg.det(axes)))


def is_tied(kernel, quad, shape, pixfrac):
    """Whether rounding decides if a pixel counts: a point on an edge, a Gaussian at its end."""
    if kernel == "point":
        return min(Polygon(quad).exterior.distance(Point(i, j)) for j, i in np.ndindex(shape)) < 1e-9
    if kernel == "gaussian":
        found = [offsets(quad, j, i) for j, i in np.ndindex(shape)]
        return any(abs(max(abs(x), abs(y)) - max(2.5 * pixfrac / FWHM, 1.2) / s - 0.5) < 1e-9 for x, y, s in found)
    return False


def gaussian(quad, j, i, pixfrac):
    """Of the distance in pixels of the grid, to which a quadrilateral is a square; 0 outside the box of 2.5 sigma."""
    x, y, side = offsets(quad, j, i)
    sigma = pixfrac / FWHM / side
    if max(abs(x), abs(y)) > max(2.5 * sigma, 1.2 / side) + 0.5:
        return 0.0
    return math.exp(-(x * x + y * y) / (2 * sigma**2)) / (2 * math.pi * sigma**2)


SHARES = {"square": square, "point": point, "gaussian": gaussian}


def oracle(frame, variance, flags, quad, kernel, pixfrac, total):
    found = {at: SHARES[kernel](quad, *at, pixfrac) for at in np.ndindex(frame.shape)}
    found = {at: w for at, w in found.items() if w > 1e-9}
    good = {at: w for at, w in found.items() if np.isfinite(frame[at])}
    weight = sum(good.values())
    if not good:
        return 0.0, np.nan, np.nan, reduce(or_, [int(flags[at]) for at in found], 0) or 128
    scale = (Polygon(quad).area if total else 1) / weight
    value = sum(w * float(frame[at]) for at, w in good.items()) * scale
    return weight, value, math.sqrt(sum(w * w * float(variance[at]) for at, w in good.items())) * scale, 0


def run(engine, case, kernel, pixfrac, total=False, rows=slice(None)):
    frame, variance, flags, corners = case
    shape = (corners.shape[1] - 1, corners.shape[2] - 1)
    shares, value, error, reasons = (np.empty(shape, d) for d in ("f8", frame.dtype, frame.dtype, np.uint8))
    parts = [np.ascontiguousarray(a[rows]) for a in (frame, variance, flags)]
    rest = (rows.start or 0, len(frame), corners, total, DROPS[kernel], pixfrac)
    beyond = engine.dropped(*parts, *rest, shares, value, error, reasons)
    return (shares, value, error, reasons), beyond


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
@pytest.mark.parametrize("kernel", DROPS)
@some
@given(case=quadrilaterals(), pixfrac=fractions, total=st.booleans())
def test_drops_fall_as_in_geometry(engine, kernel, case, pixfrac, total):
    frame, variance, flags, corners = case
    (shares, value, error, reasons), beyond = run(engine, case, kernel, pixfrac, total)
    assert beyond == 0
    alone, nothing, bits = np.empty_like(value), np.empty((0, 0), frame.dtype), np.empty((0, 0), np.uint8)
    rest = (0, len(frame), corners, total, DROPS[kernel], pixfrac, np.empty_like(shares), alone, nothing, bits)
    engine.dropped(frame, nothing, bits, *rest)
    np.testing.assert_array_equal(alone, value)
    eps = 64 * np.finfo(frame.dtype).eps
    for k, c in [(0, 0), (1, 1), (1, 2), (2, 3)]:
        quad = corners[:, [k, k, k + 1, k + 1], [c, c + 1, c + 1, c]].T
        if is_tied(kernel, quad, frame.shape, pixfrac):
            continue
        *numbers, reason = oracle(frame, variance, flags, quad, kernel, pixfrac, total)
        tiny = numbers[0] < 1e-6  # in both, or in one of them, a share that rounding makes
        np.testing.assert_allclose(shares[k, c], numbers[0], rtol=1e-9, atol=1e-8)
        if not tiny:
            np.testing.assert_allclose([value[k, c], error[k, c]], numbers[1:], rtol=max(eps, 1e-8), atol=1e-9)
            assert reasons[k, c] == reason


@pytest.mark.parametrize("kernel", DROPS)
@some
@given(case=quadrilaterals(), pixfrac=fractions, total=st.booleans())
def test_engines_have_the_same_bits(kernel, case, pixfrac, total):
    one, other = (run(engine, case, kernel, pixfrac, total)[0] for engine in ENGINES)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
@pytest.mark.parametrize("kernel", ["square", "point"])
@pytest.mark.parametrize("angle", [0.0, 0.3])
def test_no_drop_is_lost_or_counted_twice(engine, kernel, angle):
    """Shares of all drops on a grid that covers the frame; without a turn, centres lie on edges and corners."""
    y, x = np.mgrid[-6:6:25j, -6:6:25j]
    at = (x + 1j * y) * np.exp(1j * angle) + 4 + 4j
    corners = np.stack([at.real, at.imag])
    frame = np.random.default_rng(0).normal(10, 1, (9, 9))
    case = (frame, frame, np.zeros(frame.shape, np.uint8), corners)
    for pixfrac in (1.0, 0.4):
        (shares, value, _, _), _ = run(engine, case, kernel, pixfrac)
        assert shares.sum() == pytest.approx(81, rel=1e-12)
        assert np.nansum(shares * value) == pytest.approx(frame.sum(), rel=1e-12)


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
@pytest.mark.parametrize("kernel", DROPS)
def test_rows_that_are_not_there_are_counted(engine, kernel):
    y, x = np.mgrid[:7, :5] - 0.7
    frame = np.arange(30.0).reshape(6, 5)
    case = (frame, frame, np.zeros(frame.shape, np.uint8), np.stack([x, y]))
    assert run(engine, case, kernel, 1.0)[1] == 0
    assert run(engine, case, kernel, 1.0, rows=slice(1, 5))[1] > 0


@pytest.mark.parametrize("engine", ENGINES, ids=NAMES)
@pytest.mark.parametrize("kernel", DROPS)
@pytest.mark.parametrize("where", [np.nan, np.inf, 1e300])
def test_nothing_falls_on_corners_that_are_no_places(engine, kernel, where):
    y, x = np.mgrid[:3.0, :3.0]
    corners = np.stack([x, y])
    corners[:, 1, 1] = where
    frame = np.ones((4, 4))
    case = (frame, frame, np.zeros((4, 4), np.uint8), corners)
    with np.errstate(all="ignore"):  # a compiled kernel never warns; as plain Python it does
        (shares, value, _, reasons), _ = run(engine, case, kernel, 1.0)
    if where != 1e300:
        assert (shares == 0).all()
        assert np.isnan(value).all()
        assert (reasons == 128).all()
    assert np.isfinite(shares).all()
