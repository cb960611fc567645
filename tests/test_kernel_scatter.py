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


def sums_by_sample(samples, least, most, given):
    """The rows of `error_sums` for one pixel, sample by sample."""
    rows = [0.0] * 6
    for value, (w, f, error, common) in zip(samples, given, strict=True):
        if not (least <= value <= most and w > 0):
            continue
        own = max((f * error) ** 2 - (f * common) ** 2, 0.0) if not math.isnan(error) else math.nan
        root = math.sqrt(own)
        terms = (w, w * w * own, w * abs(f) * common, w / root if root else math.inf, w * w, 1.0)
        rows = [row + term for row, term in zip(rows, terms, strict=True)]
    return rows


@pytest.mark.parametrize("dtype", DIRECT, ids=str)
@pytest.mark.parametrize("frames", [1, 2, 7])
@pytest.mark.parametrize("ranks", [False, True])
def test_sums_of_the_errors_of_samples(frames: int, dtype: np.dtype, ranks: bool) -> None:
    rng = np.random.default_rng(frames)
    x = rng.integers(900, 1100, (frames, PIXELS + 20)).astype(dtype)
    if dtype.kind == "f":
        x[rng.random(x.shape) < 0.1] = np.nan
    found = limits(dtype)
    bounds = Bounds(np.full(PIXELS, found.least), np.full(PIXELS, found.most), True)
    bounds[1][::3] = 1050
    for shapes in rng.integers(0, 2, (6, 4, 2)):
        sizes = [(frames if a else 1, PIXELS if b else 1) for a, b in shapes]
        weights, factors, errors, common = (rng.choice(few, size) for few, size in zip(
            ([0.0, 1.0, 3.0], [1.0, -2.0, 0.5], [0.0, 1.0, 2.0, np.nan, -1.0], [0.0, 0.5]), sizes, strict=True
        ))  # fmt: skip
        made = [engine.error_sums(x, 10, 10 + PIXELS, bounds, weights, factors, errors, common, ranks)
                for engine in (compiled, plain)]  # fmt: skip
        np.testing.assert_array_equal(made[0][0], made[1][0])
        every = [np.broadcast_to(a, (frames, PIXELS)) for a in (weights, factors, errors, common)]
        used = (x[:, 10:-10] >= bounds[0]) & (x[:, 10:-10] <= bounds[1]) & (every[0] > 0)
        assert made[0][1] == made[1][1] == np.count_nonzero(used & (every[2] < 0))
        for j in range(0, PIXELS, 11):
            rows = sums_by_sample(
                x[:, 10 + j].tolist(), bounds[0][j], bounds[1][j], np.stack([a[:, j] for a in every], axis=1).tolist()
            )
            np.testing.assert_allclose(made[0][0][:, j], rows if ranks else [*rows[:3], 0, 0, 0], rtol=1e-12)
