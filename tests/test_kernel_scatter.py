"""The error of a weighted mean: both engines beside the formula, sample by sample."""

import math

import numpy as np
import pytest

from xccd.kernels.arguments import Bounds
from xccd.kernels.compiled import engine as compiled
from xccd.kernels.limits import DIRECT, limits
from xccd.kernels.plain import engine as plain

PIXELS = 1300  # more than two blocks


def oracle(samples: list[float], weights: list[float]) -> float:
    whole = sum(weights)
    if not whole:
        return math.nan
    h = [w / whole for w in weights]
    mean = sum(a * x for a, x in zip(h, samples, strict=True))
    squares = [(x - mean) ** 2 for x in samples]
    if max(h) >= 0.5:
        return math.sqrt(sum(a * a * s / (1 - a) if a < 1 else math.nan for a, s in zip(h, squares, strict=True)))
    share = [a * a / (1 - 2 * a) for a in h]
    return math.sqrt(sum(a * s for a, s in zip(share, squares, strict=True)) / (1 + sum(share)))


@pytest.mark.parametrize("shape", [(7, 1), (7, PIXELS), (1, PIXELS)], ids=str)
@pytest.mark.parametrize("dtype", DIRECT, ids=str)
@pytest.mark.parametrize("frames", [1, 2, 3, 7])
def test_the_error_of_a_weighted_mean(frames: int, dtype: np.dtype, shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(frames)
    x = rng.integers(900, 1100, (frames, PIXELS + 20)).astype(dtype)
    if dtype.kind == "f":
        x[rng.random(x.shape) < 0.1] = np.nan
    weights = rng.choice([0.0, 0.5, 1.0, 3.0, 40.0], (min(frames, shape[0]), shape[1]))
    found = limits(dtype)
    bounds = Bounds(np.full(PIXELS, found.least), np.full(PIXELS, found.most), True)
    bounds[1][::3] = 1050
    errors = []
    for engine in (compiled, plain):
        out = np.empty(PIXELS)
        whole = engine.weighted_error(x, 10, 10 + PIXELS, bounds, weights, out)
        errors.append((out, whole))
    np.testing.assert_array_equal(errors[0], errors[1])
    every = np.broadcast_to(weights, (frames, PIXELS))
    for j in range(0, PIXELS, 7):
        used = [k for k in range(frames) if bounds[0][j] <= x[k, 10 + j] <= bounds[1][j] and every[k, j] > 0]
        expected = oracle([float(x[k, 10 + j]) for k in used], [float(every[k, j]) for k in used])
        assert errors[0][0][j] == pytest.approx(expected, rel=1e-12, abs=1e-12, nan_ok=True)
        assert errors[0][1][j] == sum(float(every[k, j]) for k in used)
