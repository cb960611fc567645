"""`wcs_project` of the drop-in beside ccdproc's: values, masks and headers of all orders, and what it does besides."""

from __future__ import annotations

from typing import Any

import ccdproc
import numpy as np
import pytest
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, UnknownUncertainty, VarianceUncertainty
from astropy.wcs import WCS
from hypothesis import given, settings
from hypothesis import strategies as st

import xccd.ccdproc as ours

ORDERS = ("nearest-neighbor", "bilinear", "biquadratic", "bicubic")
UNCERTAINTIES = {StdDevUncertainty: lambda v: v**0.5, VarianceUncertainty: np.array, InverseVariance: lambda v: 1 / v}


def sky(x: float = 6, y: float = 4, *, turned: float = 0, size: float = 1e-4) -> WCS:
    wcs = WCS(naxis=2)
    wcs.wcs.ctype, wcs.wcs.crval, wcs.wcs.crpix = ["RA---TAN", "DEC--TAN"], [10, 20], [x, y]
    wcs.wcs.pc = [[np.cos(turned), -np.sin(turned)], [np.sin(turned), np.cos(turned)]]
    wcs.wcs.cdelt = [-size, size]
    return wcs


def image(data: Any = None, **more: Any) -> CCDData:
    data = np.arange(96.0).reshape(8, 12) if data is None else data
    return CCDData(data, **{"unit": "adu", "wcs": sky(), **more})


def assert_same(theirs: CCDData, mine: CCDData, rtol: float) -> None:
    assert (mine.unit, mine.data.dtype, mine.shape) == (theirs.unit, theirs.data.dtype, theirs.shape)
    assert (type(mine.meta), dict(mine.meta)) == (type(theirs.meta), dict(theirs.meta))
    assert mine.wcs.wcs.compare(theirs.wcs.wcs)
    assert (mine.mask is None) == (theirs.mask is None)
    masks = [np.zeros(c.shape, bool) if c.mask is None else c.mask for c in (theirs, mine)]
    np.testing.assert_array_equal(*masks)
    np.testing.assert_allclose(mine.data[~masks[1]], theirs.data[~masks[1]], rtol=rtol, atol=rtol * 1e4)


@st.composite
def cases(draw: Any) -> tuple[CCDData, WCS, tuple[int, int]]:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    shape = draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))
    dtype = draw(st.sampled_from(["uint16", "int32", "float32", "float64", ">f4"]))
    mask = draw(st.sampled_from([None, 0.0, 0.02, 0.3]))
    ccd = image(
        rng.normal(1000, 100, shape).astype(dtype),
        mask=None if mask is None else rng.random(shape) < mask,
        wcs=sky(*rng.uniform(0, 30, 2), turned=rng.uniform(0, 6)),
    )
    target = sky(*rng.uniform(0, 30, 2), turned=rng.uniform(0, 6), size=1e-4 * rng.uniform(0.5, 2))
    return ccd, target, draw(st.tuples(st.integers(1, 30), st.integers(1, 30)))


@settings(deadline=None, max_examples=40)
@given(cases(), st.sampled_from(ORDERS))
def test_same_whatever_the_images(case: Any, order: str) -> None:
    ccd, target, shape = case
    theirs, mine = (p.wcs_project(ccd, target, shape, order, add_keyword=False) for p in (ccdproc, ours))
    assert_same(theirs, mine, 1e-9 if ccd.data.dtype == "float64" else 2e-7)  # float32 where it splines others


@pytest.mark.parametrize("order", ORDERS)
def test_a_point_moved_by_half_a_pixel(order: str) -> None:
    data = np.zeros((16, 21))
    data[8, 10] = 100
    theirs, mine = (p.wcs_project(image(data), sky(6.5, 4), order=order) for p in (ccdproc, ours))
    np.testing.assert_allclose(mine.data[8, 5:16], theirs.data[8, 5:16], atol=1e-6)
    found = {"nearest-neighbor": 100, "bilinear": 50, "biquadratic": 58.58, "bicubic": 60.05}
    assert mine.data[8].max() == pytest.approx(found[order], abs=0.005)


@pytest.mark.versions
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("moved", [(6, 4), (7, 2), (90, 4)], ids=["same", "whole pixels", "not seen"])
def test_same_on_whole_pixels(order: str, moved: tuple[float, float]) -> None:
    mask = np.zeros((8, 12), bool)
    mask[3, 4:6] = True
    for given_mask in (None, mask, mask.astype(int)):
        ccd = image(mask=given_mask)
        assert_same(*(p.wcs_project(ccd, sky(*moved), order=order) for p in (ccdproc, ours)), 1e-9)


def test_same_where_pixels_are_nan() -> None:
    data = np.arange(96.0).reshape(8, 12)
    data[3, 4] = np.nan
    for order in ORDERS[:2]:
        assert_same(*(p.wcs_project(image(data), sky(6.3, 4.2), order=order) for p in (ccdproc, ours)), 1e-9)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", UNCERTAINTIES)
def test_uncertainties_are_those_of_the_weights(order: str, kind: Any) -> None:
    """The weight of a pixel is what an image of it alone gives."""
    shape, target = (4, 5), sky(6.3, 4.4, turned=0.2, size=1.3e-4)
    variance = np.random.default_rng(0).uniform(1, 3, shape)
    points = np.eye(20).reshape(20, *shape)
    weights = np.array([ours.wcs_project(image(p), target, order=order).data for p in points])
    made = ours.wcs_project(image(points[0], uncertainty=kind(UNCERTAINTIES[kind](variance))), target, order=order)
    expected = UNCERTAINTIES[kind](np.tensordot(variance.ravel(), weights**2, axes=1))
    assert type(made.uncertainty) is kind
    np.testing.assert_allclose(made.uncertainty.array, expected, rtol=2e-3)


@pytest.mark.versions
def test_masks_errors_and_headers() -> None:
    mask = np.zeros((8, 12), bool)
    mask[3, 4:6] = True
    ccd = image(
        mask=mask, meta={"OBJECT": "M 51", "CRVAL1": 1.0}, uncertainty=VarianceUncertainty(np.ones((8, 12)))
    )  # fmt: skip
    made = ours.wcs_project(ccd, sky(5.5, 4))
    assert (made.header["OBJECT"], "CRVAL1" in made.header) == ("M 51", False)
    assert ccd.header["CRVAL1"] == 1
    np.testing.assert_allclose(made.data[0], [*(np.arange(11) + 0.5), 11])  # the last one lies on the edge
    np.testing.assert_allclose(made.uncertainty.array[0, :11], 0.5)
    assert np.flatnonzero(made.mask[3]).tolist() == [3, 4, 5]  # all that the two touch
    assert np.isnan(made.data[made.mask]).all()
    double = sky(6, 4, size=2e-4)
    plain, jansky = (ours.wcs_project(image(unit=unit), double).data for unit in ("adu", "MJy/sr"))
    np.testing.assert_allclose(plain, 4 * jansky, rtol=1e-6)
    unknown = image(uncertainty=UnknownUncertainty(np.ones((8, 12))))
    assert ours.wcs_project(unknown, sky(5.5, 4)).uncertainty is None


def test_cubes_go_plane_by_plane() -> None:
    cube = np.random.default_rng(0).random((2, 8, 12))
    made = ours.wcs_project(image(cube), sky(6.3, 4.2), (2, 9, 10), "bicubic")
    for plane, done in zip(cube, made.data, strict=True):
        np.testing.assert_array_equal(done, ours.wcs_project(image(plane), sky(6.3, 4.2), (9, 10), "bicubic").data)
    assert_same(*(p.wcs_project(image(cube), sky(6.3, 4.2)) for p in (ccdproc, ours)), 1e-9)


@pytest.mark.parametrize("logging", [True, False])
@pytest.mark.parametrize("header", [None, {"OBJECT": "M 51"}, sky().to_header()], ids=["none", "dict", "Header"])
@pytest.mark.parametrize(
    "keyword",
    [
        {},
        *({"add_keyword": k} for k in (True, False, None, "DONE", {"A": 1, "B": "x"}, ccdproc.Keyword("C", value="y"))),
    ],
    ids=lambda k: str({n: getattr(v, "name", v) for n, v in k.items()}),
)
def test_same_cards(keyword: dict[str, Any], header: Any, logging: bool) -> None:
    ccd = image(header=header)
    with ccdproc.conf.set_temp("auto_logging", logging):
        theirs, mine = (p.wcs_project(ccd, sky(7, 4), order="bilinear", **keyword) for p in (ccdproc, ours))
    assert (type(mine.meta), dict(mine.meta)) == (type(theirs.meta), dict(theirs.meta))
    assert "MJDREF" not in mine.meta


@pytest.mark.parametrize(
    ("error", "match", "run"),
    [
        (TypeError, "ccd is a ndarray: give CCDData", lambda: ours.wcs_project(np.ones(3), sky())),
        (ValueError, "target_wcs is not celestial", lambda: ours.wcs_project(image(), WCS(naxis=2))),
        (ValueError, r"ccd\.wcs is not celestial", lambda: ours.wcs_project(image(wcs=None), sky())),
        (ValueError, "order='cubic' is unknown: use one of nearest-neighbor",
         lambda: ours.wcs_project(image(), sky(), order="cubic")),
        (ValueError, r"target_shape=\(2,\): give whole numbers, \(rows, columns\)",
         lambda: ours.wcs_project(image(), sky(), (2,))),
        (ValueError, r"target_shape=\(2\.5, 3\): give whole", lambda: ours.wcs_project(image(), sky(), (2.5, 3))),
        (ValueError, r"target_shape=\(3, 4, 5\): give whole numbers, \(2, rows, columns\)",
         lambda: ours.wcs_project(image(np.ones((2, 4, 5))), sky(), (3, 4, 5))),
        (ValueError, r"ccd has shape \(3,\)", lambda: ours.wcs_project(image(np.ones(3)), sky())),
        (TypeError, "add_keyword=3 is neither", lambda: ours.wcs_project(image(), sky(), add_keyword=3)),
        (TypeError, "xp= is str: xccd.ccdproc computes", lambda: ours.wcs_project(image(), sky(), xp="cupy")),
    ],
)  # fmt: skip
def test_errors(error: type[Exception], match: str, run: Any) -> None:
    with pytest.raises(error, match=match):
        run()
