"""A comet or an asteroid stands still, and the stars trail."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from astropy import units as u
from astropy.coordinates import SkyCoord
from astropy.table import Table
from astropy.time import Time

import xccd
from sky import sip
from xccd.sky.grid import Grid
from xccd.verbs import moving

SHAPE = (120, 140)
SIDE = 1e-4  # degrees
START = np.datetime64("2026-01-05T01:00:00", "ns")
MINUTES = (0, 20, 40, 60)
RATE = (40.0, -25.0)  # arcseconds an hour: 0.11 and 0.07 degrees a night, 111 and 69 pixels an hour
EXPOSURE = 120.0


def cards(i: int, dec: float, more: dict[str, Any]) -> dict[str, Any]:
    began = START + np.timedelta64(MINUTES[i], "m")
    return {
        "CTYPE1": "RA---TAN", "CTYPE2": "DEC--TAN", "CRVAL1": 150.0, "CRVAL2": dec, "CRPIX1": 70.0 + i,
        "CRPIX2": 60.0 - i, "CD1_1": -SIDE, "CD1_2": 0.0, "CD2_1": 0.0, "CD2_2": SIDE,
        "DATE-OBS": str(began), "EXPTIME": EXPOSURE,
    } | more  # fmt: skip


def place(grid: Grid, rate: tuple[float, float], minutes: float) -> SkyCoord:
    """Where the object is: by the formula of the rates, not by the code under test."""
    center, hours = SkyCoord(*grid.center, unit="deg"), minutes / 60
    dec = center.dec.deg + hours * rate[1] / 3600
    ra = center.ra.deg + hours * rate[0] / 3600 / np.cos(np.radians((dec + center.dec.deg) / 2))
    return SkyCoord(ra, dec, unit="deg")


def spot(grid: Grid, at: SkyCoord) -> np.ndarray:
    """An image of a Gaussian of 3 pixels."""
    x, y = grid.wcs.world_to_pixel(at)
    rows, columns = np.indices(grid.shape)
    return np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / (2 * 1.3**2))


def night(
    dec: float, rate: tuple[float, float] = RATE, comet: float = 100.0, star: float = 0.0, **more: Any
) -> xr.DataArray:
    heads = [cards(i, dec, more) for i in range(len(MINUTES))]
    grids = [Grid.of(head, shape=SHAPE) for head in heads]
    fixed = SkyCoord(*grids[0].center, unit="deg")
    images = [
        comet * spot(g, place(grids[0], rate, t)) + star * spot(g, fixed) for g, t in zip(grids, MINUTES, strict=True)
    ]
    return xccd.open_stack(list(zip(images, heads, strict=True)), chunks="auto")


def centroids(stack: xr.DataArray) -> np.ndarray:
    values = np.nan_to_num(stack.values)
    rows, columns = np.indices(values.shape[1:])
    return np.array(
        [[(v * rows).sum() / v.sum(), (v * columns).sum() / v.sum()] for v in np.where(values > 5, values, 0)]
    )


SLOW = (12.0, -8.0)  # so that it stays in the frame


@pytest.mark.parametrize("dec", [0.0, 20.0, 60.0, -75.0, 89.0])
@pytest.mark.parametrize("more", [{}, sip((70, 60))], ids=["TAN", "SIP"])
def test_the_object_stands_still(dec: float, more: dict[str, Any]) -> None:
    more = {k: v for k, v in more.items() if k[0] in "AB" or k.startswith("CTYPE")}
    stack = night(dec, SLOW, **more)
    aligned = stack.ccd.align(0, rate=SLOW)
    assert type(aligned.data) is type(stack.data)
    at = centroids(aligned)
    assert np.abs(at - at[0]).max() < 0.05  # at Dec 89 the formula of the test is good to 0.04
    trail = centroids(stack.ccd.align(0))
    assert np.hypot(*(trail[-1] - trail[0])) > 30


def test_a_wrong_cosine_would_be_seen() -> None:
    stack = night(60.0, SLOW)
    at = centroids(stack.ccd.align(0, rate=(SLOW[0] / np.cos(np.radians(60)), SLOW[1])))
    assert np.abs(at - at[0]).max() > 10


def test_stars_trail_by_the_rate() -> None:
    stack = night(20.0, SLOW, comet=0.0, star=100.0)
    at = centroids(stack.ccd.align(0, rate=SLOW))
    np.testing.assert_allclose((at[-1] - at[0]) * SIDE * 3600, (-SLOW[1], SLOW[0]), atol=0.02)


def table_of(kind: str) -> Any:
    grid = Grid.of(cards(0, 60.0, {}), shape=SHAPE)
    minutes = np.arange(-30, 121, 30.0) + EXPOSURE / 120
    sky = [place(grid, SLOW, m - EXPOSURE / 120) for m in minutes]
    ra, dec = [s.ra.deg for s in sky], [s.dec.deg for s in sky]
    when = Time(str(START)) + minutes * u.min
    return {
        "Horizons": lambda: Table({"datetime_jd": when.jd, "RA": ra * u.deg, "DEC": dec * u.deg}),
        "pandas": lambda: pd.DataFrame({"time": when.to_datetime(), "ra": ra, "dec": dec}),
        "dict of Time": lambda: {"time": when.tai, "ra": ra, "dec": np.radians(dec) * u.rad},
        "Dataset": lambda: xr.Dataset({"mjd": ("t", when.mjd), "ra": ("t", ra), "dec": ("t", dec)}),
        "text": lambda: {"time": [str(t) for t in when.isot], "ra": ra, "dec": dec},
    }[kind]()


@pytest.mark.parametrize("kind", ["Horizons", "pandas", "dict of Time", "Dataset", "text"])
def test_an_ephemeris_of_any_kind(kind: str) -> None:
    at = centroids(night(60.0, SLOW).ccd.align(0, ephemeris=table_of(kind)))
    assert np.abs(at - at[0]).max() < 0.03


def test_both_products_lie_on_one_grid(tmp_path) -> None:
    stack = night(20.0, SLOW, star=60.0)
    stars = stack.ccd.align()
    on_stars = stars.ccd.combine("median")
    on_comet = stack.ccd.align(stars[0], rate=SLOW).ccd.combine("median")
    assert on_stars.shape == on_comet.shape
    assert float(on_comet.max()) > 80 > 70 > float(on_stars.max()) > 50
    on_comet.ccd.to_fits(tmp_path / "comet.fits")
    again = xccd.open_image(tmp_path / "comet.fits")
    assert "rate=(12.0, -8.0)" in str(again.ccd.header()["HISTORY"]).replace("\n", "")
    peak = np.unravel_index(int(np.nanargmax(again.values)), again.shape)
    there = again.ccd.wcs().pixel_to_world(peak[1], peak[0])
    assert there.separation(SkyCoord(*Grid.of(stack[0]).center, unit="deg")).deg < 1.5 * SIDE


def test_the_frame_that_is_named_is_the_reference() -> None:
    stack = night(60.0, SLOW)
    first = centroids(stack.ccd.align(0, rate=SLOW))[0]
    rate_from_last = centroids(stack.ccd.align(3, ephemeris=table_of("pandas")))
    np.testing.assert_allclose(rate_from_last, np.broadcast_to(centroids(stack[3:])[0], (4, 2)), atol=0.05)
    np.testing.assert_allclose(first, centroids(stack[:1])[0], atol=0.05)


def test_lists_trees_and_datasets_follow_too() -> None:
    stack = night(20.0, SLOW)
    expected = stack.ccd.align(0, rate=SLOW)
    np.testing.assert_array_equal(xccd.align([stack[:2], stack[2:]], 0, rate=SLOW), expected)
    ds = stack.ccd.to_dataset().ccd.align(0, rate=SLOW)
    np.testing.assert_array_equal(ds.data.where(ds.data_flags == 0), expected)
    tree = xr.DataTree.from_dict({"/r": stack.to_dataset(name="data")}).ccd.align(0, rate=SLOW)
    np.testing.assert_array_equal(tree["/r"].data_vars["data"], expected)


@pytest.mark.parametrize(
    ("arguments", "error", "match"),
    [
        ({"rate": 5.0}, TypeError, r"rate=5\.0 is not a pair: give \(rate of RA \* cos\(Dec\), rate of Dec\)"),
        ({"rate": (1.0, "x")}, TypeError, r"rate=\(1\.0, 'x'\) is no pair of numbers in arcseconds an hour"),
        ({"rate": (1 * u.m, 2 * u.m)}, TypeError, "is no pair of numbers in arcseconds an hour, or of rates"),
        ({"rate": (np.nan, 1.0)}, ValueError, r"rate=\(nan, 1\.0\) is not finite"),
        ({"rate": (1e6, 1.0)}, ValueError, r"moves by 277\.8 degrees in 1 hours, more than 10"),
        ({"rate": (1.0, 1.0), "ephemeris": {}}, ValueError, "rate= and ephemeris= were both given"),
        ({"rate": (1.0, 1.0), "offsets": "wcs"}, ValueError, "offsets= and rate= were both given"),
        ({"ephemeris": {"ra": [1, 2]}}, TypeError, r"without a column time \(datetime_jd, jd, mjd, time\) and dec"),
        ({"ephemeris": 5}, TypeError, "ephemeris= is an int without a column"),
        ({"ephemeris": {"time": [1, 2], "ra": [1, 2], "dec": [1, 2]}}, TypeError, "holds int64: give instants"),
        ({"ephemeris": {"jd": [1, 2, 3], "ra": [1, 2], "dec": [1, 2]}}, ValueError, r"shapes \(3,\), \(2,\), \(2,\)"),
        ({"ephemeris": {"mjd": [2, 1], "ra": [1, 2], "dec": [1, 2]}}, ValueError, "do not rise: sort its rows"),
        (
            {"ephemeris": {"mjd": [1.0, 2.0], "ra": [1, 2], "dec": [1, 2]}}, ValueError,
            r"goes from 1858-11-18T00:00:00 to 1858-11-19T00:00:00, and frame 0 \(.*\) was exposed at 2026-01-05T01:0",
        ),
    ],
    ids=str,
)  # fmt: skip
def test_wrong_arguments(arguments: dict[str, Any], error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        night(20.0).ccd.align(0, **arguments)


def test_frames_that_cannot_follow() -> None:
    head = {k: v for k, v in cards(0, 20.0, {}).items() if k != "DATE-OBS"}
    stack = xccd.open_stack([(np.ones(SHAPE), cards(1, 20.0, {})), (np.ones(SHAPE), head)])
    with pytest.raises(ValueError, match=r"frame 1 \(.*\) does not say when it was exposed \(DATE-OBS with a time"):
        stack.ccd.align(0, rate=RATE)
    car = {"CTYPE1": "RA---CAR", "CTYPE2": "DEC--CAR"}
    with pytest.raises(ValueError, match=r"frame 1 \(.*\): its projection CAR cannot follow a moving object"):
        night(20.0, SLOW, **car).ccd.align(0, rate=SLOW)


def test_rates_may_have_units() -> None:
    assert moving.rates((1 * u.arcmin / u.hour, 2 * u.arcsec / u.min)) == pytest.approx((60.0, 120.0))
    assert moving.rates([1, 2]) == (1.0, 2.0)
