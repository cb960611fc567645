"""The examples that the project shows first, as they are written."""

from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

import xccd

pytestmark = pytest.mark.versions


@pytest.fixture
def in_a_night(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xccd.simulate_night(tmp_path / "raw", shape=(32, 40), nbias=0, ndark=0, nflat=30, nlight=0)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("in_a_night")
def test_four_lines() -> None:
    stack = xccd.open_stack("raw/flat-r-*.fits")
    clipped = stack.ccd.sigma_clip(2, 5)
    master = clipped.ccd.combine("mean", weights="EXPTIME")
    master.ccd.to_fits("master-flat-r.fits")

    raw = np.stack([fits.getdata(f"raw/flat-r-{i:03d}.fits") for i in range(1, 31)]).astype(float)
    mean, std = raw.mean(0), raw.std(0)
    kept = np.where((raw < mean - 2 * std) | (raw > mean + 5 * std), np.nan, raw)
    assert np.isnan(kept).any()
    np.testing.assert_allclose(fits.getdata("master-flat-r.fits"), np.nanmean(kept, axis=0), rtol=1e-7)


@pytest.mark.usefixtures("in_a_night")
def test_one_line() -> None:
    xccd.open_stack("raw/flat-g-*.fits").ccd.sigma_clip(2, 5).ccd.combine("mean").ccd.to_fits("master.fits")
    assert fits.getheader("master.fits")["NCOMBINE"] == 30


def test_the_readme_shows_the_four_lines() -> None:
    readme = (Path(__file__).parents[1] / "README.md").read_text()
    for line in ('xccd.open_stack("raw/flat-r-*.fits")', 'combine("mean", weights="EXPTIME")', "xccd demo"):
        assert line in readme
