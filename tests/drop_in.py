"""Frames, scripts and comparisons for the tests of the drop-in for ccdproc."""

from __future__ import annotations

from typing import Any

import numpy as np
from astropy.nddata import CCDData, StdDevUncertainty

V = [100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90]
METHODS = ("average_combine", "median_combine", "sum_combine")


def column(values: Any, masked: tuple[int, ...] = ()) -> list[CCDData]:
    """Frames of 2 x 3 equal pixels."""
    return [
        CCDData(np.full((2, 3), float(v)), unit="adu", mask=np.full((2, 3), i in masked)) for i, v in enumerate(values)
    ]


def frames(
    n: int = 9, shape: tuple[int, ...] = (13, 7), seed: int = 1, dtype: str = "float64", **more: Any
) -> list[CCDData]:
    rng = np.random.default_rng(seed)
    data = rng.normal(1000, 10, (n, *shape))
    data[rng.random(data.shape) < 0.05] += 300
    return [CCDData(d.astype(dtype), unit="adu", meta={"EXPTIME": 10.0 + i}, **more) for i, d in enumerate(data)]


def assert_same(theirs: CCDData, mine: CCDData, rtol: float = 1e-12) -> None:
    assert type(mine) is type(theirs) is CCDData
    assert (mine.unit, mine.data.dtype, dict(mine.meta)) == (theirs.unit, theirs.data.dtype, dict(theirs.meta))
    assert type(mine.uncertainty) is type(theirs.uncertainty) is StdDevUncertainty
    assert type(mine.uncertainty.array) is np.ndarray
    assert mine.uncertainty.array.dtype == theirs.uncertainty.array.dtype
    np.testing.assert_array_equal(mine.mask, theirs.mask)
    good = ~theirs.mask
    np.testing.assert_allclose(mine.data[good], theirs.data[good], rtol=rtol)
    size = np.abs(theirs.data[good]).max(initial=1)  # deviations of equal samples are rounding noise
    np.testing.assert_allclose(
        mine.uncertainty.array[good], theirs.uncertainty.array[good], rtol=rtol, atol=size * rtol
    )


def script(
    package: Any,
    ccds: list[CCDData],
    end: str = "average_combine",
    /,
    *,
    dtype: Any = None,
    weights: Any = None,
    scaling: Any = None,
    clip: dict[str, dict[str, Any]] | None = None,
    **options: Any,
) -> CCDData:
    combiner = package.Combiner(ccds, dtype=dtype)
    combiner.weights, combiner.scaling = weights, scaling
    for name, arguments in (clip or {}).items():
        getattr(combiner, name.rstrip("_"))(**arguments)  # a second call of one is spelled with _
    return getattr(combiner, end)(**options)
