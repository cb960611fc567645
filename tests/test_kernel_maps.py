"""The kernels of maps: twins with equal bits, and equal to the kernels that each look at the samples once more."""

import numpy as np
import pytest

from xccd.kernels.arguments import Bounds
from xccd.kernels.compiled import engine as compiled
from xccd.kernels.compiled import maps
from xccd.kernels.limits import DIRECT, limits
from xccd.kernels.plain import engine as plain

PIXELS, START = 530, 7  # more than a block of sums
ONE = np.ones((1, 1))


def samples(dtype: np.dtype, frames: int, share: float) -> tuple[np.ndarray, Bounds, Bounds]:
    """Samples with this share of outliers, bounds before clips, and after them; some pixels have no sample in use."""
    rng = np.random.default_rng(frames)
    x = rng.normal(1000, 20, (frames, PIXELS + 2 * START)).round(2)
    far = rng.random(x.shape) < share
    x[far] += rng.choice([-500, 500], far.sum())
    x = x.astype(dtype)
    if dtype.kind == "f":
        holes = rng.random(x.shape) < share / 3
        x[holes] = rng.choice([np.nan, np.inf, -np.inf], holes.sum())
    found = limits(dtype)
    before = Bounds(np.full(PIXELS, found.least), np.full(PIXELS, found.most), True)
    before.least[::5] = 520
    after = Bounds(np.full(PIXELS, dtype.type(800)), np.full(PIXELS, dtype.type(1200)), True)
    after.least[100:103], after.most[100:103] = found.behind, found.before
    return x, before, after


def counted(x: np.ndarray, bounds: Bounds) -> np.ndarray:
    x = x[:, START : START + PIXELS]
    return ((x >= bounds.least) & (x <= bounds.most)).sum(0, dtype=np.int32)


def reduced(engine, name: str, x: np.ndarray, bounds: Bounds, ddof: int = 0) -> np.ndarray:
    out = np.empty(PIXELS)
    engine.reduce(name, x, START, START + PIXELS, bounds, ONE, 0.0, ddof, out)
    return out


@pytest.mark.parametrize("engine", [compiled, plain], ids=["numba", "numpy"])
@pytest.mark.parametrize("share", [0.001, 0.3])  # few pixels that lost a sample, and most
@pytest.mark.parametrize("frames", [1, 2, 7, 12])
@pytest.mark.parametrize("dtype", DIRECT, ids=str)
def test_scatter_and_sides(engine, share, frames, dtype):
    x, before, after = samples(dtype, frames, share)
    count = counted(x, after)
    total = reduced(engine, "sum", x, after)
    at = (x, START, START + PIXELS, after)
    spread, low, high, by_frame = engine.survey(*at, before, count, total, 1)
    np.testing.assert_array_equal(spread, reduced(engine, "std", x, after, ddof=1))
    np.testing.assert_array_equal(engine.survey(*at, None, count, total, 1)[0], spread)
    some = x[:, START : START + PIXELS]
    down = (some >= before.least) & (some < after.least) & (count > 0)
    up = (some > after.most) & (some <= before.most) & (count > 0)
    np.testing.assert_array_equal([low, high], [down.sum(0), up.sum(0)])
    np.testing.assert_array_equal(by_frame, [down.sum(1), up.sum(1)])
    alone = engine.survey(*at, before, count, None, 1)
    for found, expected in zip(alone[1:], (low, high, by_frame), strict=True):
        np.testing.assert_array_equal(found, expected)


def test_more_frames_than_an_int16_counts(monkeypatch):
    monkeypatch.setattr(maps, "MOST_COUNTED", 5)  # a constant of the compiled code: for what runs as Python
    test_scatter_and_sides(compiled, 0.3, 7, np.dtype(np.int16))


@pytest.mark.parametrize("scale", [1e-160, 1e160])
def test_squares_out_of_range(scale):
    x, before, after = samples(np.dtype(np.float64), 7, 0.1)
    x, after = x * scale, Bounds(after.least * scale, after.most * scale, True)
    count = counted(x, after)
    for engine in (compiled, plain):
        found = engine.survey(x, START, START + PIXELS, after, before, count, reduced(engine, "sum", x, after), 1)
        np.testing.assert_array_equal(found[0], reduced(engine, "std", x, after, ddof=1))


@pytest.mark.parametrize("engine", [compiled, plain], ids=["numba", "numpy"])
@pytest.mark.parametrize("frames", [1, 2, 7, 12])
@pytest.mark.parametrize("dtype", DIRECT, ids=str)
def test_median_and_mad(engine, frames, dtype):
    x, _, after = samples(dtype, frames, 0.2)
    center, mad = engine.median_and_mad(x, START, START + PIXELS, after)
    np.testing.assert_array_equal(center, reduced(engine, "median", x, after))
    np.testing.assert_array_equal(mad, reduced(engine, "mad_std", x, after))


@pytest.mark.parametrize("kind", [np.float32, np.float64])
@pytest.mark.parametrize("dtype", DIRECT, ids=str)
def test_errors_of_samples(kind, dtype):
    x, _, after = samples(dtype, 7, 0.2)
    errors = np.random.default_rng(1).choice([0.0, 0.1, 2.5, np.nan, -1.0], (7, PIXELS + 4)).astype(kind)
    count = counted(x, after)
    for engine in (compiled, plain):
        for ranks in (False, True):
            own, inverse, wrong = engine.own_errors(x, START, START + PIXELS, after, errors, 3, ranks)
            rows, bad = engine.error_sums(
                x, START, START + PIXELS, after, ONE, ONE, errors[:, 3 : 3 + PIXELS].astype(np.float64),
                np.zeros((1, 1)), ranks,
            )  # fmt: skip
            np.testing.assert_array_equal([count, own, inverse], rows[[0, 1, 3]])
            assert wrong == bad
