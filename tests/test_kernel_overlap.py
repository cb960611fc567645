"""The mean over overlaps against polygons of shapely, in both engines."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from shapely import Polygon, box

from strategies import quadrilaterals
from xccd.kernels.compiled import overlap as compiled
from xccd.kernels.plain import overlap as plain

ENGINES = [compiled, plain]
some = settings(max_examples=40, deadline=None)


def oracle(frame, variance, flags, quad, total):
    whole = Polygon(quad)
    height, width = frame.shape
    parts = {
        (j, i): whole.intersection(box(i - 0.5, j - 0.5, i + 0.5, j + 0.5)).area
        for j in range(height)
        for i in range(width)
    }
    good = {p: w for p, w in parts.items() if w > 0 and np.isfinite(frame[p])}
    weight = sum(good.values())
    if not good or weight < 0.499999 * whole.area:
        bits = 128 if sum(parts.values()) < whole.area * (1 - 1e-7) else 0
        for p, w in parts.items():
            bits |= int(flags[p]) if w > 1e-9 * whole.area else 0
        return np.nan, np.nan, bits
    scale = (whole.area if total else 1) / weight
    value = sum(w * float(frame[p]) for p, w in good.items()) * scale
    return value, math.sqrt(sum(w * w * float(variance[p]) for p, w in good.items())) * scale, 0


def run(engine, case, total, rows=slice(None)):
    frame, variance, flags, corners = case
    shape = (corners.shape[1] - 1, corners.shape[2] - 1)
    made = [np.empty(shape, d) for d in (frame.dtype, frame.dtype, np.uint8)]
    parts = [np.ascontiguousarray(a[rows]) for a in (frame, variance, flags)]
    beyond = engine.overlapped(*parts, rows.start or 0, len(frame), corners, total, *made)
    return made, beyond


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "numpy"])
@some
@given(case=quadrilaterals(), total=st.booleans())
def test_overlaps_are_those_of_polygons(engine, case, total):
    frame, variance, flags, corners = case
    (value, error, reasons), beyond = run(engine, case, total)
    assert beyond == 0
    alone, nothing, bits = np.empty_like(value), np.empty((0, 0), frame.dtype), np.empty((0, 0), np.uint8)
    engine.overlapped(frame, nothing, bits, 0, len(frame), corners, total, alone, nothing, bits)
    np.testing.assert_array_equal(alone, value)
    eps = 16 * np.finfo(frame.dtype).eps
    for k, c in np.ndindex(value.shape):
        quad = corners[:, [k, k, k + 1, k + 1], [c, c + 1, c + 1, c]].T
        v, e, bits = oracle(frame, variance, flags, quad, total)
        shares = Polygon(quad).intersection(box(-0.5, -0.5, frame.shape[1] - 0.5, frame.shape[0] - 0.5)).area
        if abs(shares / Polygon(quad).area - 0.5) < 1e-5:
            continue  # half, which rounding decides
        np.testing.assert_allclose([value[k, c], error[k, c]], [v, e], rtol=eps, atol=1e-9)
        assert reasons[k, c] == bits


@some
@given(case=quadrilaterals(), total=st.booleans())
def test_engines_have_the_same_bits(case, total):
    one, other = (run(engine, case, total)[0] for engine in ENGINES)
    for a, b in zip(one, other, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "numpy"])
def test_rows_that_are_not_there_are_counted(engine):
    y, x = np.mgrid[:7, :5] - 0.7
    frame = np.arange(30.0).reshape(6, 5)
    case = (frame, frame, np.zeros(frame.shape, np.uint8), np.stack([x, y]))
    assert run(engine, case, False)[1] == 0
    assert run(engine, case, False, slice(1, 5))[1] > 0


@pytest.mark.parametrize("engine", ENGINES, ids=["numba", "numpy"])
def test_nothing_is_lost(engine):
    """The areas of quadrilaterals that cover a frame add up to its pixels."""
    y, x = np.mgrid[-3:9:0.7, -3:9:0.6]
    corners = np.stack([x + 0.3 * np.sin(y), y + 0.2 * np.cos(x)])
    frame = np.random.default_rng(0).normal(0, 1, (5, 5))
    case = (np.pad(frame, 2), np.ones((9, 9)), np.zeros((9, 9), np.uint8), corners + 2)
    (value, _, _), _ = run(engine, case, True)
    assert np.nansum(value) == pytest.approx(frame.sum(), rel=1e-13)
