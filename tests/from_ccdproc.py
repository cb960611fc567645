"""The same frames for ccdproc and for xccd, and comparisons of what both make of them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import ccdproc
import numpy as np
import pytest
import xarray as xr
from astropy.io.fits.verify import VerifyWarning
from astropy.nddata import CCDData
from astropy.utils.exceptions import AstropyUserWarning
from ccdproc import Combiner

NUMBERS = [5, 12, 25]
SHAPE = (20, 30)
V = [100, 101, 99, 100.5, 99.5, 102, 98, 100, 150, 90]
differs_in_2_5 = pytest.mark.skipif(
    not ccdproc.__version__.startswith("2.5."), reason="what ccdproc does here was found with 2.5.1"
)


# The same frames for both


def exposures(n: int, *, masks: bool = False) -> list[CCDData]:
    """Frames of one scene: read noise, cosmic rays, cold pixels, and on request input masks, one pixel all masked."""
    rng = np.random.default_rng(n)
    scene = 1000 + 200 * np.hypot(*np.meshgrid(*(np.linspace(-1, 1, s) for s in SHAPE), indexing="ij"))
    data = scene + rng.normal(0, 8, (n, *SHAPE))
    struck, cold = rng.random((2, n, *SHAPE)) < 0.01
    data[struck] += rng.exponential(2000, struck.sum())
    data[cold] -= 300
    bad = rng.random((n, *SHAPE)) < 0.04
    bad[:, 3, 4] = True
    times = rng.uniform(20, 90, n)
    return [CCDData(data[i], unit="adu", mask=bad[i] if masks else None, meta={"EXPTIME": times[i]}) for i in range(n)]


def column(values: list[float], masked: list[int] | None = None) -> list[CCDData]:
    """Frames of 1 x 2 pixels, both with these values."""
    return [
        CCDData(np.full((1, 2), float(v)), unit="adu", mask=np.full((1, 2), masked is not None and i in masked))
        for i, v in enumerate(values)
    ]


def rejected(ccds: list[CCDData], **clip: Any) -> list[int]:
    """Which frames of a column ccdproc masks."""
    combiner = Combiner(ccds)
    combiner.sigma_clipping(**clip)
    return np.flatnonzero(mask_of(combiner)[:, 0, 0]).tolist()


def missing(stack: xr.DataArray) -> list[int]:
    """Which frames of a column are missing here."""
    return np.flatnonzero(stack.ccd.mask.values[:, 0, 0]).tolist()


def mask_of(combiner: Combiner) -> np.ndarray[Any, Any]:
    """The mask of a combiner: the page says ``combiner.mask``, which 2.5.1 lacks."""
    return np.asarray(combiner.mask if hasattr(combiner, "mask") else combiner.data_arr.mask)


def assert_same_mask(combiner: Combiner, stack: xr.DataArray) -> None:
    np.testing.assert_array_equal(stack.ccd.mask.values, mask_of(combiner))


def assert_same_image(theirs: CCDData, ours: xr.DataArray) -> None:
    """Equal to 1e-6, and missing in the same pixels."""
    empty = np.zeros(theirs.shape, bool) if theirs.mask is None else theirs.mask
    assert ours.shape == theirs.shape
    np.testing.assert_array_equal(np.isnan(ours.values), empty)
    np.testing.assert_allclose(ours.values[~empty], theirs.data[~empty], rtol=1e-6)
    assert ours.attrs["units"] == str(theirs.unit)


@contextmanager
def ccdproc_may_warn() -> Iterator[None]:
    """Empty pixels make NumPy warn, a NaN before a clip makes astropy warn, and so do long names in headers."""
    with warnings.catch_warnings():
        for category in (RuntimeWarning, AstropyUserWarning, VerifyWarning):
            warnings.simplefilter("ignore", category)
        yield
