"""Measure each rejection on simulated pixels, and draw the curves of docs/choosing.md: python docs/make_curves.py."""

from __future__ import annotations

import csv
import warnings
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

import xccd

FOLDER = Path(__file__).resolve().parent / "_static"
READ, SKY = 5.0, 200.0  # electrons; the gain is 1
FRAMES = (1, 2, 3, 4, 5, 7, 10, 15, 25, 50, 100)
SHARES = (0.001, 0.01, 0.05, 0.1, 0.2)  # of the samples that a cosmic ray hits
LEVELS = (20.0, 200.0, 2000.0, 20000.0)
AMPLITUDES = (5.0, 500.0)  # deviations, log-uniform
WRONG = 10.0  # deviations of a clean mean: in `Result.merit` a pixel that is wrong by more counts as this


class Rule(NamedTuple):
    """A rejection of the curves: its name in the pictures, the algorithm, and what is not its default."""

    label: str
    algorithm: str
    options: Mapping[str, Any] = MappingProxyType({})


STABLE = {"center": "median", "maxiters": None}
CAMERA = {"readnoise": READ, "gain": 1.0}
RULES = (
    Rule("noise", "noise", CAMERA),
    Rule("noise, low=None", "noise", CAMERA | {"low": None}),
    Rule("noise, spare_cores=1.2", "noise", CAMERA | {"spare_cores": 1.2}),
    Rule("variance", "variance"),
    Rule("sigma, median, mad_std", "sigma", STABLE | {"deviation": "mad_std"}),
    Rule("sigma, median, std", "sigma", STABLE),
    Rule("sigma (mean, std, 1 pass)", "sigma"),
    Rule("winsorized", "winsorized"),
    Rule("linear_fit", "linear_fit"),
    Rule("esd", "esd"),
    Rule("chauvenet", "chauvenet"),
    Rule("chauvenet, robust", "chauvenet", {"robust": True}),
    Rule("percentile", "percentile"),
    Rule("percentile_rank", "percentile_rank"),
    Rule("swarp", "swarp", {"noise": READ, "gain": 1.0}),
    Rule("extrema, 0 and 1", "extrema", {"low": 0, "high": 1}),
    Rule("lacosmic", "lacosmic", CAMERA),
)


class Result(NamedTuple):
    """What a rejection did: shares of struck and of clean samples that it took, and the mean of the rest.

    Bias and rms are in deviations of a mean of as many clean frames: 1 is the best rms, where nothing is struck.
    ``empty`` is the share of pixels that have no sample left; they are in no mean. ``merit`` is an rms in which no
    pixel counts more than `WRONG`, and an empty one as much: else two rays on one pixel decide it alone.
    """

    found: float
    lost: float
    bias: float
    rms: float
    empty: float
    merit: float


def pixels(frames: int, share: float, level: float = SKY, side: int = 160, seed: int = 0) -> tuple[Any, Any]:
    """Frames (frame, y, x) of a constant level with the noise of a camera, and which samples a cosmic ray hit."""
    rng = np.random.default_rng([seed, frames, round(1e4 * share), round(level)])
    deviation = np.sqrt(READ**2 + level)
    struck = rng.random((frames, side, side)) < share
    height = np.exp(rng.uniform(*np.log(AMPLITUDES), struck.shape))
    x = level + deviation * (rng.standard_normal(struck.shape) + struck * height)
    return xr.DataArray(x.astype("float32"), dims=("frame", "y", "x"), name="data"), struck


def measure(clipped: Any, struck: Any, level: float = SKY) -> Result:
    """Compare a clipped stack with the truth."""
    out, n = np.isnan(clipped.values), struck.shape[0]
    left = n - out.sum(0)
    total = np.where(out, 0, clipped.values - level).sum(0, dtype=np.float64)
    whole = left > 0
    error = total[whole] / left[whole] / np.sqrt((READ**2 + level) / n)
    counted = np.full(left.size, WRONG)
    counted[: error.size] = np.minimum(abs(error), WRONG)
    bias, rms = (error.mean(), np.sqrt((error**2).mean())) if error.size else (np.nan, np.nan)
    merit = np.sqrt((counted**2).mean())
    return Result(out[struck].mean(), out[~struck].mean(), bias, rms, 1 - whole.mean(), merit)


def judged(rule: Rule, stack: Any, level: float = SKY) -> Any:
    """The stack after a rule; "variance" gets the true deviations."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of too few frames: the curves show it
        if rule.algorithm != "variance":
            return xccd.reject(stack, rule.algorithm, **rule.options)
        deviations = xr.full_like(stack, np.sqrt(READ**2 + level))
        flagged = stack.ccd.to_dataset(uncertainty=deviations).ccd.reject("variance", **rule.options)
        return stack.where(flagged["data_flags"] == 0)


def cases() -> list[tuple[int, float, float]]:
    """Counts of frames, shares and levels that are measured."""
    found = [(n, 0.01, SKY) for n in FRAMES] + [(10, share, SKY) for share in SHARES]
    found += [(n, 0.01, level) for n in (3, 10) for level in LEVELS]
    found += [(n, share, SKY) for n in (2, 3, 4, 5, 7, 25) for share in (0.001, 0.1)]
    return list(dict.fromkeys(found))


def table(rules: tuple[Rule, ...] = RULES) -> list[dict[str, Any]]:
    """All measurements, a row for each rule, count of frames, share and level."""
    rows = []
    for n, share, level in cases():
        stack, struck = pixels(n, share, level, side=160 if n <= 25 else 100)
        for rule in rules:
            if rule.algorithm == "lacosmic" and n > 10:
                continue  # it takes each frame by itself
            got = measure(judged(rule, stack, level), struck, level)
            numbers = {k: f"{v:.5f}" for k, v in got._asdict().items()}
            rows.append({"rule": rule.label, "frames": n, "share": share, "level": level, **numbers})
    return rows


def stars(frames: int, spread: float, light: float, count: int = 40) -> tuple[Any, Any]:
    """Frames of stars, one above the other, whose width of 3.2 pixels varies by ``spread``; and their apertures."""
    rng = np.random.default_rng(frames)
    y, x = np.mgrid[:31, :31] - 15.0
    width = 3.2 * (1 + spread * rng.standard_normal((frames, count, 1, 1))) / (2 * np.sqrt(2 ** (1 / 3) - 1))
    mean = SKY + light * 2 / (np.pi * width**2) * (1 + (x * x + y * y) / width**2) ** -3
    stack = rng.normal(mean, np.sqrt(READ**2 + mean)).astype("float32").reshape(frames, -1, 31)
    radius = np.tile(np.hypot(x, y), (count, 1))
    return xr.DataArray(stack, dims=("frame", "y", "x"), name="data"), radius


AMONG_STARS = (
    "noise", "noise, low=None", "noise, spare_cores=1.2", "sigma, median, mad_std", "winsorized", "lacosmic"
)  # fmt: skip


def of_stars() -> list[dict[str, Any]]:
    """What rules take of the cores of stars whose width varies, though no cosmic ray is there."""
    rows = []
    for n in (2, 3, 4, 5, 10):
        for spread, light in ((0, 1e6), (0.05, 1e6), (0.1, 1e5), (0.1, 1e6)):
            stack, radius = stars(n, spread, light)
            plain = stack.values.mean(0)
            for rule in (rule for rule in RULES if rule.label in AMONG_STARS):
                clipped = judged(rule, stack).values
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")  # of pixels without a sample
                    left = np.nanmean(clipped, 0)
                lost = np.isnan(clipped[:, radius < 3]).mean()
                ratio = np.nansum(left[radius < 6] - SKY) / (plain[radius < 6] - SKY).sum()
                row = {"rule": rule.label, "frames": n, "seeing": spread, "electrons": light}
                rows.append(row | {"lost": f"{lost:.4f}", "flux": f"{ratio:.4f}"})
    return rows


def write(name: str, rows: list[dict[str, Any]]) -> None:
    """A table as CSV."""
    with open(FOLDER / name, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def main() -> None:
    """Measure, and write the tables."""
    write("rejections.csv", table())
    write("rejections_stars.csv", of_stars())


if __name__ == "__main__":
    main()
