"""ccdproc's calibration in `xccd.ccdproc`, and the verbs, beside ccdproc's functions on the same frames."""

from __future__ import annotations

from typing import Any

import ccdproc
import numpy as np
import pytest
from astropy import units as u
from astropy.modeling.models import Polynomial1D
from astropy.nddata import CCDData, InverseVariance, StdDevUncertainty, VarianceUncertainty

import xccd
import xccd.ccdproc as ours

BOTH = (ccdproc, ours)
SHAPE = (12, 16)
GAIN, NOISE = 1.5 * u.electron / u.adu, 6.0 * u.electron


def image(seed: int, level: float, scatter: float, *, masked: bool = False, error: Any = None, **meta: Any) -> CCDData:
    rng = np.random.default_rng(seed)
    made = CCDData(rng.normal(level, scatter, SHAPE), unit="adu", meta=meta)
    if masked:
        made.mask = rng.random(SHAPE) < 0.1
    if error is not None:
        made.uncertainty = error(rng.uniform(1, 2, SHAPE))
    return made


def same(theirs: CCDData, mine: CCDData) -> None:
    assert type(mine) is CCDData
    assert mine.unit == theirs.unit
    assert dict(mine.meta) == dict(theirs.meta)
    np.testing.assert_array_equal(mine.data, theirs.data)
    np.testing.assert_array_equal(mine.mask, theirs.mask)
    assert type(mine.uncertainty) is type(theirs.uncertainty)
    if mine.uncertainty is not None:
        np.testing.assert_array_equal(mine.uncertainty.array, theirs.uncertainty.array)
        assert mine.uncertainty.unit == theirs.uncertainty.unit


SETS = [(False, None), (True, StdDevUncertainty), (True, VarianceUncertainty), (False, InverseVariance)]


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore")  # of ccdproc's own
@pytest.mark.parametrize(("masked", "error"), SETS)
@pytest.mark.parametrize(
    ("name", "level", "options"),
    [
        ("subtract_bias", 100, {}),
        ("subtract_bias", 100, {"add_keyword": False}),
        ("subtract_dark", 20, {"exposure_time": "EXPTIME", "exposure_unit": u.s}),
        ("subtract_dark", 20, {"exposure_time": "EXPTIME", "exposure_unit": u.s, "scale": True}),
        ("subtract_dark", 20, {"data_exposure": 9 * u.s, "dark_exposure": 3 * u.s, "scale": True}),
        ("subtract_dark", 20, {"exposure_time": ccdproc.Keyword("EXPTIME", unit=u.s), "scale": True}),
        ("flat_correct", 2e4, {}),
        ("flat_correct", 2e4, {"min_value": 19e3}),
        ("flat_correct", 2e4, {"norm_value": 2.5e4, "add_keyword": {"FLAT": "yes"}}),
    ],
)
def test_a_master_gives_what_it_gives_in_ccdproc(name, level, options, masked, error):
    ccd = image(1, 5000, 100, masked=masked, error=error, EXPTIME=60.0, OBJECT="M 51")
    master = image(2, level, level / 50, masked=masked, error=error, EXPTIME=90.0)
    same(*(getattr(p, name)(ccd, master, **options) for p in BOTH))


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("gain_correct", {"gain": GAIN}),
        ("gain_correct", {"gain": 2.5, "gain_unit": u.electron / u.adu}),
        ("gain_correct", {"gain": ccdproc.Keyword("GAIN", unit=u.electron / u.adu)}),
        ("create_deviation", {"gain": GAIN, "readnoise": NOISE}),
        ("create_deviation", {"gain": GAIN, "readnoise": NOISE, "disregard_nan": True}),
        ("create_deviation", {"readnoise": 5 * u.adu}),
        ("trim_image", {"fits_section": "[2:9,3:11]"}),
        ("trim_image", {"fits_section": "[*, 8:3]"}),
        ("trim_image", {"fits_section": "[-*,3:9:2]"}),
        ("trim_image", {"fits_section": "[5:1, :4]"}),
        ("trim_image", {}),
        ("subtract_overscan", {"fits_section": "[11:16,:]"}),
        ("subtract_overscan", {"fits_section": "[11:16,:]", "median": True}),
        ("subtract_overscan", {"fits_section": "[:,1:3]", "overscan_axis": None}),
        ("subtract_overscan", {"fits_section": "[:,1:3]", "overscan_axis": 0}),
        ("subtract_overscan", {"fits_section": "[11:16,:]", "model": Polynomial1D(2)}),
    ],
)
def test_other_steps_give_what_they_give_in_ccdproc(name, options):
    ccd = image(3, 100, 90, masked=True, error=StdDevUncertainty, GAIN=1.7)
    same(*(getattr(p, name)(ccd, **options) for p in BOTH))
    if name == "subtract_overscan":
        part = ccd[:, 12:]
        same(*(p.subtract_overscan(ccd, overscan=part, add_keyword=None) for p in BOTH))


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("gain_corrected", [True, False])
def test_all_steps_in_one_call(gain_corrected):
    ccd = image(4, 5000, 100, EXPTIME=60.0)
    unit = "electron" if gain_corrected else "adu"
    masters = [image(i, level, level / 50, EXPTIME=30.0)[2:10, 1:9] for i, level in ((5, 100), (6, 20), (7, 2e4))]
    for master in masters:
        master.unit = unit
    options = {
        "oscan": "[11:16,:]", "trim": "[2:9,3:10]", "error": True, "gain": GAIN, "readnoise": NOISE, "min_value": 100,
        "master_bias": masters[0], "dark_frame": masters[1], "master_flat": masters[2], "exposure_key": "EXPTIME",
        "exposure_unit": u.s, "dark_scale": True, "bad_pixel_mask": np.eye(8, dtype=bool),
        "gain_corrected": gain_corrected,
    }  # fmt: skip
    same(*(p.ccd_process(ccd, **options) for p in BOTH))
    same(*(p.ccd_process(ccd, oscan=ccd[:, 11:]) for p in BOTH))


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("options", [{}, {"gain": 2.0, "readnoise": 5.0}, {"gain": GAIN, "gain_apply": False}])
def test_cosmic_rays(options):
    ccd = image(8, 100, 5)
    ccd.data[6, 7] += 2000
    same(*(p.cosmicray_lacosmic(ccd, **options) for p in BOTH))
    same(*(p.cosmicray_lacosmic(image(8, 100, 5, masked=True), **options) for p in BOTH))
    for one, other in zip(*(p.cosmicray_lacosmic(ccd.data, pssl=10.0, **options) for p in BOTH), strict=True):
        np.testing.assert_array_equal(one, other)
    electrons = image(8, 100, 5)
    electrons.unit = u.electron
    same(*(p.cosmicray_lacosmic(electrons, gain=1.0) for p in BOTH))


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda c: ours.subtract_overscan(c), TypeError, "give one of overscan= and fits_section="),
        (lambda c: ours.subtract_overscan(c, overscan=[1]), TypeError, "overscan is a list, not a CCDData"),
        (lambda c: ours.trim_image(c, fits_section=3), TypeError, "fits_section=3 is no text"),
        (lambda c: ours.trim_image(c, fits_section="1:2"), ValueError, "fits_section='1:2' is no section"),
        (lambda c: ours.trim_image(c, fits_section="[a:2,1:2]"), ValueError, "is no section of an image"),
        (lambda c: ours.trim_image(c, fits_section="[0:2,1:2]"), ValueError, "the first pixel is 1"),
        (lambda c: ours.flat_correct(c, c, norm_value=0), ValueError, "norm_value=0 is not above 0"),
        (lambda c: ours.create_deviation(c), ValueError, "create_deviation needs readnoise="),
        (lambda c: ours.create_deviation(c, readnoise=3.0), TypeError, "readnoise=3.0 is no Quantity"),
        (lambda c: ours.create_deviation(c, readnoise=NOISE), u.UnitsError, "is not in the unit of readnoise"),
        (lambda c: ours.subtract_dark(c, c), TypeError, "give exposure_time=, or dark_exposure="),
        (lambda c: ours.subtract_dark(c, c, exposure_time="T"), TypeError, "exposure_time= needs exposure_unit="),
        (lambda c: ours.subtract_dark(c, c[1:]), ValueError, r"the image has the shape \(12, 16\), the dark"),
        (lambda c: ours.subtract_bias(c, gone(c)), u.UnitsError, "Unit 'adu' of the uncalibrated image"),
        (lambda c: ours.ccd_process(c, oscan=3), TypeError, "oscan= is an int: give a str or CCDData, or None"),
        (lambda c: ours.ccd_process(c, error=True), ValueError, "error=True needs gain= and readnoise="),
        (lambda c: ours.cosmicray_lacosmic([1]), TypeError, "ccd is a list, neither a CCDData nor an array"),
        (lambda c: ours.cosmicray_lacosmic(c, pssl=1.0, inbkg=c.data), ValueError, "pssl=1.0 with inbkg="),
        (lambda c: ours.cosmicray_lacosmic(c, readnoise=3 * u.s), ValueError, "units do not match"),
    ],
)
def test_mistakes(call, error, message):
    with pytest.raises(error, match=message):
        call(image(1, 10, 1, T=3.0))


def gone(ccd: CCDData) -> CCDData:
    other = ccd.copy()
    other.unit = u.electron
    return other


# --- the verbs


@pytest.mark.versions
@pytest.mark.filterwarnings("ignore")
def test_the_verbs_give_what_ccdproc_gives():
    """In float64, to 1e-12: data, uncertainties, masks; masters without masks."""
    ccds = [image(i, 6000, 300, masked=True, EXPTIME=60.0) for i in range(3)]
    bias = image(5, 100, 3, error=StdDevUncertainty)
    dark = image(6, 20, 2, error=StdDevUncertainty, EXPTIME=30.0, BIASCOR="b")
    flat = image(7, 2e4, 400, error=StdDevUncertainty, EXPTIME=1.0)
    expected = []
    for ccd in ccds:
        one = ccdproc.subtract_overscan(ccd, fits_section="[11:16,:]", median=True)
        one = ccdproc.create_deviation(one, gain=GAIN, readnoise=NOISE, disregard_nan=True)
        one = ccdproc.subtract_bias(one, bias)
        one = ccdproc.subtract_dark(one, dark, exposure_time="EXPTIME", exposure_unit=u.s, scale=True)
        expected.append(ccdproc.gain_correct(ccdproc.flat_correct(one, flat), GAIN))
    raw = [c.copy() for c in ccds]
    for ccd in raw:
        ccd.mask[:, 10:] = False  # ccdproc's overscan has no mask
    masks = np.array([c.mask for c in ccds])
    ds = xccd.from_ccddata(raw).ccd.subtract_overscan("[11:16,*]")
    ds = ds.ccd.mask_where(masks).ccd.create_deviation(GAIN.value, NOISE.value)
    made = ds.assign(data_uncertainty=ds.data_uncertainty)
    found = made.ccd.subtract_bias(bias).ccd.subtract_dark(dark).ccd.flat_correct(flat).ccd.gain_correct(GAIN.value)
    for i, theirs in enumerate(expected):
        np.testing.assert_allclose(found.data[i], theirs.data, rtol=1e-12, atol=1e-11)
        np.testing.assert_array_equal(found.data_flags.values[i] != 0, theirs.mask)
        np.testing.assert_allclose(found.data_uncertainty[i], theirs.uncertainty.array, rtol=1e-12)
    assert found.data.attrs["units"] == expected[0].unit.to_string()
