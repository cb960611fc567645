"""Units as headers write them: what CCDData.read takes, and what cameras and programs write besides."""

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from astropy import units as u
from astropy.io import fits
from astropy.nddata import CCDData

import xccd
from xccd.headers import units

SPELLINGS = {
    "adu": u.adu, "ADU": u.adu, "Adu": u.adu, " adu ": u.adu, "counts": u.adu, "COUNTS": u.adu, "Counts": u.adu,
    "electron": u.electron, "electrons": u.electron, "ELECTRONS": u.electron, "Electron": u.electron,
    "e-": u.electron, "E-": u.electron, "DN": u.DN, "dn": u.DN, "photons": u.photon, "count": u.ct,
    "ELECTRONS/S": u.electron / u.s, "electrons/s": u.electron / u.s, "e-/s": u.electron / u.s,
    "e- s-1": u.electron / u.s,
    "E-/S": u.electron / u.s, "ADU/S": u.adu / u.s, "counts/sec": u.adu / u.s, "ADU per second": u.adu / u.s,
    "e-/pix": u.electron / u.pix, "ADU**2": u.adu**2, "(e-/s)**2": (u.electron / u.s) ** 2, "mJy": u.mJy,
    "MJy/sr": u.MJy / u.sr, "S": u.S, "": u.dimensionless_unscaled, "1e-3 adu": u.Unit(1e-3 * u.adu), "nmgy": u.nmgy,
}  # fmt: skip


@pytest.mark.parametrize("text", SPELLINGS)
def test_spellings(tmp_path: Path, text: str) -> None:
    image = xr.DataArray(np.ones((2, 3)), dims=("y", "x"), attrs={"units": text} if text else {})
    assert image.ccd.to_ccddata().unit == SPELLINGS[text]
    stack = xccd.open_stack([(np.ones((2, 3)), {"BUNIT": text} if text else {})] * 3)
    assert {one.unit for one in stack.ccd.to_ccddata()} == {SPELLINGS[text]}
    for method, power in (("mean", 1), ("sum", 1), ("var", 2)):
        product = stack.ccd.combine(method)
        assert product.ccd.to_ccddata().unit == SPELLINGS[text] ** power
    written = stack.ccd.combine().ccd.to_fits(tmp_path / "a.fits")
    if text and "(" not in text:  # which CCDData.read does not know
        assert CCDData.read(written).unit == SPELLINGS[text]


@pytest.mark.parametrize("text", ["adu", "ADU", "electrons", "ELECTRONS", "electron", "DN", "ELECTRONS/S", "mJy", "e-"])
def test_there_and_back_as_ccddata_does(tmp_path: Path, text: str) -> None:
    fits.writeto(tmp_path / "a.fits", np.ones((2, 3)), fits.Header({"BUNIT": text}))
    ours = xccd.open_image(tmp_path / "a.fits").ccd.to_ccddata()
    try:
        theirs = CCDData.read(tmp_path / "a.fits").unit
    except ValueError:
        theirs = u.electron  # of e-, which it does not know
    assert ours.unit == theirs
    ours.write(tmp_path / "b.fits")
    assert CCDData.read(tmp_path / "b.fits").unit == theirs


@pytest.mark.parametrize("text", ["furlongs", "adus of light", "e", "e-5", "Kounts", "adu//s"])
def test_what_nobody_knows_is_refused(text: str) -> None:
    image = xr.DataArray(np.ones((2, 2)), dims=("y", "x"), attrs={"units": text})
    with pytest.raises(ValueError, match=f"this image has the unit '{text}', which astropy does not know"):
        image.ccd.to_ccddata()


def test_a_unit_is_the_users() -> None:
    """Arithmetic keeps the attribute; who changes the unit says so."""
    stack = xccd.open_stack([(np.ones((2, 3)), {"BUNIT": "adu", "GAIN": 1.5})] * 3) * 1.5
    assert stack.ccd.combine().ccd.header()["BUNIT"] == "adu"
    assert stack.assign_attrs(units="electron").ccd.combine().ccd.header()["BUNIT"] == "electron"
    del stack.attrs["units"]
    assert "BUNIT" not in stack.ccd.combine().ccd.header()


PER_TIME = ["adu/s", "electron s-1", "e-/s", "adu s^-1", "adu s**(-1)", "adu/(s pix)", "adu/pix/s", "ct/min", "Jy",
            "µJy", "MJy/sr", "nmgy", "erg/s/cm2", "W m-2", "ADU/S"]  # fmt: skip
COUNTS = ["", "adu", "electron", "adu/pix", "adu/arcsec2", "ct", "furlongs", "adu s", "DN", "adu2", "electron arcsec-2"]


@pytest.mark.parametrize("text", [*PER_TIME, *COUNTS])
def test_per_time(text: str) -> None:
    assert units.per_time(text) == (text in PER_TIME)
