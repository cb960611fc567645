"""Resampling kernels against slow, obvious loops, in both engines."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xccd.kernels.compiled import resample as compiled
from xccd.kernels.limits import RUN
from xccd.kernels.plain import resample as plain
from xccd.sky import pixel_map

ENGINES = [compiled, plain]
some = settings(max_examples=60, deadline=None)


def weight(d: float, taps: int) -> float:
    """Of a pixel at distance ``d``."""
    d = abs(d)
    if taps == 2:
        return max(0.0, 1 - d)
    if taps == 4 and d <= 1:
        return 1.5 * d**3 - 2.5 * d**2 + 1
    if taps == 4:
        return -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2 if d < 2 else 0.0
    return float(np.sinc(d) * np.sinc(d / 3)) if d < 3 else 0.0


def oracle(frame, variance, flags, x, y, taps):
    """Value, error and bits at one position."""
    height, width = frame.shape
    near = [
        (j, i) for j in range(math.floor(y) - 3, math.floor(y) + 5) for i in range(math.floor(x) - 3, math.floor(x) + 5)
    ]
    if taps == 1:
        weights = {(math.floor(y + 0.5), math.floor(x + 0.5)): 1.0}
    else:
        rows = {j: weight(y - j, taps) for j, _ in near}
        columns = {i: weight(x - i, taps) for _, i in near}
        a, b = (sum(w.values()) if taps == 6 else 1.0 for w in (rows, columns))
        weights = {(j, i): rows[j] / a * columns[i] / b for j, i in near if abs(rows[j] * columns[i]) > 1e-15}
    inside = {p: w for p, w in weights.items() if 0 <= p[0] < height and 0 <= p[1] < width}
    good = {p: w for p, w in inside.items() if np.isfinite(frame[p])}
    if len(good) < len(weights) and taps > 2:
        return oracle(frame, variance, flags, x, y, 2)
    total = sum(good.values())
    if total < 0.499999 or not inside:
        bits = 128 if len(inside) < len(weights) or not inside else 0
        for p in inside.keys() - good.keys():
            bits |= int(flags[p])
        return np.nan, np.nan, bits
    value = sum(w * frame[p] for p, w in good.items()) / total
    return value, math.sqrt(sum(w * w * variance[p] for p, w in good.items())) / total, 0


def resampled_alone(engine, frame, first, height, at, taps, value):
    """Without what goes with the samples."""
    nothing = np.empty((0, 0), frame.dtype)
    bits = np.empty((0, 0), np.uint8)
    return engine.resampled(frame, nothing, bits, first, height, at, taps, value, nothing, bits)


@st.composite
def frames(draw):
    height, width = draw(st.integers(1, 7)), draw(st.integers(1, 7))
    rng = np.random.default_rng(draw(st.integers(0, 1000)))
    frame = rng.normal(10, 3, (height, width)).astype(draw(st.sampled_from(["f4", "f8"])))
    bad = rng.random((height, width)) < draw(st.sampled_from([0, 0.1, 0.5]))
    frame[bad] = draw(st.sampled_from([np.nan, np.inf]))
    flags = np.where(bad, rng.choice([1, 2, 16], (height, width)), 0).astype(np.uint8)
    # away from where a weight is exactly a half, which rounding decides
    at = rng.uniform(-3, 10, (2, 4, 5)).round(2) + 0.00371
    at[:, 0] = np.round(at[:, 0])  # and on pixels
    return frame, rng.random((height, width)).astype(frame.dtype), flags, at


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "numpy"])
@pytest.mark.parametrize("taps", [1, 2, 4, 6])
@some
@given(case=frames())
def test_what_a_frame_has_at_a_position(engine, taps, case):
    frame, variance, flags, at = case
    value, error = np.empty(at.shape[1:], frame.dtype), np.empty(at.shape[1:], frame.dtype)
    reasons = np.empty(at.shape[1:], np.uint8)
    assert engine.resampled(frame, variance, flags, 0, len(frame), at, taps, value, error, reasons) == 0
    alone = np.empty_like(value)
    assert resampled_alone(engine, frame, 0, len(frame), at, taps, alone) == 0
    np.testing.assert_array_equal(alone, value)
    expected = [
        [oracle(frame.astype(float), variance.astype(float), flags, x, y, taps) for x, y in zip(*row, strict=True)]
        for row in np.moveaxis(at, 1, 0)
    ]
    values, errors, bits = np.moveaxis(np.array(expected), -1, 0)
    eps = 64 * np.finfo(frame.dtype).eps
    np.testing.assert_allclose(value, values, rtol=eps, atol=100 * eps)
    np.testing.assert_allclose(error, errors, rtol=eps, atol=eps)
    np.testing.assert_array_equal(reasons, bits)


@some
@given(st.floats(1e-17, 1, exclude_max=True))
def test_weights_of_lanczos_are_those_of_its_formula(t):
    expected = np.array([weight(t + 2 - k, 6) for k in range(6)])
    found = np.ravel(plain._lanczos(np.array([t])))
    np.testing.assert_allclose(found, expected / expected.sum(), rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("taps", [1, 2, 4, 6])
@some
@given(case=frames())
def test_engines_have_the_same_bits(taps, case):
    frame, variance, flags, at = case
    found = []
    for engine in ENGINES:
        made = [np.empty(at.shape[1:], d) for d in (frame.dtype, frame.dtype, np.uint8)]
        engine.resampled(frame, variance, flags, 0, len(frame), at, taps, *made)
        found.append(made)
    for a, b in zip(*found, strict=True):
        np.testing.assert_array_equal(a, b)


def all_of(engine, frame, variance, flags, at, taps):
    """Values, errors, reasons and the count of pixels not read, for the middle rows of a frame."""
    made = [np.empty(at.shape[1:], d) for d in (frame.dtype, frame.dtype, np.uint8)]
    rows = slice(5, 35)
    beyond = engine.resampled(frame[rows], variance[rows], flags[rows], 5, len(frame), at, taps, *made)
    return [*made, np.array(beyond)]


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("taps", [1, 2, 4, 6])
def test_long_rows_are_the_same_in_parts_and_in_both_engines(taps, kind):
    """Wider than what is done at a time; with runs inside the frame, outside of it, and across its edge."""
    rng = np.random.default_rng(taps)
    frame, variance = rng.normal(10, 3, (2, 40, 300)).astype(kind)
    bad = rng.random(frame.shape) < 0.01
    frame[bad], flags = np.nan, np.where(bad, 4, 0).astype(np.uint8)
    variance = np.abs(variance)
    variance[rng.random(frame.shape) < 0.01] = np.inf
    y, x = np.mgrid[:12, : 2 * RUN + RUN // 2].astype(float)
    at = np.stack([1.3 * x - 40 + 0.02 * y, 0.05 * x + 3.37 * y])
    at[:, 3] = np.round(at[:, 3])
    at[0, 4] += 1000
    at[0, 5, ::7], at[1, 6, ::9], at[1, 7, ::5] = np.nan, np.inf, 1e300
    whole = all_of(compiled, frame, variance, flags, at, taps)
    assert np.isfinite(whole[0]).sum() > 1000
    for a, b in zip(whole, all_of(plain, frame, variance, flags, at, taps), strict=True):
        np.testing.assert_array_equal(a, b)
    alone = np.empty_like(whole[0])
    assert resampled_alone(compiled, frame[5:35], 5, 40, at, taps, alone) == whole[3]
    np.testing.assert_array_equal(alone, whole[0])
    cuts = 0, 1, RUN + 5, at.shape[2]
    parts = [all_of(compiled, frame, variance, flags, at[..., a:b].copy(), taps) for a, b in itertools.pairwise(cuts)]
    for made, pieces in zip(whole, zip(*parts, strict=True), strict=True):
        np.testing.assert_array_equal(np.hstack(pieces) if made.ndim else sum(pieces), made)


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "numpy"])
@pytest.mark.parametrize("taps", [1, 2, 4])
def test_rows_that_are_not_there_are_counted(engine, taps):
    frame = np.arange(40.0).reshape(8, 5)
    at = np.stack([np.full((1, 6), 2.25), np.array([[0.3, 1.4, 2.6, 3.4, 4.6, 5.4]])])
    whole, part = np.empty((1, 6)), np.empty((1, 6))
    assert resampled_alone(engine, frame, 0, 8, at, taps, whole) == 0
    assert resampled_alone(engine, frame[2:6].copy(), 2, 8, at, taps, part) > 0
    here = at[:, :, 2:4]
    if taps < 4:
        assert resampled_alone(engine, frame[2:6].copy(), 2, 8, here, taps, part[:, 2:4].copy()) == 0


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "numpy"])
@pytest.mark.parametrize("step", [8, 16])
def test_places_are_cubics_through_nodes(engine, step):
    """Exact for polynomials of third degree."""
    j, i = np.mgrid[-1:7, -1:6] * float(step)
    f = lambda x, y: 3 + 2 * x - y + 0.01 * x * y + 1e-3 * y**2 - 1e-5 * x**3 + 1e-6 * x**2 * y**3  # noqa: E731
    nodes = np.stack([f(i, j), f(j, i)])
    out = np.empty((2, 11, 3 * step + 5))
    engine.interpolated_nodes(nodes, pixel_map.table(step), 5, out)
    y, x = np.mgrid[5:16, : out.shape[2]].astype(float)
    np.testing.assert_allclose(out, np.stack([f(x, y), f(y, x)]), rtol=1e-11, atol=1e-9)


def test_places_have_the_same_bits():
    nodes = np.random.default_rng(0).normal(0, 100, (3, 7, 8))
    found = []
    for engine in ENGINES:
        out = np.empty((3, 30, 37))
        engine.interpolated_nodes(nodes, pixel_map.table(8), 1, out)
        found.append(out)
    np.testing.assert_array_equal(*found)
