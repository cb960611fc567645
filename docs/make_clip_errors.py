"""Make `src/xccd/kernels/clip_errors.npz`: python docs/make_clip_errors.py, within an hour on one core.

A clip takes the tails of good samples, so their scatter comes out too small, and the image is noisier than a mean of
the samples that are left. The table has the true error over the claimed one, from pixels of normal noise. The claim is
the root of the mean claimed variance.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

import xccd
from xccd.compute.chain import Chain
from xccd.compute.ends import Combine
from xccd.compute.errors import Scatter
from xccd.compute.run import chained
from xccd.compute.steps import Sigma
from xccd.kernels.clip_errors import COUNTS, FILE, METHODS, PAIRS, PASSES, RULES, SIDES, UNIT, WAYS
from xccd.kernels.formulas import wider
from xccd.kernels.table import CENTERS, DEVIATIONS, ClipOptions

Array = np.ndarray[Any, Any]
ENDS = (Combine("mean"), Combine("median"), Scatter("mean"), Scatter("median"), Combine("count"))
SAMPLES, LEAST, MOST = 5_000_000, 80_000, 250_000  # samples and pixels of one count
MANY = 40  # samples from which on the formula for the error of a median is exact


class Pixels(NamedTuple):
    """Pixels of normal samples with a standard deviation of 1, and what they are without a clip."""

    x: Array  # (samples, pixels)
    means: Array
    medians: Array
    variances: Array

    @classmethod
    def of(cls, n: int, seed: int = 0) -> Pixels:
        """Pixels of ``n`` samples."""
        size = min(max(SAMPLES // n, LEAST), MOST)
        x = np.random.default_rng([seed, n]).standard_normal((n, size), np.float32)
        ends = (Combine("mean"), Combine("median"), Combine("var", ddof=1))
        return cls(x, *chained(Chain((), ends), x, dtypes=[np.float64] * 3))


def controlled(values: Array, beside: Array, expected: float) -> float:
    """The mean of ``values``, less what the mean of ``beside`` says of the luck of these samples."""
    use = np.isfinite(values)
    values, beside = values[use], beside[use]
    slope = np.cov(values, beside)[0, 1] / beside.var()
    return float(values.mean() - slope * (beside.mean() - expected))


def measured(pixels: Pixels, options: ClipOptions) -> Array:
    """True over claimed error of a clip of these pixels, (methods, ways).

    A clipped mean is close to the mean of the same samples, whose error is known, and so is a median of many.
    """
    n, chain = len(pixels.x), Chain((Sigma(options),), ENDS)
    *images, of_mean, of_median, count = chained(chain, pixels.x, dtypes=[np.float64] * len(ENDS))
    with np.errstate(all="ignore"):
        alone = np.where(count > 2, wider(count), 1.0) / np.sqrt(count)
        claims = ((of_mean, 1 / np.sqrt(count)), (of_median, alone))
    found = np.empty((len(METHODS), len(WAYS)))
    for m, (image, both) in enumerate(zip(images, claims, strict=True)):
        exact = m == 1 and n > MANY
        known, error = (pixels.medians, wider(np.array(n)) ** 2 / n) if exact else (pixels.means, 1 / n)
        true = controlled((image - np.nanmean(image)) ** 2, (known - known.mean()) ** 2, error)
        for w, claim in enumerate(both):
            found[m, w] = np.sqrt(true / controlled(claim**2, pixels.variances, 1.0))
    return found


def options(rule: tuple[str, str], passes: int, low: float, high: float) -> ClipOptions:
    """The clip of a row of the table."""
    return ClipOptions(CENTERS[rule[0]], DEVIATIONS[rule[1]], low, high, maxiters=float(passes))


def rows(pixels: Pixels) -> Iterable[Array]:
    """The factors of all clips for one count of samples."""
    for rule, passes, (i, j) in itertools.product(RULES, PASSES, PAIRS):
        yield measured(pixels, options(rule, passes, SIDES[i], SIDES[j]))


def main() -> None:
    """Write the table."""
    table = np.empty((len(RULES), len(PASSES), len(PAIRS), len(METHODS), len(WAYS), len(COUNTS)), np.uint16)
    for k, n in enumerate(COUNTS):
        found = np.array(list(rows(Pixels.of(n)))).reshape(table.shape[:-1])
        table[..., k] = np.rint(found * UNIT)
        print(n, found.min().round(3), found.max().round(3), file=sys.stderr, flush=True)
    np.savez_compressed(FILE, factors=table)


if __name__ == "__main__":
    with xccd.set_options(threads=1):
        main()
