"""The columns that every program gets, and survivors as numbers: bit i is set where frame i survives."""

from __future__ import annotations

from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
LEVEL, NOISE = 1000.0, 20.0
FRAMES = (3, 4, 5, 6, 7, 8, 10, 12, 15, 20, 25)
EACH = 12  # columns of a kind, for each count of frames
MOST = max(FRAMES)
# The samples of docs/coming_from.md, and what makes their means tell which of them are left.
FIXTURE = np.array([100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90])
TRACES = np.array([0, 0.013, 0.029, 0.007, 0.041, 0.019, 0.003, 0.031, 0.023, 0.011])
COPIES = 16  # they fill a row of pixels


def kinds(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    """Some columns of each kind, as (frames, columns)."""
    shape = (n, EACH)
    clean, spike = rng.normal(LEVEL, NOISE, shape), np.zeros(shape)
    spike[rng.integers(n, size=EACH), np.arange(EACH)] = rng.uniform(4, 60, EACH) * NOISE
    bad = rng.random(shape) < 0.2
    levels = LEVEL + np.sort(rng.normal(0, NOISE, 12))  # irregular, so that a mean tells which of them it is of
    ties = levels[np.clip(np.round(rng.normal(5.5, 1.5, shape)), 0, 11).astype(int)]
    return {
        "noise": clean,
        "high": clean + spike,
        "low": clean - spike / 3,
        "contaminated": clean + bad * rng.exponential(10 * NOISE, shape),
        "tails": LEVEL + np.clip(NOISE * rng.standard_t(2, shape), -45 * NOISE, 45 * NOISE),
        "ties": ties,
        "counts": np.round(clean + spike),
        "equal": LEVEL + (spike > 0) * np.round(spike) + (rng.random(shape) < 0.15),
    }


def columns(seed: int = 7) -> dict[int, np.ndarray]:
    """For each count of frames the columns, float32 (frames, columns), all above 0 and below 65536."""
    rng = np.random.default_rng(seed)
    made = {n: np.concatenate(list(kinds(rng, n).values()), axis=1) for n in FRAMES}
    made[10] = np.concatenate([made[10], np.repeat((FIXTURE + TRACES)[:, None], COPIES, axis=1)], axis=1)
    return {n: np.clip(x, 1, 65535).astype("f4") for n, x in made.items()}


def kept_columns() -> dict[int, np.ndarray]:
    """The columns of the reference files, as `columns` gives them."""
    with np.load(HERE / "columns.npz") as file:
        table = file["values"]
    counts = np.isfinite(table).sum(0)
    return {int(n): table[:n, counts == n] for n in np.unique(counts)}


def padded(made: dict[int, np.ndarray]) -> np.ndarray:
    """All columns as one array (frames, columns), NaN below the last frame of a column."""
    return np.concatenate([np.pad(x, ((0, MOST - n), (0, 0)), constant_values=np.nan) for n, x in made.items()], axis=1)


def bits(survives: np.ndarray) -> np.ndarray:
    """Survivors (frames, columns) as one number for each column."""
    weights = np.left_shift(np.uint32(1), np.arange(len(survives), dtype=np.uint32))
    return (survives * weights[:, None]).sum(0).astype(np.uint32)


def frames_of(numbers: np.ndarray, n: int) -> np.ndarray:
    """The inverse of `bits`: (frames, columns), bool."""
    return (numbers[None] >> np.arange(n, dtype=np.uint32)[:, None] & 1).astype(bool)


def windows(column: np.ndarray, together: bool = True) -> np.ndarray:
    """Every window of the sorted column as a row of survivors; equal samples go together, or else in frame order."""
    rank = np.empty(column.size, int)
    rank[np.argsort(column, kind="stable")] = np.arange(column.size)
    if together:
        rank = np.unique(column, return_inverse=True)[1]
    first, last = np.triu_indices(rank.max() + 1)
    return (first[:, None] <= rank) & (rank <= last[:, None])
